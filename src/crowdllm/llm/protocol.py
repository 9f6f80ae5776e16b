"""What an LLM backend does: answer requests (a prompt and the numbers of its draws), each as soon as it is complete.

A backend only turns prompts into texts, and shares of the legal answers where it can give them; what is asked, parsing,
counting and aggregating are the same for all of them, in `crowdllm.elicitation`. The cache (`crowdllm.llm.cache`) is a
backend around another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Prompt:
    """One question put to an LLM about one problem.

    text: what the user of a chat says; system: what the system message says, none when empty.
    options: the problem's own options, for parsing.
    answers: every legal answer as it would be typed, in the order of levels or options, where they can be listed
        (ordinal, choice; the single options of a ballot); these are what `options` mode scores.
    """

    problem_id: str
    text: str
    options: tuple[str, ...] = ()
    system: str = ""
    answers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sampling:
    """What is asked of the LLM, and with which settings; independent of the server, and part of the cache's key.

    scores: False for texts; True for `Answer.shares`, the probability of each of the prompt's `answers`.
    """

    temperature: float = 1.0
    max_tokens: int = 64
    scores: bool = False


@dataclass(frozen=True)
class Request:
    """A prompt, and the numbers of the draws that are wanted of it (0, 1, ...)."""

    prompt: Prompt
    draws: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Usage:
    """What an answer cost: calls and tokens; what a server did not say is estimated, and counted in `estimated`."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: int = 0


@dataclass(frozen=True)
class Answer:
    """What came back for some draws of one prompt.

    draws, texts: the draw numbers that were answered and their texts, in the same order; a backend may answer the
        draws of one request in several Answers, and fewer draws than asked where it has no more.
    shares: the backend's own distribution over the prompt's `answers`, in their order; empty where it gives none.
        Where scores were asked for, an Answer has shares and neither draws nor texts.
    unseen: the probability that was seen on none of the answers before the shares were made to add up to 1.
    failure: why the backend gave up on these draws; empty when it answered.
    """

    prompt: Prompt
    draws: tuple[int, ...]
    texts: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    unseen: float = 0.0
    failure: str = ""
    usage: Usage = Usage()


class Backend(Protocol):
    """A source of answers."""

    @property
    def name(self) -> str:
        """Goes into every artifact made from its answers, and names its reference features."""
        ...

    @property
    def identity(self) -> str:
        """What answers, apart from where it runs: the model's name and revision. Part of the cache's key."""
        ...

    @property
    def scores(self) -> bool:
        """Whether it can give the probability of each legal answer."""
        ...

    def ask(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Answer]:
        """Answers in any order, each as soon as it is complete; every request ends as answers or a failure.

        Raises CrowdLLMError only for what no retry can mend for any request (no server, a wrong key, no such model).
        """
        ...
