"""Draw human shares or counts as bars and those of simulated people as points with 95 % intervals, a panel each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crowdllm.report.figure import HUMAN, MOST_LINES, STYLES, add_legends, new_figure, style_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONG = 6


@dataclass(frozen=True)
class Points:
    """One series beside the bars: a number per label, with its interval where there is one."""

    name: str
    mean: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    style: int = -1


@dataclass(frozen=True)
class BarPanel:
    """One panel. labels: of the bars. bars: of the humans, with intervals where `low` and `high` are given."""

    x_label: str
    y_label: str
    labels: tuple[str, ...]
    bars: tuple[float, ...]
    points: tuple[Points, ...]
    title: str = ""
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    bar_name: str = "humans"


def bars_figure(panels: Sequence[BarPanel], columns: int = 0, width: float = 3.4, height: float = 2.7) -> Figure:
    """The figure; panels in rows of `columns` (all in one row, up to three, when 0), each of so many inches.

    Raises ValueError for a panel with more than six series of points.
    """
    for panel in panels:
        if len(panel.points) > MOST_LINES:
            raise ValueError(f"{len(panel.points)} series in {panel.title!r}: at most {MOST_LINES} are legible")
    columns = columns or min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure = new_figure(width * columns, height * rows + 0.4)
    for place, axis in enumerate(figure.subplots(rows, columns, squeeze=False).ravel()):
        if place < len(panels):
            draw_bars(axis, panels[place])
        else:
            axis.axis("off")
    add_legends(figure, min(3, max(2, columns)))
    return figure


def draw_bars(axis: Axes, panel: BarPanel) -> None:
    """The bars and points of one panel on `axis`; points of one label stand side by side."""
    place = np.arange(len(panel.labels))
    axis.bar(place, panel.bars, color=HUMAN, alpha=0.4, width=0.8, label=panel.bar_name, yerr=_errors(panel))
    shifts = (np.arange(len(panel.points)) - (len(panel.points) - 1) / 2) * 0.7 / max(len(panel.points), 1)
    for order, (series, shift) in enumerate(zip(panel.points, shifts, strict=True)):
        color, marker = STYLES[order if series.style < 0 else series.style]
        axis.errorbar(
            place + shift, series.mean, yerr=_errors(series), fmt=marker, color=color, markersize=4, capsize=0,
            elinewidth=1.2, label=series.name,
        )  # fmt: skip
    long = max((len(label) for label in panel.labels), default=0) * len(panel.labels) > 40 or len(panel.labels) > LONG
    if any(len(label) > 4 for label in panel.labels) and long:
        axis.set_xticks(place, panel.labels, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    else:
        axis.set_xticks(place, panel.labels, parse_math=False)
    if min([*panel.bars, *(m for series in panel.points for m in series.mean)], default=0.0) >= 0:
        axis.set_ylim(bottom=0)  # where nothing is below 0, an interval that is may be cut
    style_axis(axis, panel.x_label, panel.y_label, panel.title)
    axis.grid(visible=False, axis="x")


def _errors(series: Points | BarPanel) -> np.ndarray | None:
    """(2, labels) lengths below and above, or None where there is no interval."""
    if not series.low:
        return None
    mean = np.asarray(series.bars if isinstance(series, BarPanel) else series.mean, dtype=float)
    return np.array([mean - np.asarray(series.low, dtype=float), np.asarray(series.high, dtype=float) - mean])
