"""A scripted LLM: answers come from a function or a table. The test double, and a way to try a study without an LLM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from crowdllm.llm.protocol import Answer, Prompt, Request, Sampling


@dataclass(frozen=True)
class ScriptedBackend:
    """`script`: from (prompt, number of the draw) to an answer's text, or a table problem id -> answers in turn."""

    script: Callable[[Prompt, int], str] | Mapping[str, Sequence[str]]
    name: str = "scripted"

    @property
    def identity(self) -> str:
        return f"scripted:{self.name}"

    @property
    def scores(self) -> bool:
        return False

    def ask(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Answer]:
        for request in requests:
            if callable(self.script):
                draws = request.draws
                texts = tuple(self.script(request.prompt, k) for k in draws)
            else:
                known = self.script.get(request.prompt.problem_id, ())
                draws = tuple(k for k in request.draws if k < len(known))
                texts = tuple(known[k] for k in draws)
            yield Answer(request.prompt, draws, texts)
