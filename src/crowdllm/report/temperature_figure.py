"""Draw what temperature trades: the KL divergence of the crowd's answers against the RMSE of single ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crowdllm.report.curves_figure import Curve, CurvePanel, curves_figure
from crowdllm.report.figure import STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = tuple[float, ...]
SHOWN = (0.0, 0.5, 1.0, 2.0, 3.0)


@dataclass(frozen=True)
class TemperatureLine:
    """One model: RMSE and KL at each temperature; one temperature for a method that has none (NaN)."""

    name: str
    temperature: Numbers
    rmse: Numbers
    kl: Numbers


@dataclass(frozen=True)
class TemperaturePanel:
    """The models on the same people, and the unit of the RMSE."""

    title: str
    lines: tuple[TemperatureLine, ...]
    unit: str = "points"


def temperature_figure(panels: Sequence[TemperaturePanel]) -> Figure:
    """A panel per study; on each line the temperatures with the lowest KL and the lowest RMSE are ringed.

    Raises ValueError for more than six lines in one panel.
    """
    figure = curves_figure(
        [
            CurvePanel(
                f"RMSE of single answers ({panel.unit})",
                "KL to the humans (nats)",
                tuple(Curve(line.name, line.rmse, line.kl) for line in panel.lines),
                panel.title,
                log_y=all(k > 0 for line in panel.lines for k in line.kl),
            )
            for panel in panels
        ],
        width=4.2,
        height=3.4,
    )
    for axis, panel in zip(figure.axes, panels, strict=False):
        alone = sum(len(line.temperature) > 1 for line in panel.lines) == 1
        for place, line in enumerate(panel.lines):
            _mark(axis, line, STYLES[place][0], alone)
    return figure


def _mark(axis: Axes, line: TemperatureLine, color: str, alone: bool) -> None:
    """Rings around the best points of a line and their temperatures; where it is alone, more of these, and words."""
    if len(line.temperature) < 2:
        return
    best = {int(np.argmin(line.kl)): "lowest KL", int(np.argmin(line.rmse)): "lowest RMSE"}
    if len(best) == 1:
        best = dict.fromkeys(best, "lowest KL and RMSE")
    for at, t in enumerate(line.temperature):
        point = (line.rmse[at], line.kl[at])
        if at in best:
            axis.plot(*point, marker="o", markersize=9, fillstyle="none", color=color, linestyle="none")
        if at in best or (alone and t in SHOWN):
            words = f"t = {t:g}" + (f", {best[at]}" if at in best and alone else "")
            axis.annotate(
                words, point, xytext=(5, 4), textcoords="offset points", fontsize=6.5, color=color, parse_math=False
            )
