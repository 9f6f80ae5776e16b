"""A page that `crowdllm reproduce` or `crowdllm study run` wrote: pictures and tables, by way of its Markdown twin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from crowdllm.errors import CrowdLLMError
from crowdllm.report.dossier.answers import Chart, Contribution, Section
from crowdllm.report.dossier.charts import safe_csv
from crowdllm.report.dossier.found import Found
from crowdllm.report.page import Block, Cell, Command, Lines, Table, Text

ESCAPED = re.compile(r"\\([\\`*_\[\]<>#|~&.)\-+=])")


def contribute(found: Found) -> Contribution:
    """A section per heading of the page."""
    path = found.folder / "index.md"
    if not path.is_file():
        raise CrowdLLMError(f"{found.folder} is not complete: index.md is missing; give its command again")
    blocks: list[Block | Chart] = []
    sections: list[Section] = []
    title = "Results"
    lead: Chart | None = None
    for chunk in path.read_text(encoding="utf-8").split("\n\n"):
        text = chunk.strip("\n")
        heading = re.match(r"(#{1,2}) (.*)", text)
        if heading:
            if blocks:
                sections.append(Section(title, tuple(blocks)))
            title, blocks = _plain(heading[2]), []
        elif text:
            made = list(_blocks(text, found))
            blocks += made
            lead = lead or next((block for block in made if isinstance(block, Chart)), None)
    if blocks:
        sections.append(Section(title, tuple(blocks)))
    files = tuple(
        f"{found.folder.name}: {key}: {found.about[key]}."
        for key in ("study", "name", "crowdllm", "command")
        if key in found.about
    )
    return Contribution({}, tuple(sections), lead, files)


def _blocks(text: str, found: Found) -> Iterator[Block | Chart]:
    picture = re.fullmatch(r"!\[(.*)\]\((.*)\)", text)
    lines = text.splitlines()
    if picture:
        path = (found.folder / picture[2]).resolve()
        if path.suffix == ".svg" and path.is_file() and path.is_relative_to(found.folder.resolve()):
            words = _plain(picture[1])
            yield Chart(path.stem, path.read_text(encoding="utf-8"), words, words, _data(found.folder, path.stem))
    elif lines[0].startswith("| ") and len(lines) > 1 and lines[1].startswith("|---"):
        header, *rows = [_cells(line) for line in (lines[0], *lines[2:])]
        yield Table("", tuple(cell.text for cell in header), tuple(tuple(row) for row in rows))
    elif all(line.startswith("- ") for line in lines):
        yield Lines(tuple(_plain(line[2:]) for line in lines))
    elif all(line.startswith("    ") for line in lines):
        yield Command(text.strip())
    else:
        yield Text(_plain(text.strip("*")))


def _data(folder: Path, picture: str) -> str:
    """The table a picture was drawn from: of its name, of the longest that its own begins with, or all numbers."""
    tables = {path.stem: path for path in folder.glob("*.csv")}
    named = max((name for name in tables if picture.startswith(name)), key=len, default="metrics")
    return safe_csv(pd.read_csv(tables[named], keep_default_na=False, dtype=str)) if named in tables else ""


def _cells(line: str) -> list[Cell]:
    parts = re.split(r"(?<!\\)\|", line)[1:-1]
    return [Cell(_plain(part.strip().strip("*")), best=part.strip().startswith("**")) for part in parts]


def _plain(text: str) -> str:
    return ESCAPED.sub(r"\1", text)
