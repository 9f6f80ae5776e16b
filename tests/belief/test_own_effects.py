"""Own effects of problems: the variance is chosen unseen, and the shape in which problems differ is found."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from crowdllm.belief.counted import Answers
from crowdllm.belief.items import make_items
from crowdllm.belief.own_effects import EffectPrior, shape_of, tune_effects
from crowdllm.belief.population_fit import Parameters, PopulationFitter
from crowdllm.config import CrowdConfig
from crowdllm.data.problems import Problems
from crowdllm.data.responses import Responses
from crowdllm.embedding import fit_embedder
from crowdllm.responses.ordinal import Ordinal

LEVELS = Ordinal(("1", "2", "3", "4"))


def answers(share_TM: NDArray[np.float64], people: int, rng: np.random.Generator) -> Responses:
    """Every person answers every problem, independently, from these shares."""
    problems, levels = share_TM.shape
    values = np.stack([rng.choice(levels, size=people, p=share) for share in share_TM], axis=1)
    return Responses(
        np.repeat(np.arange(people), problems),
        np.tile(np.arange(problems), people),
        values.reshape(-1, 1).astype(float),
    )


def fitter_for(problems: int, people: int) -> PopulationFitter:
    ids = np.array([f"q{t}" for t in range(problems)], dtype=object)
    texts = np.array([f"w{t}a w{t}b" for t in range(problems)], dtype=object)
    table = Problems(ids, texts)
    return PopulationFitter(make_items(table, LEVELS, fit_embedder("tfidf", list(texts)), None), LEVELS, people)


def pooled(fitter: PopulationFitter, part: Answers) -> Parameters:
    """Parameters that give every problem the pooled shares of these answers."""
    count_M = np.bincount(part.values_BD[:, 0].astype(int), part.count_B, minlength=4) + 0.5
    flat = np.zeros((fitter.features.shape[1], 4))
    return Parameters(flat, np.log(count_M / count_M.sum()), np.zeros(0))


def test_shape_is_the_symmetric_product_with_a_mean_variance_of_1() -> None:
    one = np.array([[2.0, 0.0], [0.0, 1.0]])
    other = np.array([[3.0, 0.0], [0.0, 2.0]])  # one' other = diag(6, 2), of mean 4
    np.testing.assert_allclose(shape_of(one, other), np.diag([1.5, 0.5]))


def test_a_direction_in_which_the_parts_disagree_keeps_a_small_variance() -> None:
    one, other = np.array([[10.0, 1.0]]), np.array([[10.0, 0.0]])
    values = np.linalg.eigvalsh(shape_of(one, other))
    np.testing.assert_allclose(values.sum(), 2.0)
    np.testing.assert_allclose(values[0] / values[1], 0.03)


def test_parts_that_agree_on_nothing_have_no_shape() -> None:
    np.testing.assert_array_equal(shape_of(np.eye(2), -np.eye(2)), np.eye(2))


def test_problems_that_differ_in_one_direction_get_that_shape() -> None:
    """Problems differ only by how many give the first answer: the prior's largest direction is that one."""
    rng = np.random.default_rng(0)
    first_T = rng.uniform(0.05, 0.95, size=150)
    share_TM = np.c_[first_T, np.outer(1 - first_T, [0.2, 0.5, 0.3])]
    responses, fitter = answers(share_TM, 60, rng), fitter_for(150, 60)
    found = tune_effects(fitter, responses, lambda part: pooled(fitter, part), CrowdConfig(), 0)
    assert found.shape_WW is not None
    assert found.describe()["effect_shape"] == "as problems differ"
    _, vectors = np.linalg.eigh(found.shape_WW)
    direction = np.array([3.0, -1.0, -1.0, -1.0]) / np.sqrt(12)
    assert abs(vectors[:, -1] @ direction) > 0.98


def test_few_problems_have_no_shape_of_their_own() -> None:
    rng = np.random.default_rng(1)
    responses, fitter = answers(rng.dirichlet(np.ones(4), size=12), 60, rng), fitter_for(12, 60)
    found = tune_effects(fitter, responses, lambda part: pooled(fitter, part), CrowdConfig(), 0)
    assert found.shape_WW is None
    assert not any(name.startswith("shaped") for name in found.scores)


def test_parameters_never_see_the_responses_on_which_the_variance_is_judged() -> None:
    rng = np.random.default_rng(2)
    responses, fitter = answers(np.full((12, 4), 0.25), 60, rng), fitter_for(12, 60)
    seen: list[float] = []

    def fit(part: Answers) -> Parameters:
        seen.append(float(part.count_B.sum()))
        return pooled(fitter, part)

    tune_effects(fitter, responses, fit, CrowdConfig(), 0)
    assert len(seen) == 3
    assert sum(seen) == 2 * len(responses)  # each response is left out once


def test_the_shape_turns_effects_towards_its_large_direction() -> None:
    fitter = fitter_for(12, 60)
    rows = np.zeros(12, dtype=np.int64)
    part = Answers(np.arange(12), rows[:, None].astype(float), np.ones(12))
    flat = Parameters(np.zeros((fitter.features.shape[1], 4)), np.zeros(4), np.zeros(0))
    wide = fitter.effects(part, flat, 1.0, np.diag([1.0, 1e-9, 1e-9, 1e-9]))
    assert (wide[:, 0] > 0.1).all()
    np.testing.assert_allclose(wide[:, 1:], 0, atol=1e-6)


def test_too_few_responses_get_a_small_variance_untested() -> None:
    responses = Responses(np.arange(3), np.arange(3), np.ones((3, 1)))
    fitter = fitter_for(3, 60)
    assert tune_effects(fitter, responses, lambda part: pytest.fail(str(part)), CrowdConfig(), 0) == EffectPrior(0.1)
