"""The subgroups whose distributions are counted: each level of each profile column, thirds of numeric ones.

Everybody comes first; then, per column, one group per level, and the people whose value is missing. The thirds are cut
at the values of the people that the model was fitted on, so they are the same for every crowd of a model.

Shapes: N people, C columns, G groups, L cells of a column.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.profiles.cells import MISSING
from crowdllm.profiles.generator import ProfileGenerator

EVERYBODY = ("", "")


@dataclass(frozen=True)
class Groups:
    """names: (column, level) of each of the G groups, everybody first. cuts: per column where thirds end."""

    names: tuple[tuple[str, str], ...]
    columns: tuple[ProfileColumn, ...]
    cuts: tuple[tuple[float, ...], ...]

    def __len__(self) -> int:
        return len(self.names)

    def members(self, people: Profiles) -> NDArray[np.bool_]:
        """(G, N) who belongs to each group."""
        out_GN = np.zeros((len(self), len(people)), dtype=bool)
        out_GN[0] = True
        row = 1
        for c, cut in enumerate(self.cuts if len(self) > 1 else ()):
            value_N = people.values_NC[:, c]
            missing_N = np.isnan(value_N)
            numeric = self.columns[c].kind == "numeric"
            code_N = np.searchsorted(cut, value_N, side="left") if numeric else np.where(missing_N, 0, value_N)
            for level in range(len(_levels(self.columns[c], cut))):
                out_GN[row] = (code_N == level) & ~missing_N
                row += 1
            out_GN[row] = missing_N
            row += 1
        return out_GN


def everybody() -> Groups:
    """One group, of all."""
    return Groups((EVERYBODY,), (), ())


def subgroups(generator: ProfileGenerator) -> Groups:
    """Everybody and every level of every profile column."""
    columns = generator.columns
    cuts = tuple(_thirds(generator, c) if column.kind == "numeric" else () for c, column in enumerate(columns))
    names = [EVERYBODY]
    for column, cut in zip(columns, cuts, strict=True):
        names += [(column.name, level) for level in (*_levels(column, cut), MISSING)]
    return Groups(tuple(names), columns, cuts)


def _levels(column: ProfileColumn, cut: tuple[float, ...]) -> tuple[str, ...]:
    if column.kind != "numeric":
        return column.levels
    if not cut:
        return ("any",)
    middle = [f"above {low:g}, up to {high:g}" for low, high in pairwise(cut)]
    return (f"up to {cut[0]:g}", *middle, f"above {cut[-1]:g}")


def _thirds(generator: ProfileGenerator, c: int) -> tuple[float, ...]:
    """The upper ends of the cells in which the first and second third of the people end."""
    cells, share_L = generator.cells[c], generator.margins[c]
    known = ~np.isnan(cells.high_L) & (share_L > 0)
    below = np.cumsum(share_L[known])
    if not len(below):
        return ()
    ends = [float(cells.high_L[known][np.searchsorted(below, below[-1] * third)]) for third in (1 / 3, 2 / 3)]
    greatest = float(cells.high_L[known][-1])
    return tuple(sorted({end for end in ends if end < greatest}))
