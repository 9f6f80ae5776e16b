"""What holds for every writer: rows are marked, a refused export leaves nothing behind, notes say what is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crowdllm.belief.checkpoint import read_meta, save_model
from crowdllm.belief.crowd_model import fit_crowd
from crowdllm.cli import main
from crowdllm.data.study import Study
from crowdllm.data.study_folder import save_study
from crowdllm.errors import ConfigError, CrowdLLMError, UnknownNameError
from crowdllm.exchange import WRITERS
from crowdllm.exchange.export_protocol import DISTRIBUTIONS, ESTIMATES, RESPONSES, TABLES, Writer
from crowdllm.exchange.export_source import open_source
from crowdllm.exchange.exporting import export
from crowdllm.registry import lookup
from crowdllm.responses.ordinal import Ordinal
from crowdllm.simulation.plan import Settings
from crowdllm.simulation.stream import stream_crowd

Make = Callable[..., Any]
KINDS = ("ordinal", "continuous", "choice", "ballot", "points", "ranking")
SUFFIX = {"crowdkit": ".csv"}
REFUSED = {
    "crowdkit": ("continuous", "ballot", "points", "ranking"),
    "pabulib": ("ordinal", "continuous"),
    "labelstudio": ("points",),
    "simbench": ("continuous",),
}


@dataclass(frozen=True)
class Crowd:
    """A simulated crowd in a folder, and what its rows must say."""

    folder: Path
    model: str
    seed: int


@pytest.fixture(scope="module")
def crowd(make_known: Make, fast_config: Make, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Crowd]:
    """crowd(kind, sample=1.0) -> 40 simulated people answering 5 problems, seed 7."""
    made: dict[tuple[str, float], Crowd] = {}

    def get(kind: str, sample: float = 1.0) -> Crowd:
        if (kind, sample) not in made:
            folder = tmp_path_factory.mktemp("crowd")
            study = make_known(kind, people=40, problems=5, same_options=True).study
            model = fit_crowd(study, None, fast_config(max_epochs=0), 0)
            save_model(model, folder / "model")
            meta = read_meta(folder / "model")
            stream_crowd(model, meta, model.items, Settings(40, seed=7, sample=sample), folder / "crowd")
            made[kind, sample] = Crowd(folder / "crowd", meta["model_hash"][:16], 7)
        return made[kind, sample]

    return get


def writers() -> dict[str, Writer]:
    return {name: lookup(WRITERS, name, "format") for name in WRITERS}


def out_name(writer: Writer) -> str:
    return "out" + (SUFFIX.get(writer.name) or writer.suffixes[0])


@pytest.mark.parametrize("name", WRITERS)
def test_an_entry_is_a_writer_of_its_own_name(name: str) -> None:
    writer = writers()[name]
    assert isinstance(writer, Writer)
    assert writer.name == name
    assert set(writer.tables) <= set(TABLES)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kind", KINDS)
def test_simulated_rows_say_so_with_model_and_seed_or_the_format_is_refused(
    kind: str, name: str, crowd: Callable[..., Crowd], tmp_path: Path
) -> None:
    source, writer = crowd(kind), writers()[name]
    for table in writer.tables:
        if table not in open_source(source.folder).tables:
            continue
        out = tmp_path / table / out_name(writer)
        out.parent.mkdir()
        if kind in REFUSED.get(name, ()):
            with pytest.raises(CrowdLLMError, match="export to csv"):
                export(source.folder, name, out, table)
            assert not list(out.parent.iterdir())
            continue
        done = export(source.folder, name, out, table)
        assert done.marks.simulated
        assert sorted(done.files) == sorted(out.parent.iterdir())
        for told in told_marks(name, out):
            assert told == (True, source.model, str(source.seed))


def told_marks(name: str, path: Path) -> list[tuple[bool, str, str]]:
    """What each row (or task, or the file) says of where it comes from; read by other means than the writer's."""
    if name == "labelstudio":
        return [_marks(task["data"]) for task in json.loads(path.read_text("utf-8"))]
    if name == "simbench":
        return [_marks(json.loads(line)) for line in path.read_text("utf-8").splitlines()]
    if name == "pabulib":
        found = []
        for file in path.parent.iterdir():
            head, _, votes = file.read_text("utf-8").partition("VOTES\n")
            meta = dict(line.split(";", 1) for line in head.splitlines() if ";" in line)
            found.append((meta["crowdllm_simulated"] == "True", meta["crowdllm_model"], meta["crowdllm_seed"]))
            names, *rows = (line.split(";") for line in votes.splitlines())
            found += [_marks(dict(zip(names, row, strict=True))) for row in rows]
        return found
    frame = read_table(path)
    assert len(frame)
    return [_marks(row) for row in frame.to_dict("records")]


