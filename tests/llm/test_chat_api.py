"""What is posted to a chat server, and what is read from a reply that may hold anything."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdllm.llm.chat_api import MOST_CHARACTERS, Choice, Form, chat_body, read_choices, read_usage
from crowdllm.llm.http import PassingFault
from crowdllm.llm.protocol import Prompt, Sampling, Usage

PROMPT = Prompt("p", "How?", system="Be brief.")
ESTIMATE = Usage(1, 90, 64, 1)


def reply(*texts: Any, **more: Any) -> dict[str, Any]:
    choices = [{"index": i, "message": {"content": text}, "finish_reason": "stop"} for i, text in enumerate(texts)]
    return {"choices": choices, **more}


def test_the_request_has_what_is_asked_and_nothing_of_the_server() -> None:
    body = chat_body("m", PROMPT, Sampling(0.5, 32), 8, Form())
    assert body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How?"}],
        "temperature": 0.5,
        "top_p": 1.0,
        "max_tokens": 32,
        "stream": False,
        "n": 8,
    }
    assert "n" not in chat_body("m", PROMPT, Sampling(), 1, Form())
    assert [m["role"] for m in chat_body("m", Prompt("p", "How?"), Sampling(), 1, Form())["messages"]] == ["user"]


def test_alternatives_are_asked_for_at_temperature_one() -> None:
    body = chat_body("m", PROMPT, Sampling(0.2, 400, scores=True), 1, Form(), top=20)
    assert (body["temperature"], body["max_tokens"], body["logprobs"], body["top_logprobs"]) == (1.0, 8, True, 20)


def test_a_refused_field_is_named_otherwise_or_left_out() -> None:
    body = chat_body("m", PROMPT, Sampling(), 1, Form())
    reason = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    renamed = Form().after(reason, body)
    assert renamed is not None
    assert chat_body("m", PROMPT, Sampling(), 1, renamed)["max_completion_tokens"] == 64
    assert "max_tokens" not in chat_body("m", PROMPT, Sampling(), 1, renamed)
    assert renamed.after(reason, chat_body("m", PROMPT, Sampling(), 1, renamed)) is None  # not for ever
    shorter = Form().after("top_p is not supported", body)
    assert shorter is not None
    assert "top_p" not in chat_body("m", PROMPT, Sampling(), 1, shorter)
    assert Form().after("the prompt is too long", body) is None


def test_answers_are_read_in_order() -> None:
    assert read_choices(reply("a", "b"), 2) == [Choice("a"), Choice("b")]
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}, None]
    assert read_choices(reply(parts), 1) == [Choice("ab")]
    assert read_choices({"choices": [{"message": {"content": None, "refusal": "No."}}]}, 1) == [Choice("No.")]
    assert read_choices(reply(""), 1) == [Choice("")]  # it said nothing, and that is what it said


def test_more_choices_than_asked_for_are_left_and_twins_first() -> None:
    assert read_choices(reply("a", "b", "c"), 2) == [Choice("a"), Choice("b")]
    twice = {"choices": [c for c in reply("a", "b")["choices"] for _ in range(2)]}
    assert read_choices(twice, 2) == [Choice("a"), Choice("b")]
    unnumbered = {"choices": [{"message": {"content": text}} for text in ("a", "a", "b")]}
    assert read_choices(unnumbered, 3) == [Choice("a"), Choice("a"), Choice("b")]  # equal draws are no twins
    all_first = {"choices": [{"index": 0, "message": {"content": text}} for text in ("b", "a", "b")]}
    assert read_choices(all_first, 3) == [Choice("b")]  # one is certain; the others are asked for singly


def test_an_answer_that_is_no_answer_says_why() -> None:
    cut = {"choices": [{"message": {"content": ""}, "finish_reason": "length"}]}
    assert "raise max_tokens" in read_choices(cut, 1)[0].failure
    held = {"choices": [{"message": {"content": None}, "finish_reason": "content_filter"}]}
    assert "content filter" in read_choices(held, 1)[0].failure
    assert "no text" in read_choices(reply(None), 1)[0].failure
    assert "200,001 characters" in read_choices(reply("x" * (MOST_CHARACTERS + 1)), 1)[0].failure
    assert read_choices(reply("x" * MOST_CHARACTERS), 1)[0].failure == ""


@pytest.mark.parametrize("text", ["\x00\x1b[2J\x07", "\u202eabc", "'; DROP TABLE texts; --", "😀", "\x7f\x80"])
def test_hostile_text_is_data(text: str) -> None:
    (choice,) = read_choices(json.loads(json.dumps(reply(text))), 1)
    assert choice.text == text


def test_half_a_character_becomes_one_that_can_be_stored() -> None:
    (choice,) = read_choices(json.loads(r'{"choices": [{"message": {"content": "a\ud800b"}}]}'), 1)
    assert choice.text == "a\ufffdb"


@pytest.mark.parametrize("choices", [None, [], {}, "x", [None], ["x"], 3])
def test_a_reply_without_choices_may_pass(choices: Any) -> None:
    with pytest.raises(PassingFault, match="no choices"):
        read_choices({"choices": choices}, 1)
    with pytest.raises(PassingFault, match="no choices: .*overloaded"):
        read_choices({"error": {"message": "overloaded"}}, 1)


def test_usage_is_what_the_server_says_in_either_form() -> None:
    chat = reply("a", usage={"prompt_tokens": 12, "completion_tokens": 3})
    assert read_usage(chat, ESTIMATE) == Usage(1, 12, 3)
    assert read_usage({"usage": {"input_tokens": 7, "output_tokens": 0}}, ESTIMATE) == Usage(1, 7, 0)


@pytest.mark.parametrize(
    "usage",
    [None, {}, [], {"prompt_tokens": -1}, {"prompt_tokens": "9"}, {"prompt_tokens": 0}, {"completion_tokens": True}],
)
def test_usage_that_is_not_said_is_estimated_and_counted(usage: Any) -> None:
    found = read_usage(reply("Rating: 4", "Rating: 5", usage=usage), ESTIMATE)
    assert found == Usage(1, 90, 2 * (5 + 1), 1)  # half a token a byte, and one for the end of each
    assert read_usage(reply("x" * 1000, usage=usage), ESTIMATE).completion_tokens == 64  # not more than was allowed


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "index", "finish_reason", "usage", "text", "refusal"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None, database=None)
@given(st.dictionaries(st.sampled_from(["choices", "usage", "error"]), JSON, max_size=3), st.integers(1, 3))
def test_any_json_is_answers_or_a_fault(found: dict[str, Any], draws: int) -> None:
    with contextlib.suppress(PassingFault):
        assert 1 <= len(read_choices(found, draws)) <= draws
    used = read_usage(found, ESTIMATE)
    assert used.prompt_tokens > 0
