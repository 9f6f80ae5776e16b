"""Voting migration: the three conditions of both models, counts by hand, and the claims on made-up numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.experiments.studies import voting_migration as votes
from crowdllm.experiments.studies.fits import fit_with
from crowdllm.experiments.studies.voting_migration import CONDITIONS, FIXED, FULL, RELAXED, Config, claims, counted
from crowdllm.responses.ballot import Ballot

HASTY = (("max_epochs", 4), ("reference_penalties", (100.0,)), ("embedding_penalties", (60.0,)))


@pytest.fixture(scope="module")
def election() -> Study:
    """40 voters pick 2 of 6: those of the left the first two or three, those of the right the last."""
    rng = np.random.default_rng(1)
    side = np.arange(40) % 2
    values = np.zeros((40, 6))
    for n, right in enumerate(side):
        values[n, rng.choice(3, 2, replace=False) + 3 * right] = 1
    return Study(
        "election",
        Ballot(2, 2, 6),
        Problems(np.array(["e"], dtype=object), np.array(["which?"], dtype=object), (tuple("abcdef"),)),
        Profiles(
            (ProfileColumn("side", "categorical", ("left", "right")),),
            np.array([f"v{n}" for n in range(40)], dtype=object), side[:, None].astype(float),
        ),
        Responses(np.arange(40), np.zeros(40, dtype=np.int64), values),
    )  # fmt: skip


@pytest.mark.parametrize("method", ["crowdllm", "vae"])
def test_a_fixed_belief_gives_one_ballot_and_the_full_model_legal_ones(election: Study, method: str) -> None:
    fitted = fit_with(method, election, None, "tfidf", 0, HASTY, (("max_epochs", 2), ("hidden", 8)), 50)
    cast = votes.own_ballots if method == "crowdllm" else votes.paper_ballots
    ballots = {condition: cast(fitted, election, condition, 0) for condition in CONDITIONS}
    assert {b.shape for b in ballots.values()} == {(50, 6)}
    assert all((b.sum(axis=1) == 2).all() for b in ballots.values())
    different = {condition: len(np.unique(b, axis=0)) for condition, b in ballots.items()}
    assert different[FIXED] == 1
    assert different[FULL] > 1
    assert different[FULL] >= different[RELAXED]


def test_votes_are_scaled_to_the_held_out_voters(election: Study) -> None:
    two = election.subset(np.arange(1), np.arange(4))
    two = replace(two, responses=replace(two.responses, values_RD=np.tile([1.0, 1, 0, 0, 0, 0], (4, 1))))
    simulated = np.array([[1.0, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0]])
    table = counted(Config((0,), rare=1.0), two, simulated, "x", FULL, 0)
    assert list(table["votes"]) == [2, 2, 2, 2, 0, 0]
    assert list(table["humans"]) == [4, 4, 0, 0, 0, 0]
    assert table["mae"].iloc[0] == pytest.approx(8 / 6)
    assert (table["rare"].iloc[0], table["humans_rare"].iloc[0], table["different"].iloc[0]) == (2, 4, 1.0)


def made(numbers: dict[tuple[str, str], tuple[float, float, float]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"who": who, "condition": condition, "seed": seed, "project": project, "humans": 5.0, "votes": 5.0,
             "mae": mae + seed / 100, "rare": rare, "humans_rare": 1, "different": different}
            for (who, condition), (mae, rare, different) in numbers.items()
            for seed in (0, 1) for project in (1, 2)
        ]
    )  # fmt: skip


TABLE: dict[tuple[str, str], tuple[float, float, float]] = {
    ("crowdllm", FIXED): (9.0, 19, 0.001),
    ("crowdllm", RELAXED): (5.0, 12, 0.2),
    ("crowdllm", FULL): (2.0, 0, 0.9),
    ("gpt4-temp0", ""): (10.0, 17, 0.02),
    ("gpt4-temp2", ""): (1.0, 0, 0.9),
}


def test_the_claims_of_figure_8_on_numbers_like_its_own() -> None:
    config = Config((0, 1), methods=("crowdllm",), llms=("gpt4-temp0", "gpt4-temp2"), voters=1000)
    table = made(TABLE)
    found = list(claims(config, table.drop_duplicates(["who", "condition", "seed"])))
    assert [claim.holds for claim in found] == [True, True, True, True, True, True, False]
    figure = votes.report(config, {"a": table}).pictures[0].draw()
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["recorded LLMs", "crowdllm"]
