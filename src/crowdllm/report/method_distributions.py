"""Draw the human distribution of a few problems against that of several methods, one panel each.

For rating scales a row per problem and a column per method (as Figures 6 and 7 of the paper); for one problem with many
options a panel per method, the options in the order of their human shares.

Shapes: T problems, M levels or options.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowdllm.report.distributions import SIMULATED
from crowdllm.report.figure import HUMAN, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
MANY = 12


def draw_methods(
    human_TM: Array, methods: Mapping[str, Array], labels: Sequence[str], titles: Sequence[str], path: Path
) -> Path:
    """Write the picture to `path` (.svg or .png).

    methods: (T, M) shares by the method's name; rows of NaN are left empty. labels: of the M levels. titles: of the T
    problems; drawn as they are, nothing in them is read as markup.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    wide = len(labels) > MANY
    panels = [(t, name) for t in range(len(titles)) for name in methods]
    columns = 1 if wide else len(methods)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(7.2 if wide else 2.1 * columns + 0.6, (1.5 if wide else 1.7) * rows + 0.7))
    figure.set_layout_engine("constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharey="row", squeeze=False)
    for axis, (t, name) in zip(axes.ravel(), panels, strict=True):
        order = np.argsort(-human_TM[t], kind="stable") if wide else np.arange(len(labels))
        _panel(axis, human_TM[t, order], methods[name][t, order], [labels[m] for m in order])
        if t == 0 or wide:
            axis.set_title(name, fontsize=8, parse_math=False)
    for t, title in enumerate(titles):
        lines = textwrap.wrap(title, 30)[:2] or [""]
        axes[t * len(panels) // len(titles) // columns, 0].set_ylabel(
            "\n".join([*lines, "%"]), fontsize=7, parse_math=False
        )
    _legend(figure, axes[0, 0])
    return save_figure(figure, path)


def _panel(axis: Axes, human_M: Array, simulated_M: Array, labels: Sequence[str]) -> None:
    place = np.arange(len(labels))
    axis.bar(place, 100 * human_M, color=HUMAN, alpha=0.45, width=0.8, label="humans")
    style = "o" if len(labels) > MANY else "o-"
    axis.plot(place, 100 * simulated_M, style, color=SIMULATED, markersize=3, linewidth=1, label="simulated crowd")
    axis.set_xticks(place, labels, fontsize=6 if len(labels) > MANY else 7)
    axis.tick_params(axis="y", labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)


def _legend(figure: Figure, axis: Axes) -> None:
    handles, names = axis.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower right", ncols=2, frameon=False, fontsize=8)
