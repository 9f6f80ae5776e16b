"""Survey tables: cells read as text, then words to level positions, numbers to floats, wide to long.

Shapes: N people, T problems, C profile columns, R responses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.errors import Finding, StudyError, UnknownNameError
from crowdllm.responses.ordinal import Ordinal

Array = NDArray[np.float64]


def read_text_table(path: Path, separator: str = ",", names: Sequence[str] | None = None) -> pd.DataFrame:
    """A delimited UTF-8 file with every cell as text: "NA" and "007" stay what they are, a blank cell is "".

    names: column names of a file without a header row.

    Raises StudyError when the file is no such table.
    """
    settings: dict[str, Any] = {"header": None, "names": list(names)} if names else {}
    try:
        return pd.read_csv(
            path,
            sep=separator,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8",
            index_col=False,
            **settings,
        )
    except (ValueError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise StudyError([Finding("error", f"not a table: {error}", file=path.name)]) from error


def require_columns(frame: pd.DataFrame, columns: Sequence[str], file: str) -> None:
    """Raise StudyError naming every column that the table lacks."""
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        has = ", ".join(str(c) for c in frame.columns)
        raise StudyError(
            [Finding("error", "the column is missing", file=file, column=c, allowed=f"columns {has}") for c in missing]
        )


def number_column(cells: pd.Series, file: str) -> Array:
    """(N,) numbers, NaN where blank; raises StudyError for a cell that is no number."""
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    bad = np.flatnonzero(np.isnan(numbers) & (cells.str.strip() != "").to_numpy(dtype=bool))
    if len(bad):
        raise StudyError(
            [
                Finding("error", "not a number", file, int(row) + 2, str(cells.name), str(cells.iloc[row]))
                for row in bad[:20]
            ]
        )
    return numbers


def level_column(cells: pd.Series, column: ProfileColumn, file: str) -> Array:
    """(N,) positions of the levels, NaN where blank; raises UnknownNameError for an undeclared level."""
    levels, words = pd.Index(column.levels, dtype=object), pd.Index(cells, dtype=object)
    positions = levels.get_indexer(words).astype(float)
    blank = (cells == "").to_numpy(dtype=bool)
    unknown = np.flatnonzero((positions < 0) & ~blank)
    if len(unknown):
        raise UnknownNameError("level", str(cells.iloc[unknown[0]]), column.levels, f"{file}, column {column.name!r}")
    return np.where(positions < 0, np.nan, positions)


def profiles_from_text(
    frame: pd.DataFrame, columns: Sequence[ProfileColumn], ids: NDArray[np.object_], file: str
) -> Profiles:
    """Profiles from a frame with one row per person and text cells named as the profile columns."""
    values = [
        number_column(frame[c.name], file) if c.kind == "numeric" else level_column(frame[c.name], c, file)
        for c in columns
    ]
    return Profiles(tuple(columns), ids, np.stack(values, axis=1) if values else np.zeros((len(ids), 0)))


def running_ids(count: int) -> NDArray[np.object_]:
    """(N,) "p1", "p2", ...: names that tell nothing about the people."""
    return ("p" + pd.Series(np.arange(1, count + 1)).astype(str)).to_numpy(dtype=object)


@dataclass(frozen=True)
class ScaleCells:
    """Answers on a scale: level positions (NaN for none), how many were blank, how many off the scale."""

    positions: Array
    blank: int
    off_scale: int


def scale_cells(cells: NDArray[np.object_], scale: Ordinal) -> ScaleCells:
    """Level positions of text cells such as "-2", "-2.0" or ""; same shape as `cells`."""
    words = pd.Series(cells.reshape(-1), dtype=object).astype(str).str.strip()
    numbers = pd.to_numeric(words, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    points = np.array(scale.points)
    nearest = np.clip(np.searchsorted(points, numbers), 0, len(points) - 1)
    on_scale = points[nearest] == numbers
    blank = (words == "").to_numpy(dtype=bool)
    positions = np.where(on_scale, nearest, np.nan).reshape(cells.shape)
    return ScaleCells(positions, int(blank.sum()), int((~on_scale & ~blank).sum()))


def wide_responses(positions_NT: Array) -> Responses:
    """One row per answer of an (N, T) table, person by person; NaN means no answer and gives no row."""
    participant_R, problem_R = np.nonzero(~np.isnan(positions_NT))
    return Responses(participant_R, problem_R, positions_NT[participant_R, problem_R][:, None])
