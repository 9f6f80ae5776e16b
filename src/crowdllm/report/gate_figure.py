"""Draw the gate: by how much the crowd beats the bare LLM in each group of problems, and where theorem 3 lets it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crowdllm.report.figure import HUMAN, STYLES, add_legends, new_figure, style_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class GateRow:
    """One group. advantage, low, high: L' - L. better: which side the verdict is for ("crowd", "llm", "").

    offset: mean bias - mean Delta. derived, printed: half widths of the intervals around 0 that it should lie in.
    """

    group: str
    advantage: float
    low: float
    high: float
    better: str
    offset: float
    derived: float
    printed: float


LOOKS = {
    "crowd": (STYLES[0], "the crowd is better"),
    "llm": (STYLES[1], "the LLM is better"),
    "": ((HUMAN, "o"), "open"),
}


def gate_figure(rows: Sequence[GateRow], unit: str = "points") -> Figure:
    """Two panels with a line per group, the first on top: the advantage, and the interval B_alpha."""
    longest = max((len(row.group) for row in rows), default=0)
    figure = new_figure(7.2 + 0.06 * longest, 0.24 * len(rows) + 1.6)
    left, right = figure.subplots(1, 2, sharey=True)
    place = np.arange(len(rows))[::-1]
    named: set[str] = set()
    for y, row in zip(place, rows, strict=True):
        (color, marker), words = LOOKS[row.better]
        label = "" if words in named else words
        named.add(words)
        left.plot([row.low, row.high], [y, y], color=color, linewidth=1.3)
        left.plot([row.advantage], [y], marker=marker, color=color, markersize=5, linestyle="none", label=label)
        first = row is rows[0]
        printed, derived = ("B as printed", "B as derived") if first else ("", "")
        right.plot([-row.printed, row.printed], [y, y], color="#e69f00", linewidth=6, alpha=0.4, label=printed)
        right.plot([-row.derived, row.derived], [y, y], color="#009e73", linewidth=2, label=derived)
        mean = "mean bias - Delta" if first else ""
        right.plot([row.offset], [y], marker="X", color="#000000", markersize=5, linestyle="none", label=mean)
    for axis in (left, right):
        axis.axvline(0, color=HUMAN, linewidth=0.8)
    left.set_ylim(-0.7, len(rows) - 0.3)
    style_axis(left, f"squared error, LLM - crowd (squared {unit})", "", "advantage of the crowd")
    style_axis(right, f"bias - right correction ({unit})", "", "theorem 3's interval")
    left.set_yticks(place, [row.group for row in rows], fontsize=8, parse_math=False)
    add_legends(figure, 3)
    return figure
