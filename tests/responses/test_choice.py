"""Choices: softmax over the options that a problem has, named by text or by number."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from crowdllm.errors import ConfigError, UnparsableAnswerError
from crowdllm.responses.choice import Choice

KIND = Choice(4)
OPTIONS = ("Tea", "Coffee, black", "Water.")


def test_the_score_is_the_log_softmax_of_the_options_present() -> None:
    """Utilities log 1, log 2, log 5 give shares 1/8, 2/8, 5/8; with the third missing 1/3 and 2/3."""
    params = torch.log(torch.tensor([[1.0, 2, 5, 99]], dtype=torch.float64)).repeat(5, 1)
    values = torch.tensor([[0.0], [1], [2], [0], [1]], dtype=torch.float64)
    scores = KIND.log_prob(params, values, torch.tensor([3, 3, 3, 2, 2]))
    assert scores.exp().numpy() == pytest.approx([1 / 8, 2 / 8, 5 / 8, 1 / 3, 2 / 3])


def test_the_shift_is_added_to_the_utilities() -> None:
    base, shift = torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([[0.5, 0, -1, 0]])
    assert KIND.shifted(base, shift, torch.tensor([2.0])).tolist() == [[1.5, 2, 2, 4]]


def test_the_largest_utility_plus_gumbel_noise_wins() -> None:
    """With even noise the best option; an option with noise near 1 beats a little more utility: by hand,
    -log(-log .999) = 6.9 against -log(-log .5) = .37 and a lead of 3."""
    params = np.array([[0.0, 3, 1, 2]] * 2)
    noise = np.array([[0.5, 0.5, 0.5, 0.5], [0.999, 0.5, 0.5, 0.5]])
    assert KIND.sample(params, noise, np.array([4, 4]))[:, 0].tolist() == [1, 0]


def test_shares_are_counted_by_option_and_compared_by_total_variation() -> None:
    p = KIND.summarise(np.array([[0.0], [1], [1], [3]]))
    assert p.tolist() == [0.25, 0.5, 0, 0.25]
    assert KIND.distance(p, np.array([0.25, 0, 0.75, 0])) == pytest.approx(0.75)
    assert KIND.distance(np.array([1.0, 0]), np.array([0, 1.0])) == 1


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("#2", 1),
        ("2", 1),
        ("Answer: #2.", 1),
        ("Choice: [2]", 1),
        ("tea", 0),
        ('"Tea"', 0),
        ("Answer: coffee, black", 1),
        ("Water.", 2),
        ("Water..", 2),
        ("# 3", 2),
    ],
)
def test_an_option_is_read_by_number_or_text(text: str, option: int) -> None:
    assert KIND.parse(text, OPTIONS).tolist() == [option]


@pytest.mark.parametrize(
    "text", ["#0", "#4", "4", "-1", "Te", "Tea Coffee", "#1 #2", "1.5", "#", "Water", "##1", "#1#"]
)
def test_what_names_no_single_option_is_refused(text: str) -> None:
    with pytest.raises(UnparsableAnswerError, match="#1 Tea; #2 Coffee, black; #3 Water"):
        KIND.parse(text, OPTIONS)


def test_a_cell_holds_the_option_text() -> None:
    assert KIND.write_cell(np.array([1.0]), OPTIONS) == "Coffee, black"


@pytest.mark.parametrize("options", [("#2", "x"), ("a", "A"), ("1", "2"), ("2", "1"), ("x", "#1", "#3")], ids=str)
def test_cells_of_confusing_options_still_name_the_right_one(options: tuple[str, ...]) -> None:
    for i in range(len(options)):
        value = np.array([float(i)])
        assert np.array_equal(KIND.read_cell(KIND.write_cell(value, options), options), value)


@pytest.mark.parametrize("count", [-1, 2.5, True, "3", None])
def test_a_number_of_options_that_is_no_whole_number_is_refused(count: object) -> None:
    with pytest.raises(ConfigError, match="max_options"):
        Choice(count)  # type: ignore[arg-type]
