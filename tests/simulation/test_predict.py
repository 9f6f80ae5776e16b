"""How likely single responses were: the noise integrated out, and probabilities that are probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from crowdllm.belief.crowd_model import fit_crowd
from crowdllm.belief.posterior import Posterior
from crowdllm.data.profiles import Profiles
from crowdllm.responses.protocol import as_torch
from crowdllm.simulation.predict import level_probabilities, log_scores, noise_draws

Known = Callable[..., Any]


@pytest.mark.parametrize("kind", ["ordinal", "choice"])
def test_level_probabilities_add_up_and_agree_with_the_log_scores(
    kind: str, make_known: Known, fast_config: Known
) -> None:
    study = make_known(kind, people=30, problems=6).study
    model = fit_crowd(study, None, fast_config(), 0)
    shares = level_probabilities(model, model.items, study.profiles, study.responses, 0)
    scores = log_scores(model, model.items, study.profiles, study.responses, 0)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (shares >= 0).all()
    given = study.responses.values_RD[:, 0].astype(int)
    np.testing.assert_allclose(np.log(shares[np.arange(len(given)), given]), scores, atol=1e-9)


def test_options_that_a_problem_does_not_have_get_probability_zero(make_known: Known, fast_config: Known) -> None:
    study = make_known("choice", people=30, problems=6).study
    model = fit_crowd(study, None, fast_config(), 0)
    shares = level_probabilities(model, model.items, study.profiles, study.responses, 0)
    absent = np.arange(5) >= study.problems.option_counts[study.responses.problem_R][:, None]
    assert absent.any()
    assert not shares[absent].any()


def test_without_differences_between_people_scores_are_the_populations(make_known: Known, fast_config: Known) -> None:
    study = make_known("ordinal", people=30, problems=6).study
    model = fit_crowd(study, None, fast_config(belief_width=0), 0)
    share_TM = torch.softmax(torch.from_numpy(model.population.item_raw(model.items)), dim=-1).numpy()
    given = study.responses.values_RD[:, 0].astype(int)
    scores = log_scores(model, model.items, study.profiles, study.responses, 0)
    np.testing.assert_allclose(scores, np.log(share_TM[study.responses.problem_R, given]), atol=1e-4)


def test_scores_integrate_over_the_noise_of_the_person(make_known: Known, fast_config: Known) -> None:
    """One latent attitude: the exact integral against Gauss-Hermite quadrature over it."""
    known = make_known("ordinal", people=60, problems=6, strength=2.0)
    ids = known.study.profiles.ids
    study = replace(known.study, profiles=Profiles((), ids, np.zeros((60, 0))))
    model = fit_crowd(study, None, fast_config(belief_width=1, max_epochs=15), 0)
    loadings, base, spread = model.item_terms(model.items)
    assert np.abs(loadings).max() > 0.5
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    t = study.responses.problem_R
    total = np.zeros(len(t))
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        shift, spread_R = as_torch(loadings[t] * node), as_torch(spread[t])
        params = model.response_type.shifted(as_torch(base[t]), shift, spread_R)
        counts = torch.zeros(len(t), dtype=torch.int64)
        log_prob = model.response_type.log_prob(params, as_torch(study.responses.values_RD), counts)
        total += weight * log_prob.exp().numpy()
    scores = log_scores(model, model.items, study.profiles, study.responses, 0)
    np.testing.assert_allclose(np.exp(scores), total, atol=1e-6)


def test_scores_do_not_depend_on_who_else_is_scored(make_known: Known, fast_config: Known) -> None:
    study = make_known("ordinal", people=20, problems=5).study
    model = fit_crowd(study, None, fast_config(), 0)
    whole = log_scores(model, model.items, study.profiles, study.responses, 0)
    mine = study.responses.participant_R == 7
    alone = study.subset(np.arange(5), np.array([7]))
    np.testing.assert_allclose(log_scores(model, model.items, alone.profiles, alone.responses, 0), whole[mine])


def test_a_posterior_takes_the_place_of_the_prior(make_known: Known, fast_config: Known) -> None:
    """Ordinal scales: exact, so the standard normal posterior is the prior, and a sure one is a single draw."""
    study = make_known("ordinal", people=20, problems=5).study
    model = fit_crowd(study, None, fast_config(), 0)
    arguments = (model, model.items, study.profiles, study.responses, 0)
    width = model.config.belief_width
    zero, one = torch.zeros(20, width, dtype=torch.float64), torch.eye(width, dtype=torch.float64).repeat(20, 1, 1)
    standard = Posterior(zero, one, torch.zeros(20, dtype=torch.float64))
    np.testing.assert_allclose(log_scores(*arguments, standard), log_scores(*arguments), atol=1e-12)
    sure = Posterior(zero + 1.5, 1e-9 * one, torch.zeros(20, dtype=torch.float64))
    i, t = study.responses.participant_R, study.responses.problem_R
    loadings, base, spread = model.item_terms(model.items)
    attitude = model.attitudes(study.profiles, zero.numpy() + 1.5)[i]
    cuts = base[t] * spread[t][:, None] - (loadings[t] * attitude).sum(axis=1, keepdims=True)
    shares = model.response_type.probabilities(as_torch(cuts)).numpy()
    np.testing.assert_allclose(level_probabilities(*arguments, sure), shares, atol=1e-7)
    assert np.abs(log_scores(*arguments, sure) - log_scores(*arguments)).max() > 0.01


def test_options_are_averaged_over_draws_of_the_posterior(make_known: Known, fast_config: Known) -> None:
    study = make_known("choice", people=20, problems=5).study
    model = fit_crowd(study, None, fast_config(prediction_draws=2), 0)
    width = model.config.belief_width
    zero, one = torch.zeros(20, width, dtype=torch.float64), torch.eye(width, dtype=torch.float64).repeat(20, 1, 1)
    posterior = Posterior(zero + 0.5, 0.5 * one, torch.zeros(20, dtype=torch.float64))
    noise_NJZ = noise_draws(model, study.profiles, 7, posterior)
    assert noise_NJZ.shape == (20, 2, width)
    arguments = (model, model.items, study.profiles, study.responses, 7)
    each = []
    for j in range(2):
        sure = Posterior(as_torch(noise_NJZ[:, j]), 1e-12 * one, torch.zeros(20, dtype=torch.float64))
        each.append(np.exp(log_scores(*arguments, sure)))
    np.testing.assert_allclose(np.exp(log_scores(*arguments, posterior)), np.mean(each, axis=0), atol=1e-6)
