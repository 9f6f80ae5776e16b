"""The probability that a language model gives to each legal answer, exactly, without generating any text.

An answer's score is the probability that the model's reply *begins with* it, token by token as the tokenizer writes
it, and with no longer answer that begins with it: where "1" and "10" are both legal, "1" counts every reply that begins
with "1" but not with "10". With tokens a_1..a_n of answer a after the prompt x,

    begins(a) = prod_j p(a_j | x, a_1..a_{j-1}),   P(a) = begins(a) - sum of begins(b), b the shortest that extend a,

and the shares are P normalised over the answers; `unseen` is what is left, 1 - sum P(a). So for answers of which none
begins another, the shares are the softmax of the summed log probabilities, and for single tokens the softmax of their
logits: what servers report as probabilities of options. No end-of-turn token is scored: models close a turn in several
ways ("4", "4.", "4" and a line break), and these must not count against an answer.

Cost: one pass over the prompts, and one over the *different* beginnings of answers, that is every token of an answer
but its last; none at all where each answer is a single token.

Shapes: B prompts, M answers, R rows of tokens to run, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from crowdllm.llm.causal_lm import Prefilled, advance, branch, log_probabilities

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """What must be run to score a prompt's answers, and how they are put together.

    rows: the longest beginnings of answers (all tokens but the last), which contain all the others.
    asked: for each row, which answers' tokens are looked up after its tokens: (position in the row, token, answer).
    longer: for each answer, the shortest others that begin with it.
    """

    rows: tuple[Tokens, ...]
    asked: tuple[tuple[tuple[int, int, int], ...], ...]
    longer: tuple[tuple[int, ...], ...]


@lru_cache(maxsize=64)
def plan(answers: tuple[Tokens, ...]) -> Plan:
    """How to score these answers; every beginning they have in common is run once."""
    needed = {answer[:n] for answer in answers for n in range(1, len(answer))}
    rows = tuple(sorted(needed - {tokens[:n] for tokens in needed for n in range(1, len(tokens))}))
    row_of = {row[:n]: r for r, row in enumerate(rows) for n in range(1, len(row) + 1)}
    asked: list[list[tuple[int, int, int]]] = [[] for _ in rows]
    longer: list[list[int]] = [[] for _ in answers]
    known = {answer: m for m, answer in enumerate(answers)}
    for m, answer in enumerate(answers):
        for n in range(1, len(answer)):
            asked[row_of[answer[:n]]].append((n - 1, answer[n], m))
        shorter = next((known[answer[:n]] for n in range(len(answer) - 1, 0, -1) if answer[:n] in known), None)
        if shorter is not None:
            longer[shorter].append(m)
    return Plan(rows, tuple(map(tuple, asked)), tuple(map(tuple, longer)))


def score_answers(
    prefilled: Prefilled, answers_B: Sequence[tuple[Tokens, ...]], size: int
) -> list[NDArray[np.float64]]:
    """For each of B prompts, (M,) logarithms of begins(a); prompts may have different answers.

    size: how many rows are run at a time.
    """
    first_BV = log_probabilities(prefilled.last_BV)
    out = [first_BV[b, [answer[0] for answer in answers]].cpu().numpy().copy() for b, answers in enumerate(answers_B)]
    rows = [(b, r) for b, answers in enumerate(answers_B) for r in range(len(plan(answers).rows))]
    for start in range(0, len(rows), size):
        chunk = rows[start : start + size]
        tokens = [plan(answers_B[b]).rows[r] for b, r in chunk]
        _, logits_RnV = advance(branch(prefilled, [b for b, _ in chunk]), tokens)
        for (b, r), logits_nV in zip(chunk, logits_RnV, strict=True):
            position, token, answer = (list(column) for column in zip(*plan(answers_B[b]).asked[r], strict=True))
            np.add.at(out[b], answer, log_probabilities(logits_nV)[position, token].cpu().numpy())
    return out


def shares(begins_M: NDArray[np.float64], answers: tuple[Tokens, ...]) -> tuple[NDArray[np.float64], float]:
    """(M,) shares of the answers and the probability of replies that begin with none, from log begins(a).

    Raises ValueError where the model's numbers are no probabilities: NaN, or nothing for any answer.
    """
    longer = plan(answers).longer
    log_M = np.array([begin + _not_extended(begin, begins_M[list(longer[m])]) for m, begin in enumerate(begins_M)])
    top = log_M.max()
    if not np.isfinite(top):
        raise ValueError("the model's numbers are no probabilities (not finite)")
    weight_M = np.exp(log_M - top)
    return weight_M / weight_M.sum(), max(0.0, 1.0 - float(np.exp(top) * weight_M.sum()))


def _not_extended(begin: float, longer: NDArray[np.float64]) -> float:
    """The logarithm of the probability that a reply with this beginning goes on to none of the longer answers."""
    if not len(longer) or np.isneginf(begin):
        return 0.0
    rest = 1.0 - float(np.exp(longer - begin).sum())
    return float(np.log(rest)) if rest > 0 else -np.inf if rest <= 0 else np.nan
