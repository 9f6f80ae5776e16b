"""Draw humans from a population, compute every interval from their answers, and count which cover the truth.

Shapes: R responses of the population, S responses drawn, T problems, C columns, P pairs of problems.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.estimation.conformal import calibrate
from crowdllm.estimation.intervals import (
    COMBINED,
    CONFORMAL,
    HUMAN,
    RECTIFIED,
    THEOREM5,
    Found,
    answered_intervals,
    around,
    combined_bounds,
    conformal_bounds,
    crowd_values,
    ends_of,
    error_scale,
)
from crowdllm.estimation.rectified import Asked, Bounds, column_bounds, difference_bounds, tune_column
from crowdllm.estimation.theorem5 import theorem5_interval
from crowdllm.experiments.studies.coverage_population import CROWD, Population, means
from crowdllm.responses.protocol import Array
from crowdllm.rng import generator, seed_words

HALVE = 200
SLACK = 1e-9


@dataclass
class Tally:
    """Sums over problems and draws: how many intervals, how many cover the truth, widths, and those of humans alone."""

    draws: float = 0.0
    covered: float = 0.0
    width: float = 0.0
    human_width: float = 0.0


Key = tuple[str, str, float]
Part = tuple[Found, str, Bounds, Array]  # with the width of humans alone


def replay(
    made: Population, humans: tuple[int, int], calibration: tuple[int, int], draws: int, levels: tuple[float, ...],
    seed: int,
) -> pd.DataFrame:  # fmt: skip
    """Rows of estimand, interval, nominal, draws, covered, width, human_width: sums over `draws` draws of all problems.

    humans: the fewest and the most people who are asked per problem (one less than there are where there are fewer).
    calibration: the same for the problems that conformal intervals are calibrated on. A share counts once per problem:
    the mean over its options.
    """
    tallies: dict[Key, Tally] = defaultdict(Tally)
    once = calibration[0] >= int(np.bincount(made.problem_R).max())  # (nearly) everybody: the same in every draw
    kept: dict[float, list[Part]] = {}
    for d in range(draws):
        rows = draw_people(made, humans, seed_words(seed, f"coverage:{d}") % 2**31)
        others = draw_people(made, calibration, seed_words(seed, f"coverage:others:{d}") % 2**31)
        for level in levels:
            if not once or level not in kept:
                kept[level] = conformal_parts(made, others, level, d)
            for key, covered_T, width_T, human_T in one_draw(made, rows, kept[level], level):
                add(tallies[(*key, level)], covered_T, width_T, human_T)
    table = [(*key, t.draws, t.covered, t.width, t.human_width) for key, t in tallies.items()]
    return pd.DataFrame(table, columns=["estimand", "interval", "nominal", "draws", "covered", "width", "human_width"])


def add(tally: Tally, covered_T: Array, width_T: Array, human_T: Array) -> None:
    known = ~np.isnan(width_T)
    tally.draws += int(known.sum())
    tally.covered += float(covered_T[known].sum())
    tally.width += float(width_T[known].sum())
    tally.human_width += float(human_T[known].sum())


def draw_people(made: Population, humans: tuple[int, int], seed: int) -> NDArray[np.int64]:
    """Rows of the answers of those who are asked: neighbouring problems (in a random order) are put to the same people.

    Of an infinite population everybody in it was drawn already: all rows.
    """
    if not made.finite:
        return np.arange(len(made.problem_R))
    rng = generator(seed, "coverage:draw")
    pair_T = np.empty(made.count, dtype=np.int64)
    pair_T[rng.permutation(made.count)] = np.arange(made.count) // 2
    key_PN = rng.random((made.count // 2 + 1, int(made.participant_R.max()) + 1))
    key_R = key_PN[pair_T[made.problem_R], made.participant_R]
    order = np.lexsort((key_R, made.problem_R))
    there_T = np.bincount(made.problem_R, minlength=made.count)
    first_T = np.cumsum(there_T) - there_T
    rank_R = np.empty(len(order), dtype=np.int64)
    rank_R[order] = np.arange(len(order)) - np.repeat(first_T, there_T)
    wanted_T = np.minimum(rng.integers(humans[0], humans[1] + 1, size=made.count), np.maximum(there_T - 1, 0))
    return np.flatnonzero(rank_R < wanted_T[made.problem_R])


def conformal_parts(made: Population, others: NDArray[np.int64], level: float, draw: int) -> list[Part]:
    """Conformal intervals of all estimands, calibrated on these answers."""
    calibrating = [f for f in answered_intervals(asked_of(made, others), level) if f.interval == RECTIFIED]
    parts: list[Part] = []
    for estimand in ("mean", "median", "share"):
        own = [f for f in calibrating if f.estimand == estimand]
        if own:
            centre_TJ = np.stack([crowd_values(made.crowd_TC, made.columns, f) for f in own], axis=1)
            crowd = left_out_conformal(own, centre_TJ, made, level, draw)
            humans = left_out_conformal(own, None, made, level, draw)
            parts += [(f, CONFORMAL, b, h.width_T) for f, b, h in zip(own, crowd, humans, strict=True)]
    return parts


def one_draw(
    made: Population, rows: NDArray[np.int64], conformal: list[Part], level: float
) -> Iterator[tuple[tuple[str, str], Array, Array, Array]]:
    """(estimand, interval) with (T,) whether the truth is covered, the width, and the width of humans alone."""
    asked = asked_of(made, rows)
    people_T = effective_people(made, rows)
    shares: dict[str, list[tuple[Array, Array, Array]]] = defaultdict(list)
    alone: dict[int, Array] = {}
    parts = list(conformal)
    for found in answered_intervals(asked, level):
        if found.interval == HUMAN:
            alone[found.column] = found.bounds.width_T
        parts.append((found, found.interval, found.bounds, alone[found.column]))
        if found.interval == RECTIFIED:
            crowd_T, ends = crowd_values(made.crowd_TC, made.columns, found), ends_of(made.columns, found)
            bounds = combined_bounds(found, crowd_T, people_T, ends, level)
            parts.append((found, COMBINED, bounds, alone[found.column]))
    for found, interval, bounds, human_T in parts:
        truth_T = made.median_T if found.column < 0 else made.truth_TC[:, found.column]
        entry = (covers(bounds, truth_T), bounds.width_T, human_T)
        if found.estimand == "share":
            shares[interval].append(entry)
        else:
            yield (found.estimand, interval), *entry
    for interval, entries in shares.items():
        covered, width, human = (np.mean([e[k] for e in entries], axis=0) for k in range(3))
        yield ("share", interval), covered, width, human
    yield from differences(made, asked, level)
    yield from subgroups(made, rows, level)
    if made.columns.kinds[0] == "mean":
        yield from theorem5(made, rows, level, asked)


def covers(bounds: Bounds, truth_T: Array) -> Array:
    return np.asarray((truth_T >= bounds.low_T - SLACK) & (truth_T <= bounds.high_T + SLACK), dtype=float)


def asked_of(made: Population, rows: NDArray[np.int64]) -> Asked:
    """The answers that were drawn, with predictions centred on the population's."""
    there_T = effective_people(made, np.arange(len(made.problem_R)))
    if made.finite:
        frame_TC = means(made.expected_RC, made.problem_R, made.count, made.survey_weight_R)
        above_RC = (made.expected_RC - frame_TC[made.problem_R])[rows]
    else:
        above_RC = made.expected_RC[rows]
    return Asked(
        columns=made.columns,
        problem_R=made.problem_R[rows],
        weight_R=made.survey_weight_R[rows],
        answer_RC=made.answer_RC[rows],
        above_RC=above_RC,
        count=made.count,
        frame_T=there_T if made.finite else np.full(made.count, float(made.frame)),
        population_T=there_T if made.finite else None,
        participant_R=made.participant_R[rows],
    )


