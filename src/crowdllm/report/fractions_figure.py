"""Draw metrics against the share of people in training: a line per method with its 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crowdllm.report.figure import STYLES, save_figure


@dataclass(frozen=True)
class Curve:
    """One method in one panel: at each share of people its mean and interval (NaN ends for none)."""

    name: str
    share: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def draw_fractions(panels: Sequence[tuple[str, Sequence[Curve]]], path: Path) -> Path:
    """Write the picture to `path` (.svg or .png). panels: a metric's name and its curves, in the same order in each."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(panels), 3.6))
    figure.set_layout_engine("constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, curves) in zip(axes, panels, strict=True):
        for position, curve in enumerate(curves):
            color, marker = STYLES[position % len(STYLES)]
            axis.plot(
                curve.share, curve.mean, marker=marker, color=color, markersize=4, linewidth=1.2, label=curve.name
            )
            known = ~np.isnan(np.asarray(curve.low, dtype=float))
            if known.any():
                axis.fill_between(curve.share, curve.low, curve.high, color=color, alpha=0.12, linewidth=0)
        axis.set_xscale("log")
        shares = sorted({share for curve in curves for share in curve.share})
        axis.set_xticks(shares, [f"{100 * share:g} %" for share in shares], fontsize=7)
        axis.minorticks_off()
        axis.set_xlabel("share of the training people", fontsize=8)
        axis.set_ylabel(title, fontsize=8, parse_math=False)
        axis.tick_params(axis="y", labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return save_figure(figure, path)
