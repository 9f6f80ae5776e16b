"""Zurich participatory budgeting experiment of 2023: ballots of 180 students on 24 projects, four formats.

Yang et al., arXiv 2310.03501 (the experiment) and 2402.01766 (LLM ballots). The paper's Case Study III.

Shapes: N voters, M = 24 projects.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.datasets.card import DatasetCard
from crowdllm.datasets.download import SourceFile, fetch_file, github
from crowdllm.datasets.pabulib import parse_pabulib
from crowdllm.datasets.tables import profiles_from_text, read_text_table, require_columns, running_ids
from crowdllm.errors import Finding, StudyError, UnknownNameError
from crowdllm.responses.ballot import Ballot

REPOSITORY = "ethz-coss/LLM_voting"
PROJECTS_COMMIT = "9b470d4f5404bc5f41ccd96709dfb5d43bb42e4c"
PROJECTS = SourceFile(
    "zurich_voting/data/zurich_lab.csv",
    github(REPOSITORY, PROJECTS_COMMIT, "data/zurich_lab.csv"),
    "b5b444969cfa213c4cbc1b1f101860e30dec508d9d832a6f7ea9bfb285ead5a9",
)
VOTERS = SourceFile(
    "zurich_voting/data/lab_meta.csv",
    github(REPOSITORY, PROJECTS_COMMIT, "data/lab_meta.csv"),
    "61652e39d93cd70776c3222b0322228c05de3ad8607045f0271c399564a083e7",
)
PABULIB = SourceFile(
    "zurich_voting/qualtrics_zurich_2023_S5.pb",
    github("joshuay1/zurich-pb-voting", "b8a55c83d7ae6e9c4a19b705fdc7fca7eb3bd5b9", "qualtrics_zurich_2023_S5.pb"),
    "aa6c2576dcb33370647b9edba94e909ee3dd63fbb287692bdef88a793771b717",
)


def _ballots(name: str, commit: str, sha256: str) -> SourceFile:
    path = f"outcome/lab_vote/{name}.json"
    return SourceFile(f"zurich_voting/{path}", github(REPOSITORY, commit, path), sha256)


M = 24
LOST_RANKING = (
    "The published JSON holds only the sorted list of the ranked projects: the order is lost there, so "
    "this is a ballot of which projects were ranked, not a ranking. (joshuay1/zurich-pb-voting publishes "
    "the order in qualtrics_zurich_2023_S5R.pb, which is not read here.)"
)
LOST_POINTS = (
    "The published JSON holds only the sorted list of the projects that got points: how many is lost "
    "there, so this is a ballot of which projects got any. (joshuay1/zurich-pb-voting publishes the points "
    "in qualtrics_zurich_2023_D10.pb, which is not read here.)"
)
FORMATS: dict[str, tuple[SourceFile, Ballot, str, str]] = {
    "s5": (
        _ballots(
            "votes_kapp",
            "d8eed2a4ab9eba7f7294f7093256f5fdb60ffe62",
            "6b38353b978322a5c75cdfba036db4b85e09e14dc52fc45d2425b0bf8f5d48ba",
        ),
        Ballot(5, 5, M),
        "Choose exactly five projects that you want to be funded.",
        "Format S5: exactly five projects, in no order.",
    ),
    "approval": (
        _ballots(
            "votes_appr",
            "efe0e04def2d45d4947cbf8f628a88979162a96b",
            "ff8c1d369b12e5812783f393dd68765f80cff16bd7877c02cca341304d4991b6",
        ),
        Ballot(1, M, M),
        "Choose any number of projects that you want to be funded.",
        "Format SN: any number of projects, in no order.",
    ),
    "cumulative": (
        _ballots(
            "votes_cumu",
            "efe0e04def2d45d4947cbf8f628a88979162a96b",
            "09a1be965514bfcec7030d3e13ddf136025bf28ae8e0686d6ecc7ea31e46502d",
        ),
        Ballot(1, 10, M),
        "Distribute 10 points across the projects that you want to be funded; which projects get points?",
        LOST_POINTS,
    ),
    "ranking": (
        _ballots(
            "votes_rank",
            "1624b3c4f1aed8dfe6d7e01898f07c58d962dfec",
            "c2457d8c4d1f9839d432f91aeb3f545c31390bb2a13bbaa58f1e2911624744c9",
        ),
        Ballot(1, 5, M),
        "Choose up to five projects that you want to be funded, to be ranked; which do you rank?",
        LOST_RANKING,
    ),
}
CARD = DatasetCard(
    name="voting",
    description="Which of 24 city projects should be funded? Ballots of 180 Zurich students, four formats",
    url="https://github.com/ethz-coss/LLM_voting and https://github.com/joshuay1/zurich-pb-voting",
    licence="no licence file found in either repository; cite Yang et al., arXiv 2310.03501 and 2402.01766",
    participants=180,
    problems=1,
    responses=180,
    options={
        "format": "'s5' (default: exactly five), 'approval' (any number), 'cumulative' (who got points; "
        "points lost), 'ranking' (which were ranked; order lost)"
    },
    notes=(
        "A single problem: split by participant only.",
        "The paper holds out 36 of the 180 voters and compares votes per project.",
        "The experiment's budget was 60,000 CHF; the recorded LLMs were told 50,000 CHF.",
    ),
    files=(PROJECTS, VOTERS, PABULIB, FORMATS["s5"][0]),
)
IMPORTANCE = (
    "Not important at all",
    "Slightly important",
    "Moderately important",
    "Very important",
    "Extremely important",
)
PROFILE = (
    ProfileColumn("transport", "numeric", label="interest in transport, in points of 100"),
    ProfileColumn("culture", "numeric", label="interest in culture, in points of 100"),
    ProfileColumn("nature", "numeric", label="interest in nature, in points of 100"),
    ProfileColumn("district", "categorical", ("Nord", "Ost", "Süd", "West"), "district felt most connected to"),
    ProfileColumn(
        "connected",
        "ordinal",
        ("Not at all", "A little", "A moderate amount", "A lot", "A great deal"),
        "how connected to the city",
    ),
    ProfileColumn("district_importance", "ordinal", IMPORTANCE, "importance of a project's district"),
    ProfileColumn("topic_importance", "ordinal", IMPORTANCE, "importance of a project's topic"),
    ProfileColumn("cost_importance", "ordinal", IMPORTANCE, "importance of a project's cost"),
    ProfileColumn("likelihood_importance", "ordinal", IMPORTANCE, "importance of a project's chance to win"),
)
RENAMED = {
    "District": "district",
    "How Connected": "connected",
    "District Importance": "district_importance",
    "Topic Importance": "topic_importance",
    "Cost Importance": "cost_importance",
    "Likelihood Importance": "likelihood_importance",
}
TOPICS = ("1st", "2nd", "3rd")


def load(format: str = "s5") -> Study:
    """The study of one ballot format; raises UnknownNameError, DataUnavailableError or StudyError."""
    if format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS, "data set 'voting'")
    file, ballot, requirements, lost = FORMATS[format]
    voters = read_text_table(fetch_file(VOTERS))
    pabulib = read_pabulib_votes(fetch_file(PABULIB))
    s5_NM = ballot_matrix(read_votes(fetch_file(FORMATS["s5"][0])))
    require_agreement(voters, s5_NM, pabulib)
    values_NM = ballot_matrix(read_votes(fetch_file(file)))
    people = profile_frame(voters)
    picks = values_NM.sum(axis=1)
    count = len(people)
    return Study(
        title=f"Zurich participatory budgeting ({format})",
        response_type=ballot,
        problems=Problems(
            np.array(["zurich_2023"], dtype=object),
            np.array(["Which of these projects in Zurich should be funded?"], dtype=object),
            options=(project_texts(read_text_table(fetch_file(PROJECTS))),),
        ),
        profiles=profiles_from_text(people, PROFILE, running_ids(count), VOTERS.path),
        responses=Responses(np.arange(count), np.zeros(count, dtype=np.int64), values_NM),
        context="Participatory budgeting in Zurich: students vote on how 60,000 CHF are spent on city projects.",
        requirements=requirements,
        source=(
            *CARD.source_lines(),
            lost,
            f"Ballots name {int(picks.min())} to {int(picks.max())} projects, {picks.mean():.2f} on average.",
            "Voter ids are dropped: participants are numbered in the row order of lab_meta.csv, which is "
            "the ballots' agent_id (checked against the Pabulib file: voters, points and S5 ballots agree "
            f"for all {count}).",
        ),
    )


def project_texts(projects: pd.DataFrame) -> tuple[str, ...]:
    """(M,) option texts with district, category and cost; raises StudyError for missing columns."""
    require_columns(projects, ["Id", "Name", "District", "Category", "Cost"], PROJECTS.path)
    texts = (
        projects["Name"]
        + " (district "
        + projects["District"]
        + ", category "
        + projects["Category"]
        + ", "
        + projects["Cost"]
        + " CHF)"
    )
    return tuple(texts)


def profile_frame(voters: pd.DataFrame) -> pd.DataFrame:
    """Profile columns as text, one row per voter: the three topics' points, district, and five ratings."""
    topic_columns = [f"{rank} {what}" for rank in TOPICS for what in ("Topic", "Score")]
    require_columns(voters, ["ID", *topic_columns, *RENAMED], VOTERS.path)
    people = voters[list(RENAMED)].rename(columns=RENAMED)
    for topic in ("Transport", "Culture", "Nature"):
        points = pd.Series("", index=voters.index)
        for rank in TOPICS:
            points = points.where(voters[f"{rank} Topic"] != topic, voters[f"{rank} Score"])
        people[topic.lower()] = points
    return people


