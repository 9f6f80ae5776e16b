"""Points: a Dirichlet-multinomial that always spends the whole budget."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from crowdllm.errors import ConfigError, UnparsableAnswerError
from crowdllm.responses.points import Points
from crowdllm.rng import stable_keys, uniforms

TEN, TENS = Points(10, 1, 4), Points(100, 10, 4)
OPTIONS = ("Bread", "Milk: fresh", "Eggs = 6")


def parameters(shares: list[float], concentration: float) -> torch.Tensor:
    return torch.log(torch.tensor([[*shares, concentration]], dtype=torch.float64))


@pytest.mark.parametrize("concentration", [0.02, 2.5, 400.0])
@pytest.mark.parametrize("spread", [[10, 0, 0], [2, 3, 5], [0, 0, 10], [4, 6, 0]])
def test_the_score_is_the_dirichlet_multinomial_of_scipy(spread: list[int], concentration: float) -> None:
    values = torch.tensor([[*spread, 0]], dtype=torch.float64)
    score = TEN.log_prob(parameters([0.2, 0.3, 0.5, 0.9], concentration), values, torch.tensor([3]))
    expected = stats.dirichlet_multinomial.logpmf(spread, concentration * np.array([0.2, 0.3, 0.5]), 10)
    assert score.item() == pytest.approx(expected)


def test_points_in_steps_are_counted_in_steps() -> None:
    values = torch.tensor([[20.0, 30, 50, 0]], dtype=torch.float64)
    score = TENS.log_prob(parameters([0.2, 0.3, 0.5, 0.9], 2.5), values, torch.tensor([3]))
    expected = stats.dirichlet_multinomial.logpmf([2, 3, 5], 2.5 * np.array([0.2, 0.3, 0.5]), 10)
    assert score.item() == pytest.approx(expected)


def test_the_shift_moves_utilities_but_not_the_concentration() -> None:
    moved = TEN.shifted(torch.tensor([[1.0, 2, 3, 4, 7]]), torch.tensor([[1.0, 0, 0, -1]]), torch.tensor([2.0]))
    assert moved.tolist() == [[2, 2, 3, 3, 7]]


def test_mean_and_variance_of_samples_are_those_of_the_distribution() -> None:
    """Mean n s; variance n s (1 - s) (n + c) / (1 + c), for n = 10 units and concentration c = 3."""
    rows, n, c = 20_000, 10, 3.0
    share = np.array([0.2, 0.3, 0.5])
    noise = uniforms(2, "test", stable_keys(np.arange(rows)), stable_keys(["q"]), TEN.noise_width(4))
    params = np.repeat(parameters([0.2, 0.3, 0.5, 0.9], c).numpy(), rows, axis=0)
    values = TEN.sample(params, noise, np.full(rows, 3))[:, :3]
    variance = n * share * (1 - share) * (n + c) / (1 + c)
    assert values.mean(axis=0) == pytest.approx(n * share, abs=4 * math.sqrt(variance.max() / rows))
    assert values.var(axis=0) == pytest.approx(variance, rel=0.05)


def test_low_concentration_puts_all_on_one_option_and_high_spreads_as_coins() -> None:
    noise = uniforms(3, "test", stable_keys(np.arange(4000)), stable_keys(["q"]), 10)
    shares = [0.25, 0.25, 0.25, 0.25]
    alone = TEN.sample(np.repeat(parameters(shares, 1e-9).numpy(), 4000, axis=0), noise, np.full(4000, 4))
    assert (alone.max(axis=1) == 10).mean() > 0.97
    coins = TEN.sample(np.repeat(parameters(shares, 1e9).numpy(), 4000, axis=0), noise, np.full(4000, 4))
    assert coins.var(axis=0) == pytest.approx(10 * 0.25 * 0.75, rel=0.1)


@pytest.mark.parametrize(
    ("kind", "spread", "legal"),
    [
        (TEN, [10, 0, 0, 0], True),
        (TEN, [1, 2, 3, 4], True),
        (TEN, [1, 2, 3, 3], False),
        (TEN, [11, -1, 0, 0], False),
        (TEN, [0.5, 9.5, 0, 0], False),
        (TENS, [90, 10, 0, 0], True),
        (TENS, [95, 5, 0, 0], False),
    ],
)
def test_legal_points_are_whole_steps_that_add_up(kind: Points, spread: list[float], legal: bool) -> None:
    assert kind.legal(np.array([spread], dtype=float), np.array([4]))[0] == legal


def test_the_summary_is_each_options_share_of_all_points() -> None:
    assert TEN.summarise(np.array([[10.0, 0, 0, 0], [5, 5, 0, 0]])).tolist() == [0.75, 0.25, 0, 0]


@pytest.mark.parametrize(
    "text",
    [
        "#1=3|#2=7",
        "#2=7, #1=3",
        "Points: #1=3, #2=7.",
        "#1: 3; #2: 7",
        "1=3|2=7",
        "Bread=3|Milk: fresh=7",
        "bread = 3.0|MILK: FRESH: 7|#3=0",
    ],
)
def test_points_are_read_by_number_or_text(text: str) -> None:
    assert TEN.parse(text, OPTIONS).tolist() == [3, 7, 0, 0]


def test_an_option_with_an_equal_sign_is_read() -> None:
    assert TEN.read_cell("Eggs = 6=10", OPTIONS).tolist() == [0, 0, 10, 0]


@pytest.mark.parametrize(
    "text",
    [
        "#1=3",
        "#1=3|#2=8",
        "#1=3|#1=7",
        "#1=3|#1=10",
        "#1=3|Bread=7",
        "#1=3|#2=-3|#3=10",
        "#1=2.5|#2=7.5",
        "#1=1_0",
        "#1=\u0661\u0660",
        "#1 10",
        "10",
        "=10",
        "#1=",
        "#4=10",
        "#1=3|#2=7|#3=0|#1=0",
        "#1=3||#2=7",
        "#1=9999999999",
    ],
)
def test_budgets_not_kept_are_refused(text: str) -> None:
    with pytest.raises(UnparsableAnswerError, match="10 points in all"):
        TEN.parse(text, OPTIONS)


@pytest.mark.parametrize(("budget", "step"), [(0, 1), (10, 3), (10, 0), (-5, 1), (10.0, 1), (True, 1), ("10", 1)])
def test_budgets_that_cannot_be_spent_are_refused(budget: object, step: object) -> None:
    with pytest.raises(ConfigError, match="budget|step"):
        Points(budget, step)  # type: ignore[arg-type]
