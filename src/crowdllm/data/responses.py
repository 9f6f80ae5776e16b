"""What people (or simulated people) answered, in long form: participant, problem, response.

Shapes: R responses, D response width (1 for scales, the number of options for ballots, points and rankings).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Responses:
    """R responses; participation phi_it = 1 exactly where a row exists.

    participant_R, problem_R: (R,) positions in the study's profiles and problems.
    values_RD: (R, D) encoded by the study's response type (see `crowdllm.responses`).
    """

    participant_R: NDArray[np.int64]
    problem_R: NDArray[np.int64]
    values_RD: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.values_RD.ndim != 2 or not len(self.participant_R) == len(self.problem_R) == len(self.values_RD):
            raise ValueError("participant_R, problem_R and values_RD (two-dimensional) must have one row per response")

    def __len__(self) -> int:
        return len(self.participant_R)

    @property
    def people(self) -> NDArray[np.int64]:
        """Positions of those who gave a response, rising."""
        return np.flatnonzero(np.bincount(self.participant_R))

    @property
    def answered(self) -> NDArray[np.int64]:
        """Positions of the problems that have a response, rising."""
        return np.flatnonzero(np.bincount(self.problem_R))

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Responses:
        """The responses at these positions (or where the mask holds), indices unchanged."""
        return Responses(self.participant_R[rows], self.problem_R[rows], self.values_RD[rows])
