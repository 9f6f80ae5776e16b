"""Draw the intervals of estimates: a row per problem (or option), an interval per kind, humans grey.

Where there are many rows the first are drawn, and the picture says how many are left out.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from crowdllm.report.figure import HUMAN, STYLES, add_legends, new_figure, style_axis

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

KINDS = ("human", "rectified", "combined", "conformal")
NAMES = {"human": "humans alone", "rectified": "rectified", "combined": "combined", "conformal": "no humans: conformal"}
MOST_ROWS = 30
LONGEST = 48


def interval_figure(table: pd.DataFrame, level: float) -> Figure:
    """The figure of the means of `estimates.csv` (the shares, where there are no means), for everybody.

    Names of problems and options are drawn as they are, cut after 48 characters.
    """
    own = table[(table["group"] == "") & table["interval"].isin(KINDS)]
    estimand = "mean" if (own["estimand"] == "mean").any() else "share"
    own = own[own["estimand"] == estimand]
    own = own.assign(row=[_name(p, o) for p, o in zip(own["problem"], own["of"], strict=True)])
    names = list(dict.fromkeys(own["row"]))
    shown = names[:MOST_ROWS]
    figure = new_figure(7.2, 0.36 * len(shown) + 1.4)
    axis = figure.subplots()
    place = {name: len(shown) - 1 - i for i, name in enumerate(shown)}
    for k, kind in enumerate(KINDS):
        part = own[(own["interval"] == kind) & own["row"].isin(shown)]
        if not len(part):
            continue
        color, marker = (HUMAN, "|") if kind == "human" else STYLES[k - 1]
        y = np.array([place[row] for row in part["row"]]) + 0.24 - 0.16 * min(k, 3)
        axis.hlines(y, part["low"], part["high"], color=color, linewidth=1.4)
        axis.plot(part["estimate"], y, marker, color=color, markersize=5, linestyle="none", label=NAMES[kind])
    axis.set_yticks(range(len(shown)), shown[::-1], parse_math=False)
    left_out = len(names) - len(shown)
    title = f"intervals at {level:.0%}" + (f"; {left_out:,} more rows are in estimates.csv" if left_out else "")
    style_axis(axis, "mean answer (points of the scale)" if estimand == "mean" else "share of people", "", title)
    add_legends(figure)
    return figure


def _name(problem: str, of: str) -> str:
    text = f"{problem}: {of}" if of else str(problem)
    return textwrap.shorten(text, LONGEST, placeholder="...") if len(text) > LONGEST else text
