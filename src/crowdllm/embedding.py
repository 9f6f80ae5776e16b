"""Turn texts (problem descriptions, options) into vectors x: TF-IDF with SVD, or any sentence-transformers model.

The default needs no download: TF-IDF over words and word pairs, reduced by a truncated SVD learned on the training
texts. Every row has length 1, so that one regularisation serves every embedding.

Shapes: T texts, X embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from crowdllm.errors import DataUnavailableError, MissingExtraError

TFIDF = "tfidf"
MAX_TERMS, MAX_WIDTH = 20_000, 128
SHORTEST = 1e-9  # what is left of a text by rounding alone counts as nothing


class Embedder(Protocol):
    """A fitted map from texts to unit vectors."""

    @property
    def name(self) -> str: ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(T, X) rows of length 1 (0 for a text without any known word)."""
        ...

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
        """JSON settings and arrays from which `load_embedder` rebuilds it."""
        ...


@dataclass(frozen=True)
class TfidfEmbedder:
    """Words and word pairs weighted by inverse document frequency, projected on the leading singular vectors."""

    terms: tuple[str, ...]
    idf_W: NDArray[np.float32]
    components_XW: NDArray[np.float32]
    name: str = TFIDF

    @staticmethod
    def fit(texts: Sequence[str], seed: int = 0) -> TfidfEmbedder:
        from sklearn.decomposition import TruncatedSVD

        vectorizer = _vectorizer(None)
        try:
            weights = vectorizer.fit_transform(list(texts))
        except ValueError:  # no text has any word
            return TfidfEmbedder((), np.zeros(0, np.float32), np.zeros((0, 0), np.float32))
        terms = tuple(str(t) for t in vectorizer.get_feature_names_out())
        width = min(MAX_WIDTH, weights.shape[0] - 1, weights.shape[1] - 1)
        if width < 1:
            return TfidfEmbedder((), np.zeros(0, np.float32), np.zeros((0, 0), np.float32))
        with np.errstate(invalid="ignore"):  # texts that are all the same have no variance to explain
            svd = TruncatedSVD(n_components=width, random_state=seed).fit(weights)
        return TfidfEmbedder(terms, vectorizer.idf_.astype(np.float32), svd.components_.astype(np.float32))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if not self.terms or not len(texts):
            return np.zeros((len(texts), len(self.components_XW)), dtype=np.float32)
        vectorizer = _vectorizer(self.terms)
        vectorizer.idf_ = self.idf_W.astype(np.float64)
        return _unit(np.asarray(vectorizer.transform(list(texts)) @ self.components_XW.T))

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
        return {"name": self.name, "terms": list(self.terms)}, {
            "idf": self.idf_W,
            "components": self.components_XW,
        }


def _vectorizer(terms: Sequence[str] | None) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vocabulary = None if terms is None else {term: i for i, term in enumerate(terms)}
    return TfidfVectorizer(
        ngram_range=(1, 2),
        sublinear_tf=True,
        max_features=MAX_TERMS,
        vocabulary=vocabulary,
        strip_accents="unicode",
    )


@dataclass(frozen=True)
class SentenceTransformerEmbedder:
    """A sentence-transformers model, by its name or the path of its folder. Each distinct text is embedded once."""

    name: str
    known: dict[str, NDArray[np.float32]] = field(default_factory=dict, repr=False, compare=False)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Raises MissingExtraError without the package, DataUnavailableError where there is no such model."""
        if not len(texts):
            return self.embed([""])[:0]
        new = sorted({str(text) for text in texts} - self.known.keys())
        if new:
            vectors = _load_model(self.name).encode(new, batch_size=64, show_progress_bar=False)
            self.known.update(zip(new, _unit(np.asarray(vectors, dtype=np.float64)), strict=True))
        return np.array([self.known[str(text)] for text in texts], dtype=np.float32)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
        return {"name": self.name}, {}


def _load_model(name: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise MissingExtraError(f"the embedding {name!r}", "embed") from None
    try:
        return SentenceTransformer(name)
    except (OSError, ValueError) as error:
        raise DataUnavailableError(
            f"there is no sentence-transformers model {name!r} here, nor could it be downloaded: give the name of one, "
            f"the path of its folder, or {TFIDF!r} ({str(error).splitlines()[0]})"
        ) from None


def fit_embedder(name: str, texts: Sequence[str], seed: int = 0) -> Embedder:
    """The embedder called `name`: "tfidf", or a sentence-transformers model's name or path."""
    return TfidfEmbedder.fit(texts, seed) if name == TFIDF else _sentence_transformer(name)


def load_embedder(settings: dict[str, Any], arrays: dict[str, NDArray[np.float32]]) -> Embedder:
    """Rebuild an embedder from its `state`."""
    if settings["name"] == TFIDF:
        return TfidfEmbedder(tuple(settings["terms"]), arrays["idf"], arrays["components"])
    return _sentence_transformer(settings["name"])


@lru_cache(maxsize=2)
def _sentence_transformer(name: str) -> SentenceTransformerEmbedder:
    """One embedder per model, so that fits of several methods and seeds share what is embedded."""
    return SentenceTransformerEmbedder(name)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(length > SHORTEST, vectors / np.maximum(length, SHORTEST), 0).astype(np.float32)
