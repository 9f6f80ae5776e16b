"""Whether simulated people hang together as real ones do: correlations between problems, alpha, spread.

A crowd can match every histogram and still consist of incoherent people, each answer drawn on its own.
Three measures:

- `coherence`: root mean squared difference between the human and the simulated inter-problem correlation,
  over the pairs of problems (off the diagonal) that enough people answered, on both sides;
- `alpha_differences`: Cronbach's alpha of each scale, k / (k - 1) (1 - sum_j c_jj / sum_jl c_jl), simulated
  minus human; the scale of an item and its keying are columns of the problems (`scales_of`);
- `dispersion`: simulated SD / human SD of the answers to a problem; 1 is right, below 1 is a crowd too much
  agreed.

Shapes: N participants, T problems, I items of one scale. x_NT holds responses as numbers (the scale's
points), NaN where a person did not answer (`crowdllm.evaluation.histograms.wide_matrix`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crowdllm.data.problems import Problems
from crowdllm.data.responses import Responses
from crowdllm.data.tables import plain_number
from crowdllm.errors import ConfigError, MismatchError
from crowdllm.evaluation.histograms import variances
from crowdllm.responses.protocol import Array, ResponseType
from crowdllm.rng import generator

MIN_PAIRS = 30


@dataclass(frozen=True)
class Coherence:
    """rmse: of the correlations, over `pairs` of the `possible` pairs of problems; NaN where pairs is 0."""

    rmse: float
    pairs: int
    possible: int


@dataclass(frozen=True)
class ScaleAlpha:
    """Cronbach's alpha of one scale among humans and simulated people; difference = simulated - human."""

    scale: str
    items: int
    human: float
    simulated: float

    @property
    def difference(self) -> float:
        return self.simulated - self.human


def pairwise_correlation(x_NT: Array, min_pairs: int = MIN_PAIRS) -> Array:
    """(T, T) Pearson correlations over the people who answered both problems of a pair.

    NaN where fewer than `min_pairs` people did (or fewer than two), or where their answers to one of the two
    do not vary; those are left out by `coherence`, and counted.
    """
    pairs_TT, covariance_TT, variance_TT = _pair_moments(x_NT)
    scale_TT = np.sqrt(variance_TT * variance_TT.T)
    usable_TT = (pairs_TT >= max(2, min_pairs)) & (scale_TT > 0)
    return np.divide(covariance_TT, scale_TT, out=np.full_like(scale_TT, np.nan), where=usable_TT)


def coherence(human_NT: Array, simulated_NT: Array, min_pairs: int = MIN_PAIRS) -> Coherence:
    """Root mean squared difference of the two correlation matrices, off the diagonal, each pair once.

    The two crowds may differ in size. Raises MismatchError for different numbers of problems.
    """
    if human_NT.shape[1] != simulated_NT.shape[1]:
        raise MismatchError(f"humans answered {human_NT.shape[1]} problems, the simulated {simulated_NT.shape[1]}")
    return _compare(pairwise_correlation(human_NT, min_pairs), pairwise_correlation(simulated_NT, min_pairs))


def coherence_floor(
    human_NT: Array, crowd_size: int | None, seed: int, draws: int = 20, min_pairs: int = MIN_PAIRS
) -> Coherence:
    """What `coherence` would still be for a crowd exactly like the humans: bootstrap over whole people.

    The N people stand for the population. Fresh humans are N - 1 of them with replacement (the rescaled
    bootstrap: a draw of N - 1 from N has the sampling variance of N people from the population), the perfect
    crowd is another such draw of `crowd_size` people, or the N people themselves where crowd_size is None (no
    simulation noise). Assumes that people are independent of one another. Averaged over `draws`.

    Raises ConfigError for fewer than two people or a crowd of none.
    """
    people = len(human_NT)
    if people < 2 or (crowd_size is not None and crowd_size < 1) or draws < 1:
        raise ConfigError(
            f"the coherence floor needs at least 2 people, 1 simulated person and 1 draw, not {people}, "
            f"{crowd_size} and {draws}"
        )
    rng = generator(seed, "coherence_floor")
    crowd = None if crowd_size is None else max(2, round(crowd_size * (people - 1) / people))
    population_TT = pairwise_correlation(human_NT, min_pairs)
    results = []
    for _ in range(draws):
        fresh = pairwise_correlation(human_NT[rng.integers(people, size=people - 1)], min_pairs)
        perfect = population_TT
        if crowd is not None:
            perfect = pairwise_correlation(human_NT[rng.integers(people, size=crowd)], min_pairs)
        results.append(_compare(fresh, perfect))
    scored = [r.rmse for r in results if r.pairs]
    return Coherence(
        float(np.mean(scored)) if scored else np.nan,
        round(float(np.mean([r.pairs for r in results]))),
        results[0].possible,
    )


