"""The pool of qualified people: filters on profile columns, as a small mapping or as text such as `age>=30`.

A filter maps a column to what is allowed in it: level names, or a closed range (low, high) of numbers (None
leaves a side open), or several ranges. A person qualifies when every column named allows their value; a
missing value never qualifies. Written as text: `age=25-29,30-34`, `gender!=Man`, `education>=College degree`
(levels in their order), `income=20000-50000`, `income<20000`.

Shapes: N people, L levels or cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.errors import ConfigError, UnknownNameError
from crowdllm.profiles.raking import parse_range

Range = tuple[float, float]
Where = Mapping[str, Sequence[str] | tuple[float | None, float | None] | Sequence[Range]]
OPERATORS = (">=", "<=", "!=", "=", ">", "<")


@dataclass(frozen=True)
class Condition:
    """What one column must be: one of `levels`, or inside one of the closed `ranges` (numeric columns)."""

    column: ProfileColumn
    levels: tuple[str, ...] = ()
    ranges: tuple[Range, ...] = ()

    def holds(self, values_N: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(N,) whether each value is allowed; False where missing."""
        if self.column.kind != "numeric":
            return np.isin(values_N, [self.column.levels.index(level) for level in self.levels])
        out_N = np.zeros(len(values_N), dtype=bool)
        for low, high in self.ranges:
            out_N |= (values_N >= low) & (values_N <= high)
        return out_N

    def __str__(self) -> str:
        allowed = self.levels or tuple(f"{low:g} to {high:g}" for low, high in self.ranges)
        return f"{self.column.name} = {' or '.join(allowed) or 'nothing'}"


def conditions(where: Where, columns: tuple[ProfileColumn, ...]) -> tuple[Condition, ...]:
    """The filter checked against the columns.

    Raises UnknownNameError for an unknown column or level, ConfigError for a range on a column without
    numbers, levels on a numeric one, or a range whose ends are swapped.
    """
    by_name = {c.name: c for c in columns}
    out = []
    for name, allowed in where.items():
        if name not in by_name:
            raise UnknownNameError("profile column", name, by_name, "the filter")
        column = by_name[name]
        if column.kind == "numeric":
            out.append(Condition(column, ranges=_checked_ranges(name, allowed)))
            continue
        names = (allowed,) if isinstance(allowed, str) else tuple(allowed)
        for level in names:
            if not isinstance(level, str):
                raise ConfigError(
                    f"filter on {name!r}: the column has levels, not numbers, so {level!r} cannot be meant; "
                    f"choose from {', '.join(column.levels)}"
                )
            if level not in column.levels:
                raise UnknownNameError("level", level, column.levels, f"the filter on {name!r}")
        out.append(Condition(column, levels=tuple(level for level in column.levels if level in names)))
    return tuple(out)


def qualified(profiles: Profiles, where: Where) -> NDArray[np.bool_]:
    """(N,) who qualifies; raises as `conditions` does."""
    out_N = np.ones(len(profiles), dtype=bool)
    for condition in conditions(where, profiles.columns):
        out_N &= condition.holds(profiles.values_NC[:, profiles.position(condition.column.name)])
    return out_N


def parse_filters(texts: Sequence[str], columns: tuple[ProfileColumn, ...]) -> dict[str, list[str] | list[Range]]:
    """Several texts as one filter; two on the same column must both hold. Raises as `parse_filter` does."""
    out: dict[str, list[str] | list[Range]] = {}
    for text in texts:
        for name, allowed in parse_filter(text, columns).items():
            out[name] = _both(out[name], allowed) if name in out else allowed
    return out


def parse_filter(text: str, columns: tuple[ProfileColumn, ...]) -> dict[str, list[str] | list[Range]]:
    """One text such as `age=25-29,30-34` or `income>=30000` as a filter, for the command line.

    Raises UnknownNameError for an unknown column or level, ConfigError for a text that is no filter, an order
    asked of a categorical column, or a number that is none.
    """
    column, operator, value = _cut(text, columns)
    if column.kind == "numeric":
        return {column.name: _parse_numbers(text, operator, value)}
    if operator in ("=", "!="):
        named = _split_levels(value, column)
        return {column.name: [level for level in column.levels if (level in named) == (operator == "=")]}
    if column.kind != "ordinal":
        raise ConfigError(
            f"filter {text!r}: the levels of {column.name!r} have no order; use = or != with {', '.join(column.levels)}"
        )
    if value not in column.levels:
        raise UnknownNameError("level", value, column.levels, f"the filter {text!r}")
    at = column.levels.index(value)
    keep = {">=": slice(at, None), ">": slice(at + 1, None), "<=": slice(at + 1), "<": slice(at)}[operator]
    return {column.name: list(column.levels[keep])}


