"""Scores of a method whose answers are known beforehand, against what a pencil gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.experiments.scores import score_crowd, score_floor, score_people
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Parrot:
    """Everybody gives `answer_TD[t]` to problem t; `share_TM` is the probability of every level."""

    answer_TD: Array
    share_TM: Array | None = None
    generator: ClassVar[None] = None

    def simulate(
        self, problems: Any, references: Any, crowd: Any, participant_R: Any, problem_R: Any, seed: int
    ) -> Array:
        return self.answer_TD[problem_R]

    def level_probabilities(self, problems: Any, references: Any, people: Any, responses: Any, seed: int) -> Any:
        return None if self.share_TM is None else self.share_TM[responses.problem_R]

    def log_scores(self, problems: Any, references: Any, people: Any, responses: Any, seed: int) -> Any:
        if self.share_TM is None:
            return None
        return np.log(self.share_TM[responses.problem_R, responses.values_RD[:, 0].astype(int)])


def study_of(kind: ResponseType, rows: list[tuple[int, list[float]]], options: tuple = ()) -> Study:
    return Study(
        "by hand",
        kind,
        Problems(np.array(["a", "b"], dtype=object), np.array(["A", "B"], dtype=object), options),
        people(len(rows)),
        Responses(np.arange(len(rows)), np.array([t for t, _ in rows]), np.array([v for _, v in rows], dtype=float)),
    )


def people(count: int) -> Profiles:
    return Profiles((), np.array([f"p{n}" for n in range(count)], dtype=object), np.zeros((count, 0)))


def named(scores: Any) -> dict[tuple[int, str, str], float]:
    return {(s.crowd_size, s.aggregator, s.metric): s.value for s in scores}


# humans: problem a answers 1, 1, 3 (mean 5/3), problem b answers 2, 4 (mean 3)
ORDINAL = study_of(Ordinal(("1", "2", "3", "4")), [(0, [0]), (0, [0]), (0, [2]), (1, [1]), (1, [3])])


def test_a_crowd_of_parrots_is_scored_against_the_humans() -> None:
    """Everybody says 3 to a and 3 to b: errors 4/3 and 0; distances on the scale 4/3 and 1."""
    found = named(score_crowd(Parrot(np.array([[2.0], [2.0]])), ORDINAL, None, people(10), 6, ("mean", "median"), 0))
    assert found[6, "mean", "mae"] == pytest.approx(2 / 3)
    assert found[6, "mean", "rmse"] == pytest.approx(np.sqrt((16 / 9) / 2))
    assert found[6, "", "avg_wd"] == pytest.approx((4 / 3 + 1) / 2)
    # cosine of (2/3, 0, 1/3, 0) with (0, 0, 1, 0) is 1 / sqrt(5); of (0, 1/2, 0, 1/2) with it 0
    assert found[6, "", "cosine"] == pytest.approx(1 / np.sqrt(5) / 2)
    assert found[6, "", "problems"] == 2
    assert found[6, "median", "mae"] == pytest.approx((2 + 0) / 2)


def test_problems_without_an_answer_are_left_out_and_counted() -> None:
    found = named(score_crowd(Parrot(np.array([[np.nan], [2.0]])), ORDINAL, None, people(10), 6, ("mean",), 0))
    assert found[6, "", "problems"] == 1
    assert found[6, "mean", "mae"] == pytest.approx(0)


def test_a_method_without_any_answer_is_a_mismatch() -> None:
    with pytest.raises(MismatchError, match="no answer to any of the test problems"):
        list(score_crowd(Parrot(np.full((2, 1), np.nan)), ORDINAL, None, people(10), 6, ("mean",), 0))


def test_people_are_scored_by_the_probability_of_their_answers() -> None:
    shares = np.array([[0.5, 0.25, 0.125, 0.125], [0.1, 0.2, 0.3, 0.4]])
    found = named(score_people(Parrot(np.zeros((2, 1)), shares), ORDINAL, None, 0))
    assert found[0, "", "nll"] == pytest.approx(-np.log([0.5, 0.5, 0.125, 0.2, 0.4]).mean())
    below = np.cumsum(shares, axis=1)[:, :3]
    crps = [((below[t] - (np.arange(3) >= level)) ** 2).sum() for t, level in [(0, 0), (0, 0), (0, 2), (1, 1), (1, 3)]]
    assert found[0, "", "crps"] == pytest.approx(np.mean(crps))


def test_votes_are_counted_for_as_many_voters_as_there_are_humans() -> None:
    """Three ballots of two of three projects: votes (3, 2, 1); six parrots' ballots give (3, 3, 0) of three voters."""
    rows = [(0, [1.0, 1, 0]), (0, [1.0, 1, 0]), (0, [1.0, 0, 1])]
    study = study_of(Ballot(2, 2, 3), rows, (("k", "l", "m"), ("k", "l", "m")))
    parrot = Parrot(np.array([[1.0, 1, 0], [1.0, 1, 0]]))
    found = named(score_crowd(parrot, study, None, people(10), 6, ("mean",), 0))
    assert found[6, "", "mae"] == pytest.approx((0 + 1 + 1) / 3)
    assert found[6, "", "rmse"] == pytest.approx(np.sqrt(2 / 3))
    assert found[6, "", "problems"] == 1
    assert (6, "mean", "mae") not in found


