"""Rankings: Plackett-Luce, the best few or all options, Borda shares."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from crowdllm.errors import ConfigError, UnparsableAnswerError
from crowdllm.responses.ranking import Ranking

OPTIONS = ("Red", "Green", "Blue")
WEIGHTS = torch.log(torch.tensor([[1.0, 2, 3, 99]], dtype=torch.float64))


def test_a_full_ranking_by_hand() -> None:
    """Weights 1, 2, 3: the order 3, 1, 2 has 3/6 * 1/3 * 1 = 1/6; the order 1, 2, 3 has 1/6 * 2/5 = 1/15."""
    values = torch.tensor([[2.0, 3, 1, 0], [1, 2, 3, 0]], dtype=torch.float64)
    scores = Ranking(0, 4).log_prob(WEIGHTS.repeat(2, 1), values, torch.tensor([3, 3]))
    assert scores.exp().numpy() == pytest.approx([1 / 6, 1 / 15])


def test_a_ranking_of_the_best_two_leaves_the_rest_open() -> None:
    """Weights 1, 2, 3, 4: first 4 then 2 has 4/10 * 2/6."""
    params = torch.log(torch.tensor([[1.0, 2, 3, 4]], dtype=torch.float64))
    values = torch.tensor([[0.0, 2, 0, 1]], dtype=torch.float64)
    score = Ranking(2, 4).log_prob(params, values, torch.tensor([4]))
    assert score.exp().numpy() == pytest.approx([8 / 60])


def test_samples_sort_utilities_with_their_noise() -> None:
    params = np.array([[10.0, 30, 20, 90]] * 2)
    noise = np.full((2, 4), 0.5)
    assert Ranking(0, 4).sample(params, noise, np.array([3, 4])).tolist() == [[3, 1, 2, 0], [4, 2, 3, 1]]
    assert Ranking(2, 4).sample(params, noise, np.array([3, 4])).tolist() == [[0, 1, 2, 0], [0, 2, 0, 1]]


def test_a_depth_beyond_the_options_ranks_all_of_them() -> None:
    kind = Ranking(3, 4)
    assert kind.sample(np.zeros((1, 4)), np.full((1, 4), 0.5), np.array([2])).tolist() == [[1, 2, 0, 0]]
    assert kind.legal(np.array([[2.0, 1, 0, 0]]), np.array([2]))[0]
    assert kind.read_cell("#2|#1", OPTIONS[:2]).tolist() == [2, 1, 0, 0]


@pytest.mark.parametrize(
    ("ranks", "legal"),
    [
        ([1, 2, 0], True),
        ([0, 1, 2], True),
        ([2, 1, 3], False),
        ([1, 0, 0], False),
        ([1, 1, 0], False),
        ([1, 3, 0], False),
        ([2, 2, 1], False),
        ([1, 2, -1], False),
        ([1, 1.5, 0], False),
    ],
)
def test_legal_rankings_count_from_one_without_gaps_or_ties(ranks: list[float], legal: bool) -> None:
    assert Ranking(2, 3).legal(np.array([ranks], dtype=float), np.array([3]))[0] == legal


def test_borda_shares_by_hand() -> None:
    """Two full rankings of three: 3 + 1, 2 + 3 and 1 + 2 of 12 points."""
    values = np.array([[1.0, 2, 3], [3, 1, 2]])
    assert Ranking(0, 3).summarise(values) == pytest.approx([4 / 12, 5 / 12, 3 / 12])


def test_borda_points_of_the_best_two_go_to_the_ranked_only() -> None:
    values = np.array([[1.0, 2, 0], [0, 1, 2]])
    assert Ranking(2, 3).summarise(values) == pytest.approx([2 / 6, 3 / 6, 1 / 6])


@pytest.mark.parametrize(
    "text", ["Blue > Red > Green", "#3|#1|#2", "Ranking: #3, #1, #2.", "3;1;2", "[blue, red, green]"]
)
def test_an_order_is_read_best_first(text: str) -> None:
    assert Ranking(0, 3).parse(text, OPTIONS).tolist() == [2, 3, 1]


def test_cells_keep_the_order() -> None:
    assert Ranking(0, 3).write_cell(np.array([2.0, 3, 1]), OPTIONS) == "#3|#1|#2"


@pytest.mark.parametrize(
    "text", ["#1|#2", "#1|#2|#2", "#1|#2|#3|#1", "Red Green Blue", "1. Red, 2. Green, 3. Blue", "#1=#2>#3"]
)
def test_incomplete_or_tied_orders_are_refused(text: str) -> None:
    with pytest.raises(UnparsableAnswerError, match="the best 3 of #1 to #3, best first"):
        Ranking(0, 3).parse(text, OPTIONS)


@pytest.mark.parametrize("depth", [-1, 1.5, True, "2"])
def test_a_depth_that_is_no_whole_number_is_refused(depth: object) -> None:
    with pytest.raises(ConfigError, match="depth"):
        Ranking(depth)  # type: ignore[arg-type]
