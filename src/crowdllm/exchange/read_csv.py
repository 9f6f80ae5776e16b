"""Read a plain CSV (or any separated text), wide or long, with a guessed meaning of the columns to confirm."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from crowdllm.data.tables import Cells, Table
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.ledger import Ledger
from crowdllm.exchange.protocol import MAYBE, NO, Glance, Imported, Reader, ReadOptions
from crowdllm.exchange.table_import import imported_table
from crowdllm.exchange.tables_guess import ANSWERS, PEOPLE, PROBLEMS, distinct_words
from crowdllm.exchange.text_table import read_text_table

SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".dat")
SEVERAL = ("ballot", "ranking", "points")
NUMBER, COMMA_NUMBER = re.compile(r"[-+]?[0-9]+"), re.compile(r"[-+]?[0-9]+,[0-9]+")


def sniff(files: Sequence[Glance]) -> int:
    return MAYBE if len(files) == 1 and files[0].suffix in SUFFIXES and not files[0].members else NO


def read(files: Sequence[Path], options: ReadOptions) -> Imported:
    """The study in one table.

    Raises CrowdLLMError for more than one file, for what is no table, and as `imported_table` does.
    """
    if len(files) != 1:
        raise CrowdLLMError(f"a plain table is one file, not {len(files)}; name the format of several with --from")
    ledger = Ledger()
    table = read_csv_table(files[0], options, ledger)
    return imported_table(table.columns, files[0].stem, options, ledger)


def read_csv_table(path: Path, options: ReadOptions, ledger: Ledger) -> Table:
    """The cells, with points for decimal commas; what was done to them is noted. Raises as `read_text_table` does."""
    table, notes = read_text_table(path, {*PEOPLE, *PROBLEMS, *ANSWERS}, options.max_megabytes)
    ledger.notes += notes
    if any("-separated" in note.text for note in notes):  # the comma is no separator here
        table = replace(table, columns=with_points(table.columns, options.mapping, ledger))
    return table


def with_points(columns: Mapping[str, Cells], given: Mapping[str, Any], ledger: Ledger) -> dict[str, Cells]:
    """Columns of numbers with decimal commas (0,75), as other countries write them, with points; each is noted.

    Not those that the mapping says list several options, of which 1,3 may be two.
    """
    out = dict(columns)
    for name, cells in columns.items():
        lists = given.get("columns", {}).get(name, {}).get("type") in SEVERAL
        words = [word for word in distinct_words(cells) if not NUMBER.fullmatch(word.strip())]
        if not lists and words and all(COMMA_NUMBER.fullmatch(word.strip()) for word in words):
            out[name] = np.array([cell.replace(",", ".") for cell in cells], dtype=object)
            ledger.note("reading", name, f"decimal commas, such as {words[0].strip()}, are read as points")
    return out


READER = Reader("csv", "CSV or other separated text", sniff, read)
