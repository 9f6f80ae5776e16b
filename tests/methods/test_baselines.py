"""random, pooled, problem-histogram, zero-shot and ridge on cases that can be calculated by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.methods import Simulator, get_method
from crowdllm.methods.ridge import PENALTIES, fit_embedding_references
from crowdllm.methods.shares import SharesSimulator, extra_parameters
from crowdllm.reference import Reference, References
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import ResponseType

Array = NDArray[np.float64]
LEVELS = Ordinal(("1", "2", "3", "4"))
PEOPLE = 20_000


def study_of(
    kind: ResponseType, rows: list[tuple[int, list[float]]], texts: list[str], options: tuple[tuple[str, ...], ...] = ()
) -> Study:
    """One person per row (problem, response)."""
    ids = np.array([f"q{t}" for t in range(len(texts))], dtype=object)
    people = np.array([f"p{n}" for n in range(len(rows))], dtype=object)
    return Study(
        title="by hand",
        response_type=kind,
        problems=Problems(ids, np.array(texts, dtype=object), options),
        profiles=Profiles((), people, np.zeros((len(rows), 0))),
        responses=Responses(
            np.arange(len(rows)), np.array([t for t, _ in rows]), np.array([row for _, row in rows], dtype=float)
        ),
    )


def crowd(count: int = PEOPLE) -> Profiles:
    return Profiles((), np.array([f"s{n}" for n in range(count)], dtype=object), np.zeros((count, 0)))


def simulated(simulator: Simulator, study: Study, problem: int, references: References | None = None) -> Array:
    everybody = np.arange(PEOPLE)
    return simulator.simulate(study.problems, references, crowd(), everybody, np.full(PEOPLE, problem), 0)


def shares(values: Array, kind: ResponseType) -> Array:
    return kind.summarise(values)


def probabilities(simulator: Simulator, study: Study, references: References | None = None) -> Array:
    found = simulator.level_probabilities(study.problems, references, study.profiles, study.responses, 0)
    assert found is not None
    return found


ORDINAL = study_of(LEVELS, [(0, [0]), (0, [0]), (0, [3]), (1, [1])], ["one", "two"])


# --- random -----------------------------------------------------------------------------------------------------


def test_random_gives_every_level_the_same_share() -> None:
    simulator = get_method("random")(ORDINAL, None, "tfidf", 0)
    np.testing.assert_allclose(shares(simulated(simulator, ORDINAL, 0), LEVELS), 0.25, atol=0.0123)  # 4 SE
    np.testing.assert_allclose(probabilities(simulator, ORDINAL), 0.25)
    scores = simulator.log_scores(ORDINAL.problems, None, ORDINAL.profiles, ORDINAL.responses, 0)
    np.testing.assert_allclose(scores, np.log(0.25))


def test_random_gives_every_option_of_the_problem_the_same_share() -> None:
    study = study_of(Choice(4), [(0, [0]), (1, [3])], ["a", "b"], (("x", "y"), ("k", "l", "m", "n")))
    simulator = get_method("random")(study, None, "tfidf", 0)
    found = shares(simulated(simulator, study, 0), study.response_type)
    np.testing.assert_allclose(found, [0.5, 0.5, 0, 0], atol=0.0142)
    np.testing.assert_allclose(probabilities(simulator, study), [[0.5, 0.5, 0, 0], [0.25] * 4])


def test_random_ballots_pick_every_project_equally_often() -> None:
    study = study_of(Ballot(2, 2, 5), [(0, [1, 1, 0, 0, 0])], ["a"], (("k", "l", "m", "n", "o"),))
    values = simulated(get_method("random")(study, None, "tfidf", 0), study, 0)
    assert set(values.sum(axis=1)) == {2.0}
    np.testing.assert_allclose(values.mean(axis=0), 0.4, atol=4 * np.sqrt(0.24 / PEOPLE))


def test_random_points_make_every_way_to_spread_them_equally_likely() -> None:
    """2 points over 3 options: 6 ways, each with probability 1/6."""
    study = study_of(Points(2, 1, 3), [(0, [2, 0, 0])], ["a"], (("k", "l", "m"),))
    values = simulated(get_method("random")(study, None, "tfidf", 0), study, 0)
    _, counts = np.unique(values, axis=0, return_counts=True)
    np.testing.assert_allclose(counts / PEOPLE, 1 / 6, atol=4 * np.sqrt(5 / 36 / PEOPLE))


def test_random_numbers_are_uniform_over_the_scale_or_the_range_seen() -> None:
    bounded = study_of(Continuous(0.0, 10.0), [(0, [4]), (0, [5])], ["a"])
    values = simulated(get_method("random")(bounded, None, "tfidf", 0), bounded, 0)[:, 0]
    assert (values.min(), values.max()) == (pytest.approx(0, abs=0.05), pytest.approx(10, abs=0.05))
    assert values.mean() == pytest.approx(5, abs=0.1)
    assert values.std() == pytest.approx(10 / np.sqrt(12), abs=0.1)
    unbounded = study_of(Continuous(), [(0, [4]), (0, [8])], ["a"])
    values = simulated(get_method("random")(unbounded, None, "tfidf", 0), unbounded, 0)[:, 0]
    assert (values.min(), values.max()) == (pytest.approx(4, abs=0.05), pytest.approx(8, abs=0.05))


# --- pooled and problem-histogram ---------------------------------------------------------------------------


def test_pooled_repeats_the_responses_of_all_problems_together() -> None:
    simulator = get_method("pooled")(ORDINAL, None, "tfidf", 0)
    for problem in (0, 1):
        np.testing.assert_allclose(
            shares(simulated(simulator, ORDINAL, problem), LEVELS), [0.5, 0.25, 0, 0.25], atol=0.0142
        )
    expected = 0.999 * np.array([0.5, 0.25, 0, 0.25]) + 0.001 / 4
    np.testing.assert_allclose(probabilities(simulator, ORDINAL), np.tile(expected, (4, 1)))


def test_problem_histogram_repeats_the_responses_of_the_problem() -> None:
    simulator = get_method("problem-histogram")(ORDINAL, None, "tfidf", 0)
    np.testing.assert_allclose(shares(simulated(simulator, ORDINAL, 0), LEVELS), [2 / 3, 0, 0, 1 / 3], atol=0.0134)
    np.testing.assert_array_equal(shares(simulated(simulator, ORDINAL, 1), LEVELS), [0, 1, 0, 0])
    expected = 0.999 * np.array([[2 / 3, 0, 0, 1 / 3]] * 3 + [[0, 1, 0, 0]]) + 0.001 / 4
    np.testing.assert_allclose(probabilities(simulator, ORDINAL), expected)


def test_resampled_ballots_are_whole_ballots_of_real_people() -> None:
    """A and B always go together in the data, so they do in the crowd: shares alone would break them up."""
    rows = [(0, [1.0, 1, 0, 0]), (0, [1.0, 1, 0, 0]), (0, [0.0, 0, 1, 1])]
    study = study_of(Ballot(2, 2, 4), rows, ["a"], (("A", "B", "C", "D"),))
    values = simulated(get_method("pooled")(study, None, "tfidf", 0), study, 0)
    np.testing.assert_array_equal(values[:, 0], values[:, 1])
    assert values[:, 0].mean() == pytest.approx(2 / 3, abs=0.0134)


def test_responses_mean_nothing_for_a_problem_with_other_options() -> None:
    study = study_of(Choice(2), [(0, [0]), (0, [1])], ["a"], (("k", "l"),))
    other = replace(study, problems=replace(study.problems, options=(("k", "n"),)))
    for method in ("pooled", "problem-histogram"):
        simulator = get_method(method)(study, None, "tfidf", 0)
        assert np.isnan(simulated(simulator, other, 0)).all()
        assert not np.isnan(simulated(simulator, study, 0)).any()
        np.testing.assert_allclose(probabilities(simulator, other), 0.5)


@pytest.mark.parametrize("method", ["pooled", "problem-histogram"])
def test_ballots_are_filled_up_with_unseen_options_all_equally_likely(method: str) -> None:
    """Two of the ballots lack a pick and one lacks both; C, D and E are new. Each is met (1/3 + 1/3 + 2/3) / 3."""
    rows = [(0, [1.0, 0, 0, 0, 0]), (0, [0.0, 1, 0, 0, 0]), (0, [0.0] * 5)]
    study = study_of(Ballot(2, 2, 5), rows, ["a"], (("A", "B"),))
    whole = replace(study, problems=replace(study.problems, options=(("A", "B", "C", "D", "E"),)))
    values = simulated(get_method(method)(study, None, "tfidf", 0), whole, 0)
    assert set(values.sum(axis=1)) == {2.0}
    np.testing.assert_allclose(values.mean(axis=0), [1 / 3, 1 / 3, 4 / 9, 4 / 9, 4 / 9], atol=0.0142)


# --- zero-shot --------------------------------------------------------------------------------------------------


def reference(draws: list[list[float]], shares_TM: list[list[float]] | None = None, name: str = "llm") -> Reference:
    ids = np.array(["q0", "q1"], dtype=object)
    given = None if shares_TM is None else np.array(shares_TM)
    return Reference(name, "samples", ids, np.array(draws)[:, :, None], given)


def test_zero_shot_repeats_the_llms_draws() -> None:
    references = References((reference([[0, 0, 3, np.nan], [2, 2, 2, 2]]),))
    simulator = get_method("zero-shot")(ORDINAL, references, "tfidf", 0)
    np.testing.assert_allclose(
        shares(simulated(simulator, ORDINAL, 0, references), LEVELS), [2 / 3, 0, 0, 1 / 3], atol=0.0134
    )
    np.testing.assert_array_equal(shares(simulated(simulator, ORDINAL, 1, references), LEVELS), [0, 0, 1, 0])


def test_zero_shot_averages_the_distributions_of_several_llms_and_prefers_those_that_were_given() -> None:
    first = reference([[0], [0]], [[0.1, 0.2, 0.3, 0.4], [np.nan] * 4])
    second = reference([[3], [np.nan]], name="other")
    simulator = get_method("zero-shot")(ORDINAL, References((first, second)), "tfidf", 0)
    found = probabilities(simulator, ORDINAL, References((first, second)))
    np.testing.assert_allclose(found[0], 0.999 * np.array([0.05, 0.1, 0.15, 0.7]) + 0.001 / 4)
    np.testing.assert_allclose(found[3], 0.999 * np.array([1.0, 0, 0, 0]) + 0.001 / 4)


def test_zero_shot_gives_no_response_where_nothing_parsed() -> None:
    references = References((reference([[np.nan], [1]]),))
    simulator = get_method("zero-shot")(ORDINAL, references, "tfidf", 0)
    assert np.isnan(simulated(simulator, ORDINAL, 0, references)).all()
    assert not np.isnan(simulated(simulator, ORDINAL, 1, references)).any()
    np.testing.assert_allclose(probabilities(simulator, ORDINAL, references)[0], 0.25)


# --- ridge --------------------------------------------------------------------------------------------------------


def predicted(simulator: Simulator, study: Study, references: References | None = None) -> Array:
    assert isinstance(simulator, SharesSimulator)
    return simulator.predict(study.problems, references)


def test_ridge_without_any_feature_predicts_the_weighted_mean_histogram() -> None:
    """No text has a word: the intercept alone, where a problem with three answers counts three times."""
    study = replace(ORDINAL, problems=replace(ORDINAL.problems, texts=np.array(["?", "!"], dtype=object)))
    raw = np.array([0.5, 0.25, 0.0, 0.25])  # (3 * (2/3, 0, 0, 1/3) + (0, 1, 0, 0)) / 4
    floored = np.maximum(raw, 1e-3)
    expected = floored / floored.sum()
    simulator = get_method("embedding-ridge")(study, None, "tfidf", 0)
    np.testing.assert_allclose(predicted(simulator, study), np.tile(expected, (2, 1)), atol=1e-9)


def test_ridge_solves_the_penalised_least_squares_of_a_single_feature() -> None:
    """One row per problem, weights 1; the penalty is 10, since it takes ten problems to choose one."""
    rows = [(0, [0.0]), (1, [3.0])]
    study = study_of(LEVELS, rows, ["?", "!"])
    source = Reference("llm", "decision", study.problems.ids, np.array([[[0.0]], [[3.0]]]))
    simulator = fit_embedding_references(study, References((source,)), "tfidf", 0)
    features = References((source,)).features(LEVELS, study.problems)[0]
    centred = features - features.mean(axis=0)
    target = np.eye(4)[[0, 3]]
    slope = np.linalg.solve(centred.T @ centred + 10 * np.eye(features.shape[1]), centred.T @ (target - target.mean(0)))
    raw = np.maximum(target.mean(0) + centred @ slope, 1e-3)
    np.testing.assert_allclose(
        predicted(simulator, study, References((source,))), raw / raw.sum(axis=1, keepdims=True), atol=1e-9
    )


def test_ridge_learns_from_words_what_a_new_problem_gets(make_known: Callable[..., Any]) -> None:
    texts = [("good " if t % 2 else "bad ") + f"thing {t}" for t in range(30)]
    rows = [(t, [3.0 if t % 2 else 0.0]) for t in range(30) for _ in range(3)]
    study = study_of(LEVELS, rows, texts)
    simulator = get_method("tfidf-ridge")(study, None, "tfidf", 0)
    new = study_of(LEVELS, [(0, [0.0])], ["a good one", "a bad one"])
    found = predicted(simulator, new)
    assert found[0, 3] > 0.75
    assert found[1, 0] > 0.75


def test_the_penalty_is_chosen_by_what_predicts_left_out_problems() -> None:
    from crowdllm.methods.ridge import _choose

    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    weight, rows = np.ones(40), np.arange(40)
    told = x @ rng.normal(size=(3, 2))
    assert _choose(x, told, weight, rows, 0) == min(PENALTIES)
    assert _choose(x, rng.normal(size=(40, 2)), weight, rows, 0) >= 10


# --- parameters beyond the shares ----------------------------------------------------------------------------


def test_the_number_of_picks_is_as_in_the_training_ballots() -> None:
    rows = [(0, [1.0, 0, 0, 0])] * 6 + [(0, [1.0, 1, 1, 0])] * 4
    study = study_of(Ballot(1, 3, 4), rows, ["a"], (("A", "B", "C", "D"),))
    values = simulated(get_method("embedding-ridge")(study, None, "tfidf", 0), study, 0)
    sizes = np.bincount(values.sum(axis=1).astype(int), minlength=4) / PEOPLE
    np.testing.assert_allclose(sizes, [0, 0.6, 0, 0.4], atol=0.0139)


def test_the_concentration_of_points_is_found_by_moments() -> None:
    """Shares of a Dirichlet with concentration 6: the variance of a share is m (1 - m) / 7."""
    rng = np.random.default_rng(0)
    budget = 1000
    share = rng.dirichlet(6 * np.array([0.5, 0.3, 0.2]), size=4000)
    values = np.floor(share * budget)
    values[:, 0] += budget - values.sum(axis=1)
    responses = Responses(np.arange(4000), np.zeros(4000, dtype=np.int64), values)
    log_concentration = extra_parameters(Points(budget, 1, 3), responses)
    assert np.exp(log_concentration[0]) == pytest.approx(6, rel=0.05)


def test_numbers_are_drawn_from_the_predicted_quantiles() -> None:
    """One problem, one value: every quantile is 7, and so is every response."""
    study = study_of(Continuous(), [(0, [7.0]), (0, [7.0])], ["a word"])
    values = simulated(get_method("embedding-ridge")(study, None, "tfidf", 0), study, 0)
    np.testing.assert_allclose(values, 7.0)
