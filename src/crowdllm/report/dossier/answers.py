"""What a section contributes: answers to the questions of the first screen, and parts of the document below.

The first screen answers, in this order: how the crowd would answer, how sure that is, whether it is better than the
bare LLM and than a ridge regression, how many humans it is worth, and what must not be concluded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from crowdllm.report.page import Block

QUESTIONS = {
    "how": "How would the crowd answer?",
    "sure": "How sure are we?",
    "better": "Is it better than the bare LLM, and than ridge?",
    "worth": "How many humans is it worth?",
    "not": "What must not be concluded?",
}
NOT_ANSWERED = {
    "how": "Not in these folders. `crowdllm simulate MODEL --participants 1000 --out CROWD` simulates answers: add it.",
    "sure": "Not measured in these folders. `crowdllm estimate STUDY MODEL --out ESTIMATES` gives intervals: add it.",
    "better": "Not measured in these folders. `crowdllm evaluate STUDY --out RESULTS` compares on new humans: add it.",
    "worth": "Not measured in these folders. `crowdllm estimate STUDY MODEL --out ESTIMATES` says so: add it.",
}
NEVER = (
    "The simulated people do not exist: their answers must never be presented as those of real people.",
    "They stand for those who were asked, with their gaps; nothing follows for people, places or times unlike these.",
    "More simulated people make the crowd's own average sharper, not truer.",
)


@dataclass(frozen=True)
class Chart:
    """A picture in the document: SVG text, what it shows in words, and its data as CSV text ("" for none)."""

    name: str
    svg: str
    caption: str
    words: str
    csv: str = ""


@dataclass(frozen=True)
class Explorer:
    """Any problem by search: a list of {id, text, labels, human, humans, crowd}, shares in percent."""

    problems: tuple[dict[str, Any], ...]
    left_out: int = 0


@dataclass(frozen=True)
class Section:
    """A heading with what stands below it."""

    title: str
    blocks: tuple[Block | Chart | Explorer, ...]


@dataclass(frozen=True)
class Contribution:
    """What one folder says. answers: by the keys of QUESTIONS. lead: the picture for the first screen, if any."""

    answers: dict[str, str]
    sections: tuple[Section, ...]
    lead: Chart | None = None
    made: tuple[str, ...] = field(default=())
