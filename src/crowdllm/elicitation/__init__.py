"""Elicit references: prompts to a backend, answers parsed by the response type, the unparsable asked again and counted.

CrowdLLM, Algorithm 1, step 2: y'_k ~ M(f(x, R, C)), k = 1..K. Which ways there are to ask stands in `modes`, the
asking itself in `asking`, and how outcomes become a `Reference` in `laying`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.elicitation.asking import Tally, ask
from crowdllm.elicitation.laying import lay
from crowdllm.elicitation.modes import MODES, Elicitation, make_plan, require_scores
from crowdllm.llm.prompts import Template
from crowdllm.llm.protocol import Backend
from crowdllm.reference import Reference
from crowdllm.responses.protocol import ResponseType

__all__ = ["MODES", "Elicitation", "elicit_references"]


def elicit_references(
    problems: Problems,
    response_type: ResponseType,
    backend: Backend,
    draws: int | None = None,
    context: str = "",
    requirements: str = "",
    progress: Callable[[str, int, int], None] | None = None,
    *,
    mode: str = "",
    temperature: float | None = None,
    people: Profiles | None = None,
    personas: int | None = None,
    seed: int = 0,
    templates: Mapping[str, Template] | None = None,
    max_tokens: int | None = None,
) -> Reference:
    """Ask the backend about every problem, parse what comes back, and give it as one source of references.

    draws: K answers to each problem; the mode's own number when None (8 for samples). context, requirements: of the
        study, in the prompt.
    mode: "decision" (one answer, temperature 0), "samples" (K draws), "options" (the probability of each answer),
        "distribution" (the LLM's own estimate of a crowd) or "persona" (one answer per invented person); "" is
        samples, or decision for one draw. temperature: the mode's own when None.
    people: profiles whose joint distribution personas are drawn from, with `seed`, and whose mix a distribution is
        asked for. templates: by kind, see `crowdllm.llm.prompts.read_templates`.

    An answer that is no legal response is asked for once more, with the format repeated, and then becomes NaN: it is
    never guessed at. The reference counts what was unparsable, failed or missing, and keeps the texts in `unread`.

    Raises ConfigError for settings that contradict each other, MismatchError for a mode that the response type or the
    backend cannot serve and for shares that are not one per level or option.
    """
    wish = Elicitation(
        mode or ("decision" if draws == 1 else "samples"), draws, temperature, personas, seed, max_tokens
    )
    plan = make_plan(problems, response_type, wish, context, requirements, people, templates)
    require_scores(plan, backend)

    def watch(tally: Tally) -> None:
        if progress:
            progress("asking again" if tally.again else "asking for references", tally.done, tally.of)

    return lay(plan, ask(plan, backend, watch), backend.name)
