"""A page holds all it needs, says what it was given, and takes no text for markup."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from crowdllm.report.page import Cell, Command, Figure, Lines, Page, Part, Table, Text, inline_svg, plain, write_page

HOSTILE = '<script>alert(1)</script> & "quoted" | `code` *bold* [link](http://x) \x1b[31m \u202e'
SVG = """<?xml version="1.0"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 9 9">
 <metadata><title>made by</title></metadata>
 <!-- a comment -->
 <defs><path id="glyph" d="M0 0"/></defs>
 <g id="axes_1" clip-path="url(#clip)"><use xlink:href="#glyph"/></g>
</svg>
"""


class Seen(HTMLParser):
    """The elements of a document with their attributes, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def seen(path: Path) -> Seen:
    parser = Seen()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


def page(folder: Path, text: str = "a text") -> Page:
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "figures" / "one.svg").write_text(SVG)
    figure = Figure(folder / "figures" / "one.svg", text, text)
    table = Table(text, ("method", text), ((Cell(text), Cell("1.0", best=True)), (Cell("b"), Cell("2.0", near=True))))
    blocks = (table, figure, figure, Text(text), Lines((text,)), Command(text))
    return Page(text, (Text(text),), (Part(text, blocks),))


def test_both_forms_are_written(tmp_path: Path) -> None:
    html, markdown = write_page(page(tmp_path), tmp_path)
    assert (html.name, markdown.name) == ("index.html", "index.md")
    assert "# a text\n" in markdown.read_text()
    assert "| b | 2.0 |" in markdown.read_text()
    assert "| a text | **1.0** |" in markdown.read_text()
    assert "![a text](figures/one.svg)" in markdown.read_text()


def test_the_html_page_needs_no_other_file_and_no_network(tmp_path: Path) -> None:
    html, _ = write_page(page(tmp_path), tmp_path)
    elements = seen(html).elements
    assert not [tag for tag, _ in elements if tag in ("script", "link", "img", "iframe", "object", "embed", "base")]
    for _, attributes in elements:
        assert "src" not in attributes
        for name in ("href", "xlink:href"):
            assert str(attributes.get(name, "#")).startswith("#")
    assert "@import" not in html.read_text()
    policy = next(a["content"] for t, a in elements if t == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_hostile_texts_are_shown_and_not_read(tmp_path: Path) -> None:
    html, markdown = write_page(page(tmp_path, HOSTILE), tmp_path)
    found = seen(html)
    assert not [tag for tag, _ in found.elements if tag == "script"]
    assert any("<script>alert(1)</script>" in words for words in found.words)
    for text in (html.read_text(), markdown.read_text()):
        assert "\x1b" not in text
        assert "\u202e" not in text
    lines = markdown.read_text().splitlines()
    assert all(r"\<script\>" in line for line in lines if "script" in line and not line.startswith("    "))
    row = next(line for line in lines if line.startswith("| ") and "1.0" in line)
    assert row.replace(r"\|", "").count("|") == 3  # the hostile text adds no cell


def test_the_ids_of_two_pictures_do_not_meet(tmp_path: Path) -> None:
    html, _ = write_page(page(tmp_path), tmp_path)
    ids = [a["id"] for _, a in seen(html).elements if "id" in a]
    assert len(ids) == 4
    assert len(set(ids)) == 4


def test_a_picture_keeps_its_inner_links_and_loses_prolog_comments_and_metadata() -> None:
    root = ElementTree.fromstring(inline_svg(SVG, "f1-", "words"))
    assert root.attrib["aria-label"] == "words"
    assert [e.attrib["id"] for e in root.iter() if "id" in e.attrib] == ["f1-glyph", "f1-axes_1"]
    group = next(e for e in root.iter() if e.attrib.get("id") == "f1-axes_1")
    assert group.attrib["clip-path"] == "url(#f1-clip)"
    assert group[0].attrib["{http://www.w3.org/1999/xlink}href"] == "#f1-glyph"
    assert "metadata" not in inline_svg(SVG, "f1-", "words")
    assert "comment" not in inline_svg(SVG, "f1-", "words")


def test_best_and_near_cells_foreign_tables_and_rows_apart_are_marked(tmp_path: Path) -> None:
    rows = ((Cell("a"), Cell("1", best=True)), (Cell("floor"), Cell("0")))
    table = Table("t", ("m", "x"), rows, apart=frozenset({1}), foreign=True)
    html, _ = write_page(Page("p", (table,), ()), tmp_path)
    elements = seen(html).elements
    assert [a.get("class") for t, a in elements if t == "td"] == ["best", None]
    assert [a.get("class") for t, a in elements if t == "tr"] == [None, None, "apart"]
    assert [a.get("class") for t, a in elements if t == "table"] == ["foreign"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\n lines\t here", "two lines here"),
        ("a\x00b", "a\\x00b"),
        ("\u202eabc", "\\u202eabc"),
        ("Süd ±.5 ✓", "Süd ±.5 ✓"),
    ],
)
def test_plain_text_is_one_line_without_characters_that_control(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_lone_surrogate_can_be_written(tmp_path: Path) -> None:
    html, _ = write_page(Page("\ud800", (Text("\udfff"),), ()), tmp_path)
    assert "\\ud800" in html.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["1. one", "- one", "+ one", "= one", "# one"])
def test_a_markdown_paragraph_does_not_become_something_else(tmp_path: Path, text: str) -> None:
    _, markdown = write_page(Page("t", (Text(text),), ()), tmp_path)
    paragraph = markdown.read_text().split("\n\n")[1]
    assert paragraph.replace("\\", "").strip() == text
    assert "\\" in paragraph
