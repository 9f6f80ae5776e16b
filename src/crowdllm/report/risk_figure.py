"""Draw the terms of a crowd's error as bars with their intervals; what is only bounded as a hatched range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crowdllm.report.figure import HUMAN, STYLES, new_figure, style_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class RiskBar:
    """One term: its name, estimate (NaN where it is only bounded) and ends. truth: where it is known, else NaN.

    group: bars of one group have one colour.
    """

    name: str
    estimate: float
    low: float
    high: float
    group: str = ""
    truth: float = float("nan")


def risk_figure(panels: Sequence[tuple[str, Sequence[RiskBar]]], unit: str = "squared points of the scale") -> Figure:
    """A panel per data set, (title, bars), beside one another; the first bar stands on top."""
    most = max(len(bars) for _, bars in panels)
    figure = new_figure(4.6 * len(panels) + 0.4, 0.3 * most + 1.2)
    groups = list(dict.fromkeys(bar.group for _, bars in panels for bar in bars))
    for axis, (title, bars) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        place = np.arange(len(bars))[::-1]
        for y, bar in zip(place, bars, strict=True):
            color = STYLES[groups.index(bar.group) % len(STYLES)][0]
            if np.isnan(bar.estimate):
                axis.barh(y, bar.high - bar.low, left=bar.low, color="none", edgecolor=color, hatch="////", height=0.6)
            else:
                axis.barh(y, bar.estimate, color=color, alpha=0.75, height=0.6)
                axis.plot([bar.low, bar.high], [y, y], color="#000000", linewidth=1.2)
            if not np.isnan(bar.truth):
                axis.plot([bar.truth], [y], marker="D", color=HUMAN, markersize=5, linestyle="none")
        axis.axvline(0, color=HUMAN, linewidth=0.8)
        axis.use_sticky_edges = False
        axis.margins(x=0.05)
        style_axis(axis, unit, "", title)
        axis.set_yticks(place, [bar.name for bar in bars], fontsize=8, parse_math=False)
        axis.grid(visible=False, axis="y")
    return figure
