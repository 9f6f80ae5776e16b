"""How wide each problem's interval is, and how wide it would be with more human answers.

The width of the interval for a mean from n answers is that of `crowdllm.estimation.small_sample`: Student's t on a
variance that leans on a prior worth d0 answers,

    s~^2 = (d0 v + sum of squares) / (d0 + n - 1),      w(n) = 2 t_{d0 + n - 1} sqrt(left s~^2 / n),

here with v the spread that the fitted crowd expects on that very problem (which is known before anybody is asked, and
differs between problems), and `left` the part of the variance that the crowd's predictions do not explain. Without an
answer the width is that of the crowd's own interval. More answers are expected to show the same variance.

With survey weights n answers tell as much as e n (at least one) without, e Kish's effective number of the study's
people over their number; further answers are expected to weigh as unequally as those there are.

Shapes: T problems.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdllm.errors import ConfigError
from crowdllm.estimation.small_sample import PRIOR_PEOPLE, student
from crowdllm.responses.protocol import Array

Counts = NDArray[np.int64]
MOST = 1_000_000


@dataclass(frozen=True)
class WidthModel:
    """prior_T: variance of one answer that is expected; weight: d0, how many answers that is worth.

    left: part of the variance left by the crowd's predictions, 1 for none explained. unasked_T: width of the interval
    without any human answer, infinite where there is none. effective: e, the part of an answer that weights leave.
    """

    prior_T: Array
    unasked_T: Array
    left: float = 1.0
    weight: float = PRIOR_PEOPLE
    level: float = 0.95
    effective: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.effective <= 1:
            raise ConfigError(f"weights leave a part of an answer above 0 and at most 1, not {self.effective}")
        if not 0 < self.left <= 1:
            raise ConfigError(f"the part of the variance that is left lies above 0 and at most 1, not {self.left}")
        if self.prior_T.shape != self.unasked_T.shape or (self.prior_T < 0).any() or np.isnan(self.prior_T).any():
            raise ConfigError("every problem needs an expected variance (0 or more) and a width without answers")

    def variance(self, count_T: Counts, square_T: Array) -> Array:
        """(T,) variance of one answer, given so many answers with this sum of squares around their mean."""
        e = self.effective
        return np.asarray((self.weight * self.prior_T + e * square_T) / (self.weight + np.maximum(e * count_T - 1, 0)))

    def width(self, count_T: Counts, variance_T: Array) -> Array:
        """(T,) width with so many answers of this variance."""
        some_T = np.maximum(self.effective * count_T, 1)
        asked_T = 2 * student(self.weight + some_T - 1, self.level) * np.sqrt(self.left * variance_T / some_T)
        return np.where(count_T > 0, asked_T, self.unasked_T)

    def best_width(self, count_T: Counts, variance_T: Array) -> Array:
        """(T,) the same, or the width without answers where that is narrower."""
        return np.minimum(self.width(count_T, variance_T), self.unasked_T)

    def needed(self, variance_T: Array, target: float) -> Counts:
        """(T,) the smallest number of answers with which the width is at most `target`; 0 where none is needed.

        Raises ConfigError for a target that is none, or that a million answers would not reach.
        """
        check_target(target)
        low = np.zeros(len(variance_T), dtype=np.int64)
        high = np.full(len(variance_T), MOST, dtype=np.int64)
        if (self.best_width(high, variance_T) > target).any():
            raise ConfigError(f"a width of {target:g} would take more than {MOST:,} answers to a problem; widen it")
        while (high - low > 1).any():
            middle = (low + high) // 2
            enough = self.width(middle, variance_T) <= target
            high, low = np.where(enough, middle, high), np.where(enough, low, middle)
        return np.where(self.unasked_T <= target, 0, high)


def check_target(target: float) -> None:
    """Raise ConfigError for a width that is none."""
    if not target > 0:
        raise ConfigError(f"the target width must be above 0, not {target}")


def sums_of_squares(
    value_R: Array, problem_R: Counts, problems: int, weight_R: Array | None = None
) -> tuple[Counts, Array]:
    """(T,) number of answers, and that times their (weighted) mean square around the problem's (weighted) mean."""
    weight_R = np.ones(len(value_R)) if weight_R is None else weight_R
    count_T, total_T = np.bincount(problem_R, minlength=problems), np.bincount(problem_R, weight_R, problems)
    per_T = np.divide(1.0, total_T, out=np.zeros(problems), where=total_T > 0)
    mean_T = np.bincount(problem_R, weights=weight_R * value_R, minlength=problems) * per_T
    residual_R = value_R - mean_T[problem_R]
    square_T = np.bincount(problem_R, weights=weight_R * residual_R**2, minlength=problems) * per_T * count_T
    return count_T.astype(np.int64), np.asarray(square_T, dtype=float)
