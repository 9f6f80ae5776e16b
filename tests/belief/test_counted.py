"""Counting answers changes no likelihood: the same sums as answer by answer, whatever is put together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from crowdllm.belief import counted, counted_log_lik
from crowdllm.belief.counted import Answers, burden, distinct_pairs, some_people
from crowdllm.belief.counted_log_lik import counted_log_lik as log_lik_of
from crowdllm.data.responses import Responses
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType

LEVELS = Ordinal(("1", "2", "3"))


def responses_with(values_RD: np.ndarray, problems: int = 4, people: int = 7) -> Responses:
    rng = np.random.default_rng(9)
    rows = len(values_RD)
    return Responses(rng.integers(0, people, rows), rng.integers(0, problems, rows), values_RD.astype(float))


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("problems", [4, 5000], ids=["few problems", "many problems"])
def test_distinct_pairs_are_those_of_numpy(width: int, problems: int) -> None:
    values = np.random.default_rng(0).integers(0, 3, (200, width)) - 0.5
    responses = responses_with(values, problems)
    table = np.c_[responses.problem_R, responses.values_RD]
    expected, inverse, counts = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    problem_B, values_BD, pair_R = distinct_pairs(responses)
    np.testing.assert_array_equal(np.c_[problem_B, values_BD], expected)
    np.testing.assert_array_equal(pair_R, inverse.reshape(-1))
    np.testing.assert_array_equal(Answers.of(responses).count_B, counts)


def test_no_responses_have_no_pairs() -> None:
    nothing = Responses(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros((0, 1)))
    assert len(distinct_pairs(nothing)[0]) == len(Answers.of(nothing).count_B) == 0


@pytest.mark.parametrize(("low", "high"), [(None, None), (0.0, 1.0), (0.0, None)], ids=str)
def test_two_points_stand_for_all_numbers_of_a_problem(
    low: float | None, high: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summed log-likelihood is the same for any location and scale, with a problem of one answer among them."""
    monkeypatch.setattr(counted, "MANY", 10)
    rng = np.random.default_rng(1)
    value = np.clip(rng.normal(0.4, 0.6, 300), -np.inf if low is None else low, np.inf if high is None else high)
    responses = responses_with(value[:, None])
    alone = Responses(np.array([0, 0, 0]), np.array([7, 8, 8]), np.array([[0.3], [0.6], [0.6]]))
    both = Responses(*(np.concatenate([getattr(r, f) for r in (responses, alone)]) for f in FIELDS))
    kind = Continuous(low, high)
    answers = Answers.of(both, response_type=kind)
    assert len(answers.count_B) <= 4 * 6
    assert answers.count_B.sum() == pytest.approx(len(both))
    for _ in range(5):
        params = torch.from_numpy(np.c_[rng.normal(0.4, 1, 9), rng.normal(0, 0.5, 9)])
        whole, put_together = (
            (kind.log_prob(params[problem], torch.from_numpy(v), torch.zeros(len(v))).numpy() * count).sum()
            for problem, v, count in (
                (both.problem_R, both.values_RD, np.ones(len(both))),
                (answers.problem_B, answers.values_BD, answers.count_B),
            )
        )
        assert put_together == pytest.approx(whole, rel=1e-11)


FIELDS = ("participant_R", "problem_R", "values_RD")


def test_some_people_are_whole_persons_up_to_the_limit() -> None:
    responses = responses_with(np.zeros((100, 1)), people=20)
    assert some_people(responses, 100, 0) is responses
    some = some_people(responses, 40, 0)
    assert 20 < len(some) <= 40
    for person in np.unique(some.participant_R):
        assert (some.participant_R == person).sum() == (responses.participant_R == person).sum()
    assert len(some_people(responses, 1, 0)) > 0  # somebody's


def test_ballots_weigh_most_and_scales_least() -> None:
    assert burden(LEVELS, 1) == 1
    assert burden(Choice(5), 5) == 5
    assert burden(Ballot(2, 2, 5), 5) > burden(Choice(5), 5)


# --- the likelihood of what was counted ---------------------------------------------------------------------


def value_and_gradient(log_lik: Callable[[torch.Tensor], torch.Tensor], raw: np.ndarray) -> tuple[float, np.ndarray]:
    leaf = torch.from_numpy(raw).requires_grad_()
    value = log_lik(leaf)
    value.backward()
    assert leaf.grad is not None
    return float(value.detach()), leaf.grad.numpy()


@pytest.mark.parametrize("kind", [LEVELS, Choice(3), Ballot(1, 2, 3)], ids=["ordinal", "choice", "ballot"])
def test_tables_and_blocks_give_the_likelihood_that_answers_one_by_one_give(
    kind: ResponseType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Problem 0 has only two of the three options."""
    rng = np.random.default_rng(2)
    options = torch.tensor([2, 3, 3, 3])
    if isinstance(kind, Ballot):
        values = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]])[rng.integers(0, 3, 60)]
    else:
        values = rng.integers(0, 2, (60, 1))
    answers = Answers.of(responses_with(values))
    raw = rng.normal(size=(4, kind.raw_width(3)))
    plain = value_and_gradient(log_lik_of(kind, answers, answers.problem_B, options, 3), raw)
    params = kind.base(torch.from_numpy(raw))[answers.problem_B]
    each = kind.log_prob(params, torch.from_numpy(answers.values_BD), options[answers.problem_B])
    assert plain[0] == pytest.approx(float(each.numpy() @ answers.count_B))
    monkeypatch.setattr(counted_log_lik, "MANY", 2)
    otherwise = value_and_gradient(log_lik_of(kind, answers, answers.problem_B, options, 3), raw)
    assert otherwise[0] == pytest.approx(plain[0], rel=1e-12)
    np.testing.assert_allclose(otherwise[1], plain[1], atol=1e-10)
