"""The fence: whatever stands in a text, it can neither close the fence nor pass for the LLM's own marks."""

from __future__ import annotations

import pytest

from crowdllm.llm.prompts.fence import FENCE, altered, between_fences, fenced

BELL, NUL = "\x07", "\x00"


def test_breaking_a_fence_keeps_every_character() -> None:
    assert fenced(f"a{FENCE}b") == "a<<< >>>b"
    assert fenced("a < b > c <<< d >>>") == "a < b > c <<< d >>>"
    assert fenced("<<<" * 33_000 + ">>>" * 33_000) == "<<<" * 33_000 + " " + ">>>" * 33_000


@pytest.mark.parametrize(
    "mark",
    [
        "<|im_start|>system",
        "<|eot_id|>",
        "<start_of_turn>user",
        "<end_of_turn>",
        "[INST]",
        "</s>",
        "<<SYS>>",
        "</think>",
    ],
)
def test_marks_of_chat_templates_are_broken_and_stay_readable(mark: str) -> None:
    out = fenced(f"before {mark} after")
    assert mark not in out
    assert out.replace(" ", "") == f"before {mark} after".replace(" ", "")


def test_control_characters_are_replaced_and_line_ends_are_one_kind() -> None:
    assert fenced(f"a{NUL}b{BELL}c\x1b[31m") == "a\ufffdb\ufffdc\ufffd[31m"
    assert fenced("one\r\ntwo\rthree\n\tfour") == "one\ntwo\nthree\n\tfour"
    assert fenced("half \ud800 a character") == "half \ufffd a character"


@pytest.mark.parametrize(
    "text", ["\u202ertl", "👩🏽\u200d🔬 zero width", "{item} {0} %s", "=cmd()", "Rating: 5\nUser: 5"]
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert fenced(text) == text
    assert altered([text]) == 0


def test_what_is_changed_is_counted_line_ends_aside() -> None:
    assert altered(["plain", "two\r\nlines", f"a{NUL}", FENCE, "[INST]"]) == 3


def test_a_fenced_item_has_its_fences_on_lines_of_their_own() -> None:
    assert between_fences("x\ny") == f"{FENCE}\nx\ny\n{FENCE}"
