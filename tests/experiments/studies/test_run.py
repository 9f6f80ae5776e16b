"""The runner of studies: pieces are resumed, what is left out is said, and every way gives the same bytes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import pytest

from crowdllm.errors import ConfigError, CrowdLLMError, MismatchError, MissingExtraError, UnknownNameError
from crowdllm.experiments.studies import STUDIES, get_study, study_title
from crowdllm.experiments.studies.protocol import (
    Data,
    Experiment,
    Findings,
    Picture,
    Piece,
    Settings,
    Tables,
    union,
)
from crowdllm.experiments.studies.run import do_piece, part_path, run_study
from crowdllm.report.curves_figure import Curve, CurvePanel, curves_figure

SMALL = "synthetic:participants=20,problems=8,per_participant=5"


@dataclass(frozen=True)
class Config:
    seeds: tuple[int, ...] = (0, 1)
    factor: float = 2.0


def squares(folder: Path, number: int) -> pd.DataFrame:
    """A piece that leaves a mark each time it is done."""
    with (folder / "calls.txt").open("a") as stream:
        stream.write(f"{number}\n")
    if number == 13:
        raise MismatchError("thirteen is left out")
    if number == 14:
        raise MissingExtraError("fourteen", "baselines")
    return pd.DataFrame({"number": [number], "square": [number**2], "words": [""]})


def report(tables: Tables) -> Findings:
    table = union(tables, "square-")
    curve = Curve("squares", tuple(table["number"]), tuple(table["square"]))
    picture = Picture(
        "squares", lambda: curves_figure([CurvePanel("number", "square", (curve,))]), "Squares.", "Numbers squared."
    )
    return Findings({"squares": table}, (picture,), (f"{len(table)} squares.",), ("It grows.",), ("It is not linear.",))


def experiment(folder: Path, numbers: tuple[int, ...], config: Config | None = None) -> Experiment:
    folder.mkdir(parents=True, exist_ok=True)
    pieces = tuple(Piece(f"square-{n}", squares, (folder, n), "square") for n in numbers)
    return Experiment(
        "squares",
        "Squares",
        "Figure 0",
        "How large?",
        config or Config(),
        pieces,
        report,
        (Data(SMALL),),
        ("Nothing.",),
    )


def calls(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "calls.txt").read_text().split()]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file for people, by its place."""
    skipped = ("timings.csv", "sessions.csv")
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name not in skipped
    }


def test_a_run_writes_tables_pictures_page_and_meta(tmp_path: Path) -> None:
    ran = run_study(experiment(tmp_path / "w", (1, 2, 3)), Settings(tmp_path / "o"), "crowdllm study run squares")
    out = tmp_path / "o"
    assert list(pd.read_csv(out / "squares.csv")["square"]) == [1, 4, 9]
    assert (out / "figures" / "squares.svg").exists()
    assert (out / "figures" / "squares.png").exists()
    page = (out / "index.html").read_text()
    for words in (
        "3 squares.",
        "It grows.",
        "It is not linear.",
        "How large?",
        "Figure 0",
        "crowdllm study run squares",
    ):
        assert words in page
        assert words in (out / "index.md").read_text()
    meta = json.loads((out / "meta.json").read_text())
    assert meta["config"] == {"seeds": [0, 1], "factor": 2.0}
    assert set(meta["sha256"]) == {
        "index.html",
        "index.md",
        "squares.csv",
        "figures/squares.svg",
        "figures/squares.png",
    }
    assert all(path.exists() for path in ran.written)


def test_a_stopped_run_repeats_nothing_that_was_finished_and_gives_the_same_bytes(tmp_path: Path) -> None:
    run_study(experiment(tmp_path / "w1", (1, 2, 3)), Settings(tmp_path / "whole"))
    half = experiment(tmp_path / "w2", (1, 2, 3))
    do_piece(half.pieces[0], part_path(tmp_path / "half", half.pieces[0]))
    run_study(half, Settings(tmp_path / "half"))
    run_study(half, Settings(tmp_path / "half"))
    assert calls(tmp_path / "w2") == [1, 2, 3]
    assert contents(tmp_path / "half") == contents(tmp_path / "whole")


