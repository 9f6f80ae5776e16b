"""The estimates as tables: `interval_table` for every interval, `worth_table` for what they are worth in humans.

Columns of the first (`TABLE`): problem; estimand (mean, share, median, difference, subgroup); of: the option or level
of a share, the other problem of a difference, the two levels of a subgroup difference; group: the subgroup that was
estimated, "" for everybody; interval (human, rectified, combined, conformal, theorem5); estimate, low, high, level;
humans: how many answers it rests on; worth: how many human answers alone (weighted as unequally as those there are,
where there are survey weights) would give an interval as narrow; note.

Shapes: T problems, C columns, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.estimation.conformal import Calibration, calibrate
from crowdllm.estimation.estimate import Evidence
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
from crowdllm.estimation.rectified import Asked, Bounds, difference_bounds, tune_column
from crowdllm.estimation.theorem5 import theorem5_interval
from crowdllm.estimation.worth import humans_for, overall_worth, worth
from crowdllm.responses.protocol import Array

TABLE = (
    "problem", "estimand", "of", "group", "interval", "estimate", "low", "high", "level", "humans", "worth", "note",
)  # fmt: skip
NO_HUMANS = "no human response; calibrated on the other problems"
TOO_FEW = "too few problems with human responses for this level: the whole scale"
OVERALL = "(overall)"


@dataclass(frozen=True)
class Part:
    """One interval of one estimand on some problems; of: a text for each."""

    rows: NDArray[np.int64]
    estimand: str
    of: Sequence[str]
    group: str
    interval: str
    bounds: Bounds
    humans_T: Array
    worth_T: Array
    note: str = ""


def interval_table(evidence: Evidence) -> pd.DataFrame:
    """All intervals; see the module for the columns."""
    parts = [*_answered(evidence, evidence.asked, ""), *_unanswered(evidence), *_theorem5(evidence)]
    for group in evidence.groups:
        parts += [part for part in _answered(evidence, group.asked, group.level) if part.interval != COMBINED]
    parts += [*_differences(evidence), *_group_differences(evidence)]
    frames = [_frame(evidence, part) for part in parts if len(part.rows)]
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(TABLE))
    place = {str(i): t for t, i in enumerate(evidence.study.problems.ids)}
    order = table["problem"].map(place).to_numpy(dtype=float) if len(table) else np.zeros(0)
    return table.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)


def _frame(evidence: Evidence, part: Part) -> pd.DataFrame:
    rows = part.rows
    frame = pd.DataFrame(
        {
            "problem": evidence.study.problems.ids[rows].astype(str),
            "estimand": part.estimand,
            "of": list(part.of),
            "group": part.group,
            "interval": part.interval,
            "estimate": part.bounds.estimate_T,
            "low": part.bounds.low_T,
            "high": part.bounds.high_T,
            "level": evidence.settings.level,
            "humans": part.humans_T,
            "worth": part.worth_T,
            "note": part.note,
        }
    )
    return frame[list(TABLE)]


def _taken(bounds: Bounds, rows: NDArray[np.int64]) -> Bounds:
    return Bounds(
        bounds.estimate_T[rows], bounds.low_T[rows], bounds.high_T[rows], bounds.variance_T[rows], bounds.noise_T[rows]
    )


def _labels(evidence: Evidence, column: int, rows: NDArray[np.int64]) -> list[str]:
    """The level, or the option's own text; "" for means and medians."""
    if column < 0:
        return [""] * len(rows)
    if not evidence.study.response_type.has_options:
        return [evidence.columns.names[column]] * len(rows)
    options = evidence.study.problems.options
    return [str(options[t][column]) if column < len(options[t]) else "" for t in rows]


def _has_column(evidence: Evidence, column: int) -> NDArray[np.bool_]:
    """(T,) whether the problem has this option; True for scales."""
    counts = evidence.study.problems.option_counts
    if column < 0 or not evidence.study.response_type.has_options:
        return np.ones(len(counts), dtype=bool)
    return np.asarray(column < counts)


def _answered(evidence: Evidence, asked: Asked, group: str) -> Iterator[Part]:
    """Humans alone, rectified and combined, on the problems that people of this group answered."""
    n_T = np.bincount(asked.problem_R, minlength=asked.count).astype(float)
    kish_T = asked.sums(np.zeros(len(asked.problem_R))).kish_T if len(asked.problem_R) else n_T
    alone: dict[tuple[str, int], Bounds] = {}
    if not len(asked.problem_R):
        return
    for found in answered_intervals(asked, evidence.settings.level):
        rows = np.flatnonzero((n_T > 0) & _has_column(evidence, found.column) & ~np.isnan(found.bounds.estimate_T))
        if not len(rows):
            continue
        label = _labels(evidence, found.column, rows)
        made = [(found.interval, found.bounds)]
        if found.interval == HUMAN:
            alone[found.estimand, found.column] = found.bounds
        else:
            crowd_T = crowd_values(evidence.held_out_TC, evidence.columns, found)
            ends = ends_of(evidence.columns, found)
            made.append((COMBINED, combined_bounds(found, crowd_T, kish_T, ends, evidence.settings.level)))
        for interval, bounds in made:
            if np.isnan(bounds.low_T[rows]).all():
                continue
            own = alone[found.estimand, found.column]
            value_T = worth(n_T, own.variance_T, bounds.variance_T)
            yield Part(rows, found.estimand, label, group, interval, _taken(bounds, rows), n_T[rows], value_T[rows])


