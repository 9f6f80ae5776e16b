"""Correlations between problems, Cronbach's alpha and spread: by hand, simulated, and published."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdllm.data.problems import Problems
from crowdllm.data.responses import Responses
from crowdllm.errors import ConfigError, MismatchError
from crowdllm.evaluation.coherence import (
    ScaleAlpha,
    alpha_differences,
    alpha_floor,
    coherence,
    coherence_floor,
    cronbach_alpha,
    dispersion,
    mean_alpha_difference,
    pairwise_correlation,
    scales_of,
)
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous


def people(count: int, seed: int, correlation: float = 0.5, items: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((count, 1))
    return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * rng.standard_normal((count, items))


def test_correlation_uses_the_people_who_answered_both() -> None:
    x_NT = np.array([[1, 2], [2, 4], [3, 6], [np.nan, -50], [9, np.nan]])
    np.testing.assert_allclose(pairwise_correlation(x_NT, 3), [[1, 1], [1, 1]])
    assert np.isnan(pairwise_correlation(x_NT, 4)[0, 1]), "only three answered both"


def test_answers_that_do_not_vary_have_no_correlation() -> None:
    x_NT = np.array([[0.1, 1], [0.1, 2], [0.1, 3], [7.3, np.nan]])
    assert np.isnan(pairwise_correlation(x_NT, 2)[0, 1])


def test_coherence_by_hand() -> None:
    human = np.array([[1, 1, 1], [2, 2, -2], [3, 3, 1.0]])
    same_order, opposed = human.copy(), human * np.array([1, -1, 1])
    assert coherence(human, same_order, 3).rmse == pytest.approx(0)
    found = coherence(human, opposed, 3)
    assert found.rmse == pytest.approx(np.sqrt((2**2 + 0 + 0) / 3)), "one of three pairs goes from 1 to -1"
    assert (found.pairs, found.possible) == (3, 3)


def test_scale_and_place_of_answers_do_not_matter_to_coherence() -> None:
    human, simulated = people(50, 0), people(80, 1)
    assert coherence(human, 3 * simulated - 7).rmse == pytest.approx(coherence(human, simulated).rmse)


def test_independent_answers_are_as_incoherent_as_the_correlations_they_lack() -> None:
    rng = np.random.default_rng(0)
    human = people(4000, 2, correlation=0.5)
    independent = np.stack([rng.permutation(human[:, t]) for t in range(6)], axis=1)
    assert coherence(human, independent).rmse == pytest.approx(0.5, abs=0.03)
    assert coherence(human, people(4000, 3, correlation=0.5)).rmse < 0.03


def test_too_few_common_people_give_no_score_and_say_so() -> None:
    found = coherence(people(20, 0), people(20, 1), min_pairs=30)
    assert np.isnan(found.rmse)
    assert (found.pairs, found.possible) == (0, 15)


def test_different_problems_are_refused() -> None:
    with pytest.raises(MismatchError, match="6 problems, the simulated 5"):
        coherence(people(30, 0), people(30, 0, items=5))


@pytest.mark.parametrize(("crowd", "seen"), [(None, 20_000), (100, 100)])
def test_coherence_floor_is_what_another_sample_of_people_scores(crowd: int | None, seen: int) -> None:
    scores = [coherence(people(150, s), people(seen, 500 + s)).rmse for s in range(100)]
    floors = [coherence_floor(people(150, s), crowd, s, draws=5).rmse for s in range(100)]
    assert np.mean(floors) == pytest.approx(np.mean(scores), rel=0.1)


def test_coherence_floor_needs_people() -> None:
    with pytest.raises(ConfigError, match="at least 2 people"):
        coherence_floor(people(1, 0), 5, 0)


def test_alpha_by_hand() -> None:
    x_NI = np.array([[1, 2], [2, 4], [3, 6.0]])
    # variances 1 and 4, covariance 2, total 9: alpha = 2 (1 - 5 / 9)
    assert cronbach_alpha(x_NI, [1, 1], 1, 6) == pytest.approx(8 / 9)


def test_reverse_keyed_items_are_flipped_on_the_scale() -> None:
    x_NI = people(200, 0)[:, :3]
    flipped = x_NI.copy()
    flipped[:, 1] = 7 - flipped[:, 1]
    assert cronbach_alpha(flipped, [1, -1, 1], 1, 6) == pytest.approx(cronbach_alpha(x_NI, [1, 1, 1], 1, 6))
    assert cronbach_alpha(flipped, [1, 1, 1], 1, 6) < 0.5


def test_alpha_of_parallel_items_is_spearman_brown() -> None:
    expected = 6 * 0.5 / (1 + 5 * 0.5)
    assert cronbach_alpha(people(20_000, 1), np.ones(6), 1, 6) == pytest.approx(expected, abs=0.01)


def test_alpha_needs_two_items_and_a_keying_of_one_or_minus_one() -> None:
    with pytest.raises(ConfigError, match="at least two items"):
        cronbach_alpha(np.ones((3, 1)), [1], 1, 6)
    with pytest.raises(ConfigError, match="keying of 1 or -1"):
        cronbach_alpha(np.ones((3, 2)), [1, 0], 1, 6)


def test_alpha_difference_of_every_scale() -> None:
    human, simulated = people(3000, 1, 0.5), people(3000, 2, 0.1)
    found = alpha_differences(human, simulated, ["b", "a", "b", "a", "b", None], np.ones(6), 1, 6)
    assert [(s.scale, s.items) for s in found] == [("a", 2), ("b", 3)]
    assert found[1].human == pytest.approx(cronbach_alpha(human[:, [0, 2, 4]], np.ones(3), 1, 6))
    assert found[1].difference == pytest.approx(0.25 - 0.75, abs=0.04), "Spearman-Brown of .1 and .5, three items"
    with pytest.raises(MismatchError, match="5 scale names"):
        alpha_differences(human, simulated, ["a"] * 5, np.ones(6), 1, 6)


def long_form(x_NT: np.ndarray) -> Responses:
    person, problem = np.indices(x_NT.shape)
    return Responses(person.ravel(), problem.ravel(), x_NT.reshape(-1, 1))


def test_dispersion_by_hand() -> None:
    human, simulated = long_form(np.array([[0, 5], [2, 5.0]])), long_form(np.array([[0, 1], [1, 2.0]]))
    # human variances 2 and 0, simulated .5 and .5
    assert dispersion(human, simulated, Continuous(), 2) == pytest.approx(np.sqrt(1 / 2))


def test_dispersion_of_a_perfect_crowd_is_one_even_for_few_humans() -> None:
    rng = np.random.default_rng(0)
    human, simulated = long_form(rng.exponential(size=(3, 4000))), long_form(rng.exponential(size=(50, 4000)))
    assert dispersion(human, simulated, Continuous(), 4000) == pytest.approx(1, abs=0.04)


def test_dispersion_leaves_out_single_answers() -> None:
    human = Responses(np.array([0, 1, 0]), np.array([0, 0, 1]), np.array([[0.0], [2.0], [9.0]]))
    simulated = long_form(np.array([[0, 0], [2, 100.0]]))
    assert dispersion(human, simulated, Continuous(), 2) == pytest.approx(1)


def test_options_have_no_spread() -> None:
    answers = Responses(np.arange(2), np.zeros(2, dtype=int), np.array([[0.0], [1.0]]))
    with pytest.raises(MismatchError, match="choice"):
        dispersion(answers, answers, Choice(2), 1)


def test_alphas_of_the_personality_items_are_the_published_ones() -> None:
    folder = os.environ.get("CROWDLLM_DATA_DIR")
    path = Path(folder or ".") / "surveys" / "psych_bfi.csv"
    if not folder or not path.exists():
        pytest.skip("set CROWDLLM_DATA_DIR to a folder that holds surveys/psych_bfi.csv (R package psych, data bfi)")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    # Keying and raw alphas as in the manual of the R package psych (scoreItems on bfi).
    scales = {
        "A": ([-1, 1, 1, 1, 1], 0.70),
        "C": ([1, 1, 1, -1, -1], 0.73),
        "E": ([-1, -1, 1, 1, 1], 0.76),
        "N": ([1, 1, 1, 1, 1], 0.81),
        "O": ([1, -1, 1, 1, -1], 0.60),
    }
    for letter, (keying, published) in scales.items():
        items = [[float(row[f"{letter}{i}"] or "nan") for i in range(1, 6)] for row in rows]
        assert cronbach_alpha(np.array(items), keying, 1, 6) == pytest.approx(published, abs=0.0051), letter


# --- scales that the problems declare ------------------------------------------------------------------------


def declared(**columns: list[object]) -> Problems:
    ids = np.array(["a", "b", "c"], dtype=object)
    return Problems(ids, ids, attributes=pd.DataFrame(columns))


def test_scales_and_keying_are_read_from_the_problems_further_columns() -> None:
    assert scales_of(declared(topic=["x", "y", "z"])) is None
    found = scales_of(declared(scale=["A", " A ", None], keying=["1", "-1.0", "whatever"]))
    assert found is not None
    assert found[0] == ["A", "A", None]
    assert found[1].tolist()[:2] == [1, -1]
    found = scales_of(declared(scale=["A", "", "B"], keying=[1, "", None]))
    assert found is not None
    assert (found[0], found[1].tolist()) == (["A", None, "B"], [1, 1, 1])
    found = scales_of(declared(scale=["A", "A", "B"]))
    assert found is not None
    assert found[1].tolist() == [1, 1, 1]


def test_a_keying_that_is_none_is_named_with_its_problem() -> None:
    with pytest.raises(ConfigError, match="problem 'b' has keying '2': an item of a scale is keyed 1, or -1"):
        scales_of(declared(scale=["A", "A", "A"], keying=["1", "2", "1"]))


def test_the_mean_alpha_difference_takes_absolute_values_of_those_there_are() -> None:
    nan = float("nan")
    scales = [ScaleAlpha("a", 2, 0.8, 0.7), ScaleAlpha("b", 2, 0.5, 0.8), ScaleAlpha("c", 2, nan, 0.8)]
    assert mean_alpha_difference(scales) == pytest.approx(0.2)
    assert np.isnan(mean_alpha_difference([]))


def test_the_alpha_floor_is_that_of_two_samples_of_the_same_people() -> None:
    """Against samples drawn afresh from the normal factor model that the people came from."""
    rng = np.random.default_rng(0)

    def drawn(count: int) -> np.ndarray:
        return rng.normal(size=(count, 1)) + rng.normal(size=(count, 4))

    names, keying = ["s"] * 4, [1, 1, 1, 1]
    floors = [alpha_floor(drawn(200), names, keying, 0, 0, 1000, seed, draws=40) for seed in range(10)]
    fresh = [mean_alpha_difference(alpha_differences(drawn(200), drawn(1000), names, keying, 0, 0)) for _ in range(400)]
    assert np.mean(floors) == pytest.approx(np.mean(fresh), rel=0.25)
    assert np.isnan(alpha_floor(drawn(50), [None] * 4, keying, 0, 0, 1000, 0))
    with pytest.raises(ConfigError, match="alpha floor needs 2 people"):
        alpha_floor(drawn(1), names, keying, 0, 0, 1000, 0)
