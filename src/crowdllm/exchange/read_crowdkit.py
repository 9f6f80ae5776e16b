"""Read crowd-kit's frames: `task, worker, label`, or pairwise comparisons `worker, left, right, label`; CSV or Parquet.

A further table `task, label` (or `true_label`) is the ground truth, which becomes the attribute `gold` of the problems:
it is never shown to a crowd. A further table `task, text` (or other columns) describes the tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from crowdllm.data.tables import Cells, Table, read_table
from crowdllm.errors import CrowdLLMError, StudyError
from crowdllm.exchange.labelling import Labelling, control_of, imported_labelling
from crowdllm.exchange.ledger import Ledger
from crowdllm.exchange.limits import DamagedFileError, require_size
from crowdllm.exchange.personal import screen
from crowdllm.exchange.protocol import LIKELY, NO, Glance, Imported, Reader, ReadOptions
from crowdllm.exchange.simulated_rows import refuse_simulated
from crowdllm.exchange.survey import Item
from crowdllm.exchange.text_table import read_text_table

LABELS, PAIRS = ("task", "worker", "label"), ("worker", "left", "right", "label")
TEXT = "text"
TRUTH = ("label", "true_label", "gold", "golden", "gt")
MARKS = ("simulated", "model", "model_hash", "seed", "run", "weight")
PARQUET = (".parquet", ".pq")


def sniff(files: Sequence[Glance]) -> int:
    heads = [{word.strip().strip('"') for word in f.first_line.replace("\t", ",").split(",")} for f in files]
    if any(set(LABELS) <= head or set(PAIRS) <= head for head in heads) and all(
        "worker" in h or "task" in h for h in heads
    ):
        further = set().union(*heads) - {*LABELS, *PAIRS, *TRUTH, *MARKS, TEXT}
        return NO if further and len(files) == 1 else LIKELY  # a plain table, whose further columns are of use
    return NO


def read(files: Sequence[Path], options: ReadOptions) -> Imported:
    """The study in crowd-kit's frames; raises CrowdLLMError for what is none."""
    ledger = Ledger()
    tables = {path: _table(path, options, ledger) for path in files}
    answers = [p for p, t in tables.items() if "worker" in t and "label" in t]
    if len(answers) != 1:
        raise CrowdLLMError(f"one table with the columns {', '.join(LABELS)} is needed; {len(answers)} were given")
    path = answers[0]
    columns = tables.pop(path)
    if not len(columns["worker"]):
        raise DamagedFileError(path, "has a header and no rows")
    if set(PAIRS) <= set(columns) and "task" not in columns:
        tasks, texts, control, own = _pairs(columns, ledger)
    elif "task" in columns:
        tasks, texts, control, own = columns["task"], _texts(path, columns, ledger), _labels(columns), {}
    else:
        raise DamagedFileError(path, "has no column 'task', nor 'left' and 'right'")
    described: dict[str, dict[str, str]] = {}
    for other, table in tables.items():
        texts = texts | _describe(other, table, described, ledger)
    rest = [name for name in columns if name not in (*LABELS, *PAIRS, TEXT) and name not in MARKS]
    if rest:
        ledger.note("not carried over", "", f"columns beside crowd-kit's own: {', '.join(rest)}", len(rest))
    refuse_simulated(columns, path.name)
    ledger.understood.append(f"{len(tasks):,} labels of {len(set(columns['worker'].tolist())):,} workers")
    work = Labelling(
        path.stem, columns["worker"], tasks, (control,), texts, {"label": own} if own else {}, described, "worker"
    )
    return imported_labelling(work, options, ledger, guessed=True)


def _labels(columns: Mapping[str, Cells]) -> Item:
    item = control_of("label", "label", columns["label"])
    return Item(item.id, item.text, item.kind, item.options, item.cells_N, use="problem" if item.options else "")


def _table(path: Path, options: ReadOptions, ledger: Ledger) -> dict[str, Cells]:
    if path.suffix.lower() in PARQUET:
        require_size(path, options.max_megabytes)
        table, findings = read_table(path)
        if table is None or any(f.severity == "error" for f in findings):
            raise StudyError(findings)
    else:
        table, notes = read_text_table(path, (*LABELS, *PAIRS), options.max_megabytes)
        ledger.notes += notes
    return dict(_named(table).columns)


