"""Recorded LLM answers: a CSV or Parquet table with one row per problem.

Columns: `problem`; answers as `decision` and/or `k1`, `k2`, ... (texts or numbers, parsed like an LLM's own); and,
where the LLM gave a distribution, `p1`..`pM`, one per level (or option) in order, in percent or shares (normalised).
An empty cell is a draw that is not there; the others keep their numbers. A row whose shares do not add up to 100 or 1
(within 2 %) is refused with its number. A problem with fewer options than others leaves its last shares empty. Other
columns are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from crowdllm.data.tables import Table, plain_number, read_table
from crowdllm.errors import Finding, StudyError
from crowdllm.llm.protocol import Answer, Request, Sampling


@dataclass(frozen=True)
class RecordedBackend:
    """The answers in a table, "" for draws that are not there; problems it does not hold get none."""

    name: str
    texts: dict[str, tuple[str, ...]]
    shares: dict[str, tuple[float, ...]]

    @property
    def draws(self) -> int:
        """The most answers that any problem has."""
        return max((len(t) for t in self.texts.values()), default=0)

    @staticmethod
    def read(path: str | Path, name: str = "") -> RecordedBackend:
        """Raises StudyError naming file, row and column where the table is not of this form."""
        path = Path(path)
        if not path.is_file():
            raise StudyError([Finding("error", "no such file of recorded references", file=str(path))])
        table, findings = read_table(path, known=("problem", "decision", "k1", "p1"))
        if table is None or any(finding.severity == "error" for finding in findings):
            raise StudyError(findings)
        return _from_table(table, name or path.stem)

    @property
    def identity(self) -> str:
        return f"recorded:{self.name}"

    @property
    def scores(self) -> bool:
        return bool(self.shares)

    def ask(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Answer]:
        for request in requests:
            texts = self.texts.get(request.prompt.problem_id, ())
            draws = tuple(k for k in request.draws if k < len(texts) and texts[k])
            shares = self.shares.get(request.prompt.problem_id, ())
            yield Answer(request.prompt, draws, tuple(texts[k] for k in draws), shares)


def _from_table(table: Table, name: str) -> RecordedBackend:
    draws = [c for c in table.columns if c == "decision" or re.fullmatch(r"k[0-9]+", c)]
    levels = [f"p{m + 1}" for m in range(sum(re.fullmatch(r"p[0-9]+", c) is not None for c in table.columns))]
    findings = _columns(table, draws, levels)
    if findings:
        raise StudyError(findings)
    texts: dict[str, tuple[str, ...]] = {}
    shares: dict[str, tuple[float, ...]] = {}
    for r, (row, problem) in enumerate(zip(table.row_R.tolist(), table.columns["problem"], strict=True)):
        if not problem.strip() or problem in texts:
            message = "this problem has two rows" if problem in texts else "an empty problem id"
            findings.append(Finding("error", message, table.name, row, "problem", problem))
        cells = [table.columns[c][r] if table.columns[c][r].strip() else "" for c in draws]
        while cells and not cells[-1]:
            cells.pop()
        texts[problem] = tuple(cells)
        given = [table.columns[c][r].strip() for c in levels]
        while given and not given[-1]:  # a problem with fewer options than others
            given.pop()
        if given:
            try:
                shares[problem] = _normalised(given)
            except ValueError as error:
                findings.append(Finding("error", str(error), table.name, row, f"p1..p{len(levels)}"))
    if findings:
        raise StudyError(findings)
    return RecordedBackend(name, texts, shares)


def _columns(table: Table, draws: list[str], levels: list[str]) -> list[Finding]:
    shown = ", ".join(table.columns)[:60]
    if "problem" not in table.columns or not (draws or levels):
        message = "recorded references need a column 'problem' and answers in 'decision', 'k1'.. or 'p1'.."
        return [Finding("error", message, table.name, 1, value=shown)]
    missing = [c for c in levels if c not in table.columns]
    allowed = "p1, p2, ... without a gap, one per level or option in order"
    return [Finding("error", f"no column {c!r}", table.name, 1, value=shown, allowed=allowed) for c in missing]


def _normalised(cells: list[str]) -> tuple[float, ...]:
    numbers = [plain_number(cell) for cell in cells]
    known = [n for n in numbers if n is not None]
    if len(known) < len(numbers):
        raise ValueError(f"shares must be numbers, not {cells}")
    total = sum(known)
    if min(known) < 0 or not (abs(total - 1) <= 0.02 or abs(total - 100) <= 2):
        raise ValueError(f"shares must add up to 1 or 100 and not be negative; these add up to {total:g}")
    return tuple(n / total for n in known)
