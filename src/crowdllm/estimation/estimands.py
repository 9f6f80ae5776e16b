"""What is estimated of a problem: numbers per response whose mean, or whose middle, is asked for.

A response becomes C columns. Every estimand is then about means of columns in a population of people:

- ordinal: its points (`mean`), and an indicator per level (`share`);
- continuous: the number itself (`mean`), and an indicator per cell of a grid (`cell`, for the median only);
- choice, ballot, ranking: an indicator per option, of being chosen or named (`share`);
- points: the part of the budget that each option gets (`mean`, one column per option).

The median is the grouped (interpolated) median: level m is thought of as the stretch between the midpoints to its
neighbours, and the median is where the distribution function, straight within each stretch, reaches one half. On a
scale of five levels it can tell 2.1 from 2.9, where the plain median says 2 or 3.

Shapes: R responses, D response width, C columns, M levels or cells, T problems.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.problems import Problems, widest
from crowdllm.data.responses import Responses
from crowdllm.errors import MismatchError
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import Array, ResponseType

CELLS = 20


@dataclass(frozen=True)
class Columns:
    """The columns that responses of one study become.

    names: "" for a scale's mean, else the level or the option's position from 1. kinds: "mean", "share" or "cell".
    low_C, high_C: the least and greatest value, infinite where there is none. edge_E: (M + 1,) ends of the stretches of
    the grouped median's levels or cells, from the columns `stretch`; empty where there is no median.
    """

    response_type: ResponseType
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    low_C: Array
    high_C: Array
    edge_E: Array
    stretch: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def median_range(self) -> tuple[float, float]:
        """The least and greatest median: the ends of the scale."""
        if isinstance(self.response_type, Ordinal):
            return self.response_type.points[0], self.response_type.points[-1]
        return float(self.edge_E[0]), float(self.edge_E[-1])

    def of_kind(self, kind: str) -> tuple[int, ...]:
        """Positions of the columns of a kind."""
        return tuple(c for c, own in enumerate(self.kinds) if own == kind)

    def encode(self, values_RD: Array) -> Array:
        """(R, C) responses as columns."""
        kind = self.response_type
        if isinstance(kind, Ordinal):
            level_R = values_RD[:, 0].astype(np.int64)
            return np.c_[np.asarray(kind.points)[level_R], level_R[:, None] == np.arange(len(kind.levels))]
        if isinstance(kind, Continuous):
            return np.c_[values_RD[:, 0], self.cell_of(values_RD[:, 0])[:, None] == np.arange(len(self.edge_E) - 1)]
        if kind.kind == "choice":
            return (values_RD[:, :1] == np.arange(len(self))).astype(float)
        if isinstance(kind, Points):
            return values_RD / kind.budget
        return (values_RD > 0).astype(float)

    def cell_of(self, value_R: Array) -> NDArray[np.int64]:
        """(R,) the cell of each number; those beyond the grid belong to its ends."""
        cell_R = np.searchsorted(self.edge_E[1:-1], value_R, side="right")
        return np.asarray(cell_R, dtype=np.int64)


def make_columns(response_type: ResponseType, problems: Problems, responses: Responses) -> Columns:
    """The columns of a study; the responses only serve to lay the grid of a continuous scale.

    Raises MismatchError for a continuous scale without any response.
    """
    if isinstance(response_type, Ordinal):
        points = np.asarray(response_type.points)
        count = len(points)
        return Columns(
            response_type,
            ("", *response_type.levels),
            ("mean", *["share"] * count),
            np.r_[points[0], np.zeros(count)],
            np.r_[points[-1], np.ones(count)],
            stretches(points),
            tuple(range(1, count + 1)),
        )
    if isinstance(response_type, Continuous):
        return _continuous(response_type, responses)
    count = widest(problems, response_type)
    kind = "mean" if isinstance(response_type, Points) else "share"
    names = tuple(str(m + 1) for m in range(count))
    return Columns(response_type, names, (kind,) * count, np.zeros(count), np.ones(count), np.zeros(0), ())


def _continuous(response_type: Continuous, responses: Responses) -> Columns:
    if not len(responses):
        raise MismatchError("a continuous scale needs at least one response before anything can be estimated on it")
    value_R = responses.values_RD[:, 0]
    inner = np.unique(np.quantile(value_R, np.arange(1, CELLS) / CELLS))
    low = float(value_R.min()) if response_type.low is None else float(response_type.low)
    high = float(value_R.max()) if response_type.high is None else float(response_type.high)
    edge_E = np.unique(np.r_[low, inner, high if high > low else low + 1.0])
    cells = len(edge_E) - 1
    bounds = [
        -np.inf if response_type.low is None else low,
        np.inf if response_type.high is None else high,
    ]
    return Columns(
        response_type,
        ("", *(f"cell {m + 1}" for m in range(cells))),
        ("mean", *["cell"] * cells),
        np.r_[bounds[0], np.zeros(cells)],
        np.r_[bounds[1], np.ones(cells)],
        edge_E,
        tuple(range(1, cells + 1)),
    )


def stretches(points_M: Array) -> Array:
    """(M + 1,) ends of the levels' stretches: midpoints between neighbours, as far beyond the outer levels."""
    middle = (points_M[1:] + points_M[:-1]) / 2
    return np.r_[2 * points_M[0] - middle[0], middle, 2 * points_M[-1] - middle[-1]]


def grouped_quantile(share_TM: Array, edge_E: Array, probability_T: Array) -> Array:
    """(T,) where each distribution function, straight within each stretch, reaches its probability.

    Where it is flat at that height the middle of the flat part is taken; NaN rows stay NaN.
    """
    known = np.asarray(~np.isnan(share_TM).any(axis=1))
    upper_TM = np.cumsum(np.where(known[:, None], share_TM, 1.0), axis=1)
    upper_TM = upper_TM / upper_TM[:, -1:]
    height_T = np.clip(probability_T, 0.0, 1.0)
    ends = []
    for side in (1e-12, -1e-12):  # from the left and from the right: they differ where the function is flat
        cell_T = np.minimum((upper_TM < height_T[:, None] + side).sum(axis=1), upper_TM.shape[1] - 1)
        row_T = np.arange(len(upper_TM))
        above_T = upper_TM[row_T, cell_T]
        below_T = np.where(cell_T > 0, upper_TM[row_T, np.maximum(cell_T - 1, 0)], 0.0)
        part_T = np.clip((height_T - below_T) / np.maximum(above_T - below_T, 1e-300), 0.0, 1.0)
        ends.append(edge_E[cell_T] + part_T * (edge_E[cell_T + 1] - edge_E[cell_T]))
    return np.where(known, (ends[0] + ends[1]) / 2, np.nan)


def grouped_median(share_TM: Array, columns: Columns) -> Array:
    """(T,) grouped medians of these shares, within the ends of the scale."""
    low, high = columns.median_range
    return np.clip(grouped_quantile(share_TM, columns.edge_E, np.full(len(share_TM), 0.5)), low, high)


def below_weights(share_TM: Array, columns: Columns) -> Array:
    """(T, M) what part of each stretch lies below the median: the mean of these columns is one half there."""
    unclipped_T = grouped_quantile(share_TM, columns.edge_E, np.full(len(share_TM), 0.5))
    width_M = np.diff(columns.edge_E)
    return np.clip((unclipped_T[:, None] - columns.edge_E[:-1]) / width_M, 0.0, 1.0)
