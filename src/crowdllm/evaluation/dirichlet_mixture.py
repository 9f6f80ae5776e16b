"""How true response distributions vary between problems, from a few answers to each: a Dirichlet mixture.

With eight answers to a problem its histogram is mostly noise. Empirical Bayes borrows from the other
problems: each problem's true shares theta_t come from a mixture of K Dirichlet distributions, its counts from
a multinomial,

    z_t ~ Categorical(w),  theta_t | z_t = k ~ Dirichlet(a_k),  c_t | theta_t ~ Multinomial(n_t, theta_t),

with w and a fitted by maximum marginal likelihood (EM; Minka's fixed point for the Dirichlet-multinomial,
"Estimating a Dirichlet distribution", 2000) and K the smallest at which BIC stops falling. Given the counts,
theta_t is again a mixture of Dirichlets, with a_k + c_t: exact posterior draws.

Where options are a problem's own (choice), a position means nothing across problems: the components are then
symmetric, a_k the same for every option the problem has, and only say how far problems are agreed upon.

Shapes: T problems, M levels or options, K components, U distinct rows of counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln, logsumexp

from crowdllm.errors import ConfigError
from crowdllm.responses.protocol import Array

SMALLEST, LARGEST = 1e-3, 1e4


@dataclass(frozen=True)
class DirichletMixture:
    """weight_K: (K,) adds up to 1. alpha_KM: (K, M) parameters, constant along M for symmetric components."""

    weight_K: Array
    alpha_KM: Array


def fit_dirichlet_mixture(
    counts_TM: Array,
    present_TM: NDArray[np.bool_] | None = None,
    symmetric: bool = False,
    max_components: int = 8,
    iterations: int = 200,
) -> DirichletMixture:
    """Empirical-Bayes prior of the problems' true shares, from their counts. Deterministic.

    present_TM: (T, M) which options each problem has; all by default. symmetric: see the module.
    Problems without answers say nothing and are ignored.

    Raises ConfigError where no problem has an answer.
    """
    present = np.ones(counts_TM.shape, dtype=bool) if present_TM is None else present_TM
    answered_T = counts_TM.sum(axis=1) > 0
    if not answered_T.any():
        raise ConfigError("no problem has a human response: there is nothing to estimate a distribution from")
    both = np.concatenate([counts_TM, present], axis=1)[answered_T]
    rows, times_U = np.unique(both, axis=0, return_counts=True)
    counts_UM, present_UM = rows[:, : counts_TM.shape[1]], rows[:, counts_TM.shape[1] :] > 0
    best, best_bic = None, np.inf
    for components in range(1, max_components + 1):
        start = _start(counts_UM, times_U, components, symmetric)
        mixture, log_likelihood = _em(start, counts_UM, present_UM, times_U, symmetric, iterations)
        size = components * (1 if symmetric else counts_TM.shape[1]) + components - 1
        bic = -2 * log_likelihood + size * np.log(times_U.sum())
        if best is not None and bic >= best_bic:
            break
        best, best_bic = mixture, bic
    assert best is not None
    return best


def draw_shares(
    mixture: DirichletMixture,
    counts_TM: Array,
    rng: np.random.Generator,
    present_TM: NDArray[np.bool_] | None = None,
) -> Array:
    """(T, M) one posterior draw of every problem's true shares; NaN for problems without answers."""
    present = np.ones(counts_TM.shape, dtype=bool) if present_TM is None else present_TM
    answered = np.flatnonzero(counts_TM.sum(axis=1) > 0)
    counts_AM, present_AM = counts_TM[answered], present[answered]
    log_AK = _log_marginal(mixture.alpha_KM, counts_AM, present_AM) + np.log(mixture.weight_K)
    share_AK = np.exp(log_AK - logsumexp(log_AK, axis=1, keepdims=True))
    above_AK = rng.random((len(answered), 1)) > np.cumsum(share_AK, axis=1)[:, :-1]
    alpha_AM = np.where(present_AM, mixture.alpha_KM[above_AK.sum(axis=1)] + counts_AM, 0.0)
    gamma_AM = rng.gamma(alpha_AM)
    out_TM = np.full(counts_TM.shape, np.nan)
    out_TM[answered] = gamma_AM / gamma_AM.sum(axis=1, keepdims=True)
    return out_TM


