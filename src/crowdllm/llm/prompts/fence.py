"""Keep data data: text that stands in a prompt can neither close its fence nor pass for the LLM's own control marks.

Markers of chat templates and control characters are made harmless by `crowdllm.llm.chat_text`; here the fence itself
gets a blank in its middle, so that it stays readable and ends nothing, and line ends become `\\n`. Right-to-left marks,
joiners and emoji stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable

from crowdllm.llm.chat_text import neutral

FENCE = "<<<>>>"


def fenced(text: str) -> str:
    """The text as data: see the module. Linear in its length, whatever stands in it."""
    return neutral(_lines(text)).replace(FENCE, f"{FENCE[:3]} {FENCE[3:]}")


def between_fences(text: str) -> str:
    """An item with its two fences, each on a line of its own."""
    return f"{FENCE}\n{fenced(text)}\n{FENCE}"


def altered(texts: Iterable[str]) -> int:
    """How many of these texts hold something that `fenced` has to change (line ends aside)."""
    return sum(fenced(text) != _lines(text) for text in texts)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
