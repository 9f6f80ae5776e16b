"""`crowdllm`: this project's default method (see `crowdllm.belief` for the model)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.config import CrowdConfig
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.methods.protocol import Array, Progress
from crowdllm.methods.twins import TwinSimulator, twin_posterior
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.reference import References
from crowdllm.simulation.decide import simulate_pairs
from crowdllm.simulation.predict import level_probabilities, log_scores


@dataclass(frozen=True)
class CrowdSimulator:
    """A fitted `CrowdModel` as a row of a comparison."""

    model: CrowdModel

    @property
    def generator(self) -> ProfileGenerator:
        return self.model.generator

    def simulate(
        self, problems: Problems, references: References | None, crowd: Profiles,
        participant_R: NDArray[np.int64], problem_R: NDArray[np.int64], seed: int,
    ) -> Array:  # fmt: skip
        items = self.model.make_items(problems, references)
        return simulate_pairs(self.model, items, crowd, participant_R, problem_R, seed)

    def knowing(
        self, problems: Problems, references: References | None, people: Profiles, known: Responses, seed: int
    ) -> TwinSimulator:
        """The digital twins of these people; the known answers may be to any problems, seen in training or not."""
        items = self.model.make_items(problems, references)
        return TwinSimulator(self.model, people.ids, twin_posterior(self.model, items, people, known))

    def level_probabilities(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        if self.model.response_type.kind not in ("ordinal", "choice"):
            return None
        return level_probabilities(self.model, self.model.make_items(problems, references), people, responses, seed)

    def log_scores(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        return log_scores(self.model, self.model.make_items(problems, references), people, responses, seed)


def fit(
    train: Study, references: References | None, embedding: str, seed: int, progress: Progress | None = None
) -> CrowdSimulator:
    return CrowdSimulator(fit_crowd(train, references, CrowdConfig(embedding=embedding), seed, progress))
