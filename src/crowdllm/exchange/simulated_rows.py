"""Keep simulated answers from coming in as people's: rows that `crowdllm export` marked as simulated are refused."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from crowdllm.data.tables import Cells
from crowdllm.errors import CrowdLLMError

MARKED = ("simulated", "model", "seed")
YES = ("true", "1", "1.0", "yes")


def refuse_simulated(columns: Mapping[str, Cells], name: str) -> None:
    """Raise CrowdLLMError where a table has the marks of an export, and one of its rows says that it is simulated."""
    if not all(mark in columns for mark in MARKED):
        return
    flags, counts = np.unique(
        np.array([str(cell).strip().lower() for cell in columns["simulated"]]), return_counts=True
    )
    count = int(sum(n for flag, n in zip(flags.tolist(), counts.tolist(), strict=True) if flag in YES))
    if count:
        raise CrowdLLMError(
            f"{name}: {count:,} of its rows are marked as simulated by crowdllm; they are no people's answers to learn "
            "from: take the folder that they were exported from, or leave these rows out"
        )
