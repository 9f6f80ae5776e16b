"""Decide given pairs: the response of each (participant, problem), as numbers, all at once or block by block.

    delta_it = beta_t . c_i            bilinear, parts computed once
    y_it ~ F(base_t shifted by delta_it)   with uniforms keyed by (seed, "response", participant, problem)

so a response depends on nothing but the model, the seed, the participant and the problem: not on the block size,
nor on who else is simulated (see `crowdllm.simulation.exact`). Every person on every problem in compact form, which is
quicker and smaller, is `crowdllm.simulation.grid.decide_grid`.

Shapes: B pairs in a block, U utilities, Z belief width, P parameters, D response width.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.belief.items import Items
from crowdllm.data.profiles import Profiles
from crowdllm.errors import ConfigError
from crowdllm.simulation.exact import shifted_parameters, values_of
from crowdllm.simulation.grid import decide_pairs
from crowdllm.simulation.terms import grid_terms, people_terms

BLOCK = 1 << 16
Array = NDArray[np.float64]


def simulate_pairs(
    model: CrowdModel,
    items: Items,
    crowd: Profiles,
    participant_R: NDArray[np.int64],
    problem_R: NDArray[np.int64],
    seed: int,
    noise_NZ: Array | None = None,
    block: int = BLOCK,
) -> Array:
    """(R, D) simulated responses of these pairs.

    noise_NZ: the participants' noise eps_i where it is known (digital twins); keyed standard normals when None.
    """
    if not len(participant_R):
        return np.zeros((0, model.response_type.width(items.item_TU.shape[1])))
    parts = list(decide_blocks(model, items, crowd, participant_R, problem_R, seed, noise_NZ, block))
    return np.concatenate(parts)


def decide_blocks(
    model: CrowdModel,
    items: Items,
    crowd: Profiles,
    participant_R: NDArray[np.int64],
    problem_R: NDArray[np.int64],
    seed: int,
    noise_NZ: Array | None = None,
    block: int = BLOCK,
) -> Iterator[Array]:
    """The same, block by block, for results that should not be held in memory at once."""
    if block < 1:
        raise ConfigError(f"the block size must be at least 1, not {block}")
    terms, people = grid_terms(model, items), people_terms(model, crowd, seed, noise_NZ)
    for start in range(0, len(participant_R), block):
        i, t = participant_R[start : start + block], problem_R[start : start + block]
        yield values_of(terms, decide_pairs(terms, people, i, t, seed))


def pair_parameters(
    model: CrowdModel,
    loadings_IZ: Array,
    base_BP: Array,
    spread_B: Array,
    item_BU: NDArray[np.int64],
    attitude_BZ: Array,
) -> Array:
    """(B, P) parameters of each pair's response distribution."""
    return shifted_parameters(model.response_type, loadings_IZ, base_BP, spread_B, item_BU, attitude_BZ)
