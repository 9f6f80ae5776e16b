"""Variances and shares that borrow from the other problems."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, t

from crowdllm.errors import ConfigError
from crowdllm.estimation.small_sample import (
    left_open,
    mean_half_width,
    moderated_variance,
    normal,
    share_interval,
    student,
    within,
)

VALUES = np.array([1.0, 3.0, 2.0, 2.0, 5.0])
PROBLEM = np.array([0, 0, 1, 1, 1])


def test_answers_are_summed_up_per_problem() -> None:
    sums = within(VALUES, PROBLEM, 3)
    assert sums.n_T.tolist() == [2, 3, 0]
    assert sums.mean_T[:2].tolist() == [2.0, 3.0]
    assert np.isnan(sums.mean_T[2])
    assert sums.square_T.tolist() == [2.0, 6.0, 0.0]
    assert sums.pooled == pytest.approx((2 + 6) / (1 + 2))


def test_equal_weights_on_any_scale_change_nothing() -> None:
    plain, weighted = within(VALUES, PROBLEM, 2), within(VALUES, PROBLEM, 2, np.full(5, 7.0))
    for name in ("kish_T", "mean_T", "square_T"):
        assert getattr(weighted, name) == pytest.approx(getattr(plain, name))


def test_unequal_weights_leave_fewer_effective_people() -> None:
    sums = within(np.array([0.0, 1.0]), np.zeros(2, dtype=np.int64), 1, np.array([3.0, 1.0]))
    assert sums.kish_T[0] == pytest.approx(16 / 10)  # (3 + 1)^2 / (9 + 1)
    assert sums.mean_T[0] == pytest.approx(0.25)


def test_the_moderated_variance_is_eight_parts_pooled() -> None:
    sums = within(VALUES, PROBLEM, 2)
    variance_T, freedom_T = moderated_variance(sums)
    pooled = 8 / 3
    assert variance_T == pytest.approx([(8 * pooled + 2) / 9, (8 * pooled + 6) / 10])
    assert freedom_T.tolist() == [9.0, 10.0]


def test_people_who_happen_to_agree_do_not_make_an_interval_of_width_zero() -> None:
    sums = within(np.array([2.0, 2.0, 1.0, 5.0]), np.array([0, 0, 1, 1]), 2)
    half_T, _ = mean_half_width(sums, left_open(sums.kish_T), 0.95)
    assert half_T[0] > 1


def test_a_single_answer_has_an_interval_from_the_other_problems() -> None:
    sums = within(np.array([3.0, 1.0, 5.0]), np.array([0, 1, 1]), 2)
    half_T, _ = mean_half_width(sums, left_open(sums.kish_T), 0.95)
    assert half_T[0] == pytest.approx(t.ppf(0.975, 8) * np.sqrt(8.0))  # pooled variance 8, one person


def test_nothing_is_left_open_where_everybody_was_asked() -> None:
    assert left_open(np.array([4.0, 4.0]), np.array([8.0, 4.0])) == pytest.approx([1 / 8, 0.0])
    assert np.isinf(left_open(np.array([0.0]))[0])


def test_a_share_is_drawn_towards_the_pooled_share_like_wilsons() -> None:
    sums = within(np.array([0.0, 0.0, 0.0, 1.0]), np.zeros(4, dtype=np.int64), 1)
    z2 = norm.ppf(0.975) ** 2
    centre, half, error, noise = share_interval(sums, 0.5, left_open(sums.kish_T), 0.95)
    expected = (4 * 0.25 + z2 / 2) / (4 + z2)  # Wilson's own centre, drawn towards one half
    assert centre[0] == pytest.approx(expected)
    assert error[0] == pytest.approx(expected * (1 - expected) * (4 / 3) / 4)
    assert half[0] == pytest.approx(np.sqrt(z2 * error[0]))
    assert noise[0] == pytest.approx(0.25 * 0.75 / 3)


def test_a_share_on_which_all_agree_keeps_a_width() -> None:
    sums = within(np.zeros(5), np.zeros(5, dtype=np.int64), 1)
    centre, half, _, noise = share_interval(sums, 0.2, left_open(sums.kish_T), 0.95)
    assert centre[0] + half[0] > 0.2
    assert noise[0] == 0


def test_quantiles_agree_with_scipy() -> None:
    assert student(5, 0.9) == pytest.approx(t.ppf(0.95, 5))
    assert normal(0.8) == pytest.approx(norm.ppf(0.9))


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, -0.5])
def test_a_level_outside_zero_and_one_is_refused(level: float) -> None:
    with pytest.raises(ConfigError, match=r"such as 0\.95"):
        student(5, level)


def test_a_share_that_nobody_picked_is_unknown_where_nobody_was_asked_and_warns_of_nothing() -> None:
    sums = within(np.array([0.0, 0.0]), np.array([0, 0]), 2)
    with np.errstate(all="raise", divide="ignore"):
        _, half, error, _ = share_interval(sums, 0.0, left_open(sums.kish_T), 0.95)
    assert half[0] == error[0] == 0
    assert np.isnan(half[1])
