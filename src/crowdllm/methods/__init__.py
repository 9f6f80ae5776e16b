"""The rows of a comparison: every method is a function `fit(train, references, embedding, seed) -> Simulator`."""

from __future__ import annotations

from crowdllm.methods.protocol import Fit, Simulator
from crowdllm.registry import lookup

METHODS = {
    "random": "crowdllm.methods.random:fit",
    "pooled": "crowdllm.methods.pooled:fit",
    "problem-histogram": "crowdllm.methods.problem_histogram:fit",
    "tfidf-ridge": "crowdllm.methods.ridge:fit_tfidf",
    "embedding-ridge": "crowdllm.methods.ridge:fit_embedding",
    "embedding-references-ridge": "crowdllm.methods.ridge:fit_embedding_references",
    "zero-shot": "crowdllm.methods.zero_shot:fit",
    "vae": "crowdllm.methods.crowdllm_paper:fit_without_llm",
    "crowdllm-paper": "crowdllm.methods.crowdllm_paper:fit",
    "crowdllm": "crowdllm.methods.crowdllm:fit",
}


def get_method(name: str) -> Fit:
    """The fit function of a method; raises UnknownNameError with the valid names."""
    fit: Fit = lookup(METHODS, name, "method")
    return fit


__all__ = ["METHODS", "Fit", "Simulator", "get_method"]
