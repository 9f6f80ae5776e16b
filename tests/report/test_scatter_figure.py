"""Dots with intervals and names: what is drawn, and what is too much."""

from __future__ import annotations

import math

import pytest

from crowdllm.report.scatter_figure import Dots, Rods, ScatterPanel, scatter_figure

NAN = math.nan


def test_dots_rods_line_and_names_are_drawn() -> None:
    dots = Dots("a", (1.0, 2.0), (3.0, 4.0), (2.5, NAN), (3.5, NAN), ("first", "a $second$"))
    panel = ScatterPanel("x (units)", "y (units)", (dots,), "t", (Rods("r", (1.0,), (0.0,), (1.0,), 2),), 2.0, "level")
    axis = scatter_figure([panel]).axes[0]
    assert axis.get_legend_handles_labels()[1] == ["r", "level", "a"]
    assert [text.get_text() for text in axis.texts] == ["first", "a $second$"]
    # a rod, and an interval for the one dot that has one
    assert [len(c.get_paths()) for c in axis.collections] == [1, 1]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("x (units)", "y (units)")


def test_more_than_six_series_are_refused() -> None:
    dots = tuple(Dots(str(i), (1.0,), (1.0,)) for i in range(7))
    with pytest.raises(ValueError, match="not legible"):
        scatter_figure([ScatterPanel("x", "y", dots)])
