"""Decision requests in the two forms that servers have, and their probabilities by answer."""

from __future__ import annotations

from typing import Any

import pytest

from crowdllm.llm.decision_api import decision_body, read_decision
from crowdllm.llm.http import PassingFault
from crowdllm.llm.protocol import Prompt

SCALE = Prompt("p", "How?", system="Be brief.", answers=("1", "2", "3"))
CHOICE = Prompt("p", "Which?", ("Tea", "Milk"), answers=("A", "B"))
WORDS = Prompt("p", "Which?", ("Tea", "Milk"), answers=("Tea", "Milk"))


def test_systemone_asks_a_scale_as_a_score_and_options_as_a_choice() -> None:
    body = decision_body("systemone", "m", SCALE)
    assert set(body) == {"model", "state", "questions"}
    assert body["state"] == "Be brief.\n\nHow?"
    (question,) = body["questions"].values()
    assert (question["type"], question["criteria"]) == ("score", ["1", "2", "3"])
    (question,) = decision_body("systemone", "m", CHOICE)["questions"].values()
    assert (question["type"], question["criteria"]) == ("choice", {"A": "Tea", "B": "Milk"})
    (question,) = decision_body("systemone", "m", WORDS)["questions"].values()
    assert question["criteria"] == {"Tea": None, "Milk": None}


def test_decisions_ask_in_a_list_with_instructions() -> None:
    body = decision_body("decisions", "m", SCALE)
    assert [message["role"] for message in body["input"]] == ["system", "user"]
    (question,) = body["questions"]
    assert (question["type"], question["levels"]) == ("score", [{"label": "1"}, {"label": "2"}, {"label": "3"}])
    assert question["instructions"]
    (question,) = decision_body("decisions", "m", CHOICE)["questions"]
    assert question["choices"] == [{"value": "A", "description": "Tea"}, {"value": "B", "description": "Milk"}]
    assert decision_body("decisions", "m", CHOICE)["input"] == "Which?"


def test_probabilities_come_back_in_the_order_of_the_answers() -> None:
    score = {"answers": {"answer": {"type": "score", "probabilities": {"2": 0.5, "0": 0.2, "1": 0.3}}}}
    assert read_decision("systemone", score, SCALE) == pytest.approx((0.2, 0.3, 0.5))
    choice = {"answers": {"answer": {"type": "choice", "probabilities": {"B": 0.9, "A": 0.1}}}}
    assert read_decision("systemone", choice, CHOICE) == pytest.approx((0.1, 0.9))
    levels = [{"label": "3", "value": 2, "probability": 0.5}, {"label": "1", "value": 0, "probability": 0.2}]
    levels.append({"label": "2", "value": 1, "probability": 0.3})
    assert read_decision("decisions", {"answers": [{"type": "score", "probabilities": levels}]}, SCALE) == (
        pytest.approx((0.2, 0.3, 0.5))
    )
    values = [{"value": "B", "probability": 0.9}, {"value": "A", "probability": 0.1}]
    assert read_decision("decisions", {"answers": [{"type": "choice", "probabilities": values}]}, CHOICE) == (
        pytest.approx((0.1, 0.9))
    )


def test_rounding_is_made_good_and_a_refusal_is_told() -> None:
    rounded = {"answers": {"answer": {"probabilities": {"0": 0.33, "1": 0.33, "2": 0.33}}}}
    assert read_decision("systemone", rounded, SCALE) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert read_decision("decisions", {"answers": [{"type": "refusal", "name": None}]}, SCALE) == (
        "the LLM declined to answer"
    )


@pytest.mark.parametrize(
    "probabilities",
    [
        None,
        {},
        [],
        "x",
        {"0": 0.5, "1": 0.5},
        {"0": 0.5, "1": 0.2, "2": 0.1},
        {"0": -0.5, "1": 1.0, "2": 0.5},
        {"0": float("nan"), "1": 0.5, "2": 0.5},
        {"0": True, "1": 0.0, "2": 0.0},
        {"0": "1", "1": 0.0, "2": 0.0},
        {"1": 0.2, "2": 0.3, "3": 0.5},
    ],
)
def test_probabilities_that_are_none_are_no_answer(probabilities: Any) -> None:
    with pytest.raises(PassingFault, match="probabilities"):
        read_decision("systemone", {"answers": {"answer": {"probabilities": probabilities}}}, SCALE)


@pytest.mark.parametrize("answers", [None, [], {}, {"other": {}}, [None], "x"])
def test_a_reply_without_the_answer_is_none(answers: Any) -> None:
    for way in ("systemone", "decisions"):
        with pytest.raises(PassingFault, match="no answer"):
            read_decision(way, {"answers": answers}, SCALE)
