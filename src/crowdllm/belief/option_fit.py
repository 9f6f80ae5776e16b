"""The population's utilities where few problems have many options: what is learned about one option from the others.

One ballot over 24 projects is one problem, so no problem can be held out; but options can. Each option's utility u is
estimated freely (with its error) from the answers, and is then a noisy sight of

    u_j = prior_j + w'f_j + r_j + constant,    w ~ N(0, diag(1/penalties)),   r_j ~ N(0, v),

a Gaussian regression whose leave-one-option-out densities are closed forms. Candidates are penalties, whether the
reference's own shares are the prior, and the variance v of what no feature says; they are weighed as in `averaging`, by
these densities. Without v, hundreds of answers to two dozen options would look like hundreds of observations of the
features, and unseen options would be predicted by coincidences.

Shapes: I items (options of all problems), F features, C candidates.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.averaging import average_weights, describe, make_candidates
from crowdllm.belief.counted import Answers
from crowdllm.belief.population_fit import Candidate, Parameters, PopulationFitter
from crowdllm.config import CrowdConfig
from crowdllm.responses.protocol import Array
from crowdllm.rng import generator

LEAST_OPTIONS, MOST_OPTIONS = 6, 400
LOOSE = 25.0  # prior variance of freely estimated utilities
FLAT = 1e3  # prior variance of a problem's constant, which no choice depends on
VARIANCES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


class Sights(NamedTuple):
    """Free estimates of the answered options' utilities: rows of items, their problem, the estimates and covariance."""

    row_I: NDArray[np.int64]
    problem_I: NDArray[np.int64]
    u_I: Array
    error_II: Array


def applies(fitter: PopulationFitter, answers: Answers, config: CrowdConfig) -> bool:
    """Whether there are too few problems to hold any out, and enough options to hold out instead."""
    if not fitter.type.has_options:
        return False
    problems = np.unique(answers.problem_B)
    options = int((fitter.item_TU[problems] >= 0).sum())
    return len(problems) < config.min_problems_to_tune and LEAST_OPTIONS <= options - len(problems) <= MOST_OPTIONS


def fit_by_options(
    fitter: PopulationFitter, answers: Answers, config: CrowdConfig, seed: int
) -> tuple[Parameters, dict[str, Any]]:
    """The averaged parameters, and what was tuned, for the record."""
    candidates = make_candidates(fitter, config)
    plain = fitter.fit(answers, candidates[0])  # extras: numbers of picks, concentration
    sights = see(fitter, answers, plain)
    scores_CI, means_CF, names = [], [], []
    for candidate in candidates:
        for variance in VARIANCES:
            score_I, weights_F = weigh(fitter, sights, candidate, variance)
            scores_CI.append(score_I)
            means_CF.append(weights_F)
            names.append((candidate, variance))
    share = average_weights(np.array(scores_CI), generator(seed, "population:bootstrap"))
    weights = np.einsum("c,cfw->fw", share, np.array(means_CF))
    best, variance = names[int(np.argmax(share))]
    of_prior = sum(s for s, (candidate, _) in zip(share, names, strict=True) if candidate.prior)
    tuned = describe(best, float(share.max())) | {
        "unexplained_variance": variance,
        "weight_of_reference_prior": round(float(of_prior), 4),
        "held_out_log_score": {},
    }
    return Parameters(weights, np.zeros(fitter.item_width), plain.extras), tuned


def see(fitter: PopulationFitter, answers: Answers, plain: Parameters) -> Sights:
    """Free utilities of the answered options, by penalised maximum likelihood, with the inverse Hessian as error."""
    import torch

    flat = Parameters(np.zeros_like(plain.weights_FW), np.zeros_like(plain.intercept_W), plain.extras)
    u_IW = fitter.effects(answers, flat, LOOSE)
    rows, log_lik = fitter.on(answers)
    extras, nobody = torch.from_numpy(plain.extras), torch.zeros(0, dtype=torch.float64)
    at = torch.from_numpy(u_IW[rows.numpy()])
    hessian = torch.autograd.functional.hessian(lambda u: -log_lik(u, extras, nobody), at)
    size = len(rows)
    precision = np.asarray(hessian).reshape(size, size) + np.eye(size) / LOOSE
    problem = np.zeros(len(u_IW), dtype=np.int64)
    item_TU = fitter.item_TU
    for t, row in enumerate(item_TU):
        problem[row[row >= 0]] = t
    chosen = rows.numpy()
    error: Array = np.linalg.inv((precision + precision.T) / 2).astype(np.float64)
    return Sights(chosen, problem[chosen], u_IW[chosen, 0], error)


def weigh(fitter: PopulationFitter, sights: Sights, candidate: Candidate, variance: float) -> tuple[Array, Array]:
    """(I,) leave-one-out log densities of the options' free utilities, and the (F, Wi) posterior mean of the weights.

    Rasmussen and Williams (2006), equations 5.10-5.12.
    """
    f_IF = fitter.features.numpy()[sights.row_I]
    prior_FW = np.zeros((f_IF.shape[1], fitter.item_width))
    if candidate.prior and fitter.prior is not None:
        prior_FW = fitter.prior.weights_FW
    few = np.arange(f_IF.shape[1]) < fitter.few_width
    spread_F = 1 / np.where(few, candidate.reference, candidate.embedding)
    same_II = sights.problem_I[:, None] == sights.problem_I
    noise = sights.error_II + variance * np.eye(len(same_II)) + FLAT * same_II
    inverse = np.linalg.inv((f_IF * spread_F) @ f_IF.T + noise)
    rest_I = sights.u_I - f_IF @ prior_FW[:, 0]
    pull_I, own_I = inverse @ rest_I, np.diag(inverse)
    score_I = 0.5 * (np.log(own_I) - pull_I**2 / own_I - np.log(2 * np.pi))
    weights = prior_FW.copy()
    weights[:, 0] += spread_F * (f_IF.T @ pull_I)
    return score_I, weights