def _marks(row: dict[Any, Any]) -> tuple[bool, str, str]:
    flag = row["simulated"]
    seed = row["seed"]
    return str(flag) in ("True", "1", "1.0", "true"), str(row["model"]), str(int(float(seed)))


def read_table(path: Path) -> pd.DataFrame:
    if path.suffix == ".csv":
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".xlsx":
        return pd.read_excel(path)
    import pyreadstat

    return pyreadstat.read_sav(path)[0] if path.suffix == ".sav" else pyreadstat.read_dta(path)[0]


@pytest.mark.parametrize("name", ["csv", "parquet", "spss"])
def test_peoples_answers_are_marked_as_not_simulated(name: str, make_known: Make, tmp_path: Path) -> None:
    out = tmp_path / out_name(writers()[name])
    export(make_known("ordinal", people=8, problems=3).study, name, out)
    frame = read_table(out)
    assert set(frame["simulated"].astype(str)) <= {"False", "0.0"}
    assert set(frame["model"].astype(str)) == {""}


def test_a_saved_crowd_without_a_model_hash_says_that_it_is_not_recorded(make_known: Make, tmp_path: Path) -> None:
    study = make_known("ordinal", people=8, problems=3).study
    told = ("Simulated by crowdllm 1: no row is a real person's answer.", "Model fitted with seed 3; crowd seed 5.")
    save_study(replace(study, simulated=True, source=told), tmp_path / "crowd")
    done = export(tmp_path / "crowd", "csv", tmp_path / "out.csv")
    assert (done.marks.simulated, done.marks.model, done.marks.seed) == (True, "", 5)
    assert any("does not say which model" in note for note in done.notes)


def test_distributions_of_a_crowd_that_stores_no_responses(crowd: Callable[..., Crowd], tmp_path: Path) -> None:
    source = crowd("ordinal", 0.0)
    done = export(source.folder, "", tmp_path / "out.csv")
    assert done.table == DISTRIBUTIONS
    assert any("0 are stored" in note for note in done.notes)
    assert len(pd.read_csv(tmp_path / "out.csv")) == 5
    export(source.folder, "", tmp_path / "groups.csv", "subgroups")
    groups = pd.read_csv(tmp_path / "groups.csv")
    assert {"column", "level", "problem", "text", "responses", "simulated"} <= set(groups.columns)
    with pytest.raises(CrowdLLMError, match="has no responses, only distributions, subgroups"):
        export(source.folder, "", tmp_path / "more.csv", RESPONSES)


def test_exported_responses_of_a_crowd_are_those_it_stored(crowd: Callable[..., Crowd], tmp_path: Path) -> None:
    source = crowd("ordinal")
    export(source.folder, "csv", tmp_path / "out.csv", slim=True)
    stored = pd.read_csv(source.folder / "responses.csv", dtype=str)
    key = ["participant", "problem"]
    mine = pd.read_csv(tmp_path / "out.csv", dtype=str).sort_values(key)
    assert mine.columns.tolist() == ["participant", "problem", "response", "simulated", "model", "seed"]
    assert mine.to_numpy().tolist() == stored.sort_values(key)[mine.columns].to_numpy().tolist()


