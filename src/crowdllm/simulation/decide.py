"""Decide: the response of each (participant, problem) pair, from their parts and keyed noise.

    delta_it = beta_t . c_i            bilinear, parts computed once
    y_it ~ F(base_t shifted by delta_it)   with uniforms keyed by (seed, "response", participant, problem)

so a response depends on nothing but the model, the seed, the participant and the problem: not on the block size,
nor on who else is simulated. One blender draw per response (J = 1): the mean over J = 10 draws that the paper takes
shrinks the diversity of the crowd.

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
from crowdllm.responses.protocol import as_torch
from crowdllm.rng import stable_keys, uniforms

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
    noise_NZ = model.participant_noise(crowd, seed) if noise_NZ is None else noise_NZ
    attitude_NZ = model.attitudes(crowd, noise_NZ)
    loadings_IZ, base_TP, spread_T = model.item_terms(items)
    person_N, problem_T = stable_keys(crowd.ids), stable_keys(items.problems.ids)
    counts_T = items.option_counts
    width = model.response_type.noise_width(items.item_TU.shape[1])
    for start in range(0, len(participant_R), block):
        i, t = participant_R[start : start + block], problem_R[start : start + block]
        params = pair_parameters(model, loadings_IZ, base_TP[t], spread_T[t], items.item_TU[t], attitude_NZ[i])
        noise = uniforms(seed, "response", person_N[i], problem_T[t], width)
        yield model.response_type.sample(params, noise, counts_T[t])


def pair_parameters(
    model: CrowdModel,
    loadings_IZ: Array,
    base_BP: Array,
    spread_B: Array,
    item_BU: NDArray[np.int64],
    attitude_BZ: Array,
) -> Array:
    """(B, P) parameters of each pair's response distribution; summed over Z in a fixed order."""
    shift_BU = np.zeros(item_BU.shape)
    for z in range(attitude_BZ.shape[1]):
        shift_BU += loadings_IZ[np.maximum(item_BU, 0), z] * attitude_BZ[:, z : z + 1]
    shift_BU[item_BU < 0] = 0.0
    shifted = model.response_type.shifted(as_torch(base_BP), as_torch(shift_BU), as_torch(spread_B))
    return shifted.numpy()