def _named(table: Table) -> Table:
    """The table without pandas' unnamed index column."""
    kept = {n: c for n, c in table.columns.items() if not n.startswith(("Unnamed:", "column ", "__index_level_"))}
    return Table(table.name, kept, table.row_R, table.ragged_R)


def _pairs(
    columns: Mapping[str, Cells], ledger: Ledger
) -> tuple[Cells, dict[str, str], Item, dict[str, tuple[str, ...]]]:
    """Comparisons: a problem per unordered pair, whose options are the two; the label names the winner."""
    sides = [tuple(sorted(pair)) for pair in zip(columns["left"].tolist(), columns["right"].tolist(), strict=True)]
    names = {pair: f"{pair[0]} | {pair[1]}" for pair in dict.fromkeys(sides) if pair[0] != pair[1] and all(pair)}
    tasks = np.array([names.get(pair, "") for pair in sides], dtype=object)
    cells = np.full(len(tasks), "", dtype=object)
    for row, (pair, label) in enumerate(zip(sides, columns["label"].tolist(), strict=True)):
        if label in pair and pair in names:
            cells[row] = f"#{pair.index(label) + 1}"
    lost = int((cells == "").sum())
    if lost:
        ledger.note("answers left out", "label", "the label is neither left nor right, or the two are the same", lost)
    own: dict[str, tuple[str, ...]] = {name: (pair[0], pair[1]) for pair, name in names.items()}
    texts = {name: f"Which one: {pair[0]} or {pair[1]}?" for pair, name in names.items()}
    return (
        tasks,
        texts,
        Item("label", "Which of the two?", "single", ("left", "right"), cells, ordered=False, use="problem"),
        own,
    )


def _texts(path: Path, columns: Mapping[str, Cells], ledger: Ledger) -> dict[str, str]:
    """The tasks' texts where they stand beside the labels."""
    if TEXT not in columns:
        return {}
    pairs = set(zip(columns["task"].tolist(), columns[TEXT].tolist(), strict=True))
    texts = _describe(path, {name: columns[name] for name in ("task", TEXT)}, {}, ledger)
    if len(pairs) > len({task for task, _ in pairs}):
        ledger.note("changed", TEXT, "a task has several texts; the last one that is not empty counts")
    return texts


def _describe(
    path: Path, table: Mapping[str, Cells], described: dict[str, dict[str, str]], ledger: Ledger
) -> dict[str, str]:
    """Texts by task; other columns go to `described`, the ground truth as `gold`."""
    if "task" not in table:
        raise DamagedFileError(path, "has no column 'task'")
    screened = screen({n: c for n, c in table.items() if n != "task"})
    ledger.left_out += list(screened.left_out)
    tasks = table["task"].tolist()
    texts: dict[str, str] = {}
    for name, cells in screened.columns.items():
        values = {t: c for t, c in zip(tasks, cells.tolist(), strict=True) if c}
        if name == TEXT:
            texts = values
        else:
            described["gold" if name in TRUTH else name] = values
    if "gold" in described:
        ledger.understood.append(f"ground truth of {len(described['gold']):,} tasks, as the attribute gold")
    return texts


def study_from_crowdkit(frame: pd.DataFrame, title: str = "labels") -> Imported:
    """A study from a frame with the columns task, worker and label, as crowd-kit's aggregators take it."""
    missing = [name for name in LABELS if name not in frame.columns]
    if missing:
        raise CrowdLLMError(f"the frame has no column {missing[0]!r}; crowd-kit's are {', '.join(LABELS)}")
    columns = {name: frame[name].astype(str).to_numpy(dtype=object) for name in LABELS}
    work = Labelling(title, columns["worker"], columns["task"], (_labels(columns),), {}, worker_column="worker")
    return imported_labelling(work, ReadOptions(), Ledger(), guessed=True)


READER = Reader("crowdkit", "crowd-kit's task, worker, label", sniff, read)