def _start(counts_UM: Array, times_U: NDArray[np.int64], components: int, symmetric: bool) -> DirichletMixture:
    """Ordered scales: components for low to high answers; symmetric: for agreed to divided problems."""
    width = counts_UM.shape[1]
    weight_K = np.full(components, 1 / components)
    if symmetric:
        concentration_K = np.geomspace(0.1, 10, components) if components > 1 else np.ones(1)
        return DirichletMixture(weight_K, np.repeat(concentration_K[:, None], width, axis=1))
    pooled_M = times_U @ counts_UM
    pooled_M = (pooled_M + 0.5) / (pooled_M + 0.5).sum()
    share_UM = (counts_UM + pooled_M) / (counts_UM.sum(axis=1, keepdims=True) + 1)
    order = np.argsort(share_UM @ np.arange(width), kind="stable")
    group_U = np.empty(len(order), dtype=np.int64)
    group_U[order] = np.minimum(np.cumsum(times_U[order]) * components // (times_U.sum() + 1), components - 1)
    alpha_KM = np.empty((components, width))
    for k in range(components):
        mine = group_U == k
        alpha_KM[k] = 5 * (np.average(share_UM[mine], axis=0, weights=times_U[mine]) if mine.any() else pooled_M)
    return DirichletMixture(weight_K, alpha_KM)


def _em(
    mixture: DirichletMixture,
    counts_UM: Array,
    present_UM: NDArray[np.bool_],
    times_U: NDArray[np.int64],
    symmetric: bool,
    iterations: int,
) -> tuple[DirichletMixture, float]:
    """EM from a start, until the log-likelihood (returned with the mixture) rises by less than 0.01."""
    weight_K, alpha_KM, last = mixture.weight_K, mixture.alpha_KM, -np.inf
    count_U1 = counts_UM.sum(axis=1, keepdims=True)
    for step in range(iterations):
        log_UK = _log_marginal(alpha_KM, counts_UM, present_UM) + np.log(weight_K)
        total_U = logsumexp(log_UK, axis=1)
        log_likelihood = float(times_U @ total_U)
        if log_likelihood - last < 0.01 or step == iterations - 1:
            break
        last = log_likelihood
        share_UK = np.exp(log_UK - total_U[:, None]) * times_U[:, None]
        for _ in range(2):
            per_cell_UKM = digamma(counts_UM[:, None] + alpha_KM) - digamma(alpha_KM)
            gain_KM = np.einsum("uk,ukm->km", share_UK, per_cell_UKM)
            total_UK = present_UM @ alpha_KM.T
            cost_UK = share_UK * (digamma(count_U1 + total_UK) - digamma(total_UK))
            cost_KM = cost_UK.T @ present_UM
            if symmetric:
                factor_KM = gain_KM.sum(axis=1, keepdims=True) / cost_KM.sum(axis=1, keepdims=True)
            else:
                factor_KM = gain_KM / np.maximum(cost_KM, 1e-300)
            alpha_KM = np.clip(alpha_KM * factor_KM, SMALLEST, LARGEST)
        weight_K = np.maximum(share_UK.sum(axis=0), 1e-9) / np.maximum(share_UK.sum(axis=0), 1e-9).sum()
    return DirichletMixture(weight_K, alpha_KM), log_likelihood


def _log_marginal(alpha_KM: Array, counts_UM: Array, present_UM: NDArray[np.bool_]) -> Array:
    """(U, K) log-probability of each row of counts (in a given order of answers) under each component."""
    total_UK = present_UM @ alpha_KM.T
    whole_UK = gammaln(total_UK) - gammaln(total_UK + counts_UM.sum(axis=1, keepdims=True))
    return whole_UK + (gammaln(counts_UM[:, None] + alpha_KM) - gammaln(alpha_KM)).sum(axis=2)
