"""A questionnaire with its answers in a form common to all survey tools, before it becomes a study (or several).

What the kinds of items become, and how their answers are written in `cells_N` ("" where there is none):

    kind       in the tools                               response type          a cell
    single     multiple choice with one answer            choice, or ordinal     the option's text
    scale      matrix row, Likert, rating, NPS            ordinal                the level's text
    multiple   multiple choice with several answers       ballot                 #1|#3, and | for none of them
    ranking    rank order                                 ranking                #2|#1|#3, best first
    points     constant sum                               points                 #1=60|#2=40
    number     slider, number, duration                   continuous             4.5
    text       open question                              none: kept as a note   the text

Best-worst scaling is two `single` items, one for the best and one for the worst.

Shapes: N respondents.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from crowdllm.data.tables import Cells

ItemKind = Literal["single", "scale", "multiple", "ranking", "points", "number", "text"]
Use = Literal["", "problem", "profile", "weight", "skip"]


def no_cells() -> Cells:
    return np.zeros(0, dtype=object)


@dataclass(frozen=True)
class Item:
    """One question with everybody's answer.

    id: its name in the file. text: the question in plain words, without markup.
    options: the options or levels, in the order in which they were shown (or coded); none for numbers and texts.
    cells_N: (N,) answers as above; of length 0 where there is a questionnaire and no answers.
    columns: the file's columns it was read from. low, high: the ends of a slider or range.
    picks: the least and most options to pick, None where the tool sets no limit. budget: what points must add up to.
    ends: what the lowest and highest level mean. use: what the file itself says it is for, "" to be guessed.
    ordered: True where the file says that the options have an order (low to high), None where it says nothing.
    """

    id: str
    text: str
    kind: ItemKind
    options: tuple[str, ...] = ()
    cells_N: Cells = field(default_factory=no_cells)
    columns: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    picks: tuple[int, int] | None = None
    budget: int = 0
    ends: tuple[str, str] = ("", "")
    use: Use = ""
    ordered: bool | None = None


@dataclass(frozen=True)
class Survey:
    """A questionnaire and its answers.

    people_N: (N,) ids for the respondents; never those of a platform (see `personal.pseudonyms`).
    source: lines on where the data came from.
    """

    title: str
    items: tuple[Item, ...]
    people_N: Cells
    context: str = ""
    requirements: str = ""
    source: tuple[str, ...] = ()


def distinct_options(words: Iterable[str]) -> tuple[str, ...]:
    """Options that a study can tell apart: blanks tidied, empty ones named, and a number put behind repeated ones."""
    out: list[str] = []
    seen: set[str] = set()
    for i, raw in enumerate(words):
        word = " ".join(raw.split()) or f"(option {i + 1})"
        tried, again = word, 1
        while tried.casefold() in seen:
            again += 1
            tried = f"{word} ({again})"
        seen.add(tried.casefold())
        out.append(tried)
    return tuple(out)
