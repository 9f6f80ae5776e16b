"""What is said about an import as it goes on: what was understood, changed, left out, and kept beside the study."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from crowdllm.exchange.protocol import FreeText, LeftOut, Note


@dataclass
class Ledger:
    """Lists that grow; each entry as in `crowdllm.exchange.protocol`."""

    understood: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    free_text: list[FreeText] = field(default_factory=list)

    def note(self, kind: str, about: str, text: str, count: int = 0) -> None:
        self.notes.append(Note(kind, about, text, count))


def short(text: str, most: int = 120) -> str:
    """A text in one line, cut where it is long."""
    line = re.sub(r"\s+", " ", text[: 4 * most]).strip()
    return line if len(line) <= most else line[: most - 1] + "…"


def some_of(counts: Mapping[str, int], most: int = 5) -> str:
    """The first few words with how often each comes."""
    first = [f"{short(word, 40)!r} ({count:,})" for word, count in list(counts.items())[:most]]
    return ", ".join(first) + (", …" if len(counts) > most else "")
