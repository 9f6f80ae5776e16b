"""From listed alternatives to shares: numbers by hand, and a failure where they would mislead."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdllm.llm.first_tokens import Position, Scored, read_positions, score

FIVE = ("1", "2", "3", "4", "5")
TEN = tuple(str(level) for level in range(1, 11))
SIGNED = ("-2", "-1", "0", "1", "2")


def test_single_tokens_give_their_probabilities() -> None:
    found = score([Position("4", {"1": 0.1, "2": 0.1, "3": 0.2, "4": 0.5, "5": 0.1})], FIVE)
    assert found.shares == pytest.approx((0.1, 0.1, 0.2, 0.5, 0.1))
    assert (found.unseen, found.failure) == (pytest.approx(0), "")


def test_ways_to_write_an_answer_add_up() -> None:
    found = score([Position("4", {"4": 0.3, " 4": 0.2, "4.": 0.1, "**4": 0.1, '"4': 0.1, "5\n": 0.2})], FIVE)
    assert found.shares == pytest.approx((0, 0, 0, 0.8, 0.2))


def test_the_format_before_the_answer_is_followed_with_its_probability() -> None:
    comb = [
        Position("Rating", {"Rating": 0.9, "4": 0.1}),
        Position(":", {":": 1.0}),
        Position(" ", {" ": 0.5, " 4": 0.5}),
        Position("4", {"4": 0.6, "5": 0.4}),
    ]
    # 4: 0.1 at once, 0.9 * 0.5 with the blank in its token, 0.9 * 0.5 * 0.6 after it; 5: 0.9 * 0.5 * 0.4
    assert score(comb, FIVE).shares == pytest.approx((0, 0, 0, 0.82, 0.18))


def test_what_goes_to_no_answer_is_unseen_and_the_rest_is_shared_out() -> None:
    found = score([Position("4", {"4": 0.6, "5": 0.2, "I": 0.1})], FIVE)
    assert found.shares == pytest.approx((0, 0, 0, 0.75, 0.25))
    assert found.unseen == pytest.approx(0.2)


def test_too_little_on_answers_is_a_failure_with_its_reason() -> None:
    found = score([Position("I", {"I": 0.9, "1": 0.1})], FIVE)
    assert found.unseen == pytest.approx(0.9)
    assert found == Scored((), found.unseen, "only 10% of the probability is on legal answers")


def test_a_number_that_another_begins_with_is_clear_where_that_is_listed_as_a_token() -> None:
    found = score([Position("1", {"1": 0.5, "2": 0.3, "10": 0.2})], TEN)
    assert found.shares == pytest.approx((0.5, 0.3, 0, 0, 0, 0, 0, 0, 0, 0.2))


def test_a_number_that_another_begins_with_is_followed_along_the_reply() -> None:
    split = [Position("1", {"1": 0.5, "2": 0.5}), Position("0", {"0": 0.4, "<|im_end|>": 0.5, "\n": 0.1})]
    assert score(split, TEN).shares == pytest.approx((0.3, 0.5, 0, 0, 0, 0, 0, 0, 0, 0.2))
    ended = [Position("1", {"1": 0.5, "2": 0.5})]  # the reply ended there: it said 1
    assert score(ended, TEN).shares == pytest.approx((0.5, 0.5, *[0] * 8))


def test_a_number_that_another_begins_with_is_ambiguous_beside_the_reply() -> None:
    found = score([Position("2", {"1": 0.4, "2": 0.6})], TEN)
    assert found.failure == "40% of the probability is on tokens that begin several answers"
    assert score([Position("2", {"1": 0.04, "2": 0.96})], TEN).shares[1] == 1.0


def test_a_sign_is_followed_along_the_reply_and_ambiguous_beside_it() -> None:
    comb = [Position("-", {"-": 0.5, "2": 0.5}), Position("1", {"1": 0.6, "2": 0.4})]
    assert score(comb, SIGNED).shares == pytest.approx((0.2, 0.3, 0, 0, 0.5))
    assert "several answers" in score([Position("2", {"-": 0.3, "2": 0.7})], SIGNED).failure


def test_two_letters_of_a_word_are_enough_and_one_is_not() -> None:
    words = ("never", "sometimes", "always")
    found = score([Position("some", {"some": 0.4, "Never": 0.3, "al": 0.2, "I": 0.1})], words)
    assert found.shares == pytest.approx((3 / 9, 4 / 9, 2 / 9))
    assert "several" in score([Position("never", {"never": 0.8, "s": 0.2})], words).failure


def test_answers_of_several_words_are_told_apart_by_their_last() -> None:
    agree = ("strongly agree", "agree", "disagree", "strongly disagree")
    comb = [
        Position("Strongly", {"Strongly": 0.4, "agree": 0.5, "disagree": 0.1}),
        Position(" agree", {" agree": 0.75, " disagree": 0.25}),
    ]
    assert score(comb, agree).shares == pytest.approx((0.3, 0.5, 0.1, 0.1))


def test_letters_and_numbered_options_are_found() -> None:
    assert score([Position("B", {"A": 0.2, "B": 0.7, "An": 0.1})], ("A", "B")).shares == pytest.approx((2 / 9, 7 / 9))
    comb = [Position("#", {"#": 0.9, "2": 0.1}), Position("1", {"1": 0.5, "2": 0.5})]
    assert score(comb, ("#1", "#2")).shares == pytest.approx((0.45, 0.55))


@pytest.mark.parametrize(
    "token", ["4.5", "40", "4th", "four", "n/a", "4,5", "", "\x00", "Answers", "\ud800", "4" * 100_000]
)
def test_what_only_resembles_an_answer_is_none(token: str) -> None:
    assert score([Position(token, {token: 0.6, "3": 0.4})], FIVE).shares == ()
    assert score([Position("3", {token: 0.4, "3": 0.6})], FIVE).shares == (0, 0, 1, 0, 0)


@pytest.mark.parametrize("answers", [(), ("a", "a"), ("A", "a"), ("a", " "), ("a", "**a")])
def test_answers_that_begin_alike_in_every_way_are_refused(answers: tuple[str, ...]) -> None:
    assert "told apart" in score([Position("a", {"a": 1.0})], answers).failure


def test_without_alternatives_there_is_nothing_to_score() -> None:
    assert "lists no probabilities" in score([], FIVE).failure


TOKEN = st.text(alphabet="123450-. \nab*RraAting:\x00", max_size=4)


@settings(max_examples=300, deadline=None, database=None)
@given(
    st.lists(st.dictionaries(TOKEN, st.floats(0, 1), min_size=1, max_size=6), max_size=4),
    st.lists(TOKEN, max_size=6),
)
def test_whatever_is_listed_gives_shares_or_a_reason(listed: list[dict[str, float]], answers: list[str]) -> None:
    positions = [
        Position(next(iter(tokens)), {t: p / max(sum(tokens.values()), 1.0) for t, p in tokens.items()})
        for tokens in listed
    ]
    found = score(positions, answers)
    assert 0 <= found.unseen <= 1
    if found.failure:
        assert found.shares == ()
    else:
        assert len(found.shares) == len(answers)
        assert sum(found.shares) == pytest.approx(1)
        assert min(found.shares) >= 0


def entry(token: str, *top: tuple[Any, Any]) -> dict[str, Any]:
    logprob = dict(top).get(token, -1.0)
    return {"token": token, "logprob": logprob, "top_logprobs": [{"token": t, "logprob": lp} for t, lp in top]}


def test_positions_are_read_from_a_reply() -> None:
    good = entry("4", ("4", math.log(0.5)), ("5", math.log(0.25)))
    (position,) = read_positions({"content": [good]})
    assert position.token == "4"
    assert position.probabilities == pytest.approx({"4": 0.5, "5": 0.25})
    sampled = entry("1", ("4", math.log(0.5)))  # a token that was drawn need not be among the likeliest
    (position,) = read_positions({"content": [sampled]})
    assert position.probabilities == pytest.approx({"4": 0.5, "1": math.exp(-1)})


@pytest.mark.parametrize(
    "broken",
    [
        {"token": "4"},
        {"token": 4, "logprob": -1, "top_logprobs": []},
        entry("4"),
        entry("4", ("4", "x")),
        entry("4", ("4", None)),
        entry("4", ("4", math.nan)),
        entry("4", ("4", 3.0)),
        entry("4", ("4", True)),
        entry("4", (4, -1.0)),
        entry("4", ("4", -0.1), ("5", -0.1)),  # 0.9 and 0.9
        None,
        "4",
    ],
)
def test_a_broken_position_ends_the_reading(broken: Any) -> None:
    good = entry("Rating", ("Rating", -0.1))
    assert [p.token for p in read_positions({"content": [good, broken, good]})] == ["Rating"]


@pytest.mark.parametrize("logprobs", [None, [], {}, {"content": None}, {"content": {}}, {"content": "4"}, 3])
def test_a_reply_without_positions_has_none(logprobs: Any) -> None:
    assert read_positions(logprobs) == []


def test_tokens_of_probability_zero_may_be_listed() -> None:
    assert read_positions({"content": [entry("4", ("4", 0.0), ("5", -math.inf), ("3", -9999.0))]})[0].probabilities == {
        "4": 1.0,
        "5": 0.0,
        "3": 0.0,
    }
