"""From a study to a crowd's decisions: fit, simulate, aggregate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crowdllm.data.study_folder import load_study

Run = Callable[..., Any]
REFERENCES = "problem,p1,p2,p3,p4,p5\n" + "".join(
    f"{p},10,20,30,30,10\n" for p in ("focus", "meetings", "choice", "lonely", "newcomers", "two_days", "desk")
)


def test_the_three_commands_work_one_after_another(crowdllm: Run, study: Path, tmp_path: Path) -> None:
    model, crowd, decisions = tmp_path / "model", tmp_path / "crowd", tmp_path / "new" / "decisions.csv"
    fit = crowdllm("fit", study, "--out", model, "--seed", 3)
    assert fit.status == 0
    assert "Working from home (invented example): N=12 T=12 R=120" in fit.out
    assert "no LLM references are used" in fit.out
    assert f"crowdllm simulate {model} --participants 1000" in fit.out
    assert json.loads((model / "meta.json").read_text())["seed"] == 3

    simulate = crowdllm("simulate", model, "--out", crowd, "--participants", 40, "--participation", 0.5)
    assert simulate.status == 0
    assert "40 simulated people, 12 problems" in simulate.out
    assert f"crowdllm aggregate {crowd}" in simulate.out
    table = pd.read_csv(crowd / "responses.csv")
    assert table["simulated"].all()
    assert 150 < len(table) < 330

    aggregate = crowdllm("aggregate", crowd, "--method", "dawid_skene", "--out", decisions)
    assert aggregate.status == 0
    assert pd.read_csv(decisions)["problem"].tolist() == load_study(study).problems.ids.tolist()
    skills = pd.read_csv(decisions.with_name("decisions-skills.csv"))
    assert len(skills) == 40

    assert crowdllm("check", crowd).status == 0


def test_aggregate_prints_the_decisions_without_out(crowdllm: Run, study: Path) -> None:
    done = crowdllm("aggregate", study)
    assert done.status == 0
    assert done.out.split()[:3] == ["problem", "responses", "decision"]
    assert "newcomers" in done.out


def test_the_same_commands_give_the_same_crowd(crowdllm: Run, fitted: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        crowdllm("simulate", fitted, "--out", tmp_path / name, "--participants", 10, "--seed", seed)
    first, again, other = ((tmp_path / name / "responses.csv").read_bytes() for name in "abc")
    assert first == again
    assert first != other


def test_filters_may_be_repeated(crowdllm: Run, fitted: Path, tmp_path: Path) -> None:
    where = ("--where", "team=sales", "--where", "age>=35")
    done = crowdllm("simulate", fitted, "--out", tmp_path / "crowd", "--participants", 30, *where)
    assert done.status == 0
    people = pd.read_csv(tmp_path / "crowd" / "participants.csv")
    assert set(people["team"]) == {"sales"}
    assert people["age"].min() >= 35


def test_new_problems_from_a_table_with_semicolons(crowdllm: Run, fitted: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text('problem;text\nn1;"One; with a semicolon"\nn2;Two, with a comma\n')
    done = crowdllm(
        "simulate", fitted, "--out", tmp_path / "crowd", "--participants", 5, "--problems", tmp_path / "new.csv"
    )
    assert done.status == 0
    assert "5 simulated people, 2 problems, 10 responses" in done.out
    problems = pd.read_csv(tmp_path / "crowd" / "problems.csv")
    assert problems["text"].tolist() == ["One; with a semicolon", "Two, with a comma"]


def test_new_problems_with_the_references_that_the_model_expects(crowdllm: Run, study: Path, tmp_path: Path) -> None:
    (study / "references.csv").write_text(REFERENCES)
    model = tmp_path / "model"
    fit = crowdllm("fit", study, "--out", model)
    assert "references: recorded (distribution)" in fit.out
    (tmp_path / "new.csv").write_text("problem;text\nn1;One\nn2;Two\n")
    (tmp_path / "said.csv").write_text("problem;p1;p2;p3;p4;p5\nn1;0;0;0;0;100\nn2;100;0;0;0;0\n".replace(";", ","))
    simulate = ("simulate", model, "--out", tmp_path / "crowd", "--participants", 5, "--problems", tmp_path / "new.csv")
    done = crowdllm(*simulate, "--references", tmp_path / "said.csv")
    assert done.status == 0
    assert "2 problems, 10 responses" in done.out


def test_new_problems_without_the_references_are_refused(
    crowdllm: Run, refused: Run, study: Path, tmp_path: Path
) -> None:
    (study / "references.csv").write_text(REFERENCES)
    crowdllm("fit", study, "--out", tmp_path / "model")
    (tmp_path / "new.csv").write_text("problem;text\nn1;One\n")
    line = refused("simulate", tmp_path / "model", "--out", tmp_path / "crowd", "--problems", tmp_path / "new.csv")
    assert "fitted with the references 'recorded': give" in line
    assert "--references FILE" in line
    assert not (tmp_path / "crowd").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--where", "tema=sales"), "unknown profile column 'tema'"),
        (("--where", "team=slaes"), "did you mean 'sales'"),
        (("--where", "team"), "is not of the form column operator value"),
        (("--where", "age>=100"), "nobody qualifies"),
        (("--participation", "1.5"), "must lie between 0 and 1, not 1.5"),
        (("--problems", "gone.csv"), "gone.csv: no such file of problems"),
    ],
)
def test_faulty_settings_of_a_simulation_are_one_line(
    refused: Run, fitted: Path, tmp_path: Path, words: tuple[str, ...], expected: str
) -> None:
    assert expected in refused("simulate", fitted, "--out", tmp_path / "crowd", "--participants", 5, *words)
    assert not (tmp_path / "crowd").exists()


def test_references_without_new_problems_are_refused(refused: Run, fitted: Path, tmp_path: Path) -> None:
    line = refused("simulate", fitted, "--out", tmp_path / "crowd", "--references", "said.csv")
    assert "--references goes with --problems" in line


def test_a_model_is_not_overwritten_by_its_crowd_nor_a_study_by_its_model(
    crowdllm: Run, refused: Run, fitted: Path, study: Path, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in fitted.iterdir()}
    assert "other than a simulated crowd" in refused("simulate", fitted, "--out", fitted, "--participants", 3)
    assert {path.name: path.read_bytes() for path in fitted.iterdir()} == before
    assert "other than a model" in refused("fit", study, "--out", study)
    crowdllm("simulate", fitted, "--out", tmp_path / "crowd", "--participants", 3)
    assert "other than a model" in refused("fit", study, "--out", tmp_path / "crowd")


def test_a_damaged_model_is_one_line(refused: Run, crowdllm: Run, study: Path, tmp_path: Path) -> None:
    crowdllm("fit", study, "--out", tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    path.write_bytes(path.read_bytes()[:-20])
    line = refused("simulate", tmp_path / "model", "--out", tmp_path / "crowd")
    assert "is damaged" in line
    assert "fit the model again" in line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("aggregate", "STUDY", "--method", "meen"), "unknown aggregator 'meen'"),
        (("fit", "STUDY", "--out", "m", "--references", "gtp4"), "unknown reference source 'gtp4'"),
        (("fit", "votign", "--out", "m"), "did you mean 'voting'"),
        (("simulate", "nothing", "--out", "c"), "holds no fitted model"),
        (("aggregate", "synthetc"), "did you mean 'synthetic'"),
    ],
)
def test_mistyped_names_are_one_line(refused: Run, study: Path, words: tuple[str, ...], expected: str) -> None:
    assert expected in refused(*(study if word == "STUDY" else word for word in words))


def test_a_study_without_enough_to_learn_from_does_not_crash(crowdllm: Run, study: Path, tmp_path: Path) -> None:
    (study / "responses.csv").write_text("participant,problem,response\np01,focus,3\n")
    assert crowdllm("fit", study, "--out", tmp_path / "model").status == 0
    done = crowdllm("simulate", tmp_path / "model", "--out", tmp_path / "crowd", "--participants", 4)
    assert done.status == 0
    assert "4 simulated people, 12 problems, 48 responses" in done.out


def test_the_people_of_a_study_can_be_simulated_and_are_told_from_themselves(
    crowdllm: Run, fitted: Path, study: Path, tmp_path: Path
) -> None:
    done = crowdllm("simulate", fitted, "--out", tmp_path / "crowd", "--like", study)
    assert done.status == 0
    people = pd.read_csv(tmp_path / "crowd" / "participants.csv")
    assert people["participant"].tolist() == [f"sim:p{n:02d}" for n in range(1, 13)]
    assert people["team"].tolist() == pd.read_csv(study / "participants.csv")["team"].tolist()


def test_people_with_other_profile_columns_are_refused(refused: Run, fitted: Path, study: Path, tmp_path: Path) -> None:
    toml = (study / "study.toml").read_text()
    (study / "study.toml").write_text(toml.replace('[profile.team]\nkind = "categorical"\n', ""))
    assert "'team' is missing" in refused("simulate", fitted, "--out", tmp_path / "crowd", "--like", study)
    assert "give one of the two" in refused(
        "simulate", fitted, "--out", tmp_path / "crowd", "--like", study, "--where", "age>30"
    )


def test_the_people_of_a_study_are_as_many_as_they_are(refused: Run, fitted: Path, study: Path, tmp_path: Path) -> None:
    line = refused("simulate", fitted, "--out", tmp_path / "crowd", "--like", study, "--participants", 50)
    assert f"--like simulates the people of {study}, as many as they are: leave out --participants 50" in line
    assert not (tmp_path / "crowd").exists()
