"""Ballots: the exact probability of an unordered set, sizes with their own distribution, none as an answer."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from crowdllm.errors import ConfigError, MismatchError, UnparsableAnswerError
from crowdllm.responses.ballot import Ballot, log_set_probability

OPTIONS = ("Park", "Pool", "Path", "Pier")


def plackett_luce_set(weights: np.ndarray, chosen: tuple[int, ...]) -> float:
    """Probability that the first of a ranking are these options: the sum over the orders they can come in."""
    total = 0.0
    for order in itertools.permutations(chosen):
        left, probability = weights.sum(), 1.0
        for option in order:
            probability *= weights[option] / left
            left -= weights[option]
        total += probability
    return total


def set_probability(logits: np.ndarray, chosen: tuple[int, ...], count: int | None = None) -> float:
    picked = torch.zeros(1, len(logits), dtype=torch.bool)
    picked[0, list(chosen)] = True
    counts = torch.tensor([len(logits) if count is None else count])
    return math.exp(log_set_probability(torch.from_numpy(logits)[None], picked, counts).item())


def test_two_of_three_by_hand() -> None:
    """Weights 1, 2, 3: {1, 2} comes first as 1/6 * 2/5 + 2/6 * 1/4 = 3/20."""
    assert set_probability(np.log([1.0, 2, 3]), (0, 1)) == pytest.approx(3 / 20, abs=1e-6)


@pytest.mark.parametrize(("options", "picks"), [(2, 1), (5, 2), (24, 5), (24, 23), (40, 20)])
def test_among_equal_options_every_set_is_as_likely(options: int, picks: int) -> None:
    expected = 1 / math.comb(options, picks)
    assert set_probability(np.zeros(options), tuple(range(picks))) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("strength", [0.5, 2.0, 6.0])
def test_five_of_24_agree_with_the_sum_over_all_orders(strength: float) -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        logits = strength * rng.standard_normal(24)
        chosen = tuple(int(i) for i in rng.choice(24, 5, replace=False))
        expected = plackett_luce_set(np.exp(logits), chosen)
        assert math.log(set_probability(logits, chosen)) == pytest.approx(math.log(expected), abs=1e-5)


def test_one_pick_is_a_softmax_and_missing_options_take_no_part() -> None:
    logits = np.log([1.0, 2, 5, 99])
    assert set_probability(logits, (1,), count=3) == pytest.approx(2 / 8, abs=1e-6)


def test_all_or_none_of_the_options_is_certain() -> None:
    logits = np.array([3.0, -2, 1, 50])
    assert set_probability(logits, (0, 1, 2), count=3) == 1
    assert set_probability(logits, ()) == 1


def test_the_number_of_picks_has_its_own_distribution() -> None:
    """Size logits log 1, log 2, log 5 for 1 to 3 picks among equal options: {a} has 1/8 * 1/4, {a, b} 2/8 * 1/6."""
    params = torch.cat([torch.zeros(4), torch.log(torch.tensor([1.0, 2, 5]))]).double()[None].repeat(2, 1)
    values = torch.tensor([[1.0, 0, 0, 0], [1, 1, 0, 0]], dtype=torch.float64)
    scores = Ballot(1, 3, 4).log_prob(params, values, torch.tensor([4, 4])).exp()
    assert scores.numpy() == pytest.approx([1 / 32, 2 / 48], rel=1e-5)


def test_sizes_beyond_the_options_are_left_out() -> None:
    """On a problem with two options, three picks are impossible: sizes 1 and 2 share 1 : 2."""
    params = torch.cat([torch.zeros(4), torch.log(torch.tensor([1.0, 2, 5]))]).double()[None].repeat(2, 1)
    values = torch.tensor([[1.0, 0, 0, 0], [1, 1, 0, 0]], dtype=torch.float64)
    scores = Ballot(1, 3, 4).log_prob(params, values, torch.tensor([2, 2])).exp()
    assert scores.numpy() == pytest.approx([1 / 6, 2 / 3], rel=1e-5)


def test_the_shift_moves_options_but_not_sizes() -> None:
    base = torch.tensor([[1.0, 2, 3, 4, 7, 8, 9]])
    moved = Ballot(1, 3, 4).shifted(base, torch.tensor([[1.0, 0, 0, -1]]), torch.tensor([2.0]))
    assert moved.tolist() == [[2, 2, 3, 3, 7, 8, 9]]


def test_the_highest_utilities_are_picked_and_the_first_noise_sets_the_size() -> None:
    params = np.array([[0.0, 30, 10, 20, 0, 0, 0]] * 3)
    noise = np.full((3, 5), 0.5)
    noise[:, 0] = [0.1, 0.5, 0.9]
    values = Ballot(1, 3, 4).sample(params, noise, np.array([4, 4, 4]))
    assert values.tolist() == [[0, 1, 0, 0], [0, 1, 0, 1], [0, 1, 1, 1]]


def test_rounding_never_makes_more_picks_than_options() -> None:
    """The shares of sizes 1 to 4 add up to a little less than 1 here, and the noise lies above that."""
    logits = np.array([[5.5, 2.1, -1.6, -2.7, 0.0]])
    shares = np.exp(logits[0, :4] - 5.5)
    highest = float(np.nextafter(1, 0))
    assert np.cumsum(shares / shares.sum())[-1] < highest
    params, noise = np.concatenate([np.zeros((1, 5)), logits], axis=1), np.array([[highest, 0.5, 0.5, 0.5, 0.5, 0.5]])
    assert Ballot(1, 5, 5).sample(params, noise, np.array([4])).tolist() == [[1, 1, 1, 1, 0]]


def test_too_few_options_for_the_picks_are_an_error_not_a_shorter_ballot() -> None:
    """Everywhere the same: no legal response, no cell, no sample."""
    kind = Ballot(3, 3, 4)
    assert not kind.legal(np.array([[1.0, 1, 0, 0]]), np.array([2]))[0]
    with pytest.raises(UnparsableAnswerError):
        kind.read_cell("#1|#2", OPTIONS[:2])
    with pytest.raises(MismatchError, match="exactly 3 picks .* 2 options"):
        kind.sample(np.zeros((2, 5)), np.full((2, 4), 0.5), np.array([4, 2]))


@pytest.mark.parametrize(
    ("picks", "legal"),
    [
        ([1, 0, 0, 0], False),
        ([1, 1, 0, 0], True),
        ([1, 1, 1, 0], True),
        ([1, 1, 1, 1], False),
        ([2, 0, 0, 0], False),
        ([0.5, 0.5, 1, 0], False),
        ([1, -1, 1, 1], False),
    ],
)
def test_legal_ballots_have_as_many_picks_as_allowed(picks: list[float], legal: bool) -> None:
    assert Ballot(2, 3, 4).legal(np.array([picks], dtype=float), np.array([4]))[0] == legal


def test_the_summary_is_each_options_share_of_all_picks() -> None:
    values = np.array([[1.0, 1, 0, 0], [1, 0, 1, 0]])
    assert Ballot(2, 2, 4).summarise(values).tolist() == [0.5, 0.25, 0.25, 0]


@pytest.mark.parametrize(
    "text",
    ["#1|#3", "#3, #1", "Picks: #1, #3.", "1; 3", "Park > Path", "picks: [path, PARK]", "#1,#3,", "Answer: 1,Path"],
)
def test_two_options_are_read_in_any_order_and_notation(text: str) -> None:
    assert Ballot(2, 2, 4).parse(text, OPTIONS).tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    "text", ["#1", "#1|#2|#3", "#1|#1", "#1|Park", "#1||#2", "|#1|#2", "#1 #2", "#1 and #2", "#1|#5", "none", "|"]
)
def test_too_few_too_many_twice_or_none_are_refused(text: str) -> None:
    with pytest.raises(UnparsableAnswerError, match="exactly 2 different options of #1 to #4"):
        Ballot(2, 2, 4).parse(text, OPTIONS)


def test_picking_nothing_is_said_never_assumed() -> None:
    kind = Ballot(0, 2, 4)
    nothing = [0.0] * 4
    assert kind.write_cell(np.array(nothing), OPTIONS) == "|"
    assert kind.read_cell("|", OPTIONS).tolist() == nothing
    assert "Picks: none" in kind.instructions(OPTIONS)
    for text in ("Picks: none", "None.", "|"):
        assert kind.parse(text, OPTIONS).tolist() == nothing
    for text in ("", "Picks:", "nothing", "none of them", "||", ","):
        with pytest.raises(UnparsableAnswerError):
            kind.parse(text, OPTIONS)


def test_an_option_called_none_is_an_option() -> None:
    kind, options = Ballot(0, 2, 2), ("None", "Some")
    assert kind.parse("Picks: none", options).tolist() == [1, 0]
    assert "Picks: |)" in kind.instructions(options)
    assert kind.parse("Picks: |", options).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("least", "most"), [(0, 0), (3, 2), (-1, 2), (1.0, 2), (1, 2.5), (True, 2), ("1", 2), (1, None)]
)
def test_impossible_numbers_of_picks_are_refused(least: object, most: object) -> None:
    with pytest.raises(ConfigError, match="picks"):
        Ballot(least, most)  # type: ignore[arg-type]
