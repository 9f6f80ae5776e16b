"""Recorded LLM answers: a CSV or Parquet table with one row per problem.

Columns: `problem`; answers as `decision` and/or `k1`, `k2`, ... (texts or numbers, parsed like an LLM's own); and,
where the LLM gave a distribution, `p1`..`pM`, one per level (or option) in order, in percent or shares (normalised).
A row whose shares do not add up to 100 or 1 (within 2 %) is refused with its number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from crowdllm.errors import Finding, StudyError
from crowdllm.llm.protocol import Answer, Prompt


@dataclass(frozen=True)
class RecordedBackend:
    """The answers in a table; problems it does not hold get none."""

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
        if path.suffix == ".parquet":
            table = pd.read_parquet(path).astype("string")
        else:
            try:
                table = pd.read_csv(path, dtype="string", encoding="utf-8-sig", keep_default_na=False)
            except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
                raise StudyError([Finding("error", f"not a readable CSV ({error})", file=path.name)]) from None
        return _from_table(table.fillna(""), path.name, name or path.stem)

    def ask(self, prompts: Sequence[Prompt], draws: int) -> Iterator[Answer]:
        for prompt in prompts:
            texts = self.texts.get(prompt.problem_id, ())
            yield Answer(prompt, texts[:draws], self.shares.get(prompt.problem_id, ()))


def _from_table(table: pd.DataFrame, file: str, name: str) -> RecordedBackend:
    columns = [str(c) for c in table.columns]
    draws = [c for c in columns if c == "decision" or re.fullmatch(r"k\d+", c)]
    levels = sorted((c for c in columns if re.fullmatch(r"p\d+", c)), key=lambda c: int(c[1:]))
    if "problem" not in columns or not (draws or levels):
        message = "recorded references need a column 'problem' and answers in 'decision', 'k1'.. or 'p1'.."
        raise StudyError([Finding("error", message, file=file, row=1, value=", ".join(columns)[:60])])
    texts: dict[str, tuple[str, ...]] = {}
    shares: dict[str, tuple[float, ...]] = {}
    findings: list[Finding] = []
    for row, record in enumerate(table.to_dict("records"), start=2):
        problem = str(record["problem"])
        if problem in texts:
            findings.append(Finding("error", "this problem has two rows", file=file, row=row, value=problem))
        texts[problem] = tuple(str(record[c]) for c in draws if str(record[c]).strip())
        given = [str(record[c]).strip() for c in levels]
        if any(given):
            try:
                shares[problem] = _normalised(given)
            except ValueError as error:
                findings.append(Finding("error", str(error), file=file, row=row, column=f"p1..p{len(levels)}"))
    if findings:
        raise StudyError(findings)
    return RecordedBackend(name, texts, shares)


def _normalised(cells: list[str]) -> tuple[float, ...]:
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        raise ValueError(f"shares must be numbers, not {cells}") from None
    total = sum(numbers)
    if min(numbers) < 0 or not (abs(total - 1) <= 0.02 or abs(total - 100) <= 2):
        raise ValueError(f"shares must add up to 1 or 100 and not be negative; these add up to {total:g}")
    return tuple(n / total for n in numbers)
