"""Prolific's demographic export is joined to responses of any format, and its identifiers stay out."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.importing import find_reader, import_study
from crowdllm.exchange.protocol import Imported

PIDS = [f"5f3c0a9b8d7e6f5a4b3c2d{n:02x}" for n in range(6)]


def export() -> pd.DataFrame:
    """Five participants; the fifth has revoked consent for the sex, and gave no answers."""
    return pd.DataFrame(
        {
            "Submission id": [f"6a{pid[2:]}" for pid in PIDS[:5]],
            "Participant id": PIDS[:5],
            "Status": ["APPROVED"] * 4 + ["RETURNED"],
            "Started at": ["2026-01-01T00:00:00Z"] * 5,
            "Completion code": ["C1ABCDEF"] * 5,
            "Age": ["31", "42", "53", "24", "65"],
            "Sex": ["Female", "Male", "CONSENT_REVOKED", "Male", "Female"],
            "Country of residence": ["United Kingdom"] * 3 + ["Poland", "Poland"],
        }
    )


def wide() -> pd.DataFrame:
    """Answers of the first four, and of one who is not in the export."""
    who = [*PIDS[:4], PIDS[5]]
    return pd.DataFrame({"PROLIFIC_PID": who, "q1": [1, 2, 3, 4, 5], "q2": [5, 4, 3, 2, 1]})


def joined(tmp_path: Path, responses: pd.DataFrame) -> Imported:
    export().to_csv(tmp_path / "prolific_export.csv", index=False)
    responses.to_csv(tmp_path / "answers.csv", index=False)
    return import_study([tmp_path / "answers.csv", tmp_path / "prolific_export.csv"])


def profile(imported: Imported) -> pd.DataFrame:
    return imported.study.profiles.to_frame()


def secrets(imported: Imported) -> list[str]:
    everything = repr(imported)
    return [word for word in (*PIDS, "C1ABCDEF", "6a3c0a9b") if word in everything]


def test_wide_answers_get_the_demographic_columns_as_profile(tmp_path: Path) -> None:
    imported = joined(tmp_path, wide())
    assert imported.format == "prolific"
    people = profile(imported)
    assert people["Age"].astype(object).where(people["Age"].notna(), None).tolist()[:4] == [31, 42, 53, 24]
    assert people["Sex"].tolist()[:2] == ["Female", "Male"]
    assert people["Sex"].isna().tolist() == [False, False, True, False, True]
    assert len(imported.study.problems) == 2
    assert len(imported.study.responses) == 10
    notes = {(note.kind, note.about): note.count for note in imported.notes}
    assert notes["missing values", "Sex"] == 1
    assert notes["missing values", "PROLIFIC_PID"] == 1
    assert notes["people left out", "Participant id"] == 1
    assert not secrets(imported)


def test_long_answers_are_joined_as_well(tmp_path: Path) -> None:
    rows = [(pid, item, n % 5 + 1) for n, pid in enumerate(PIDS[:4]) for item in ("i1", "i2", "i3")]
    imported = joined(tmp_path, pd.DataFrame(rows, columns=["participant_id", "item", "rating"]))
    assert len(imported.study.responses) == 12
    assert profile(imported)["Age"].tolist() == [31, 42, 53, 24]
    assert not secrets(imported)


def test_the_three_header_rows_of_qualtrics_stay_three(tmp_path: Path) -> None:
    head = [
        ["StartDate", "PROLIFIC_PID", "Q1"],
        ["Start Date", "PROLIFIC_PID", "How do you like rain?"],
        [json.dumps({"ImportId": i}) for i in ("startDate", "PROLIFIC_PID", "QID1")],
    ]
    rows = [["2026-01-01", pid, "Agree" if n % 2 else "Disagree"] for n, pid in enumerate(PIDS[:4])]
    imported = joined(tmp_path, pd.DataFrame(head[1:] + rows, columns=head[0]))
    assert len(imported.study.responses) == 4
    assert imported.study.problems.texts.tolist() == ["How do you like rain?"]
    assert "Age" in " ".join(c.name for c in imported.study.profiles.columns)
    assert not secrets(imported)


def test_answers_of_nobody_in_the_export_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CrowdLLMError, match="no column holds participant ids of the Prolific export"):
        joined(tmp_path, pd.DataFrame({"who": ["x", "y"], "q1": [1, 2]}))


def test_one_file_alone_is_refused(tmp_path: Path) -> None:
    export().to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(CrowdLLMError, match="give two files"):
        import_study(tmp_path / "p.csv", "prolific")


def test_the_two_files_are_recognised_in_either_order(tmp_path: Path) -> None:
    export().to_csv(tmp_path / "p.csv", index=False)
    wide().to_csv(tmp_path / "a.csv", index=False)
    assert find_reader([tmp_path / "p.csv", tmp_path / "a.csv"]).name == "prolific"
    assert find_reader([tmp_path / "a.csv", tmp_path / "p.csv"]).name == "prolific"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_files_are_joined_right_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    files = {"p.csv": export().to_csv(index=False), "a.csv": wide().to_csv(index=False)}
    broken = data.draw(st.sampled_from(sorted(files)))
    raw = bytearray(files[broken].encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(raw) - 1, 0)))
        raw[at : at + data.draw(st.integers(0, 10))] = data.draw(st.binary(max_size=6))
    for name, text in files.items():
        (tmp_path / name).write_bytes(bytes(raw) if name == broken else text.encode())
    try:
        imported = import_study([tmp_path / "p.csv", tmp_path / "a.csv"], "prolific")
    except CrowdLLMError:
        return
    for piece in imported.parts:
        counts = piece.study.problems.option_counts[piece.study.responses.problem_R]
        assert piece.study.response_type.legal(piece.study.responses.values_RD, counts).all()
