"""Options with an order are told from those without, and put from low to high."""

from __future__ import annotations

import pytest

from crowdllm.exchange.ordered import by_strength, low_to_high, says_no_answer


@pytest.mark.parametrize(
    "levels",
    [
        ("1", "2", "3", "4", "5"),
        ("-3", "-2", "-1", "0", "1", "2", "3"),
        ("Strongly disagree", "Disagree", "Neither agree nor disagree", "Agree", "Strongly agree"),
        ("Strongly disagree", "Somewhat disagree", "Somewhat agree", "Strongly agree"),
        ("Never", "Rarely", "Sometimes", "Often", "Always"),
        ("Very dissatisfied", "Dissatisfied", "Neutral", "Satisfied", "Very satisfied"),
        ("Very unlikely", "Unlikely", "Likely", "Very likely"),
        ("Not at all important", "Slightly important", "Moderately important", "Very important", "Extremely important"),
        ("Very poor", "Poor", "Fair", "Good", "Very good", "Excellent"),
        ("Under 18", "18-24", "25-34", "35-44", "65 or older"),
        ("Less than $10,000", "$10,000 to $19,999", "$20,000 to $49,999", "$50,000 or more"),
        ("1 - Not at all", "2", "3", "4", "5 - Completely"),
        ("Much worse", "Worse", "About the same", "Better", "Much better"),
        ("Stimme überhaupt nicht zu", "Stimme eher nicht zu", "Teils/teils", "Stimme eher zu", "Stimme voll zu"),
        ("High school", "Some college", "Bachelor's degree", "Master's degree", "Doctorate"),
    ],
)  # fmt: skip
def test_a_scale_is_recognised_in_either_direction(levels: tuple[str, ...]) -> None:
    assert low_to_high(levels) == levels
    assert low_to_high(levels[::-1]) == levels
    assert by_strength(sorted(levels)) == levels


@pytest.mark.parametrize(
    "options",
    [
        ("Tea", "Coffee", "Water"),
        ("Yes", "No"),
        ("Agree", "Coffee", "Disagree"),
        ("Male", "Female", "Other"),
        ("Agree", "Strongly disagree", "Disagree"),  # of one family, but in no order
        ("only one",),
        (),
    ],
)
def test_options_without_an_order_have_none(options: tuple[str, ...]) -> None:
    assert low_to_high(options) is None


def test_words_for_no_answer_are_no_levels() -> None:
    assert low_to_high(("Good", "Fair", "Poor", "Don't know", "Prefer not to say")) == ("Poor", "Fair", "Good")


@pytest.mark.parametrize(
    "word", ["Don't know", "DK", "Prefer not to say", "Refused", "N/A", "9 - Refused", "Weiß nicht"]
)
def test_no_answer_is_recognised(word: str) -> None:
    assert says_no_answer(word)


@pytest.mark.parametrize("word", ["No", "None", "Never", "I know", "Maybe", "Neither agree nor disagree", "Not at all"])
def test_answers_are_no_missing_values(word: str) -> None:
    assert not says_no_answer(word)
