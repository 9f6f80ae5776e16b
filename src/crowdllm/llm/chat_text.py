"""Make untrusted text harmless for a chat: no role marker and no control character stays whole in it.

Chat templates separate turns by markers such as `<|im_start|>`, `<start_of_turn>` or `[INST]`. A problem's text that
contains one could end the user's turn and speak as the system or the assistant. Here a blank is put after the first
character of each marker (`< |im_start|>`): no tokenizer reads that as the marker any more, while the model, and whoever
reads the prompt, still sees what was written. Characters that are no writing become U+FFFD: control characters but tab
and line breaks (NUL, escape sequences), and halves of surrogate pairs, which no encoder takes. Everything else stays as
it is: emoji, combining and invisible characters, right-to-left scripts and their direction marks.

Words that mark turns in plain writing ("User:", "### Response:") are left alone; the fences around a problem's text
are what keeps those apart (`crowdllm.llm.prompts`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_NAMES = (
    r"s|bos|eos|pad|unk|sep|cls|mask|sop|eop|think|tool_calls?|tool_response|tools|function|"
    r"(?:start|end)_of_[a-z]+|unused_?[0-9]+|reserved_?[0-9]+|extra_id_?[0-9]+"
)
_BRACKETED = (
    r"INST|SYS|SYSTEM|USER|ASSISTANT|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS|"
    r"CALL_ID|THINK|MODEL_SETTINGS|IMG|gMASK|sMASK|BOS|EOS|PAD|UNK|MASK|CLS|SEP"
)
_MARKER = re.compile(
    r"<(?="
    r"/?[|｜][^<>\s]{1,64}>"  # <|im_start|>, <｜User｜>, <|turn>
    r"|/?[^<>\s|｜]{1,64}[|｜]>"  # <turn|>
    rf"|/?(?:{_NAMES})>"
    r"|</?SYS>>)"
    rf"|\[(?=/?(?:{_BRACKETED})\])",
    re.IGNORECASE,
)
_MOST_ROUNDS = 8  # one is enough unless a marker itself contains blanks


def neutral(text: str, tokens: frozenset[str] = frozenset()) -> str:
    """The text with every role marker broken up by a blank, and without control characters.

    tokens: further markers, such as a tokenizer's own special tokens; upper and lower case make no difference.
    Neutral text stays as it is.
    """
    text = _CONTROL.sub("\ufffd", text)
    single = [token for token in tokens if len(token) == 1]
    for token in single:
        text = text.replace(token, "\ufffd")
    for _ in range(_MOST_ROUNDS):
        starts = {match.start() for match in _MARKER.finditer(text)} | _token_starts(text, tokens)
        if not starts:
            break
        text = "".join(f"{c} " if i in starts else c for i, c in enumerate(text))
    return text


def _token_starts(text: str, tokens: frozenset[str]) -> set[int]:
    """Where in the text any of the tokens (of at least two characters) begins."""
    by_first = _by_first(tokens)
    folded = _fold(text)
    return {
        i
        for i, c in enumerate(folded)
        if c in by_first and any(folded[i : i + length] in by_first[c][1] for length in by_first[c][0])
    }


@lru_cache(maxsize=8)
def _by_first(tokens: frozenset[str]) -> dict[str, tuple[list[int], frozenset[str]]]:
    """First character -> the lengths and the folded texts of the tokens that begin with it: a look-up for each place
    in a text, however many tokens there are (some tokenizers have thousands)."""
    groups: dict[str, set[str]] = {}
    for token in tokens:
        if len(token) > 1:
            folded = _fold(token)
            groups.setdefault(folded[0], set()).add(folded)
    return {c: (sorted({len(t) for t in group}), frozenset(group)) for c, group in groups.items()}


_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _fold(text: str) -> str:
    """Lower case for A to Z only, so that no character becomes two and places stay the same."""
    return text.translate(_ASCII_LOWER)


def is_marker(token: str, special: bool) -> bool:
    """Whether one of a tokenizer's added tokens is to be broken up in texts.

    All that are declared special, and all others with a bracket or bar in them (`<think>`, `<tool_call>`, `[IMG]`);
    not blanks (some vocabularies list runs of line breaks), nor plain words that somebody added to the vocabulary.
    """
    return bool(token.strip()) and (special or any(c in "<>[]{}|｜" for c in token))


def markers(added: Iterable[tuple[str, bool]]) -> frozenset[str]:
    """The markers among a tokenizer's added tokens, given as (text, declared special)."""
    return frozenset(token for token, special in added if is_marker(token, special))