def read_votes(path: Path) -> list[list[int]]:
    """The picks (1..24) of each agent, in the order of agent_id; raises StudyError for another file."""
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
        votes = [[int(v) for v in record["votes"]] for record in records]
        agents = [record["agent_id"] for record in records]
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError([Finding("error", f"not a list of ballots: {error}", file=path.name)]) from error
    if agents != list(range(len(agents))):
        raise StudyError([Finding("error", "agents are not numbered 0, 1, 2, ... in order", file=path.name)])
    return votes


def ballot_matrix(votes: list[list[int]]) -> NDArray[np.float64]:
    """(N, M) of 0 and 1; raises StudyError for a project that does not exist or is named twice."""
    lengths = np.array([len(picks) for picks in votes])
    project = np.concatenate([np.asarray(picks, dtype=np.int64) for picks in votes]) - 1
    if ((project < 0) | (project >= M)).any():
        raise StudyError([Finding("error", "a ballot names a project that does not exist", allowed=f"1..{M}")])
    counts_NM = np.zeros((len(votes), M))
    np.add.at(counts_NM, (np.repeat(np.arange(len(votes)), lengths), project), 1)
    if (counts_NM > 1).any():
        raise StudyError([Finding("error", "a ballot names a project twice")])
    return counts_NM


