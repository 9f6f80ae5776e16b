"""TF-IDF over words and word pairs, reduced by a truncated SVD learned on the training texts: needs no download.

Every row has length 1, so that one regularisation serves every embedding.

Shapes: T texts, X embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TFIDF = "tfidf"
MAX_TERMS, MAX_WIDTH = 20_000, 128
SHORTEST = 1e-9  # what is left of a text by rounding alone counts as nothing


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
        with np.errstate(invalid="ignore", divide="ignore"):  # texts that are all the same have no variance to explain
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


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(length > SHORTEST, vectors / np.maximum(length, SHORTEST), 0).astype(np.float32)
