"""One problem with many options: what the reference says of options nobody has seen, and how far it is believed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from crowdllm.belief.items import Items, item_texts, make_items
from crowdllm.belief.option_fit import FLAT, Sights, applies, fit_by_options, see, weigh
from crowdllm.belief.population_fit import Candidate, PopulationFitter
from crowdllm.config import CrowdConfig
from crowdllm.data.problems import Problems
from crowdllm.data.responses import Responses
from crowdllm.embedding import fit_embedder
from crowdllm.reference import Reference, References
from crowdllm.responses.choice import Choice

Array = NDArray[np.float64]
OPTIONS, PEOPLE = 24, 4000
KIND = Choice(OPTIONS)


def one_problem(options: int) -> Problems:
    names = tuple(f"option {chr(97 + k)}" for k in range(options))
    return Problems(np.array(["q"], dtype=object), np.array(["Which?"], dtype=object), (names,))


def items_with(share_M: Array) -> Items:
    problems = one_problem(len(share_M))
    told = Reference("llm", "distribution", problems.ids, np.full((1, 1, 1), np.nan), share_M[None])
    embedder = fit_embedder("tfidf", item_texts(problems, KIND))
    return make_items(problems, KIND, embedder, References((told,)))


def answered(utility_M: Array, rng: np.random.Generator) -> Responses:
    share = np.exp(utility_M) / np.exp(utility_M).sum()
    values = rng.choice(len(share), size=PEOPLE, p=share).astype(float)
    return Responses(np.arange(PEOPLE), np.zeros(PEOPLE, dtype=np.int64), values[:, None])


def softmax(utility_M: Array) -> Array:
    return np.asarray(np.exp(utility_M) / np.exp(utility_M).sum())


def fitted(told_M: Array, true_M: Array, seed: int = 0) -> tuple[Array, dict[str, object]]:
    """(M,) utilities that the features alone predict, about their mean, and what was tuned."""
    items = items_with(softmax(told_M))
    rng = np.random.default_rng(seed)
    fitter = PopulationFitter(items, KIND, PEOPLE)
    answers = fitter.answers(answered(true_M, rng))
    assert applies(fitter, answers, CrowdConfig())
    parameters, tuned = fit_by_options(fitter, answers, CrowdConfig(), seed)
    utility = fitter.raw(parameters).numpy()[:, 0]
    return utility - utility.mean(), tuned


def slope(predicted_M: Array, told_M: Array) -> float:
    return float(np.polyfit(told_M - told_M.mean(), predicted_M, 1)[0])


@pytest.fixture
def told() -> Array:
    return np.random.default_rng(3).normal(size=OPTIONS)


def test_a_reference_that_is_right_is_believed(told: Array) -> None:
    predicted, tuned = fitted(told, told)
    assert slope(predicted, told) == pytest.approx(1.0, abs=0.15)
    assert float(str(tuned["weight_of_reference_prior"])) > 0.6


def test_a_useless_reference_is_not(told: Array) -> None:
    true = np.random.default_rng(4).normal(size=OPTIONS)
    predicted, tuned = fitted(told, true)
    assert abs(slope(predicted, told)) < 0.35
    assert float(str(tuned["weight_of_reference_prior"])) < 0.2


def test_a_reference_that_says_the_opposite_is_turned_round(told: Array) -> None:
    assert slope(fitted(told, -told)[0], told) < -0.4


def test_thousands_of_answers_to_few_options_do_not_make_noise_certain(told: Array) -> None:
    """What no feature explains is left to the options' own effects, not squeezed into the features."""
    true = 0.5 * told + np.random.default_rng(5).normal(size=OPTIONS)
    predicted, tuned = fitted(told, true)
    assert float(str(tuned["unexplained_variance"])) >= 0.3
    assert np.std(predicted) < 0.8 * np.std(true)


def test_free_utilities_are_log_shares_and_their_errors_those_of_counts(told: Array) -> None:
    items = items_with(softmax(told))
    fitter = PopulationFitter(items, KIND, PEOPLE)
    responses = answered(told, np.random.default_rng(0))
    answers = fitter.answers(responses)
    flat = fitter.fit(answers, Candidate(False, 0.01, float("inf"), float("inf")))
    sights = see(fitter, answers, flat)
    counts = np.bincount(responses.values_RD[:, 0].astype(int), minlength=OPTIONS)
    log_share = np.log(counts) - np.log(counts).mean()
    np.testing.assert_allclose(sights.u_I - sights.u_I.mean(), log_share, atol=0.05)
    # Var(log n_i - log n_j) = 1/n_i + 1/n_j
    error = sights.error_II
    assert error[0, 0] + error[1, 1] - 2 * error[0, 1] == pytest.approx(1 / counts[0] + 1 / counts[1], rel=0.05)


def test_left_out_densities_are_those_of_the_conditional_normal(told: Array) -> None:
    items = items_with(softmax(told[:6]))
    fitter = PopulationFitter(items, KIND, PEOPLE)
    rng = np.random.default_rng(1)
    rows = np.arange(6)
    sights = Sights(rows, np.zeros(6, dtype=np.int64), rng.normal(size=6), 0.1 * np.eye(6))
    candidate, variance = Candidate(False, 0.01, 10.0, 60.0), 0.3
    score_I, _ = weigh(fitter, sights, candidate, variance)
    features = fitter.features.numpy()
    spread = np.where(np.arange(features.shape[1]) < fitter.few_width, 1 / 10.0, 1 / 60.0)
    cov = (features * spread) @ features.T + (0.1 + variance) * np.eye(6) + FLAT
    rest = np.arange(1, 6)
    gain = cov[0, rest] @ np.linalg.inv(cov[np.ix_(rest, rest)])
    mean, var = gain @ sights.u_I[rest], cov[0, 0] - gain @ cov[rest, 0]
    assert score_I[0] == pytest.approx(multivariate_normal(mean, var).logpdf(sights.u_I[0]), abs=1e-4)


def test_many_problems_are_held_out_as_problems() -> None:
    problems = Problems(
        np.array([f"q{t}" for t in range(20)], dtype=object),
        np.array([f"Which {t}?" for t in range(20)], dtype=object),
        tuple(("yes", "no", "maybe") for _ in range(20)),
    )
    items = make_items(problems, Choice(3), fit_embedder("tfidf", item_texts(problems, Choice(3))), None)
    fitter = PopulationFitter(items, Choice(3), 30)
    responses = Responses(np.arange(20), np.arange(20), np.zeros((20, 1)))
    assert not applies(fitter, fitter.answers(responses), CrowdConfig())
