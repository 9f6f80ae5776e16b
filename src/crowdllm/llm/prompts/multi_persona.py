"""Personas: the zero-shot prompt after a description of who answers, in the profile columns' own words.

The people described are drawn from the joint distribution of the study's profiles (`crowdllm.profiles.generator`), with
a seed: person k is the same however many are drawn. Nobody in the study is described, and no id is in a prompt. What a
profile leaves open is left out.
"""

from __future__ import annotations

import math

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.tables import number_text
from crowdllm.llm.prompts.fence import fenced
from crowdllm.llm.prompts.template import DEFAULTS, Template
from crowdllm.llm.prompts.zero_shot import fill_in
from crowdllm.llm.protocol import Prompt
from crowdllm.responses.protocol import ResponseType


def multi_persona_prompts(
    problems: Problems,
    response_type: ResponseType,
    personas: Profiles,
    context: str = "",
    requirements: str = "",
    template: Template = DEFAULTS["multi-persona"],
) -> list[list[Prompt]]:
    """Per persona, in their order, one prompt per problem."""
    described = [{"profile": profile_in_words(personas, n)} for n in range(len(personas))]
    return fill_in(problems, template, context, requirements, response_type.instructions, described)


def profile_in_words(profiles: Profiles, person: int) -> str:
    """One line per known property, such as `- age in years: 42`."""
    lines = []
    for column, value in zip(profiles.columns, profiles.values_NC[person].tolist(), strict=True):
        if not math.isnan(value):
            word = number_text(value) if column.kind == "numeric" else column.levels[int(value)]
            lines.append(f"- {one_line(column.label or column.name)}: {one_line(word)}")
    return "\n".join(lines) or "- (nothing more is known)"


def one_line(text: str) -> str:
    """A label or level, on one line and as data."""
    return " ".join(fenced(text).split())
