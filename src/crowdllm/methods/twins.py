"""Digital twins: the belief of a real person from some of that person's answers.

The encoder (`crowdllm.belief.posterior.laplace`) gives a normal q(eps_i | known answers) per person, which is N(0, I)
for a person without known answers. It takes the place of the prior in scores (which integrate over it) and in
simulation (one draw is one person who might have given these answers).

Shapes: N participants, Z belief width, R responses, U utilities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.belief.items import Items
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.errors import MismatchError
from crowdllm.methods.protocol import Array
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.reference import References
from crowdllm.responses.protocol import as_torch
from crowdllm.rng import normals, stable_keys
from crowdllm.simulation.decide import simulate_pairs
from crowdllm.simulation.predict import level_probabilities, log_scores

if TYPE_CHECKING:
    import torch

    from crowdllm.belief.posterior import Posterior

STEPS = 12


def twin_posterior(model: CrowdModel, items: Items, people: Profiles, known: Responses) -> Posterior:
    """q(eps_i | known answers) of each of these people: mean (N, Z) and factor of the covariance (N, Z, Z).

    known: answers of `people` (positions as in it) to the items' problems.
    """
    import torch

    from crowdllm.belief.posterior import laplace
    from crowdllm.belief.threads import one_thread

    start = torch.zeros(len(people), model.config.belief_width, dtype=torch.float64)
    with one_thread():
        return laplace(_log_lik(model, items, people, known), start, STEPS)


def _log_lik(
    model: CrowdModel, items: Items, people: Profiles, known: Responses
) -> Callable[[torch.Tensor], torch.Tensor]:
    """(N, Z) noise to the (N,) log-likelihood of each person's known answers."""
    import torch

    loadings_IZ, base_TP, spread_T = model.item_terms(items)
    part_NZ = as_torch(model.attitudes(people, np.zeros((len(people), model.config.belief_width))))
    i, t = torch.from_numpy(known.participant_R), known.problem_R
    item_RU = items.item_TU[t]
    loadings_RUZ = as_torch(np.where(item_RU[..., None] >= 0, loadings_IZ[np.maximum(item_RU, 0)], 0.0))
    base_RP, spread_R = as_torch(base_TP[t]), as_torch(spread_T[t])
    values_RD, counts_R = as_torch(known.values_RD), torch.from_numpy(items.option_counts[t])

    def log_lik(eps_NZ: torch.Tensor) -> torch.Tensor:
        shift_RU = torch.einsum("ruz,rz->ru", loadings_RUZ, (part_NZ + eps_NZ)[i])
        params = model.response_type.shifted(base_RP, shift_RU, spread_R)
        log_prob = model.response_type.log_prob(params, values_RD, counts_R)
        return torch.zeros(len(people), dtype=torch.float64).index_add(0, i, log_prob)

    return log_lik


def twin_noise(model: CrowdModel, items: Items, people: Profiles, known: Responses, seed: int) -> Array:
    """(N, Z) one draw of each person's noise given the known answers, for `simulate_pairs`; keyed by (seed, person)."""
    return _one_draw(twin_posterior(model, items, people, known), people, seed)


def _one_draw(posterior: Posterior, people: Profiles, seed: int) -> Array:
    keys = stable_keys(people.ids)
    width = posterior.mean_NZ.shape[1]
    noise = normals(seed, "twin", keys, np.zeros(len(keys), dtype=np.uint64), width)
    return np.asarray(posterior.draw(as_torch(noise)).numpy())


@dataclass(frozen=True)
class TwinSimulator:
    """A fitted crowd that knows some answers of the people it is asked about."""

    model: CrowdModel
    people: NDArray[np.object_]
    posterior: Posterior

    @property
    def generator(self) -> ProfileGenerator:
        return self.model.generator

    def _check(self, people: Profiles) -> None:
        if list(people.ids) != list(self.people):
            raise MismatchError("known answers are those of other people: pass the people they were given with")

    def simulate(
        self, problems: Problems, references: References | None, crowd: Profiles,
        participant_R: NDArray[np.int64], problem_R: NDArray[np.int64], seed: int,
    ) -> Array:  # fmt: skip
        self._check(crowd)
        items = self.model.make_items(problems, references)
        noise_NZ = _one_draw(self.posterior, crowd, seed)
        return simulate_pairs(self.model, items, crowd, participant_R, problem_R, seed, noise_NZ=noise_NZ)

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
        self._check(people)
        items = self.model.make_items(problems, references)
        return level_probabilities(self.model, items, people, responses, seed, self.posterior)

    def log_scores(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        self._check(people)
        items = self.model.make_items(problems, references)
        return log_scores(self.model, items, people, responses, seed, self.posterior)
