"""Read Label Studio's CSV export: a row per annotation, as the tasks of its short JSON form (JSON-MIN).

The columns stand in alphabetical order, and nothing in the file says which are answers and which the task's own data:
the label config does. Without it the answers are the columns that differ between the annotations of one task.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from crowdllm.data.tables import Cells, plain_number
from crowdllm.exchange.labelstudio_config import NUMBER, RATING, Control
from crowdllm.exchange.ledger import Ledger
from crowdllm.exchange.limits import DamagedFileError
from crowdllm.exchange.text_table import read_text_table

ALWAYS = ("annotation_id", "annotator", "lead_time")
SUFFIXES = (".csv", ".tsv")


def is_header(line: str) -> bool:
    """Whether a header line holds the columns that every CSV export has."""
    names = {word.strip().strip('"') for word in line.replace("\t", ",").split(",")}
    return names.issuperset(ALWAYS)


def csv_tasks(
    path: Path, controls: Mapping[str, Control], not_data: Collection[str], ledger: Ledger, max_megabytes: int
) -> list[dict[str, Any]]:
    """A task per row, its answers behind its id, as JSON-MIN has them.

    controls: those of the label config; none to find the answers by what they hold. not_data: columns that the tool
    itself writes. Columns that are neither an answer nor the task's data (such as marks in a text) go to the ledger.

    Raises CrowdLLMError for what is no such table, and where no column of answers can be told.
    """
    table, notes = read_text_table(path, ALWAYS, max_megabytes)
    ledger.notes += notes
    columns = table.columns
    if not set(ALWAYS) <= set(columns):
        raise DamagedFileError(path, f"has not the columns {', '.join(ALWAYS)} of a Label Studio CSV export")
    rest = [name for name in columns if name not in not_data]
    seem = _answers(columns, rest)
    answers = [name for name in rest if name in controls] if controls else seem
    for name in [name for name in seem if name not in answers]:
        text = "differs between the annotations of a task, and is no answer that the label config names"
        ledger.note("not carried over", name, text, int((columns[name] != "").sum()))
    rest = [name for name in rest if name in answers or name not in seem]
    if not answers:
        hint = "name its label config (.xml) too, or export as JSON"
        raise DamagedFileError(path, "does not tell which of its columns are answers", hint)
    kept = [name for name in columns if name in not_data and name != "id"]
    ids = columns.get("id", columns["annotation_id"])
    order = [*(name for name in rest if name not in answers), *kept]
    return [
        {name: columns[name][r] for name in order if name in rest}
        | {"id": str(ids[r])}
        | {name: columns[name][r] for name in kept}
        | {name: _value(columns[name][r], controls.get(name)) for name in answers}
        for r in range(len(ids))
    ]


def _answers(columns: Mapping[str, Cells], rest: list[str]) -> list[str]:
    """The columns that say different things of one task, or hold an answer's JSON."""
    ids = columns.get("id")
    found = []
    for name in rest:
        first: dict[str, str] = {}
        same = ids is None or all(
            first.setdefault(task, cell) == cell
            for task, cell in zip(ids.tolist(), columns[name].tolist(), strict=True)
        )
        if not same or any('{"choices"' in cell for cell in columns[name].tolist()):
            found.append(name)
    return found


def _value(cell: str, control: Control | None) -> Any:
    """A cell as JSON-MIN would have it: lists and objects, numbers where numbers are the answer, else the text."""
    text = cell.strip()
    numbers = control is None or control.kind in (RATING, NUMBER)
    if text[:1] in ("[", "{") or (numbers and plain_number(text) is not None):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text
