"""Intervals over seeds and by bootstrap."""

from __future__ import annotations

import numpy as np
import pytest

from crowdllm.errors import ConfigError, MismatchError
from crowdllm.evaluation.intervals import bootstrap_interval, mean_interval, paired_difference


def test_interval_of_three_seeds_by_hand() -> None:
    found = mean_interval([1.0, 2.0, 3.0])
    half = 4.302653 / np.sqrt(3)  # t_2 at 97.5 % from a printed table; the SD is 1
    assert (found.mean, found.count) == (2, 3)
    assert found.high - 2 == pytest.approx(half, abs=1e-5)
    assert 2 - found.low == pytest.approx(half, abs=1e-5)


def test_pairing_removes_what_both_methods_share() -> None:
    split_difficulty = np.array([0.0, 5.0, -3.0, 8.0])
    found = paired_difference(split_difficulty + np.array([1.0, 1.1, 0.9, 1.0]), split_difficulty)
    assert found.low > 0, "apart by about 1 on every seed"
    assert mean_interval(split_difficulty + 1).low < 0


def test_pairing_needs_the_same_seeds() -> None:
    with pytest.raises(MismatchError, match="3 values against 2"):
        paired_difference([1, 2, 3], [1, 2])


def test_one_seed_has_no_interval() -> None:
    found = mean_interval([0.5])
    assert found.mean == 0.5
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_undefined_for_one_seed_is_undefined_for_all() -> None:
    assert np.isnan(mean_interval([1.0, np.nan, 2.0]).mean)


def test_no_values_or_a_wrong_level_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one value"):
        mean_interval([])
    with pytest.raises(ConfigError, match="between 0 and 1, not 95"):
        mean_interval([1.0], level=95)
    with pytest.raises(ConfigError, match="at least one draw"):
        bootstrap_interval([1.0], 0, draws=0)


def test_bootstrap_of_a_mean_is_as_wide_as_its_standard_error() -> None:
    values = np.random.default_rng(0).exponential(size=400)
    found = bootstrap_interval(values, seed=1)
    expected = 2 * 1.96 * values.std(ddof=1) / np.sqrt(400)
    assert found.high - found.low == pytest.approx(expected, rel=0.1)
    assert found.mean == values.mean()


def test_bootstrap_takes_any_statistic_of_rows() -> None:
    pairs = np.array([[1.0, 2.0], [1.0, 2.0]])
    found = bootstrap_interval(pairs, 0, statistic=lambda rows: float(rows[:, 1].sum() / rows[:, 0].sum()), draws=5)
    assert (found.mean, found.low, found.high) == (2, 2, 2)


def test_bootstrap_of_one_seed_is_always_the_same() -> None:
    values = np.arange(20.0)
    assert bootstrap_interval(values, 3, draws=50) == bootstrap_interval(values, 3, draws=50)
    assert bootstrap_interval(values, 3, draws=50) != bootstrap_interval(values, 4, draws=50)
