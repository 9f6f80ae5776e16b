"""Read a plain Excel workbook (.xlsx): the sheet with the answers, wide or long, with a guessed meaning to confirm.

The first visible sheet with data is read, or the one named with `--map sheet=NAME`; the others are noted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crowdllm.data.tables import Table
from crowdllm.errors import CrowdLLMError, UnknownNameError
from crowdllm.exchange.ledger import Ledger
from crowdllm.exchange.limits import DamagedFileError
from crowdllm.exchange.protocol import MAYBE, NO, Glance, Imported, Reader, ReadOptions
from crowdllm.exchange.table_import import imported_table
from crowdllm.exchange.text_table import named_columns
from crowdllm.exchange.workbook import Sheet, is_workbook, read_workbook, sheet_columns

LOOKED_AT = 20


def sniff(files: Sequence[Glance]) -> int:
    return MAYBE if len(files) == 1 and is_workbook(files[0].members) else NO


def read(files: Sequence[Path], options: ReadOptions) -> Imported:
    """The study in one sheet.

    Raises CrowdLLMError for more than one file, what is no workbook, and as `imported_table` does.
    """
    if len(files) != 1:
        raise CrowdLLMError(f"a workbook is one file, not {len(files)}; name the format of several with --from")
    ledger = Ledger()
    table = read_excel_table(files[0], options, ledger)
    return imported_table(table.columns, files[0].stem, options, ledger)


def read_excel_table(path: Path, options: ReadOptions, ledger: Ledger) -> Table:
    """The table in the sheet with the answers, rows numbered as Excel does; what was passed over goes to the ledger.

    Raises CrowdLLMError for what is no workbook, or has no such sheet.
    """
    sheets = read_workbook(path, options.max_megabytes)
    sheet = _chosen(sheets, str(options.mapping.get("sheet", "")), path, ledger)
    header = header_row(sheet)
    if header:
        above = " / ".join(cell for row in sheet.rows[:header] for cell in row if cell)
        ledger.note("rows above the header", sheet.name, above, header)
    names, columns, rows = sheet_columns(sheet, header)
    columns = [np.array([cell.strip() for cell in cells], dtype=object) for cells in columns]
    named, findings = named_columns(names, columns, sheet.name)
    for finding in findings:
        ledger.note("reading", sheet.name, finding.message)
    return Table(path.name, named, np.array(rows, dtype=np.int64), np.zeros(len(rows), dtype=bool))


def _chosen(sheets: Sequence[Sheet], wanted: str, path: Path, ledger: Ledger) -> Sheet:
    if not sheets:
        raise DamagedFileError(path, "has no sheet with data")
    if wanted and wanted not in [sheet.name for sheet in sheets]:
        raise UnknownNameError("sheet", wanted, [sheet.name for sheet in sheets], path.name)
    visible = [sheet for sheet in sheets if not sheet.hidden] or list(sheets)
    chosen = next((s for s in sheets if s.name == wanted), None)
    chosen = chosen or next((s for s in visible if len(s.rows) > 1 and len(s.rows[0]) > 1), visible[0])
    for sheet in sheets:
        if sheet is not chosen:
            ledger.note("sheet left out", sheet.name, "another sheet is read (--map sheet=NAME)", len(sheet.rows))
    ledger.understood.append(f"sheet {chosen.name!r}")
    return chosen


def header_row(sheet: Sheet) -> int:
    """The position of the row with the column names: the first that is filled nearly as far as any near it."""
    filled = [sum(bool(cell.strip()) for cell in row) for row in sheet.rows[:LOOKED_AT]]
    most = max(filled, default=0)
    return next((r for r, count in enumerate(filled) if count >= 0.8 * most), 0)


READER = Reader("excel", "Excel workbook (.xlsx)", sniff, read, extra="formats")
