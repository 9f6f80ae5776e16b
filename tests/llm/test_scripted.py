"""The scripted backend: answers from a function or a table, one per draw."""

from __future__ import annotations

from crowdllm.llm.protocol import Prompt, Request, Sampling
from crowdllm.llm.scripted import ScriptedBackend

PROMPTS = [Prompt("a", "A?"), Prompt("b", "B?")]


def test_a_function_is_asked_once_per_prompt_and_draw() -> None:
    requests = [Request(prompt, (0, 1, 5)) for prompt in PROMPTS]
    answers = list(ScriptedBackend(lambda prompt, k: f"{prompt.problem_id}{k}").ask(requests, Sampling()))
    assert [a.texts for a in answers] == [("a0", "a1", "a5"), ("b0", "b1", "b5")]
    assert [a.prompt for a in answers] == PROMPTS
    assert [a.draws for a in answers] == [(0, 1, 5)] * 2


def test_a_table_gives_its_answers_in_turn_and_no_more_than_it_has() -> None:
    backend = ScriptedBackend({"a": ["1", "2", "3"], "c": ["9"]}, name="table")
    answers = list(backend.ask([Request(prompt, (0, 2, 3)) for prompt in PROMPTS], Sampling()))
    assert [(a.draws, a.texts) for a in answers] == [((0, 2), ("1", "3")), ((), ())]
    assert (backend.name, backend.identity, backend.scores) == ("table", "scripted:table", False)
