"""From the alternatives of the first tokens that a server lists to the probability of each legal answer.

A chat server with `logprobs` gives, for every token that it generated, that token's log probability and those of the
likeliest alternatives. The replies it could have given thus form a comb: along the generated tokens, every alternative
is the beginning of another reply, whose probability is the product of those before it and its own. Each beginning is
read as follows, after blanks, quotes, asterisks and the words "rating" and "answer" at its head are taken away:

- it says an answer ("4", "4.", "**4"), or two letters or more with which only one answer begins ("some" of never,
  sometimes, always): its probability counts for that answer;
- several answers may begin with it ("-" of -2, -1; "1" where 10 is an answer too, unless "10" is listed beside it, as
  a tokenizer that writes 10 as one token would): along the generated tokens the next one decides; elsewhere ambiguous;
- anything else: none of the answers.

An answer that the server does not list has share 0; its probability, which is smaller than that of anything listed, is
in `unseen` together with that of replies that are no answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

LEAST_COVERED = 0.5
MOST_AMBIGUOUS = 0.05
_HEAD = re.compile(r"(?:[\s*_`\"'“”‘’(\[{#:>]|rating|answer)+")
_HEAD_WORDS = ("rating", "answer")


@dataclass(frozen=True)
class Position:
    """One generated token, and the probability of every alternative listed for it, itself included."""

    token: str
    probabilities: dict[str, float]


@dataclass(frozen=True)
class Scored:
    """shares of the answers and what was `unseen`; or the `failure`, where too little was seen of them."""

    shares: tuple[float, ...] = ()
    unseen: float = 0.0
    failure: str = ""


def read_positions(logprobs: Any) -> list[Position]:
    """The positions of a choice's `logprobs`; a broken one and what follows are left out. Empty if none is given."""
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    positions: list[Position] = []
    for entry in content if isinstance(content, list) else []:
        token = entry.get("token") if isinstance(entry, dict) else None
        top = entry.get("top_logprobs") if isinstance(entry, dict) else None
        if not isinstance(token, str) or not isinstance(top, list):
            break
        listed = [_pair(each) for each in [*top, entry]]
        probabilities = dict(pair for pair in listed if pair is not None)
        if not top or None in listed or sum(probabilities.values()) > 1.02:
            break
        positions.append(Position(token, probabilities))
    return positions


def _pair(entry: Any) -> tuple[str, float] | None:
    token, logprob = (entry.get("token"), entry.get("logprob")) if isinstance(entry, dict) else (None, None)
    if not isinstance(token, str) or isinstance(logprob, bool) or not isinstance(logprob, int | float):
        return None
    return (token, math.exp(min(logprob, 0.0))) if logprob <= 1e-3 else None


def score(positions: Sequence[Position], answers: Sequence[str]) -> Scored:
    """The share of each answer, from the probabilities of all the beginnings in the comb."""
    names = [_core(answer) for answer in answers]
    if not answers or "" in names or len(set(names)) < len(names):
        return Scored(failure="the answers cannot be told apart by how they begin")
    if not positions:
        return Scored(failure="the server lists no probabilities for its tokens")
    mass, ambiguous = [0.0] * len(names), 0.0
    path, weight = "", 1.0
    for i, position in enumerate(positions):
        listed = [path + token for token in position.probabilities]
        on = False
        for token, probability in position.probabilities.items():
            found = _reading(path + token, names, listed)
            if token == position.token and not isinstance(found, int) and found != "none" and i + 1 < len(positions):
                on = True
            elif isinstance(found, int):
                mass[found] += weight * probability
            elif found == "several":
                said = _said(path + token, names) if token == position.token else None
                if said is None:
                    ambiguous += weight * probability
                else:  # the reply ended here
                    mass[said] += weight * probability
        weight *= position.probabilities[position.token]
        path += position.token
        if not on:
            break
    return _scored(mass, ambiguous)


def _scored(mass: list[float], ambiguous: float) -> Scored:
    covered = sum(mass)
    unseen = min(max(1.0 - covered, 0.0), 1.0)
    if ambiguous > MOST_AMBIGUOUS:
        return Scored(
            unseen=unseen, failure=f"{ambiguous:.0%} of the probability is on tokens that begin several answers"
        )
    if covered < LEAST_COVERED:
        return Scored(unseen=unseen, failure=f"only {covered:.0%} of the probability is on legal answers")
    return Scored(tuple(m / covered for m in mass), unseen)


def _reading(text: str, names: Sequence[str], listed: Sequence[str]) -> int | str:
    """Which answer a beginning says; else "several", "open" (nothing said yet), or "none".

    listed: all beginnings at this position.
    """
    core = _core(text)
    if not core:
        return "open"
    begun = [m for m, name in enumerate(names) if name.startswith(_headless(text))]
    said = _said(text, names)
    if said is not None:
        longer = [names[m] for m in begun if m != said]
        cores = [other for other in map(_core, listed) if len(other) > len(core)]
        return said if all(any(name.startswith(other) for other in cores) for name in longer) else "several"
    if len(begun) == 1 and len(core) > 1 and core[-1].isalpha():
        return begun[0]
    if begun:
        return "several"
    return "open" if any(word.startswith(core) for word in _HEAD_WORDS) else "none"


def _said(text: str, names: Sequence[str]) -> int | None:
    """The longest answer that a text begins with, and that is not the head of a longer word or number there."""
    core = _core(text)
    fits = [m for m, name in enumerate(names) if core.startswith(name) and _ends(core[len(name) :])]
    return max(fits, key=lambda m: len(names[m])) if fits else None


def _ends(rest: str) -> bool:
    return not rest or not (rest[0].isalnum() or rest[0] == "_" or rest[:2].strip(".,/").isdigit())


def _headless(text: str) -> str:
    folded = text.casefold()
    head = _HEAD.match(folded)
    return folded[head.end() if head else 0 :]


def _core(text: str) -> str:
    return _headless(text).rstrip()
