"""Columns of a survey export that belong to no question: the tool's own, embedded data, panel variables, weights."""

from __future__ import annotations

from crowdllm.data.tables import Cells, plain_number
from crowdllm.exchange.demographics import describes_people, is_tools_own, is_weight
from crowdllm.exchange.ledger import Ledger
from crowdllm.exchange.survey import Item
from crowdllm.exchange.tables_guess import distinct_words

MOST_WORDS = 30


def other_items(name: str, text: str, cells_N: Cells, ledger: Ledger) -> list[Item]:
    """The column as a weight or profile column; nothing, and a note, where it is neither.

    Personal data must have been taken out before.
    """
    words = distinct_words(cells_N)
    filled = int((cells_N != "").sum()) if len(cells_N) else 0
    if is_tools_own(name) and not describes_people(name):
        ledger.note("column left out", name, "written down by the tool itself", filled)
        return []
    if len(words) < 2:
        ledger.note("column left out", name, "is empty" if not words else f"says {words[0]!r} for everybody", filled)
        return []
    numbers = all(plain_number(word) is not None for word in words)
    if numbers and is_weight(name, text):
        return [Item(name, text or name, "number", (), cells_N, (name,), use="weight")]
    if numbers and (len(words) > 2 or describes_people(name, text)):
        return [Item(name, text or name, "number", (), cells_N, (name,), use="profile")]
    if len(words) <= MOST_WORDS and (len(words) <= filled / 2 or describes_people(name, text)):
        return [Item(name, text or name, "text", (), cells_N, (name,), use="profile")]
    ledger.note("column left out", name, f"{len(words):,} different words, no question of the survey", filled)
    return []
