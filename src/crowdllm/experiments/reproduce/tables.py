"""From scores in long form to tables as people read them: mean and 95 % interval over seeds, the best row marked.

"Best" is the best mean; rows whose paired difference from it (same splits) has a 95 % interval that covers 0 are
marked as not told apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from crowdllm.evaluation.intervals import mean_interval, paired_difference
from crowdllm.experiments.comparison import FLOOR
from crowdllm.experiments.reproduce.measures import Column, column_name, measure_of
from crowdllm.experiments.reproduce.plan import Printed
from crowdllm.experiments.reproduce.rows import ROWS
from crowdllm.report.page import Cell, Table


@dataclass(frozen=True)
class Line:
    """A row of a table: a method with the references it used ("" where they play no part)."""

    method: str
    references: str = ""

    @property
    def name(self) -> str:
        return f"{self.method} [{self.references}]" if self.references else self.method


@dataclass(frozen=True)
class Scores:
    """The values of every row in every column, by seed: found at once, where filtering a frame is slow.

    A row that several runs share (it uses no references) counts once per seed.
    """

    values: dict[Line, dict[Column, dict[int, float]]]

    @staticmethod
    def of(table: pd.DataFrame) -> Scores:
        values: dict[Line, dict[Column, dict[int, float]]] = {}
        columns = ("method", "references", "metric", "aggregator", "seed", "value")
        for method, references, metric, aggregator, seed, value in zip(*(table[c] for c in columns), strict=True):
            own = values.setdefault(line_of(str(method), str(references)), {})
            own.setdefault((str(metric), str(aggregator)), {}).setdefault(int(seed), float(value))
        return Scores(values)

    @property
    def lines(self) -> list[Line]:
        """The rows there are, in the protocol's order, then what it does not know, the floor last."""
        order = {name: i for i, name in enumerate(ROWS)}
        last = len(order)
        return sorted(self.values, key=lambda line: last + 1 if line.method == FLOOR else order.get(line.method, last))

    def at(self, line: Line, column: Column) -> dict[int, float]:
        """Seed -> value; empty where there is none."""
        return self.values.get(line, {}).get(column, {})

    def known(self, line: Line, column: Column) -> list[float]:
        """The values that are defined."""
        return [value for value in self.at(line, column).values() if not np.isnan(value)]


def line_of(method: str, references: str) -> Line:
    """Rows that use no references are the same with any."""
    free = method in ROWS and not ROWS[method].uses_references
    return Line(method, "" if free or references == "none" else references)


def present_columns(table: pd.DataFrame) -> set[Column]:
    return {(str(m), str(a)) for m, a in zip(table["metric"], table["aggregator"], strict=True)}


def at_size(table: pd.DataFrame, size: int) -> pd.DataFrame:
    """What holds for a crowd of this size, and what depends on no crowd."""
    return table[table["crowd_size"].isin([0, size])]


def result_table(
    table: pd.DataFrame, columns: Sequence[Column], caption: str, note: str = "", names: Sequence[str] = ()
) -> Table:
    """One row per method, one column per metric. names: the header in place of the columns' own."""
    scores = Scores.of(table)
    lines = scores.lines
    most = max((len(scores.at(line, column)) for line in lines for column in columns), default=0)
    marks = [_marks(column, scores) for column in columns]
    rows = tuple(
        (
            Cell(line.name),
            *(
                Cell(_shown(scores, line, column, most), mark.get(line) == "best", mark.get(line) == "near")
                for column, mark in zip(columns, marks, strict=True)
            ),
        )
        for line in lines
    )
    header = ("method", *(names or [column_name(column) for column in columns]))
    apart = frozenset(i for i, line in enumerate(lines) if line.method == FLOOR)
    return Table(caption, header, rows, note, apart)


def _shown(scores: Scores, line: Line, column: Column, most: int) -> str:
    """`0.370 ±.009`; with the number of splits where it is not that of the table."""
    known = scores.known(line, column)
    if not known:
        return "not defined" if scores.at(line, column) else ""
    interval = mean_interval(known)
    digits = 3 if abs(interval.mean) < 100 else 1
    half = (interval.high - interval.low) / 2
    text = f"{interval.mean:.{digits}f}"
    if not np.isnan(half):
        text += f" ±{half:.{digits}f}".replace("±0.", "±.")
    return text if len(known) == most else f"{text} ({len(known)} splits)"


def _marks(column: Column, scores: Scores) -> dict[Line, str]:
    """Per row "best" or "near"; floors do not compete, nor do rows without all of the seeds."""
    measure = measure_of(column[0])
    if measure is None or np.isnan(measure.target):
        return {}
    rows = {line: scores.at(line, column) for line in scores.lines if line.method != FLOOR}
    seeds = sorted({seed for row in rows.values() for seed in row})
    distance = {
        line: measure.distance(np.array([row[s] for s in seeds]))
        for line, row in rows.items()
        if seeds and set(row) == set(seeds) and not np.isnan(list(row.values())).any()
    }
    if len(distance) < 2:
        return {}
    best = min(distance, key=lambda line: float(distance[line].mean()))
    marks = {best: "best"}
    for line, values in distance.items():
        if line != best and len(seeds) > 1 and paired_difference(values, distance[best]).low <= 0:
            marks[line] = "near"
    return marks


def printed_table(printed: Printed) -> Table:
    """The paper's rows as printed, set off from ours."""
    rows = tuple((Cell(name), *(Cell(f"{v:.2f}") for v in numbers)) for name, numbers in printed.rows)
    header = ("method", *(column.label.partition(" (ours")[0] for column in printed.columns))
    caption = (
        f"As printed in the paper (arXiv 2512.07890, {printed.table}): other splits, another LLM, not measured here"
    )
    return Table(caption, header, rows, printed.note, foreign=True)


def side_by_side(parts: Mapping[str, pd.DataFrame], column: Column, caption: str, note: str = "") -> Table:
    """One row per method, one column per part of the scores, of one metric; each column has its own best row.

    parts: scores by the header of their column.
    """
    everything = pd.concat(list(parts.values()), ignore_index=True)
    tables = [result_table(_with_all_rows(part, everything), [column], "") for part in parts.values()]
    lines = Scores.of(everything).lines
    rows = tuple((Cell(line.name), *(t.rows[i][1] for t in tables)) for i, line in enumerate(lines))
    apart = frozenset(i for i, line in enumerate(lines) if line.method == FLOOR)
    return Table(caption, ("method", *parts), rows, note, apart)


def fraction_table(table: pd.DataFrame, column: Column) -> Table:
    """One metric by share of the training people."""
    fractions = sorted(table["train_fraction"].unique())
    parts = {f"{100 * f:g} %": table[table["train_fraction"] == f] for f in fractions}
    measure = measure_of(column[0])
    words = f": {measure.words}" if measure else ""
    return side_by_side(parts, column, f"{column_name(column)} by share of the training people{words}")


def _with_all_rows(part: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The part, with a row of no metric for each method that it lacks, so that all parts have the same lines."""
    names = table[["method", "references"]].drop_duplicates().assign(metric="", aggregator="", value=np.nan, seed=-1)
    return pd.concat([part, names], ignore_index=True)
