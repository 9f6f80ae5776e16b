"""How sure an answer is: the interval around every number on the page, and which kind of interval it is.

No number is shown without one of these:

- "conformal": where it was measured how far the crowd is from people on problems it had not seen
  (`crowdllm.studio.calibration`), for everybody: the interval is about people;
- "sampling": else. It only says how much a crowd of this size varies by chance, not how far the model is from people,
  and the page says that it is so.

The two are combined in the first: half width = sqrt(conformal^2 + sampling^2), so that few simulated people widen it.

Shapes: M levels, options or ranges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crowdllm.estimation.intervals import error_scale
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import Array, ResponseType
from crowdllm.studio.calibration import Reach
from crowdllm.studio.crowd import Answer

NORMAL_95 = 1.959964
SAMPLING, CONFORMAL = "sampling", "conformal"


@dataclass(frozen=True)
class AnswerInterval:
    """low_M, high_M: around each of the answer's values. mean: around the mean answer, None where there is none.

    kind: "conformal" or "sampling", of the mean where there is one and of the values; values: of the values alone,
    where they have another kind than the mean. words: what it means, for the page and every export.
    """

    low_M: Array
    high_M: Array
    mean: tuple[float, float] | None
    kind: str
    values: str
    words: str


def answer_interval(answer: Answer, kind: ResponseType, reach: Reach | None, everybody: bool) -> AnswerInterval:
    """The best interval that there is for an answer. everybody: whether no choice of people was made."""
    if reach is None:
        return sampling_interval(answer, "it was not measured how far this crowd is from people")
    if not everybody:
        return sampling_interval(
            answer, "how far the crowd is from people was measured for everybody, not for a choice"
        )
    level = reach.level()
    if not level:
        return sampling_interval(answer, f"{reach.problems} problems with human responses are too few to calibrate one")
    half_M = _half_widths(answer, kind, reach, level)
    if half_M is None and reach.mean is None:
        return sampling_interval(answer, "for this response type no other interval can be given")
    return _conformal(answer, reach, level, half_M)


def sampling_interval(answer: Answer, why: str) -> AnswerInterval:
    """From the number of simulated people alone: 95 %, normal. why: there is no better one, in words."""
    low_M, high_M = _around(answer, NORMAL_95 * answer.error_M)
    mean, reach = float(answer.mean_G[0]), NORMAL_95 * answer.mean_error
    people = int(answer.people_G[0])
    words = (
        f"95 % sampling interval: how much a simulated crowd of {people:,} varies by chance. It does not say how far "
        f"the model is from real people, which is usually much more ({why})."
    )
    return AnswerInterval(
        low_M, high_M, None if np.isnan(mean) else (mean - reach, mean + reach), SAMPLING, SAMPLING, words
    )


def _conformal(answer: Answer, reach: Reach, level: float, half_M: Array | None) -> AnswerInterval:
    sampling_M = NORMAL_95 * answer.error_M
    low_M, high_M = _around(answer, sampling_M if half_M is None else np.hypot(half_M, sampling_M))
    mean = None
    if reach.mean is not None:
        half = float(np.hypot(reach.mean.half_width(level), NORMAL_95 * answer.mean_error))
        mean = (float(answer.mean_G[0]) - half, float(answer.mean_G[0]) + half)
    words = (
        f"{100 * level:.0f} % conformal interval for people's own answer: measured on {reach.problems:,} problems that "
        "the crowd had not seen when it was compared with people. It holds for problems like these, with references "
        "from the same source, one number at a time."
    )
    if half_M is None:
        words += " The whiskers of the bars are sampling intervals: they only show chance among simulated people."
    values = CONFORMAL if half_M is not None else SAMPLING
    return AnswerInterval(low_M, high_M, mean, CONFORMAL, values, words)


def _half_widths(answer: Answer, kind: ResponseType, reach: Reach, level: float) -> Array | None:
    """(M,) conformal half widths in the answer's unit; None for values that were not measured."""
    if answer.kind not in ("ordinal", "choice", "ballot", "points"):
        return None
    whole = float(kind.budget) if isinstance(kind, Points) else 100.0
    unit_M = np.array([part.half_width(level) for part in reach.parts])
    if len(unit_M) not in (1, len(answer.labels)):
        return None
    return np.asarray(whole * unit_M * error_scale(answer.value_GM[0] / whole, "share"))


def _around(answer: Answer, half_M: Array) -> tuple[Array, Array]:
    top = 100.0 if answer.unit.startswith("%") else np.inf
    value_M = answer.value_GM[0]
    return np.clip(value_M - half_M, 0.0, None), np.clip(value_M + half_M, None, top)
