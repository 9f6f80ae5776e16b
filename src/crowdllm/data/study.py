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
        )

    def split(self, by: str = "problem", fraction: float = 0.2, seed: int = 0, train_fraction: float = 1.0) -> Split:
        """Training and test parts; see `crowdllm.data.splits`."""
        return split_study(self, by, fraction, seed, train_fraction)

    def describe(self) -> str:
        """One line: N people, T problems, R responses."""
        return f"N={len(self.profiles)} T={len(self.problems)} R={len(self.responses)}"
