"""Pictures: one panel per problem, the numbers in them, and texts drawn as they are."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from crowdllm.report.distributions import draw_distributions

HUMAN = np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])
CROWD = np.array([[0.2, 0.2, 0.6], [0.4, 0.4, 0.2]])


def draw(path: Path, titles: list[str] = ["One", "Two"], note: str = "") -> list[Path]:  # noqa: B006
    return draw_distributions(HUMAN, CROWD, ("1", "2", "3"), titles, path, note)


def test_an_svg_and_a_png_are_written(tmp_path: Path) -> None:
    written = draw(tmp_path / "new folder" / "picture")
    assert [p.name for p in written] == ["picture.svg", "picture.png"]
    assert ElementTree.parse(written[0]).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert written[1].read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_the_same_picture_is_the_same_file(tmp_path: Path) -> None:
    first, second = draw(tmp_path / "a"), draw(tmp_path / "b")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_bars_and_points_stand_at_the_shares_in_percent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    kept: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *args: object, **options: object) -> None:
        kept.append(self)
        save(self, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    draw(tmp_path / "picture")
    first, second = kept[0].axes
    assert [bar.get_height() for bar in first.patches] == pytest.approx([10, 20, 70])
    assert list(second.lines[0].get_ydata()) == pytest.approx([40, 40, 20])
    assert [label.get_text() for label in first.get_xticklabels()] == ["1", "2", "3"]


@pytest.mark.parametrize("count", [1, 3, 4])
def test_any_number_of_panels_fits(tmp_path: Path, count: int) -> None:
    shares = np.tile(HUMAN[:1], (count, 1))
    written = draw_distributions(
        shares, shares, ("a", "b", "c"), [f"Problem {t}" for t in range(count)], tmp_path / "p"
    )
    assert all(path.stat().st_size > 1000 for path in written)


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize(
    "text", ["costs $5 or $6_^{", "<script>alert(1)</script> & -- -->", "\\frac{1}", "[red]x[/red]", "👩🏽‍🔬", ""]
)
def test_texts_are_drawn_as_they_are_and_break_no_file(tmp_path: Path, text: str) -> None:
    written = draw(tmp_path / "picture", [text, "Two"], note=text)
    root = ElementTree.parse(written[0]).getroot()
    assert not [element for element in root.iter() if element.tag.endswith("script")]
