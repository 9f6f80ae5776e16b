"""The population's distribution: right with much data, sensible with little, and honest about new problems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from crowdllm.belief.averaging import average_weights
from crowdllm.belief.items import Items, item_texts, make_items
from crowdllm.belief.population import PopulationModel, fit_population
from crowdllm.belief.population_fit import assemble
from crowdllm.config import CrowdConfig
from crowdllm.data.problems import Problems
from crowdllm.data.responses import Responses
from crowdllm.embedding import fit_embedder
from crowdllm.reference import Reference, References
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType

Array = NDArray[np.float64]
LEVELS = Ordinal(("1", "2", "3", "4"))


def items_of(problems: Problems, kind: ResponseType, references: References | None = None) -> Items:
    embedder = fit_embedder("tfidf", item_texts(problems, kind))
    return make_items(problems, kind, embedder, references)


def shares(model: PopulationModel, items: Items, kind: ResponseType) -> Array:
    """(T, M) level shares, or (T, U) softmax of the options' utilities, that the model predicts."""
    raw = assemble(
        torch.from_numpy(model.item_raw(items)),
        torch.zeros(0).double(),
        torch.from_numpy(items.item_TU),
        kind.has_options,
    )
    if kind.has_options:
        raw = raw.masked_fill(torch.from_numpy(items.item_TU < 0), -1e9)
    return torch.softmax(raw, dim=-1).numpy()


def problems_of(count: int) -> Problems:
    words = ("amber", "birch", "cobalt", "dahlia", "ember", "fennel")
    texts = [f"About {words[t % 6]} number {t}" for t in range(count)]
    return Problems(np.array([f"q{t}" for t in range(count)], dtype=object), np.array(texts, dtype=object))


def answers_from(share_TM: Array, people: int, rng: np.random.Generator) -> Responses:
    """Every person answers every problem, independently, from these shares."""
    count = len(share_TM)
    values = np.stack([rng.choice(share_TM.shape[1], size=people, p=share) for share in share_TM], axis=1)
    return Responses(
        np.repeat(np.arange(people), count), np.tile(np.arange(count), people), values.reshape(-1, 1).astype(float)
    )


def total_variation(p_TM: Array, q_TM: Array) -> float:
    return float(0.5 * np.abs(p_TM - q_TM).sum(axis=1).mean())


@pytest.mark.parametrize("kind", ["ordinal", "choice"])
def test_with_much_data_the_fitted_shares_are_the_true_ones(
    kind: str, make_known: Callable[..., Any], fast_config: Callable[..., CrowdConfig]
) -> None:
    known = make_known(kind, people=1500, problems=6)
    items = items_of(known.study.problems, known.study.response_type)
    config = fast_config(effect_variances=(3.0,))
    model = fit_population(items, known.study.responses, known.study.response_type, config, 0)
    # a share p of 1,500 answers, against the shares of 3,000 others, has a standard error of at most .016
    assert np.abs(shares(model, items, known.study.response_type) - known.truth_TM).max() < 4 * 0.016


def test_effects_are_exactly_zero_when_their_variance_is(fast_config: Callable[..., CrowdConfig]) -> None:
    rng = np.random.default_rng(0)
    problems = problems_of(6)
    responses = answers_from(rng.dirichlet(np.ones(4), size=6), 40, rng)
    items = items_of(problems, LEVELS)
    without = fit_population(items, responses, LEVELS, fast_config(effect_variances=(0.0,)), 0)
    with_effects = fit_population(items, responses, LEVELS, fast_config(effect_variances=(1.0,)), 0)
    assert not without.effects_IW.any()
    assert np.abs(with_effects.effects_IW).min() > 0


def test_effects_grow_with_their_variance(fast_config: Callable[..., CrowdConfig]) -> None:
    rng = np.random.default_rng(1)
    responses = answers_from(rng.dirichlet(np.ones(4), size=6), 40, rng)
    items = items_of(problems_of(6), LEVELS)
    sizes = [
        np.square(fit_population(items, responses, LEVELS, fast_config(effect_variances=(v,)), 0).effects_IW).sum()
        for v in (0.01, 0.1, 1.0)
    ]
    assert sizes[0] < sizes[1] < sizes[2]


