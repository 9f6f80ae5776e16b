"""Write a page of results as one self-contained HTML file and as Markdown: text, tables, and figures.

The HTML file needs nothing else: its styles and figures (SVG) are inside it, no script, no font and no address is
fetched (a content security policy forbids it). All texts are data: they are escaped, and characters that
could change how the rest is read (control characters, changes of direction) are shown as codes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 72rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.3rem; margin-top: 2.5rem; border-top: 1px solid #ccc;
  padding-top: 1rem; }
p, li { max-width: 46rem; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .82rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .2rem .55rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #e4e4e4; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid #888; vertical-align: bottom; }
td.best { font-weight: 700; background: #dcecf7; } td.near { background: #eff6fb; }
tr.apart td, tr.apart th { border-top: 2px solid #888; font-style: italic; }
table.foreign { background: #fbf5e6; }
.note { font-size: .85rem; color: #444; }
figure { margin: 1.5rem 0; } figure svg { max-width: 100%; height: auto; }
figcaption { font-size: .85rem; color: #444; }
pre { background: #f4f4f4; padding: .7rem; overflow-x: auto; }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class Cell:
    """One cell. best: the best of its column. near: not told apart from the best by this many seeds."""

    text: str
    best: bool = False
    near: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header; the first cell of a row is its name.

    apart: positions of rows that are no competitors (such as a floor). foreign: numbers that are not ours, set off.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    apart: frozenset[int] = frozenset()
    foreign: bool = False


@dataclass(frozen=True)
class Figure:
    """An SVG file in the page's folder. words: what it shows, for those who cannot see it."""

    path: Path
    caption: str
    words: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Lines:
    """A list of points."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """Something to type, in a fixed-width face."""

    text: str


Block = Table | Figure | Text | Lines | Command


@dataclass(frozen=True)
class Part:
    """A heading with what stands below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A title, what stands before the first heading, and the parts."""

    title: str
    lead: tuple[Block, ...]
    parts: tuple[Part, ...]


def write_page(page: Page, folder: Path, name: str = "index") -> tuple[Path, Path]:
    """Write `folder/name.html` and `folder/name.md`; figures must lie in `folder` or below it."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for suffix, text in ((".html", to_html(page)), (".md", to_markdown(page, folder))):
        path = folder / f"{name}{suffix}"
        fresh = path.with_name(path.name + ".tmp")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
        written.append(path)
    return written[0], written[1]


