"""Elicit references: prompts to a backend, answers parsed by the response type, the unparsable counted.

CrowdLLM, Algorithm 1, step 2: y'_k ~ M(f(x, R, C)), k = 1..K. Shapes: T problems, K draws, D response width, M levels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from crowdllm.data.problems import Problems
from crowdllm.errors import UnparsableAnswerError
from crowdllm.llm.prompts import zero_shot
from crowdllm.llm.protocol import Backend
from crowdllm.reference import Reference
from crowdllm.responses.protocol import ResponseType


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
    """
    position = {str(identity): t for t, identity in enumerate(problems.ids)}
    most = int(problems.option_counts.max(initial=0))
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
        if len(answer.shares) == shares.shape[1]:
            shares[t] = answer.shares
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
