"""Worth N humans: how many human responses alone would give an interval as narrow.

For n humans whose interval the crowd narrows to a part q of its width, n / q^2 humans would have been needed; for a
problem without humans, as many as have an interval of that half width from the variance pooled over problems. The
quantile of Student's t is taken into account, with the degrees of freedom that so many humans would have (see
`small_sample`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from crowdllm.estimation.small_sample import PRIOR_PEOPLE, student
from crowdllm.responses.protocol import Array

MOST = 1e7


def humans_for(half_width: ArrayLike, variance: ArrayLike, level: float = 0.95, prior: float = PRIOR_PEOPLE) -> Array:
    """How many human responses (a real number) give an interval of this half width, when one has this variance.

    0 where even a single human gives a narrower one than a half width that is infinite; at most 10 million.
    """
    half, spread = np.broadcast_arrays(np.asarray(half_width, dtype=float), np.asarray(variance, dtype=float))
    low, high = np.full(half.shape, -12.0), np.full(half.shape, np.log(MOST))
    for _ in range(60):
        middle = (low + high) / 2
        n = np.exp(middle)
        too_wide = student(prior + np.maximum(n - 1, 0), level) * np.sqrt(spread / n) > half
        low, high = np.where(too_wide, middle, low), np.where(too_wide, high, middle)
    number = np.where(np.isinf(half), 0.0, np.exp((low + high) / 2))
    return np.where(np.isnan(half) | np.isnan(spread), np.nan, number)


def worth(humans: ArrayLike, variance_alone: ArrayLike, variance_with: ArrayLike) -> Array:
    """n times the variance of humans alone over that with the crowd: the effective number of human responses."""
    alone, together = np.asarray(variance_alone, dtype=float), np.asarray(variance_with, dtype=float)
    ratio = np.divide(alone, together, out=np.ones(np.broadcast(alone, together).shape), where=together > 0)
    return np.asarray(np.asarray(humans, dtype=float) * ratio)


def overall_worth(humans: ArrayLike, worth_T: ArrayLike) -> tuple[float, float]:
    """Over all problems: the sum of what each is worth, and its ratio to the humans used (NaN without humans)."""
    used, total = float(np.nansum(np.asarray(humans, dtype=float))), float(np.nansum(np.asarray(worth_T, dtype=float)))
    return total, total / used if used > 0 else float("nan")
