"""Prompts: how a problem is put to an LLM, as pure functions of description, requirements and context.

One file per kind: `zero_shot` (also of self-consistency, which draws it several times), `option_scores`,
`multi_persona`, `distribution`. Their words are templates, which a study may replace (`template`). Everything that is
data goes through `fence` and is put into the template in one pass, so that it can neither end its fence nor be read as
a placeholder.
"""

from __future__ import annotations

from crowdllm.llm.prompts.distribution import distribution_prompts
from crowdllm.llm.prompts.fence import FENCE, fenced
from crowdllm.llm.prompts.multi_persona import multi_persona_prompts
from crowdllm.llm.prompts.option_scores import option_score_prompts
from crowdllm.llm.prompts.template import DEFAULTS, Template, read_templates
from crowdllm.llm.prompts.zero_shot import again, zero_shot_prompts

__all__ = [
    "DEFAULTS",
    "FENCE",
    "Template",
    "again",
    "distribution_prompts",
    "fenced",
    "multi_persona_prompts",
    "option_score_prompts",
    "read_templates",
    "zero_shot_prompts",
]
