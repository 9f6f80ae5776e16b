"""The errors a user can cause, each saying what is wrong, where, what is allowed and what to do next.

Everything derived from `CrowdLLMError` is shown by the command line as one line (or one line per finding)
with exit status 2; any other exception is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class CrowdLLMError(Exception):
    """Base of every error that a change of input, not of code, can mend."""


class UnknownNameError(CrowdLLMError):
    """A name that no registry, column or level knows; lists the valid names and the nearest one."""

    def __init__(self, what: str, name: str, valid: Iterable[str], where: str = "") -> None:
        valid = list(valid)
        near = nearest(name, valid)
        hint = f"; did you mean {near!r}?" if near else ""
        place = f" in {where}" if where else ""
        super().__init__(f"unknown {what} {name!r}{place}: choose from {', '.join(valid) or '(none)'}{hint}")
        self.name, self.valid, self.nearest = name, valid, near


class ConfigError(CrowdLLMError):
    """A setting that is out of range or contradicts another."""


class MismatchError(CrowdLLMError):
    """Two objects that do not fit together, such as a fitted model and a study with another scale."""


class MissingExtraError(CrowdLLMError):
    """An optional package is needed; says how to install it."""

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(f"{purpose} needs an optional package: pip install 'crowdllm[{extra}]'")


class DataUnavailableError(CrowdLLMError):
    """A data set can be found neither in the mirror folder, nor in the cache, nor at its source."""


class UnparsableAnswerError(CrowdLLMError):
    """A text (from an LLM, or a table cell) that is no legal response; `allowed` says what would be."""

    def __init__(self, value: str, allowed: str) -> None:
        shown = value if len(value) <= 80 else value[:77] + "..."
        super().__init__(f"{shown!r} is no legal response; allowed: {allowed}")
        self.value, self.allowed = value, allowed


@dataclass(frozen=True)
class Finding:
    """One thing found wrong (or worth knowing) in an input, with its place.

    `row` counts as a spreadsheet does: the header is row 1. `severity` is "error" (the study cannot be used),
    "warning" (it can, but look), or "note".
    """

    severity: str
    message: str
    file: str = ""
    row: int | None = None
    column: str = ""
    value: str = ""
    allowed: str = ""
    nearest: str = ""

    def __str__(self) -> str:
        place = ", ".join(
            part
            for part in (
                self.file,
                f"row {self.row}" if self.row is not None else "",
                f"column {self.column!r}" if self.column else "",
            )
            if part
        )
        shown = self.value if len(self.value) <= 60 else self.value[:57] + "..."
        text = f"{place}: {self.message}" if place else self.message
        text += f" (value {shown!r})" if self.value else ""
        text += f"; allowed: {self.allowed}" if self.allowed else ""
        text += f"; nearest: {self.nearest!r}" if self.nearest else ""
        return text


class StudyError(CrowdLLMError):
    """A study that cannot be read; carries every `Finding`, not only the first."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = list(findings)
        errors = [f for f in self.findings if f.severity == "error"]
        super().__init__("\n".join(str(f) for f in errors) or "the study cannot be read")


def nearest(name: str, valid: Iterable[str]) -> str:
    """The valid name most like `name`, or "" when none is close."""
    by_folded = {v.casefold(): v for v in valid}
    match = difflib.get_close_matches(name.casefold(), list(by_folded), n=1, cutoff=0.6)
    return by_folded[match[0]] if match else ""
