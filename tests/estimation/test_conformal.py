"""Intervals for problems without humans: ranks of errors, and humans' noise taken out of them."""

from __future__ import annotations

import numpy as np
import pytest

from crowdllm.errors import ConfigError
from crowdllm.estimation.conformal import calibrate, crowd_variance, least_problems


def test_the_half_width_is_the_error_at_the_conformal_rank() -> None:
    made = calibrate(np.arange(1.0, 20.0), np.zeros(19))
    assert made.half_width(0.95) == 19.0  # ceil(.95 * 20) = 19
    assert made.half_width(0.8) == 16.0


def test_too_few_problems_give_no_finite_interval() -> None:
    assert least_problems(0.95) == 19
    assert least_problems(0.8) == 10  # not 4: with fewer than ten nothing can be calibrated
    assert least_problems(0.5) == 10
    assert np.isinf(calibrate(np.arange(18.0), np.zeros(18)).half_width(0.95))
    assert np.isfinite(calibrate(np.arange(19.0), np.zeros(19)).half_width(0.95))


def test_the_side_of_an_error_makes_no_difference() -> None:
    errors = np.array([1.0, -2.0, 3.0, -4.0, 5.0] * 4)
    assert calibrate(errors, np.zeros(20)).error_T.tolist() == calibrate(-errors, np.zeros(20)).error_T.tolist()


def test_problems_without_an_estimate_are_left_out() -> None:
    assert len(calibrate(np.r_[np.arange(10.0), np.nan], np.zeros(11)).error_T) == 10


def test_errors_are_measured_in_units_of_their_scale() -> None:
    made = calibrate(np.full(10, 6.0), np.zeros(10), np.arange(1.0, 11.0))
    assert made.error_T[-4:] == pytest.approx([6 / 4, 6 / 3, 6 / 2, 6.0])


def test_the_crowds_own_error_is_what_humans_noise_does_not_explain() -> None:
    assert crowd_variance(np.array([1.0, -1.0, 1.0, -1.0]), np.full(4, 0.75)) == pytest.approx(0.25)
    assert crowd_variance(np.ones(4), np.full(4, 5.0)) == pytest.approx(0.1)  # at least a tenth


def test_noise_is_taken_out_by_the_mean_of_two_corrections() -> None:
    errors, noise = np.tile([2.0, -2.0], 10), np.full(20, 3.0)
    # tau^2 = 4 - 3 = 1: 2 sqrt(1 / 4) = 1; sqrt(4 - 3) = 1
    assert calibrate(errors, noise).error_T == pytest.approx(np.ones(20))
    mixed = calibrate(np.r_[errors, 4.0], np.full(21, 3.0))
    tau2 = (20 * 4 + 16) / 21 - 3
    scaled, cut = 4 * np.sqrt(tau2 / (tau2 + 3)), np.sqrt(16 - 3)
    assert mixed.error_T[-1] == pytest.approx((scaled + cut) / 2)
    assert calibrate(np.r_[errors, 4.0], np.full(21, 3.0), heavy=True).error_T[-1] == pytest.approx(cut)


def test_with_a_handful_of_problems_there_is_no_interval() -> None:
    assert np.isinf(calibrate(np.full(9, 2.0), np.full(9, 3.0)).half_width(0.5))
    assert np.isfinite(calibrate(np.full(10, 2.0), np.full(10, 3.0)).half_width(0.5))


def test_the_noise_of_normal_errors_is_removed_exactly_by_the_first_correction() -> None:
    """Coverage of the crowd's own error, by simulation: tau = 1, noise of variance 1."""
    rng = np.random.default_rng(0)
    own = rng.normal(size=20_000)
    made = calibrate(own + rng.normal(size=20_000), np.ones(20_000))
    covered = np.mean(np.abs(rng.normal(size=20_000)) <= made.half_width(0.95))
    assert 0.94 < covered < 0.985  # the second correction keeps it on the safe side


def test_a_level_outside_zero_and_one_is_refused() -> None:
    with pytest.raises(ConfigError):
        least_problems(1.0)
