"""What the pages draw: bars with whiskers, strips for subgroups, and answers in one sentence. No HTML here.

Every picture is an SVG with places from 0 to 100 (percent of its width), beside a table with the numbers themselves.

Shapes: G groups, M levels, options or ranges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crowdllm.profiles.cells import MISSING
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType
from crowdllm.studio.crowd import Answer
from crowdllm.studio.interval import CONFORMAL, AnswerInterval
from crowdllm.studio.new_reference import NewReference

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
KINDS = {
    "ordinal": "a scale of levels",
    "continuous": "a number",
    "choice": "one of several options",
    "ballot": "several of the options",
    "points": "points spread over options",
    "ranking": "options put in order",
}


@dataclass(frozen=True)
class Bar:
    """One answer. x, low_x, high_x, reference_x: places in the picture, 0..100; reference_x -1 for none."""

    label: str
    value: float
    low: float
    high: float
    x: float
    low_x: float
    high_x: float
    reference: float
    reference_x: float


@dataclass(frozen=True)
class Chart:
    """Bars on one axis. top: its end. has_reference: whether the LLM's own distribution is marked."""

    bars: tuple[Bar, ...]
    unit: str
    top: float
    has_reference: bool


@dataclass(frozen=True)
class Strip:
    """A group's distribution in one line. parts: (x, width, how dark 0..1, label, value)."""

    parts: tuple[tuple[float, float, float, str, float], ...]
    words: str


@dataclass(frozen=True)
class GroupRow:
    """One subgroup. short: its answer in a few words. behind: training people in it."""

    level: str
    people: int
    behind: int
    short: str
    strip: Strip | None


@dataclass(frozen=True)
class Difference:
    """One answer in two crowds: the difference (second less first) with what chance alone would make of it."""

    label: str
    first: float
    second: float
    difference: float
    reach: float

    @property
    def beyond_chance(self) -> bool:
        return abs(self.difference) > self.reach


def chart(answer: Answer, interval: AnswerInterval, reference: NewReference | None, top: float = 0.0) -> Chart:
    """The answer of everybody. top: the end of the axis, chosen where 0."""
    value_M = answer.value_GM[0]
    marks = np.full(len(value_M), np.nan)
    if reference is not None and reference.distribution_M is not None and answer.kind in ("ordinal", "choice"):
        marks = 100 * np.array(reference.distribution_M)
    highest = float(np.nanmax(np.concatenate([value_M, interval.high_M, marks])))
    top = top or axis_end(highest, answer.unit)

    def place(number: float) -> float:
        return -1.0 if np.isnan(number) else round(min(100.0, max(0.0, 100 * number / top)), 2)

    bars = [
        Bar(
            label,
            float(value),
            float(low),
            float(high),
            place(value),
            place(low),
            place(high),
            float(mark),
            place(mark),
        )
        for label, value, low, high, mark in zip(
            answer.labels, value_M, interval.low_M, interval.high_M, marks, strict=True
        )
    ]
    return Chart(tuple(bars), answer.unit, top, not np.isnan(marks).all())


def axis_end(highest: float, unit: str) -> float:
    """A round number not below the highest value; 100 at most for shares."""
    if not highest > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(highest))
    end = float(next(step * power for step in STEPS if step * power >= highest * (1 - 1e-12)))
    return min(end, 100.0) if unit.startswith("%") else end


def group_rows(answer: Answer, behind_G: Sequence[int]) -> list[tuple[str, list[GroupRow]]]:
    """Per profile column its levels that anybody is in."""
    out: dict[str, list[GroupRow]] = {}
    for g, (column, level) in enumerate(answer.groups):
        if not column or (level == MISSING and not answer.people_G[g] and not behind_G[g]):
            continue
        people = int(answer.people_G[g])
        words = short_answer(answer, g) if people else "nobody asked"
        out.setdefault(column, []).append(
            GroupRow(level, people, int(behind_G[g]), words, _strip(answer, g) if people else None)
        )
    return list(out.items())


