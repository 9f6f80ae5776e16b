"""The distribution prompt and its answer: one number per level or option, adding up, or nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.errors import UnparsableAnswerError
from crowdllm.llm.prompts.distribution import distribution_prompts, mix_in_words, parse_distribution
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import ResponseType
from crowdllm.responses.ranking import Ranking

THREE = Ordinal(("1", "2", "3"), ends=("low", "high"))
WORDS = Ordinal(("never", "sometimes", "always"))
OPTIONS = ("Parks", "Roads", "Schools")
PEOPLE = Profiles(
    (ProfileColumn("age", "numeric", label="age in years"), ProfileColumn("home", "categorical", ("city", "village"))),
    np.array([f"person-{i}" for i in range(10)], dtype=object),
    np.array([[20.0 + 5 * i, 0 if i < 6 else 1] for i in range(9)] + [[np.nan, np.nan]]),
)


def asked(kind: ResponseType, people: Profiles | None = None) -> str:
    names = np.array(["q"], dtype=object)
    options = (OPTIONS,) if kind.has_options else ()
    return distribution_prompts(Problems(names, names, options), kind, people)[0].text


def test_the_mix_tells_shares_and_quantiles_of_the_people_and_no_id() -> None:
    """Of ages 20, 25, ..., 60 a tenth (the first of nine) are up to 20, half up to 40, nine tenths up to 60."""
    assert mix_in_words(PEOPLE).splitlines() == [
        "These are the people who answer:",
        "- age in years: a tenth up to 20, half up to 40, nine tenths up to 60, not stated 10 %",
        "- home: city 60 %, village 30 %, not stated 10 %",
    ]
    assert mix_in_words(PEOPLE) in asked(THREE, PEOPLE)
    assert "person-" not in asked(THREE, PEOPLE)


def test_many_levels_are_told_up_to_twelve_and_small_shares_are_not_rounded_away() -> None:
    column = ProfileColumn("town", "categorical", tuple(f"t{m}" for m in range(15)))
    values = np.r_[np.zeros(986), np.arange(1, 15)]
    people = Profiles((column,), np.array([str(i) for i in range(1000)], dtype=object), values[:, None])
    (line,) = mix_in_words(people).splitlines()[1:]
    assert line.startswith("- town: t0 99 %, t1 under 1 %, ")
    assert line.endswith("t11 under 1 %, others under 1 %")


def test_without_people_nothing_is_said_of_them() -> None:
    assert "people who answer" not in asked(THREE)
    assert not any(line == "" for line in asked(THREE).splitlines())


@pytest.mark.parametrize(
    ("kind", "words", "form"),
    [
        (THREE, "1 means 'low'", '{"1": number, "2": number, "3": number}'),
        (Choice(3), "#2 Roads", '{"#1": number, "#2": number, "#3": number}'),
        (Ballot(1, 2, 3), "from 1 to 2 different options", '{"#1": number'),
        (Points(10, 1, 3), "spreads 10 points", '{"#1": number'),
        (Ranking(2, 3), "The best gets 2 points", '{"#1": number'),
        (Continuous(0, 10), "10th, 20th", "[number, number"),
    ],
)
def test_every_response_type_is_asked_about_its_crowd(kind: ResponseType, words: str, form: str) -> None:
    assert words in asked(kind)
    assert f"Answer format: {form}" in asked(kind).splitlines()[-1]


@pytest.mark.parametrize(
    "text",
    [
        '{"1": 20, "2": 30, "3": 50}',
        '{"3": 50, "1": 20, "2": 30}',
        '{"1": 0.2, "2": 0.3, "3": 0.5}',
        "[20, 30, 50]",
        '```json\n{"1": 20, "2": 30, "3": 50}\n```',
        '<think>perhaps {"1": 1}</think>\n{"1": 20, "2": 30.0, "3": 5e1}',
    ],
)
def test_a_distribution_is_read_and_normalised(text: str) -> None:
    assert parse_distribution(text, THREE).tolist() == pytest.approx([0.2, 0.3, 0.5])


def test_what_adds_up_within_two_percent_is_normalised() -> None:
    assert parse_distribution("[33, 33, 33]", THREE).tolist() == pytest.approx([1 / 3] * 3)
    assert parse_distribution("[34, 34, 34]", THREE).tolist() == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"1": 20, "2": 30, "3": 40}', "add up to 90"),
        ("[33, 33, 31.9]", "add up to 97.9"),
        ('{"1": 20, "2": 80}', "one number for each of the 3"),
        ('{"1": 20, "2": 30, "3": 50, "4": 0}', "'4' is none of the answers"),
        ('{"1": 20, "2": 30, "2": 50}', "'2' comes twice"),
        ('{"1": 20, "1.0": 30, "3": 50}', "'1.0' comes twice"),
        ('{"1": -10, "2": 60, "3": 50}', "negative"),
        ('{"1": "20", "2": 30, "3": 50}', "not a number"),
        ('{"1": true, "2": 30, "3": 69}', "not a number"),
        ('{"1": null, "2": 50, "3": 50}', "not a number"),
        ('{"1": NaN, "2": 50, "3": 50}', "NaN"),
        ('{"1": 1e999, "2": 50, "3": 50}', "beyond any use"),
        ('{"1": {"2": 3}, "2": 50, "3": 50}', "not a number"),
        ("[20, 30]", "one number for each"),
        ("[[20], [30], [50]]", "not a number"),
        ("100", "one number for each"),
        ('Here you are: {"1": 20, "2": 30, "3": 50}', "Expecting value"),
        ('{"1": 20, "2": 30, "3": 50} Hope this helps.', "Extra data"),
        ("1: 20 %, 2: 30 %, 3: 50 %", "Extra data"),
        ("I cannot say.", "Expecting value"),
        ("", "Expecting value"),
        ("[" * 100_000, ""),
        ("9" * 10_000, ""),
    ],
)
def test_what_is_no_distribution_is_refused_and_why(text: str, why: str) -> None:
    with pytest.raises(UnparsableAnswerError) as caught:
        parse_distribution(text, THREE)
    assert why in caught.value.allowed
    assert '{"1": number' in caught.value.allowed


def test_levels_and_options_are_named_as_in_any_answer() -> None:
    assert parse_distribution('{"Never": 10, "sometimes": 20, "ALWAYS": 70}', WORDS)[2] == pytest.approx(0.7)
    for keys in (("#1", "#2", "#3"), OPTIONS, ("1", "2", "3")):
        text = json.dumps(dict(zip(keys, (10, 20, 70), strict=True)))
        assert parse_distribution(text, Choice(3), OPTIONS).tolist() == pytest.approx([0.1, 0.2, 0.7])


def test_numbers_are_nine_quantiles_that_do_not_fall() -> None:
    kind = Continuous(0, 10)
    assert parse_distribution("[0, 1, 2, 2, 3, 4, 5, 6, 10]", kind).tolist() == [0, 1, 2, 2, 3, 4, 5, 6, 10]
    for text in ("[0,1,2,2,3,4,5,6]", "[0,1,2,3,2,4,5,6,7]", "[0,1,2,2,3,4,5,6,11]", '{"10": 0}', "5"):
        with pytest.raises(UnparsableAnswerError):
            parse_distribution(text, kind)


@settings(max_examples=200, deadline=None, database=None)
@given(
    st.one_of(
        st.text(max_size=30),
        st.lists(
            st.sampled_from(['{"1":', '"2":', "50", ",", "}", "[", "]", " ", "-", "0.5", "null", "{"]), max_size=9
        ).map("".join),
        st.lists(st.floats(allow_nan=True), max_size=4).map(str),
        st.dictionaries(st.sampled_from(["1", "2", "3", "4"]), st.integers(-5, 100)).map(json.dumps),
    )
)
def test_any_text_is_a_distribution_or_refused(text: str) -> None:
    try:
        shares = parse_distribution(text, THREE)
    except UnparsableAnswerError:
        return
    assert shares.shape == (3,)
    assert shares.sum() == pytest.approx(1)
    assert (shares >= 0).all()
