"""Digital twins: the posterior of a person's noise, and what is predicted with it, against numerical integration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.methods import twins as twins_module
from crowdllm.methods.crowdllm import CrowdSimulator
from crowdllm.methods.twins import twin_noise, twin_posterior
from crowdllm.responses.protocol import as_torch

Known = Callable[..., Any]
Array = NDArray[np.float64]


@pytest.fixture(scope="module", name="fitted")
def _fitted(make_known: Known, fast_config: Known) -> tuple[CrowdModel, Study]:
    """One latent attitude that moves answers a lot, and no profiles."""
    known = make_known("ordinal", people=80, problems=8, strength=2.0, seed=3)
    study = replace(known.study, profiles=Profiles((), known.study.profiles.ids, np.zeros((80, 0))))
    model = fit_crowd(study, None, fast_config(belief_width=1, max_epochs=15, prediction_draws=4000), 0)
    assert np.abs(model.item_terms(model.items)[0]).max() > 0.5
    return model, study


def likelihood(model: CrowdModel, responses: Responses, noise: float) -> Array:
    """(R,) probability of each response for somebody with this noise, straight from the response type."""
    loadings, base, spread = model.item_terms(model.items)
    t = responses.problem_R
    params = model.response_type.shifted(as_torch(base[t]), as_torch(loadings[t] * noise), as_torch(spread[t]))
    counts = torch.zeros(len(t), dtype=torch.int64)
    return np.asarray(model.response_type.log_prob(params, as_torch(responses.values_RD), counts).exp())


def halves(study: Study, known: int) -> tuple[Responses, Responses]:
    """The answers to the first problems, and to the others."""
    first = study.responses.problem_R < known
    return study.responses.take(first), study.responses.take(~first)


def integrated(model: CrowdModel, study: Study, known: Responses, asked: Responses) -> tuple[Array, Array, Array]:
    """Posterior mean and SD of each person's noise, and p(asked | known), on a fine grid."""
    grid = np.linspace(-6, 6, 481)
    log_post = np.tile(-0.5 * grid**2, (len(study.profiles), 1))
    for k, noise in enumerate(grid):
        np.add.at(log_post[:, k], known.participant_R, np.log(likelihood(model, known, noise)))
    weight = np.exp(log_post - log_post.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    mean = weight @ grid
    sd = np.sqrt(weight @ grid**2 - mean**2)
    p = np.stack([likelihood(model, asked, noise) for noise in grid], axis=1)
    return mean, sd, (weight[asked.participant_R] * p).sum(axis=1)


def test_the_posterior_is_that_of_the_known_answers(fitted: tuple[CrowdModel, Study]) -> None:
    model, study = fitted
    known, asked = halves(study, 5)
    mean, sd, _ = integrated(model, study, known, asked)
    posterior = twin_posterior(model, model.items, study.profiles, known)
    np.testing.assert_allclose(posterior.mean_NZ[:, 0], mean, atol=0.15)
    np.testing.assert_allclose(posterior.factor_NZZ[:, 0, 0].abs(), sd, rtol=0.15)
    assert sd.max() < 0.95, "the answers say something about everybody"


def test_scores_of_other_answers_are_integrated_over_it(fitted: tuple[CrowdModel, Study]) -> None:
    model, study = fitted
    known, asked = halves(study, 5)
    _, _, expected = integrated(model, study, known, asked)
    twins = CrowdSimulator(model).knowing(study.problems, None, study.profiles, known, 0)
    scores = twins.log_scores(study.problems, None, study.profiles, asked, 0)
    assert scores is not None
    np.testing.assert_allclose(np.exp(scores), expected, atol=0.04)
    alone = CrowdSimulator(model).log_scores(study.problems, None, study.profiles, asked, 0)
    assert alone is not None
    assert scores.mean() > alone.mean() + 0.05


def test_level_probabilities_agree_with_the_scores(fitted: tuple[CrowdModel, Study]) -> None:
    model, study = fitted
    known, asked = halves(study, 5)
    twins = CrowdSimulator(model).knowing(study.problems, None, study.profiles, known, 0)
    arguments = (study.problems, None, study.profiles, asked, 0)
    shares, scores = twins.level_probabilities(*arguments), twins.log_scores(*arguments)
    assert shares is not None
    assert scores is not None
    given = asked.values_RD[:, 0].astype(int)
    np.testing.assert_allclose(np.log(shares[np.arange(len(given)), given]), scores, atol=1e-9)


def test_people_without_known_answers_have_the_prior(fitted: tuple[CrowdModel, Study]) -> None:
    model, study = fitted
    one = study.responses.take(study.responses.participant_R == 3)
    posterior = twin_posterior(model, model.items, study.profiles, one)
    others = np.arange(80) != 3
    np.testing.assert_array_equal(posterior.mean_NZ[others], 0)
    np.testing.assert_array_equal(posterior.factor_NZZ[others], 1)
    assert posterior.factor_NZZ[3, 0, 0].abs() < 0.9


def test_one_draw_has_the_posteriors_mean_and_spread_and_depends_on_nobody_else(
    fitted: tuple[CrowdModel, Study],
) -> None:
    model, study = fitted
    known, _ = halves(study, 5)
    posterior = twin_posterior(model, model.items, study.profiles, known)
    draws = np.stack([twins_module._one_draw(posterior, study.profiles, seed) for seed in range(300)])
    np.testing.assert_array_equal(twin_noise(model, model.items, study.profiles, known, 4), draws[4])
    standard = (draws - posterior.mean_NZ.numpy()) / posterior.factor_NZZ[:, 0].numpy()
    assert standard.mean() == pytest.approx(0, abs=0.03)  # 24,000 draws: 4 SE
    assert standard.std() == pytest.approx(1, abs=0.02)
    part = study.subset(np.arange(8), np.array([7, 20]))
    known_part = part.responses.take(part.responses.problem_R < 5)
    alone = twin_noise(model, model.items, part.profiles, known_part, 4)
    np.testing.assert_allclose(alone, draws[4][[7, 20]], atol=1e-9)


def test_simulated_twins_answer_the_known_problems_much_as_they_did(fitted: tuple[CrowdModel, Study]) -> None:
    model, study = fitted
    simulator = CrowdSimulator(model)
    twins = simulator.knowing(study.problems, None, study.profiles, study.responses, 0)
    i, t = study.responses.participant_R, study.responses.problem_R
    errors = [
        np.abs(s.simulate(study.problems, None, study.profiles, i, t, 0) - study.responses.values_RD).mean()
        for s in (twins, simulator)
    ]
    assert errors[0] < 0.85 * errors[1]


@pytest.mark.slow
def test_twins_of_ballots_pick_what_goes_with_the_known_ballots(make_known: Known, fast_config: Known) -> None:
    study = make_known("ballot", people=200, problems=6, strength=2.5, seed=1).study
    model = fit_crowd(study, None, fast_config(max_epochs=20), 0)
    known, asked = halves(study, 4)
    simulator = CrowdSimulator(model)
    arguments = (study.problems, None, study.profiles, asked, 0)
    told = simulator.knowing(study.problems, None, study.profiles, known, 0).log_scores(*arguments)
    alone = simulator.log_scores(*arguments)
    assert told is not None
    assert alone is not None
    assert told.mean() > alone.mean() + 0.05


def test_twins_are_of_those_people_alone(fitted: tuple[CrowdModel, Study]) -> None:
    model, study = fitted
    known, asked = halves(study, 5)
    twins = CrowdSimulator(model).knowing(study.problems, None, study.profiles, known, 0)
    others = Profiles((), study.profiles.ids[::-1], np.zeros((80, 0)))
    none = np.zeros(0, dtype=np.int64)
    with pytest.raises(MismatchError, match="those of other people"):
        twins.simulate(study.problems, None, others, none, none, 0)
    with pytest.raises(MismatchError, match="those of other people"):
        twins.log_scores(study.problems, None, others, asked, 0)
