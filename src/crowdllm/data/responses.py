"""What people (or simulated people) answered, in long form: participant, problem, response.

Shapes: R responses, D response width (1 for scales, the number of options for ballots, points and rankings).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowdllm.registry import lookup

SCANNERS = {"crowd": "crowdllm.simulation.scan:scan"}  # looked up when called: the simulation builds on this module


@dataclass(frozen=True)
class Responses:
    """R responses; participation phi_it = 1 exactly where a row exists.

    participant_R, problem_R: (R,) positions in the study's profiles and problems.
    values_RD: (R, D) encoded by the study's response type (see `crowdllm.responses`).
    weight_R: (R,) the survey weight of who gave each, mean 1 over the study's people; None where all count alike.
        `Study` sets it from its `weights_N`, so that it goes wherever the responses go.
    """

    participant_R: NDArray[np.int64]
    problem_R: NDArray[np.int64]
    values_RD: NDArray[np.float64]
    weight_R: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.values_RD.ndim != 2 or not len(self.participant_R) == len(self.problem_R) == len(self.values_RD):
            raise ValueError("participant_R, problem_R and values_RD (two-dimensional) must have one row per response")
        if self.weight_R is not None and self.weight_R.shape != self.participant_R.shape:
            raise ValueError(f"weight_R has shape {self.weight_R.shape}, not one number per response")

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
        weight_R = None if self.weight_R is None else self.weight_R[rows]
        return Responses(self.participant_R[rows], self.problem_R[rows], self.values_RD[rows], weight_R)

    @property
    def amount(self) -> float:
        """How many responses these count as: the sum of their weights, or simply how many there are."""
        return float(len(self) if self.weight_R is None else self.weight_R.sum())

    def mean(self, number_R: NDArray[np.float64]) -> float:
        """The mean of one number per response, by weight where there are weights."""
        return float(np.mean(number_R) if self.weight_R is None else np.average(number_R, weights=self.weight_R))

    @staticmethod
    def scan(folder: str | Path, problems: Sequence[str] | None = None, where: Sequence[str] = ()) -> Iterator[Any]:
        """The responses in a folder that `crowdllm simulate` wrote, lazily: see `crowdllm.simulation.scan`.

        problems: ids to read; all when None. where: filters on profile columns such as `age=25-29,30-34`. Gives
        batches with `people`, `problems` and `responses`, one row group in memory at a time.

        Raises CrowdLLMError for a folder without stored responses, UnknownNameError for a problem or column that there
        is not, ConfigError for a text that is no filter.
        """
        batches: Iterator[Any] = lookup(SCANNERS, "crowd", "scanner")(folder, problems, where)
        return batches