def effective_people(made: Population, rows: NDArray[np.int64]) -> Array:
    """(T,) Kish's effective number of the people who gave these answers: their number where there are no weights."""
    weight_S, problem_S = made.survey_weight_R[rows], made.problem_R[rows]
    total_T, square_T = (np.bincount(problem_S, weight_S**p, made.count) for p in (1, 2))
    return np.divide(total_T**2, square_T, out=np.zeros(made.count), where=square_T > 0)


def left_out_conformal(
    founds: list[Found], centre_TJ: Array | None, made: Population, level: float, draw: int
) -> list[Bounds]:
    """Conformal intervals of every problem from the others' errors: all others, or the other half where there are many.

    founds: J columns, which are calibrated together (the shares). centre_TJ: what the crowd says; None for the mean of
    the human estimates on the other problems, which is what there is without a crowd. Where there is one problem, its
    options take the place of problems.
    """
    estimate_TJ = np.stack([f.bounds.estimate_T for f in founds], axis=1)
    unit_TJ = np.arange(made.count)[:, None] + np.zeros(len(founds), dtype=np.int64)
    if made.count == 1:
        unit_TJ = np.arange(len(founds))[None, :]
    elif made.count > HALVE:
        half_T = generator(draw, "coverage:halves").permutation(made.count) % 2
        unit_TJ = np.repeat(half_T[:, None], len(founds), axis=1)
    centre_TJ = _mean_of_others(estimate_TJ, unit_TJ) if centre_TJ is None else centre_TJ
    scale_TJ = np.stack([error_scale(centre_TJ[:, j], f.estimand) for j, f in enumerate(founds)], axis=1)
    noise_TJ = np.stack([f.bounds.noise_T for f in founds], axis=1)
    smooth_TJ = np.stack([f.bounds.variance_T for f in founds], axis=1)
    residual_TJ, heavy = estimate_TJ - centre_TJ, founds[0].column < 0
    half_TJ = np.full(unit_TJ.shape, np.nan)
    for k in np.unique(unit_TJ):
        use = unit_TJ != k
        made_of = calibrate(residual_TJ[use], noise_TJ[use], scale_TJ[use], smooth_TJ[use], heavy)
        half_TJ[~use] = made_of.half_width(level)
    half_TJ = np.where(np.isinf(half_TJ), np.nan, half_TJ)  # too few problems for this level: there is no interval
    return [
        conformal_bounds(centre_TJ[:, j], f.estimand, ends_of(made.columns, f), half_TJ[:, j])
        for j, f in enumerate(founds)
    ]


