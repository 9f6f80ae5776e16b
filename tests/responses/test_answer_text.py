"""Finding the answer in a text: a few harmless dresses of an answer are taken off, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from crowdllm.errors import UnparsableAnswerError
from crowdllm.responses.answer_text import Pairs, answer_part, strict_json
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points

FIVE = Ordinal(("1", "2", "3", "4", "5"))
OPTIONS = ("Parks", "Roads", "Schools")


@pytest.mark.parametrize(
    "text",
    [
        "**4**",
        "*4*",
        "__4__",
        "_4_",
        "`4`",
        "**_4_**",
        "**4.**",
        "**4**.",
        "**Rating:** 4",
        "**Rating**: 4",
        "**Rating: 4**",
        "*Answer:* **4**",
        "Rating: **[4]**",
        '{"answer": 4}',
        '{"answer": "4"}',
        '{"rating": 4.0}',
        '{ "Response" : 4 }',
        '{"answer": [4]}',
        "```\n4\n```",
        '```json\n{"rating": 4}\n```',
        "<think>\nIt could be 3 or 4.\n</think>\n\nRating: 4",
        "It could be 3.</think> 4",
    ],
)
def test_an_answer_in_a_harmless_dress_is_read(text: str) -> None:
    assert FIVE.parse(text).tolist() == [3]


@pytest.mark.parametrize(
    "text",
    [
        "five",
        "cinco",
        "5/5",
        "4 out of 5",
        "between 3 and 4",
        "3-4",
        "4 or 5",
        "Rating: 4 because it is rude",
        "Rating: 4\n\nThis comment is rude.",
        "The comment is rude.\nRating: 4",
        "Rating: 5\nRating: 1",
        "Score: 4",
        "4**",
        "**4",
        "2**2",
        "* 4",
        "- 4",
        "#4 *",
        '{"answer": 4, "reason": "rude"}',
        '{"answer": 4, "answer": 5}',
        '{"answer": {"rating": 4}}',
        '{"answer": true}',
        '{"answer": "Rating: 4"}',
        '{"answer": [3, 4]}',
        '[{"answer": 4}]',
        '{"answer": 4} {"answer": 4}',
        "```\n4\n```\n```\n5\n```",
        "4</think>",
        "<think>4",
        "I cannot rate this. Rating: 4",
        "As an AI, I would say 4",
    ],
)
def test_anything_more_than_an_answer_is_refused(text: str) -> None:
    with pytest.raises(UnparsableAnswerError, match="1, 2, 3, 4, 5"):
        FIVE.parse(text)


def test_levels_that_look_like_a_dress_are_read_as_they_are() -> None:
    odd = Ordinal(("*a*", "a", "`b`", "</think>c", '{"answer": "a"}'))
    for m, level in enumerate(odd.levels):
        assert odd.parse(level).tolist() == [m]


@pytest.mark.parametrize("text", ['{"picks": [1, 3]}', '{"picks": ["#1", "Schools"]}', '{"answer": "#1, #3"}'])
def test_several_options_are_read_from_json(text: str) -> None:
    assert Ballot(2, 2, 3).parse(text, OPTIONS).tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    "text", ['{"picks": ["#1|#3"]}', '{"picks": [1, ""]}', '{"picks": [1, null]}', '{"picks": {}}']
)
def test_a_list_in_json_has_one_option_per_entry(text: str) -> None:
    with pytest.raises(UnparsableAnswerError):
        Ballot(2, 2, 3).parse(text, OPTIONS)


def test_points_are_read_from_json() -> None:
    assert Points(10, 1, 3).parse('{"points": {"#1": 4, "Schools": 6}}', OPTIONS).tolist() == [4, 0, 6]
    for text in ('{"points": {"#1": 4, "#1": 6}}', '{"points": {"#1": 4}}', '{"points": {"#1": "x", "#2": 6}}'):
        with pytest.raises(UnparsableAnswerError):
            Points(10, 1, 3).parse(text, OPTIONS)


def test_an_empty_list_in_json_is_an_empty_ballot_where_one_is_legal() -> None:
    assert np.array_equal(Ballot(0, 2, 3).parse('{"picks": []}', OPTIONS), np.zeros(3))
    with pytest.raises(UnparsableAnswerError):
        Ballot(1, 2, 3).parse('{"picks": []}', OPTIONS)


def test_the_part_that_answers_comes_after_thoughts_and_out_of_a_block() -> None:
    assert answer_part("  a </think> b ") == "b"
    assert answer_part("```text\nb\n```") == "b"
    assert answer_part("b") == "b"
    assert answer_part("a</think>b</think>c") == "a</think>b</think>c"


def test_strict_json_shows_members_that_come_twice_and_refuses_what_is_no_number() -> None:
    assert strict_json('{"a": 1, "a": [2]}') == Pairs([("a", 1), ("a", [2])])
    for text in ("NaN", "[Infinity]", "1 2", "", "[" * 15_000, "1" * 30_000):
        with pytest.raises(ValueError):
            strict_json(text)
