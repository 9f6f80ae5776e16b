"""A study: problems, participants with profiles, their responses, and how the question is put.

This file is the object; `study_folder` reads and writes it as a folder, `study_check` finds what is wrong in one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.splits import Split, split_study
from crowdllm.responses.protocol import ResponseType


@dataclass(frozen=True)
class Study:
    """Human responses to problems, the input of everything.

    title: what the study is called, in a few words.
    context: the scenario C_t put to the LLM; may be empty.
    requirements: what kind of answer is wanted (R_t), such as "How offensive is this comment?".
    response_type: the scale; says how responses are encoded, asked for, parsed, sampled and compared.
    source: where the data came from, its licence, and what a loader changed; one line each.
    simulated: True when the "people" are simulated.
    weights_N: (N,) survey weights of the people, as they were read: above 0, on any scale; None where all count alike.
        Wherever they are used they are divided by their mean (`Responses.weight_R`).
    """

    title: str
    response_type: ResponseType
    problems: Problems
    profiles: Profiles
    responses: Responses
    context: str = ""
    requirements: str = ""
    source: tuple[str, ...] = ()
    simulated: bool = False
    weights_N: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """The responses carry the weights of those who gave them, and of nobody else."""
        weight_R = None
        if self.weights_N is not None:
            if self.weights_N.shape != (len(self.profiles),):
                raise ValueError(f"weights_N has shape {self.weights_N.shape}, not {(len(self.profiles),)}")
            if not (np.isfinite(self.weights_N) & (self.weights_N > 0)).all():
                raise ValueError("survey weights must be finite numbers above 0")
            relative_N = self.relative_weights_N
            assert relative_N is not None
            weight_R = relative_N[self.responses.participant_R]
        if weight_R is not None or self.responses.weight_R is not None:
            object.__setattr__(self, "responses", replace(self.responses, weight_R=weight_R))

    @property
    def relative_weights_N(self) -> NDArray[np.float64] | None:
        """(N,) the weights with mean 1, as they are used; None where there are none."""
        if self.weights_N is None:
            return None
        scaled_N = self.weights_N / self.weights_N.max(initial=0)  # no sum of large weights overflows
        return np.asarray(scaled_N / scaled_N.mean()) if len(scaled_N) else scaled_N

    def subset(self, problems: NDArray[np.int64], participants: NDArray[np.int64]) -> Study:
        """The study restricted to these problems and people, and the responses between them."""
        new_t = np.full(len(self.problems), -1)
        new_t[problems] = np.arange(len(problems))
        new_n = np.full(len(self.profiles), -1)
        new_n[participants] = np.arange(len(participants))
        t, n = new_t[self.responses.problem_R], new_n[self.responses.participant_R]
        keep = (t >= 0) & (n >= 0)
        return replace(
            self,
            problems=self.problems.take(problems),
            profiles=self.profiles.take(participants),
            responses=Responses(n[keep], t[keep], self.responses.values_RD[keep]),
            weights_N=None if self.weights_N is None else self.weights_N[participants],
        )

    def split(self, by: str = "problem", fraction: float = 0.2, seed: int = 0, train_fraction: float = 1.0) -> Split:
        """Training and test parts; see `crowdllm.data.splits`."""
        return split_study(self, by, fraction, seed, train_fraction)

    def describe(self) -> str:
        """One line: N people, T problems, R responses."""
        return f"N={len(self.profiles)} T={len(self.problems)} R={len(self.responses)}"