def _mean_of_others(estimate_TJ: Array, unit_TJ: NDArray[np.int64]) -> Array:
    """(T, J) mean of each column over the problems left to calibrate on; over the other options of a single problem.

    NaN where nothing is left.
    """
    out = np.empty(estimate_TJ.shape)
    for k in np.unique(unit_TJ):
        use = unit_TJ != k
        if len(estimate_TJ) == 1:
            out[~use] = _mean_known(estimate_TJ[use][:, None])
        else:
            out[~use[:, 0]] = _mean_known(estimate_TJ[use[:, 0]])
    return out


def _mean_known(value_TJ: Array) -> Array:
    """(J,) mean of what is known in each column, NaN where nothing is."""
    known_J = (~np.isnan(value_TJ)).sum(axis=0)
    return np.divide(np.nansum(value_TJ, axis=0), known_J, out=np.full(value_TJ.shape[1], np.nan), where=known_J > 0)


def differences(made: Population, asked: Asked, level: float) -> Iterator[tuple[tuple[str, str], Array, Array, Array]]:
    """Between the problems that were put to the same people."""
    if made.count < 2 or made.columns.kinds[0] != "mean":
        return
    first_P, second_P, shared_P = pairs(made, asked)
    truth_P = made.truth_TC[first_P, 0] - made.truth_TC[second_P, 0]
    human_P = np.zeros(len(first_P))
    for interval, tuning in ((HUMAN, None), (RECTIFIED, tune_column(asked, 0))):
        bounds = difference_bounds(asked, 0, first_P, second_P, level, tuning, shared_P if made.finite else None)
        human_P = bounds.width_T if interval == HUMAN else human_P
        yield ("difference", interval), covers(bounds, truth_P), bounds.width_T, human_P


