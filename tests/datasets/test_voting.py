"""The Zurich ballots: formats, projects, voters, and agreement between the published files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdllm.datasets import load_dataset
from crowdllm.datasets.voting import ballot_matrix, read_pabulib_votes, read_votes, require_agreement
from crowdllm.errors import StudyError
from crowdllm.responses.ballot import Ballot

FILES = {"s5": "kapp", "approval": "appr", "cumulative": "cumu", "ranking": "rank"}


@pytest.mark.parametrize("format", list(FILES))
def test_each_format_holds_the_ballots_of_its_file(published, format: str) -> None:
    records = json.loads(published(f"zurich_voting/outcome/lab_vote/votes_{FILES[format]}.json").read_text())
    study = load_dataset("voting", format=format)
    assert study.describe() == "N=180 T=1 R=180"
    assert len(study.problems.options[0]) == 24
    picks = [(np.flatnonzero(row) + 1).tolist() for row in study.responses.values_RD]
    assert picks == [record["votes"] for record in records]
    assert study.responses.participant_R.tolist() == list(range(180))
    assert study.response_type.legal(study.responses.values_RD, np.full(180, 24)).all()


def test_s5_is_exactly_five_and_approval_one_to_all(published) -> None:
    published("zurich_voting/data/lab_meta.csv")
    assert load_dataset("voting").response_type == Ballot(5, 5, 24)
    assert load_dataset("voting", format="approval").response_type == Ballot(1, 24, 24)


@pytest.mark.parametrize(("format", "lost"), [("ranking", "order is lost"), ("cumulative", "how many is lost")])
def test_formats_that_lost_something_say_so(published, format: str, lost: str) -> None:
    published("zurich_voting/data/lab_meta.csv")
    study = load_dataset("voting", format=format)
    assert study.response_type.kind == "ballot"
    assert any(lost in line for line in study.source)


def test_one_ranking_has_a_single_pick_and_is_kept(published) -> None:
    published("zurich_voting/data/lab_meta.csv")
    picks = load_dataset("voting", format="ranking").responses.values_RD.sum(axis=1)
    assert sorted(picks)[:2] == [1.0, 5.0]


def test_options_name_project_district_category_and_cost(published) -> None:
    published("zurich_voting/data/zurich_lab.csv")
    options = load_dataset("voting").problems.options[0]
    assert options[0] == "Planting Workshops at Oerlikon (district Nord, category Nature, 5000 CHF)"
    assert options[23] == "Car-free Langstrasse (district West, category Transportation, 10000 CHF)"


def test_voters_keep_their_points_district_and_ratings(published) -> None:
    published("zurich_voting/data/lab_meta.csv")
    people = load_dataset("voting").profiles.to_frame()
    first = people.loc["p1"]
    assert (first["culture"], first["nature"], first["transport"]) == (43, 33, 24)
    assert (first["district"], first["connected"]) == ("West", "A moderate amount")
    assert first["topic_importance"] == "Slightly important"
    assert (people[["transport", "culture", "nature"]].sum(axis=1) == 100).all()
    assert not people.isna().any().any()


def voters_and_pabulib() -> tuple[pd.DataFrame, pd.DataFrame]:
    voters = pd.DataFrame(
        {
            "ID": ["AAA", "BBB"],
            "1st Topic": ["Culture", "Nature"],
            "1st Score": ["50", "40"],
            "2nd Topic": ["Nature", "Transport"],
            "2nd Score": ["30", "35"],
            "3rd Topic": ["Transport", "Culture"],
            "3rd Score": ["20", "25"],
            "District": ["Nord", "West"],
            "How Connected": ["A lot", "A lot"],
            "District Importance": ["Very important"] * 2,
            "Topic Importance": ["Very important"] * 2,
            "Cost Importance": ["Very important"] * 2,
            "Likelihood Importance": ["Very important"] * 2,
        }
    )
    pabulib = pd.DataFrame(
        {
            "voter_id": ["AAA", "BBB"],
            "vote": ["1,2,3,4,5", "20,21,22,23,24"],
            "topic_preference_transport": ["20", "35"],
            "topic_preference_culture": ["50", "25"],
            "topic_preference_nature": ["30", "40"],
            "district_preference": ["Nord", "West"],
        }
    )
    return voters, pabulib


def test_agreement_holds_for_files_that_agree() -> None:
    voters, pabulib = voters_and_pabulib()
    require_agreement(voters, ballot_matrix([[1, 2, 3, 4, 5], [24, 23, 22, 21, 20]]), pabulib)


def test_each_disagreement_is_named() -> None:
    voters, pabulib = voters_and_pabulib()
    pabulib.loc[1, "topic_preference_nature"] = "41"
    with pytest.raises(StudyError) as caught:
        require_agreement(voters.iloc[::-1], ballot_matrix([[1, 2, 3, 4, 6], [20, 21, 22, 23, 24]]), pabulib)
    for what in ("voters", "S5 ballots", "nature"):
        assert f"{what} differ" in str(caught.value)


@pytest.mark.parametrize(
    ("picks", "message"), [([1, 25], "does not exist"), ([0, 1], "does not exist"), ([3, 3], "twice")]
)
def test_an_impossible_ballot_is_refused(picks: list[int], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        ballot_matrix([picks])


def test_agents_out_of_order_are_refused(tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text('[{"agent_id": 1, "votes": [1]}]')
    with pytest.raises(StudyError, match=r"v\.json.*not numbered"):
        read_votes(tmp_path / "v.json")


def test_a_file_that_is_no_list_of_ballots_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text('{"votes": 3}')
    with pytest.raises(StudyError, match=r"v\.json.*not a list of ballots"):
        read_votes(tmp_path / "v.json")


def test_a_pabulib_file_without_votes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v.pb").write_text("META\nkey;value\n")
    with pytest.raises(StudyError, match="no VOTES section"):
        read_pabulib_votes(tmp_path / "v.pb")


def test_pabulib_rows_with_a_field_too_many_are_read_up_to_the_district(tmp_path: Path) -> None:
    heading = "voter_id;vote;t;c;n;district_preference;seconds"
    (tmp_path / "v.pb").write_text(f"META\nVOTES\n{heading}\nAAA;1,2;20;50;30;Nord;9;5\n")
    assert read_pabulib_votes(tmp_path / "v.pb").iloc[0].tolist() == ["AAA", "1,2", "20", "50", "30", "Nord"]