def read_pabulib_votes(path: Path) -> pd.DataFrame:
    """The VOTES section of a Pabulib file, all cells text; raises StudyError when there is none.

    Only columns up to the district are read: after it, rows have one field more than the heading names.
    """
    votes = parse_pabulib(path.read_text(encoding="utf-8"), path.name).votes
    names = list(votes.header[:6])
    return pd.DataFrame([row[: len(names)] for row in votes.rows], columns=names, dtype=str)


def require_agreement(voters: pd.DataFrame, s5_NM: NDArray[np.float64], pabulib: pd.DataFrame) -> None:
    """Raise StudyError unless voters, points and S5 ballots agree between the files, row by row."""
    pabulib_NM = ballot_matrix([[int(p) for p in vote.split(",")] for vote in pabulib["vote"]])
    people = profile_frame(voters)
    checks = {
        "voters": voters["ID"].tolist() == pabulib["voter_id"].tolist(),
        "S5 ballots": pabulib_NM.shape == s5_NM.shape and bool((pabulib_NM == s5_NM).all()),
        "district": people["district"].tolist() == pabulib["district_preference"].tolist(),
    } | {
        topic: people[topic].tolist() == pabulib[f"topic_preference_{topic}"].tolist()
        for topic in ("transport", "culture", "nature")
    }
    wrong = [what for what, agrees in checks.items() if not agrees]
    if wrong:
        raise StudyError([Finding("error", f"{what} differ from {PABULIB.path}", file=VOTERS.path) for what in wrong])
