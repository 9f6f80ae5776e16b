"""The rows of a comparison: every method is a function `fit(train, references, embedding, seed) -> Simulator`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crowdllm.errors import UnknownNameError
from crowdllm.methods.protocol import Fit, KnowsAnswers, Simulator
from crowdllm.registry import lookup

if TYPE_CHECKING:
    from crowdllm.reference import References

METHODS = {
    "random": "crowdllm.methods.random:fit",
    "pooled": "crowdllm.methods.pooled:fit",
    "problem-histogram": "crowdllm.methods.problem_histogram:fit",
    "tfidf-ridge": "crowdllm.methods.ridge:fit_tfidf",
    "embedding-ridge": "crowdllm.methods.ridge:fit_embedding",
    "embedding-references-ridge": "crowdllm.methods.ridge:fit_embedding_references",
    "svr": "crowdllm.methods.svr:fit",
    "catboost": "crowdllm.methods.catboost:fit",
    "answers-ridge": "crowdllm.methods.answers_ridge:fit",
    "answers-catboost": "crowdllm.methods.answers_catboost:fit",
    "zero-shot": "crowdllm.methods.zero_shot:fit",
    "multi-persona": "crowdllm.methods.multi_persona:fit",
    "self-consistency": "crowdllm.methods.self_consistency:fit",
    "vae": "crowdllm.methods.crowdllm_paper:fit_without_llm",
    "crowdllm-paper": "crowdllm.methods.crowdllm_paper:fit",
    "crowdllm": "crowdllm.methods.crowdllm:fit",
}

MADE_FOR = {"multi-persona": "persona", "self-consistency": "samples"}
"""The mode of reference sources (see `Reference`) that a method is made for; methods not named here take any but
persona."""

WITH_MODEL = {
    "tuned": "crowdllm.methods.tuned:tuned",
    "prompted": "crowdllm.methods.tuned:prompted",
    "adapter": "crowdllm.methods.tuned:adapter",
}
"""Methods that are named with a language model behind a colon, such as `tuned:Qwen/Qwen3-8B`."""


def get_method(name: str) -> Fit:
    """The fit function of a method; raises UnknownNameError with the valid names, ConfigError for a wrong setting."""
    head, colon, argument = name.partition(":")
    if colon or name in WITH_MODEL:
        made: Fit = lookup(WITH_MODEL, head, "method with a model")(argument)
        return made
    fit: Fit = lookup(METHODS, name, "method")
    return fit


def require_method(name: str) -> None:
    """Raise as `get_method`, but import no method for it unless it is named with a model."""
    if ":" in name or name in WITH_MODEL:
        get_method(name)
    elif name not in METHODS:
        raise UnknownNameError("method", name, [*METHODS, *(f"{head}:MODEL" for head in WITH_MODEL)])


def references_for(name: str, references: References | None) -> References | None:
    """The sources that a method is given of those at hand; None for none.

    Methods made for one mode get the sources of that mode, the others those that are not in persona. Where there are
    none of these it is all of them: whoever names nothing but personas means them, and a method that cannot do without
    another mode says so itself.
    """
    if references is None or not references.sources:
        return None
    wanted = MADE_FOR.get(name)
    kept = tuple(s for s in references.sources if (s.mode == wanted if wanted else s.mode != "persona"))
    return type(references)(kept or references.sources)


__all__ = [
    "MADE_FOR",
    "METHODS",
    "WITH_MODEL",
    "Fit",
    "KnowsAnswers",
    "Simulator",
    "get_method",
    "references_for",
    "require_method",
]