def pairs(made: Population, asked: Asked) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Every problem with the one it has most people in common with, and N_ab / (N_a N_b) (of weights, the sum of
    products over the product of sums); the next one if many."""
    answered = np.zeros((made.count, int(made.participant_R.max()) + 1), dtype=np.float32)
    assert asked.participant_R is not None
    answered[asked.problem_R, asked.participant_R] = 1.0
    first_P = np.arange(made.count)
    second_P = (first_P + 1) % made.count
    if made.count <= HALVE:
        common = answered @ answered.T
        np.fill_diagonal(common, -1)
        second_P = np.argmax(common, axis=1)
    there = np.zeros_like(answered)
    there[made.problem_R, made.participant_R] = made.survey_weight_R
    size_T = there.sum(axis=1)
    both, product_P = (there[first_P] * there[second_P]).sum(axis=1), size_T[first_P] * size_T[second_P]
    shared_P = np.divide(both, product_P, out=np.zeros(made.count, dtype=both.dtype), where=product_P > 0)
    return first_P, second_P, shared_P.astype(float)


def subgroups(
    made: Population, rows: NDArray[np.int64], level: float
) -> Iterator[tuple[tuple[str, str], Array, Array, Array]]:
    """Between two groups of people on one problem; problems where one of them was not asked are left out."""
    inside = made.group_R >= 0
    if not inside.any():
        return
    cell_R = np.where(inside, 2 * made.problem_R + made.group_R, 0)
    drawn = rows[inside[rows]]
    there = np.bincount(cell_R[inside], minlength=2 * made.count).astype(float)
    if made.finite:
        frame = means(made.expected_RC[inside], cell_R[inside], 2 * made.count)
        above = made.expected_RC[drawn] - frame[cell_R[drawn]]
    else:
        above = made.group_above_RC[drawn]
    population = there if made.finite else None
    frame_T = there if made.finite else np.full(2 * made.count, float(made.group_frame))
    asked = Asked(
        made.columns,
        cell_R[drawn],
        np.ones(len(drawn)),
        made.answer_RC[drawn],
        above,
        2 * made.count,
        frame_T,
        population,
    )
    first_P, second_P = 2 * np.arange(made.count) + 1, 2 * np.arange(made.count)
    asked_T = np.bincount(asked.problem_R, minlength=2 * made.count)
    both = (asked_T[first_P] > 0) & (asked_T[second_P] > 0)
    first_P, second_P, truth_P = first_P[both], second_P[both], made.group_truth_T[both]
    human_P = np.zeros(len(first_P))
    for interval, tuning in ((HUMAN, None), (RECTIFIED, tune_column(asked, 0))):
        bounds = difference_bounds(asked, 0, first_P, second_P, level, tuning)
        human_P = bounds.width_T if interval == HUMAN else human_P
        yield ("subgroup", interval), covers(bounds, truth_P), bounds.width_T, human_P


def theorem5(
    made: Population, rows: NDArray[np.int64], level: float, asked: Asked
) -> Iterator[tuple[tuple[str, str], Array, Array, Array]]:
    """Theorem 5 as written, with eps0 from the problem's own residuals."""
    residual_R = made.answer_RC[rows, 0] - made.twin_R[rows]
    found = theorem5_interval(
        made.crowd_mean_T,
        CROWD,
        made.bias_T,
        made.llm_T,
        residual_R,
        made.problem_R[rows],
        level,
        weight_R=made.survey_weight_R[rows],
    )
    low, high = float(made.columns.low_C[0]), float(made.columns.high_C[0])
    bounds = around(found.crowd_T, found.tolerance_T + found.sampling_T, low, high)
    yield (
        ("mean", THEOREM5),
        covers(bounds, made.truth_TC[:, 0]),
        bounds.width_T,
        column_bounds(asked, 0, level).width_T,
    )
