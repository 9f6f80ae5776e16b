"""Lines and bars of the studies: at most six, floors as areas, legends that do not mislead, the same file twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crowdllm.report.bars_figure import BarPanel, Points, bars_figure
from crowdllm.report.curves_figure import Curve, CurvePanel, curves_figure
from crowdllm.report.figure import HUMAN, STYLES, save_figure

NAN = float("nan")


def line(name: str, *mean: float, **more: object) -> Curve:
    return Curve(name, tuple(float(x) for x in range(1, len(mean) + 1)), mean, **more)  # type: ignore[arg-type]


def test_more_than_six_lines_are_refused() -> None:
    panel = CurvePanel("n", "MAE", tuple(line(f"m{k}", 1, 2) for k in range(7)), "many")
    with pytest.raises(ValueError, match="7 lines in the panel 'many'"):
        curves_figure([panel])
    series = tuple(Points(f"m{k}", (1.0,)) for k in range(7))
    with pytest.raises(ValueError, match="7 series"):
        bars_figure([BarPanel("level", "share (%)", ("a",), (1.0,), series)])


def test_axes_carry_their_labels_and_lines_their_numbers() -> None:
    figure = curves_figure([CurvePanel("people", "MAE (scale points)", (line("a", 3, 2, 1),))])
    (axis,) = figure.axes
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("people", "MAE (scale points)")
    assert list(axis.lines[0].get_ydata()) == [3, 2, 1]
    assert axis.lines[0].get_color() == STYLES[0][0]


def test_an_interval_wider_than_all_lines_is_cut_and_does_not_flatten_them() -> None:
    wide = line("a", 1.0, 2.0, low=(-100.0, -100.0), high=(100.0, 100.0))
    low, high = curves_figure([CurvePanel("n", "y", (wide,))]).axes[0].get_ylim()
    assert -1 < low < 1
    assert 2 < high < 4


def test_a_floor_is_an_area_and_not_one_of_the_lines() -> None:
    lines = tuple(line(f"m{k}", 2, 1) for k in range(6))
    panel = CurvePanel("n", "MAE", lines, floor=line("as many humans", 0.5, 0.25))
    (axis,) = curves_figure([panel]).axes
    assert len(axis.lines) == 6
    assert "as many humans" in axis.get_legend_handles_labels()[1]
    assert axis.get_ylim()[0] < 0.25


def test_bounds_are_never_left() -> None:
    panel = CurvePanel("n", "share", (line("a", 0.9, 1.0),), bounds=(0.0, 1.0))
    assert curves_figure([panel]).axes[0].get_ylim()[1] == 1.0


def test_panels_that_share_the_axis_show_the_lines_of_all() -> None:
    panels = [CurvePanel("n", "y", (line("a", 1, 2),)), CurvePanel("n", "y", (line("a", 50, 60),))]
    low, high = curves_figure(panels, share_y=True).axes[0].get_ylim()
    assert low < 1
    assert high > 60


def test_one_colour_with_two_meanings_gets_a_legend_per_panel() -> None:
    alike = [CurvePanel("n", "y", (line("a", 1, 2),)), CurvePanel("n", "y", (line("a", 2, 1),))]
    other = [CurvePanel("n", "y", (line("a", 1, 2),)), CurvePanel("n", "y", (line("b", 2, 1),))]
    assert len(curves_figure(alike).legends) == 1
    assert all(axis.get_legend() is None for axis in curves_figure(alike).axes)
    assert curves_figure(other).legends == []
    assert all(axis.get_legend() is not None for axis in curves_figure(other).axes)


def test_bars_are_humans_and_points_have_intervals() -> None:
    points = Points("crowdllm", (10.0, 90.0), (5.0, 80.0), (15.0, 95.0))
    (axis,) = bars_figure([BarPanel("level", "share (%)", ("no", "yes"), (20.0, 80.0), (points,))]).axes
    assert [bar.get_height() for bar in axis.patches] == [20.0, 80.0]
    assert axis.get_ylim()[0] == 0
    (vertical,) = axis.containers[1].lines[2]  # type: ignore[attr-defined]
    ends = [segment[:, 1].tolist() for segment in vertical.get_segments()]
    assert ends == [[5.0, 15.0], [80.0, 95.0]]


def test_human_lines_are_grey_and_dashed() -> None:
    (axis,) = curves_figure([CurvePanel("n", "y", (line("humans", 1, 2, human=True),))]).axes
    assert (axis.lines[0].get_color(), axis.lines[0].get_linestyle()) == (HUMAN, "--")


def test_texts_are_drawn_as_they_are_and_twice_the_same_file(tmp_path: Path) -> None:
    panel = CurvePanel("$x^2$", "y", (line("$\\frac{1}{2}$", 1, NAN, 2),))
    files = [save_figure(curves_figure([panel]), tmp_path / f"{n}.svg").read_bytes() for n in "ab"]
    assert files[0] == files[1]
    (legend,) = curves_figure([panel]).legends
    assert not legend.get_texts()[0].get_parse_math()
    assert np.isnan(curves_figure([panel]).axes[0].lines[0].get_ydata()).sum() == 1
