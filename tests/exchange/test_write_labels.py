"""crowd-kit frames, Pabulib, Label Studio and SimBench-style files, read by those tools' own code if there is any."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crowdllm.aggregation import aggregate
from crowdllm.data.problems import Problems
from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.exporting import export
from crowdllm.exchange.importing import import_study
from crowdllm.exchange.write_crowdkit import crowdkit_frame
from crowdllm.exchange.write_label_studio import config_xml
from crowdllm.responses.ordinal import Ordinal

Make = Callable[..., Any]


def simulated(study: Study) -> Study:
    return replace(study, simulated=True, source=("Model 0123456789abcdef, seed 9.",))


# --- crowd-kit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_crowd_kit_aggregates_the_file_as_we_do(suffix: str, make_known: Make, tmp_path: Path) -> None:
    from crowdkit.aggregation import MajorityVote

    study = make_known("choice", people=15, problems=6, same_options=True).study
    done = export(study, "crowdkit", tmp_path / f"out{suffix}")
    frame = pd.read_csv(done.files[0]) if suffix == ".csv" else pd.read_parquet(done.files[0])
    assert frame.columns.tolist()[:3] == ["task", "worker", "label"]
    theirs = MajorityVote(default_skill=1).fit_predict_proba(frame)
    ours = aggregate(study.responses, study.response_type, 6, 15, "majority_vote", study.problems.option_counts)
    assert ours.distribution_TM is not None
    expected = pd.DataFrame(ours.distribution_TM, index=study.problems.ids, columns=study.problems.options[0])
    np.testing.assert_allclose(theirs.loc[expected.index, expected.columns].to_numpy(), expected.to_numpy())
    assert any("profiles are not in it" in note for note in done.notes)


def test_the_frame_needs_no_file(make_known: Make) -> None:
    frame = crowdkit_frame(simulated(make_known("ordinal", people=4, problems=3).study))
    assert len(frame) == 12
    assert set(frame["model"]) == {"0123456789abcdef"}
    with pytest.raises(CrowdLLMError, match="single labels"):
        crowdkit_frame(make_known("ballot", people=4, problems=2).study)


# --- Pabulib ----------------------------------------------------------------------------------------------


def sections(path: Path) -> dict[str, list[list[str]]]:
    """The three sections, read as the format's description says: CSV with semicolons under a line with the name."""
    out: dict[str, list[list[str]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file, delimiter=";"):
            if row[0] in ("META", "PROJECTS", "VOTES") and len(row) == 1:
                out[row[0]] = []
            else:
                out[list(out)[-1]].append(row)
    return out


@pytest.mark.parametrize(
    ("kind", "vote_type"),
    [("ballot", "approval"), ("choice", "choose-1"), ("ranking", "ordinal"), ("points", "cumulative")],
)
def test_ballots_of_every_type_are_votes(kind: str, vote_type: str, make_known: Make, tmp_path: Path) -> None:
    study = make_known(kind, people=9, problems=1, same_options=True, missing=0.0).study
    study = replace(study, weights_N=np.linspace(1, 2, 9), title="A; title\nin two lines")
    done = export(study, "", tmp_path / "out.pb", settings={"budget": "500", "costs": "1,2,3,4,5", "country": "X"})
    found = sections(tmp_path / "out.pb")
    meta = dict(row for row in found["META"][1:])
    assert (meta["vote_type"], meta["num_votes"], meta["num_projects"]) == (vote_type, "9", "5")
    assert (meta["budget"], meta["country"], meta["description"]) == ("500", "X", "A; title in two lines")
    assert found["PROJECTS"][0] == ["project_id", "cost", "name"]
    assert [row[1] for row in found["PROJECTS"][1:]] == ["1", "2", "3", "4", "5"]
    assert tuple(row[2] for row in found["PROJECTS"][1:]) == study.problems.options[0]
    header, *votes = found["VOTES"]
    for row, value, weight in zip(votes, study.responses.values_RD, np.linspace(1, 2, 9), strict=True):
        vote = dict(zip(header, row, strict=True))
        named = [int(p) - 1 for p in vote["vote"].split(",")]
        if kind == "choice":
            assert named == [int(value[0])]
        elif kind == "ranking":
            assert value[named].tolist() == list(range(1, 6))
        elif kind == "points":
            assert value[named].tolist() == [float(p) for p in vote["points"].split(",")]
            assert sorted(value[named], reverse=True) == value[named].tolist()
        else:
            assert named == np.flatnonzero(value).tolist()
        assert float(vote["weight"]) == weight
        assert vote["simulated"] == "0"
    assert not any("costs" in note for note in done.notes)


def test_several_problems_become_several_files(make_known: Make, tmp_path: Path) -> None:
    study = make_known("ballot", people=5, problems=3).study
    study = replace(study, problems=replace(study.problems, ids=np.array(["a/b", "a b", "../c"], dtype=object)))
    done = export(study, "", tmp_path / "out.pb")
    assert [path.name for path in done.files] == ["out-a_b.pb", "out-a_b-2.pb", "out-_c.pb"]
    assert all(path.parent == tmp_path for path in done.files)
    assert done.rows == 15
    assert any("3 files" in note for note in done.notes)
    assert any("costs are not known" in note for note in done.notes)


def test_wrong_costs_say_what_is_wanted(make_known: Make, tmp_path: Path) -> None:
    study = make_known("ballot", people=5, problems=1, same_options=True).study
    with pytest.raises(CrowdLLMError, match=r"costs='1,x': write one number per option.*\(5\)"):
        export(study, "", tmp_path / "out.pb", settings={"costs": "1,x"})
    assert not list(tmp_path.iterdir())


# --- Label Studio -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ordinal", "words", "continuous", "bounded", "choice", "ballot", "ranking"])
@pytest.mark.parametrize("table", ["distributions", "responses"])
def test_label_studio_accepts_every_prediction(kind: str, table: str, make_known: Make, tmp_path: Path) -> None:
    from label_studio_sdk.label_interface import LabelInterface

    study = simulated(make_known("ordinal" if kind == "words" else kind, people=9, problems=3, same_options=True).study)
    if kind == "words":
        study = replace(study, response_type=Ordinal(("never", "<rarely>", 'often & "much"', "d", "e")))
    done = export(study, "", tmp_path / "out.json", table)
    assert [path.name for path in done.files] == ["out.json", "out.config.xml"]
    interface = LabelInterface((tmp_path / "out.config.xml").read_text("utf-8"))
    interface.validate()
    tasks = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert len(tasks) == 3
    for task in tasks:
        assert len(task["predictions"]) == (1 if table == "distributions" else 9)
        for prediction in task["predictions"]:
            assert interface.validate_prediction(prediction, return_errors=True) == []
            assert prediction["model_version"].startswith("crowdllm 0123456789abcdef seed 9")


@pytest.mark.parametrize("table", ["distributions", "responses"])
def test_a_crowds_predictions_are_not_imported_as_peoples_answers(table: str, make_known: Make, tmp_path: Path) -> None:
    export(simulated(make_known("ordinal", people=4, problems=3).study), "", tmp_path / "out.json", table)
    for files in ([tmp_path / "out.json"], [tmp_path / "out.json", tmp_path / "out.config.xml"]):
        with pytest.raises(CrowdLLMError, match=r"out\.json: 3 of its rows are marked as simulated by crowdllm"):
            import_study(files)
    tasks = json.loads((tmp_path / "out.json").read_text("utf-8"))
    for task in tasks:
        del task["data"]["simulated"]
    (tmp_path / "theirs.json").write_text(json.dumps(tasks))
    with pytest.raises(CrowdLLMError, match=r"theirs\.json: holds predictions.*no annotation by a person"):
        import_study(tmp_path / "theirs.json")


def test_what_people_annotated_beside_a_crowds_predictions_is_imported(make_known: Make, tmp_path: Path) -> None:
    export(simulated(make_known("ordinal", people=4, problems=3).study), "", tmp_path / "out.json", "responses")
    tasks = json.loads((tmp_path / "out.json").read_text("utf-8"))
    for task in tasks:
        task["annotations"] = [{"completed_by": 7, "result": task["predictions"][0]["result"]}]
    (tmp_path / "annotated.json").write_text(json.dumps(tasks))
    imported = import_study([tmp_path / "annotated.json", tmp_path / "out.config.xml"])
    assert len(imported.study.responses) == 3
    assert [note.count for note in imported.notes if note.about == "predictions"] == [12]


def test_the_crowds_decision_is_scored_by_the_share_that_gave_it(make_known: Make, tmp_path: Path) -> None:
    study = simulated(make_known("choice", people=9, problems=3, same_options=True).study)
    export(study, "", tmp_path / "out.json", "distributions")
    task = json.loads((tmp_path / "out.json").read_text("utf-8"))[0]
    chosen = study.responses.values_RD[study.responses.problem_R == 0, 0].astype(int)
    counts = np.bincount(chosen, minlength=5)
    result = task["predictions"][0]
    assert result["score"] == counts.max() / 9
    assert result["result"][0]["value"]["choices"] == [study.problems.options[0][int(counts.argmax())]]
    assert list(task["data"]["distribution"].values()) == (counts / 9).tolist()


def test_peoples_answers_are_annotations_not_predictions(make_known: Make, tmp_path: Path) -> None:
    done = export(make_known("ordinal", people=4, problems=2).study, "", tmp_path / "out.json", "responses")
    tasks = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert all("predictions" not in task for task in tasks)
    assert [a["completed_by"] for a in tasks[0]["annotations"]] == [1, 2, 3, 4]
    assert any("annotations" in note for note in done.notes)


def test_options_that_differ_between_problems_come_with_the_task(make_known: Make) -> None:
    config = config_xml(make_known("choice", people=4, problems=3).study)
    assert 'value="$options"' in config


# --- SimBench ---------------------------------------------------------------------------------------------


def test_simulated_shares_never_stand_under_human_answer(make_known: Make, tmp_path: Path) -> None:
    study = make_known("choice", people=9, problems=3, same_options=True).study
    export(study, "", tmp_path / "people.jsonl")
    export(simulated(study), "", tmp_path / "crowd.jsonl")
    people, crowd = (
        [json.loads(line) for line in (tmp_path / name).read_text("utf-8").splitlines()]
        for name in ("people.jsonl", "crowd.jsonl")
    )
    assert all("human_answer" in line and "simulated_answer" not in line for line in people)
    assert all("simulated_answer" in line and "human_answer" not in line for line in crowd)
    counts = np.bincount(study.responses.values_RD[study.responses.problem_R == 0, 0].astype(int), minlength=5)
    assert people[0]["human_answer"] == dict(zip("ABCDE", (counts / 9).tolist(), strict=True))
    assert people[0]["auxiliary"]["options"]["B"] == study.problems.options[0][1]
    assert f"(B): {study.problems.options[0][1]}" in people[0]["input_template"]
    assert (people[0]["group_size"], people[0]["dataset_name"]) == (9, study.title)


def test_groups_are_asked_as_groups(make_known: Make, tmp_path: Path) -> None:
    study = make_known("ordinal", people=40, problems=2, missing=0.0).study
    study = replace(study, context="A {strange} context.")
    export(study, "", tmp_path / "out.jsonl", "subgroups")
    line = json.loads((tmp_path / "out.jsonl").read_text("utf-8").splitlines()[0])
    asked = line["group_prompt_template"].format(**line["group_prompt_variable_map"])
    assert asked == "A {strange} context.\nYou are one of the people whose leaning is low."
    low = study.profiles.values_NC[:, study.profiles.position("leaning")] == 0
    assert line["group_size"] == low.sum()


def test_problems_that_nobody_answered_are_left_out_and_counted(make_known: Make, tmp_path: Path) -> None:
    study = make_known("ordinal", people=6, problems=2).study
    more = Problems(np.append(study.problems.ids, "new"), np.append(study.problems.texts, "New?"))
    done = export(replace(study, problems=more), "", tmp_path / "out.jsonl")
    assert done.rows == 2
    assert any("1 problem(s)" in note for note in done.notes)
