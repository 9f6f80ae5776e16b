"""The finite cells that a profile column is cut into, so that every kind of column becomes a table.

A categorical or ordinal column has one cell per declared level. A numeric column has closed intervals `[low,
high]` cut at quantiles (finer in the tails), single values where many people share one. Every column ends
with a cell for a missing value. Inside an interval a numeric value is uniform on the observed granularity:
whole numbers stay whole numbers, multiples of 500 stay multiples of 500, and nothing lies outside the
observed range.

Shapes: L cells of a column (the last one is "missing"), N people, R values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.profiles import ProfileColumn

Array = NDArray[np.float64]
MISSING = "(missing)"
BINS = 24
PEOPLE_PER_BIN = 5
POINTS = 40
DECIMALS = 6


@dataclass(frozen=True)
class Cells:
    """What the L cells of one column stand for.

    low_L, high_L: closed limits of each cell; both the level's position for levels; NaN for the missing cell.
    step: distance between neighbouring values of a numeric column; 0 where it is continuous.
    decimals: digits after the point that values on that grid have.
    """

    column: ProfileColumn
    low_L: Array
    high_L: Array
    step: float = 0.0
    decimals: int = 0

    def __len__(self) -> int:
        return len(self.low_L)

    @property
    def values_L(self) -> Array:
        """(L,) how many values each cell holds; 1 for levels, missing, and continuous intervals."""
        if not self.step:
            return np.ones(len(self))
        return np.nan_to_num(np.round((self.high_L - self.low_L) / self.step)) + 1

    @property
    def span(self) -> str:
        """The levels, or the range of a numeric column, in words."""
        if self.column.kind != "numeric":
            return ", ".join(self.column.levels)
        return f"{self.low_L[0]:g} to {self.high_L[-2]:g}" if len(self) > 1 else "no value"

    def codes(self, values_N: Array) -> NDArray[np.int64]:
        """(N,) the cell of each value; values between two cells count to the one below."""
        known = np.searchsorted(self.low_L[:-1], values_N, side="right") - 1
        return np.where(np.isnan(values_N), len(self) - 1, np.maximum(known, 0)).astype(np.int64)

    def emit(self, code_R: NDArray[np.int64], uniform_R: Array) -> Array:
        """(R,) one value from each cell, uniform on its grid (or its interval); NaN for the missing cell."""
        low_R, high_R = self.low_L[code_R], self.high_L[code_R]
        if self.column.kind != "numeric":
            return low_R
        if not self.step:
            return np.clip(low_R + uniform_R * (high_R - low_R), low_R, high_R)
        return np.round(low_R + self.step * np.floor(uniform_R * self.values_L[code_R]), self.decimals)

    def refine(self, ranges: Sequence[tuple[float, float]]) -> tuple[Cells, NDArray[np.int64], Array]:
        """Cells cut so that each lies inside or outside of every range [low, high].

        Returns the cells, the old cell of each, and its share of that old cell.
        """
        low, high, parent, share = [], [], [], []
        for cell in range(len(self)):
            for piece in self._pieces(cell, ranges):
                low.append(piece[0])
                high.append(piece[1])
                share.append(piece[2])
                parent.append(cell)
        cells = Cells(self.column, np.array(low), np.array(high), self.step, self.decimals)
        return cells, np.array(parent, dtype=np.int64), np.array(share)

    def inside(self, ranges: Sequence[tuple[float, float]]) -> NDArray[np.bool_]:
        """(L,) whether a cell lies in one of the closed ranges; the missing cell lies in none."""
        out_L = np.zeros(len(self), dtype=bool)
        for low, high in ranges:
            out_L |= (self.low_L >= low) & (self.high_L <= high)
        return out_L

    def _pieces(self, cell: int, ranges: Sequence[tuple[float, float]]) -> list[tuple[float, float, float]]:
        """(low, high, share) of the parts of one cell."""
        low, high = float(self.low_L[cell]), float(self.high_L[cell])
        if self.column.kind != "numeric" or not low < high:
            return [(low, high, 1.0)]
        if not self.step:
            cuts = sorted({low, high, *(x for r in ranges for x in r if low < x < high)})
            return [(a, b, (b - a) / (high - low)) for a, b in pairwise(cuts)]
        count = int(self.values_L[cell])
        starts = {self._first(low, count, r[0], above=False) for r in ranges}
        stops = {self._first(low, count, r[1], above=True) for r in ranges}
        cuts_on_grid = sorted({0, count} | starts | stops)
        return [(self._at(low, a), self._at(low, b - 1), (b - a) / count) for a, b in pairwise(cuts_on_grid)]

    def _at(self, low: float, index: int) -> float:
        return round(low + self.step * index, self.decimals)

    def _first(self, low: float, count: int, bound: float, above: bool) -> int:
        """The first of `count` grid values from `low` on that is at least `bound` (or above it)."""
        index = int(np.clip(np.floor((bound - low) / self.step) - 1, 0, count))
        while index < count and (self._at(low, index) < bound or (above and self._at(low, index) == bound)):
            index += 1
        return index


def make_cells(column: ProfileColumn, values_N: Array) -> Cells:
    """Cut a column into cells, by its declared levels or by the quantiles of its values."""
    if column.kind != "numeric":
        low_L = np.append(np.arange(len(column.levels), dtype=float), np.nan)
        return Cells(column, low_L, low_L)
    known = np.sort(values_N[~np.isnan(values_N)])
    if not len(known):
        return Cells(column, np.array([np.nan]), np.array([np.nan]))
    distinct, count = np.unique(known, return_counts=True)
    step, decimals = granularity(distinct)
    starts = np.flatnonzero(_cell_starts(count))
    stops = np.append(starts[1:], len(distinct)) - 1
    return Cells(column, np.append(distinct[starts], np.nan), np.append(distinct[stops], np.nan), step, decimals)


def granularity(distinct: Array) -> tuple[float, int]:
    """(step, decimals) of the coarsest grid that holds all these values; step 0 where they are continuous."""
    for decimals in range(DECIMALS + 1):
        scaled = distinct * 10.0**decimals
        whole = np.round(scaled)
        if np.abs(whole).max() >= 2**53:
            break
        if np.all(np.abs(scaled - whole) <= 1e-9 * np.maximum(1.0, np.abs(scaled))):
            unit = int(np.gcd.reduce(np.diff(whole).astype(np.int64))) if len(whole) > 1 else 1
            return unit / 10.0**decimals, decimals
    return 0.0, 0


def _cell_starts(count: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the sorted distinct values opens a new cell."""
    total = int(count.sum())
    if len(count) <= POINTS and total >= PEOPLE_PER_BIN * len(count):
        return np.ones(len(count), dtype=bool)
    bins = int(np.clip(total // PEOPLE_PER_BIN, 1, BINS))
    levels = list(np.arange(1, bins) / bins)
    tail = 1 / bins / 2
    while tail * total >= PEOPLE_PER_BIN:  # a long tail in one interval would not be uniform in it
        levels += [tail, 1 - tail]
        tail /= 2
    middle = (np.cumsum(count) - count / 2) / total
    label = np.searchsorted(np.sort(levels), middle)
    heavy = (count * bins >= total) & (bins > 1)
    change = (np.diff(label) > 0) | heavy[1:] | heavy[:-1]
    return np.append(True, change)
