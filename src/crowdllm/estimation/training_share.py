"""How many of the next answers to train on, and how many to keep for rectification, when no answer may do both.

A rectified interval's variance is left(m) s^2 / n, n the answers that rectify and left(m) the part of the variance that
a crowd trained on m answers does not explain. More training lowers left(m) with diminishing returns,

    left(m) = a + b / m,     a, b >= 0,

read off two crowds that were trained on m_1 < m_2 answers and predicted others. So of M further answers the share f
that minimises (a + b / (m_2 + f M)) / (n + (1 - f) M) is the best. With cross-fitting, as `crowdllm estimate` does it,
every answer serves both sides in turn, and nothing has to be split; the split is for a model that is fitted once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crowdllm.errors import ConfigError
from crowdllm.responses.protocol import Array

STEPS = 201


@dataclass(frozen=True)
class LearningCurve:
    """left(m) = floor + slope / m. answers, left: what it was read off."""

    floor: float
    slope: float
    answers: tuple[float, ...]
    left: tuple[float, ...]

    def at(self, answers: Array | float) -> Array:
        """The part of the variance that is left after training on so many answers, at most 1."""
        return np.minimum(self.floor + self.slope / np.maximum(np.asarray(answers, dtype=float), 1.0), 1.0)


def learning_curve(answers: tuple[float, float], left: tuple[float, float]) -> LearningCurve:
    """Through two points; flat where more training did not help. Raises ConfigError unless the first has fewer."""
    if not 0 < answers[0] < answers[1]:
        raise ConfigError(f"a learning curve needs two rising numbers of answers above 0, not {answers}")
    slope = max((left[0] - left[1]) / (1 / answers[0] - 1 / answers[1]), 0.0)
    floor = left[1] - slope / answers[1]
    if floor < 0:
        floor, slope = 0.0, left[1] * answers[1]
    if slope == 0:
        floor = min(left)
    return LearningCurve(floor, slope, answers, left)


def best_training(curve: LearningCurve, trained: int, rectifying: int, more: int) -> tuple[int, float]:
    """How many of `more` answers to train on, and the width that gives over the width with none of them.

    trained, rectifying: answers that the model was trained on, and others that are kept for rectification.
    """
    if min(trained, rectifying, more) < 0:
        raise ConfigError(f"numbers of answers are 0 or more, not {trained}, {rectifying}, {more}")
    if more == 0 or curve.slope == 0:
        return 0, 1.0
    into = np.unique(np.round(np.linspace(0, more, STEPS)).astype(int))
    into = into[rectifying + more - into > 0]
    variance = curve.at(trained + into) / (rectifying + more - into)
    best = int(variance.argmin())
    return int(into[best]), float(np.sqrt(variance[best] / variance[0]))
