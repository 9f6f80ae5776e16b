"""Pabulib files of every ballot type become studies; the published one agrees with the data set of the same vote."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crowdllm.data.study_folder import load_study
from crowdllm.datasets import load_dataset
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.importing import find_reader, import_study
from crowdllm.exchange.protocol import Imported
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.ranking import Ranking

PROJECTS = "PROJECTS\nproject_id;cost;name\n10;500;Trees\n20;700;Bikes\n30;900;\n"


def write(folder: Path, meta: str, votes: str, projects: str = PROJECTS) -> Path:
    path = folder / "vote.pb"
    path.write_text(f"META\nkey;value\n{meta}\n{projects}VOTES\n{votes}\n", encoding="utf-8")
    return path


def kinds(imported: Imported) -> set[str]:
    return {note.kind for note in imported.notes}


def test_approval_ballots_keep_their_limits_and_voters_their_profile(tmp_path: Path) -> None:
    meta = "description;Vote\nvote_type;approval\nmin_length;1\nmax_length;2\nbudget;1000\nrule;greedy"
    path = write(tmp_path, meta, "voter_id;age;sex;vote\n1;34;F;10,30\n2;50;M;20\n3;;F;30\n4;20;M;\n")
    imported = import_study(path, out=tmp_path / "study")
    study = load_study(tmp_path / "study")
    assert imported.format == "pabulib"
    assert isinstance(study.response_type, Ballot)
    assert (study.response_type.min_picks, study.response_type.max_picks) == (0, 2)  # voter 4 picked none
    assert study.problems.options[0] == ("Trees (cost 500)", "Bikes (cost 700)", "project 30 (cost 900)")
    assert study.responses.values_RD.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert [c.name for c in study.profiles.columns] == ["age", "sex"]
    assert np.isnan(study.profiles.values_NC[2, 0])
    assert any(note.kind == "changed" and note.count == 1 for note in imported.notes)
    assert any("rule: greedy" in note.text for note in imported.notes)


def test_one_project_each_is_a_choice(tmp_path: Path) -> None:
    study = import_study(write(tmp_path, "vote_type;choose-1", "voter_id;vote\n1;10\n2;30\n3;10,20\n")).study
    assert isinstance(study.response_type, Choice)
    assert study.responses.values_RD.tolist() == [[0], [2]]


def test_ordinal_ballots_are_rankings_in_their_order(tmp_path: Path) -> None:
    votes = "voter_id;vote\n" + "\n".join(f"{n};30,10" for n in range(1, 20)) + "\n20;20\n"
    imported = import_study(write(tmp_path, "vote_type;ordinal\nmax_length;3", votes))
    study = imported.study
    assert isinstance(study.response_type, Ranking)
    assert study.response_type.depth == 2
    assert study.response_type.write_cell(study.responses.values_RD[0], study.problems.options[0]) in ("#3|#1",)
    assert len(study.responses) == 19
    assert any("fewer than 2" in note.text and note.count == 1 for note in imported.notes)


def test_cumulative_ballots_are_points_that_add_up(tmp_path: Path) -> None:
    votes = "voter_id;vote;points\n1;10,20;7,3\n2;30;10\n3;10,20;5,4\n4;10,20;5\n5;10;x\n"
    imported = import_study(write(tmp_path, "vote_type;cumulative\nmax_sum_points;10", votes))
    study = imported.study
    assert isinstance(study.response_type, Points)
    assert study.response_type.budget == 10
    assert study.responses.values_RD.tolist() == [[7, 3, 0], [0, 0, 10]]
    left = {note.text: note.count for note in imported.notes if note.kind == "answers left out"}
    assert sorted(left.values()) == [1, 2]


def test_scoring_ballots_are_a_problem_per_project(tmp_path: Path) -> None:
    votes = "voter_id;vote;points\n1;10,20,30;1,-1,0\n2;30;1\n"
    imported = import_study(write(tmp_path, "vote_type;scoring\nmin_points;-1\nmax_points;1\ndefault_score;0", votes))
    study = imported.study
    assert isinstance(study.response_type, Ordinal)
    assert study.response_type.levels == ("-1", "0", "1")
    assert study.problems.ids.tolist() == ["10", "20", "30"]
    assert len(study.responses) == 4
    cells = study.responses.values_RD[np.lexsort((study.responses.problem_R, study.responses.participant_R)), 0]
    assert cells.tolist() == [2, 0, 1, 2]
    assert any(note.kind == "not filled in" and note.count == 2 for note in imported.notes)


def test_rows_with_a_field_too_many_lose_their_profile_unless_it_is_vouched_for(tmp_path: Path) -> None:
    path = write(tmp_path, "vote_type;approval", "voter_id;vote;district;seconds\n1;10;Nord;3;9\n2;20;West;4;8\n")
    imported = import_study(path)
    assert imported.study.profiles.columns == ()
    assert "columns left out" in kinds(imported)
    vouched = import_study(path, mapping={"columns": {"district": {"use": "profile"}}})
    assert [c.levels for c in vouched.study.profiles.columns] == [("Nord", "West")]


@pytest.mark.parametrize(
    ("meta", "votes", "projects", "message"),
    [
        ("vote_type;borda", "voter_id;vote\n1;10\n", PROJECTS, "known are approval"),
        ("vote_type;approval", "voter_id;choice\n1;10\n", PROJECTS, "no column 'vote'"),
        ("vote_type;approval", "voter_id;vote\n1;10\n1;20\n", PROJECTS, "voter_id '1' is empty or comes twice"),
        ("vote_type;approval", "voter_id;vote\n1;99\n", PROJECTS, "no vote that names projects of its own"),
        (
            "vote_type;approval",
            "voter_id;vote\n1;10\n",
            PROJECTS + "10;5;Again\n",
            "project_id '10' is empty or comes twice",
        ),
        ("vote_type;approval", "voter_id;vote\n1;10\nVOTES\n", PROJECTS, "two sections VOTES"),
    ],
)
def test_what_is_no_pabulib_file_is_refused(tmp_path: Path, meta: str, votes: str, projects: str, message: str) -> None:
    with pytest.raises(CrowdLLMError, match=message):
        import_study(write(tmp_path, meta, votes, projects))


def test_votes_for_what_does_not_exist_are_counted(tmp_path: Path) -> None:
    imported = import_study(write(tmp_path, "vote_type;approval", "voter_id;vote\n1;10\n2;10,99\n3;10,10\n"))
    assert len(imported.study.responses) == 1
    assert any(note.kind == "answers left out" and note.count == 2 for note in imported.notes)


def zurich() -> Path:
    path = Path(os.environ.get("CROWDLLM_DATA_DIR", "")) / "zurich_voting" / "qualtrics_zurich_2023_S5.pb"
    if not os.environ.get("CROWDLLM_DATA_DIR") or not path.is_file():
        pytest.skip("set CROWDLLM_DATA_DIR to a folder with zurich_voting/*.pb (GitHub joshuay1/zurich-pb-voting)")
    return path


def test_the_published_file_gives_the_ballots_of_the_data_set() -> None:
    """The data set reads the same ballots from another file (JSON) and checks them against this one."""
    path = zurich()
    known = {"columns": {"district_preference": {"use": "profile"}, "topic_preference_culture": {"use": "profile"}}}
    imported = import_study(path, mapping=known)
    study, other = imported.study, load_dataset("voting")
    assert study.response_type == other.response_type
    assert (study.responses.values_RD == other.responses.values_RD).all()
    assert imported.left_out[0].count == 180  # the voters' codes
    assert not any("QGVT6BFJ" in str(i) for i in study.profiles.ids)
    columns = {c.name: study.profiles.values_NC[:, k] for k, c in enumerate(study.profiles.columns)}
    district = next(c for c in study.profiles.columns if c.name == "district_preference")
    theirs = other.profiles.columns[other.profiles.position("district")].levels
    own = [district.levels[int(v)] for v in columns["district_preference"]]
    assert own == [theirs[int(v)] for v in other.profiles.values_NC[:, other.profiles.position("district")]]
    assert (
        columns["topic_preference_culture"] == other.profiles.values_NC[:, other.profiles.position("culture")]
    ).all()


def test_a_pb_file_is_recognised_by_its_first_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "vote_type;approval", "voter_id;vote\n1;10\n")
    assert find_reader([path]).name == "pabulib"
    renamed = path.rename(tmp_path / "vote.txt")
    assert find_reader([renamed]).name == "pabulib"


WHOLE = (
    "META\nkey;value\nvote_type;{kind}\nmax_sum_points;5\nmin_points;0\nmax_points;5\n" + PROJECTS + "VOTES\n"
    "voter_id;vote;points;age\n1;10,20;2,3;30\n2;30;5;40\n3;20,10;4,1;\n"
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["approval", "choose-1", "ordinal", "cumulative", "scoring"]), st.data())
def test_damaged_files_are_read_right_or_refused(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    raw = bytearray(WHOLE.format(kind=kind).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, max(len(raw) - 1, 0)))
        raw[at : at + data.draw(st.integers(0, 12))] = data.draw(st.binary(max_size=8))
    path = tmp_path / "v.pb"
    path.write_bytes(bytes(raw))
    try:
        imported = import_study(path, "pabulib")
    except CrowdLLMError:
        return
    for part in imported.parts:
        counts = part.study.problems.option_counts[part.study.responses.problem_R]
        assert part.study.response_type.legal(part.study.responses.values_RD, counts).all()
