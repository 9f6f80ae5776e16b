"""How near made profiles are to real ones: margins, Wasserstein-1, and the share of exact copies.

The total variation between two tables is half the summed absolute difference of their shares: 0 for the same
margin, 1 for margins with nothing in common. Missing values count as a level of their own; numeric columns
are cut at the deciles of both crowds together.

Shapes: N people, C columns, L levels or bins.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.profiles import Profiles, require_same_columns
from crowdllm.errors import ConfigError

DECILES = np.arange(1, 10) / 10


def margin_distances(real: Profiles, made: Profiles) -> pd.DataFrame:
    """One row per column and pair of columns: `ways` (1 or 2), `columns`, `distance` (total variation).

    `frame.groupby("ways")["distance"].mean()` gives the one-way and the two-way average.

    Raises MismatchError for different columns and ConfigError when either crowd is empty.
    """
    _require_people(real, made)
    coded = [_coded(real, made, c) for c in range(len(real.columns))]
    rows = []
    for ways in (1, 2):
        for group in combinations(range(len(coded)), ways):
            shape = tuple(coded[c][2] for c in group)
            tables = [
                _table([coded[c][0] for c in group], shape),
                _table([coded[c][1] for c in group], shape),
            ]
            names = " x ".join(real.columns[c].name for c in group)
            rows.append((ways, names, 0.5 * float(np.abs(tables[0] - tables[1]).sum())))
    return pd.DataFrame(rows, columns=["ways", "columns", "distance"])


def copy_share(train: Profiles, made: Profiles) -> float:
    """Share of made profiles that equal a training person's in every column; NaN when nobody was made."""
    require_same_columns(train.columns, made.columns)
    if not len(made):
        return float("nan")
    if not len(train) or not len(train.columns):
        return float(len(train) > 0)
    known = set(_row_bytes(train))
    return float(np.mean([row in known for row in _row_bytes(made)]))


def profile_wasserstein(real: Profiles, made: Profiles, limit: int = 600) -> float:
    """Wasserstein-1 between two crowds' joint profiles, the distance of CrowdLLM theorem 1.

    The ground distance adds up over columns: 0 or 1 for a categorical column, the difference of ranks over
    the number of steps for an ordinal one, the difference over the range of both crowds for a numeric one, 1
    for missing against known. Exact for the first min(N, limit) real people, each taken as often as fits into
    `limit`, against as many made profiles from the start; 0..C.

    Raises MismatchError for different columns and ConfigError for an empty crowd or fewer made profiles than
    needed.
    """
    from scipy.optimize import linear_sum_assignment

    _require_people(real, made)
    head = min(len(real), limit)
    times = limit // head
    if len(made) < head * times:
        raise ConfigError(f"{head * times} made profiles are needed for this distance, not {len(made)}; recruit more")
    left = np.repeat(real.values_NC[:head], times, axis=0)
    right = made.values_NC[: head * times]
    cost = np.zeros((len(left), len(right)))
    for c, column in enumerate(real.columns):
        both = np.concatenate([real.values_NC[:, c], made.values_NC[:, c]])
        span = len(column.levels) - 1 if column.kind == "ordinal" else 1.0
        if column.kind == "numeric" and not np.all(np.isnan(both)):
            span = float(np.nanmax(both) - np.nanmin(both))
        gap = np.abs(left[:, None, c] - right[None, :, c])
        gap = (gap > 0).astype(float) if column.kind == "categorical" else gap / (span or 1.0)
        missing_left, missing_right = np.isnan(left[:, c])[:, None], np.isnan(right[:, c])[None, :]
        cost += np.where(missing_left | missing_right, (missing_left != missing_right).astype(float), gap)
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].mean())


def _coded(real: Profiles, made: Profiles, c: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """The bin of each real and each made person in column c, and the number of bins; missing is the last."""
    column = real.columns[c]
    both = np.concatenate([real.values_NC[:, c], made.values_NC[:, c]])
    missing = np.isnan(both)
    if column.kind == "numeric":
        cuts = np.unique(np.quantile(both[~missing], DECILES)) if not missing.all() else np.zeros(0)
        codes, count = np.searchsorted(cuts, both, side="left"), len(cuts) + 2
    else:
        codes, count = np.nan_to_num(both).astype(np.int64), len(column.levels) + 1
    codes = np.where(missing, count - 1, codes)
    return codes[: len(real)], codes[len(real) :], count


def _table(codes: list[NDArray[np.int64]], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Shares of each combination."""
    cell = np.ravel_multi_index(tuple(codes), shape)
    return np.bincount(cell, minlength=int(np.prod(shape))) / len(cell)


def _row_bytes(profiles: Profiles) -> list[bytes]:
    """Each profile as bytes; all missing values, and both zeros, alike."""
    values = np.where(np.isnan(profiles.values_NC), np.nan, profiles.values_NC) + 0.0
    return [row.tobytes() for row in np.ascontiguousarray(values)]


def _require_people(real: Profiles, made: Profiles) -> None:
    require_same_columns(real.columns, made.columns)
    if not len(real) or not len(made):
        raise ConfigError(
            f"profiles of {len(real)} real and {len(made)} made people cannot be compared; both need some"
        )
