"""Ask what a plan wants: every answer read or counted, and one that cannot be read asked for once more.

The second time the same draw is asked for with another prompt, which repeats the answer format; what cannot be read
then is recorded as unparsable with both texts. Nothing is asked twice otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from crowdllm.elicitation.modes import Plan, Wanted, requests
from crowdllm.errors import MismatchError, UnparsableAnswerError
from crowdllm.llm.protocol import Answer, Backend, Usage
from crowdllm.llm.usage import add
from crowdllm.responses.protocol import Array


@dataclass(frozen=True)
class Outcome:
    """What became of one draw of one prompt: read (with its value), unparsable (with its texts) or failed (why)."""

    kind: Literal["read", "unparsable", "failed"]
    value: Array | None = None
    text: str = ""
    again: str = ""


@dataclass(frozen=True)
class Tally:
    """How far the asking is. done, of: draws in this round; again: whether it is the second round."""

    done: int
    of: int
    again: bool
    unparsable: int
    failed: int
    usage: Usage


@dataclass
class Asked:
    """What came back: the outcome per wanted draw (none where the backend had no more), shares per problem, usage.

    counts: how many outcomes there are of each kind. repeated: how many draws were asked for twice.
    """

    outcomes: dict[Wanted, Outcome] = field(default_factory=dict)
    shares: dict[str, Answer] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    usage: Usage = field(default_factory=Usage)
    repeated: int = 0

    def note(self, wanted: Wanted, outcome: Outcome) -> None:
        """Take an outcome in; one of a draw that has one already is of its repetition."""
        first = self.outcomes.get(wanted)
        if first is not None:
            self.counts[first.kind] -= 1
            outcome = outcome if outcome.kind == "read" else _twice(first, outcome)
        self.outcomes[wanted] = outcome
        self.counts[outcome.kind] += 1


def _twice(first: Outcome, second: Outcome) -> Outcome:
    text = second.text if second.kind == "unparsable" else f"(failed: {second.text})"
    return Outcome("unparsable", text=first.text, again=text)


def ask(plan: Plan, backend: Backend, watch: Callable[[Tally], None] | None = None, repeat: bool = True) -> Asked:
    """Ask the backend everything the plan wants.

    watch: told after every answer; what it raises stops the asking. repeat: whether what is unparsable is asked again.
    """
    asked = Asked()
    _round(plan, backend, {wanted: wanted for wanted in plan.wanted}, asked, watch)
    repeats: dict[Wanted, Wanted] = {}
    if repeat and not plan.sampling.scores:
        for wanted, outcome in asked.outcomes.items():
            if outcome.kind == "unparsable":
                repeats[plan.again(wanted[0]), wanted[1]] = wanted
    asked.repeated = len(repeats)
    if repeats:
        _round(plan, backend, repeats, asked, watch)
    return asked


def _round(
    plan: Plan,
    backend: Backend,
    originals: Mapping[Wanted, Wanted],
    asked: Asked,
    watch: Callable[[Tally], None] | None,
) -> None:
    """Ask for each of these draws, and note its outcome under the original one."""
    wanted = requests(originals)
    draws = {request.prompt: request.draws for request in wanted}
    done = 0
    answers = backend.ask(wanted, plan.sampling)
    try:
        for answer in answers:
            asked.usage = add(asked.usage, answer.usage)
            for k, outcome in _outcomes(plan, answer, draws[answer.prompt]):
                asked.note(originals[answer.prompt, k], outcome)
                done += 1
            if answer.shares:
                asked.shares[answer.prompt.problem_id] = answer
            if watch:
                counts = asked.counts
                again = asked.repeated > 0
                watch(Tally(done, len(originals), again, counts["unparsable"], counts["failed"], asked.usage))
    finally:  # a backend that is stopped half-way ends what is under way
        close = getattr(answers, "close", None)
        if close:
            close()


def _outcomes(plan: Plan, answer: Answer, wanted: Sequence[int]) -> Iterator[tuple[int, Outcome]]:
    if answer.failure:
        for k in answer.draws or wanted:
            yield k, Outcome("failed", text=answer.failure)
    elif plan.sampling.scores and answer.shares:
        for k in answer.draws or wanted:
            yield k, _scored(plan, answer)
    else:
        for k, text in zip(answer.draws, answer.texts, strict=True):
            try:
                yield k, Outcome("read", plan.read(text, answer.prompt))
            except UnparsableAnswerError:
                yield k, Outcome("unparsable", text=text)


def _scored(plan: Plan, answer: Answer) -> Outcome:
    """The shares of the answers, whatever part of the probability they are of (`laying` reports that)."""
    shares = np.asarray(answer.shares, dtype=float)
    expected = len(answer.prompt.answers)
    if len(shares) != expected or not (shares >= 0).all() or not abs(shares.sum() - 1) <= 0.02:
        raise MismatchError(
            f"the backend gives {len(shares)} shares that add up to {shares.sum():g} for problem "
            f"{answer.prompt.problem_id!r}, which has {expected} answers: one share for each is needed, adding up to 1"
        )
    return Outcome("read", shares / shares.sum())
