"""Intervals for what a table reports: a mean or paired difference over seeds, one number over units.

Seeds share one data set, so an interval over seeds says how much a result depends on the split and the noise
of simulation, not how it would change with another data set; for that, bootstrap over problems or people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from crowdllm.errors import ConfigError, MismatchError
from crowdllm.responses.protocol import Array
from crowdllm.rng import generator


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval, resting on `count` seeds or units."""

    mean: float
    low: float
    high: float
    count: int


def mean_interval(values: Sequence[float] | Array, level: float = 0.95) -> Interval:
    """Mean over seeds with its Student-t interval: mean ± t_{count-1} s / sqrt(count); NaN ends for one seed.

    A NaN among the values makes everything NaN: a metric that is undefined for one seed has no mean over all.
    Raises ConfigError for no values or a level outside (0, 1).
    """
    _check(len(values), level)
    value_S = np.asarray(values, dtype=float)
    count, mean = len(value_S), float(value_S.mean())
    if count == 1:
        return Interval(mean, np.nan, np.nan, 1)
    half = float(stdtrit(count - 1, 0.5 + level / 2) * value_S.std(ddof=1) / np.sqrt(count))
    return Interval(mean, mean - half, mean + half, count)


def paired_difference(first: Sequence[float] | Array, second: Sequence[float] | Array, level: float = 0.95) -> Interval:
    """Mean of first - second over the same seeds, in the same order, with its Student-t interval.

    Far narrower than the two intervals suggest where both methods find the same splits hard.
    Raises MismatchError for different numbers of seeds.
    """
    if len(first) != len(second):
        raise MismatchError(f"a paired difference needs the same seeds: {len(first)} values against {len(second)}")
    return mean_interval(np.asarray(first, dtype=float) - np.asarray(second, dtype=float), level)


def bootstrap_interval(
    units: ArrayLike,
    seed: int,
    statistic: Callable[[Array], float] = lambda unit_U: float(np.mean(unit_U)),
    draws: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval for one number, such as an MAE over the problems of one test set.

    units: (U, ...) one row per independent unit (problem or person), drawn with replacement. statistic: from
    such rows to a number; the mean by default. `mean` of the result is the statistic of the units themselves.

    Raises ConfigError for no units, no draws, or a level outside (0, 1).
    """
    unit_U = np.asarray(units, dtype=float)
    _check(len(unit_U), level)
    if draws < 1:
        raise ConfigError(f"a bootstrap needs at least one draw, not {draws}")
    rng = generator(seed, "bootstrap_interval")
    drawn = [statistic(unit_U[rng.integers(len(unit_U), size=len(unit_U))]) for _ in range(draws)]
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(statistic(unit_U), float(low), float(high), len(unit_U))


def _check(count: int, level: float) -> None:
    if count < 1:
        raise ConfigError("an interval needs at least one value")
    if not 0 < level < 1:
        raise ConfigError(f"the level of an interval must lie between 0 and 1, not {level}")