def cronbach_alpha(x_NI: Array, keying_I: ArrayLike, low: float, high: float) -> float:
    """Cronbach's alpha of one scale, items keyed -1 flipped to low + high - x first.

    Covariances are over the people who answered both items, so on complete data this is the textbook value.
    `low` and `high` are the ends of the response scale. NaN where an item has fewer than two answers or the
    total does not vary. Raises ConfigError for fewer than two items or a keying other than 1 and -1.
    """
    keying = np.asarray(keying_I, dtype=float)
    count = x_NI.shape[1]
    if count < 2 or keying.shape != (count,) or not np.isin(keying, (-1, 1)).all():
        raise ConfigError(
            f"Cronbach's alpha needs at least two items and a keying of 1 or -1 for each, "
            f"not {count} items with keying {keying.tolist()}"
        )
    keyed_NI = np.where(keying == 1, x_NI, low + high - x_NI)
    pairs_II, covariance_II, _ = _pair_moments(keyed_NI)
    if (pairs_II < 2).any():
        return np.nan
    covariance_II = covariance_II * pairs_II / (pairs_II - 1)
    total = covariance_II.sum()
    return float(count / (count - 1) * (1 - np.trace(covariance_II) / total)) if total > 0 else np.nan


def alpha_differences(
    human_NT: Array,
    simulated_NT: Array,
    scale_T: Sequence[str | None],
    keying_T: ArrayLike,
    low: float,
    high: float,
) -> tuple[ScaleAlpha, ...]:
    """Alpha of every scale with at least two items, human and simulated, in order of the scales' names.

    scale_T: (T,) the scale each problem belongs to; None or "" for none. keying_T: (T,) 1, or -1 where a high
    answer means little of what the scale measures. Raises MismatchError where lengths differ, and as
    `cronbach_alpha`.
    """
    keying = np.asarray(keying_T, dtype=float)
    if not (human_NT.shape[1] == simulated_NT.shape[1] == len(scale_T) == len(keying)):
        raise MismatchError(
            f"{human_NT.shape[1]} human and {simulated_NT.shape[1]} simulated problems, {len(scale_T)} scale "
            f"names, {len(keying)} keyings: pass one of each per problem"
        )
    out = []
    for scale in sorted({str(s) for s in scale_T if s}):
        items = np.array([t for t, s in enumerate(scale_T) if s == scale], dtype=np.int64)
        if len(items) >= 2:
            human = cronbach_alpha(human_NT[:, items], keying[items], low, high)
            simulated = cronbach_alpha(simulated_NT[:, items], keying[items], low, high)
            out.append(ScaleAlpha(scale, len(items), human, simulated))
    return tuple(out)


def scales_of(problems: Problems) -> tuple[list[str | None], Array] | None:
    """Each problem's scale and keying, from its further columns `scale` and `keying`; None without a column `scale`.

    Without a column `keying`, or where its cell is empty, a high answer means much of what the scale measures. Raises
    ConfigError for a keying other than 1 and -1 of an item that belongs to a scale.
    """
    attributes = problems.attributes
    if "scale" not in attributes.columns:
        return None
    names = [None if pd.isna(s) or not str(s).strip() else str(s).strip() for s in attributes["scale"]]
    keying = np.ones(len(problems))
    given = attributes["keying"] if "keying" in attributes.columns else [""] * len(problems)
    for t, cell in enumerate(given):
        text = "" if pd.isna(cell) else str(cell).strip()
        number = plain_number(text) if text else 1.0
        if names[t] and number not in (1.0, -1.0):
            raise ConfigError(
                f"problem {str(problems.ids[t])!r} has keying {text!r}: an item of a scale is keyed 1, or -1 where a "
                "high answer means little of what the scale measures"
            )
        keying[t] = 1.0 if number is None else number
    return names, keying


