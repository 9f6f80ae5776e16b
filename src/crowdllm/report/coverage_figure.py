"""Draw nominal against empirical coverage: a panel per data set, a line per interval, a marker per estimand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crowdllm.report.curves_figure import Curve, CurvePanel, curves_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

ORDER = ("human", "rectified", "combined", "conformal", "theorem5")


def coverage_figure(coverage: pd.DataFrame) -> Figure:
    """The figure of a table with the columns of `coverage.csv`: a row of panels per estimand, a column per data set.

    For a single data set the estimands stand in one row.
    """
    estimands = list(dict.fromkeys(coverage["estimand"]))
    datasets = list(dict.fromkeys(coverage["dataset"]))
    levels = tuple(100 * float(x) for x in sorted(coverage["nominal"].unique()))
    panels = []
    for estimand in estimands:
        for dataset in datasets:
            part = coverage[(coverage["dataset"] == dataset) & (coverage["estimand"] == estimand)]
            title = f"{dataset}: {estimand}" if len(part) else f"{dataset}: no {estimand}"
            panels.append(_panel(part, title, levels))
    columns = len(datasets) if len(datasets) > 1 else min(len(estimands), 5)
    return curves_figure(panels, columns=columns, share_y=True, width=2.6, height=2.3)


def _panel(part: pd.DataFrame, title: str, levels: tuple[float, ...]) -> CurvePanel:
    curves = [Curve("as stated", levels, levels, human=True)]
    for place, interval in enumerate(ORDER):
        rows = part[part["interval"] == interval].sort_values("nominal")
        if len(rows):
            nominal = tuple(100 * float(x) for x in rows["nominal"])
            curves.append(Curve(interval, nominal, tuple(100 * float(x) for x in rows["empirical"]), style=place))
    ticks = tuple((x, f"{x:g}") for x in levels)
    low = min([*levels, *(100 * float(x) for x in part["empirical"])]) - 5
    return CurvePanel("stated (%)", "held the truth (%)", tuple(curves), title, ticks=ticks, bounds=(low, 101))
