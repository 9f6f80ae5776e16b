"""Turn the columns of a LimeSurvey export into a survey's items.

Columns are named by question and subquestion code: Q3, Q3[SQ001], Q3[SQ001][1], Q5[1] for the first rank, Q3[other]
(or Q3_SQ001 in exports for R and SPSS). Cells hold answer codes or full answers, as the export was asked for.

Shapes: N people, M options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from crowdllm.data.tables import Cells
from crowdllm.exchange.item_cells import empty_cells, order_cells, picks_cells, points_cells
from crowdllm.exchange.ledger import Ledger
from crowdllm.exchange.limesurvey_questions import CHANGE, GENDER, NOT_ASKED, UNCERTAIN, YES_NO, LimeQuestion
from crowdllm.exchange.markup import plain_words
from crowdllm.exchange.survey import Item, ItemKind, distinct_options

Pairs = Sequence[tuple[str, str]]
NOT_SHOWN = ("N/A", "{question_not_shown}")
POINTS_5 = tuple((str(i), str(i)) for i in range(1, 6))
POINTS_10 = tuple((str(i), str(i)) for i in range(1, 11))
ARRAYS: Mapping[str, Pairs] = {"A": POINTS_5, "B": POINTS_10, "C": UNCERTAIN, "E": CHANGE, "F": (), "H": ()}
SINGLES: Mapping[str, Pairs] = {"L": (), "!": (), "O": (), "Y": YES_NO, "G": GENDER, "5": POINTS_5}


def lime_items(question: LimeQuestion, columns: Mapping[str, Cells], count: int, ledger: Ledger) -> list[Item]:
    """The items of one question.

    columns: of this question by their part, such as "", "SQ001", "SQ001_1", "other"; none without responses. count: N.
    """
    kind, code, text = question.kind, question.code, question.text
    columns = {part: _shown(cells) for part, cells in columns.items()}
    open_parts = [p for p in columns if p and (p == "other" or p.endswith(("comment", "_other")))]
    aside = [Item(f"{code}_{p}", f"{text} ({p})", "text", (), columns[p], (f"{code}[{p}]",)) for p in open_parts]
    names = tuple(f"{code}[{part}]" if part else code for part in columns if part not in open_parts)
    if kind in NOT_ASKED:
        filled = max((int((cells != "").sum()) for cells in columns.values()), default=0)
        ledger.note("question left out", code, f"{NOT_ASKED[kind]}: {text[:100]}", filled)
        return []
    if kind in SINGLES:
        return [_single(question, SINGLES[kind] or question.answers, columns, count, names), *aside]
    if kind in ARRAYS:
        return [*_array(question, ARRAYS[kind] or question.answers, columns, count), *aside]
    if kind in ("M", "P"):
        return [_multiple(question, columns, count, names), *aside]
    if kind == "R":
        return [_ranking(question, columns, count, names), *aside]
    if kind in ("N", "K"):
        return [*_numbers(question, columns, count, names), *aside]
    if kind == "1":
        return [*_dual(question, columns, count), *aside]
    if kind in (":", ";"):
        return [*_grid(question, columns, count, ledger), *aside]
    parts = question.parts if kind == "Q" else (("", ""),)
    open_ = [
        Item(f"{code}_{p}" if p else code, f"{text} {words}".strip(), "text", (), _cells(columns, p, count), names)
        for p, words in parts
    ]
    return [*open_, *aside]


def _shown(cells: Cells) -> Cells:
    out = np.array([str(cell).strip() for cell in cells], dtype=object)
    out[np.isin(out, NOT_SHOWN)] = ""
    return out


def _cells(columns: Mapping[str, Cells], part: str, count: int) -> Cells:
    return columns[part] if part in columns else empty_cells(count)


def _words(cells: Cells, answers: Pairs, options: Sequence[str], other: str = "") -> Cells:
    """The words of answers, for cells that hold their codes or the words themselves."""
    by_code = {code: option for (code, _), option in zip(answers, options, strict=False)}
    by_word = {" ".join(words.split()): option for (_, words), option in zip(answers, options, strict=False)}
    if other:
        by_code |= {"-oth-": other}
        by_word |= {"Other": other}
    code_N, cells_U = pd.factorize(cells)
    tidy = [plain_words(str(cell)) for cell in cells_U]
    coded = sum(cell in by_code for cell in tidy) >= sum(cell in by_word for cell in tidy)
    first, second = (by_code, by_word) if coded else (by_word, by_code)
    new_U = [first.get(cell) or second.get(cell, cell) for cell in tidy]
    return np.array(new_U, dtype=object)[code_N] if len(new_U) else cells


def _single(
    question: LimeQuestion, answers: Pairs, columns: Mapping[str, Cells], count: int, names: tuple[str, ...]
) -> Item:
    other = "Other" if question.other else ""
    options = distinct_options([*(words for _, words in answers), *([other] if other else [])])
    cells = _words(_cells(columns, "", count), answers, options, options[-1] if other else "")
    kind: ItemKind = "scale" if question.kind == "5" else "single"
    return Item(question.code, question.text, kind, options, cells, names)


def _array(question: LimeQuestion, answers: Pairs, columns: Mapping[str, Cells], count: int) -> list[Item]:
    """An item per row; the columns are the levels."""
    options = distinct_options(words for _, words in answers)
    out = []
    for part, words in question.parts:
        left, _, right = words.partition("|")  # a row may have words at both ends
        text = f"{question.text} {left}".strip()
        cells = _words(_cells(columns, part, count), answers, options)
        ends = (left.strip(), right.strip()) if right.strip() else ("", "")
        name = f"{question.code}_{part}"
        out.append(Item(name, text, "scale", options, cells, (f"{question.code}[{part}]",), ends=ends))
    return out


def _multiple(question: LimeQuestion, columns: Mapping[str, Cells], count: int, names: tuple[str, ...]) -> Item:
    """Several picks: Y or Yes in a column per option; nobody's answer where all columns are empty."""
    parts = [*question.parts, *([("other", "Other")] if question.other else [])]
    options = distinct_options(words for _, words in parts)
    chosen_NM = np.zeros((count, len(parts)), dtype=bool)
    seen_N = np.zeros(count, dtype=bool)
    for m, (part, words) in enumerate(parts):
        cells = _cells(columns, part, count)
        refused_N = np.isin(cells, ["", "N", "No", "0"])
        chosen_NM[:, m] = ~refused_N if part == "other" else np.isin(cells, ["Y", "Yes", "1", words])
        seen_N |= cells != ""
    least, most = question.number("min_answers"), question.number("max_answers")
    picks = (int(least or 0), int(most or len(options))) if least or most else None
    picks = picks if picks and 0 <= picks[0] <= picks[1] else None
    return Item(question.code, question.text, "multiple", options, picks_cells(chosen_NM, seen_N), names, picks=picks)


