"""Rows of a scikit-learn table as a study: a problem column, a participant column, and the rest as the profile.

A table's columns become profile columns by their type: numbers are numeric, texts categorical (levels in the order of
the alphabet), pandas categories categorical or, where they are ordered, ordinal. NaN and None are missing and stay so.
Without a problem column all rows answer one problem; without a participant column every row is another person.

Shapes: R rows, N participants, T problems, C profile columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import KINDS, ProfileColumn, Profiles
from crowdllm.data.tables import number_text
from crowdllm.errors import CrowdLLMError

ONE_PROBLEM = "all rows"
ColumnName = str | int | None


class RowsError(CrowdLLMError, ValueError):
    """Rows that are no study; a ValueError too, since that is what scikit-learn's tools expect."""


@dataclass(frozen=True)
class Layout:
    """What the columns of a table are, as the fit saw them.

    names: how messages call each column. problem, participant: their positions, None where there is none.
    profile: positions of the profile columns, in the order of `columns`.
    """

    names: tuple[str, ...]
    problem: int | None
    participant: int | None
    profile: tuple[int, ...]
    columns: tuple[ProfileColumn, ...]


def read_layout(
    raw: Any,
    cells_RC: NDArray[Any],
    problem: ColumnName,
    participant: ColumnName,
    profile: Mapping[str, Mapping[str, Any]] | None,
) -> Layout:
    """The layout of a training table.

    raw: the table as it was given, whose names and categories count; cells_RC: its validated cells.
    profile: settings of single columns, as under [profile.NAME] of a study.toml (kind, levels, label).

    Raises RowsError for a column that is not there or holds neither numbers nor texts (then a TypeError).
    """
    names = _names(raw, cells_RC.shape[1])
    asked, who = _position(problem, names, "problem"), _position(participant, names, "participant")
    if asked is not None and asked == who:
        raise RowsError(f"the column {problem!r} cannot be the problem and the participant; name two columns")
    rest = tuple(c for c in range(len(names)) if c not in (asked, who))
    strange = [name for name in profile or {} if name not in [names[c] for c in rest]]
    if strange:
        raise RowsError(f"profile: there is no profile column {strange[0]!r}; the columns are {', '.join(names)}")
    columns = tuple(_profile_column(raw, cells_RC, c, names[c], profile or {}) for c in rest)
    return Layout(names, asked, who, rest, columns)


def _names(raw: Any, width: int) -> tuple[str, ...]:
    columns = getattr(raw, "columns", None)
    return tuple(str(name) for name in columns) if columns is not None else tuple(str(c) for c in range(width))


def _position(column: ColumnName, names: tuple[str, ...], what: str) -> int | None:
    if column is None:
        return None
    if isinstance(column, str) and column in names:
        return names.index(column)
    if isinstance(column, int) and not isinstance(column, bool) and 0 <= column < len(names):
        return column
    raise RowsError(f"{what}={column!r} is no column of the table; it has {', '.join(names)}")


def _declared(name: str, settings: dict[str, Any]) -> ProfileColumn:
    kind, levels = settings.pop("kind", "categorical"), tuple(str(level) for level in settings.pop("levels", ()))
    label = str(settings.pop("label", ""))
    if kind not in KINDS or settings or (kind != "numeric") != bool(levels):
        raise RowsError(
            f"profile column {name!r}: give kind ({', '.join(KINDS)}), levels unless it is numeric, and a label if you "
            f"like, not {[kind, list(levels), *settings]}"
        )
    return ProfileColumn(name, kind, levels, label)


def _profile_column(
    raw: Any, cells_RC: NDArray[Any], c: int, name: str, profile: Mapping[str, Mapping[str, Any]]
) -> ProfileColumn:
    if name in profile:
        return _declared(name, dict(profile[name]))
    kind = raw.dtypes.iloc[c] if isinstance(raw, pd.DataFrame) else None
    if isinstance(kind, pd.CategoricalDtype):
        return ProfileColumn(name, "ordinal" if kind.ordered else "categorical", tuple(map(str, kind.categories)))
    if cells_RC.dtype.kind in "biuf":
        return ProfileColumn(name, "numeric")
    seen = [cell for cell in cells_RC[:, c].tolist() if not _missing(cell)]
    if all(isinstance(cell, str) for cell in seen) and seen:
        return ProfileColumn(name, "categorical", tuple(sorted(set(seen))))
    for cell in seen:
        if not isinstance(cell, Real):
            _refuse(cell, name)
    return ProfileColumn(name, "numeric")


def _refuse(cell: object, name: str) -> NoReturn:
    """Raise the error for a cell of a column of numbers that is none: RowsError for a text, TypeError for the rest."""
    if isinstance(cell, str):
        raise RowsError(f"column {name!r} holds numbers and texts, such as {cell[:60]!r}: make all the same")
    raise TypeError(f"column {name!r}: argument must be a string or a real number, not {type(cell).__name__!r}")


def _missing(cell: object) -> bool:
    return cell is None or cell is pd.NA or (isinstance(cell, float) and cell != cell)


@dataclass(frozen=True)
class Rows:
    """R rows as positions among problems and people. `people` of a table to predict has one entry per row."""

    problems: Problems
    people: Profiles
    problem_R: NDArray[np.int64]
    participant_R: NDArray[np.int64]


