"""Make a study of a plain table of text cells, wide or long, by a mapping that is guessed where it is not given.

Shapes: N rows of a wide table, R rows of a long one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from crowdllm.data.tables import Cells
from crowdllm.errors import CrowdLLMError, UnknownNameError
from crowdllm.exchange.assembling import imported_survey
from crowdllm.exchange.item_cells import split_labels
from crowdllm.exchange.ledger import Ledger
from crowdllm.exchange.long_table import imported_long
from crowdllm.exchange.ordered import by_strength
from crowdllm.exchange.personal import numbered_people, pseudonyms, screen
from crowdllm.exchange.protocol import Imported, ReadOptions
from crowdllm.exchange.simulated_rows import refuse_simulated
from crowdllm.exchange.survey import Item, ItemKind, Survey, distinct_options
from crowdllm.exchange.tables_guess import distinct_words, guess_layout, guess_long, guess_person, guess_wide

MOST_OPTIONS = 1_000


def imported_table(columns: Mapping[str, Cells], title: str, options: ReadOptions, ledger: Ledger) -> Imported:
    """The studies in a table.

    Raises CrowdLLMError where it has no rows, or the mapping names a column that it has not.
    """
    rows = len(next(iter(columns.values()), np.zeros(0)))
    if not rows:
        raise CrowdLLMError(f"{title}: has a header and no rows")
    refuse_simulated(columns, title)
    columns = _trimmed(columns, ledger)
    given = options.mapping
    for role in ("participant", "problem", "response", "text", "weight"):
        if given.get(role) and given[role] not in columns:
            raise UnknownNameError("column", str(given[role]), list(columns), f"{role} of the mapping")
    if guess_layout(columns, given) == "long":
        return imported_long(columns, guess_long(columns, given), title, options, ledger)
    return imported_wide(columns, title, options, ledger)


def _trimmed(columns: Mapping[str, Cells], ledger: Ledger) -> dict[str, Cells]:
    """The cells without blanks around them, so that `ann` and `ann ` are one person."""
    out = {name: np.array([cell.strip() for cell in cells], dtype=object) for name, cells in columns.items()}
    count = sum(int((out[name] != cells).sum()) for name, cells in columns.items())
    if count:
        ledger.note("reading", "", "blanks around a cell are left off", count)
    return out


def imported_wide(columns: Mapping[str, Cells], title: str, options: ReadOptions, ledger: Ledger) -> Imported:
    """The studies in a table with one row per person."""
    given = options.mapping
    person = guess_person(columns, given)
    rows = len(next(iter(columns.values())))
    if person:
        people_N, left = pseudonyms(columns[person], person)
        _require_different(columns[person], person)
    else:
        people_N, left = numbered_people(rows), ()
    wanted = [name for name, table in given.get("columns", {}).items() if table.get("use") in ("problem", "profile")]
    screened = screen({name: cells for name, cells in columns.items() if name != person}, keep=wanted)
    ledger.left_out += [*left, *screened.left_out]
    ledger.understood.append(f"wide: {rows:,} people, one per row, {len(columns):,} columns")
    ledger.understood.append(f"people are named by column {person!r}" if person else "people have no ids: p1, p2, …")
    guess = guess_wide(screened.columns, (), given)
    tables = {name: {**guess[name], **_own(given, name)} for name in guess}
    for name in _own_tables(given):
        if name not in tables and name != person and name not in columns:
            raise UnknownNameError("column", name, list(columns), "the mapping")
    items = tuple(_item(name, cells, tables[name]) for name, cells in screened.columns.items())
    survey = Survey(title, items, people_N)
    mapping = {**given, "layout": "wide", "participant": person, "columns": tables}
    return imported_survey(survey, ReadOptions(mapping, options.max_megabytes), ledger, guessed=True)


def _own_tables(given: Mapping[str, Any]) -> Mapping[str, Any]:
    tables: Mapping[str, Any] = given.get("columns", {})
    return tables


def _own(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What the user says about a column; a use or type of their own makes the guessed levels void."""
    own = dict(_own_tables(given).get(name, {}))
    if "use" not in own and ("type" in own or "levels" in own):
        own["use"] = "problem"
    if own.get("use") and "type" not in own:
        own["type"] = None
    if own and "levels" not in own:
        own["levels"] = None
    if own.get("use") == "profile" and "kind" not in own:
        own["kind"] = None
    return own


def _item(name: str, cells: Cells, table: dict[str, Any]) -> Item:
    """The column as an item; the table's empty entries, which stand for "not guessed", are dropped from it."""
    for key in [key for key, value in table.items() if value is None]:
        del table[key]
    text = str(table.get("label", "")) or name
    if table.get("type") in ("ballot", "ranking", "points"):
        return _several(name, text, cells, table)
    if table.get("use") == "problem" and table.get("type") not in ("ordinal", "continuous"):
        words = distinct_words(cells)
        if len(words) <= MOST_OPTIONS:
            known = by_strength(words) or ()
            words = [*known, *sorted(set(words) - set(known))]
            tidy = distinct_options(words)
            spelled = dict(zip(words, tidy, strict=True))
            cells = np.array([spelled.get(str(cell), "") for cell in cells], dtype=object)
            return Item(name, text, "single", tidy, cells)
    return Item(name, text, "number" if table.get("type") == "continuous" else "text", (), cells)


def _several(name: str, text: str, cells: Cells, table: Mapping[str, Any]) -> Item:
    """A column whose cells list several options: `tea; milk`, best first for a ranking, `tea=60; milk=40` for points.

    Raises CrowdLLMError where there are so many different parts that they are no options.
    """
    kind: ItemKind = "multiple" if table["type"] == "ballot" else "ranking" if table["type"] == "ranking" else "points"
    filled = [str(cell) for cell in distinct_words(cells)]
    sign = max("|;>,", key=lambda s: sum(s in cell for cell in filled))
    given = [" ".join(str(option).split()) for option in table.get("options", ())]
    words = given or sorted({_bare(part, kind) for cell in filled for part in cell.split(sign)} - {""})
    if len(words) > MOST_OPTIONS:
        raise CrowdLLMError(
            f"column {name!r}: {len(words):,} different options; name them under options in the mapping"
        )
    options = distinct_options(words)
    number = {word: f"#{m + 1}" for m, word in enumerate(words)}
    out = {}
    for cell in filled:
        positions = split_labels(cell, words, sign) if given and kind != "points" else None
        parts = [(_bare(p, kind), p.rpartition("=")[2].strip()) for p in cell.split(sign) if p.strip()]
        numbers = [f"#{m + 1}" for m in positions] if positions else [number.get(word, word) for word, _ in parts]
        points = [f"{n}={amount}" for n, (_, amount) in zip(numbers, parts, strict=False)]
        out[cell] = "|".join(points if kind == "points" else numbers) or cell
    spelled = np.array([out.get(str(cell), "") for cell in cells], dtype=object)
    return Item(name, text, kind, options, spelled, (name,))


def _bare(part: str, kind: str) -> str:
    """The option in a part of a list, without its points."""
    return " ".join((part.rpartition("=")[0] if kind == "points" else part).split())


def _require_different(cells: Cells, column: str) -> None:
    seen: set[str] = set()
    for row, cell in enumerate(cells.tolist(), start=2):
        if not cell.strip():
            raise CrowdLLMError(f"row {row}: column {column!r}, which names people, is empty")
        if cell in seen:
            hint = "use --map layout=long if a row is one answer, or --map participant= to number the rows"
            raise CrowdLLMError(f"row {row}: column {column!r} names the person {cell!r} a second time; {hint}")
        seen.add(cell)
