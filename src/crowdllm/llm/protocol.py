"""What an LLM backend does: answer prompts, K draws each, as they come.

A backend only turns prompts into texts (and shares of the legal answers, where it can give them); parsing, counting and
aggregating are the same for all of them, in `crowdllm.elicitation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Prompt:
    """One question put to an LLM about one problem."""

    problem_id: str
    text: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What came back for one prompt.

    texts: up to K answers as they were given; fewer where the backend has no more.
    shares: the backend's own distribution over the levels or options, in their order; empty where it gives none.
    """

    prompt: Prompt
    texts: tuple[str, ...]
    shares: tuple[float, ...] = ()


class Backend(Protocol):
    """A source of answers. `name` goes into every artifact made from them."""

    @property
    def name(self) -> str: ...

    def ask(self, prompts: Sequence[Prompt], draws: int) -> Iterator[Answer]:
        """One Answer per prompt, in any order, as soon as each is complete."""
        ...
