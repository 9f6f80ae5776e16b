"""How likely each human response was under the model, for the log score and CRPS of single people.

The participant's noise is integrated out over draws from its prior (or, for a person some of whose answers are
known, from its posterior): p(y | v_i) = mean over draws of p(y | v_i, eps).

Shapes: N participants, R pairs, J draws, Z belief width, M levels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.belief.items import Items
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.responses.protocol import as_torch
from crowdllm.rng import normals, stable_keys
from crowdllm.simulation.decide import pair_parameters

Array = NDArray[np.float64]


def log_scores(
    model: CrowdModel,
    items: Items,
    people: Profiles,
    responses: Responses,
    seed: int,
    noise_NJZ: Array | None = None,
) -> Array:
    """(R,) log predictive probability (density for continuous types) of each response, given profile and problem.

    noise_NJZ: draws of each person's noise eps_i where something is known of it (see `crowdllm.methods.twins`); from
    its prior when None.
    """
    noise_NJZ = prior_noise(model, people, seed) if noise_NJZ is None else noise_NJZ
    return _mixed(model, items, people, responses, noise_NJZ, [responses.values_RD])[:, 0]


def level_probabilities(
    model: CrowdModel,
    items: Items,
    people: Profiles,
    responses: Responses,
    seed: int,
    noise_NJZ: Array | None = None,
) -> Array:
    """(R, M) predictive probability of every level (ordinal) or option (choice) for each pair; noise as in the
    above."""
    levels = model.response_type.summary_width(items.item_TU.shape[1])
    values = [np.full((len(responses), 1), float(m)) for m in range(levels)]
    noise_NJZ = prior_noise(model, people, seed) if noise_NJZ is None else noise_NJZ
    shares = np.exp(_mixed(model, items, people, responses, noise_NJZ, values))
    return shares / shares.sum(axis=1, keepdims=True)


def prior_noise(model: CrowdModel, people: Profiles, seed: int, purpose: str = "predict") -> Array:
    """(N, J, Z) standard normal draws for each person, keyed by (seed, purpose, participant)."""
    draws, width = model.config.prediction_draws, model.config.belief_width
    keys = stable_keys(people.ids)
    noise = normals(seed, purpose, keys, np.zeros(len(keys), dtype=np.uint64), draws * max(width, 1))
    return noise.reshape(len(keys), draws, -1)[:, :, :width]


def _mixed(
    model: CrowdModel, items: Items, people: Profiles, responses: Responses, noise_NJZ: Array, values: list[Array]
) -> Array:
    loadings_IZ, base_TP, spread_T = model.item_terms(items)
    i, t = responses.participant_R, responses.problem_R
    draws = noise_NJZ.shape[1]
    counts = as_torch(items.option_counts[t].astype(np.float64)).long()
    scores = np.empty((draws, len(responses), len(values)))
    for j in range(draws):
        attitude = model.attitudes(people, noise_NJZ[:, j])[i]
        params = as_torch(pair_parameters(model, loadings_IZ, base_TP[t], spread_T[t], items.item_TU[t], attitude))
        for k, value in enumerate(values):
            scores[j, :, k] = model.response_type.log_prob(params, as_torch(value), counts).numpy()
    return logsumexp(scores, axis=0) - np.log(draws)
