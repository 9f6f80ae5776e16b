"""What the decisions of a crowd are made from: all that depends on problems alone, and all that depends on people.

    delta_it = beta_t . c_i,     y_it ~ F(base_t widened by spread_t and shifted by delta_it)

beta_t, base_t and spread_t are `GridTerms`, computed once per problem; c_i is in `PeopleTerms`, computed once per
participant. What is left per pair is Z multiplications, keyed noise and a comparison (`crowdllm.simulation.grid`).

Shapes: N participants, T problems, I items, U utilities, Z belief width, P parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.belief.items import Items
from crowdllm.data.profiles import Profiles
from crowdllm.responses.protocol import ResponseType
from crowdllm.rng import stable_keys

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GridTerms:
    """T problems, as far as decisions depend on them.

    item_TU: each problem's rows of loadings_IZ, -1 where it has fewer options than the most.
    base_TP, spread_T: the population's response distribution and how much it is widened for one person.
    count_T: number of options (0 for scales). key_T: keys of the problems' ids, which the noise depends on.
    """

    response_type: ResponseType
    item_TU: NDArray[np.int64]
    loadings_IZ: Array
    base_TP: Array
    spread_T: Array
    count_T: NDArray[np.int64]
    key_T: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.key_T)

    @property
    def options(self) -> int:
        """The most options of a problem; 0 for scales."""
        return self.item_TU.shape[1] if self.response_type.has_options else 0

    @property
    def width(self) -> int:
        """D, the response width."""
        return self.response_type.width(self.options)

    @cached_property
    def reach_Z(self) -> Array:
        """(Z,) the largest size of a loading on each attitude."""
        reach_Z: Array = np.abs(self.loadings_IZ).max(axis=0, initial=0.0)
        return reach_Z

    @cached_property
    def reach(self) -> float:
        """The largest size of a base parameter, widened."""
        return float(np.abs(self.base_TP).max(initial=0.0)) * float(np.abs(self.spread_T).max(initial=1.0))

    def take(self, problems: slice | NDArray[np.int64]) -> GridTerms:
        """The terms of these problems, in this order; slices share memory."""
        return replace(
            self,
            item_TU=self.item_TU[problems],
            base_TP=self.base_TP[problems],
            spread_T=self.spread_T[problems],
            count_T=self.count_T[problems],
            key_T=self.key_T[problems],
        )


@dataclass(frozen=True)
class PeopleTerms:
    """N participants, as far as decisions depend on them: attitude_NZ is c_i, key_N the keys of their ids."""

    attitude_NZ: Array
    key_N: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.key_N)

    @cached_property
    def reach_Z(self) -> Array:
        """(Z,) the largest size of each attitude."""
        reach_Z: Array = np.abs(self.attitude_NZ).max(axis=0, initial=0.0)
        return reach_Z

    def take(self, people: slice | NDArray[np.int64]) -> PeopleTerms:
        """The terms of these people, in this order; slices share memory."""
        return PeopleTerms(self.attitude_NZ[people], self.key_N[people])


def grid_terms(model: CrowdModel, items: Items) -> GridTerms:
    """All that depends on the problems alone; each problem's terms are the same whatever other problems there are."""
    loadings_IZ, base_TP, spread_T = model.item_terms(items)
    return GridTerms(
        response_type=model.response_type,
        item_TU=items.item_TU,
        loadings_IZ=loadings_IZ,
        base_TP=base_TP,
        spread_T=spread_T,
        count_T=items.option_counts,
        key_T=stable_keys(items.problems.ids),
    )


def people_terms(model: CrowdModel, people: Profiles, seed: int, noise_NZ: Array | None = None) -> PeopleTerms:
    """All that depends on the participants alone; each one's terms are the same whoever else there is.

    noise_NZ: the participants' noise eps_i where it is known (digital twins); keyed standard normals when None.
    """
    noise_NZ = model.participant_noise(people, seed) if noise_NZ is None else noise_NZ
    return PeopleTerms(model.attitudes(people, noise_NZ), stable_keys(people.ids))
