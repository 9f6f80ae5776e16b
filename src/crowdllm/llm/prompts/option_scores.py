"""The prompt whose possible answers are scored: each answer is one short label, so that one token tells them apart.

The zero-shot prompt with other instructions. Levels of one character are their own labels; other levels, and options,
are labelled A, B, C, ... A ballot is asked for the one option that would be chosen first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from string import ascii_uppercase

from crowdllm.data.problems import Problems
from crowdllm.errors import MismatchError
from crowdllm.llm.prompts.template import DEFAULTS, Template
from crowdllm.llm.prompts.zero_shot import fill_in
from crowdllm.llm.protocol import Prompt
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType

SCORED = ("ordinal", "choice", "ballot")


def option_score_prompts(
    problems: Problems,
    response_type: ResponseType,
    context: str = "",
    requirements: str = "",
    template: Template = DEFAULTS["zero-shot"],
) -> list[Prompt]:
    """One prompt per problem, with its `answers` in the order of levels or options.

    Raises MismatchError where the answers cannot be listed: numbers, points, rankings, more than 26 options.
    """
    if response_type.kind not in SCORED:
        raise MismatchError(
            f"the probabilities of a {response_type.kind} response's answers cannot be listed one by one: use --mode "
            "samples (K draws) or --mode distribution (the LLM's own estimate)"
        )
    (prompts,) = fill_in(
        problems, template, context, requirements, lambda options: score_instructions(response_type, options)
    )
    return [replace(prompt, answers=answer_labels(response_type, prompt.options)) for prompt in prompts]


def answer_labels(response_type: ResponseType, options: Sequence[str]) -> tuple[str, ...]:
    """The labels by which an LLM answers, one per level or option."""
    named = response_type.levels if isinstance(response_type, Ordinal) else tuple(options)
    if isinstance(response_type, Ordinal) and all(len(level) == 1 and level.isascii() for level in named):
        return named
    if len(named) > len(ascii_uppercase):
        what = "options" if response_type.has_options else "levels"
        raise MismatchError(
            f"a problem has {len(named)} {what}, and at most {len(ascii_uppercase)} can be told apart by one letter: "
            "use --mode samples or --mode distribution"
        )
    return tuple(ascii_uppercase[: len(named)])


def score_instructions(response_type: ResponseType, options: Sequence[str] = ()) -> str:
    """The labelled answers, and that one label is wanted and nothing else."""
    labels = answer_labels(response_type, options)
    named = response_type.levels if isinstance(response_type, Ordinal) else tuple(options)
    low, high = response_type.ends if isinstance(response_type, Ordinal) else ("", "")
    meaning = [""] * len(named)
    if low and high:
        meaning[0], meaning[-1] = f" ({low})", f" ({high})"
    listed = [
        f"{label}{'' if label == name else f': {name}'}{words}"
        for label, name, words in zip(labels, (" ".join(n.split()) for n in named), meaning, strict=True)
    ]
    question = "Which one would you choose first?" if response_type.kind == "ballot" else "Which one do you choose?"
    return "\n".join(
        [
            f"{question} The possible answers are:",
            *listed,
            f"Answer with {', '.join(labels[:-1])} or {labels[-1]} alone.",
        ]
        if len(labels) > 1
        else [f"{question} The possible answer is:", *listed]
    )
