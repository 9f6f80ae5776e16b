"""log p(y_it | eps_i) under the current parameters, its sum over batches of people, and what the encoder makes of it.

Shapes: B answers of a batch, G people of a batch, N people, I items, T problems, U utilities, Z belief width.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from crowdllm.belief.batches import Batch
from crowdllm.belief.items import Items
from crowdllm.belief.personal import PersonalModel, profile_spread, shift_and_spread, spreads
from crowdllm.belief.population import PopulationModel
from crowdllm.belief.population_fit import assemble
from crowdllm.belief.posterior import Posterior, laplace, newton
from crowdllm.belief.slopes import Cells, OrdinalTotal, derivatives, slopes
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType


class Likelihood:
    """The likelihood for one set of items and people.

    own_row_I: row of each item among the training items, -1 for those treated as new. effects: whether the items have
    their own effects on the population's distribution. weight_N: the people's survey weights, by which their profiles
    spread as the population's do. A person's own posterior knows no weights: the answers are all that person's.
    """

    def __init__(
        self, model: PersonalModel, population: PopulationModel, items: Items, v_NV: torch.Tensor,
        response_type: ResponseType, own_row_I: NDArray[np.int64], effects: bool | NDArray[np.bool_] = True,
        weight_N: NDArray[np.float64] | None = None,
    ) -> None:  # fmt: skip
        self.model, self.type, self.v_NV = model, response_type, v_NV
        self.spread_VV = profile_spread(v_NV, weight_N)
        self.features = torch.from_numpy(population.features(items))
        self.own_row = torch.from_numpy(own_row_I)
        raw = population.item_raw(items, effects=bool(np.any(effects)))
        if isinstance(effects, np.ndarray):
            raw = np.where(effects[:, None], raw, population.item_raw(items, effects=False))
        self.raw = torch.from_numpy(raw)
        self.extras = torch.from_numpy(population.extras)
        self.item_TU = torch.from_numpy(items.item_TU)

    def refresh(self, people: torch.Tensor) -> None:
        """Compute what depends on items alone or on these people alone, once for many evaluations."""
        self.loadings = self.model.loadings(self.features, self.own_row)
        self.part = self.model.profile_part(self.v_NV[people])
        self.covariance = self.model.covariance_of(self.spread_VV)
        raw = assemble(self.model.item_raw(self.raw, self.own_row), self.extras, self.item_TU, self.type.has_options)
        self.base = self.type.base(raw)

    def __call__(self, batch: Batch, eps_GZ: torch.Tensor) -> torch.Tensor:
        """(B,) log-likelihood of each response."""
        attitude = (self.part + eps_GZ)[batch.participant]
        shift, spread = shift_and_spread(self.loadings, self.covariance, batch.item_BU, attitude)
        params = self.type.shifted(self.base[batch.problem], shift, spread)
        return self.type.log_prob(params, batch.values, batch.counts)

    def total(self, batch: Batch, eps_GZ: torch.Tensor) -> torch.Tensor:
        """() log-likelihood of the batch, answers by their survey weights, for gradient steps."""
        if not isinstance(self.type, Ordinal):
            return batch.total(self(batch, eps_GZ))
        spread_I = spreads(self.loadings, self.covariance)
        cells = Cells.of(self.base[batch.problem], batch.values)
        item_B = batch.item_BU[:, 0]
        total: torch.Tensor = OrdinalTotal.apply(
            self.loadings, self.part + eps_GZ, spread_I, cells, batch.by_person, batch.participant, item_B,
            batch.weights,
        )  # fmt: skip
        return total

    def posterior(self, batch: Batch, start_GZ: torch.Tensor, steps: int) -> Posterior:
        """The encoder's answer for the batch's people; `refresh` comes first, without gradients."""
        width = start_GZ.shape[1]
        if not len(batch):  # nothing to differentiate
            nothing = torch.zeros_like(start_GZ), torch.eye(width, dtype=torch.float64).expand(len(start_GZ), -1, -1)
            return newton(lambda _: nothing, start_GZ, steps)
        if self.type.has_options or not width:
            return laplace(self._per_person(batch), start_GZ, steps)
        _, spread_B = shift_and_spread(self.loadings, self.covariance, batch.item_BU, self.part[batch.participant])
        slopes_of = slopes(self.type, self.base[batch.problem], spread_B, batch.values)
        beta_BZ = self.loadings[batch.item_BU[:, 0]]

        def at(eps_GZ: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            shift_B = torch.einsum("bz,bz->b", beta_BZ, (self.part + eps_GZ)[batch.participant])
            return derivatives(slopes_of, batch.by_person, self.loadings, shift_B)

        return newton(at, start_GZ, steps)

    def _per_person(self, batch: Batch) -> Callable[[torch.Tensor], torch.Tensor]:
        """The function of (G, Z) noise that the encoder maximises."""
        people = len(batch.people)

        def log_lik(eps_GZ: torch.Tensor) -> torch.Tensor:
            return torch.zeros(people, dtype=torch.float64).index_add(0, batch.participant, self(batch, eps_GZ))

        return log_lik