def test_a_run_that_is_interrupted_in_the_middle_has_no_meta(tmp_path: Path) -> None:
    work = experiment(tmp_path / "w", (1, 2, 3))

    def stop(what: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(work, Settings(tmp_path / "o"), progress=stop)
    assert not (tmp_path / "o" / "meta.json").exists()
    assert calls(tmp_path / "w") == [1, 2]
    run_study(work, Settings(tmp_path / "o"))
    assert calls(tmp_path / "w") == [1, 2, 3]


def test_a_run_that_continues_says_how_much_is_left(tmp_path: Path) -> None:
    said: list[str] = []
    work, out = experiment(tmp_path / "w", (1, 2, 3)), tmp_path / "o"
    do_piece(work.pieces[0], part_path(out, work.pieces[0]))
    run_study(work, Settings(out), note=said.append)
    run_study(work, Settings(out), note=said.append)
    assert said == [
        f"continuing {out}: 1 of 3 pieces of work are done; 2 are left",
        f"continuing {out}: 3 of 3 pieces of work are done; only the page is written again",
    ]
    run_study(experiment(tmp_path / "x", (1,)), Settings(tmp_path / "fresh"), note=said.append)
    assert len(said) == 2


def test_what_does_not_apply_is_left_out_for_good_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    work = experiment(tmp_path / "w", (1, 13))
    run_study(work, Settings(tmp_path / "o"))
    ran = run_study(work, Settings(tmp_path / "o"), note=said.append)
    assert calls(tmp_path / "w") == [1, 13]
    assert ran.left_out == ("square-13 left out: thirteen is left out",)
    assert said[1:] == list(ran.left_out)
    assert "thirteen is left out" in (tmp_path / "o" / "index.html").read_text()


def test_what_lacks_an_optional_package_is_tried_again(tmp_path: Path) -> None:
    work = experiment(tmp_path / "w", (1, 14))
    for _ in range(2):
        ran = run_study(work, Settings(tmp_path / "o"))
        assert "pip install 'crowdllm[baselines]'" in ran.left_out[0]
    assert calls(tmp_path / "w") == [1, 14, 14]


def test_a_study_of_which_nothing_can_be_computed_says_why(tmp_path: Path) -> None:
    with pytest.raises(CrowdLLMError, match="thirteen is left out"):
        run_study(experiment(tmp_path / "w", (13,)), Settings(tmp_path / "o"))


def test_a_folder_of_another_config_is_refused_and_the_difference_named(tmp_path: Path) -> None:
    run_study(experiment(tmp_path / "w", (1,)), Settings(tmp_path / "o"))
    with pytest.raises(CrowdLLMError, match=r"holds another study \(config: .*'factor': 2\.0"):
        run_study(experiment(tmp_path / "w", (1,), Config(factor=3.0)), Settings(tmp_path / "o"))
    with pytest.raises(CrowdLLMError, match="quick: False"):
        run_study(experiment(tmp_path / "w", (1,)), Settings(tmp_path / "o", quick=True))


def test_pieces_of_a_later_stage_come_after_all_of_the_earlier(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    pieces = tuple(Piece(f"square-{n}", squares, (tmp_path / "w", n), stage=stage) for n, stage in ((1, 1), (2, 0)))
    work = Experiment("squares", "Squares", "", "How large?", Config(), pieces, report)
    run_study(work, Settings(tmp_path / "o"))
    assert calls(tmp_path / "w") == [2, 1]


@pytest.mark.parametrize("key", ["", "../x", "a/b", ".hidden", "a b", "x" * 200])
def test_a_piece_key_that_is_no_file_name_is_refused(tmp_path: Path, key: str) -> None:
    work = Experiment("x", "X", "", "?", Config(), (Piece(key, squares, (tmp_path, 1)),), report)
    with pytest.raises(ConfigError, match="piece key"):
        run_study(work, Settings(tmp_path / "o"))


def test_two_pieces_of_one_key_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two pieces are called 'square-1'"):
        run_study(experiment(tmp_path, (1, 1)), Settings(tmp_path / "o"))


def test_an_unknown_study_lists_the_valid_ones_and_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'crowd-size'"):
        get_study("crowd-sise")


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("quick", [True, False])
def test_every_study_configures_itself_without_doing_anything(tmp_path: Path, name: str, quick: bool) -> None:
    made = get_study(name)(Settings(tmp_path / "o", quick))
    assert made.name == name
    assert made.title
    assert made.question
    assert made.pieces
    assert study_title(name)
    json.dumps(asdict(made.config))
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("name", STUDIES)
def test_a_quick_study_is_less_work_than_a_full_one(tmp_path: Path, name: str) -> None:
    quick, full = (get_study(name)(Settings(tmp_path, quick)) for quick in (True, False))
    assert quick.config != full.config
    assert len(quick.pieces) <= len(full.pieces)
