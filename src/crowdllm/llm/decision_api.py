"""The two decision forms of LLM servers: a question with listed answers there, a probability for each of them back.

- `/systemone` (TypeSafe's System One; here as in transformers 5.23, `cli/serving/systemone.py` and
  `decision/template_utils.py`): `state` is any text, `questions` maps names to {"type": "choice", "criteria": {option:
  description}} or {"type": "score", "criteria": [level, ...]}; the reply's `answers[name].probabilities` is keyed by
  option, or by the level's number as a text. No more than 26 options.
- `/decisions` (OpenAI's; as in openai-python 3.52, `types/decision_create_params.py` and `types/decision.py`): `input`
  is a text or messages, `questions` a list of {"type": "choice", "choices": [{"value": ...}]} or {"type": "score",
  "levels": [{"label": ...}]} with `instructions`; the reply's `answers` come in the same order, with `probabilities`
  as a list of {"value" or "label", "probability"}, or of the type "refusal".

A scale is asked as `score`, options as `choice`. Neither form generates text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from crowdllm.llm.http import PassingFault
from crowdllm.llm.protocol import Prompt

PATHS = {"systemone": "/systemone", "decisions": "/decisions"}
_INSTRUCTIONS = "Which answer does the text ask for?"
_NAME = "answer"
PROBE = Prompt("probe", "The sky is blue. Is the sky blue?", ("yes", "no"), answers=("A", "B"))


def decision_body(way: str, model: str, prompt: Prompt) -> dict[str, Any]:
    """The request in the form `way`, a key of PATHS."""
    return _systemone(model, prompt) if way == "systemone" else _decisions(model, prompt)


def read_decision(way: str, reply: dict[str, Any], prompt: Prompt) -> tuple[float, ...] | str:
    """The share of each of the prompt's answers, in their order; a text where the LLM declined to answer.

    Raises PassingFault for a reply that is not of the form.
    """
    answers = reply.get("answers")
    if way == "systemone":
        answer = answers.get(_NAME) if isinstance(answers, dict) else None
    else:
        answer = answers[0] if isinstance(answers, list) and answers else None
    if not isinstance(answer, dict):
        raise PassingFault("the reply has no answer to the question", billed=True)
    if answer.get("type") == "refusal":
        return "the LLM declined to answer"
    found = answer.get("probabilities")
    table = _keyed(found) if isinstance(found, list) else found
    if not isinstance(table, dict):
        raise PassingFault("the reply has no probabilities", billed=True)
    keys = [str(m) for m in range(len(prompt.answers))] if _is_score(prompt) else list(prompt.answers)
    if way == "decisions":
        keys = list(prompt.answers)
    return _normalised([table.get(key) for key in keys])


def _is_score(prompt: Prompt) -> bool:
    return not prompt.options


def _described(prompt: Prompt) -> list[str]:
    """What each answer means, where it is a label of one of the problem's options; else ""."""
    if len(prompt.options) != len(prompt.answers):
        return [""] * len(prompt.answers)
    return ["" if option == answer else option for option, answer in zip(prompt.options, prompt.answers, strict=True)]


def _systemone(model: str, prompt: Prompt) -> dict[str, Any]:
    state = f"{prompt.system}\n\n{prompt.text}" if prompt.system else prompt.text
    question: dict[str, Any] = {"type": "score", "instructions": _INSTRUCTIONS, "criteria": list(prompt.answers)}
    if not _is_score(prompt):
        meanings = dict(zip(prompt.answers, (words or None for words in _described(prompt)), strict=True))
        question |= {"type": "choice", "criteria": meanings}
    return {"model": model, "state": state, "questions": {_NAME: question}}


def _decisions(model: str, prompt: Prompt) -> dict[str, Any]:
    source: Any = prompt.text
    if prompt.system:
        source = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.text}]
    question: dict[str, Any] = {"type": "score", "name": _NAME, "instructions": _INSTRUCTIONS}
    if _is_score(prompt):
        question["levels"] = [{"label": answer} for answer in prompt.answers]
    else:
        pairs = zip(prompt.answers, _described(prompt), strict=True)
        choices = [{"value": a, "description": words} if words else {"value": a} for a, words in pairs]
        question |= {"type": "choice", "choices": choices}
    return {"model": model, "input": source, "questions": [question]}


def _keyed(entries: list[Any]) -> dict[str, Any]:
    """A list of probabilities by label (of a level) or value (of a choice)."""
    pairs = [(e.get("label", e.get("value")), e.get("probability")) for e in entries if isinstance(e, dict)]
    return {key: probability for key, probability in pairs if isinstance(key, str)}


def _normalised(found: Sequence[Any]) -> tuple[float, ...]:
    numbers = [n for n in found if isinstance(n, int | float) and not isinstance(n, bool) and 0 <= n <= 1.001]
    total = math.fsum(numbers)
    if len(numbers) < len(found) or not abs(total - 1) <= 0.02:
        raise PassingFault("the reply's probabilities are not one for each answer that add up to 1", billed=True)
    return tuple(n / total for n in numbers)
