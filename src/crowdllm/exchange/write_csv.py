"""Write CSV: UTF-8 with a byte order mark (for Excel), row by row, formulas defused, numbers in full precision."""

from __future__ import annotations

from pathlib import Path

from crowdllm.exchange.export_protocol import TABLES, WriteOptions, Writer, Written
from crowdllm.exchange.export_source import Source
from crowdllm.exchange.response_rows import table_frames
from crowdllm.exchange.spreadsheet_text import defuse, defused_note


def write(source: Source, folder: Path, name: str, options: WriteOptions) -> Written:
    changed: set[str] = set()
    rows = 0
    with (folder / name).open("w", encoding="utf-8-sig", newline="") as file:
        for number, frame in enumerate(table_frames(source, options)):
            safe, more = defuse(frame)
            changed |= more
            safe.to_csv(file, index=False, header=number == 0, lineterminator="\r\n")
            rows += len(frame)
    return Written((name,), rows, defused_note(changed))


WRITER = Writer("csv", "CSV", (".csv",), TABLES, write)
