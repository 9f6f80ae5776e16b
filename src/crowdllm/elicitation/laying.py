"""Lay outcomes where they belong: a `Reference` with its draws or shares, and the account of what is not there.

Shapes: T problems, K draws, D response width, M levels or options.
"""

from __future__ import annotations

import numpy as np

from crowdllm.data.problems import widest
from crowdllm.elicitation.asking import Asked, Outcome
from crowdllm.elicitation.modes import Plan
from crowdllm.errors import MismatchError
from crowdllm.llm.prompts.distribution import QUANTILES
from crowdllm.llm.protocol import Answer
from crowdllm.reference import Reference, Unread
from crowdllm.responses.protocol import Array, ResponseType

MOSTLY_UNSEEN = 0.5


def lay(plan: Plan, asked: Asked, name: str) -> Reference:
    """The reference that these outcomes make.

    A backend that gives shares unasked (recorded tables do) makes a distribution of them.

    Raises MismatchError for shares that are not one per level, or one per option of the problem.
    """
    kind, problems = plan.response_type, plan.problems
    most = widest(problems, kind)
    given = _given_shares(plan, asked, name)
    if plan.mode.name in ("distribution", "options") and kind.kind != "continuous":
        values = np.full((len(problems), 1, kind.width(most)), np.nan)
        shares: Array | None = _mean_shares(plan, asked, kind.summary_width(most))
    elif plan.mode.name == "distribution":
        values, shares = _mean_shares(plan, asked, QUANTILES)[:, :, None], None
    else:
        values, shares = _draws(plan, asked, kind.width(most)), given
    counts = {"read": 0, "unparsable": 0, "failed": 0}
    unread = []
    for wanted, slots in plan.wanted.items():
        outcome = asked.outcomes.get(wanted)
        if outcome is None:
            continue
        counts[outcome.kind] += len(slots)
        if outcome.kind != "read":
            unread += [_unread(problems.ids[t], k, outcome) for t, k in slots]
    total = sum(len(slots) for slots in plan.wanted.values())
    silent = sum(len(s) for w, s in plan.wanted.items() if w not in asked.outcomes and w[0].problem_id in asked.shares)
    return Reference(
        name=name,
        mode="distribution" if given is not None else plan.mode.name,
        problem_ids=problems.ids,
        values_TKD=values,
        distribution_TM=shares,
        asked=sum(counts.values()),
        unparsable=counts["unparsable"],
        failed=counts["failed"],
        missing=total - sum(counts.values()) - silent,
        note="; ".join((*plan.notes, *_unseen(asked))),
        unread=tuple(sorted(unread, key=lambda u: (u.problem, u.draw))),
    )


def _draws(plan: Plan, asked: Asked, width: int) -> Array:
    """(T, K, D) the responses that were read, NaN where none was."""
    values = np.full((len(plan.problems), plan.draws, width), np.nan)
    for wanted, outcome in asked.outcomes.items():
        if outcome.value is not None:
            for t, k in plan.wanted[wanted]:
                values[t, k, : len(outcome.value)] = outcome.value
                values[t, k, len(outcome.value) :] = 0.0
    return values


def _mean_shares(plan: Plan, asked: Asked, width: int) -> Array:
    """(T, M) the mean of the distributions that were read, 0 for options that a problem lacks, NaN where none was."""
    total, count = np.zeros((len(plan.problems), width)), np.zeros((len(plan.problems), 1))
    for wanted, outcome in asked.outcomes.items():
        if outcome.value is not None:
            for t, _ in plan.wanted[wanted]:
                total[t, : len(outcome.value)] += outcome.value
                count[t] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _given_shares(plan: Plan, asked: Asked, name: str) -> Array | None:
    """(T, M) shares that came unasked, beside or instead of answers; None where there are none."""
    if not asked.shares or plan.sampling.scores:
        return None
    most = widest(plan.problems, plan.response_type)
    shares = np.full((len(plan.problems), plan.response_type.summary_width(most)), np.nan)
    for t, identity in enumerate(plan.problems.ids):
        if str(identity) in asked.shares:
            shares[t] = one_per_answer(asked.shares[str(identity)], plan.response_type, shares.shape[1], name)
    return shares


def one_per_answer(answer: Answer, response_type: ResponseType, width: int, source: str) -> Array:
    """(M,) shares of one answer, 0 for options that its problem does not have."""
    if response_type.kind == "continuous":
        raise MismatchError(f"source {source!r} gives shares, which a continuous scale has no levels for: give answers")
    count = len(answer.prompt.options) if response_type.has_options else width
    if len(answer.shares) != count:
        what = "options" if response_type.has_options else "levels"
        raise MismatchError(
            f"source {source!r} gives {len(answer.shares)} shares for problem {answer.prompt.problem_id!r}, "
            f"which has {count} {what}: give one share for each"
        )
    return np.pad(np.asarray(answer.shares, dtype=float), (0, width - count))


def _unread(problem: object, draw: int, outcome: Outcome) -> Unread:
    return Unread(str(problem), draw, outcome.kind, outcome.text, outcome.again)


def _unseen(asked: Asked) -> list[str]:
    """How much probability fell on other words than the answers, where probabilities were asked for."""
    unseen = [answer.unseen for answer in asked.shares.values()]
    if not any(unseen):
        return []
    mostly = sum(part > MOSTLY_UNSEEN for part in unseen)
    text = f"{sum(unseen) / len(unseen):.1%} of the probability fell on other words than the answers"
    return [text + (f", more than half of it for {mostly:,} problems" if mostly else "")]
