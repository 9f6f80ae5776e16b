"""Read recorded answers as a reference: parsed like an LLM's own, and never asked for again."""

from __future__ import annotations

from crowdllm.data.problems import Problems
from crowdllm.elicitation.asking import ask
from crowdllm.elicitation.laying import lay
from crowdllm.elicitation.modes import MODES, Plan
from crowdllm.llm.prompts import DEFAULTS
from crowdllm.llm.protocol import Prompt, Sampling
from crowdllm.llm.recorded import RecordedBackend
from crowdllm.reference import Reference
from crowdllm.responses.protocol import ResponseType


def recorded_plan(backend: RecordedBackend, problems: Problems, response_type: ResponseType) -> Plan:
    """As if every draw of the table were asked for."""
    draws = max(backend.draws, 1)
    prompts = [
        Prompt(str(identity), "", options) for identity, options in zip(problems.ids, problems.options, strict=True)
    ]
    wanted = {(prompt, k): ((t, k),) for t, prompt in enumerate(prompts) for k in range(draws)}
    return Plan(
        MODES["samples" if draws > 1 else "decision"], problems, response_type, draws, Sampling(), wanted, DEFAULTS
    )


def recorded_reference(backend: RecordedBackend, problems: Problems, response_type: ResponseType) -> Reference:
    """What a table says about these problems: a distribution where it has shares, else its draws.

    Raises MismatchError for shares that are not one per level or option.
    """
    plan = recorded_plan(backend, problems, response_type)
    return lay(plan, ask(plan, backend, repeat=False), backend.name)
