"""Turn the columns of a Qualtrics export into a survey's items, with the questionnaire or without it.

Qualtrics names columns by tag (Q3_1) and, in the third header row, by question and part (QID3_1). Answers are choice
texts or recoded values, as the export was asked for; which of them is found out per question. -99 is "not answered".

Shapes: N people, M options.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from crowdllm.data.tables import Cells, plain_number
from crowdllm.exchange.item_cells import empty_cells, picks_cells, points_cells, rank_cells, split_labels
from crowdllm.exchange.ledger import Ledger
from crowdllm.exchange.markup import plain_words
from crowdllm.exchange.ordered import by_strength, says_no_answer
from crowdllm.exchange.qualtrics_questions import Choice, Spec
from crowdllm.exchange.survey import Item, ItemKind, distinct_options

UNANSWERED = ("-99",)
_PLACE = re.compile(r"(?:([0-9]{1,4})_)?(QID[0-9A-Za-z]{1,12}?)(?:[-_#](.{1,80}))?")
_ASIDE = re.compile(
    r"DO(?:[-_].*)?|.*_DO|.*(?:FIRST|LAST)_CLICK|PAGE_SUBMIT|CLICK_COUNT|BROWSER|VERSION|OS|OPERATING|RESOLUTION"
    r"|USER_?AGENT|FILE_.*|NPS_GROUP|.*_GROUP|.*_RANK|Topics?|ParTopics?|.*Sentiment.*",
    re.IGNORECASE,
)
KINDS: Mapping[str, ItemKind] = {
    "ranking": "ranking",
    "matrix-ranking": "ranking",
    "points": "points",
    "matrix-points": "points",
    "slider": "number",
    "number": "number",
    "text": "text",
    "form": "text",
}
BEST = re.compile(r"\b(?:best|most|love|prefer)", re.IGNORECASE)
WORST = re.compile(r"\b(?:worst|least|hate)", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """A column of the export. loop, qid, part: from its import id, such as "", "QID3", "1"; qid "" for no question."""

    name: str
    text: str
    loop: str
    qid: str
    part: str
    cells_N: Cells


def column_of(name: str, text: str, import_id: str, choice_id: str, cells_N: Cells) -> Column:
    """A column by the three header rows above it."""
    place = _PLACE.fullmatch(import_id.strip())
    cells_N = _emptied(cells_N)
    if not place:
        return Column(name, text, "", "", import_id, cells_N)
    part = "_".join(p for p in (place.group(3) or "", choice_id) if p)
    return Column(name, text, place.group(1) or "", place.group(2), part, cells_N)


def _emptied(cells_N: Cells) -> Cells:
    out = np.array([str(cell).strip() for cell in cells_N], dtype=object)
    out[np.isin(out, UNANSWERED)] = ""
    return out


def question_items(spec: Spec, columns: Sequence[Column], count: int, ledger: Ledger) -> list[Item]:
    """The items of one question: one, or one per row of a matrix; and its open parts.

    columns: of this question, in the order of the file; none where only a questionnaire is read. count: N.
    """
    tag = f"{columns[0].loop}_{spec.tag}" if columns and columns[0].loop else spec.tag
    texts = [c for c in columns if c.part.endswith("TEXT") and spec.kind not in ("text", "number", "form")]
    aside = [c for c in columns if _ASIDE.fullmatch(c.part)]
    for column in aside:
        ledger.note("column left out", column.name, "written down by Qualtrics itself", _filled(column.cells_N))
    parts = {c.part: c for c in columns if c not in texts and c not in aside}
    if spec.kind == "none":
        filled = max((_filled(c.cells_N) for c in columns), default=0)
        ledger.note("question left out", tag, f"{spec.what}: {spec.text[:100]}", filled)
        return []
    items = _closed(spec, tag, parts, count)
    return items + [Item(c.name, c.text or spec.text, "text", (), c.cells_N, (c.name,)) for c in texts]


def _closed(spec: Spec, tag: str, parts: Mapping[str, Column], count: int) -> list[Item]:
    names = tuple(column.name for column in parts.values())
    words = distinct_options(c.words for c in spec.choices)
    if spec.kind == "single":
        cells = _labels(next(iter(parts.values())).cells_N, spec.choices, words) if parts else empty_cells(count)
        numeric = all(plain_number(word) is not None for word in words)
        return [Item(tag, spec.text, "scale" if numeric and len(words) > 2 else "single", words, cells, names)]
    if spec.kind == "multiple":
        return [
            Item(tag, spec.text, "multiple", words, _picks(spec.choices, words, parts, count), names, picks=spec.picks)
        ]
    if spec.kind in ("ranking", "points"):
        cells = _spread(spec.kind, spec.choices, parts, count)
        return [Item(tag, spec.text, KINDS[spec.kind], words, cells, names, budget=spec.budget)]
    if spec.kind in ("text", "number"):
        first = next(iter(parts.values()), None)
        cells = first.cells_N if first else empty_cells(count)
        return [Item(tag, spec.text, KINDS[spec.kind], (), cells, names, spec.low, spec.high)]
    if spec.kind in ("slider", "form"):
        return _lines(spec, tag, parts, count)
    if spec.kind == "best-worst":
        return _best_worst(spec, tag, words, parts, count, names)
    return _matrix(spec, tag, parts, count)


def _row(parts: Mapping[str, Column], choice: Choice) -> Column | None:
    """The column of one choice: by its number, its number behind an x (carried forward), its tag, or its value."""
    names = (choice.id, f"x{choice.id}", choice.tag, f"{choice.id}_TEXT")
    found = next((parts[name] for name in names if name and name in parts), None)
    return found or next((c for c in parts.values() if choice.tag and c.name == choice.tag), None)


def _lines(spec: Spec, tag: str, parts: Mapping[str, Column], count: int) -> list[Item]:
    """An item per line of a slider or form."""
    out = []
    for choice in spec.choices:
        column = _row(parts, choice) or (next(iter(parts.values()), None) if len(spec.choices) == 1 else None)
        cells = column.cells_N if column else empty_cells(count)
        text = f"{spec.text} {choice.words}".strip() if choice.words else spec.text
        name = column.name if column else f"{tag}_{choice.id}"
        out.append(Item(name, text, KINDS[spec.kind], (), cells, (name,), spec.low, spec.high))
    return out


def _matrix(spec: Spec, tag: str, parts: Mapping[str, Column], count: int) -> list[Item]:
    """An item per row of a matrix."""
    levels = distinct_options(a.words for a in spec.answers)
    out = []
    for choice in spec.choices:
        text = f"{spec.text} {choice.words}".strip()
        if spec.kind == "scale":
            column = _row(parts, choice)
            name = column.name if column else f"{tag}_{choice.id}"
            cells = _labels(column.cells_N, spec.answers, levels) if column else empty_cells(count)
            out.append(Item(name, text, "scale", levels, cells, (name,)))
            continue
        own = {
            part.partition("_")[2]: column
            for part, column in parts.items()
            if part.partition("_")[0] in (choice.id, f"x{choice.id}")
        }
        name, columns = f"{tag}_{choice.id}", tuple(c.name for c in own.values())
        if spec.kind == "matrix-multiple":
            cells = _picks(spec.answers, levels, own, count)
            out.append(Item(name, text, "multiple", levels, cells, columns, picks=spec.picks))
        else:
            cells = _spread(KINDS[spec.kind], spec.answers, own, count)
            out.append(Item(name, text, KINDS[spec.kind], levels, cells, columns, budget=spec.budget))
    return out


def _best_worst(
    spec: Spec, tag: str, words: tuple[str, ...], parts: Mapping[str, Column], count: int, names: tuple[str, ...]
) -> list[Item]:
    """Two choices: the item that was marked as best, and as worst. The columns are the items, the cells the marks."""
    best = next((a for a in spec.answers if BEST.search(a.words)), None)
    worst = next((a for a in spec.answers if WORST.search(a.words)), None)
    if (best is None or worst is None) and len(spec.answers) == 2:
        worst, best = spec.answers  # as Qualtrics puts them: least on the left
    out = []
    for end, mark in (("best", best), ("worst", worst)):
        cells = empty_cells(count)
        for i, choice in enumerate(spec.choices):
            column = _row(parts, choice)
            if column is not None and mark is not None:
                hit_N = np.isin(column.cells_N, [mark.words, mark.value])
                cells[hit_N & (cells != "")] = f"more than one {end}"
                cells[hit_N & (cells == "")] = words[i]
        marked = f" ({mark.words})" if mark else ""
        out.append(Item(f"{tag}_{end}", f"{spec.text}{marked}", "single", words, cells, names, ordered=False))
    return out


# --- cells ------------------------------------------------------------------------------------------------


def _labels(cells_N: Cells, choices: Sequence[Choice], words: Sequence[str]) -> Cells:
    """The words of choices for cells that hold their texts or their values, whichever fits more of the cells."""
    by_word = {" ".join(choice.words.split()): word for choice, word in zip(choices, words, strict=True)}
    by_value = {choice.value: word for choice, word in zip(choices, words, strict=True)}
    code_N, cells_U = pd.factorize(cells_N)
    tidy = [plain_words(str(cell)) for cell in cells_U]
    hits = [sum(cell in table for cell in tidy if cell) for table in (by_word, by_value)]
    first, second = (by_word, by_value) if hits[0] >= hits[1] else (by_value, by_word)
    whole = [str(int(n)) if (n := plain_number(cell)) is not None and n.is_integer() else cell for cell in tidy]
    new_U = [
        first.get(cell) or first.get(bare) or second.get(cell, cell) for cell, bare in zip(tidy, whole, strict=True)
    ]
    return np.array(new_U, dtype=object)[code_N] if len(new_U) else cells_N


def _picks(choices: Sequence[Choice], words: Sequence[str], parts: Mapping[str, Column], count: int) -> Cells:
    """The picks in one column that lists them, or in a column for each choice.

    Who picked nothing cannot be told from who was not asked, and counts as not having answered.
    """
    if list(parts) == [""]:
        return _listed(parts[""].cells_N, choices)
    chosen_NM = np.zeros((count, len(choices)), dtype=bool)
    for i, choice in enumerate(choices):
        column = _row(parts, choice)
        if column is not None:
            chosen_NM[:, i] = ~np.isin(column.cells_N, ["", "0"])
    return picks_cells(chosen_NM, np.asarray(chosen_NM.any(axis=1)))


def _listed(cells_N: Cells, choices: Sequence[Choice]) -> Cells:
    code_N, cells_U = pd.factorize(cells_N)
    new_U = []
    for cell in cells_U:
        text = plain_words(str(cell))
        found = split_labels(text, [c.value for c in choices]) if re.fullmatch(r"[-0-9, ]*", text) else None
        found = found or split_labels(text, [" ".join(c.words.split()) for c in choices])
        new_U.append(("|".join(f"#{m + 1}" for m in sorted(found)) if found else text) if text else "")
    return np.array(new_U, dtype=object)[code_N] if len(new_U) else cells_N


def _spread(kind: str, choices: Sequence[Choice], parts: Mapping[str, Column], count: int) -> Cells:
    """Ranks or points in a column for each choice."""
    columns = [_row(parts, choice) for choice in choices]
    cells = [column.cells_N if column else empty_cells(count) for column in columns]
    if not any(columns):
        return empty_cells(count)
    return rank_cells(cells) if kind == "ranking" else points_cells(cells)


def _filled(cells_N: Cells) -> int:
    return int((cells_N != "").sum()) if len(cells_N) else 0


# --- without a questionnaire ------------------------------------------------------------------------------


def guessed_spec(qid: str, columns: Sequence[Column]) -> Spec:
    """What a question of which only the columns are known is most likely to be."""
    parts = [c for c in columns if not c.part.endswith("TEXT") and not _ASIDE.fullmatch(c.part)]
    tag = _common_tag([c.name for c in columns])
    stem, rows = _common_stem([c.text for c in parts])
    if not parts:
        return Spec(qid, tag, columns[0].text, "text")
    words = [sorted({str(cell) for cell in c.cells_N if str(cell)}) for c in parts]
    together = list(dict.fromkeys(word for found in words for word in found))
    if len(parts) == 1 and not parts[0].part:
        numbers = all(plain_number(word) is not None for word in together)
        if numbers:
            return Spec(
                qid, tag, stem, "number" if len(together) > 11 or not together else "single", _as_choices(together)
            )
        many = len(together) > 12 or any(len(word) > 200 for word in together)
        return Spec(qid, tag, stem, "text" if many else "single", _as_choices(together))
    choices = tuple(Choice(c.part, row, c.part) for c, row in zip(parts, rows, strict=True))
    numbers_MN = [[plain_number(str(cell)) for cell in c.cells_N] for c in parts]
    ticks = all(found in ([], ["1"]) for found in words)
    if ticks or all(found in ([], [plain_words(row)]) for found, row in zip(words, rows, strict=True)):
        return Spec(qid, tag, stem, "multiple", choices)
    sums = [
        sum(n for n in row if n is not None) for row in zip(*numbers_MN, strict=True) if any(n is not None for n in row)
    ]
    numeric = all(plain_number(word) is not None for word in together)
    if numeric and len(parts) > 1 and sums:
        ranks = len(parts) * (len(parts) + 1) / 2
        as_ranks = rank_cells([c.cells_N for c in parts])
        if sum(str(cell)[:1] == "#" for cell in as_ranks) == len(sums) and set(sums) == {ranks}:
            return Spec(qid, tag, stem, "ranking", choices)
        if len(set(sums)) == 1 and sums[0] in (10, 20, 50, 100, 1000) and len(set(together)) > 2:
            return Spec(qid, tag, stem, "points", choices, budget=int(sums[0]))
    if numeric and len(together) > 11:
        return Spec(qid, tag, stem, "slider", choices)
    if len(together) > 12 and not numeric:
        return Spec(qid, tag, stem, "form", choices)
    return Spec(qid, tag, stem, "scale", choices, _as_choices(together))


def _as_choices(words: Sequence[str]) -> tuple[Choice, ...]:
    """Words as choices: whole numbers with those between, others by strength where they are of one scale."""
    numbers = [plain_number(word) for word in words]
    if words and all(n is not None and n.is_integer() for n in numbers):
        ends = int(min(n for n in numbers if n is not None)), int(max(n for n in numbers if n is not None))
        if ends[1] - ends[0] <= 10:
            return tuple(Choice(str(n), str(n), str(n)) for n in range(ends[0], ends[1] + 1))
    known = by_strength(words) or ()
    rest = sorted(word for word in words if word not in known)
    ordered = [*known, *(w for w in rest if not says_no_answer(w)), *(w for w in rest if says_no_answer(w))]
    return tuple(Choice(word, plain_words(word), word) for word in ordered)


def _common_tag(names: Sequence[str]) -> str:
    first = names[0]
    return first if len(names) == 1 else re.sub(r"(?:_[^_\[\]]*(?:_TEXT)?|\[.*)$", "", first) or first


def _common_stem(texts: Sequence[str]) -> tuple[str, list[str]]:
    """The question and the row's own words of texts such as `How often do you ... - Read books`."""
    if len(texts) < 2:
        return (texts[0] if texts else ""), [""] * len(texts)
    heads = [text.rpartition(" - ") for text in texts]
    stem = heads[0][0]
    if stem and all(head == stem for head, _, _ in heads):
        return re.sub(r" - Selected Choice$", "", stem), [row for _, _, row in heads]
    return "", list(texts)


def without_selected(spec: Spec) -> Spec:
    """The question without the words that Qualtrics adds where a choice has an open part."""
    return replace(spec, text=re.sub(r" - Selected Choice$", "", spec.text))
