"""Say what was understood of a study folder, and all that is wrong with it: the report of `crowdllm check`.

Shapes: R responses, T problems, N participants.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.profiles import Profiles
from crowdllm.data.study import Study
from crowdllm.data.study_folder import read_study
from crowdllm.errors import Finding

BINS = 10


@dataclass(frozen=True)
class CheckReport:
    """What is in a folder.

    study: what was understood, None where there is no scale or nothing to ask. With errors among the findings
        it holds the faultless rows only: to be shown, not to be used.
    findings: every one of them, in the order of the files.
    columns: per file, which column was read as what.
    """

    folder: Path
    study: Study | None
    findings: tuple[Finding, ...]
    columns: dict[str, dict[str, str]]

    def of(self, severity: str) -> tuple[Finding, ...]:
        """The findings that are an "error", a "warning" or a "note"."""
        return tuple(f for f in self.findings if f.severity == severity)

    @property
    def usable(self) -> bool:
        """Whether `load_study` gives a study."""
        return self.study is not None and not self.of("error")


@dataclass(frozen=True)
class ColumnSummary:
    """One profile column: the count of each level (in order), or the quantiles of a numeric one."""

    name: str
    kind: str
    missing: int
    levels: tuple[tuple[str, int], ...] = ()
    min_median_max: tuple[float, float, float] | None = None


def check_study(folder: str | Path) -> CheckReport:
    """Everything understood of a folder and all findings at once; never raises for a faulty study."""
    assembly = read_study(Path(folder))
    return CheckReport(Path(folder), assembly.study, tuple(assembly.findings), assembly.columns)


def coverage(study: Study) -> float:
    """The share of (participant, problem) pairs that have a response; NaN where there are no pairs."""
    pairs = len(study.profiles) * len(study.problems)
    return len(study.responses) / pairs if pairs else float("nan")


def responses_per_problem(study: Study) -> NDArray[np.int64]:
    """(T,) how many responses each problem has."""
    return np.bincount(study.responses.problem_R, minlength=len(study.problems))


def responses_per_participant(study: Study) -> NDArray[np.int64]:
    """(N,) how many responses each participant gave."""
    return np.bincount(study.responses.participant_R, minlength=len(study.profiles))


def profile_summary(profiles: Profiles) -> list[ColumnSummary]:
    """Per profile column its levels with counts, and how many values are missing."""
    out = []
    for c, column in enumerate(profiles.columns):
        values = profiles.values_NC[:, c]
        seen = values[~np.isnan(values)]
        missing = len(values) - len(seen)
        if column.kind == "numeric":
            spread = (float(seen.min()), float(np.median(seen)), float(seen.max())) if len(seen) else None
            out.append(ColumnSummary(column.name, column.kind, missing, min_median_max=spread))
        else:
            counts = np.bincount(seen.astype(int), minlength=len(column.levels)).tolist()
            levels = tuple(zip(column.levels, counts, strict=True))
            out.append(ColumnSummary(column.name, column.kind, missing, levels))
    return out


def response_histogram(study: Study) -> tuple[str, list[tuple[str, float]]]:
    """What is counted, in words, and the counts: levels or ranges in order, options from most to least."""
    kind, values_RD = study.response_type.kind, study.responses.values_RD
    if kind == "ordinal":
        levels = study.response_type.levels  # type: ignore[attr-defined]
        counts = np.bincount(values_RD[:, 0].astype(int), minlength=len(levels)).tolist()
        return "responses", list(zip(levels, counts, strict=True))
    if kind == "continuous":
        return "responses", _ranges(values_RD[:, 0])
    position: dict[tuple[str, ...], int] = {}
    set_T = np.array([position.setdefault(o, len(position)) for o in study.problems.options], dtype=np.int64)
    set_R = set_T[study.responses.problem_R]
    totals: dict[str, float] = {}
    for m in range(int(study.problems.option_counts.max(initial=0))):
        sums_S = np.bincount(set_R, _option_weight(kind, values_RD, m), minlength=len(position))
        for options, count in zip(position, sums_S.tolist(), strict=True):
            if m < len(options):
                totals[options[m]] = totals.get(options[m], 0) + count
    what = {"ranking": "first ranks", "points": "points"}.get(kind, "picks")
    return what, sorted(totals.items(), key=lambda item: -item[1])


def _option_weight(kind: str, values_RD: NDArray[np.float64], m: int) -> NDArray[np.float64]:
    """(R,) what each response gives to the option at position m of its problem."""
    if kind == "choice":
        return (values_RD[:, 0] == m).astype(float)
    return (values_RD[:, m] == 1).astype(float) if kind == "ranking" else values_RD[:, m]


def _ranges(values_R: NDArray[np.float64]) -> list[tuple[str, float]]:
    """Counts in equal ranges from the least to the greatest number."""
    if not len(values_R):
        return []
    low, high = float(values_R.min()), float(values_R.max())
    edges = np.linspace(low, high, BINS + 1)
    if low == high or not np.all(np.diff(edges) > 0):
        return [(f"{low:g}", len(values_R))]
    counts = np.histogram(values_R, edges)[0].tolist()
    return [(f"{a:.4g} to {b:.4g}", count) for a, b, count in zip(edges[:-1], edges[1:], counts, strict=True)]


# --- findings ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FindingGroup:
    """Findings of one sort: the first few, and how many more there are."""

    severity: str
    shown: tuple[Finding, ...]
    more: int


def group_findings(findings: Iterable[Finding], most: int = 5) -> list[FindingGroup]:
    """Findings by sort (one message on one column of one file), in order of first appearance."""
    groups: dict[tuple[str, str, str, str], list[Finding]] = {}
    for finding in findings:
        sort = _sort(finding.message)
        groups.setdefault((finding.severity, finding.file, finding.column, sort), []).append(finding)
    return [FindingGroup(key[0], tuple(group[:most]), max(len(group) - most, 0)) for key, group in groups.items()]


def _sort(message: str) -> str:
    """A message without the numbers and names in it."""
    return re.sub(r"'[^']*'|[0-9][0-9,.]*", "…", message)


def finding_lines(findings: Iterable[Finding], most: int = 5) -> list[str]:
    """Findings as lines, a few of each sort, then how many more; control characters are left in."""
    lines = []
    for group in group_findings(findings, most):
        lines += [str(finding) for finding in group.shown]
        lines += [f"… and {group.more:,} more of this sort"] if group.more else []
    return lines