def test_estimates_are_known_by_their_columns_and_marked(tmp_path: Path) -> None:
    folder = tmp_path / "estimate"
    folder.mkdir()
    table = "problem,of,interval,estimate,low,high\n007,1,human,1.5,1.25,1.75\n007,1,rectified,1.5,1.375,1.625\n"
    (folder / "estimates.csv").write_text(table)
    (folder / "worth.csv").write_text("problem,worth\n007,12\n")
    (folder / "meta.json").write_text(json.dumps({"model_hash": "a" * 64, "seed": 3, "simulated": True}))
    done = export(folder, "", tmp_path / "out.parquet")
    assert done.table == ESTIMATES
    assert any("worth.csv" in note for note in done.notes)
    found = pd.read_parquet(tmp_path / "out.parquet")
    row = found.iloc[0]
    assert (row["problem"], row["of"], row["low"], row["model"], row["seed"]) == ("007", "1", 1.25, "a" * 16, 3)
    assert found["simulated"].tolist() == [False, True]  # an interval of humans alone is nothing simulated


def test_a_folder_that_is_none_of_these_is_refused(crowd: Callable[..., Crowd], tmp_path: Path) -> None:
    model = crowd("ordinal").folder.parent / "model"
    with pytest.raises(CrowdLLMError, match="holds no study, no simulated crowd and no estimates"):
        export(model, "csv", tmp_path / "out.csv")
    with pytest.raises(CrowdLLMError, match="is no folder"):
        export(tmp_path / "nowhere", "csv", tmp_path / "out.csv")


def test_a_crowd_that_is_not_complete_is_refused(crowd: Callable[..., Crowd], tmp_path: Path) -> None:
    import shutil

    shutil.copytree(crowd("ordinal").folder, tmp_path / "broken")
    meta = json.loads((tmp_path / "broken" / "meta.json").read_text())
    (tmp_path / "broken" / "meta.json").write_text(json.dumps(meta | {"complete": False}))
    with pytest.raises(CrowdLLMError, match="not written to the end"):
        export(tmp_path / "broken", "csv", tmp_path / "out.csv")


def test_unknown_names_list_the_valid_ones(make_known: Make, tmp_path: Path) -> None:
    study = make_known("ordinal", people=8, problems=3).study
    with pytest.raises(UnknownNameError, match="did you mean 'excel'"):
        export(study, "exel", tmp_path / "out")
    with pytest.raises(UnknownNameError, match="responses, distributions"):
        export(study, "csv", tmp_path / "out.csv", "response")
    with pytest.raises(UnknownNameError, match="setting 'budgt'.*did you mean 'budget'"):
        export(study, "pabulib", tmp_path / "out.pb", settings={"budgt": "1"})
    with pytest.raises(ConfigError, match="no format ends so"):
        export(study, "", tmp_path / "out.docx")
    with pytest.raises(CrowdLLMError, match="holds no estimates"):
        export(study, "simbench", tmp_path / "out.jsonl", ESTIMATES)


