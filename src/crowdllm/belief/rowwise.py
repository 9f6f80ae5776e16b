"""Matrix products whose rows do not depend on each other, to the last bit.

A library's matrix product adds up in an order that depends on the shapes, so one person's numbers would change in the
last digits with how many others are computed beside. Here each row is summed in the same order, one column at a time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def rowwise_product(a_RF: Array, b_FW: Array) -> Array:
    """(R, W) a @ b, with every row the same whatever the other rows are."""
    out_RW = np.zeros((len(a_RF), b_FW.shape[1]))
    for f in range(a_RF.shape[1]):
        out_RW += a_RF[:, f : f + 1] * b_FW[f]
    return out_RW