def read_rows(
    cells_RC: NDArray[Any],
    layout: Layout,
    texts: Mapping[Any, str] | None,
    options: Sequence[str] = (),
    unknown_levels: str = "error",
    by_person: bool = True,
) -> Rows:
    """The rows of a table of this layout.

    texts: a problem's description by its value in the problem column, which is itself the description where it has
    none. options: those of every problem. by_person: rows of one participant are one person (when fitting), rather
    than every row one of its own.

    Raises RowsError for a missing problem, a level that the fit did not see (unless `unknown_levels` is "missing"), and
    a participant whose rows have different profiles.
    """
    ids_R = _ids(cells_RC, layout.problem, layout, "problem", ONE_PROBLEM)
    codes_R, ids_T = pd.factorize(ids_R)
    described = {_cell_text(key): str(text) for key, text in (texts or {}).items()}
    lacking = [i for i in ids_T if texts is not None and i not in described and layout.problem is not None]
    if lacking:
        count = f"{len(lacking)} of {len(ids_T)} lack one"
        raise RowsError(f"texts has no description of the problem {lacking[0]!r} ({count})")
    words = np.array([described.get(str(i), str(i)) for i in ids_T], dtype=object)
    problems = Problems(np.asarray(ids_T, dtype=object), words, (tuple(options),) * len(ids_T))
    values_RC = _profile_values(cells_RC, layout, unknown_levels)
    if layout.participant is None or not by_person:
        # noise is keyed by participant: one id for all rows makes a prediction a function of the row's cells alone
        own = np.arange(len(ids_R)).astype(str).astype(object)
        names = own if by_person else np.full(len(ids_R), "row", dtype=object)
        people, who_R = Profiles(layout.columns, names, values_RC), np.arange(len(ids_R))
    else:
        people, who_R = _persons(cells_RC, layout, values_RC)
    return Rows(problems, people, codes_R.astype(np.int64), who_R.astype(np.int64))


def person_weights(rows: Rows, weight_R: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) each person's survey weight; raises RowsError where a person's rows have different ones."""
    weights_N = np.zeros(len(rows.people))
    weights_N[rows.participant_R] = weight_R
    differ = np.flatnonzero(weights_N[rows.participant_R] != weight_R)
    if len(differ):
        who = rows.people.ids[rows.participant_R[differ[0]]]
        raise RowsError(f"participant {who!r} has different sample weights: a person has one survey weight")
    return weights_N


def _persons(
    cells_RC: NDArray[Any], layout: Layout, values_RC: NDArray[np.float64]
) -> tuple[Profiles, NDArray[np.int64]]:
    who_R, ids_N = pd.factorize(_ids(cells_RC, layout.participant, layout, "participant", ""))
    first_N = np.unique(who_R, return_index=True)[1]
    own_RC = values_RC[first_N][who_R]
    differ = np.argwhere(~((own_RC == values_RC) | (np.isnan(own_RC) & np.isnan(values_RC))))
    if len(differ):
        row, c = differ[0]
        raise RowsError(
            f"participant {ids_N[who_R[row]]!r} has different values of {layout.columns[c].name!r} in rows "
            f"{first_N[who_R[row]] + 1} and {row + 1}: a person has one profile"
        )
    return Profiles(layout.columns, np.asarray(ids_N, dtype=object), values_RC[first_N]), who_R.astype(np.int64)


def _ids(cells_RC: NDArray[Any], column: int | None, layout: Layout, what: str, constant: str) -> NDArray[np.object_]:
    if column is None:
        return np.full(len(cells_RC), constant, dtype=object)
    cells = cells_RC[:, column].tolist()
    for cell in cells:
        if not isinstance(cell, str | Real) and not _missing(cell):
            _refuse(cell, layout.names[column])
    ids = np.array([_cell_text(cell) for cell in cells], dtype=object)
    empty = np.flatnonzero(ids == "")
    if len(empty):
        raise RowsError(f"row {empty[0] + 1} has no {what} (column {layout.names[column]!r})")
    return ids


def _cell_text(cell: object) -> str:
    if _missing(cell):
        return ""
    return number_text(float(cell)) if isinstance(cell, Real) and not isinstance(cell, bool) else str(cell)


def _profile_values(cells_RC: NDArray[Any], layout: Layout, unknown_levels: str) -> NDArray[np.float64]:
    values_RC = np.full((len(cells_RC), len(layout.columns)), np.nan)
    for k, (c, column) in enumerate(zip(layout.profile, layout.columns, strict=True)):
        if column.kind == "numeric" and cells_RC.dtype.kind in "biuf":
            values_RC[:, k] = cells_RC[:, c]
            continue
        place = {level: float(m) for m, level in enumerate(column.levels)}
        for r, cell in enumerate(cells_RC[:, c].tolist()):
            if _missing(cell):
                continue
            if column.kind == "numeric":
                values_RC[r, k] = float(cell) if isinstance(cell, Real) else _refuse(cell, column.name)
            elif _cell_text(cell) in place:
                values_RC[r, k] = place[_cell_text(cell)]
            elif unknown_levels != "missing":
                raise RowsError(
                    f"row {r + 1}: column {column.name!r} has no level {_cell_text(cell)[:60]!r}; the fit saw "
                    f"{', '.join(column.levels[:12])}; unknown_levels='missing' takes others for missing"
                )
    return values_RC
