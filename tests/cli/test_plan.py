"""`crowdllm plan` as a user types it: the files it leaves, and what it says when something is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

OPTIONS = ("--budget", "20", "--price-human", "0.5", "--target-width", "1.5", "--folds", "0")


def test_a_plan_leaves_its_tables_and_a_picture(
    crowdllm: Callable[..., object], study: Path, fitted: Path, tmp_path: Path
) -> None:
    done = crowdllm("plan", study, fitted, "--out", tmp_path / "plan", *OPTIONS)
    assert done.status == 0, done.err  # type: ignore[attr-defined]
    text = done.out  # type: ignore[attr-defined]
    assert "to bring every interval to a width of 1.5" in text
    assert "humans are counted as if alone" in text
    names = ["problems.csv", "batch.csv", "mix.csv", "curve.csv"]
    problems, batch, mix, curve = (pd.read_csv(tmp_path / "plan" / name) for name in names)
    assert (tmp_path / "plan" / "plan.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert len(batch) == problems["more_planned"].sum() <= 40
    assert batch["order"].tolist() == list(range(1, len(batch) + 1))
    assert set(batch["purpose"]) <= {"training", "rectification"}
    assert (problems["width_after"] <= problems["width_now"] + 1e-9).all()
    assert {"column", "level", "wanted", "answered", "planned"} == set(mix.columns)
    assert curve["cost"].iloc[-1] == len(batch) * 0.5
    assert not batch.duplicated(["participant", "problem"]).any()


def test_the_same_command_plans_the_same(
    crowdllm: Callable[..., object], study: Path, fitted: Path, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        crowdllm("plan", study, fitted, "--out", tmp_path / name, *OPTIONS)
    for file in ("problems.csv", "batch.csv", "plan.svg"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--budget", "20", "--price-human", "0", "--target-width", "1"), "a human answer cost something"),
        (("--budget", "20", "--price-human", "1", "--target-width", "0"), "target width must be above 0"),
        (("--budget", "inf", "--price-human", "1", "--target-width", "1"), "must be numbers of 0 or more"),
        (("--budget", "20", "--price-human", "nan", "--target-width", "1"), "must be numbers of 0 or more"),
        (("--budget", "20", "--price-human", "1", "--target-width", "1e-9"), "widen it"),
        (("--budget", "20", "--price-human", "1", "--target-width", "1", "--level", "95"), "level"),
        (("--budget", "20", "--price-human", "1"), "target-width"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_in_one_line(
    refused: Callable[..., str], study: Path, fitted: Path, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    assert words in refused("plan", study, fitted, "--out", tmp_path / "plan", "--folds", "0", *options)
    assert not (tmp_path / "plan").exists()


def test_a_plan_never_writes_over_a_study(
    refused: Callable[..., str], study: Path, fitted: Path, tmp_path: Path
) -> None:
    before = (study / "problems.csv").read_bytes()
    assert "something other than a plan" in refused("plan", study, fitted, "--out", study, *OPTIONS)
    assert (study / "problems.csv").read_bytes() == before
    (tmp_path / "file").write_text("mine")
    assert "is a file" in refused("plan", study, fitted, "--out", tmp_path / "file", *OPTIONS)


def test_a_plan_takes_the_place_of_a_half_written_one(
    crowdllm: Callable[..., object], study: Path, fitted: Path, tmp_path: Path
) -> None:
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "problems.csv.tmp").write_text("problem,pla")
    done = crowdllm("plan", study, fitted, "--out", tmp_path / "plan", *OPTIONS)
    assert done.status == 0, done.err  # type: ignore[attr-defined]
