"""What a simulation's bytes depend on besides its settings: the software, and how this machine rounds.

Vectorised mathematics may differ in the last digit between kinds of processor, which would give another response once
in a very long while. `arithmetic` is a fingerprint of the functions that decide responses, so that machines that would
not give the same bytes are told apart instead of being mixed.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version

import numpy as np

from crowdllm import __version__

PACKAGES = ("numpy", "scipy", "torch", "pyarrow")
POINTS = 4096


def versions() -> dict[str, str]:
    """Name to version of what decides and writes responses; `arithmetic` is how this machine rounds."""
    packages = {name: version(name).partition("+")[0] for name in PACKAGES}  # 2.13.0+cpu is the same here as any other
    return {"crowdllm": __version__} | packages | {"arithmetic": arithmetic()}


def arithmetic() -> str:
    """A fingerprint of exp, log and the normal distribution's functions on a fixed grid."""
    from scipy.special import ndtr, ndtri

    share = (np.arange(POINTS) + 0.5) / POINTS
    wide = 40 * share - 20
    digest = hashlib.sha256()
    for values in (np.exp(wide), np.log(share), np.sqrt(share), ndtri(share), ndtr(wide / 4)):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:12]
