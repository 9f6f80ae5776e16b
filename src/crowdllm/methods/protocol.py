"""What every row of a comparison can do once it is fitted: simulate responses, and say how likely a response was.

Shapes: T problems, N participants, R pairs, D response width, M levels or options.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.reference import References

Array = NDArray[np.float64]
Progress = Callable[[str, int, int], None]


class Simulator(Protocol):
    """A fitted method."""

    @property
    def generator(self) -> ProfileGenerator | None:
        """Recruits this method's participants; None where profiles play no part."""
        ...

    def simulate(
        self, problems: Problems, references: References | None, crowd: Profiles,
        participant_R: NDArray[np.int64], problem_R: NDArray[np.int64], seed: int,
    ) -> Array:  # fmt: skip
        """(R, D) responses; a row of NaN where the method has no answer for a problem."""
        ...

    def level_probabilities(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        """(R, M) probability of every level for each pair's person; None where the type or method has none."""
        ...

    def log_scores(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        """(R,) log probability of each response; None where the method gives none."""
        ...


@runtime_checkable
class KnowsAnswers(Protocol):
    """A fitted method that can use some answers of the people it is asked about: their digital twins."""

    def knowing(
        self, problems: Problems, references: References | None, people: Profiles, known: Responses, seed: int
    ) -> Simulator:
        """The same method for exactly these people, in this order, given their answers `known` to some problems."""
        ...


def log_given(shares_RM: Array | None, responses: Responses) -> Array | None:
    """(R,) log of the probability that each row of shares gives to the response made; None for None."""
    if shares_RM is None:
        return None
    return np.asarray(np.log(shares_RM[np.arange(len(responses)), responses.values_RD[:, 0].astype(np.int64)]))


class Fit(Protocol):
    """The function registered for a method."""

    def __call__(
        self,
        train: Study,
        references: References | None,
        embedding: str,
        seed: int,
        progress: Progress | None = None,
    ) -> Simulator: ...
