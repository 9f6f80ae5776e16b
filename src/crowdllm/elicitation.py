"""Elicit references: prompts to a backend, answers parsed by the response type, the unparsable counted.

CrowdLLM, Algorithm 1, step 2: y'_k ~ M(f(x, R, C)), k = 1..K. Shapes: T problems, K draws, D response width, M levels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from crowdllm.data.problems import Problems, widest
from crowdllm.errors import MismatchError, UnparsableAnswerError
from crowdllm.llm.prompts import zero_shot
from crowdllm.llm.protocol import Answer, Backend
from crowdllm.reference import Reference
from crowdllm.responses.protocol import Array, ResponseType


def elicit_references(
    problems: Problems,
    response_type: ResponseType,
    backend: Backend,
    draws: int = 8,
    context: str = "",
    requirements: str = "",
    progress: Callable[[str, int, int], None] | None = None,
) -> Reference:
    """Ask the backend about every problem, `draws` times each, and parse what comes back.

    An answer that is no legal response is never guessed at: it becomes NaN and is counted in `unparsable`.

    Raises MismatchError for shares that are not one per level, or one per option of the problem.
    """
    position = {str(identity): t for t, identity in enumerate(problems.ids)}
    most = widest(problems, response_type)
    values = np.full((len(problems), draws, response_type.width(most)), np.nan)
    shares = np.full((len(problems), response_type.summary_width(most)), np.nan)
    asked = unparsable = 0
    prompts = zero_shot(problems, response_type, context, requirements)
    for done, answer in enumerate(backend.ask(prompts, draws), start=1):
        t = position[answer.prompt.problem_id]
        for k, text in enumerate(answer.texts):
            asked += 1
            try:
                parsed = response_type.parse(text, answer.prompt.options)
            except UnparsableAnswerError:
                unparsable += 1
                continue
            values[t, k, : len(parsed)] = parsed
            values[t, k, len(parsed) :] = 0.0
        if answer.shares:
            shares[t] = _shares(answer, response_type, shares.shape[1], backend.name)
        if progress:
            progress("asking for references", done, len(prompts))
    given = not np.isnan(shares).all()
    return Reference(
        name=backend.name,
        mode="distribution" if given else "samples" if draws > 1 else "decision",
        problem_ids=problems.ids,
        values_TKD=values,
        distribution_TM=shares if given else None,
        asked=asked,
        unparsable=unparsable,
    )


def _shares(answer: Answer, response_type: ResponseType, width: int, source: str) -> Array:
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
