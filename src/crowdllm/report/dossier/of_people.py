"""Who was recruited, beside the people that the crowd was fitted on and the target margins.

Targets are what `--margins FILE` or `margins.toml` in the crowd's folder says (see `crowdllm.profiles.margins_file`).
Without such a file the weighted shares of a study with survey weights are the target, since weights stand for one.

Shapes: N people.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.profiles import ProfileColumn
from crowdllm.data.study import Study
from crowdllm.data.study_toml import STUDY_FILE, read_study_toml
from crowdllm.data.tables import read_table
from crowdllm.profiles.cells import MISSING
from crowdllm.profiles.margins_file import MARGINS_FILE, read_margins
from crowdllm.profiles.raking import Margins, Target, parse_margins
from crowdllm.report.dossier.answers import Section
from crowdllm.report.page import Cell, Table

Array = NDArray[np.float64]


def people_section(folder: Path, humans: Study | None, margins: Margins | None = None) -> Iterator[Section]:
    """Shares of each group: people asked, people recruited, and the target where there is one.

    Raises ConfigError or UnknownNameError for margins that do not fit the profile columns.
    """
    table, _ = read_table(folder / "participants.csv")
    columns = _columns(folder, humans)
    if margins is None and (folder / MARGINS_FILE).is_file():
        margins = read_margins(folder / MARGINS_FILE)
    targets = {target.column.name: target for target in parse_margins(margins or {}, columns)}
    if table is None or not len(next(iter(table.columns.values()), [])):
        return
    rows = []
    for c, column in enumerate(columns):
        if column.name in table.columns:
            recruited_N = _values(column, table.columns[column.name])
            asked_N = None if humans is None else humans.profiles.values_NC[:, c]
            weights_N = None if humans is None else humans.weights_N
            rows += list(_rows(column, recruited_N, asked_N, weights_N, targets.get(column.name)))
    if rows:
        yield Section("The recruited population", (_table(rows, humans, bool(targets)),))


def _columns(folder: Path, humans: Study | None) -> tuple[ProfileColumn, ...]:
    """The profile columns of the humans or, without them, those that the crowd's own settings name."""
    if humans is not None:
        return humans.profiles.columns
    settings, _ = read_study_toml(folder / STUDY_FILE)
    return () if settings is None else tuple(spec.column for spec in settings.profile)


def _values(column: ProfileColumn, cells_N: NDArray[np.object_]) -> Array:
    """(N,) numbers, or positions among the levels; NaN where nothing is known."""
    if column.kind == "numeric":
        return pd.to_numeric(pd.Series(cells_N, dtype=object), errors="coerce").to_numpy(dtype=float)
    position = {str(level): float(m) for m, level in enumerate(column.levels)}
    return np.array([position.get(str(cell), np.nan) for cell in cells_N], dtype=float)


def _rows(
    column: ProfileColumn, recruited_N: Array, asked_N: Array | None, weights_N: Array | None, target: Target | None
) -> Iterator[tuple[str, float | None, float, float | None]]:
    """(group, share asked, share recruited, target share) among those whose value is known."""
    if target is None and not column.levels:
        return
    labels = column.levels if target is None else target.labels
    own_G = _shares(column, target, recruited_N)
    asked_G = None if asked_N is None else _shares(column, target, asked_N)
    aim_G = None if target is None else target.shares_G
    if aim_G is None and asked_N is not None and weights_N is not None:
        aim_G = _shares(column, None, asked_N, weights_N)
    for g, label in enumerate(labels):
        if label != MISSING:
            asked, aim = (None if shares_G is None else float(shares_G[g]) for shares_G in (asked_G, aim_G))
            yield f"{column.name}: {label}", asked, float(own_G[g]), aim


def _shares(column: ProfileColumn, target: Target | None, value_N: Array, weights_N: Array | None = None) -> Array:
    """(G,) shares of the target's groups, or of the levels, among the known values."""
    group_N = np.nan_to_num(value_N, nan=-1).astype(np.int64) if target is None else target.groups(value_N)
    count = len(column.levels) if target is None else len(target.labels)
    known_N = ~np.isnan(value_N)
    inside_N = known_N & (group_N >= 0) & (group_N < count)
    weight_N = np.ones(len(value_N)) if weights_N is None else weights_N
    total = weight_N[known_N].sum()
    return np.bincount(group_N[inside_N], weight_N[inside_N], minlength=count) / (total or np.nan)


def _table(rows: list[tuple[str, float | None, float, float | None]], humans: Study | None, targets: bool) -> Table:
    cells = tuple(
        (Cell(group), Cell(_percent(asked)), Cell(f"{own:.1%}"), Cell(_percent(aim)), Cell(_gap(own, aim, asked)))
        for group, asked, own, aim in rows
    )
    if targets:
        words = "Targets are the margins that were given."
    elif humans is not None and humans.weights_N is not None:
        words = "Targets are the shares of the people asked by their survey weights."
    else:
        words = "No target margins are known; name them with --margins, or in margins.toml in the crowd's folder."
    note = (
        f"Shares among those whose value is known. {words} The difference is to the target, else to the people asked."
    )
    return Table(
        "Who was asked, and who was recruited", ("group", "asked", "recruited", "target", "difference"), cells, note
    )


def _percent(share: float | None) -> str:
    return "–" if share is None or np.isnan(share) else f"{share:.1%}"


def _gap(own: float, aim: float | None, asked: float | None) -> str:
    against = aim if aim is not None else asked
    return "–" if against is None else f"{own - against:+.1%}"
