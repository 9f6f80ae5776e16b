"""What an aggregator returns: the crowd's decision on each problem, and what it learned on the way.

Shapes: T problems, N participants, D response width (1 for scales and choices, the number of options for
ballots, points and rankings), M levels or options.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Aggregate:
    """A(Y_t), the crowd's decision on every problem.

    method: the aggregator's name.
    decision_TD: (T, D) decided values. Ordinal scales: in the points of the scale (`Ordinal.points`);
        choices: the position of the option; ballots, points and rankings: one number per option. NaN for a
        problem that nobody answered.
    distribution_TM: (T, M) posterior over the levels or options (Dawid-Skene, GLAD), or shares of the crowd
        (the others). Rows add up to 1, or are NaN for a problem that nobody answered (or whose ballots are
        all empty). None for continuous responses.
    skill_N: (N,) how good each participant is, on the method's own measure: agreement with the majority,
        expected accuracy (Dawid-Skene), ability alpha (GLAD). NaN for a participant without a response; None
        where the method has no such notion.
    iterations: EM iterations done; 0 for methods in closed form.
    converged: False when the iterations ran out first.
    """

    method: str
    decision_TD: NDArray[np.float64]
    distribution_TM: NDArray[np.float64] | None
    skill_N: NDArray[np.float64] | None = None
    iterations: int = 0
    converged: bool = True
