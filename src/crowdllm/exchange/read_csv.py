"""Read a plain CSV (or any separated text), wide or long, with a guessed meaning of the columns to confirm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.ledger import Ledger
from crowdllm.exchange.protocol import MAYBE, NO, Glance, Imported, Reader, ReadOptions
from crowdllm.exchange.table_import import imported_table
from crowdllm.exchange.tables_guess import ANSWERS, PEOPLE, PROBLEMS
from crowdllm.exchange.text_table import read_text_table

SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".dat")


def sniff(files: Sequence[Glance]) -> int:
    return MAYBE if len(files) == 1 and files[0].suffix in SUFFIXES and not files[0].members else NO


def read(files: Sequence[Path], options: ReadOptions) -> Imported:
    """The study in one table.

    Raises CrowdLLMError for more than one file, for what is no table, and as `imported_table` does.
    """
    if len(files) != 1:
        raise CrowdLLMError(f"a plain table is one file, not {len(files)}; name the format of several with --from")
    ledger = Ledger()
    table, notes = read_text_table(files[0], {*PEOPLE, *PROBLEMS, *ANSWERS}, options.max_megabytes)
    ledger.notes += notes
    return imported_table(table.columns, files[0].stem, options, ledger)


READER = Reader("csv", "CSV or other separated text", sniff, read)