def plain(text: str) -> str:
    """One line without characters that control how others are shown: those become their codes, line breaks spaces."""
    spaced = " ".join(text.split())
    return "".join(c if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co") else _code(c) for c in spaced)


def _code(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


# --- HTML ------------------------------------------------------------------------------------------------------


def to_html(page: Page) -> str:
    """The page as one HTML document."""
    return "\n".join(_html(page)) + "\n"


def _html(page: Page) -> Iterator[str]:
    title = safe_text(page.title)
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>"
    number = 0
    for block in page.lead:
        number += 1
        yield from block_html(block, number)
    for part in page.parts:
        yield f"<h2>{safe_text(part.title)}</h2>"
        for block in part.blocks:
            number += 1
            yield from block_html(block, number)
    yield "</body>\n</html>"


def safe_text(text: str) -> str:
    """Text for an element or attribute of a page."""
    return escape(plain(text), quote=True)


def block_html(block: Block, number: int) -> Iterator[str]:
    """One block; number: makes the ids inside its picture unique on the page."""
    if isinstance(block, Table):
        yield from _table(block)
    elif isinstance(block, Figure):
        svg = inline_svg(block.path.read_text(encoding="utf-8"), f"f{number}-", safe_text(block.words))
        yield f"<figure>\n{svg}\n<figcaption>{safe_text(block.caption)}</figcaption>\n</figure>"
    elif isinstance(block, Lines):
        yield "<ul>"
        yield from (f"<li>{safe_text(line)}</li>" for line in block.lines)
        yield "</ul>"
    elif isinstance(block, Command):
        yield f"<pre>{safe_text(block.text)}</pre>"
    else:
        yield f"<p>{safe_text(block.text)}</p>"


def _table(table: Table) -> Iterator[str]:
    kind = ' class="foreign"' if table.foreign else ""
    name = safe_text(table.caption) or "Table"
    yield f'<div class="table" tabindex="0" role="region" aria-label="{name}"><table{kind}>'
    yield f"<caption>{safe_text(table.caption)}</caption>\n<thead><tr>"
    yield "".join(f'<th scope="col">{safe_text(name)}</th>' for name in table.header)
    yield "</tr></thead>\n<tbody>"
    for position, row in enumerate(table.rows):
        cells = "".join(f"<td{_class(cell)}>{safe_text(cell.text)}</td>" for cell in row[1:])
        apart = ' class="apart"' if position in table.apart else ""
        yield f'<tr{apart}><th scope="row">{safe_text(row[0].text)}</th>{cells}</tr>'
    yield "</tbody></table></div>"
    if table.note:
        yield f'<p class="note">{safe_text(table.note)}</p>'


def _class(cell: Cell) -> str:
    return ' class="best"' if cell.best else ' class="near"' if cell.near else ""


def inline_svg(svg: str, prefix: str, words: str) -> str:
    """An SVG document as an element of a page: without prolog and metadata, its ids made unique by `prefix`.

    words: escaped text that stands for the picture.
    """
    start = svg.index("<svg")
    body = re.sub(r"<metadata>.*?</metadata>", "", svg[start:], flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{prefix}', body)
    body = re.sub(r'href="#', f'href="#{prefix}', body)
    body = body.replace("url(#", f"url(#{prefix}")
    return body.replace("<svg", f'<svg role="img" aria-label="{words}"', 1).rstrip()


# --- Markdown --------------------------------------------------------------------------------------------------


def to_markdown(page: Page, folder: Path) -> str:
    """The page as Markdown with tables; figures are linked by their place in `folder`."""
    return "\n\n".join(_markdown(page, folder)) + "\n"


def _markdown(page: Page, folder: Path) -> Iterator[str]:
    yield f"# {_marked(page.title)}"
    for block in page.lead:
        yield from _markdown_block(block, folder)
    for part in page.parts:
        yield f"## {_marked(part.title)}"
        for block in part.blocks:
            yield from _markdown_block(block, folder)


def _marked(text: str) -> str:
    """Text in which nothing is read as markup: no emphasis, link, code, table border or HTML."""
    return re.sub(r"([\\`*_\[\]<>#|~&])", r"\\\1", plain(text))


def _markdown_block(block: Block, folder: Path) -> Iterator[str]:
    if isinstance(block, Table):
        yield f"**{_marked(block.caption)}**"
        lines = [_line(block.header), "|---" + "|---:" * (len(block.header) - 1) + "|"]
        for row in block.rows:
            lines.append("| " + " | ".join(_markdown_cell(cell) for cell in row) + " |")
        yield "\n".join(lines)
        if block.note:
            yield _marked(block.note)
    elif isinstance(block, Figure):
        place = block.path.relative_to(folder).as_posix()
        yield f"![{_marked(block.words)}]({place})"
        yield _marked(block.caption)
    elif isinstance(block, Lines):
        yield "\n".join(f"- {_marked(line)}" for line in block.lines)
    elif isinstance(block, Command):
        yield "    " + plain(block.text)
    else:
        yield _at_start(_marked(block.text))


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(_marked(cell) for cell in cells) + " |"


def _markdown_cell(cell: Cell) -> str:
    text = _marked(cell.text)
    return f"**{text}**" if cell.best and text else text


def _at_start(text: str) -> str:
    """A paragraph that does not become a list, a rule or a heading by how it begins."""
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", re.sub(r"^([-+=])", r"\\\1", text))
