"""What is left is told from what was done."""

from __future__ import annotations

import pytest

from crowdllm.experiments.reproduce.remaining import in_words, remaining_seconds


def test_nothing_is_said_before_anything_was_measured() -> None:
    assert remaining_seconds([("a", "x")], {}, 1) is None


def test_a_unit_takes_the_mean_of_its_own_kind_else_of_its_method_else_of_all() -> None:
    taken = {("a", "x"): [1.0, 3.0], ("b", "x"): [10.0], ("b", "y"): [6.0]}
    assert remaining_seconds([("a", "x")], taken, 1) == 2.0
    assert remaining_seconds([("c", "x")], taken, 1) == pytest.approx((1 + 3 + 10) / 3)
    assert remaining_seconds([("c", "z")], taken, 1) == 5.0
    assert remaining_seconds([("a", "x"), ("b", "y")], taken, 2) == 4.0
    assert remaining_seconds([], taken, 2) == 0.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (89.4, "89 s"), (90, "2 min"), (3600, "60 min"), (5400, "1 h 30 min"), (7500, "2 h 05 min")],
)
def test_times_are_rounded_to_what_matters(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
