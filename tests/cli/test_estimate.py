"""`crowdllm estimate` as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _fewer_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """How good a cross-fit is does not matter to the command line: two folds of people, judged without new fits."""
    from crowdllm.estimation.trust import check_trust

    def judged(study: Any, model: Any, references: Any, settings: Any, progress: Any) -> Any:
        from dataclasses import replace

        return check_trust(study, model, references, replace(settings, new_people=True), progress)

    monkeypatch.setattr("crowdllm.estimation.trust.check_trust", judged)


def test_a_study_and_a_model_give_tables_and_pictures(crowdllm: Run, study: Path, fitted: Path, tmp_path: Path) -> None:
    out = tmp_path / "estimates"
    done = crowdllm("estimate", study, fitted, "--out", out, "--by", "team", "--compare", "focus,desk", "--folds", 2)
    assert done.status == 0, done.err
    table = pd.read_csv(out / "estimates.csv", keep_default_na=False)
    assert {"mean", "share", "median", "difference", "subgroup"} == set(table["estimand"])
    assert {"human", "rectified", "conformal", "theorem5"} <= set(table["interval"])
    meta = json.loads((out / "meta.json").read_text())
    assert meta["what"] == "estimates"
    assert set(meta["sha256"]) == {path.name for path in out.iterdir() if path.is_file()} - {"meta.json"}
    for name in ("intervals.svg", "intervals.png", "coverage.svg", "risk.svg", "worth.csv", "coverage.csv", "risk.csv"):
        assert (out / name).stat().st_size > 0
    assert "humans alone" in done.out
    assert "conformal intervals at 95% need 19 problems" in done.out
    assert "wider than" in done.out  # subgroups of three people each
    assert "too uncertain [" in done.out
    assert table[table["group"] != ""]["too_wide"].astype(str).eq("True").any()

    again = crowdllm("estimate", study, fitted, "--out", out, "--level", 0.8, "--by", "team", "--folds", 2)
    assert again.status == 0, again.err
    assert "80% intervals" in again.out


def test_estimates_are_written_over_older_estimates_only(
    crowdllm: Run, refused: Callable[..., str], study: Path, fitted: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    words = refused("estimate", study, fitted, "--out", out)
    assert "something other than estimates" in words
    assert (out / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--compare", "focus", "two problem ids"),
        ("--compare", "focus,nowhere", "nowhere"),
        ("--by", "shoe", "shoe"),
        ("--level", "95", "such as 0.95"),
        ("--limit", "0", "must be above 0"),
    ],
)
def test_a_setting_that_fits_nothing_is_said_in_a_line(
    option: str, value: str, words: str, refused: Callable[..., str], study: Path, fitted: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("crowdllm.estimation.estimate._over_people", lambda *a: None)
    monkeypatch.setattr("crowdllm.estimation.estimate._over_problems", lambda *a: a[4])
    assert words in refused("estimate", study, fitted, "--out", tmp_path / "e", option, value)
    assert not (tmp_path / "e").exists()


def test_a_folder_without_a_model_is_named(refused: Callable[..., str], study: Path, tmp_path: Path) -> None:
    assert "holds no fitted model" in refused("estimate", study, study, "--out", tmp_path / "e")


def test_a_weighted_study_is_estimated_to_the_end_and_says_that_weights_are_used(
    crowdllm: Run, study: Path, fitted: Path, tmp_path: Path
) -> None:
    people = pd.read_csv(study / "participants.csv", dtype=str, keep_default_na=False)
    people.assign(w=[1 + n % 3 for n in range(len(people))]).to_csv(study / "participants.csv", index=False)
    text = (study / "study.toml").read_text()
    (study / "study.toml").write_text(text.replace('# weight = "design_weight"', 'weight = "w"'))
    done = crowdllm("estimate", study, fitted, "--out", tmp_path / "e", "--folds", 2)
    assert done.status == 0, done.err
    assert "the study's survey weights are used" in done.out
    assert {"estimates.csv", "coverage.csv", "risk.csv", "subgroups.csv", "mix.csv"} <= {
        path.name for path in (tmp_path / "e").iterdir()
    }
    plan = crowdllm(
        "plan", study, fitted, "--out", tmp_path / "p", "--folds", 0, "--budget", 9, "--price-human", 1,
        "--target-width", 1,
    )  # fmt: skip
    assert plan.status == 0, plan.err
    assert "the study's survey weights are used" in plan.out


def test_a_study_of_one_person_is_estimated_as_far_as_it_goes(
    crowdllm: Run, study: Path, fitted: Path, tmp_path: Path
) -> None:
    rows = pd.read_csv(study / "responses.csv", dtype=str, keep_default_na=False)
    rows[rows["participant"] == "p01"].to_csv(study / "responses.csv", index=False)
    done = crowdllm("estimate", study, fitted, "--out", tmp_path / "e", "--folds", 2)
    assert done.status == 0, done.err
    assert "no problem was answered by two people" in done.out


def test_tables_of_an_earlier_run_do_not_stay_beside_those_of_this_one(
    crowdllm: Run, study: Path, fitted: Path, tmp_path: Path
) -> None:
    crowdllm("estimate", study, fitted, "--out", tmp_path / "e", "--folds", 2)
    assert (tmp_path / "e" / "risk.csv").is_file()
    again = crowdllm("estimate", study, fitted, "--out", tmp_path / "e", "--folds", 2, "--no-trust")
    assert again.status == 0, again.err
    meta = json.loads((tmp_path / "e" / "meta.json").read_text())
    assert set(meta["sha256"]) == {p.name for p in (tmp_path / "e").iterdir() if p.is_file()} - {"meta.json"}
    assert "risk.csv" not in meta["sha256"]