def test_recall_is_the_share_of_a_voters_picks_among_the_five_most_simulated() -> None:
    """Eight projects; the method always picks the first two, and ties for the other three places are broken evenly."""
    ballots = [(0, [1.0, 1, 0, 0, 0, 0, 0, 0]), (0, [1.0, 0, 0, 0, 0, 0, 0, 1])]
    study = study_of(Ballot(2, 2, 8), ballots, (tuple("abcdefgh"), tuple("abcdefgh")))
    parrot = Parrot(np.array([[1.0, 1, 0, 0, 0, 0, 0, 0]] * 2))
    found = named(score_people(parrot, study, None, 0))
    assert found[0, "", "recall_at_5"] == pytest.approx((1 + (1 + 3 / 6) / 2) / 2)


def test_votes_are_also_counted_for_seen_and_unseen_options() -> None:
    """Votes (3, 2, 1) of three voters against (3, 3, 0): the last project is new, the others are not."""
    rows = [(0, [1.0, 1, 0]), (0, [1.0, 1, 0]), (0, [1.0, 0, 1])]
    study = study_of(Ballot(2, 2, 3), rows, (("k", "l", "m"), ("k", "l", "m")))
    unseen = np.array([[False, False, True]] * 2)
    parrot = Parrot(np.array([[1.0, 1, 0], [1.0, 1, 0]]))
    found = named(score_crowd(parrot, study, None, people(10), 6, ("mean",), 0, unseen))
    assert found[6, "", "mae"] == pytest.approx(2 / 3)
    assert (found[6, "", "mae_unseen"], found[6, "", "rmse_unseen"]) == (1, 1)
    assert found[6, "", "mae_seen"] == pytest.approx(1 / 2)
    assert found[6, "", "rmse_seen"] == pytest.approx(np.sqrt(1 / 2))
    floor = named(score_floor(study, (6,), ("mean",), 0, unseen))
    assert {"mae", "mae_seen", "mae_unseen", "kl", "js"} <= {metric for _, _, metric in floor}
    counted = 2 * floor[6, "", "mae_seen"] + floor[6, "", "mae_unseen"]
    assert counted == pytest.approx(3 * floor[6, "", "mae"])


def test_shares_of_the_picks_are_compared_for_ballots_too() -> None:
    """Picks (3, 2, 1) of 6 against (1/2, 1/2, 0): js by its formula."""
    rows = [(0, [1.0, 1, 0]), (0, [1.0, 1, 0]), (0, [1.0, 0, 1])]
    study = study_of(Ballot(2, 2, 3), rows, (("k", "l", "m"), ("k", "l", "m")))
    found = named(score_crowd(Parrot(np.array([[1.0, 1, 0]] * 2)), study, None, people(10), 6, ("mean",), 0))
    p, q = np.array([3, 2, 1]) / 6, np.array([0.5, 0.5, 0])
    middle = (p + q) / 2
    js = 0.5 * (p * np.log(p / middle)).sum() + 0.5 * (q[:2] * np.log(q[:2] / middle[:2])).sum()
    assert found[6, "", "js"] == pytest.approx(js)


