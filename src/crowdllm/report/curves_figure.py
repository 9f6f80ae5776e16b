"""Draw lines with their 95 % intervals, a panel per metric or condition: at most six lines in each.

What no model can pass (the human floor) is the edge of a grey area rather than one more line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crowdllm.report.figure import HUMAN, MOST_LINES, STYLES, add_legends, new_figure, style_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Curve:
    """One line: at each x its mean and interval (NaN ends, or no `low` and `high`, for none).

    human: the human floor or another human number; drawn grey and dashed. style: place in STYLES, for the same method
    in the same colour in figures that leave out others; by order when -1.
    """

    name: str
    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    human: bool = False
    style: int = -1


@dataclass(frozen=True)
class CurvePanel:
    """One panel. ticks: where the x axis is marked and how, such as ((0.01, "1 %"), ...); () for automatic ones.

    floor: what a perfect model would score at each x; the area that lies beyond (below, or above where more is better)
    is grey, and named in the legend by the curve's name. The y axis fits the lines and the floor: an interval that is
    wider than they are is cut off. bounds: what the y axis never leaves, such as (0, 1) for shares.
    """

    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    title: str = ""
    log_x: bool = False
    log_y: bool = False
    ticks: tuple[tuple[float, str], ...] = ()
    floor: Curve | None = None
    floor_above: bool = False
    bounds: tuple[float, float] = (-np.inf, np.inf)


def curves_figure(
    panels: Sequence[CurvePanel], columns: int = 0, share_y: bool = False, width: float = 3.4, height: float = 2.7
) -> Figure:
    """The figure; panels in rows of `columns` (all in one row, up to four, when 0), each of so many inches.

    Raises ValueError for a panel with more than six lines.
    """
    for panel in panels:
        if len(panel.curves) > MOST_LINES:
            raise ValueError(
                f"{len(panel.curves)} lines in the panel {panel.title!r}: at most {MOST_LINES} are legible"
            )
    columns = columns or min(len(panels), 4)
    rows = -(-len(panels) // columns)
    figure = new_figure(width * columns, height * rows + 0.5)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=share_y).ravel()
    ends = [_limits(panel) for panel in panels]
    common = (min(low for low, _ in ends), max(high for _, high in ends))
    for place, axis in enumerate(axes):
        if place < len(panels):
            draw_panel(axis, panels[place], common if share_y else ends[place])
            axis.tick_params(labelleft=True)
        else:
            axis.axis("off")
    add_legends(figure, min(3, max(2, columns)))
    return figure


def draw_panel(axis: Axes, panel: CurvePanel, limits: tuple[float, float]) -> None:
    """The lines of one panel on `axis`, whose y axis has these ends."""
    for place, curve in enumerate(panel.curves):
        color, marker = (HUMAN, "") if curve.human else STYLES[place if curve.style < 0 else curve.style]
        dashes = "--" if curve.human else "-"
        axis.plot(
            curve.x, curve.mean, marker=marker, color=color, linestyle=dashes, markersize=4, linewidth=1.3,
            label=curve.name,
        )  # fmt: skip
        low, high = np.asarray(curve.low, dtype=float), np.asarray(curve.high, dtype=float)
        if len(low) and not np.isnan(low).all():
            axis.fill_between(curve.x, low, high, color=color, alpha=0.15, linewidth=0)
    if panel.log_x:
        axis.set_xscale("log")
    if panel.log_y:
        axis.set_yscale("log")
    bottom, top = limits
    if panel.floor is not None:
        edge = top if panel.floor_above else bottom
        axis.fill_between(
            panel.floor.x, panel.floor.mean, edge, color=HUMAN, alpha=0.3, linewidth=0, label=panel.floor.name
        )
    if bottom < top:
        axis.set_ylim(bottom, top)
    if panel.ticks:
        axis.set_xticks([x for x, _ in panel.ticks], [label for _, label in panel.ticks])
        axis.minorticks_off()
    style_axis(axis, panel.x_label, panel.y_label, panel.title)


def _limits(panel: CurvePanel) -> tuple[float, float]:
    """The ends of the y axis: those of lines and floor, and up to half as much again for intervals."""
    curves = [*panel.curves, *([panel.floor] if panel.floor is not None else [])]
    mean = np.concatenate([np.asarray(curve.mean, dtype=float) for curve in curves] or [np.zeros(0)])
    mean = mean[np.isfinite(mean)]
    if not len(mean):
        return 0.0, 0.0
    ends = np.concatenate([np.asarray((*c.low, *c.high), dtype=float) for c in panel.curves] or [np.zeros(0)])
    if panel.log_y:
        mean, ends = np.log(mean[mean > 0]), np.log(ends[ends > 0])
    ends = ends[np.isfinite(ends)]
    span = float(mean.max() - mean.min()) or max(abs(float(mean.max())), 1.0) * 0.2
    low = max(min([float(mean.min()), *ends]), float(mean.min()) - 0.5 * span) - 0.06 * span
    high = min(max([float(mean.max()), *ends]), float(mean.max()) + 0.5 * span) + 0.06 * span
    if panel.log_y:
        low, high = float(np.exp(low)), float(np.exp(high))
    return max(low, panel.bounds[0]), min(high, panel.bounds[1])
