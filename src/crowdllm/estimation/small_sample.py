"""Intervals that hold with a handful of people per problem: variances and shares that borrow from the other problems.

With a dozen answers on a scale of five levels a normal interval at 95 % covers the truth in some 91 % of cases, and
with five answers in 85 %: the variance is itself a guess from those few, and people who happen to agree make it 0.
Three devices, the same for humans alone and with the crowd:

- means: the moderated variance  s~_t^2 = (d0 s0^2 + (n_t - 1) s_t^2) / (d0 + n_t - 1), where s0^2 is the variance
  pooled over all problems and d0 = 8 the weight it has, in people; then Student's t with d0 + n_t - 1 degrees of
  freedom (Smyth 2004, "Linear models and empirical Bayes methods", with a fixed d0: estimated from a handful of
  answers it breaks down where many problems have no variance at all);
- shares: Wilson's interval drawn towards the share that the option has over all problems, rather than towards one half:
  (n p + z^2 q) / (n + z^2) with its binomial variance (after Agresti and Coull 1998);
- medians: Woodruff's (1952) interval: how sure one is of the part of people below the median, with a moderated
  variance, read back through the distribution function.

`left` is what sampling leaves open: 1/n for a large population, 1/n - 1/N where n were drawn of N without replacement.
With survey weights n is Kish's effective number of people, (sum w)^2 / sum w^2.

Shapes: R responses, T problems (or cells of a problem and a group), M levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from crowdllm.errors import ConfigError
from crowdllm.responses.protocol import Array

PRIOR_PEOPLE = 8.0


@dataclass(frozen=True)
class Within:
    """Answers to each problem, summed up.

    n_T: how many. kish_T: effective number under weights. mean_T: weighted mean, NaN for none. square_T: weighted sum
    of squares around it, scaled to n_T people. pooled: variance over all problems, NaN where no problem has two
    answers.
    """

    n_T: Array
    kish_T: Array
    mean_T: Array
    square_T: Array
    pooled: float


def within(value_R: Array, problem_R: NDArray[np.int64], count: int, weight_R: Array | None = None) -> Within:
    """Sum up the answers to `count` problems."""
    weight_R = np.ones(len(value_R)) if weight_R is None else weight_R
    n_T = np.bincount(problem_R, minlength=count).astype(float)
    total_T = np.bincount(problem_R, weight_R, count)
    square_weight_T = np.bincount(problem_R, weight_R**2, count)
    some = total_T > 0
    mean_T = np.divide(
        np.bincount(problem_R, weight_R * value_R, count), total_T, out=np.full(count, np.nan), where=some
    )
    residual_R = value_R - mean_T[problem_R]
    spread_T = np.divide(
        np.bincount(problem_R, weight_R * residual_R**2, count), total_T, out=np.zeros(count), where=some
    )
    kish_T = np.divide(total_T**2, square_weight_T, out=np.zeros(count), where=some)
    square_T = spread_T * kish_T
    freedom = float(np.maximum(kish_T - 1, 0).sum())
    enough = kish_T > 1
    pooled = float(square_T[enough].sum()) / freedom if freedom > 0 else np.nan
    return Within(n_T, kish_T, mean_T, square_T, pooled)


def left_open(effective_T: Array, population_T: ArrayLike | None = None) -> Array:
    """(T,) 1/n, or 1/n - 1/N for people drawn without replacement of N; infinite without people."""
    n_T = np.asarray(effective_T, dtype=float)
    one_T = np.divide(1.0, n_T, out=np.full(n_T.shape, np.inf), where=n_T > 0)
    if population_T is None:
        return one_T
    all_T = np.asarray(population_T, dtype=float)
    whole_T = np.divide(1.0, all_T, out=np.zeros(all_T.shape), where=all_T > 0)
    return np.asarray(np.maximum(one_T - whole_T, 0.0))


def moderated_variance(sums: Within, prior: float = PRIOR_PEOPLE) -> tuple[Array, Array]:
    """(T,) variance of one answer, and its degrees of freedom; NaN where nothing is known of the spread anywhere."""
    own_T = np.maximum(sums.kish_T - 1, 0.0)
    freedom_T = prior + own_T
    return (prior * sums.pooled + sums.square_T) / freedom_T, freedom_T


def mean_half_width(sums: Within, left_T: Array, level: float) -> tuple[Array, Array]:
    """(T,) half of the interval for each mean, and its variance."""
    variance_T, freedom_T = moderated_variance(sums)
    error_T = variance_T * left_T
    return student(freedom_T, level) * np.sqrt(error_T), error_T


def share_interval(sums: Within, toward: float, left_T: Array, level: float) -> tuple[Array, Array, Array, Array]:
    """(T,) centre, half width and variance of Wilson's interval drawn towards the share `toward`, and p (1 - p) / (n
    - 1).

    The last is the unbiased variance of the share p, 0 where all agree; that of the interval never is.
    """
    z2 = float(normal(level)) ** 2
    share_T, n_T = np.where(sums.kish_T > 0, sums.mean_T, toward), sums.kish_T
    centre_T = (n_T * share_T + z2 * toward) / (n_T + z2)
    more_T = np.where(n_T > 1, np.minimum(n_T / np.maximum(n_T - 1, 1e-9), 2.0), 2.0)
    left_T = np.where(n_T > 0, left_T, np.nan)  # nobody was asked: infinitely much is open, also of a share of 0
    error_T = centre_T * (1 - centre_T) * more_T * left_T
    noise_T = np.where(n_T > 1, share_T * (1 - share_T) * more_T * left_T, error_T)
    return centre_T, np.sqrt(z2 * error_T), error_T, noise_T


def student(freedom: ArrayLike, level: float) -> Array:
    """The two-sided quantile of Student's t."""
    check_level(level)
    return np.asarray(stdtrit(np.asarray(freedom, dtype=float), 0.5 + level / 2))


def normal(level: float) -> float:
    """The two-sided quantile of the normal distribution."""
    check_level(level)
    return float(ndtri(0.5 + level / 2))


def check_level(level: float) -> None:
    """Raise ConfigError for a level outside (0, 1)."""
    if not 0 < level < 1:
        raise ConfigError(f"the level of an interval must lie between 0 and 1, such as 0.95, not {level}")
