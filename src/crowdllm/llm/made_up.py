"""Made-up answers in the format asked for: a stand-in that tries a study's prompts and files without any LLM.

They say nothing about anything: every legal answer is about as likely as any other, whatever the problem says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import numpy as np

from crowdllm.llm.prompts.distribution import QUANTILES
from crowdllm.llm.protocol import Prompt
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import ResponseType
from crowdllm.responses.ranking import Ranking
from crowdllm.rng import generator


def made_up_answers(response_type: ResponseType, distribution: bool = False) -> Callable[[Prompt, int], str]:
    """A script for `ScriptedBackend`: the same answer to the same draw of the same prompt, always a legal one."""

    def answer(prompt: Prompt, draw: int) -> str:
        digest = hashlib.blake2b(f"{draw}\0{prompt.text}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        rng = generator(int.from_bytes(digest, "little"), "made-up answers")
        if distribution:
            return _crowd(response_type, prompt.options, rng)
        return _response(response_type, prompt.options, rng)

    return answer


def _crowd(kind: ResponseType, options: tuple[str, ...], rng: np.random.Generator) -> str:
    if isinstance(kind, Continuous):
        return json.dumps(sorted(_number(kind, rng) for _ in range(QUANTILES)))
    keys = kind.levels if isinstance(kind, Ordinal) else [f"#{i + 1}" for i in range(len(options))]
    counts = rng.multinomial(100, rng.dirichlet(np.ones(len(keys)))).tolist()
    return json.dumps(dict(zip(keys, counts, strict=True)), ensure_ascii=False)


def _response(kind: ResponseType, options: tuple[str, ...], rng: np.random.Generator) -> str:
    if isinstance(kind, Ordinal):
        return f"Rating: {kind.levels[int(rng.integers(len(kind.levels)))]}"
    if isinstance(kind, Continuous):
        return f"Answer: {_number(kind, rng)}"
    order = [f"#{i + 1}" for i in rng.permutation(len(options)).tolist()]
    if isinstance(kind, Ballot):
        size = int(rng.integers(kind.min_picks, min(kind.max_picks, len(options)) + 1))
        return kind.write_cell(np.isin([f"#{i + 1}" for i in range(len(options))], order[:size]).astype(float))
    if isinstance(kind, Points):
        units = rng.multinomial(kind.budget // kind.step, np.full(len(options), 1 / len(options))) * kind.step
        return kind.write_cell(units.astype(float))
    if isinstance(kind, Ranking):
        return f"Ranking: {', '.join(order[: kind.depth or len(order)])}"
    return f"Answer: {order[0]}"


def _number(kind: Continuous, rng: np.random.Generator) -> float:
    low = kind.low if kind.low is not None else (kind.high or 0.0) - 10.0
    high = kind.high if kind.high is not None else low + 10.0
    return min(max(round(float(rng.uniform(low, high)), 3), low), high)