def test_a_file_that_is_there_is_replaced_only_when_forced(make_known: Make, tmp_path: Path) -> None:
    study: Study = make_known("ordinal", people=8, problems=3).study
    (tmp_path / "out.csv").write_text("mine")
    with pytest.raises(ConfigError, match="--force"):
        export(study, "csv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "mine"
    export(study, "csv", tmp_path / "out.csv", force=True)
    assert (tmp_path / "out.csv").read_text("utf-8-sig").startswith("participant,")


def test_a_second_file_that_is_there_is_not_replaced_either(make_known: Make, tmp_path: Path) -> None:
    (tmp_path / "out.config.xml").write_text("mine")
    with pytest.raises(ConfigError, match=r"out\.config\.xml is there already"):
        export(make_known("ordinal", people=8, problems=3).study, "", tmp_path / "out.json")
    assert [path.name for path in tmp_path.iterdir()] == ["out.config.xml"]


def test_a_failure_on_the_way_leaves_nothing(make_known: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", broken)
    with pytest.raises(ConfigError, match="No space left"):
        export(make_known("ordinal", people=8, problems=3).study, "csv", tmp_path / "out.csv")
    assert not list(tmp_path.iterdir())


def test_the_command_says_what_was_written_and_what_could_not_be_carried(
    make_known: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_study(make_known("ballot", people=8, problems=1).study, tmp_path / "study")
    arguments = ["export", str(tmp_path / "study"), "--out", str(tmp_path / "out.pb"), "--set", "budget=60000"]
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    told = capsys.readouterr().out
    assert "8 rows (pabulib)" in told
    assert "Answers of people" in told
    assert "costs are not known" in told
    assert "budget;60000" in (tmp_path / "out.pb").read_text()
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2


def test_large_exports_come_in_pieces_with_the_same_rows(
    make_known: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_known("ordinal", people=30, problems=4).study
    study = replace(study, weights_N=np.linspace(0.5, 2, 30))
    told: list[tuple[int, int]] = []
    for name in ("csv", "parquet", "excel"):
        suffix = writers()[name].suffixes[0]
        monkeypatch.setattr("crowdllm.exchange.export_source.PIECE", 1_000_000)
        export(study, name, tmp_path / f"whole{suffix}")
        monkeypatch.setattr("crowdllm.exchange.export_source.PIECE", 13)
        export(study, name, tmp_path / f"pieces{suffix}", progress=lambda _, done, total: told.append((done, total)))
        whole, pieces = read_table(tmp_path / f"whole{suffix}"), read_table(tmp_path / f"pieces{suffix}")
        assert pieces.astype(str).to_numpy().tolist() == whole.astype(str).to_numpy().tolist()
    assert told[:3] == [(13, 120), (26, 120), (39, 120)]


NASTY = [
    "=1+1",
    "a,b;c\td|e",
    'say "hi"\r\nthen\rgo\n',
    " blanks ",
    "ünï 漢 😀 \u2028",
    "\x00\x1b[31m[red]",
    "-5",
    "@x",
    "]]>",
    "{x}",
]


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kind", KINDS)
def test_texts_that_break_formats_break_none(kind: str, name: str, make_known: Make, tmp_path: Path) -> None:
    study: Study = make_known(kind, people=10, problems=1, same_options=True, missing=0.0).study
    columns = tuple(
        replace(c, name=f"{n}{c.name}", label=n, levels=tuple(n + level for level in c.levels))
        for c, n in zip(study.profiles.columns, NASTY, strict=False)
    )
    people = replace(study.profiles, columns=columns, ids=np.array(NASTY, dtype=object))
    problems = replace(
        study.problems,
        ids=np.array([NASTY[5]], dtype=object),
        texts=np.array(["\n".join(NASTY)], dtype=object),
        options=(tuple(NASTY[m] for m in (0, 2, 4, 5, 7)),) if study.response_type.has_options else (),
    )
    nasty = replace(study, title=NASTY[2], context=NASTY[5], requirements=NASTY[8], problems=problems, profiles=people)
    if kind == "ordinal":
        nasty = replace(nasty, response_type=Ordinal(("=1", "a;b", "<c>", "\x07", "漢\ne")))
    for table in writers()[name].tables[:2]:
        if kind in REFUSED.get(name, ()) or table == ESTIMATES:
            continue
        done = export(nasty, name, tmp_path / table / out_name(writers()[name]), table)
        assert done.rows >= 1
        if name in ("csv", "parquet", "excel", "spss", "stata"):
            assert len(read_table(done.files[0])) == done.rows
        if name == "labelstudio":
            from xml.etree import ElementTree

            ElementTree.parse(done.files[1])


def test_the_people_of_a_crowd_are_the_rows_of_a_labelled_file(crowd: Callable[..., Crowd], tmp_path: Path) -> None:
    source = crowd("ordinal", 0.5)  # every person answered some problems
    export(source.folder, "csv", tmp_path / "out.csv")
    export(source.folder, "spss", tmp_path / "out.sav")
    long = pd.read_csv(tmp_path / "out.csv", dtype={"participant": str})
    wide = read_table(tmp_path / "out.sav").set_index("participant")
    expected = long.pivot(index="participant", columns="problem", values="response").astype(float)
    np.testing.assert_array_equal(wide.loc[expected.index, expected.columns].to_numpy(), expected.to_numpy())
    ages = long.drop_duplicates("participant").set_index("participant")["age"]
    np.testing.assert_array_equal(wide["age"].loc[ages.index], ages)