def _unanswered(evidence: Evidence) -> Iterator[Part]:
    """Conformal intervals on the problems without any human response."""
    asked, level = evidence.asked, evidence.settings.level
    n_T = np.bincount(asked.problem_R, minlength=asked.count)
    empty = np.flatnonzero(n_T == 0)
    if not len(empty) or not len(asked.problem_R):
        return
    rectified = [found for found in answered_intervals(asked, level) if found.interval == RECTIFIED]
    shares = _calibrated([f for f in rectified if f.estimand == "share"], evidence)
    for found in rectified:
        rows = empty[_has_column(evidence, found.column)[empty]]
        if not len(rows):
            continue
        calibration = shares if found.estimand == "share" else _calibrated([found], evidence)
        crowd_T = crowd_values(evidence.crowd_TC, evidence.columns, found)
        half = calibration.half_width(level)
        bounds = conformal_bounds(crowd_T, found.estimand, ends_of(evidence.columns, found), half)
        scale_T = error_scale(crowd_T, found.estimand)
        value_T = humans_for(half * scale_T, _spread(asked, found, crowd_T), level) / _effective(asked)
        note = NO_HUMANS if np.isfinite(half) else TOO_FEW
        label = _labels(evidence, found.column, rows)
        yield Part(
            rows, found.estimand, label, "", CONFORMAL, _taken(bounds, rows), np.zeros(len(rows)), value_T[rows], note
        )


def _effective(asked: Asked) -> float:
    """As much of an answer as survey weights leave: Kish's effective number of the answers over their number."""
    return float(asked.weight_R.sum() ** 2 / (asked.weight_R**2).sum() / len(asked.weight_R))


def _calibrated(founds: list[Found], evidence: Evidence) -> Calibration:
    """The crowd's errors on the answered problems, over all columns given."""
    parts = []
    for found in founds:
        crowd_T = crowd_values(evidence.held_out_TC, evidence.columns, found)
        bounds = found.bounds
        rows = (bounds.estimate_T - crowd_T, bounds.noise_T, error_scale(crowd_T, found.estimand), bounds.variance_T)
        keep = _has_column(evidence, found.column)
        parts.append([row[keep] for row in rows])
    if not parts:
        return calibrate([], [])
    residual, noise, scale, smooth = (np.concatenate([p[k] for p in parts]) for k in range(4))
    return calibrate(residual, noise, scale, smooth, heavy=founds[0].column < 0)


def _spread(asked: Asked, found: Found, crowd_T: Array) -> Array:
    """(T,) variance of one answer on a problem without any: p (1 - p) for shares, else pooled over problems."""
    if found.estimand == "share":
        return np.asarray(np.maximum(crowd_T * (1 - crowd_T), 1e-6))
    pooled = asked.sums(asked.answer_RC[:, max(found.column, 0)]).pooled
    return np.full(len(crowd_T), pooled)


def _theorem5(evidence: Evidence) -> Iterator[Part]:
    """Theorem 5 as written, for means on the answered problems."""
    asked = evidence.asked
    if evidence.columns.kinds[:1] != ("mean",) or evidence.study.response_type.has_options or not len(asked.problem_R):
        return
    made = theorem5_interval(
        evidence.crowd_TC[:, 0],
        evidence.crowd_size,
        evidence.between_TC[:, 0],
        evidence.llm_T,
        asked.answer_RC[:, 0] - evidence.twin_R,
        asked.problem_R,
        evidence.settings.level,
        weight_R=asked.weight_R,
    )
    low, high = float(evidence.columns.low_C[0]), float(evidence.columns.high_C[0])
    bounds = around(made.crowd_T, made.tolerance_T + made.sampling_T, low, high)
    n_T = np.bincount(asked.problem_R, minlength=asked.count).astype(float)
    rows = np.flatnonzero(n_T > 0)
    note = "eps0 from this problem's own residuals"
    nothing = np.full(len(rows), np.nan)
    yield Part(rows, "mean", [""] * len(rows), "", THEOREM5, _taken(bounds, rows), n_T[rows], nothing, note)


