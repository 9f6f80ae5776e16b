"""Theorem 5 as written, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from crowdllm.errors import ConfigError
from crowdllm.estimation.theorem5 import llm_variance, theorem5_interval
from crowdllm.reference import Reference, References


def test_the_interval_by_hand() -> None:
    residual = np.array([1.0, -1.0, 2.0, 0.0])
    made = theorem5_interval(np.array([3.0]), 100, np.array([0.5]), np.array([0.25]), residual, np.zeros(4, int))
    tolerance = np.sqrt(6 / 4)
    variance = 6 / 4 - 0.5**2  # divisor n, as in the paper
    half = tolerance + norm.ppf(0.975) * np.sqrt(0.25 / 100 + 0.5 / 100 + variance / 4)
    assert made.tolerance_T[0] == pytest.approx(tolerance)
    assert (made.low_T[0], made.high_T[0]) == pytest.approx((3 - half, 3 + half))


def test_a_stated_tolerance_takes_the_place_of_the_residuals_own() -> None:
    residual, problem = np.array([3.0, 3.0]), np.zeros(2, int)
    made = theorem5_interval(np.array([2.0]), 10, np.zeros(1), np.zeros(1), residual, problem, tolerance=0.5)
    assert (made.low_T[0], made.high_T[0]) == pytest.approx((1.5, 2.5))  # equal residuals have no variance


def test_a_problem_without_humans_has_no_interval() -> None:
    made = theorem5_interval(np.zeros(2), 10, np.zeros(2), np.zeros(2), np.array([1.0]), np.array([0]))
    assert np.isnan(made.low_T[1])
    assert np.isfinite(made.low_T[0])


@pytest.mark.parametrize(("size", "tolerance"), [(0, None), (10, -1.0)])
def test_settings_out_of_range_are_refused(size: int, tolerance: float | None) -> None:
    with pytest.raises(ConfigError):
        theorem5_interval(np.zeros(1), size, np.zeros(1), np.zeros(1), np.ones(1), np.zeros(1, int), 0.95, tolerance)


def test_the_llms_randomness_is_the_variance_of_its_draws() -> None:
    ids = np.array(["a", "b"], dtype=object)
    draws = np.array([[[0.0], [2.0], [np.nan]], [[1.0], [1.0], [1.0]]])
    three, one = Reference("three", "samples", ids, draws), Reference("one", "decision", ids, draws[:, :1])
    points = np.array([1.0, 2.0, 5.0])
    assert llm_variance(References((three,)), points, 2) == pytest.approx([8.0, 0.0])  # draws 1 and 5
    assert llm_variance(References((three, one)), points, 2) == pytest.approx([4.0, 0.0])
    assert llm_variance(None, points, 2).tolist() == [0.0, 0.0]


def test_survey_weights_make_weighted_means_and_fewer_people() -> None:
    residual, weight = np.array([1.0, -1.0]), np.array([3.0, 1.0])
    made = theorem5_interval(
        np.array([3.0]), 100, np.zeros(1), np.zeros(1), residual, np.zeros(2, int), weight_R=weight
    )
    # mean (3 - 1) / 4 = .5, mean square 1, variance .75, effective people 16 / 10
    assert made.tolerance_T[0] == pytest.approx(1.0)
    assert made.sampling_T[0] == pytest.approx(norm.ppf(0.975) * np.sqrt(0.75 / 1.6))
