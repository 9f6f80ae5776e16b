"""Write crowd-kit's frame of answers, `task, worker, label`, with the marks behind: CSV, or Parquet by the file's end.

For responses that are a single label (ordinal, choice); crowd-kit knows no others. Its aggregators leave further
columns aside, so the survey weights and marks do no harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.export_protocol import RESPONSES, Marks, WriteOptions, Writer, Written
from crowdllm.exchange.export_source import Source, open_source
from crowdllm.exchange.response_rows import response_frame
from crowdllm.exchange.spreadsheet_text import defuse, defused_note

LABELS = ("ordinal", "choice")
COLUMNS = {"problem": "task", "participant": "worker", "response": "label"}


def crowdkit_frame(source: str | Path | object) -> pd.DataFrame:
    """The answers of a folder or `Study` as crowd-kit takes them, all in memory, with the marks behind.

    Raises CrowdLLMError for responses that are no single labels.
    """
    opened = open_source(source)  # type: ignore[arg-type]
    _require_labels(opened)
    frames = list(_frames(opened, WriteOptions(RESPONSES)))
    return pd.concat([frame.astype(dict.fromkeys(COLUMNS.values(), object)) for frame in frames], ignore_index=True)


def _frames(source: Source, options: WriteOptions) -> Iterator[pd.DataFrame]:
    done = 0
    for piece in source.pieces():
        frame = response_frame(piece, source, slim=True).rename(columns=COLUMNS)
        rest = [name for name in frame.columns if name not in COLUMNS.values()]
        yield frame[[*COLUMNS.values(), *rest]]
        done += len(frame)
        if options.progress:
            options.progress("exporting responses", done, source.responses)


def _require_labels(source: Source) -> None:
    kind = source.study.response_type.kind
    if kind not in LABELS:
        raise CrowdLLMError(
            f"{source.place}: crowd-kit's task, worker, label holds single labels ({' or '.join(LABELS)}), and these "
            f"are {kind} responses: export to csv"
        )


def write(source: Source, folder: Path, name: str, options: WriteOptions) -> Written:
    _require_labels(source)
    notes = ["the problems' texts and the profiles are not in it: crowd-kit has no place for them"]
    rows, changed = 0, set()
    if Path(name).suffix.lower() == ".parquet":
        return _parquet(source, folder, name, options, notes)
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        for number, frame in enumerate(_frames(source, options)):
            safe, more = defuse(frame)
            changed |= more
            safe.to_csv(file, index=False, header=number == 0, lineterminator="\n")
            rows += len(frame)
    return Written((name,), rows, (*notes, *defused_note(changed)))


def _parquet(source: Source, folder: Path, name: str, options: WriteOptions, notes: list[str]) -> Written:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, writer = 0, None
    try:
        for frame in _frames(source, options):
            table = pa.Table.from_pandas(
                frame.astype(dict.fromkeys((*COLUMNS.values(), "model"), str)), preserve_index=False
            )
            writer = writer or pq.ParquetWriter(folder / name, table.schema.with_metadata(_metadata(source.marks)))
            writer.write_table(table.replace_schema_metadata(_metadata(source.marks)))
            rows += len(frame)
    finally:
        if writer is not None:
            writer.close()
    return Written((name,), rows, tuple(notes))


def _metadata(marks: Marks) -> dict[str, str]:
    return {f"crowdllm.{key}": str(value) for key, value in marks.values().items()}


WRITER = Writer("crowdkit", "crowd-kit's task, worker, label", (), (RESPONSES,), write)
