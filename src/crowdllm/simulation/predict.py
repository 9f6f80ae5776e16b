"""How likely each human response was under the model, for the log score and CRPS of single people.

The participant's noise is integrated out, over its prior or, for a person some of whose answers are known, over its
posterior: p(y | v_i) = E p(y | v_i, eps). On ordinal scales the integral is exact: a level is the interval of a normal
variable, to which the noise adds its variance. Elsewhere it is the mean over J draws of the noise, whose
logarithm is too low by half the draws' relative variance over J.

Shapes: N participants, R pairs, J draws, Z belief width, M levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.belief.items import Items
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import as_torch
from crowdllm.rng import normals, stable_keys
from crowdllm.simulation.decide import pair_parameters

if TYPE_CHECKING:
    from crowdllm.belief.posterior import Posterior

Array = NDArray[np.float64]
LEAST = 1e-12  # of a level's probability, as in `Ordinal.log_prob`


def log_scores(
    model: CrowdModel,
    items: Items,
    people: Profiles,
    responses: Responses,
    seed: int,
    posterior: Posterior | None = None,
) -> Array:
    """(R,) log predictive probability (density for continuous types) of each response, given profile and problem.

    posterior: of each person's noise eps_i where something is known of it (see `crowdllm.methods.twins`); its prior
    when None. seed: of the draws, where there are any.
    """
    if isinstance(model.response_type, Ordinal):
        shares_RM = _exact_shares(model, model.response_type, items, people, responses, posterior)
        level_R = responses.values_RD[:, 0].astype(np.int64)
        return np.asarray(np.log(np.maximum(shares_RM[np.arange(len(level_R)), level_R], LEAST)))
    noise_NJZ = noise_draws(model, people, seed, posterior)
    return _mixed(model, items, people, responses, noise_NJZ, [responses.values_RD])[:, 0]


def level_probabilities(
    model: CrowdModel,
    items: Items,
    people: Profiles,
    responses: Responses,
    seed: int,
    posterior: Posterior | None = None,
) -> Array:
    """(R, M) predictive probability of every level (ordinal) or option (choice) for each pair; noise as in the
    above."""
    if isinstance(model.response_type, Ordinal):
        return _exact_shares(model, model.response_type, items, people, responses, posterior)
    levels = model.response_type.summary_width(items.item_TU.shape[1])
    values = [np.full((len(responses), 1), float(m)) for m in range(levels)]
    shares = np.exp(_mixed(model, items, people, responses, noise_draws(model, people, seed, posterior), values))
    return shares / shares.sum(axis=1, keepdims=True)


def noise_draws(model: CrowdModel, people: Profiles, seed: int, posterior: Posterior | None = None) -> Array:
    """(N, J, Z) draws of each person's noise from its prior or posterior, keyed by (seed, which of both,
    participant)."""
    draws, width = model.config.prediction_draws, model.config.belief_width
    keys = stable_keys(people.ids)
    purpose = "predict" if posterior is None else "twins"
    noise = normals(seed, purpose, keys, np.zeros(len(keys), dtype=np.uint64), draws * max(width, 1))
    standard_NJZ = noise.reshape(len(keys), draws, -1)[:, :, :width]
    if posterior is None:
        return standard_NJZ
    return np.stack([posterior.draw(as_torch(standard_NJZ[:, j])).numpy() for j in range(draws)], axis=1)


def _exact_shares(
    model: CrowdModel, kind: Ordinal, items: Items, people: Profiles, responses: Responses, posterior: Posterior | None
) -> Array:
    """(R, M) E Phi(cut - loading' eps) = Phi((cut - loading' mean) / sqrt(1 + loading' covariance loading))."""
    loadings_IZ, base_TP, spread_T = model.item_terms(items)
    i, t = responses.participant_R, responses.problem_R
    beta_RZ = loadings_IZ[items.item_TU[t, 0]]
    if posterior is None:
        mean_NZ, along_RZ = np.zeros((len(people), model.config.belief_width)), beta_RZ
    else:
        mean_NZ = posterior.mean_NZ.numpy()
        along_RZ = np.einsum("rz,rzy->ry", beta_RZ, posterior.factor_NZZ.numpy()[i])
    attitude_RZ = model.attitudes(people, mean_NZ)[i]
    cuts_RP = pair_parameters(model, loadings_IZ, base_TP[t], spread_T[t], items.item_TU[t], attitude_RZ)
    width_R1 = np.sqrt(1 + (along_RZ**2).sum(axis=1, keepdims=True))
    return np.asarray(kind.probabilities(as_torch(cuts_RP / width_R1)).numpy())


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
