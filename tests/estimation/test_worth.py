"""What an interval is worth in humans."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from crowdllm.estimation.worth import humans_for, overall_worth, worth


def test_half_the_variance_is_worth_twice_the_humans() -> None:
    assert worth([8.0, 5.0], [1.0, 2.0], [0.5, 2.0]).tolist() == [16.0, 5.0]


def test_an_interval_without_variance_is_worth_no_more_than_its_humans() -> None:
    assert worth(4.0, 0.0, 0.0) == 4.0


@pytest.mark.parametrize("n", [1, 7, 40])
def test_humans_for_the_width_of_n_humans_are_n(n: int) -> None:
    half = t.ppf(0.975, 8 + n - 1) * np.sqrt(2.0 / n)
    assert humans_for(half, 2.0) == pytest.approx(n, rel=1e-6)


def test_no_interval_is_worth_nobody() -> None:
    assert humans_for(np.inf, 1.0) == 0.0
    assert np.isnan(humans_for(np.nan, 1.0))


def test_overall_worth_is_a_sum_and_its_ratio() -> None:
    assert overall_worth([4.0, 6.0], [8.0, 7.0]) == (15.0, 1.5)
    total, ratio = overall_worth([0.0], [3.0])
    assert total == 3.0
    assert np.isnan(ratio)
