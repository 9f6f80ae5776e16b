"""Draw human against simulated response distributions, one panel per problem, as SVG and PNG."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowdllm.report.figure import HUMAN, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIMULATED = "#0072b2"  # told from grey in grey print and by colour-blind readers
Array = NDArray[np.float64]


def draw_distributions(
    human_TM: Array, simulated_TM: Array, labels: Sequence[str], titles: Sequence[str], path: Path, note: str = "",
    human_label: str = "humans",
) -> list[Path]:  # fmt: skip
    """Write `path` with suffixes .svg and .png: bars for humans, points and a line for the simulated crowd.

    human_TM, simulated_TM: (T, M) shares per problem. Texts are drawn as they are: nothing in them is read as markup.
    """
    figure = distributions_figure(human_TM, simulated_TM, labels, titles, note, human_label)
    return [save_figure(figure, path.with_suffix(suffix)) for suffix in (".svg", ".png")]


def distributions_figure(
    human_TM: Array, simulated_TM: Array, labels: Sequence[str], titles: Sequence[str], note: str = "",
    human_label: str = "humans",
) -> Figure:  # fmt: skip
    """The figure of `draw_distributions`; rows of NaN among the humans draw no bars."""
    columns = min(3, len(titles))
    rows = -(-len(titles) // columns)
    figure = new_figure(3.6 * columns, 2.5 * rows + 0.6)
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False)
    place = np.arange(len(labels))
    for t, axis in enumerate(axes.ravel()):
        if t >= len(titles):
            axis.axis("off")
            continue
        axis.bar(place, 100 * human_TM[t], color=HUMAN, alpha=0.45, width=0.8, label=human_label)
        axis.plot(place, 100 * simulated_TM[t], "o-", color=SIMULATED, label="simulated crowd")
        axis.set_title("\n".join(textwrap.wrap(titles[t], 42)[:3]), fontsize=8, loc="left", parse_math=False)
        axis.set_xticks(place, labels, fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("share of responses (%)", fontsize=8)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    if note:
        figure.supxlabel(note, fontsize=8, x=0.01, ha="left", parse_math=False)
    return figure
