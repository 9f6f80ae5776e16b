"""Draw the rows of a table as points with their 95 % intervals, a panel per metric, and the human floor as a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crowdllm.report.distributions import SIMULATED
from crowdllm.report.figure import HUMAN, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Panel:
    """One metric. rows: (name, mean, low, high), NaN ends where there is no interval. floor: NaN for none."""

    title: str
    rows: tuple[tuple[str, float, float, float], ...]
    floor: float = float("nan")


def draw_rows(panels: Sequence[Panel], path: Path) -> Path:
    """Write the picture to `path` (.svg or .png)."""
    return save_figure(rows_figure(panels), path)


def rows_figure(panels: Sequence[Panel]) -> Figure:
    """The figure; the first row stands on top. Names are drawn as they are."""
    most = max(len(panel.rows) for panel in panels)
    figure = new_figure(4.2 * len(panels), 0.28 * most + 1.1)
    for axis, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        place = np.arange(len(panel.rows))[::-1]
        numbers = np.array([row[1:] for row in panel.rows], dtype=float).reshape(-1, 3)
        mean, low, high = numbers.T
        axis.hlines(place, np.where(np.isnan(low), mean, low), np.where(np.isnan(high), mean, high), color=SIMULATED)
        axis.plot(mean, place, "o", color=SIMULATED, markersize=4)
        if not np.isnan(panel.floor):
            axis.axvline(panel.floor, color=HUMAN, linestyle=":")
            axis.update_datalim([(panel.floor, 0)])
            axis.autoscale_view()
            axis.annotate(
                "human floor", (panel.floor, 1.0), xycoords=("data", "axes fraction"), fontsize=7, va="bottom"
            )
        axis.set_yticks(place, [row[0] for row in panel.rows], fontsize=8, parse_math=False)
        axis.set_xlabel(panel.title, fontsize=8, parse_math=False)
        axis.tick_params(axis="x", labelsize=7)
        axis.grid(axis="x", color="#e4e4e4", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    return figure
