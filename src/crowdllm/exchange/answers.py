"""Turn the answers of a survey's items into table cells of their response type, and settle what a tool leaves open.

Ballots: how many may be picked. Rankings: how many options everybody ranked. Points: what they must add up to.

Shapes: N respondents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crowdllm.data.tables import Cells
from crowdllm.exchange.ledger import Ledger
from crowdllm.exchange.survey import Item

if TYPE_CHECKING:
    from crowdllm.exchange.assembling import Question

ENOUGH = 0.9
"""The share of rankings that must reach a depth for it to be taken."""
NOT_AN_OPTION = "(no option) "


def answers_as_cells(item: Item, response: Mapping[str, Any], options: Sequence[str]) -> Cells:
    """(N,) cells; an option to choose is written by its number, so that no text can be misread as another."""
    if response["type"] != "choice":
        return item.cells_N
    number = {option: f"#{i + 1}" for i, option in enumerate(options)}
    code_N, cells_U = pd.factorize(item.cells_N)
    new_U = np.array([number.get(c, f"{NOT_AN_OPTION}{c}" if str(c).strip() else "") for c in cells_U], dtype=object)
    return new_U[code_N] if len(new_U) else item.cells_N


def settle_ballots(questions: Sequence[Question]) -> list[Question]:
    """Ballots without limits of their own get the same ones, so that they are one study: from 0 to all options."""
    free = [q.response["type"] == "ballot" and q.item.picks is None for q in questions]
    most = max((int(q.response["max_picks"]) for q, f in zip(questions, free, strict=True) if f), default=0)
    limits = {"min_picks": 0, "max_picks": most}
    return [replace(q, response={**q.response, **limits}) if f else q for q, f in zip(questions, free, strict=True)]


def settle_depth(item: Item, options: Sequence[str], ledger: Ledger) -> tuple[dict[str, Any], Cells]:
    """The ranking's settings and cells: the greatest depth that nine in ten people reach; 0 where that is all options.

    Longer rankings are cut there and shorter ones left out, both counted.
    """
    cells = [str(cell) for cell in item.cells_N]
    length_N = np.array([cell.count("|") + 1 if cell.strip() else 0 for cell in cells], dtype=np.int64)
    answered = int((length_N > 0).sum())
    reach = [d for d in range(1, len(options) + 1) if (length_N >= d).sum() >= ENOUGH * max(answered, 1)]
    depth = max(reach, default=1) if answered else len(options)
    out = ["|".join(c.split("|")[:depth]) if n >= depth else "" for c, n in zip(cells, length_N, strict=True)]
    cut, lost = int((length_N > depth).sum()), int(((length_N > 0) & (length_N < depth)).sum())
    if cut:
        ledger.note("answers shortened", item.id, f"rankings cut to the best {depth}, which all others gave", cut)
    if lost:
        ledger.note("answers left out", item.id, f"rankings of fewer than {depth} options", lost)
    response = {"type": "ranking", "depth": 0 if depth >= len(options) else depth}
    return response, np.array(out, dtype=object)


def settle_budget(item: Item, response: Mapping[str, Any], ledger: Ledger) -> tuple[dict[str, Any], Cells]:
    """The settings with the budget: as stated, else what most people's points add up to; 0 where nothing tells."""
    budget = int(response["budget"])
    if not budget:
        sums: Counter[int] = Counter(_total(str(cell)) for cell in item.cells_N if str(cell).strip())
        sums.pop(0, None)
        budget = sums.most_common(1)[0][0] if sums else 0
        if budget:
            ledger.note("guessed", item.id, f"points add up to {budget}, as most people's do")
    return {**response, "budget": budget}, item.cells_N


def _total(cell: str) -> int:
    """What the points of a cell add up to, 0 where they are no whole numbers."""
    points = [part.rpartition("=")[2] for part in cell.split("|")]
    return sum(int(p) for p in points) if all(p.isdecimal() and len(p) < 10 for p in points) else 0
