"""Find the answer in an LLM's text: strictly, so that whatever is more than an answer is refused.

Read, besides the plain answer: a label before it (`Rating: 4`), a full stop after it, one pair of brackets or quotes
around it, Markdown emphasis (`**Rating:** 4`), a block of code, a JSON object with one key (`{"answer": 4}`), and all
these after a reasoning model's `</think>`. Refused, among others: two numbers ("between 3 and 4", "5/5"), numbers as
words where the scale has digits ("five" stands in refusals and explanations of any language), explanations before or
after the answer, other labels, other scripts' digits. Who asks may ask again; nothing is guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from crowdllm.errors import UnparsableAnswerError
from crowdllm.responses.protocol import Array

END_OF_THOUGHT = "</think>"
LONGEST_JSON = 20_000
_BLOCK = re.compile(r"```[a-zA-Z]{0,10}[ \t]*\n([^`]*)```")
_MARKS = ("**", "__", "*", "_", "`")


def read_answer(text: str, label: str, read: Callable[[str], Array], allowed: str) -> Array:
    """What `read` makes of the first form of the answer that it can read; see the module for the forms.

    label: a regular expression for the words that may stand before the answer, besides "answer" and "response".

    Raises UnparsableAnswerError with the whole text where no form is legal.
    """
    for form in dict.fromkeys(_forms(text, label)):
        try:
            return read(form)
        except UnparsableAnswerError:
            continue
    raise UnparsableAnswerError(text, allowed)


def _forms(text: str, label: str) -> Iterator[str]:
    yield text.strip()
    whole = answer_part(text)
    yield whole
    inside = _json_answer(whole, label)
    if inside is not None:
        yield inside
        return
    plain = _unmarked(whole)
    labelled = re.match(
        rf"(\*\*|__|\*|_|`|)(?:{label}|answer|response)(?:\1\s*[:=]|\s*[:=]\1)\s*", plain, flags=re.IGNORECASE
    )
    body = _unmarked(plain[labelled.end() :]) if labelled else plain
    unstopped = _unmarked(body.removesuffix(".").rstrip())
    yield from (plain, body, unstopped)
    if len(unstopped) > 1 and unstopped[0] + unstopped[-1] in ("[]", "()", '""', "''"):
        yield unstopped[1:-1].strip()


def answer_part(text: str) -> str:
    """The text after a reasoning model's thoughts, and out of a block of code where that is all there is."""
    whole = text.strip()
    if whole.count(END_OF_THOUGHT) == 1:
        whole = whole.partition(END_OF_THOUGHT)[2].strip()
    block = _BLOCK.fullmatch(whole)
    return block.group(1).strip() if block else whole


def strict_json(text: str) -> Any:
    """The JSON value in a text; objects become lists of (key, value), so that a key that comes twice is seen.

    Raises ValueError for what is no JSON, for NaN and infinities, for whole numbers beyond any use, and for long texts.
    """
    if len(text) > LONGEST_JSON:
        raise ValueError("longer than any answer")
    try:
        return json.loads(text, object_pairs_hook=Pairs, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


class Pairs(list[tuple[str, Any]]):
    """The members of a JSON object in their order."""


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number")


def _json_answer(whole: str, label: str) -> str | None:
    """The answer in `{"label": answer}` as it would be typed; None where the text is no such object."""
    if not whole.startswith("{"):
        return None
    try:
        members = strict_json(whole)
    except ValueError:
        return None
    if not isinstance(members, Pairs) or len(members) != 1:
        return None
    key, value = members[0]
    if not re.fullmatch(rf"(?:{label}|answer|response)", key, flags=re.IGNORECASE):
        return None
    if isinstance(value, Pairs):
        parts = [f"{name}={_word(points)}" for name, points in value if _word(points) is not None]
        return _list(parts) if len(parts) == len(value) else None
    if isinstance(value, list):
        words = [_word(entry) for entry in value]
        return None if None in words else _list([word for word in words if word is not None])
    return _word(value)


def _word(value: Any) -> str | None:
    """A text or a number as it would be typed; None for anything else."""
    if isinstance(value, str):
        return value.strip()
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _list(parts: list[str]) -> str | None:
    """Several parts as one list; `|` alone where there are none."""
    return None if any("|" in part or not part for part in parts) else "|".join(parts) or "|"


def _unmarked(text: str) -> str:
    """The text without Markdown emphasis around all of it, at most twice (`**_4_**`)."""
    for _ in range(2):
        mark = next((m for m in _MARKS if text.startswith(m) and text.endswith(m) and len(text) > 2 * len(m)), "")
        inner = text[len(mark) : len(text) - len(mark)]
        if not mark or mark[0] in inner:
            return text
        text = inner.strip()
    return text