def short_answer(answer: Answer, group: int = 0) -> str:
    """Such as `mean 3.4` or `most: tea (43 %)`."""
    if not np.isnan(answer.mean_G[group]):
        return f"mean {answer.mean_G[group]:.2f}" if answer.kind == "ordinal" else f"mean {answer.mean_G[group]:.4g}"
    best = int(np.nanargmax(answer.value_GM[group]))
    value = answer.value_GM[group, best]
    shown = f"{value:.0f} %" if answer.unit.startswith("%") else f"{value:.1f}"
    return f"most: {answer.labels[best]} ({shown})"


def with_interval(answer: Answer, interval: AnswerInterval) -> str:
    """`short_answer` of everybody, with its interval and what kind that is: `mean 3.40: 2.61 to 4.19, for people`."""
    if interval.mean is not None:
        low, high = (f"{end:.2f}" if answer.kind == "ordinal" else f"{end:.4g}" for end in interval.mean)
    else:
        best = int(np.nanargmax(answer.value_GM[0]))
        low, high = f"{interval.low_M[best]:.1f}", f"{interval.high_M[best]:.1f}"
    meaning = "for people" if interval.kind == CONFORMAL else "sampling only"
    return f"{short_answer(answer)}: {low} to {high}, {meaning}"


def sentence(answer: Answer, interval: AnswerInterval, kind: ResponseType) -> str:
    """The answer in words, with its interval."""
    if interval.mean is not None:
        low, high = interval.mean
        mean = f"On average {answer.mean_G[0]:.4g} ({low:.4g} to {high:.4g})"
        if isinstance(kind, Ordinal):
            best = int(np.argmax(answer.value_GM[0]))
            return f"{mean}; the most frequent answer is {answer.labels[best]} ({answer.value_GM[0, best]:.0f} %)."
        q = answer.quantile_5
        half, most = f"{q[1]:.4g} and {q[3]:.4g}", f"{q[0]:.4g} and {q[4]:.4g}"
        return f"{mean}; half of the people are between {half}, nine in ten between {most}."
    best = int(np.argmax(answer.value_GM[0]))
    low, high = interval.low_M[best], interval.high_M[best]
    return f"First is {answer.labels[best]}: {answer.value_GM[0, best]:.4g} {answer.unit} ({low:.4g} to {high:.4g})."


def differences(first: Answer, second: Answer) -> list[Difference]:
    """Answer by answer, where both crowds could give the same answers; else nothing."""
    if first.labels != second.labels or first.unit != second.unit:
        return []
    reach_M = 1.959964 * np.sqrt(first.error_M**2 + second.error_M**2)
    return [
        Difference(label, float(a), float(b), float(b - a), float(reach))
        for label, a, b, reach in zip(first.labels, first.value_GM[0], second.value_GM[0], reach_M, strict=True)
    ]


def _strip(answer: Answer, group: int) -> Strip:
    value_M = answer.value_GM[group]
    count = len(value_M)
    words = ", ".join(
        f"{label}: {value:.0f}{' %' if answer.unit.startswith('%') else ''}"
        for label, value in zip(answer.labels, value_M, strict=True)
        if value > 0
    )
    if answer.kind in ("ordinal", "choice"):
        ends = np.concatenate([[0.0], np.cumsum(value_M)])
        shade = np.linspace(0.15, 1.0, count) if count > 1 else np.ones(1)
        parts = [
            (round(float(ends[m]), 2), round(float(value_M[m]), 2), round(float(shade[m]), 2), answer.labels[m],
             float(value_M[m]))
            for m in range(count)
        ]  # fmt: skip
        return Strip(tuple(parts), words)
    top = float(np.nanmax(answer.value_GM)) or 1.0
    parts = [
        (round(100 * m / count, 2), round(90 / count, 2), round(float(value_M[m] / top), 3), answer.labels[m],
         float(value_M[m]))
        for m in range(count)
    ]  # fmt: skip
    return Strip(tuple(parts), words)
