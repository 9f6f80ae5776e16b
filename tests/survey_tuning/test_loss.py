"""The loss's terms against hand calculations and against the plain cross-entropy of transformers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from crowdllm.config import TuneConfig
from crowdllm.llm.local_model import find_model, load_model
from crowdllm.survey_tuning.cells import AnswerSet
from crowdllm.survey_tuning.loss import batch_terms, needed
from crowdllm.survey_tuning.scoring import answer_log_probabilities, answer_tree

torch = pytest.importorskip("torch")

LEVELS = AnswerSet(((1, 9), (2, 9), (3, 9)), (1.0, 2.0, 5.0), 3)  # a scale 4 wide
OPTIONS = AnswerSet(((1, 9), (2, 9), (3, 9)), (), 3)
MASS = np.array([[0.4, 0.2, 0.1], [0.1, 0.1, 0.6]])  # probabilities of the answers; the rest is stray
EVERY = np.arange(3)
COUNTS = np.array([[2.0, 0.0, 1.0], [0.0, 0.0, 1.0]])


def terms(answers=LEVELS, counts=COUNTS, people=(3, 1), which=EVERY, **settings):
    config = TuneConfig(**settings)
    return batch_terms(torch.tensor(np.log(MASS))[:, which], counts, np.array(people), which, answers, config)


def test_with_gamma_0_the_loss_is_the_cross_entropy_and_nothing_else() -> None:
    found = terms()
    expected = -(2 * np.log(0.4) + np.log(0.1) + np.log(0.6))
    assert float(found.loss) == pytest.approx(expected, rel=1e-12)
    assert found.cross_entropy == pytest.approx(expected, rel=1e-12)
    assert found.weight == 4


def test_the_penalty_is_the_expected_distance_in_units_of_the_scale() -> None:
    """q of cell 1: (4, 2, 1) / 7, of cell 2: (1, 1, 6) / 8. Distances to level 1: 0, 1, 4; to level 3: 4, 3, 0."""
    expected = (2 * (2 * 1 + 1 * 4) / 7 + (4 * 4 + 2 * 3) / 7 + (4 + 3) / 8) / 4
    found = terms(gamma=0.5)
    assert found.penalty == pytest.approx(expected, rel=1e-12)
    assert float(found.loss) == pytest.approx(found.cross_entropy + 0.5 * expected, rel=1e-12)


def test_options_have_no_penalty() -> None:
    found = terms(OPTIONS, gamma=3.0)
    assert found.penalty == 0
    assert float(found.loss) == pytest.approx(found.cross_entropy)


def test_kl_is_that_of_the_shares_and_what_is_left_of_the_probability_counts_too() -> None:
    """Cell 1: p = (2, 0, 1) / 3 against q = (4, 2, 1) / 7, and - log 0.7; cell 2 has one answer: - log 0.6."""
    divergence = 2 / 3 * np.log((2 / 3) / (4 / 7)) + 1 / 3 * np.log((1 / 3) / (1 / 7))
    found = terms(target="kl")
    assert float(found.loss) == pytest.approx(divergence - np.log(0.7) - np.log(0.6), rel=1e-12)
    assert found.weight == 2  # every cell counts once


def test_wasserstein_is_scipys_on_the_scale() -> None:
    points = np.array([1.0, 2.0, 5.0])
    distance = wasserstein_distance(points, points, [2, 0, 1], [4, 2, 1]) / 4
    found = terms(target="wasserstein")
    assert float(found.loss) == pytest.approx(distance - np.log(0.7) - np.log(0.6), rel=1e-12)


def test_one_persons_answer_is_no_distribution_and_options_have_no_distance() -> None:
    single = terms(target="wasserstein", counts=np.array([[1.0, 0, 0], [0, 0, 1.0]]), people=(1, 1))
    assert float(single.loss) == pytest.approx(-np.log(0.4) - np.log(0.6))
    options = terms(OPTIONS, target="wasserstein")
    assert float(options.loss) == pytest.approx(-(2 * np.log(0.4) + np.log(0.1)) / 3 - np.log(0.6))


def test_a_number_that_is_no_candidate_has_its_own_cross_entropy_and_its_own_distances() -> None:
    """Candidates 1 and 5; 2 was given too: distances 1 and 3 of 4, and its share counts for the nearest, 1."""
    answers = AnswerSet(((1, 9), (3, 9), (2, 9)), (1.0, 5.0, 2.0), 2)
    log_p = torch.tensor(np.log([[0.4, 0.2, 0.1]]))
    counts, people = np.array([[0.0, 1.0, 1.0]]), np.array([2])
    config = TuneConfig(gamma=1.0)
    found = batch_terms(log_p, counts, people, np.arange(3), answers, config)
    assert found.cross_entropy == pytest.approx(-np.log(0.2) - np.log(0.1))
    assert found.penalty == pytest.approx((2 / 3 * 4 + 2 / 3 * 1 + 1 / 3 * 3) / 4)
    kl = batch_terms(log_p, counts, people, np.arange(3), answers, TuneConfig(target="kl"))
    assert kl.divergence == pytest.approx(0.5 * np.log(0.5 / (2 / 3)) + 0.5 * np.log(0.5 / (1 / 3)))


def test_plain_cross_entropy_scores_only_the_answers_that_were_given() -> None:
    given = np.array([2])
    assert needed(LEVELS, given, TuneConfig()).tolist() == [2]
    assert needed(LEVELS, given, TuneConfig(gamma=0.1)).tolist() == [0, 1, 2]
    assert needed(LEVELS, given, TuneConfig(target="kl")).tolist() == [0, 1, 2]
    assert float(terms(which=np.array([0, 2])).loss) == pytest.approx(float(terms().loss))


def test_gamma_0_is_the_loss_that_transformers_computes_on_the_answers_tokens(tiny: Callable[..., str]) -> None:
    """Its mean over tokens, times the number of tokens."""
    model = load_model(find_model(tiny("llama")), "cpu")
    prompt, answer = (40, 41, 42, 43), (50, 51, 9)
    with torch.no_grad():
        labels = torch.tensor([[-100] * len(prompt) + list(answer)])
        theirs = model.lm.model(input_ids=torch.tensor([[*prompt, *answer]]), labels=labels).loss * len(answer)
        log_p = answer_log_probabilities(model.lm.model, [prompt], answer_tree((answer,)))
    answers = AnswerSet((answer,), (1.0,), 1)
    ours = batch_terms(log_p, np.ones((1, 1)), np.array([1]), np.array([0]), answers, TuneConfig())
    assert float(ours.loss) == pytest.approx(float(theirs), rel=1e-5)