def _differences(evidence: Evidence) -> Iterator[Part]:
    """Between the problems that are compared: of the mean, on scales; of every share otherwise."""
    asked = evidence.asked
    n_T = np.bincount(asked.problem_R, minlength=asked.count).astype(float)
    pairs = [(a, b) for a, b in evidence.pairs if n_T[a] and n_T[b]]
    if not pairs:
        return
    first, second = (np.array([pair[k] for pair in pairs]) for k in (0, 1))
    label = [str(evidence.study.problems.ids[b]) for b in second]
    for c in _compared_columns(evidence):
        named = evidence.columns.names[c]
        alone = difference_bounds(asked, c, first, second, evidence.settings.level)
        together = difference_bounds(asked, c, first, second, evidence.settings.level, tune_column(asked, c))
        of = [f"{named}: {other}" if named else other for other in label]
        yield from _both("difference", first, of, alone, together, np.minimum(n_T[first], n_T[second]))


def _compared_columns(evidence: Evidence) -> list[int]:
    return [0] if evidence.columns.kinds[0] == "mean" and not evidence.study.response_type.has_options else [
        c for c, kind in enumerate(evidence.columns.kinds) if kind != "cell"
    ]  # fmt: skip


def _both(
    estimand: str, rows: NDArray[np.int64], of: Sequence[str], alone: Bounds, together: Bounds, n_P: Array
) -> Iterator[Part]:
    for interval, bounds in ((HUMAN, alone), (RECTIFIED, together)):
        yield Part(rows, estimand, of, "", interval, bounds, n_P, worth(n_P, alone.variance_T, bounds.variance_T))


def _group_differences(evidence: Evidence) -> Iterator[Part]:
    """Between every two levels of the profile column, on each problem that both answered."""
    if len(evidence.groups) < 2:
        return
    count, groups = evidence.asked.count, evidence.groups
    stacked = _stacked([group.asked for group in groups], count)
    n_C = np.bincount(stacked.problem_R, minlength=stacked.count).astype(float)
    for a, b in combinations(range(len(groups)), 2):
        first, second = a * count + np.arange(count), b * count + np.arange(count)
        rows = np.flatnonzero((n_C[first] > 0) & (n_C[second] > 0))
        if not len(rows):
            continue
        for c in _compared_columns(evidence):
            rows_c = rows[_has_column(evidence, c)[rows]]
            f, s = first[rows_c], second[rows_c]
            alone = difference_bounds(stacked, c, f, s, evidence.settings.level)
            together = difference_bounds(stacked, c, f, s, evidence.settings.level, tune_column(stacked, c))
            words = f"{groups[a].level} - {groups[b].level}"
            own = _labels(evidence, c, rows_c) if evidence.columns.names[c] else [""] * len(rows_c)
            of = [f"{o}: {words}" if o else words for o in own]
            yield from _both("subgroup", rows_c, of, alone, together, np.minimum(n_C[f], n_C[s]))


def _stacked(parts: list[Asked], count: int) -> Asked:
    """The answers of several groups as one, in cells of a group and a problem."""
    first = parts[0]
    return replace(
        first,
        problem_R=np.concatenate([part.problem_R + g * count for g, part in enumerate(parts)]),
        weight_R=np.concatenate([part.weight_R for part in parts]),
        answer_RC=np.concatenate([part.answer_RC for part in parts]),
        above_RC=np.concatenate([part.above_RC for part in parts]),
        count=len(parts) * count,
        frame_T=np.concatenate([part.frame_T for part in parts]),
        participant_R=None,
    )


def worth_table(evidence: Evidence, table: pd.DataFrame) -> pd.DataFrame:
    """problem, interval, humans, worth, ratio: per problem, the mean over its estimands; then all problems together.

    Means stand for scales, shares for options. ratio: worth / humans, NaN for a problem without humans.
    """
    estimand = "mean" if evidence.columns.kinds[:1] == ("mean",) else "share"
    if "mean" not in set(table["estimand"]):
        estimand = "share"
    own = table[(table["estimand"] == estimand) & (table["group"] == "")]
    own = own[own["interval"].isin([RECTIFIED, COMBINED, CONFORMAL])]
    grouped = own.groupby(["problem", "interval"], sort=False, as_index=False)[["humans", "worth"]].mean()
    rows = []
    for interval in dict.fromkeys(grouped["interval"]):
        part = grouped[grouped["interval"] == interval]
        total, times = overall_worth(part["humans"], part["worth"])
        rows.append((OVERALL, interval, float(part["humans"].sum()), total, times))
    overall = pd.DataFrame(rows, columns=["problem", "interval", "humans", "worth", "ratio"])
    humans = grouped["humans"].to_numpy(dtype=float)
    value = grouped["worth"].to_numpy(dtype=float)
    ratio = np.divide(value, humans, out=np.full(len(humans), np.nan), where=humans > 0)
    return pd.concat([overall, grouped.assign(ratio=ratio)], ignore_index=True)