def test_options_are_no_numbers_so_decisions_on_them_are_right_or_wrong() -> None:
    """Humans choose k, k, m of the first problem and l of the second; everybody simulated chooses k and k."""
    rows = [(0, [0.0]), (0, [0.0]), (0, [2.0]), (1, [1.0])]
    study = study_of(Choice(3), rows, (("k", "l", "m"), ("k", "l", "m")))
    found = named(score_crowd(Parrot(np.zeros((2, 1))), study, None, people(10), 6, ("majority_vote",), 0))
    assert found[6, "majority_vote", "accuracy"] == 0.5
    assert (6, "majority_vote", "mae") not in found
    floor = named(score_floor(study, (50,), ("majority_vote",), 0))
    assert 0 < floor[50, "majority_vote", "accuracy"] <= 1


def test_the_share_of_responses_that_a_method_has_an_answer_for_is_told() -> None:
    found = named(score_crowd(Parrot(np.array([[np.nan], [2.0]])), ORDINAL, None, people(10), 6, ("mean",), 0))
    assert found[6, "", "answered"] == 0.5


def test_numbers_are_scored_by_the_crps_of_repeated_answers() -> None:
    """A method sure of 2 and 5: the CRPS is the absolute error, of 1, 2 and 0."""
    study = study_of(Continuous(), [(0, [3.0]), (0, [4.0]), (1, [5.0])])
    found = named(score_people(Parrot(np.array([[2.0], [5.0]])), study, None, 0))
    assert found[0, "", "crps"] == pytest.approx(1)


def test_repeated_answers_are_those_of_the_very_people_with_fresh_noise() -> None:
    """Recall asks the method for the test voters under their own ids, every time with another seed."""
    seen: list[tuple[tuple[str, ...], int]] = []

    class Listening(Parrot):
        def simulate(
            self, problems: Any, references: Any, crowd: Any, participant_R: Any, problem_R: Any, seed: int
        ) -> Any:
            seen.append((tuple(crowd.ids), seed))
            return self.answer_TD[problem_R]

    study = study_of(Ballot(1, 1, 2), [(0, [1.0, 0]), (1, [0, 1.0])], (("k", "l"), ("k", "l")))
    list(score_people(Listening(np.array([[1.0, 0], [1.0, 0]])), study, None, 0))
    assert {ids for ids, _ in seen} == {tuple(study.profiles.ids)}
    assert len({seed for _, seed in seen}) == len(seen) == 200


def test_recall_is_not_defined_for_a_method_without_an_answer() -> None:
    study = study_of(Ballot(1, 1, 2), [(0, [1.0, 0])], (("k", "l"), ("k", "l")))
    found = named(score_people(Parrot(np.full((2, 2), np.nan)), study, None, 0))
    assert np.isnan(found[0, "", "recall_at_5"])
    assert found[0, "", "recall_voters"] == 0


def test_recall_is_over_the_voters_that_a_method_has_an_answer_for() -> None:
    study = study_of(Ballot(1, 1, 6), [(0, [1.0, 0, 0, 0, 0, 0]), (1, [0, 1.0, 0, 0, 0, 0])], (tuple("abcdef"),) * 2)
    answers = np.array([[1.0, 0, 0, 0, 0, 0], [np.nan] * 6])
    found = named(score_people(Parrot(answers), study, None, 0))
    assert (found[0, "", "recall_at_5"], found[0, "", "recall_voters"]) == (1, 1)


def test_the_floor_has_the_metrics_of_a_crowd_and_of_people() -> None:
    found = named(score_floor(ORDINAL, (5, 50), ("mean", "majority_vote"), 0))
    for size in (5, 50):
        for metric in ("mae", "rmse"):
            assert found[size, "mean", metric] >= 0
            assert found[size, "majority_vote", metric] >= 0
        assert found[size, "", "problems"] == 2
    assert found[0, "", "nll"] > 0
    assert [key for key in found if key[0] == 0] == [(0, "", "nll"), (0, "", "crps")]
