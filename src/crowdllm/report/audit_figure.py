"""Draw a bias audit: each group's distance before and after tuning, and what becomes of differences between groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crowdllm.report.figure import HUMAN, STYLES, add_legends, new_figure, style_axis
from crowdllm.survey_tuning.audit import BiasAudit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BEFORE, AFTER = STYLES[1], STYLES[0]


def audit_figure(audit: BiasAudit, title: str = "") -> Figure:
    """Two panels: KL of every group, the first on top; ratio of between-group variance, simulated to human, per column.

    1 is where differences are kept. A column in which humans differ no more than by chance has a note, and no ratio.
    """
    most = max(len(audit.groups), 2 * len(audit.columns), 4)
    figure = new_figure(9.5, 0.24 * most + 1.7)
    left, right = figure.subplots(1, 2)
    _groups(left, audit)
    _columns(right, audit)
    style_axis(left, "KL to the humans of the group (nats)", "", title or "distance within groups")
    style_axis(right, "simulated / human variance between groups", "", "differences between groups")
    left.set_yticks(
        np.arange(len(audit.groups))[::-1], [f"{g.column}: {g.level}" for g in audit.groups], fontsize=8,
        parse_math=False,
    )  # fmt: skip
    right.set_yticks(
        np.arange(len(audit.columns))[::-1], [c.column for c in audit.columns], fontsize=8, parse_math=False
    )
    add_legends(figure, 3)
    return figure


def _groups(axis: Axes, audit: BiasAudit) -> None:
    place = np.arange(len(audit.groups))[::-1]
    values = [(g.kl_before, g.kl_after) for g in audit.groups]
    for y, (before, after) in zip(place, values, strict=True):
        axis.plot([before, after], [y, y], color=HUMAN, linewidth=0.8, alpha=0.5)
    for side, (color, marker), name in ((0, BEFORE, "before tuning"), (1, AFTER, "after tuning")):
        axis.plot([v[side] for v in values], place, marker, color=color, markersize=5, label=name)
    axis.set_xlim(left=0)


def _columns(axis: Axes, audit: BiasAudit) -> None:
    axis.axvline(1, color=HUMAN, linestyle="--", linewidth=1.1, label="differences kept")
    axis.set_ylim(-0.6, max(len(audit.columns), 1) - 0.4)
    highs = [found.high for c in audit.columns for found in (c.before, c.after) if not np.isnan(found.high)]
    axis.set_xlim(0, 1.08 * max([1.0, *highs]))
    for y, column in zip(np.arange(len(audit.columns))[::-1], audit.columns, strict=True):
        if np.isnan(column.after.ratio):
            axis.annotate(
                column.after.verdict, (0.02, y), xycoords=("axes fraction", "data"), fontsize=7, va="center",
                color=HUMAN, parse_math=False,
            )  # fmt: skip
            continue
        for shift, found, (color, marker) in ((0.15, column.before, BEFORE), (-0.15, column.after, AFTER)):
            axis.plot([found.low, found.high], [y + shift] * 2, color=color, linewidth=1.3)
            axis.plot([found.ratio], [y + shift], marker, color=color, markersize=5)
