"""The scripted backend: answers from a function or a table, one per draw."""

from __future__ import annotations

from crowdllm.llm.protocol import Prompt
from crowdllm.llm.scripted import ScriptedBackend

PROMPTS = [Prompt("a", "A?"), Prompt("b", "B?")]


def test_a_function_is_asked_once_per_prompt_and_draw() -> None:
    answers = list(ScriptedBackend(lambda prompt, k: f"{prompt.problem_id}{k}").ask(PROMPTS, 3))
    assert [a.texts for a in answers] == [("a0", "a1", "a2"), ("b0", "b1", "b2")]
    assert [a.prompt for a in answers] == PROMPTS


def test_a_table_gives_its_answers_in_turn_and_no_more_than_it_has() -> None:
    answers = list(ScriptedBackend({"a": ["1", "2", "3"], "c": ["9"]}, name="table").ask(PROMPTS, 2))
    assert [a.texts for a in answers] == [("1", "2"), ()]
