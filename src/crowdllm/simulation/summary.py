"""From counts to tables: each problem's distribution and decisions, for everybody and for subgroups.

The decisions are those that `crowdllm.aggregation` would make of all the responses: mean, median and majority on
scales, majority among options, the mean per option of ballots, points and (as Borda points) rankings.

Shapes: G groups, T problems, M levels or options, W counts, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.aggregation.labels import decide
from crowdllm.aggregation.median import level_median
from crowdllm.aggregation.scores import row_shares
from crowdllm.data.problems import Problems
from crowdllm.responses.continuous import QUANTILES, Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import Array, ResponseType
from crowdllm.simulation.tables import Stamp
from crowdllm.simulation.tallies import INTERVALS, Tally, interval_span


def distribution_table(
    tally: Tally, kind: ResponseType, problems: Problems, stamp: Stamp, group: int = 0
) -> pd.DataFrame:
    """A row per problem: problem, responses, the decisions, and shares (or, of numbers, quantiles)."""
    answers_T, counts_TW = tally.answers_GT[group], tally.counts_GTW[group]
    columns: dict[str, object] = {"problem": problems.ids, "responses": answers_T}
    if isinstance(kind, Continuous):
        columns |= _of_numbers(kind, answers_T, counts_TW, tally.sums_GT[group])
    elif isinstance(kind, Ordinal):
        columns |= _of_levels(kind, answers_T, counts_TW)
    elif kind.kind == "choice":
        columns |= _of_choices(problems, answers_T, counts_TW)
    else:
        columns |= _of_options(answers_T, counts_TW)
    columns |= {"simulated": True, "model": stamp.model, "seed": stamp.seed}
    return pd.DataFrame(columns)


def subgroup_tables(
    tally: Tally, kind: ResponseType, problems: Problems, groups: Sequence[tuple[str, str]], stamp: Stamp
) -> list[pd.DataFrame]:
    """The same per group, with the profile column and level in front; everybody is left to `distribution_table`."""
    tables = []
    for g, (column, level) in enumerate(groups):
        if g == 0:
            continue
        table = distribution_table(tally, kind, problems, stamp, g)
        table.insert(0, "column", column)
        table.insert(1, "level", level)
        tables.append(table)
    return tables


def _per_answer(total_TW: Array, answers_T: NDArray[np.int64]) -> Array:
    out_TW = np.full(total_TW.shape, np.nan)
    return np.divide(total_TW, answers_T[:, None], out=out_TW, where=answers_T[:, None] > 0)


def _of_levels(kind: Ordinal, answers_T: NDArray[np.int64], counts_TM: NDArray[np.int64]) -> dict[str, object]:
    points_M, share_TM = np.array(kind.points), row_shares(counts_TM.astype(float))
    out: dict[str, object] = {
        "mean": _per_answer(counts_TM @ points_M[:, None], answers_T)[:, 0],
        "median": level_median(np.cumsum(counts_TM, axis=1), answers_T, points_M)[:, 0],
        "majority_vote": _where_answered(points_M[decide(np.nan_to_num(share_TM))], answers_T),
    }
    return out | {f"share_{level}": share_TM[:, m] for m, level in enumerate(kind.levels)}


def _of_choices(problems: Problems, answers_T: NDArray[np.int64], counts_TM: NDArray[np.int64]) -> dict[str, object]:
    share_TM = row_shares(counts_TM.astype(float))
    most_T = decide(np.nan_to_num(share_TM)).tolist()
    chosen = [problems.options[t][m] if answers_T[t] else "" for t, m in enumerate(most_T)]
    return {"majority_vote": chosen} | {f"share_{m + 1}": share_TM[:, m] for m in range(share_TM.shape[1])}


def _of_options(answers_T: NDArray[np.int64], counts_TM: NDArray[np.int64]) -> dict[str, object]:
    mean_TM, share_TM = _per_answer(counts_TM.astype(float), answers_T), row_shares(counts_TM.astype(float))
    means: dict[str, object] = {f"mean_{m + 1}": mean_TM[:, m] for m in range(mean_TM.shape[1])}
    return means | {f"share_{m + 1}": share_TM[:, m] for m in range(share_TM.shape[1])}


def _of_numbers(
    kind: Continuous, answers_T: NDArray[np.int64], counts_TW: NDArray[np.int64], sum_T: Array
) -> dict[str, object]:
    at_Q = (np.arange(QUANTILES) + 0.5) / QUANTILES
    quantile_TQ = interval_quantiles(kind, counts_TW, at_Q)
    out: dict[str, object] = {
        "mean": _per_answer(sum_T[:, None], answers_T)[:, 0],
        "median": interval_quantiles(kind, counts_TW, np.array([0.5]))[:, 0],
    }
    return out | {f"quantile_{at:.3f}": quantile_TQ[:, q] for q, at in enumerate(at_Q)}


def interval_quantiles(kind: Continuous, counts_TW: NDArray[np.int64], at_Q: Array) -> Array:
    """(T, Q) quantiles read off interval counts, linear inside an interval; NaN where nobody answered."""
    low, high = interval_span(kind)
    edges = np.concatenate([[low], low + (high - low) * np.arange(INTERVALS + 1) / INTERVALS, [high]])
    out_TQ = np.full((len(counts_TW), len(at_Q)), np.nan)
    for t, count_W in enumerate(counts_TW):
        total = count_W.sum()
        if not total:
            continue
        below_W = np.cumsum(count_W)
        w_Q = np.searchsorted(below_W, at_Q * total, side="left")
        into_Q = (at_Q * total - (below_W[w_Q] - count_W[w_Q])) / count_W[w_Q]
        out_TQ[t] = edges[w_Q] + into_Q * (edges[w_Q + 1] - edges[w_Q])
    return out_TQ


def _where_answered(decision_T: Array, answers_T: NDArray[np.int64]) -> Array:
    return np.where(answers_T > 0, decision_T, np.nan)
