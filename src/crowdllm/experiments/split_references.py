"""References of the two parts of a split: the same ones, but for the split by option.

There the training part must not be told of the unseen options, and both parts have their options in another order than
the study (see `crowdllm.data.splits`).

Shapes: T problems, K draws, D = M options.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.splits import Split, reordered
from crowdllm.reference import Reference, References
from crowdllm.responses.protocol import Array


def split_references(references: References | None, split: Split) -> tuple[References | None, References | None]:
    """What fitting on the training part and predicting the test part are given."""
    if references is None or split.option_order_TM is None or split.seen_T is None:
        return references, references
    whole = references.aligned(split.test.problems)
    test = tuple(_in_order(source, split.option_order_TM) for source in whole.sources)
    seen_TM = np.arange(split.option_order_TM.shape[1]) < split.seen_T[:, None]
    return References(tuple(_cut(source, seen_TM) for source in test)), References(test)


def _in_order(source: Reference, order_TM: NDArray[np.int64]) -> Reference:
    """The source's draws and shares with the options in this order."""
    values = np.stack(
        [
            reordered(draws_KD, np.tile(row, (len(draws_KD), 1)))
            for draws_KD, row in zip(source.values_TKD, order_TM, strict=True)
        ]
    )
    shares = None if source.distribution_TM is None else reordered(source.distribution_TM, order_TM)
    return replace(source, values_TKD=values, distribution_TM=shares)


def _cut(source: Reference, seen_TM: NDArray[np.bool_]) -> Reference:
    """Without what it says of the other options; shares of the rest add up to 1 again."""
    values = np.where(seen_TM[:, None] | np.isnan(source.values_TKD), source.values_TKD, 0.0)
    return replace(source, values_TKD=values, distribution_TM=_renormalised(source.distribution_TM, seen_TM))


def _renormalised(shares_TM: Array | None, seen_TM: NDArray[np.bool_]) -> Array | None:
    if shares_TM is None:
        return None
    kept = np.where(seen_TM | np.isnan(shares_TM), shares_TM, 0.0)
    total = kept.sum(axis=1, keepdims=True)
    return np.divide(kept, total, out=np.full(kept.shape, np.nan), where=total > 0)
