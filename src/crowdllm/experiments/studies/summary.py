"""From tidy tables with a row per seed to means with 95 % intervals, lines of a figure, and numbers in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from crowdllm.evaluation.intervals import Interval, mean_interval, paired_difference
from crowdllm.report.curves_figure import Curve
from crowdllm.report.page import Cell, Table


def over_seeds(table: pd.DataFrame, keys: Sequence[str], values: Sequence[str]) -> pd.DataFrame:
    """keys, metric, mean, low, high, seeds: one row per combination of keys and metric; NaN values are left out.

    `seeds` says on how many values a mean rests.
    """
    rows: list[list[Any]] = []
    for key, group in table.groupby(list(keys), sort=False, dropna=False):
        for value in values:
            known = group[value].to_numpy(dtype=float)
            known = known[~np.isnan(known)]
            if len(known):
                found = mean_interval(known)
                rows.append([*key, value, found.mean, found.low, found.high, len(known)])
    return pd.DataFrame(rows, columns=[*keys, "metric", "mean", "low", "high", "seeds"])


def rows_where(table: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    """The rows in which each of these columns has this value."""
    keep = np.ones(len(table), dtype=bool)
    for column, value in where.items():
        keep &= (table[column] == value).to_numpy()
    return table[keep]


def curve(
    summary: pd.DataFrame, name: str, x: str, where: Mapping[str, Any], at: Iterable[float] = (), style: int = -1
) -> Curve | None:
    """The line of these rows of `over_seeds`; None where there are none. at: the x that are shown, all when ()."""
    rows = rows_where(summary, where).sort_values(x)
    wanted = list(at)
    if wanted:
        rows = rows[rows[x].isin(wanted)]
    if not len(rows):
        return None
    numbers = {column: tuple(rows[column].astype(float)) for column in (x, "mean", "low", "high")}
    return Curve(name, numbers[x], numbers["mean"], numbers["low"], numbers["high"], style=style)


def present(curves: Iterable[Curve | None]) -> tuple[Curve, ...]:
    """Those that there are."""
    return tuple(found for found in curves if found is not None)


def interval(table: pd.DataFrame, value: str, where: Mapping[str, Any]) -> Interval | None:
    """Mean over the seeds in these rows; None where there are none."""
    known = rows_where(table, where)[value].to_numpy(dtype=float)
    known = known[~np.isnan(known)]
    return mean_interval(known) if len(known) else None


def difference(
    table: pd.DataFrame, value: str, first: Mapping[str, Any], second: Mapping[str, Any], by: str = "seed"
) -> Interval | None:
    """Mean of first - second over the seeds that both have; None where they share none."""
    pair = [rows_where(table, where).set_index(by)[value].astype(float).dropna() for where in (first, second)]
    shared = pair[0].index.intersection(pair[1].index)
    if not len(shared):
        return None
    one, other = (np.asarray(values.loc[shared], dtype=float) for values in pair)
    return paired_difference(one, other)


def above(found: Interval, threshold: float = 0.0) -> bool | None:
    """Whether a number is above the threshold with its whole 95 % interval; None where the interval covers it.

    One seed gives no interval: then the number itself decides.
    """
    if np.isnan(found.low):
        return found.mean > threshold
    return None if found.low <= threshold < found.high else found.low > threshold


def below(found: Interval, threshold: float) -> bool | None:
    """The opposite of `above`; None where that is None."""
    verdict = above(found, threshold)
    return None if verdict is None else not verdict


def all_of(verdicts: Iterable[bool | None]) -> bool | None:
    """False where one is False, else None where one is None."""
    known = list(verdicts)
    return False if False in known else None if None in known else True


def number(found: Interval | None, digits: int = 3) -> str:
    """`0.361 ±.009`; without ± for a single value, "not measured" for None."""
    if found is None:
        return "not measured"
    half = (found.high - found.low) / 2
    text = f"{found.mean:.{digits}f}"
    return text if np.isnan(half) else f"{text} ±{half:.{digits}f}".replace("±0.", "±.")


def summary_table(
    summary: pd.DataFrame, row: str, column: str, metric: str, caption: str, note: str = "", digits: int = 3
) -> Table:
    """One metric for a page: a line per value of `row`, a column per value of `column`, in the order they come."""
    part = summary[summary["metric"] == metric]
    columns, lines = list(dict.fromkeys(part[column])), list(dict.fromkeys(part[row]))
    cells = {(r[row], r[column]): r for r in part.to_dict("records")}
    rows = []
    for line in lines:
        found = [cells.get((line, c)) for c in columns]
        texts = [number(Interval(f["mean"], f["low"], f["high"], f["seeds"]), digits) if f else "" for f in found]
        rows.append((Cell(_shown(line)), *(Cell(text) for text in texts)))
    return Table(caption, (row.replace("_", " "), *(_shown(c) for c in columns)), tuple(rows), note)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)


@dataclass(frozen=True)
class Claim:
    """Something that the paper says, whether our numbers bear it out, and the numbers in a sentence.

    holds: None where the intervals of this run leave it open.
    """

    holds: bool | None
    words: str


@dataclass(frozen=True)
class Sorted:
    """The words of the claims that hold, of those that do not, and of those that are left open."""

    agrees: tuple[str, ...]
    differs: tuple[str, ...]
    undecided: tuple[str, ...]


def sort_claims(claims: Iterable[Claim]) -> Sorted:
    """The words of claims by what became of them, in their order."""
    known = list(claims)
    return Sorted(*(tuple(c.words for c in known if c.holds is verdict) for verdict in (True, False, None)))
