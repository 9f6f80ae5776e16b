"""Write SPSS (.sav) and Stata (.dta) files with labels: people as rows, or a table of distributions or estimates.

The file is made in memory by pyreadstat, so that its size is limited (`Source.require_small`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crowdllm.errors import CrowdLLMError, MissingExtraError
from crowdllm.exchange.export_protocol import RESPONSES, TABLES, WriteOptions, Writer, Written
from crowdllm.exchange.export_source import Source
from crowdllm.exchange.labelled_columns import Variables, labelled, renamed_note
from crowdllm.exchange.response_rows import table_frames


@dataclass(frozen=True)
class _Limits:
    """What a format holds. label, value_label: bytes of UTF-8; text: bytes of a text cell; variables: how many."""

    label: int
    value_label: int
    text: int
    variables: int


SPSS = _Limits(label=256, value_label=120, text=32_000, variables=30_000)
STATA = _Limits(label=80 * 4, value_label=32_000, text=2_045, variables=32_767)
STATA_LETTERS = 80


def _variables(source: Source, options: WriteOptions) -> Variables:
    if options.table == RESPONSES:
        return labelled(source)
    out = Variables()
    for frame in table_frames(source, options):
        source.require_small(frame.size, "the table")
        for name in frame.columns:
            column = frame[name]
            if name == "simulated":
                out.add("simulated", column.to_numpy(dtype=float), "whether it is simulated", "nominal", _YES_NO)
            elif name != "seed" and pd.api.types.is_numeric_dtype(column.dtype):
                out.add(str(name), column.to_numpy(dtype=float, na_value=np.nan), str(name), "scale", None)
            else:
                words = np.array(["" if pd.isna(cell) else str(cell) for cell in column.tolist()], dtype=object)
                out.add(str(name), words, str(name), "nominal", None)
    return out


_YES_NO: dict[int | float, str] = {0: "no", 1: "yes"}


def _prepared(
    source: Source, variables: Variables, limits: _Limits, letters: int = 0
) -> tuple[pd.DataFrame, list[str]]:
    """The variables as a frame, with labels and texts cut to what the format holds; and what to say of it."""
    if len(variables.columns) > limits.variables:
        raise CrowdLLMError(
            f"{source.place}: {len(variables.columns):,} variables, and the format holds {limits.variables:,}: export "
            "to csv or parquet, which have a row per response"
        )
    cut = {"labels": 0, "value labels": 0, "texts": 0}
    for name, label in variables.labels.items():
        variables.labels[name] = _cut(label[:letters] if letters else label, limits.label)
        cut["labels"] += variables.labels[name] != label
    for values in variables.value_labels.values():
        for code, label in values.items():
            values[code] = _cut(label, limits.value_label)
            cut["value labels"] += values[code] != label
    columns: dict[str, Any] = {}
    for name, cells in variables.columns.items():
        if cells.dtype == object:
            short = [_cut(str(cell), limits.text) for cell in cells.tolist()]
            cut["texts"] += sum(a != b for a, b in zip(short, cells.tolist(), strict=True))
            cells = np.array(short, dtype=object)
        columns[name] = cells
    notes = [f"{count:,} {what} are longer than the format holds, and cut" for what, count in cut.items() if count]
    return pd.DataFrame(columns), [*renamed_note(variables.renamed), *notes]


def _cut(text: str, most: int) -> str:
    """The text in at most so many bytes of UTF-8, without the NULs that would end it."""
    data = text.replace("\0", " ").encode("utf-8", "replace")
    return data[:most].decode("utf-8", "ignore")


def _write(make: Callable[[Any, Source, Path, WriteOptions], tuple[int, list[str]]]) -> Callable[..., Written]:
    def write(source: Source, folder: Path, name: str, options: WriteOptions) -> Written:
        try:
            import pyreadstat
        except ImportError:
            raise MissingExtraError("writing SPSS and Stata files", "formats") from None
        try:
            rows, notes = make(pyreadstat, source, folder / name, options)
        except (pyreadstat.PyreadstatError, pyreadstat.ReadstatError) as error:
            raise CrowdLLMError(f"{source.place} cannot be written so: {error}; export to csv or parquet") from None
        if source.study.weights_N is not None and options.table == RESPONSES:
            notes.append(
                "the file cannot say that it is weighted: switch it on for the variable weight in your program"
            )
        return Written((name,), rows, tuple(notes))

    return write


def _sav(pyreadstat: Any, source: Source, path: Path, options: WriteOptions) -> tuple[int, list[str]]:
    variables = _variables(source, options)
    frame, notes = _prepared(source, variables, SPSS)
    pyreadstat.write_sav(
        frame,
        str(path),
        file_label=_cut(source.study.title, 60),
        column_labels=variables.labels,
        variable_value_labels=variables.value_labels,
        variable_measure=variables.measure,
        note=_cut(source.marks.words, 80),
        row_compress=True,
    )
    return len(frame), notes


def _dta(pyreadstat: Any, source: Source, path: Path, options: WriteOptions) -> tuple[int, list[str]]:
    variables = _variables(source, options)
    frame, notes = _prepared(source, variables, STATA, STATA_LETTERS)
    pyreadstat.write_dta(
        frame,
        str(path),
        file_label=source.study.title[:STATA_LETTERS],
        column_labels=variables.labels,
        variable_value_labels=variables.value_labels,
    )
    return len(frame), notes


WRITER_SPSS = Writer("spss", "SPSS (.sav)", (".sav",), TABLES, _write(_sav), extra="formats")
WRITER_STATA = Writer("stata", "Stata (.dta)", (".dta",), TABLES, _write(_dta), extra="formats")
