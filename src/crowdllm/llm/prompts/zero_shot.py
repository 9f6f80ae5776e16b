"""The paper's zero-shot prompt f(x, R, C): task, item, scale, "do not explain", answer format.

Self-consistency is the same prompt, drawn several times at temperature 0.5, of which the majority counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from crowdllm.data.problems import Problems
from crowdllm.llm.prompts.fence import between_fences, fenced
from crowdllm.llm.prompts.template import DEFAULTS, Template
from crowdllm.llm.protocol import Prompt
from crowdllm.responses.protocol import ResponseType

Instructions = Callable[[tuple[str, ...]], str]


def zero_shot_prompts(
    problems: Problems,
    response_type: ResponseType,
    context: str = "",
    requirements: str = "",
    template: Template = DEFAULTS["zero-shot"],
) -> list[Prompt]:
    """One prompt per problem, in their order."""
    (prompts,) = fill_in(problems, template, context, requirements, response_type.instructions)
    return prompts


def fill_in(
    problems: Problems,
    template: Template,
    context: str,
    requirements: str,
    instructions: Instructions,
    further: Sequence[Mapping[str, str]] = ({},),
) -> list[list[Prompt]]:
    """The template with each problem in it, once for every entry of `further`, which holds other placeholders.

    instructions: made from a problem's options.
    """
    same = {"context": fenced(context.strip()), "requirements": fenced(requirements.strip())}
    own = [
        same | {"item": between_fences(str(text)), "instructions": fenced(instructions(options))}
        for text, options in zip(problems.texts, problems.options, strict=True)
    ]
    return [
        [
            Prompt(str(identity), template.fill({**values, **more}), options)
            for identity, values, options in zip(problems.ids, own, problems.options, strict=True)
        ]
        for more in further
    ]


def again(prompt: Prompt, instructions: str, template: Template = DEFAULTS["again"]) -> Prompt:
    """The prompt with its answer format repeated at the end, for an answer that could not be read."""
    return replace(prompt, text=f"{prompt.text}\n{template.fill({'instructions': fenced(instructions)})}")
