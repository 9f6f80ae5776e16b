"""MTurk's batch results become studies: workers unknown, rejected work left out, ticks turned into choices."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.importing import find_reader, import_study
from crowdllm.exchange.protocol import Imported
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.ordinal import Ordinal

HITS = ["3OHYZ19UGC6U9E7T2A0PQZ5WY1KAO1", "3OHYZ19UGC6U9E7T2A0PQZ5WY1KAO2"]
WORKERS = ["A1B2C3D4E5F6G7", "A9Z8Y7X6W5V4U3"]


def batch(**columns: list[str]) -> pd.DataFrame:
    """Three assignments: worker 0 on HITs 0 and 1, worker 1 on HIT 0."""
    fixed = {
        "HITId": [HITS[0], HITS[0], HITS[1]],
        "HITTypeId": ["3X"] * 3,
        "Title": ["Rate"] * 3,
        "Reward": ["$0.10"] * 3,
        "AssignmentId": ["3AAA", "3BBB", "3CCC"],
        "WorkerId": [WORKERS[0], WORKERS[1], WORKERS[0]],
        "AssignmentStatus": ["Approved", "Submitted", "Approved"],
        "WorkTimeInSeconds": ["12", "9", "30"],
        "Input.text": ["Good soup", "Good soup", "Slow waiter"],
        "Input.source": ["web", "web", "mail"],
    }
    return pd.DataFrame(fixed | columns)


def read(tmp_path: Path, frame: pd.DataFrame) -> Imported:
    frame.to_csv(tmp_path / "Batch_1_batch_results.csv", index=False)
    return import_study(tmp_path / "Batch_1_batch_results.csv")


def part(imported: Imported, name: str) -> Study:
    return next(p.study for p in imported.parts if p.name == name)


def test_answers_inputs_and_workers_find_their_places(tmp_path: Path) -> None:
    frame = batch(**{"Answer.rating": ["5", "3", "1"], "Answer.comment": ["fine", "", "mail me: x@y.org"]})
    imported = read(tmp_path, frame)
    assert imported.format == "mturk"
    study = imported.study
    assert isinstance(study.response_type, Ordinal)
    assert study.problems.texts.tolist() == ["Good soup", "Slow waiter"]
    assert study.problems.attributes["source"].tolist() == ["web", "mail"]
    assert study.problems.ids.tolist() == ["t1", "t2"]
    assert study.profiles.ids.tolist() == ["p1", "p2"]
    assert [study.response_type.levels[int(v)] for v in study.responses.values_RD[:, 0]] == ["5", "3", "1"]
    everything = repr(imported)
    assert not [secret for secret in (*WORKERS, *HITS, "3AAA", "x@y.org") if secret in everything]
    assert any(entry.column == "WorkerId" and entry.count == 3 for entry in imported.left_out)


def test_ticks_are_one_choice_or_a_ballot(tmp_path: Path) -> None:
    frame = batch(
        **{
            "Answer.mood.Good": ["true", "true", "false"],
            "Answer.mood.Bad": ["false", "false", "true"],
            "Answer.about.Food": ["true", "false", "false"],
            "Answer.about.Staff": ["true", "true", "false"],
        }
    )
    imported = read(tmp_path, frame)
    mood, about = part(imported, "mood"), part(imported, "about")
    assert isinstance(mood.response_type, Choice | Ordinal)
    assert isinstance(about.response_type, Ballot)
    assert about.responses.values_RD.tolist() == [[1, 1], [0, 1], [0, 0]]
    cells = [mood.response_type.write_cell(v, mood.problems.options[0]) for v in mood.responses.values_RD]
    assert cells == ["Good", "Good", "Bad"]


def test_packed_answers_are_unpacked(tmp_path: Path) -> None:
    packed = [
        json.dumps([{"mood": {"label": label}, "sure": {"yes": True, "no": False}}]) for label in ("up", "up", "down")
    ]
    imported = read(tmp_path, batch(**{"Answer.taskAnswers": packed}))
    mood = part(imported, "mood")
    assert [mood.problems.options[0][int(v)] for v in mood.responses.values_RD[:, 0]] == ["up", "up", "down"]
    assert "sure" in {p.name for p in imported.parts}


def test_rejected_work_is_left_out_and_questions_about_workers_become_their_profile(tmp_path: Path) -> None:
    frame = batch(**{"Answer.rating": ["5", "3", "1"], "Answer.age": ["30", "41", "31"]})
    frame.loc[1, "AssignmentStatus"] = "Rejected"
    imported = read(tmp_path, frame)
    assert len(imported.study.responses) == 2
    assert [c.name for c in imported.study.profiles.columns] == ["age"]
    assert imported.study.profiles.to_frame()["age"].astype(float).tolist() == [30]  # what the worker said first
    kinds = {note.kind: note.count for note in imported.notes}
    assert kinds["rows left out"] == 1
    assert kinds["changed"] == 1


def test_an_input_that_is_an_id_names_the_tasks(tmp_path: Path) -> None:
    imported = read(tmp_path, batch(**{"Input.item_id": ["i7", "i7", "i9"], "Answer.rating": ["5", "3", "1"]}))
    assert imported.study.problems.ids.tolist() == ["i7", "i9"]


def test_a_batch_is_recognised_and_another_table_refused(tmp_path: Path) -> None:
    batch(**{"Answer.rating": ["5", "3", "1"]}).to_csv(tmp_path / "a.csv", index=False)
    assert find_reader([tmp_path / "a.csv"]).name == "mturk"
    (tmp_path / "b.csv").write_text("x,y\n1,2\n")
    with pytest.raises(CrowdLLMError, match="no columns WorkerId and Answer"):
        import_study(tmp_path / "b.csv", "mturk")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_batches_are_read_right_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    packed = [json.dumps([{"mood": {"label": label}}]) for label in ("up", "up", "down")]
    frame = batch(
        **{"Answer.rating": ["5", "3", "1"], "Answer.taskAnswers": packed, "Answer.a.x": ["true", "", "false"]}
    )
    raw = bytearray(frame.to_csv(index=False).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, max(len(raw) - 1, 0)))
        raw[at : at + data.draw(st.integers(0, 10))] = data.draw(st.binary(max_size=6))
    (tmp_path / "b.csv").write_bytes(bytes(raw))
    try:
        imported = import_study(tmp_path / "b.csv", "mturk")
    except CrowdLLMError:
        return
    for piece in imported.parts:
        counts = piece.study.problems.option_counts[piece.study.responses.problem_R]
        assert piece.study.response_type.legal(piece.study.responses.values_RD, counts).all()