def _cut(text: str, columns: tuple[ProfileColumn, ...]) -> tuple[ProfileColumn, str, str]:
    """Column, operator and value; the longest column name that fits, as names may contain operators."""
    for column in sorted(columns, key=lambda c: -len(c.name)):
        rest = text.strip().removeprefix(column.name).lstrip()
        if text.strip().startswith(column.name) and rest.startswith(OPERATORS):
            operator = next(o for o in OPERATORS if rest.startswith(o))
            return column, operator, rest.removeprefix(operator).strip()
    starts = [text.find(o) for o in OPERATORS if o in text]
    if not starts or not text[: min(starts)].strip():
        raise ConfigError(
            f"filter {text!r} is not of the form column operator value, with one of {' '.join(OPERATORS)}, "
            "such as age>=30 or gender=Woman,Man"
        )
    raise UnknownNameError("profile column", text[: min(starts)].strip(), [c.name for c in columns], f"filter {text!r}")


def _split_levels(value: str, column: ProfileColumn) -> list[str]:
    """The levels in a list separated by commas, where a level may contain commas itself."""
    parts, levels = value.split(","), []
    while parts:
        for length in range(len(parts), 0, -1):
            word = ",".join(parts[:length]).strip()
            if word in column.levels:
                levels.append(word)
                parts = parts[length:]
                break
        else:
            raise UnknownNameError("level", parts[0].strip(), column.levels, f"the filter on {column.name!r}")
    return levels


def _parse_numbers(text: str, operator: str, value: str) -> list[Range]:
    """The ranges that a numeric comparison allows."""
    if operator in ("=", "!="):
        ranges = [parse_range(part) for part in value.split(",")]
    else:
        ranges = [parse_range(operator + value)]
    known = [r for r in ranges if r is not None]
    if len(known) < len(ranges) or any(low > high for low, high in known):
        raise ConfigError(f"filter {text!r}: {value!r} is no number or range; write age>=30, age=18-29 or age=20,25-30")
    return _outside(known) if operator == "!=" else known


def _outside(ranges: Sequence[Range]) -> list[Range]:
    """The closed ranges between and around these."""
    out, low = [], -np.inf
    for start, stop in sorted(ranges):
        if low < start:
            out.append((low, float(np.nextafter(start, -np.inf))))
        low = max(low, float(np.nextafter(stop, np.inf)))
    return [*out, (low, np.inf)] if low < np.inf else out


def _both(first: list[str] | list[Range], second: list[str] | list[Range]) -> list[str] | list[Range]:
    """What two filters on the same column both allow."""
    levels = [a for a in first if isinstance(a, str) and a in second]
    pairs = [(a, b) for a in first for b in second if not isinstance(a, str) and not isinstance(b, str)]
    overlaps = [(max(a[0], b[0]), min(a[1], b[1])) for a, b in pairs]
    return levels or [r for r in overlaps if r[0] <= r[1]]


def _checked_ranges(name: str, allowed: object) -> tuple[Range, ...]:
    """Ranges of a numeric column from (low, high) or several of them."""
    several = isinstance(allowed, list | tuple) and all(isinstance(part, list | tuple) for part in allowed)
    ranges = []
    for part in allowed if several else (allowed,):  # type: ignore[attr-defined]
        pair = part if isinstance(part, list | tuple) and len(part) == 2 else ("", "")
        if not all(end is None or (isinstance(end, int | float) and not np.isnan(end)) for end in pair):
            raise ConfigError(f"filter on {name!r}: the column is numeric and needs (low, high) numbers, not {part!r}")
        low = -np.inf if pair[0] is None else float(pair[0])
        high = np.inf if pair[1] is None else float(pair[1])
        if low > high:
            raise ConfigError(f"filter on {name!r}: the range {low:g} to {high:g} is empty; swap its ends")
        ranges.append((low, high))
    return tuple(ranges)
