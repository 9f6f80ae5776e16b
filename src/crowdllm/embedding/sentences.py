"""A sentence-transformers model, read at three depths and reduced to the directions in which the training texts differ.

The last layer of a sentence model says what a text is about; earlier ones keep more of how it says it, which is what
people react to. The mean over a text's tokens is taken of the last layer and of those two thirds and one third of the
way up, each less its mean over the training texts and scaled to length 1; principal components of the training texts
reduce the three to one vector of length about 1. Penalised regressions on fewer texts than components lose nothing by
the reduction: their solution lies in the span of the training texts.

Shapes: T texts, L depths, H width of the model, X embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowdllm.embedding.vector_cache import VectorCache, cache_file, model_identity
from crowdllm.errors import DataUnavailableError, MissingExtraError

MAX_WIDTH, DEPTHS = 384, 3
KEPT_AT_ONCE = 64  # texts after which what was made is written down
READING = f"mean over tokens at {DEPTHS} depths, one text at a time"
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class SentenceEmbedder:
    """`name`: the model's name or the path of its folder.

    center_LH: mean of the training texts at each depth; components_LHX: principal directions, with the scale in them.
    """

    name: str
    center_LH: Vectors
    components_LHX: Vectors

    @staticmethod
    def fit(name: str, texts: Sequence[str]) -> SentenceEmbedder:
        """Raises MissingExtraError without the package, DataUnavailableError where there is no such model."""
        h_TLH = _model(name).hidden(sorted({str(text) for text in texts}) or [""])
        center_LH = h_TLH.mean(axis=0)
        flat = _directions(h_TLH, center_LH)
        width = min(MAX_WIDTH, len(flat) - 1)
        _, size_K, rows_KF = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
        kept = rows_KF[:width][size_K[:width] > 1e-6 * max(size_K[0], 1e-9)]
        kept *= np.where(kept[np.arange(len(kept)), np.abs(kept).argmax(axis=1)] < 0, -1, 1)[:, None]
        length = np.sqrt(((flat @ kept.T) ** 2).sum(axis=1).mean()) if len(kept) else 1.0
        components = (kept.T / length).reshape(*center_LH.shape, len(kept))
        return SentenceEmbedder(name, center_LH.astype(np.float32), components.astype(np.float32))

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(T, X); each distinct text goes through the model once. Raises as `fit`."""
        width = self.components_LHX.shape[-1]
        if not len(texts) or not width:
            return np.zeros((len(texts), width), dtype=np.float32)
        distinct = {str(text): None for text in texts}
        h_TLH = _model(self.name).hidden(list(distinct))
        flat = _directions(h_TLH, self.center_LH.astype(np.float64))
        # summed row by row in a fixed order, unlike a matrix product
        x = np.stack([(row[:, None] * self.components_LHX.reshape(-1, width)).sum(axis=0) for row in flat])
        position = {text: i for i, text in enumerate(distinct)}
        return x.astype(np.float32)[[position[str(text)] for text in texts]]

    def state(self) -> tuple[dict[str, Any], dict[str, Vectors]]:
        return {"name": self.name}, {"center": self.center_LH, "components": self.components_LHX}


def _directions(h_TLH: NDArray[np.float64], center_LH: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, L * H) each depth less its centre, at length 1."""
    away = h_TLH - center_LH
    length = np.linalg.norm(away, axis=-1, keepdims=True)
    return np.asarray(np.divide(away, length, out=np.zeros_like(away), where=length > 1e-9).reshape(len(away), -1))


class _Model:
    """A model, loaded when a text is not known yet, and what it made of every text so far, here or on disk."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.known: dict[str, Vectors] = {}
        self.identity = model_identity(name)
        if self.identity is None:  # loading says whether there is such a model
            self._loaded()

    def hidden(self, texts: list[str]) -> NDArray[np.float64]:
        """(T, L, H) mean over tokens at each depth.

        One text at a time: in a batch, a text's vector would depend in its last digits on the texts beside it, and with
        it a few simulated answers. On a CPU this costs a tenth more.
        """
        missing = self._unknown(texts)
        if missing:
            model = self._loaded()
            missing = self._unknown(texts)  # loading may have brought another version
            for start in range(0, len(missing), KEPT_AT_ONCE):
                made = {text: _encode(model, text) for text in missing[start : start + KEPT_AT_ONCE]}
                self.known |= made
                self._cache().put(made)
        return np.array([self.known[text] for text in texts], dtype=np.float64)

    def _unknown(self, texts: list[str]) -> list[str]:
        """The distinct texts that are known neither here nor on disk; what the disk has is known from now on."""
        missing = [text for text in dict.fromkeys(texts) if text not in self.known]
        if missing:
            self.known |= self._cache().get(missing)
        return [text for text in missing if text not in self.known]

    def _cache(self) -> VectorCache:
        return VectorCache(cache_file() if self.identity else None, self.identity or "", READING, DEPTHS)

    def _loaded(self) -> Any:
        """The model. Where loading it brought another version than the one whose vectors were read, these go."""
        if "model" not in self.__dict__:
            self.model = _load(self.name)
            identity = model_identity(self.name)
            if identity != self.identity:
                self.identity, self.known = identity, {}
        return self.model


def _encode(model: Any, text: str) -> Vectors:
    """(L, H) of one text."""
    import torch

    inner: Any = getattr(model[0], "auto_model", None) or model[0].model
    tokenise = getattr(model, "preprocess", None) or model.tokenize
    tokens = {k: v.to(model.device) for k, v in tokenise([text]).items() if hasattr(v, "to")}
    with torch.no_grad():
        layers = inner(**tokens, output_hidden_states=True).hidden_states
    top = len(layers) - 1
    depths = [layers[round(top * (d + 1) / DEPTHS)] for d in reversed(range(DEPTHS))]
    return np.asarray(torch.cat([h.mean(dim=1) for h in depths]).float().cpu().numpy())


def _load(name: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise MissingExtraError(f"the embedding {name!r}", "embed") from None
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    try:
        logging.disable_progress_bar()
        model = SentenceTransformer(name)
    except (OSError, ValueError) as error:
        raise DataUnavailableError(
            f"there is no sentence-transformers model {name!r} here, nor could it be downloaded: give the name of one, "
            f"the path of its folder, or 'tfidf' ({str(error).splitlines()[0]})"
        ) from None
    finally:
        if shown:
            logging.enable_progress_bar()
    if not hasattr(model[0], "auto_model") and not hasattr(model[0], "model"):
        raise DataUnavailableError(
            f"the sentence-transformers model {name!r} is no transformer with hidden layers; choose one that is"
        )
    return model.eval()


@lru_cache(maxsize=2)
def _model(name: str) -> _Model:
    """One per name, so that fits of several methods and seeds share what is embedded."""
    return _Model(name)
