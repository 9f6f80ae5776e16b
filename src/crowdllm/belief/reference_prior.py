"""The LLM's own answer as a prior: what the crowd's distribution would be, had no human been asked.

A source that gave a distribution is believed as it stands. A bare decision d on a scale is one draw from somebody like
the crowd: the prior says that human answers have the same distribution over all problems as the LLM's decisions, and
correlate with them on each problem (a Gaussian copula of correlation `AGREEMENT`). On `offensiveness`, this alone
predicts people far better than the decisions taken as everybody's answer.

Shapes: I items, F features, W raw width (levels), S sources.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from crowdllm.belief.items import Items
from crowdllm.responses.protocol import Array, ResponseType

AGREEMENT = 0.6  # latent correlation of an LLM's bare decision with a human answer
GRID = 4001  # points at which the LLM's latent answer is integrated over


class ReferencePrior(NamedTuple):
    """Prior mean of the weights, and the feature columns it rests on.

    soft: log shares, so that weight 1 reproduces what the LLM said; else the shares of bare decisions.
    """

    columns: NDArray[np.int64]
    weights_FW: Array
    soft: bool


def reference_prior(items: Items, response_type: ResponseType, features: int, width: int) -> ReferencePrior | None:
    """The mean over sources; where some gave distributions, over those only. None for bare decisions among options."""
    soft: dict[str, list[int]] = {}
    hard: dict[str, list[int]] = {}
    for column, name in enumerate(items.reference_names):
        source, _, label = name.rpartition(":")
        if label.startswith(("log share", "log relative share")):
            soft.setdefault(source, []).append(column)
        elif label.startswith("share ") and not response_type.has_options:
            hard.setdefault(source, []).append(column)
    sources = soft or hard
    if not sources:
        return None
    weights = np.zeros((features, width))
    for columns in sources.values():
        block = np.eye(width)[: len(columns)] if soft else np.log(_copula(items.reference_IF[:, columns]))
        weights[columns] = block / len(sources)
    return ReferencePrior(np.concatenate([np.array(c) for c in sources.values()]), weights, bool(soft))


def _copula(shares_IW: Array, agreement: float = AGREEMENT) -> Array:
    """(W, W) P(human level | LLM's decision) when both have the marginal of these decisions."""
    width = shares_IW.shape[1]
    marginal = shares_IW.sum(axis=0) + 0.5
    cut = ndtri(np.cumsum(marginal / marginal.sum())[:-1])
    latent = ndtri((np.arange(GRID) + 0.5) / GRID)
    decision = np.searchsorted(cut, latent)
    upper = ndtr((cut - agreement * latent[:, None]) / np.sqrt(1 - agreement**2))
    shares = np.diff(np.c_[np.zeros(GRID), upper, np.ones(GRID)], axis=1)
    table = np.array([shares[decision == d].sum(axis=0) for d in range(width)])
    return np.asarray((table + 1e-9) / (table + 1e-9).sum(axis=1, keepdims=True))
