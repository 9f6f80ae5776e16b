"""The common look of figures, and how they are saved: the same picture is the same file, with no date and no version.

Colours are the Okabe-Ito palette, which colour-blind readers tell apart; markers and dashes repeat the difference, so
that a grey print can be read. Humans are grey everywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HUMAN = "#4d4d4d"
STYLES = (
    ("#0072b2", "o"), ("#d55e00", "s"), ("#009e73", "^"), ("#cc79a7", "D"), ("#e69f00", "v"), ("#56b4e9", "P"),
    ("#000000", "X"), ("#999999", "*"),
)  # fmt: skip
"""(colour, marker) by the place of a line; the first is for `crowdllm`."""
MOST_LINES = 6
"""More lines in one panel cannot be told apart in print: split the panel, or leave lines out and say so."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches that draws without a display; text that is too wide moves the axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("constrained")
    FigureCanvasAgg(figure)
    return figure


def style_axis(axis: Axes, x_label: str, y_label: str, title: str = "") -> None:
    """Labels (with their units), small ticks, a light grid, no box; texts are drawn as they are, not as markup."""
    axis.set_xlabel(x_label, fontsize=9, parse_math=False)
    axis.set_ylabel(y_label, fontsize=9, parse_math=False)
    if title:
        axis.set_title(title, fontsize=9, loc="left", parse_math=False)
    axis.tick_params(labelsize=8)
    axis.grid(color="#e4e4e4", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def add_legends(figure: Figure, columns: int = 3) -> None:
    """One legend below all panels; a legend below each where one colour means different things in different panels."""
    axes = [axis for axis in figure.axes if axis.get_legend_handles_labels()[1]]
    found: dict[str, Artist] = {}
    looks: dict[str, set[str]] = {}
    for axis in axes:
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
            looks.setdefault(_look(handle), set()).add(name)
    if len(axes) == 1 or all(len(names) == 1 for names in looks.values()):
        handles, names = list(found.values()), list(found)
        legends = [
            figure.legend(handles, names, loc="outside lower center", ncols=max(columns, 3), frameon=False, fontsize=8)
        ]
    else:
        legends = [
            axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, frameon=False, fontsize=8)
            for axis in axes
        ]
    for legend in legends:
        for text in legend.get_texts():
            text.set_parse_math(False)


def _look(handle: Any) -> str:
    """What tells one entry of a legend from another: its colour."""
    first = handle[0] if isinstance(handle, tuple) else handle
    color = first.get_color() if hasattr(first, "get_color") else first.get_facecolor()
    return str(color)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write `figure` as SVG or PNG, by the suffix of `path`."""
    from matplotlib import rc_context

    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    with rc_context({"svg.hashsalt": "crowdllm"}):
        figure.savefig(path, dpi=150, metadata=metadata)
    return path