def test_the_variance_of_effects_is_chosen_by_whether_problems_differ() -> None:
    """Texts without a word in common: what differs between problems can only be their own effects."""
    rng = np.random.default_rng(2)
    texts = np.array([f"w{t}a w{t}b" for t in range(8)], dtype=object)
    problems = Problems(np.array([f"q{t}" for t in range(8)], dtype=object), texts)
    items = items_of(problems, LEVELS)
    config = CrowdConfig(embedding_penalties=(1e6, 1e6), effect_variances=(0.0, 1.0))
    alike = answers_from(np.tile([0.1, 0.2, 0.3, 0.4], (8, 1)), 60, rng)
    different = answers_from(rng.dirichlet(np.full(4, 0.7), size=8), 60, rng)
    assert fit_population(items, alike, LEVELS, config, 0).tuned["effect_variance"] == 0.0
    assert fit_population(items, different, LEVELS, config, 0).tuned["effect_variance"] == 1.0


def test_a_new_problem_gets_no_effect_even_with_a_known_text(fast_config: Callable[..., CrowdConfig]) -> None:
    rng = np.random.default_rng(3)
    problems = problems_of(6)
    items = items_of(problems, LEVELS)
    model = fit_population(items, answers_from(rng.dirichlet(np.ones(4), size=6), 50, rng), LEVELS, fast_config(), 0)
    renamed = replace(problems, ids=np.array([f"new{t}" for t in range(6)], dtype=object))
    embedder = fit_embedder("tfidf", item_texts(problems, LEVELS))
    new = make_items(renamed, LEVELS, embedder, None)
    assert model.seen(items).tolist() == list(range(6))
    assert model.seen(new).tolist() == [-1] * 6
    np.testing.assert_allclose(model.item_raw(items) - model.item_raw(new), model.effects_IW, atol=1e-12)
    np.testing.assert_array_equal(model.item_raw(items, effects=False), model.item_raw(new))


def test_without_any_response_the_shares_are_even_and_nothing_breaks(fast_config: Callable[..., CrowdConfig]) -> None:
    problems = problems_of(4)
    nothing = Responses(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros((0, 1)))
    items = items_of(problems, LEVELS)
    model = fit_population(items, nothing, LEVELS, fast_config(), 0)
    np.testing.assert_allclose(shares(model, items, LEVELS), 0.25, atol=1e-6)


def test_a_problem_without_responses_has_no_effect(fast_config: Callable[..., CrowdConfig]) -> None:
    rng = np.random.default_rng(4)
    responses = answers_from(rng.dirichlet(np.ones(4), size=6), 40, rng)
    responses = responses.take(responses.problem_R != 2)
    model = fit_population(items_of(problems_of(6), LEVELS), responses, LEVELS, fast_config(), 0)
    np.testing.assert_allclose(model.effects_IW[2], 0, atol=1e-9)
    assert np.abs(np.delete(model.effects_IW, 2, axis=0)).max() > 0.05


def test_the_fit_is_the_same_every_time(fast_config: Callable[..., CrowdConfig]) -> None:
    rng = np.random.default_rng(5)
    responses = answers_from(rng.dirichlet(np.ones(4), size=14), 15, rng)
    items = items_of(problems_of(14), LEVELS)
    config = fast_config(embedding_penalties=(30.0, 300.0))
    first, second = (fit_population(items, responses, LEVELS, config, 7) for _ in range(2))
    np.testing.assert_array_equal(first.weights_FW, second.weights_FW)
    np.testing.assert_array_equal(first.effects_IW, second.effects_IW)
    assert first.tuned == second.tuned


# --- what little data and an LLM's distribution give ------------------------------------------------------


@pytest.fixture(scope="module")
def few() -> tuple[Problems, Array, Responses]:
    """30 problems whose shares differ much, of which the first 20 were answered, by 14 people 4 problems each."""
    rng = np.random.default_rng(11)
    truth = rng.dirichlet(np.ones(4), size=30)
    everything = answers_from(truth, 14, rng)
    asked = np.concatenate([[30 * n + t for t in rng.permutation(20)[:4]] for n in range(14)])
    return problems_of(30), truth, everything.take(np.sort(asked))


def predicted_unseen(
    few: tuple[Problems, Array, Responses], reference_TM: Array, make_references: Callable[..., References]
) -> Array:
    problems, _, responses = few
    study = _study_like(problems)
    references = make_references(study, reference_TM)
    embedder = fit_embedder("tfidf", item_texts(problems, LEVELS))
    trained = problems.take(np.arange(20))
    grid = {"reference_penalties": (10.0, 1000.0), "embedding_penalties": (60.0, 2000.0)}
    config = CrowdConfig(effect_variances=(0.0, 0.3), folds=2, **grid)
    model = fit_population(make_items(trained, LEVELS, embedder, references), responses, LEVELS, config, 0)
    return shares(model, make_items(problems.take(np.arange(20, 30)), LEVELS, embedder, references), LEVELS)


