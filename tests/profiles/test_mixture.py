"""The mixture's exact operations against brute force over its whole joint table, and its fit."""

from __future__ import annotations

import numpy as np
import pytest

from crowdllm.errors import ConfigError
from crowdllm.profiles.mixture import Mixture, expectation_maximisation, fit_mixture, rake_mixture, restrict
from crowdllm.profiles.raking import rake_table


def random_mixture(seed: int) -> Mixture:
    rng = np.random.default_rng(seed)
    return Mixture(rng.dirichlet(np.ones(3)), tuple(rng.dirichlet(np.ones(size), 3) for size in (2, 3, 4)))


def joint(mixture: Mixture) -> np.ndarray:
    """Shares of all cells of three columns."""
    return np.einsum("k,ka,kb,kc->abc", mixture.class_K, *mixture.tables)


@pytest.mark.parametrize("seed", [0, 1])
def test_filter_gives_the_conditional_distribution(seed: int) -> None:
    mixture = random_mixture(seed)
    expected = joint(mixture).copy()
    expected[:, 1, :] = 0
    expected[:, :, [0, 3]] = 0
    cut = restrict(mixture, {1: np.array([1.0, 0, 1]), 2: np.array([0.0, 1, 1, 0])})
    np.testing.assert_allclose(joint(cut), expected / expected.sum(), atol=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
def test_raking_the_mixture_equals_raking_its_joint_table(seed: int) -> None:
    mixture, rows, depth = random_mixture(seed), np.array([0.3, 0.7]), np.array([0.1, 0.2, 0.3, 0.4])
    raked = rake_mixture(mixture, {0: (np.arange(2), rows), 2: (np.arange(4), depth)})
    np.testing.assert_allclose(joint(raked), rake_table(joint(mixture), [rows, None, depth]), atol=1e-7)


def test_filter_that_nobody_meets_leaves_no_class() -> None:
    mixture = Mixture(np.array([0.5, 0.5]), (np.array([[1.0, 0], [1, 0]]),))
    assert restrict(mixture, {0: np.array([0.0, 1])}).class_K.tolist() == [0, 0]


def test_margins_that_contradict_each_other_are_reported() -> None:
    diagonal = Mixture(np.array([0.5, 0.5]), (np.eye(2), np.eye(2)))
    with pytest.raises(ConfigError, match="did not converge"):
        rake_mixture(diagonal, {0: (np.arange(2), np.array([0.5, 0.5])), 1: (np.arange(2), np.array([0.3, 0.7]))})


def two_kinds(n: int, seed: int) -> np.ndarray:
    """People of two hidden kinds who answer four yes-no columns alike nine times in ten."""
    rng = np.random.default_rng(seed)
    kind = rng.random(n) < 0.4
    return (rng.random((n, 4)) < np.where(kind, 0.9, 0.1)[:, None]).astype(np.int64)


def test_hidden_kinds_are_found() -> None:
    codes = two_kinds(2000, 0)
    margins = [np.bincount(code, minlength=2) / 2000 for code in codes.T]
    fitted = expectation_maximisation(codes, margins, np.ones(2000), 2, 3.0, np.random.default_rng(0), restarts=3)
    order = np.argsort(fitted.class_K)
    np.testing.assert_allclose(fitted.class_K[order], [0.4, 0.6], atol=0.05)
    for table in fitted.tables:
        np.testing.assert_allclose(table[order, 1], [0.9, 0.1], atol=0.06)


def test_dependence_is_kept_only_where_people_show_it() -> None:
    codes = two_kinds(600, 1)
    assert len(fit_mixture(codes, [2] * 4, np.ones(600), seed=0).class_K) > 1
    unrelated = np.random.default_rng(2).integers(0, 2, (600, 4))
    assert len(fit_mixture(unrelated, [2] * 4, np.ones(600), seed=0).class_K) == 1


def test_fit_has_exactly_the_weighted_margins() -> None:
    codes, weights = two_kinds(400, 3), np.random.default_rng(0).uniform(0.1, 3, 400)
    fitted = fit_mixture(codes, [2] * 4, weights, seed=0)
    assert len(fitted.class_K) > 1
    for c in range(4):
        expected = np.bincount(codes[:, c], weights, minlength=2) / weights.sum()
        np.testing.assert_allclose(fitted.margin(c), expected, atol=1e-8)


def test_no_class_stands_for_fewer_than_five_people() -> None:
    codes = np.random.default_rng(0).integers(0, 4, (60, 5))
    margins = [np.bincount(code, minlength=4) / 60 for code in codes.T]
    fitted = expectation_maximisation(codes, margins, np.ones(60), 20, 3.0, np.random.default_rng(0), restarts=2)
    # class_K = (people + .5) / (60 + .5 K)
    people = fitted.class_K * (60 + 0.5 * len(fitted.class_K)) - 0.5
    assert people.min() >= 5 - 1e-9


def test_log_score_is_the_log_of_the_joint_table() -> None:
    mixture = random_mixture(4)
    codes = np.array([[0, 0, 0], [1, 2, 3], [0, 1, 2]])
    np.testing.assert_allclose(mixture.log_score(codes), np.log(joint(mixture)[tuple(codes.T)]))
