"""Make a survey of the variables of an SPSS or Stata file: value labels become options, missing codes no answer.

Shapes: N rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crowdllm.data.tables import Cells, plain_number
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.assembling import imported_survey
from crowdllm.exchange.demographics import describes_people, is_tools_own, is_weight
from crowdllm.exchange.item_cells import picks_cells
from crowdllm.exchange.ledger import Ledger, some_of
from crowdllm.exchange.ordered import says_no_answer
from crowdllm.exchange.personal import numbered_people, personal_content, personal_name, pseudonyms
from crowdllm.exchange.protocol import Imported, LeftOut, ReadOptions
from crowdllm.exchange.simulated_rows import refuse_simulated
from crowdllm.exchange.statistics_file import StatisticsFile, Variable, read_statistics
from crowdllm.exchange.survey import Item, Survey, distinct_options
from crowdllm.exchange.tables_guess import distinct_words, guess_person, guess_wide

WIDEST = 11
FEW_WORDS = 30


def imported_labelled(files: Sequence[Path], kind: str, words: str, options: ReadOptions) -> Imported:
    """The studies in one .sav or .dta file.

    Raises CrowdLLMError for several files, a damaged one, or one without people.
    """
    if len(files) != 1:
        raise CrowdLLMError(f"a {words} file holds a whole survey: name one, not {len(files)}")
    data = read_statistics(files[0], kind, options.max_megabytes)
    if not data.rows:
        raise CrowdLLMError(f"{files[0].name}: has {len(data.variables)} variables and no rows")
    ledger = Ledger()
    ledger.understood.append(f"{data.rows:,} people, {len(data.variables):,} variables")
    raw = {v.name: v.cells_N for v in data.variables}
    refuse_simulated(raw, files[0].name)
    person = guess_person(raw, options.mapping)
    if person and person not in raw:
        raise CrowdLLMError(f"{files[0].name}: has no variable {person!r} to name people")
    people_N, left = pseudonyms(raw[person], person) if person else (numbered_people(data.rows), ())
    ledger.left_out += left
    ledger.understood.append(f"people are named by {person!r}" if person else "people have no ids: p1, p2, …")
    items = labelled_items(data, person, options.mapping, ledger)
    survey = Survey(data.title or files[0].stem, tuple(items), people_N, source=(words,))
    return imported_survey(survey, options, ledger)


def labelled_items(data: StatisticsFile, person: str, mapping: Mapping[str, Any], ledger: Ledger) -> list[Item]:
    """The items of all variables but the one that names people; personal data and dates are left out."""
    wanted = {name for name, table in mapping.get("columns", {}).items() if table.get("use") in ("problem", "profile")}
    variables = [_without_missing(v, ledger) for v in data.variables if v.name != person]
    together = {name for found in data.sets for name in found.names}
    kept = []
    for variable in variables:
        what = _personal(variable) if variable.name not in wanted else ""
        if what:
            ledger.left_out.append(LeftOut(variable.name, what[0], what[1], _filled(variable.cells_N)))
        elif variable.is_date or (is_tools_own(variable.name) and not variable.labels):
            ledger.note("column left out", variable.name, "a date or time, or written down by the tool itself")
        elif variable.name not in together:
            kept.append(variable)
    bare = {v.name: v.cells_N for v in kept if not v.labels and not v.is_text}
    guess = guess_wide(bare, (), mapping)
    items = [_item(v, guess.get(v.name, {})) for v in kept]
    return [*items, *_set_items(data, {v.name: v for v in variables})]


def _personal(variable: Variable) -> tuple[str, str] | str:
    what = personal_name(variable.name, variable.label) or (personal_name(variable.label) if variable.is_text else "")
    if what and not variable.labels:
        return what, "by name"
    what = personal_content(variable.cells_N) if variable.is_text or not variable.labels else ""
    return (what, "by content") if what else ""


def _without_missing(variable: Variable, ledger: Ledger) -> Variable:
    """The variable with codes that mean no answer emptied, and counted by their labels."""
    words = dict(variable.labels)
    code_N, cells_U = pd.factorize(variable.cells_N)
    new_U, lost = np.array(cells_U, dtype=object), {}
    count_U = np.bincount(code_N, minlength=len(cells_U))
    for u, cell in enumerate(map(str, cells_U)):
        if cell and _is_missing(cell, variable):
            new_U[u] = ""
            lost[f"{cell} {words.get(cell, '')}".strip()] = int(count_U[u])
    if not lost and not variable.missing:
        return variable
    if lost:
        ledger.note("missing codes", variable.name, f"read as no answer: {some_of(lost)}", sum(lost.values()))
    labels = tuple((code, label) for code, label in variable.labels if not _is_missing(code, variable))
    cells = new_U[code_N] if len(new_U) else variable.cells_N
    return Variable(variable.name, variable.label, cells, labels, (), variable.measure, variable.type)


def _is_missing(cell: str, variable: Variable) -> bool:
    """Whether a code is declared missing, or is one of Stata's letters for missing values in a variable of numbers."""
    if not variable.is_text and len(cell) == 1 and cell.isalpha():
        return True
    number = plain_number(cell)
    for low, high in variable.missing:
        ends = plain_number(low), plain_number(high)
        if cell in (low, high) or (number is not None and _within(number, ends, low, high)):
            return True
    return False


