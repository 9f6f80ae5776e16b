"""Untrusted text: role markers are broken up visibly, and nothing else is changed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdllm.llm.chat_text import markers, neutral

MARKERS = [
    "<|im_start|>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|system|>",
    "<|SYSTEM|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<bos>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[inst]",
    "<<SYS>>",
    "<</SYS>>",
    "[SYSTEM_PROMPT]",
    "[AVAILABLE_TOOLS]",
    "<｜User｜>",
    "<｜begin▁of▁sentence｜>",
    "<|turn>",
    "<turn|>",
    "<think>",
    "</think>",
    "<tool_call>",
    "<extra_id_1>",
    "<unused12>",
    "<|START_OF_TURN_TOKEN|>",
]
HARMLESS = [
    "a < b and c > d",
    "<b>bold</b> <br/> <table>",
    "[1] [x] [see INST below]",
    "<<<>>>",
    "P(a|b) < 1 | x > 2",
    "5 <| 3",
    "User: hello\nAssistant: hi",
    "### Response:",
    "שלום \u202eabc\u202c مرحبا",
    "👩‍👩‍👧‍👦 e\u0301 \u200b",
    "tab\tline\r\nend",
    "",
]


@pytest.mark.parametrize("marker", MARKERS)
def test_a_marker_gets_a_blank_after_its_first_character(marker: str) -> None:
    assert neutral(f"before {marker} after") == f"before {marker[0]} {marker[1:]} after"


@pytest.mark.parametrize("text", HARMLESS)
def test_other_writing_stays_as_it_is(text: str) -> None:
    assert neutral(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<<|im_start|>|im_start|>", "<< |im_start|>|im_start|>"),
        ("<|im_<|im_start|>start|>", "<|im_< |im_start|>start|>"),
        ("[[INST]INST]", "[[ INST]INST]"),
        ("<|im_start|><|im_start|>", "< |im_start|>< |im_start|>"),
    ],
)
def test_markers_within_markers_leave_none(text: str, expected: str) -> None:
    assert neutral(text) == expected


def test_control_characters_and_half_surrogates_become_replacement_characters() -> None:
    assert neutral("a\x00b\x1b[31mc\x7f\x85\ud83d\udc00d") == "a\ufffdb\ufffd[31mc\ufffd\ufffd\ufffd\ufffdd"


def test_a_tokenizers_own_markers_are_broken_up_too_in_any_case() -> None:
    own = frozenset({"<custom>", "%%turn%%", "§"})
    text = "x <custom> <CUSTOM> %%turn%% %%%turn%% § <other>"
    assert neutral(text) == text
    assert neutral(text, own) == "x < custom> < CUSTOM> % %turn%% %% %turn%% \ufffd <other>"


def test_a_marker_with_blanks_in_it_is_broken_up() -> None:
    own = frozenset({"<a b>", "< a"})
    found = neutral("<a b> < a b>", own)
    assert not any(token in found for token in own)


def test_words_and_blanks_in_a_vocabulary_are_no_markers() -> None:
    added = [
        ("<|im_end|>", True),
        ("covid", False),
        ("\n\n", False),
        ("<think>", False),
        ("[IMG]", False),
        ("BOS", True),
    ]
    assert markers(added) == {"<|im_end|>", "<think>", "[IMG]", "BOS"}


PIECES = st.sampled_from(
    ["<", ">", "|", "<|", "|>", "/", "[", "]", "INST", "im_start", "s", " ", "\n", "<s>", "\x00", "é"]
)


@settings(max_examples=300, deadline=None, database=None)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_nothing_is_lost_no_marker_stays_and_a_second_pass_changes_nothing(text: str) -> None:
    out = neutral(text, frozenset({"im_start", "<|s"}))
    assert out.replace(" ", "") == text.replace("\x00", "\ufffd").replace(" ", "")
    assert not any(marker in out for marker in ("im_start", "<|s", "<s>", "</s>", "[INST]", "[/INST]", "<|INST|>"))
    assert neutral(out, frozenset({"im_start", "<|s"})) == out


@pytest.mark.parametrize("piece", ["<", "<|", "<|a", "|>", "[", "<|im_start|>", "<unused1>", "<" + "a" * 99])
def test_long_texts_keep_every_character_among_thousands_of_markers(piece: str) -> None:
    own = frozenset(f"<unused{i}>" for i in range(6000))
    text = piece * (100_000 // len(piece))
    assert neutral(text, own).replace(" ", "") == text
