"""`crowdllm tune`: from a study folder to an adapter, an estimate, and references."""

from __future__ import annotations

import hashlib
import json
import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from crowdllm.cli import main
from crowdllm.survey_tuning.artifact import load_tuned

torch = pytest.importorskip("torch")
pytest.importorskip("peft", reason="for this test: pip install 'crowdllm[tune]'")
TINY = Path(__file__).parents[1] / "llm" / "tiny_model.py"

TOML = """
title = "Tea and coffee"
[response]
type = "ordinal"
levels = ["1", "2", "3"]
[profile.group]
kind = "categorical"
levels = ["a", "b"]
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module", autouse=True)
def _one_core() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(runpy.run_path(str(TINY))["build"](tmp_path_factory.mktemp("base") / "tiny", "qwen3"))


@pytest.fixture
def study(tmp_path: Path) -> str:
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "study.toml").write_text(TOML)
    (folder / "problems.csv").write_text("problem,text\ntea,Is tea good?\ncoffee,Is coffee good?\n")
    people = [f"p{i}" for i in range(12)]
    rows = "".join(f"{p},{'ab'[i % 2]}\n" for i, p in enumerate(people))
    (folder / "participants.csv").write_text(f"participant,group\n{rows}")
    answers = "".join(
        f"{p},{t},{1 + (i + k) % 3}\n" for i, p in enumerate(people) for k, t in enumerate(("tea", "coffee"))
    )
    (folder / "responses.csv").write_text(f"participant,problem,response\n{answers}")
    return str(folder)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        shown = capsys.readouterr()
        return int(end.value.code or 0), shown.out, shown.err

    return call


def test_a_study_becomes_an_adapter_and_the_adapter_references(run: Run, study: str, base: str, tmp_path: Path) -> None:
    out = tmp_path / "adapter"
    command = ("tune", study, "--model", base, "--adapter", "lora", "--out", out, "--gamma", 0.2)
    settings = ("--set", "rank=2", "--set", "max_epochs=2", "--set", "held_out=0.3", "--device", "cpu")
    status, said, told = run(*command, *settings)
    assert status == 0
    assert "Tea and coffee: N=12 T=2 R=24" in said
    assert re.search(r"best of \d epochs: \d, cross-entropy [\d.]+ in training, loss [\d.]+ on held-out people", said)
    assert "temperature with the lowest KL on held-out people" in said
    assert re.search(r"epoch 2: loss [\d.]+, cross-entropy [\d.]+, penalty [\d.]+, stray [\d.]+, held out [\d.]+", told)
    assert json.loads((out / "meta.json").read_text())["studies"][0]["people"] == 12
    again, said, told = run(*command, *settings)
    assert again == 0
    assert "epoch" not in told  # it is there already
    status, said, _ = run(
        "references", study, "--backend", "tuned", "--model", out, "--mode", "options", "--min-parse-rate", 0
    )
    assert status == 0
    table = (Path(study) / "references" / "adapter-options.csv").read_text()
    assert table.startswith("problem,p1,p2,p3")
    assert len(table.splitlines()) == 3


def test_the_curve_of_temperatures_and_an_audit_lie_beside_the_adapter(
    run: Run, study: str, base: str, tmp_path: Path
) -> None:
    people, out = [f"p{i}" for i in range(50)], tmp_path / "adapter"
    rows = "".join(f"{p},{'ab'[i % 2]}\n" for i, p in enumerate(people))
    (Path(study) / "participants.csv").write_text(f"participant,group\n{rows}")
    answers = "".join(f"{p},tea,{1 + i % 2}\n{p},coffee,{1 + i % 3}\n" for i, p in enumerate(people))
    (Path(study) / "responses.csv").write_text(f"participant,problem,response\n{answers}")
    command = ("tune", study, "--model", base, "--out", out, "--device", "cpu", "--set", "held_out=0.8")
    settings = ("--set", "rank=2", "--set", "max_epochs=1")
    status, said, _ = run(*command, *settings)
    assert status == 0
    assert f"wrote {out / 'temperatures.csv'}" in said
    assert not (out / "audit.csv").exists()
    table = pd.read_csv(out / "temperatures.csv")
    assert list(table.columns) == ["study", "temperature", "kl", "rmse", "nll", "avg_wd"]
    assert set(table["study"]) == {"Tea and coffee"}
    chosen = float(re.findall(r"lowest KL on held-out people: ([\d.]+)", said)[0])
    best = float(table["temperature"].to_numpy()[table["kl"].to_numpy().argmin()])
    assert abs(chosen - best) <= 1.0  # searched on between the steps of the curve
    status, said, _ = run(*command, *settings, "--audit")
    assert status == 0
    assert re.search(r"tuning brought \d of 2 groups closer to their humans \(40 held-out people", said)
    assert re.search(r"differences by group: before tuning [a-z ]+, after [a-z ]+", said)
    found = pd.read_csv(out / "audit.csv", keep_default_na=False)
    assert set(found["level"]) == {"a", "b", ""}
    assert set(found["measure"]) == {"kl", "avg_wd", "between_ratio"}
    for name in ("temperatures.svg", "audit.svg"):
        assert (out / name).read_text().startswith("<?xml")


def test_an_audit_of_too_few_people_says_how_to_have_more(run: Run, study: str, base: str, tmp_path: Path) -> None:
    command = ("tune", study, "--model", base, "--out", tmp_path / "o", "--device", "cpu", "--set", "max_epochs=1")
    status, _, told = run(*command, "--audit")
    assert status == 2
    assert "no group has 10 of the 1 held-out people" in told
    assert "held_out" in told
    assert (tmp_path / "o" / "meta.json").is_file()  # the tuned model itself is there


def test_an_estimate_says_memory_and_time_and_writes_nothing(run: Run, study: str, base: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    status, said, _ = run("tune", study, "--model", base, "--adapter", "qlora", "--estimate")
    assert status == 0
    assert "memory: weights 0.00 GB" in said
    assert "minutes an epoch at 100 TFLOP/s" in said
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--adapter", "lroa"), "'adapter'.*'lora', 'qlora'"),
        (("--adapter", "none"), "choose lora, qlora or full"),
        (("--set", "rnak=3"), "unknown setting 'rnak'.*'rank'"),
        (("--set", "rank"), "NAME=VALUE"),
        (("--set", "rank=2", "--set", "rank=3"), "rank is set twice"),
        (("--set", "gamma=1"), "use --gamma"),
        (("--adapter", "lora", "--set", "adapter=qlora"), "use --adapter"),
        (
            ("--set", "profile_weight=often"),
            "'profile_weight': Input should be a valid number.*or.*'chosen', not 'often'",
        ),
        (("--gamma", "-1"), "gamma"),
        (("--set", "profile_columns=gruop"), "'gruop'.*'group'"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_status_2(
    more: tuple[str, ...], words: str, run: Run, study: str, base: str, tmp_path: Path
) -> None:
    status, _, told = run("tune", study, "--model", base, "--out", tmp_path / "o", *more)
    assert status == 2
    assert len(told.strip().splitlines()) == 1
    assert re.search(words, told)


def test_a_missing_folder_a_missing_model_and_a_missing_out_are_told(
    run: Run, study: str, base: str, tmp_path: Path
) -> None:
    assert "neither a study folder nor a data set" in run("tune", "nope", "--model", base, "--out", tmp_path / "o")[2]
    assert "does not exist" in run("tune", study, "--model", "./nope", "--out", tmp_path / "o")[2]
    assert "--out FOLDER" in run("tune", study, "--model", base)[2]
    assert not (tmp_path / "o").exists()


def test_numbers_go_on_with_references_in_their_own_mode(run: Run, study: str, base: str, tmp_path: Path) -> None:
    """Probabilities of numbers cannot be listed, so that --mode options would be refused."""
    toml = TOML.replace('type = "ordinal"', 'type = "continuous"').replace('levels = ["1", "2", "3"]\n', "")
    (Path(study) / "study.toml").write_text(toml)
    out = tmp_path / "o"
    status, said, _ = run("tune", study, "--model", base, "--out", out, "--device", "cpu", "--set", "max_epochs=1")
    assert status == 0
    (following,) = re.findall(r"next: crowdllm (.+)", said)
    status, said, _ = run(*following.split(), "--show-prompt")
    assert status == 0
    assert "--mode samples" in following


def without_newest_settings(folder: Path) -> None:
    """As a version would have written the folder that did not know them yet."""
    for name in ("run.json", "crowd.json"):
        held = json.loads((folder / name).read_text())
        for setting in ("profile_weight", "answer_end"):
            del held["config"][setting]
            held.pop(setting, None)
        (folder / name).write_text(json.dumps(held))
    content = b"".join((folder / name).read_bytes() for name in ("adapter_model.safetensors", "crowd.json"))
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"hash": hashlib.sha256(content).hexdigest()}))


def test_a_folder_from_before_the_newest_settings_is_read_and_the_same_command_accepts_it(
    run: Run, study: str, base: str, tmp_path: Path
) -> None:
    out = tmp_path / "old"
    command = ("tune", study, "--model", base, "--out", out, "--device", "cpu", "--set", "max_epochs=1")
    assert run(*command)[0] == 0
    without_newest_settings(out)
    found = load_tuned(out, device="cpu")
    assert (found.config.profile_weight, found.config.answer_end, found.profile_weight) == (1.0, True, 1.0)
    status, _, told = run(*command)
    assert status == 0
    assert "epoch" not in told  # nothing is trained again
    status, _, told = run(*command, "--set", "answer_end=false")
    assert status == 2
    assert "another run (answer_end True, now False)" in told


def test_without_the_extra_the_command_says_what_to_install(
    run: Run, study: str, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    for finder in (lambda name: None, forbidden):
        monkeypatch.setattr("importlib.util.find_spec", finder)
        status, _, told = run("tune", study, "--model", base, "--out", tmp_path / "o")
        assert status == 2
        assert "pip install 'crowdllm[tune]'" in told
    assert not (tmp_path / "o").exists()
