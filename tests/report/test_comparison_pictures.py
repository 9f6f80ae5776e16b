"""Pictures of a comparison: the numbers in them, and names and texts drawn as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from crowdllm.report.fractions_figure import STYLES, Curve, draw_fractions
from crowdllm.report.method_distributions import draw_methods
from crowdllm.report.rows_figure import Panel, draw_rows

NAN = float("nan")
HUMAN = np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])
METHODS = {"one": np.array([[0.2, 0.2, 0.6], [0.4, 0.4, 0.2]]), "two": np.array([[0.3, 0.3, 0.4], [NAN, NAN, NAN]])}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list]:
    """The figures that are saved."""
    from matplotlib.figure import Figure

    kept: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *args: object, **options: object) -> None:
        kept.append(self)
        save(self, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


def test_each_problem_has_a_row_and_each_method_a_column(tmp_path: Path, drawn: list) -> None:
    path = draw_methods(HUMAN, METHODS, ("1", "2", "3"), ("first", "second"), tmp_path / "p.svg")
    assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    axes = drawn[0].axes
    assert len(axes) == 4
    assert [a.get_title() for a in axes] == ["one", "two", "", ""]
    for position, problem, method in ((0, 0, "one"), (1, 0, "two"), (2, 1, "one")):
        assert [bar.get_height() for bar in axes[position].patches] == pytest.approx(100 * HUMAN[problem])
        assert list(axes[position].lines[0].get_ydata()) == pytest.approx(100 * METHODS[method][problem])
    assert axes[0].get_ylabel() == "first\n%"
    assert axes[2].get_ylabel() == "second\n%"


def test_many_options_stand_in_the_order_of_human_votes(tmp_path: Path, drawn: list) -> None:
    human = np.array([[1.0, 5, 3, 2, 4, 0, 6, 7, 8, 9, 10, 11, 12]]) / 78
    draw_methods(human, {"m": human[:, ::-1]}, [str(k) for k in range(1, 14)], ("votes",), tmp_path / "p.svg")
    axis = drawn[0].axes[0]
    labels = [label.get_text() for label in axis.get_xticklabels()]
    assert labels == ["13", "12", "11", "10", "9", "8", "7", "2", "5", "3", "4", "1", "6"]
    assert axis.patches[0].get_height() == pytest.approx(1200 / 78)
    assert axis.lines[0].get_ydata()[0] == pytest.approx(
        100 / 78
    )  # option 13 of the method has what option 1 of humans has


def test_rows_stand_from_the_top_with_their_intervals_and_the_floor(tmp_path: Path, drawn: list) -> None:
    rows = (("first", 1.0, 0.5, 1.5), ("second", 2.0, NAN, NAN))
    draw_rows([Panel("mae", rows, 0.25), Panel("cosine", rows)], tmp_path / "p.svg")
    left, right = drawn[0].axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["first", "second"]
    points = next(line for line in left.lines if line.get_marker() == "o")
    assert list(points.get_xdata()) == [1.0, 2.0]
    assert list(points.get_ydata()) == [1, 0]
    segments = left.collections[0].get_segments()
    assert segments[0][:, 0].tolist() == [0.5, 1.5]
    assert segments[1][:, 0].tolist() == [2.0, 2.0]
    assert 0.25 in [line.get_xdata()[0] for line in left.lines]
    assert left.get_xlim()[0] < 0.25 < left.get_xlim()[1]
    assert len(right.lines) == 1  # no floor


def test_curves_have_their_points_and_more_methods_than_colours_are_all_drawn(tmp_path: Path, drawn: list) -> None:
    curves = [
        Curve(f"m{k}", (0.1, 1.0), (k + 0.5, float(k)), (k + 0.4, k - 0.1), (k + 0.6, k + 0.1))
        for k in range(len(STYLES) + 1)
    ]
    draw_fractions([("mae", curves)], tmp_path / "p.svg")
    axis = drawn[0].axes[0]
    assert len(axis.lines) == len(STYLES) + 1
    assert list(axis.lines[0].get_xdata()) == [0.1, 1.0]
    assert list(axis.lines[0].get_ydata()) == [0.5, 0.0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["10 %", "100 %"]


@pytest.mark.parametrize("text", ["costs $5 or $6_^{", "<script>alert(1)</script> & -- -->", "\\frac{1}", ""])
def test_texts_are_drawn_as_they_are_and_break_no_file(tmp_path: Path, text: str) -> None:
    first = draw_methods(HUMAN, {text: HUMAN}, ("1", "2", "3"), (text, text), tmp_path / "a.svg")
    second = draw_rows([Panel(text, ((text, 1.0, 0.5, 1.5),))], tmp_path / "b.svg")
    for path in (first, second):
        assert not [e for e in ElementTree.parse(path).getroot().iter() if e.tag.endswith("script")]


def test_the_same_picture_is_the_same_file(tmp_path: Path) -> None:
    paths = [draw_rows([Panel("mae", (("a", 1.0, 0.5, 1.5),))], tmp_path / f"{name}.svg") for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()
