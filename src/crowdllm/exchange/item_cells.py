"""Put answers that a tool spreads over several columns (picks, ranks, points) into one cell per person.

Shapes: N people, M options.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.tables import Cells, number_text, plain_number


def empty_cells(count: int) -> Cells:
    """(count,) cells without an answer."""
    return np.full(count, "", dtype=object)


def picks_cells(chosen_NM: NDArray[np.bool_], answered_N: NDArray[np.bool_]) -> Cells:
    """`#1|#3` for who picked the first and third option, `|` for who answered and picked none, "" for who did not."""
    out = empty_cells(len(answered_N))
    for n in np.flatnonzero(answered_N).tolist():
        out[n] = "|".join(f"#{m + 1}" for m in np.flatnonzero(chosen_NM[n])) or "|"
    return out


def rank_cells(columns_MN: Sequence[Cells]) -> Cells:
    """`#2|#1` from columns that hold each option's rank (1 is best); what is no ranking stays, to be counted."""
    count = len(columns_MN[0]) if columns_MN else 0
    out = empty_cells(count)
    for n in range(count):
        cells = [str(column[n]).strip() for column in columns_MN]
        ranks = [plain_number(cell) for cell in cells]
        ranked = sorted((rank, m) for m, rank in enumerate(ranks) if rank is not None)
        if not any(cells):
            continue
        proper = [rank for rank, _ in ranked] == [float(r + 1) for r in range(len(ranked))]
        readable = all(rank is not None or not cell for rank, cell in zip(ranks, cells, strict=True))
        if proper and readable:
            out[n] = "|".join(f"#{m + 1}" for _, m in ranked)
        else:
            out[n] = "ranks " + ", ".join(cells)
    return out


def order_cells(columns_PN: Sequence[Cells], position: dict[str, int]) -> Cells:
    """`#2|#1` from columns that hold the option at the first place, at the second, and so on."""
    count = len(columns_PN[0]) if columns_PN else 0
    out = empty_cells(count)
    for n in range(count):
        cells = [str(column[n]).strip() for column in columns_PN]
        named = [cell for cell in cells if cell]
        places = [position.get(cell, -1) for cell in named]
        gapless = cells[: len(named)] == named
        if named and gapless and min(places) >= 0 and len(set(places)) == len(places):
            out[n] = "|".join(f"#{m + 1}" for m in places)
        elif named:
            out[n] = "order " + ", ".join(cells)
    return out


def points_cells(columns_MN: Sequence[Cells]) -> Cells:
    """`#1=60|#2=40` from columns that hold each option's points; an empty one among others counts as 0."""
    count = len(columns_MN[0]) if columns_MN else 0
    out = empty_cells(count)
    for n in range(count):
        cells = [str(column[n]).strip() for column in columns_MN]
        if any(cells):
            numbers = [(m, plain_number(cell)) for m, cell in enumerate(cells) if cell]
            parts = [f"#{m + 1}={number_text(v) if v is not None else cells[m]}" for m, v in numbers if v != 0]
            out[n] = "|".join(parts) or "no points"
    return out


def split_labels(cell: str, labels: Sequence[str], separator: str = ",") -> list[int] | None:
    """The positions of the labels that a cell lists, though labels may hold the separator; None where it does not fit.

    Of labels that begin alike the longest is taken.
    """
    rest, out = cell.strip(), []
    longest = sorted(range(len(labels)), key=lambda m: -len(labels[m]))
    while rest:
        hit = next((m for m in longest if _begins(rest, labels[m], separator)), None)
        if hit is None or hit in out:
            return None
        out.append(hit)
        rest = rest[len(labels[hit]) :].lstrip().removeprefix(separator).lstrip()
    return out


def _begins(rest: str, label: str, separator: str) -> bool:
    after = rest[len(label) :].lstrip()
    return bool(label) and rest.startswith(label) and (not after or after.startswith(separator))
