"""Turn texts (problem descriptions, options) into vectors x: TF-IDF with SVD, or any sentence-transformers model.

Rows have length 1 (about 1 for sentence models), so that one regularisation serves every embedding.

Shapes: T texts, X embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from crowdllm.embedding.sentences import SentenceEmbedder
from crowdllm.embedding.tfidf import TFIDF, TfidfEmbedder

__all__ = ["TFIDF", "Embedder", "SentenceEmbedder", "TfidfEmbedder", "fit_embedder", "load_embedder"]


class Embedder(Protocol):
    """A fitted map from texts to vectors."""

    @property
    def name(self) -> str: ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(T, X) rows of length about 1 (0 for a text without any known word)."""
        ...

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
        """JSON settings and arrays from which `load_embedder` rebuilds it."""
        ...


def fit_embedder(name: str, texts: Sequence[str], seed: int = 0) -> Embedder:
    """The embedder called `name`, fitted on these texts: "tfidf", or a sentence-transformers model's name or path."""
    return TfidfEmbedder.fit(texts, seed) if name == TFIDF else SentenceEmbedder.fit(name, texts)


def load_embedder(settings: dict[str, Any], arrays: dict[str, NDArray[np.float32]]) -> Embedder:
    """Rebuild an embedder from its `state`."""
    if settings["name"] == TFIDF:
        return TfidfEmbedder(tuple(settings["terms"]), arrays["idf"], arrays["components"])
    return SentenceEmbedder(settings["name"], arrays["center"], arrays["components"])