def _ranking(question: LimeQuestion, columns: Mapping[str, Cells], count: int, names: tuple[str, ...]) -> Item:
    """A column per place, which holds the option there."""
    answers = question.answers or question.parts
    options = distinct_options(words for _, words in answers)
    position = {" ".join(words.split()): m for m, (_, words) in enumerate(answers)}
    position |= {code: m for m, (code, _) in enumerate(answers)}
    places = sorted((part for part in columns if part.isdecimal() and len(part) < 4), key=int)
    cells = order_cells([columns[place] for place in places], position) if places else empty_cells(count)
    return Item(question.code, question.text, "ranking", options, cells, names)


def _numbers(question: LimeQuestion, columns: Mapping[str, Cells], count: int, names: tuple[str, ...]) -> list[Item]:
    """A number; several numbers, perhaps as sliders; or, where they must add up, a constant sum."""
    total = question.number("equals_num_value")
    if question.kind == "K" and total and total == int(total) and 0 < total < 1e6:
        options = distinct_options(words for _, words in question.parts)
        spread = [_cells(columns, part, count) for part, _ in question.parts]
        cells = points_cells([_no_zeros(c) for c in spread]) if columns else empty_cells(count)
        return [Item(question.code, question.text, "points", options, cells, names, budget=int(total))]
    slider = question.attribute("slider_layout") == "1"
    low = question.number("slider_min" if slider else "min_num_value_n")
    high = question.number("slider_max" if slider else "max_num_value_n")
    low, high = (low, high) if low is None or high is None or low < high else (None, None)
    out = []
    for part, words in question.parts if question.kind == "K" else (("", ""),):
        label = words.partition("|")[0] if slider else words
        name = f"{question.code}_{part}" if part else question.code
        text = f"{question.text} {label}".strip()
        column = f"{question.code}[{part}]" if part else question.code
        out.append(Item(name, text, "number", (), _no_zeros(_cells(columns, part, count)), (column,), low, high))
    return out


def _no_zeros(cells: Cells) -> Cells:
    """Numbers without the ten zeros that LimeSurvey's database puts behind the point."""
    return np.array([c.rstrip("0").rstrip(".") if "." in c and c[-1:].isdigit() else c for c in cells], dtype=object)


def _dual(question: LimeQuestion, columns: Mapping[str, Cells], count: int) -> list[Item]:
    """Two items per row: one for each of the two scales."""
    out = []
    for scale, answers in ((0, question.answers), (1, question.answers_2)):
        options = distinct_options(words for _, words in answers)
        header = question.attribute("dualscale_headerB" if scale else "dualscale_headerA")
        for part, words in question.parts:
            place = f"{part}_{scale}" if f"{part}_0" in columns else f"{part}_{scale + 1}"
            cells = _words(_cells(columns, place, count), answers, options)
            text = f"{question.text} {words} {plain_words(header)}".strip()
            out.append(Item(f"{question.code}_{part}_{scale + 1}", text, "scale", options, cells, (place,)))
    return out


def _grid(question: LimeQuestion, columns: Mapping[str, Cells], count: int, ledger: Ledger) -> list[Item]:
    """Numbers or texts in a table of rows and columns: an item per cell."""
    out = []
    for row, words in question.parts:
        for column, heading in question.parts_2:
            part = f"{row}_{column}"
            text = f"{question.text} {words} {heading}".strip()
            cells = _cells(columns, part, count)
            name = f"{question.code}_{part}"
            if question.kind == ":":
                out.append(Item(name, text, "number", (), _no_zeros(cells), (name,)))
            else:
                out.append(Item(name, text, "text", (), cells, (name,)))
    return out
