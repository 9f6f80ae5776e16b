"""Draw dots with their 95 % intervals and, where there is room, their names: one thing against another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crowdllm.report.figure import HUMAN, MOST_LINES, STYLES, add_legends, new_figure, style_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Dots:
    """One series. low, high: ends of the intervals, NaN for none. labels: a name beside each dot. style: see STYLES."""

    name: str
    x: Numbers
    y: Numbers
    low: Numbers = ()
    high: Numbers = ()
    labels: tuple[str, ...] = ()
    style: int = -1


@dataclass(frozen=True)
class Rods:
    """Vertical rods from low to high at each x, wide and pale: what the dots should lie in."""

    name: str
    x: Numbers
    low: Numbers
    high: Numbers
    style: int


@dataclass(frozen=True)
class ScatterPanel:
    """One panel. line: a number across the panel, with its name; NaN for none."""

    x_label: str
    y_label: str
    dots: tuple[Dots, ...]
    title: str = ""
    rods: tuple[Rods, ...] = ()
    line: float = float("nan")
    line_name: str = ""


def scatter_figure(panels: Sequence[ScatterPanel], width: float = 4.0, height: float = 3.2) -> Figure:
    """The figure, its panels in one row, each of so many inches; raises ValueError for more than six series in one."""
    for panel in panels:
        if len(panel.dots) + len(panel.rods) > MOST_LINES:
            raise ValueError(f"more than {MOST_LINES} series in the panel {panel.title!r}: they are not legible")
    figure = new_figure(width * len(panels), height + 0.5)
    for axis, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw_scatter(axis, panel)
    add_legends(figure, 3)
    return figure


def draw_scatter(axis: Axes, panel: ScatterPanel) -> None:
    """Rods, then the line, then the dots of one panel on `axis`."""
    for place, rods in enumerate(panel.rods):
        color = STYLES[rods.style][0]
        thick = 7 - 4 * place
        axis.vlines(rods.x, rods.low, rods.high, color=color, linewidth=thick, alpha=0.4, label=rods.name)
    if not np.isnan(panel.line):
        axis.axhline(panel.line, color=HUMAN, linestyle="--", linewidth=1.1, label=panel.line_name)
    for order, dots in enumerate(panel.dots):
        color, marker = STYLES[order if dots.style < 0 else dots.style]
        if dots.low:
            known = ~np.isnan(np.asarray(dots.low))
            ends = [np.asarray(side)[known] for side in (dots.x, dots.low, dots.high)]
            axis.vlines(*ends, color=color, linewidth=1.2)
        axis.plot(dots.x, dots.y, marker, color=color, markersize=5, label=dots.name)
        for x, y, label in zip(dots.x, dots.y, dots.labels, strict=False):
            axis.annotate(
                label, (x, y), xytext=(3, 4), textcoords="offset points", fontsize=6.5, color=color,
                rotation=40, rotation_mode="anchor", parse_math=False,
            )  # fmt: skip
    style_axis(axis, panel.x_label, panel.y_label, panel.title)
