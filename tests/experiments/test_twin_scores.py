"""Known answers: who knows what, what is asked, and what is scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest

from crowdllm.data.responses import Responses
from crowdllm.data.splits import Split
from crowdllm.errors import ConfigError
from crowdllm.experiments.twin_scores import known_rank, require_answers, score_known

Known = Callable[..., Any]


@dataclass(frozen=True)
class Guess:
    """Every level is as likely as another."""

    told: list[Responses] = field(default_factory=list)
    asked: list[Responses] = field(default_factory=list)
    generator: ClassVar[None] = None

    def simulate(self, *_: Any) -> Any:
        raise AssertionError("no crowd is needed")

    def level_probabilities(self, problems: Any, references: Any, people: Any, responses: Responses, seed: int) -> Any:
        return np.full((len(responses), 5), 0.2)

    def log_scores(self, problems: Any, references: Any, people: Any, responses: Responses, seed: int) -> Any:
        self.asked.append(responses)
        return np.full(len(responses), np.log(0.2))


@dataclass(frozen=True)
class Learner(Guess):
    """Half sure of the right answer for each answer it knows of somebody."""

    def knowing(self, problems: Any, references: Any, people: Any, known: Responses, seed: int) -> Any:
        self.told.append(known)
        return self


@pytest.fixture(name="split")
def _split(make_known: Known) -> Split:
    """36 people of whom 30 are left out, each with six answers to nine problems."""
    study = make_known("ordinal", people=36, problems=9, per_person=6).study
    return study.split("participant", 30 / 36, 0)


def pairs(responses: Responses) -> set[tuple[int, int]]:
    return set(zip(responses.participant_R.tolist(), responses.problem_R.tolist(), strict=True))


def scored(simulator: Guess, split: Split, known: tuple[int, ...]) -> dict[str, float]:
    return {s.metric: s.value for s in score_known(simulator, split, None, None, known, 0)}


def test_everybodys_answers_are_numbered_from_0_in_random_order(split: Split) -> None:
    answers, ids = split.test.responses, (split.test.profiles.ids, split.test.problems.ids)
    rank = known_rank(answers, *ids, 0)
    for person in range(30):
        assert sorted(rank[answers.participant_R == person]) == list(range(6))
    assert (rank != known_rank(answers, *ids, 1)).any()
    np.testing.assert_array_equal(known_rank(answers.take(np.arange(180)[::-1]), *ids, 0)[::-1], rank)


def test_the_same_answers_are_asked_for_any_number_known_and_never_told(split: Split) -> None:
    learner = Learner()
    found = scored(learner, split, (4, 2))
    assert [len(r) for r in learner.told] == [60, 120]
    assert len(learner.asked) == 3
    assert all(pairs(r) == pairs(learner.asked[0]) for r in learner.asked)
    assert len(learner.asked[0]) == 60
    assert not pairs(learner.asked[0]) & pairs(learner.told[1])
    assert pairs(learner.told[0]) < pairs(learner.told[1])
    assert found["known_scored"] == 60
    for count in (0, 2, 4):
        assert found[f"nll_known_{count}"] == pytest.approx(np.log(5))
        assert found[f"crps_known_{count}"] > 0


def test_of_unseen_problems_all_answers_are_asked_and_those_to_the_seen_ones_told(make_known: Known) -> None:
    """A quarter of the training people is kept: of the others nothing is known."""
    study = make_known("ordinal", people=20, problems=9).study
    split = study.split("problem", 0.2, 0, train_fraction=0.25)
    learner = Learner()
    found = scored(learner, split, (3,))
    assert found["known_scored"] == len(split.test.responses) == 40
    told = learner.told[0]
    assert len(told) == 5 * 3
    assert set(split.test.profiles.ids[told.participant_R]) == set(split.train.profiles.ids)
    truth = {
        (study.profiles.ids[i], study.problems.ids[t]): v
        for i, t, v in zip(
            study.responses.participant_R, study.responses.problem_R, study.responses.values_RD[:, 0], strict=True
        )
    }
    for i, t, value in zip(told.participant_R, told.problem_R, told.values_RD[:, 0], strict=True):
        assert truth[split.test.profiles.ids[i], split.train.problems.ids[t]] == value


def test_a_method_that_cannot_use_answers_is_scored_without(split: Split) -> None:
    assert set(scored(Guess(), split, (4, 2))) == {"known_scored", "nll_known_0", "crps_known_0"}


def test_more_known_than_anybody_answered_is_refused(split: Split, make_known: Known) -> None:
    require_answers(split, (5,))
    require_answers(split, ())
    with pytest.raises(ConfigError, match="no test person has more than 6 answers: with 6 of them known none is left"):
        require_answers(split, (2, 6))
    both = make_known("ordinal", people=20, problems=9).study.split("both", 0.2, 0)
    require_answers(both, ())
    with pytest.raises(ConfigError, match="go with the split by participant or by problem, not by both"):
        require_answers(both, (2,))