def _within(number: float, ends: tuple[float | None, float | None], low: str, high: str) -> bool:
    least = ends[0] if ends[0] is not None else float("-inf") if "inf" in low.lower() or not low else None
    most = ends[1] if ends[1] is not None else float("inf") if "inf" in high.lower() or not high else None
    return least is not None and most is not None and (bool(low) or bool(high)) and least <= number <= most


# --- items ------------------------------------------------------------------------------------------------


def _item(variable: Variable, guess: Mapping[str, Any]) -> Item:
    name, text, cells = variable.name, variable.label or variable.name, variable.cells_N
    if variable.is_text:
        words = distinct_words(cells)
        repeated = 2 <= len(words) <= FEW_WORDS and len(words) <= _filled(cells) / 2
        if repeated and not describes_people(name, text):
            return Item(name, text, "single", distinct_options(sorted(words)), _tidy(cells), (name,))
        return Item(name, text, "text", (), cells, (name,))
    labels = [(code, words) for code, words in variable.labels if plain_number(code) is not None]
    if is_weight(name, variable.label) and not labels:
        return Item(name, text, "number", (), cells, (name,), use="weight")
    told = [(code, words) for code, words in labels if not says_no_answer(words)]
    if len(told) >= 2:
        return _labelled(variable, labels, told)
    cells = _emptied(cells, {code for code, words in labels if says_no_answer(words)})
    if guess.get("type") == "ordinal":
        levels = tuple(str(level) for level in guess["levels"])
        return Item(name, text, "scale", levels, cells, (name,), ordered=True)
    return Item(name, text, "number", (), cells, (name,))


def _labelled(variable: Variable, labels: list[tuple[str, str]], told: list[tuple[str, str]]) -> Item:
    """A variable whose codes have labels: all of them, or only the ends of a scale."""
    name, text = variable.name, variable.label or variable.name
    known = {code for code, _ in labels}
    bare = [word for word in distinct_words(variable.cells_N) if word not in known]
    numbers = [plain_number(word) for word in bare]
    low, high = float(told[0][0]), float(told[-1][0])
    whole = all(n is not None and n.is_integer() for n in numbers) and low.is_integer() and high.is_integer()
    if bare and whole and all(low < n < high for n in numbers if n is not None) and high - low < WIDEST + 1:
        levels = tuple(str(n) for n in range(int(low), int(high) + 1))
        cells = _emptied(variable.cells_N, known - set(levels))
        return Item(name, text, "scale", levels, cells, (name,), ends=(told[0][1], told[-1][1]), ordered=True)
    if bare and (not whole or len(bare) > len(labels)):
        cells = _emptied(variable.cells_N, {code for code, words in labels if says_no_answer(words)})
        return Item(name, text, "number", (), cells, (name,))
    options = distinct_options(words for _, words in labels)
    spelled = {code: option for (code, _), option in zip(labels, options, strict=True)}
    code_N, cells_U = pd.factorize(variable.cells_N)
    new_U = np.array([spelled.get(str(cell), str(cell)) for cell in cells_U], dtype=object)
    cells = new_U[code_N] if len(new_U) else variable.cells_N
    return Item(name, text, "single", options, cells, (name,), ordered=True if variable.measure == "ordinal" else None)


def _set_items(data: StatisticsFile, variables: Mapping[str, Variable]) -> list[Item]:
    """A question with several answers for each set of variables that SPSS knows as one."""
    out = []
    for found in data.sets:
        members = [variables[name] for name in found.names if name in variables]
        if not members:
            continue
        chosen_NM = np.stack([member.cells_N == found.value for member in members], axis=1)
        seen_N = np.asarray(np.stack([member.cells_N != "" for member in members], axis=1).any(axis=1))
        options = distinct_options(member.label or member.name for member in members)
        names = tuple(member.name for member in members)
        text = found.label or found.name.lstrip("$")
        out.append(Item(found.name.lstrip("$"), text, "multiple", options, picks_cells(chosen_NM, seen_N), names))
    return out


def _emptied(cells_N: Cells, codes: set[str]) -> Cells:
    if not codes:
        return cells_N
    out = cells_N.copy()
    out[np.isin(cells_N, list(codes))] = ""
    return out


def _tidy(cells_N: Cells) -> Cells:
    return np.array([" ".join(str(cell).split()) for cell in cells_N], dtype=object)


def _filled(cells_N: Cells) -> int:
    return int((cells_N != "").sum()) if len(cells_N) else 0
