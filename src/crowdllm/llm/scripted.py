"""A scripted LLM: answers come from a function or a table. The test double, and a way to try a study without an LLM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from crowdllm.llm.protocol import Answer, Prompt


@dataclass(frozen=True)
class ScriptedBackend:
    """`script`: from (prompt, number of the draw) to an answer's text, or a table problem id -> answers in turn."""

    script: Callable[[Prompt, int], str] | Mapping[str, Sequence[str]]
    name: str = "scripted"

    def ask(self, prompts: Sequence[Prompt], draws: int) -> Iterator[Answer]:
        for prompt in prompts:
            if callable(self.script):
                yield Answer(prompt, tuple(self.script(prompt, k) for k in range(draws)))
            else:
                yield Answer(prompt, tuple(self.script.get(prompt.problem_id, ())[:draws]))