def alpha_floor(
    human_NT: Array, scale_T: Sequence[str | None], keying_T: ArrayLike, low: float, high: float,
    crowd_size: int, seed: int, draws: int = 20,
) -> float:  # fmt: skip
    """What the mean absolute alpha difference over scales would still be for a crowd exactly like the humans.

    Bootstrap over whole people, as in `coherence_floor`; NaN where no scale has an alpha. Raises ConfigError as there.
    """
    people = len(human_NT)
    if people < 2 or crowd_size < 1 or draws < 1:
        raise ConfigError(
            f"the alpha floor needs 2 people, 1 simulated person and 1 draw, not {people}, {crowd_size}, {draws}"
        )
    rng = generator(seed, "alpha_floor")
    crowd = max(2, round(crowd_size * (people - 1) / people))
    found = []
    for _ in range(draws):
        fresh, perfect = (human_NT[rng.integers(people, size=size)] for size in (people - 1, crowd))
        found.append(mean_alpha_difference(alpha_differences(fresh, perfect, scale_T, keying_T, low, high)))
    return float(np.nanmean(found)) if not np.isnan(found).all() else np.nan


def mean_alpha_difference(scales: Sequence[ScaleAlpha]) -> float:
    """Mean absolute difference over the scales that have an alpha on both sides; NaN where none has."""
    gaps = [abs(scale.difference) for scale in scales if not np.isnan(scale.difference)]
    return float(np.mean(gaps)) if gaps else np.nan


def dispersion(human: Responses, simulated: Responses, response_type: ResponseType, problem_count: int) -> float:
    """Simulated SD / human SD: sqrt(sum_t simulated variance_t / sum_t human variance_t).

    Over the problems with at least two responses on both sides, variances with divisor n - 1. The ratio is
    that of the sums, not an average of ratios: where the few humans of a problem happen to agree, its own
    ratio is infinite, and the mean of ratios of small samples is above 1 even for a perfect crowd. NaN where
    no human varies.

    Raises MismatchError for responses that are no numbers.
    """
    human_T = variances(human, response_type, problem_count)
    simulated_T = variances(simulated, response_type, problem_count)
    both_T = ~np.isnan(human_T) & ~np.isnan(simulated_T)
    total = human_T[both_T].sum()
    return float(np.sqrt(simulated_T[both_T].sum() / total)) if total > 0 else np.nan


def _pair_moments(x_NT: Array) -> tuple[NDArray[np.float64], Array, Array]:
    """For each pair (t, u): how many answered both; covariance; variance of t among them (divisor n)."""
    seen_NT = (~np.isnan(x_NT)).astype(float)
    count_T = seen_NT.sum(axis=0)
    centre_T = np.divide(
        np.where(seen_NT > 0, x_NT, 0).sum(axis=0), count_T, out=np.zeros_like(count_T), where=count_T > 0
    )
    centred_NT = np.where(seen_NT > 0, x_NT - centre_T, 0.0)
    pairs_TT = seen_NT.T @ seen_NT
    n_TT = np.maximum(pairs_TT, 1)
    mean_TT = centred_NT.T @ seen_NT / n_TT
    covariance_TT = centred_NT.T @ centred_NT / n_TT - mean_TT * mean_TT.T
    variance_TT = (centred_NT**2).T @ seen_NT / n_TT - mean_TT**2
    # Rounding leaves about 1e-16 of a squared answer where people do not vary at all.
    tiny_TT = 1e-12 * np.maximum((centred_NT**2).T @ seen_NT / n_TT, 1e-300)
    return pairs_TT, covariance_TT, np.where(variance_TT > tiny_TT, variance_TT, 0.0)


def _compare(human_TT: Array, simulated_TT: Array) -> Coherence:
    upper = np.triu_indices(len(human_TT), k=1)
    gap = (human_TT - simulated_TT)[upper]
    possible, gap = len(gap), gap[~np.isnan(gap)]
    return Coherence(float(np.sqrt((gap**2).mean())) if len(gap) else np.nan, len(gap), possible)
