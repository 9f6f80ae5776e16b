"""Draw how interval widths are expected to fall as human answers are added."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crowdllm.report.curves_figure import Curve, CurvePanel, curves_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def plan_figure(curve: pd.DataFrame, target: float) -> Figure:
    """One panel. curve: columns answers, mean_width, greatest_width; infinite widths are not drawn."""
    x = tuple(curve["answers"].astype(float))
    lines = []
    for name, column in (("mean over problems", "mean_width"), ("widest problem", "greatest_width")):
        width = curve[column].to_numpy(dtype=float)
        lines.append(Curve(name, x, tuple(np.where(np.isfinite(width), width, np.nan))))
    ends = (x[0], x[-1]) if x[-1] > x[0] else (x[0], x[0] + 1)
    lines.append(Curve("wanted", ends, (target, target), human=True))
    panel = CurvePanel(
        "further human answers", "expected width of the 95 % interval", tuple(lines), bounds=(0.0, np.inf)
    )
    return curves_figure([panel], width=5.2, height=3.2)