def _study_like(problems: Problems) -> Any:
    from crowdllm.data.profiles import Profiles
    from crowdllm.data.study import Study

    nobody = Profiles((), np.zeros(0, dtype=object), np.zeros((0, 0)))
    nothing = Responses(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros((0, 1)))
    return Study("", LEVELS, problems, nobody, nothing)


def test_few_data_and_a_perfect_reference_give_nearly_the_reference(
    few: tuple[Problems, Array, Responses], make_references: Callable[..., References]
) -> None:
    truth = few[1]
    predicted = predicted_unseen(few, truth, make_references)
    pooled = np.bincount(few[2].values_RD[:, 0].astype(int), minlength=4) / len(few[2])
    assert total_variation(predicted, truth[20:]) < 0.25 * total_variation(np.tile(pooled, (10, 1)), truth[20:])


def test_few_data_and_a_useless_reference_give_nearly_the_pooled_histogram(
    few: tuple[Problems, Array, Responses], make_references: Callable[..., References]
) -> None:
    truth = few[1]
    shuffled = truth[np.random.default_rng(0).permutation(30)]
    predicted = predicted_unseen(few, shuffled, make_references)
    pooled = np.tile(np.bincount(few[2].values_RD[:, 0].astype(int), minlength=4) / len(few[2]), (10, 1))
    assert total_variation(predicted, pooled) < 0.5 * total_variation(shuffled[20:], pooled)
    assert total_variation(predicted, truth[20:]) < 1.15 * total_variation(pooled, truth[20:])


def test_three_lenient_people_do_not_pass_for_the_population(make_references: Callable[..., References]) -> None:
    """People who all answer low, against an LLM whose decisions say otherwise: the truth is believed to lie between."""
    rng = np.random.default_rng(5)
    problems = problems_of(40)
    decisions = rng.integers(0, 4, 40)
    lenient = np.maximum(decisions - 1, 0)
    answers = Responses(
        np.repeat(np.arange(3), 40), np.tile(np.arange(40), 3), np.tile(lenient, 3)[:, None].astype(float)
    )
    source = Reference("llm", "decision", problems.ids, decisions[:, None, None].astype(float))
    items = items_of(problems, LEVELS, References((source,)))
    config = CrowdConfig(effect_variances=(0.0,), reference_penalties=(100.0,), embedding_penalties=(2000.0,))
    few = shares(fit_population(items, answers, LEVELS, config, 0), items, LEVELS) @ np.arange(4)
    many = Responses(np.arange(120), answers.problem_R, answers.values_RD)
    sure = shares(fit_population(items, many, LEVELS, config, 0), items, LEVELS) @ np.arange(4)
    assert sure.mean() + 0.1 < few.mean() < decisions.mean()


# --- averaging candidates -----------------------------------------------------------------------------------


def test_the_weights_of_candidates_add_up_to_1_and_prefer_the_clearly_better() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(-5, 1, size=40)
    scores = np.stack([base, base + 1.0, base - 0.5])
    weights = average_weights(scores, np.random.default_rng(1))
    assert weights.sum() == pytest.approx(1)
    assert weights[1] > 0.99


def test_equal_candidates_get_equal_weights() -> None:
    scores = np.tile(np.random.default_rng(0).normal(size=25), (3, 1))
    np.testing.assert_allclose(average_weights(scores, np.random.default_rng(1)), 1 / 3, atol=1e-12)


def test_a_candidate_ahead_by_noise_only_does_not_take_all() -> None:
    """Ahead by one unit in all, with single units differing by 3: the Bayesian bootstrap turns the order often."""
    difference = np.array([3.0, -3.0] * 12 + [1.0])
    scores = np.stack([np.zeros(25), difference])
    weights = average_weights(scores, np.random.default_rng(1))
    assert 0.5 < weights[1] < 0.75


def test_units_of_no_worth_hardly_count() -> None:
    scores = np.array([[0.0, 5.0], [1.0, 0.0]])
    weights = average_weights(scores, np.random.default_rng(1), np.array([1.0, 1e-9]))
    # one unit decides, by a factor of e
    assert weights[1] / weights[0] == pytest.approx(np.e, rel=1e-6)
