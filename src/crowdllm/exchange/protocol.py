"""What every reader of a foreign format takes and gives: a glance at the files, and a study with all that was left out.

A reader is one module with a `READER = Reader(...)`. `sniff` looks at the first bytes only and must never raise;
`read` raises a `CrowdLLMError` for a file that it cannot understand, whatever is wrong with it.

Shapes: N participants, T problems, R responses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crowdllm.data.study import Study
from crowdllm.data.tables import BYTE_ORDER_MARKS

SURE, LIKELY, MAYBE, NO = 100, 70, 10, 0
"""What `sniff` answers: a signature that only this format has; its usual columns; a file of a fitting sort; no."""


@dataclass(frozen=True)
class Glance:
    """What can be told of a file without reading it.

    head: its first 64 KiB; empty for a folder. members: the names inside a zip archive (such as an .xlsx) or folder.
    sheets: the names of a workbook's sheets.
    """

    path: Path
    head: bytes = b""
    members: tuple[str, ...] = ()
    sheets: tuple[str, ...] = ()
    is_folder: bool = False

    @property
    def suffix(self) -> str:
        """The end of the file's name in lower case, such as ".csv"."""
        return self.path.suffix.lower()

    @property
    def text(self) -> str:
        """The head as text, whatever bytes it holds, by its byte order mark; for looking only."""
        codec = next((codec for mark, codec, _ in BYTE_ORDER_MARKS if self.head.startswith(mark)), "utf-8")
        return self.head.decode(codec, "replace")

    @property
    def first_line(self) -> str:
        """The first line of the text that is not blank."""
        return next((line for line in self.text.splitlines() if line.strip()), "")


@dataclass(frozen=True)
class ReadOptions:
    """How to read.

    mapping: what the user says about columns, see `crowdllm.exchange.mapping`; empty to guess all.
    max_megabytes: larger files (or larger contents of an archive) are refused.
    """

    mapping: Mapping[str, Any] = field(default_factory=dict)
    max_megabytes: int = 64


@dataclass(frozen=True)
class Note:
    """One thing that was not carried over into the study, or only changed.

    about: the question or column. kind: what sort of thing, such as "display logic", "free text", "answers left out".
    text: the thing itself, in words. count: how many answers (or people) it concerns, where that can be said.
    """

    kind: str
    about: str
    text: str
    count: int = 0


@dataclass(frozen=True)
class LeftOut:
    """Personal data that was recognised and not imported.

    column: where it stood. what: such as "e-mail addresses". how: "by name" or "by content". count: filled cells.
    """

    column: str
    what: str
    how: str
    count: int


@dataclass(frozen=True)
class FreeText:
    """An open answer, kept beside the study (never in it), with addresses and the like blotted out."""

    participant: str
    question: str
    text: str


@dataclass(frozen=True)
class Part:
    """The questions that are answered on one scale, as a study. name: its folder where there are several parts."""

    name: str
    study: Study


@dataclass(frozen=True)
class Imported:
    """What came out of some files.

    parts: one study per scale on which people answered (a study has one response type).
    understood: what the reader took the file for, one line each.
    notes: what could not be carried over or was changed; nothing is dropped without one.
    left_out: personal data that was recognised.
    guessed: whether columns were given a meaning that the file does not state, so that a person should confirm it.
    mapping: that meaning, in the form that `ReadOptions.mapping` takes.
    """

    format: str
    files: tuple[Path, ...]
    parts: tuple[Part, ...]
    understood: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    free_text: tuple[FreeText, ...] = ()
    guessed: bool = False
    mapping: Mapping[str, Any] = field(default_factory=dict)

    @property
    def study(self) -> Study:
        """The study, of the first part where there are several."""
        return self.parts[0].study

    @property
    def counts(self) -> dict[str, tuple[int, int, int]]:
        """Per part its numbers of participants, problems and responses."""
        return {p.name: (len(p.study.profiles), len(p.study.problems), len(p.study.responses)) for p in self.parts}


@dataclass(frozen=True)
class Reader:
    """One format.

    name: as in READERS. title: in words. extra: the optional group of packages it needs, "" for none.
    sniff: how sure it is (SURE, LIKELY, MAYBE or NO) that these files, all together, are its own.
    read: the files, in the order given, as studies.
    """

    name: str
    title: str
    sniff: Callable[[Sequence[Glance]], int]
    read: Callable[[Sequence[Path], ReadOptions], Imported]
    extra: str = ""
