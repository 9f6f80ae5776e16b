"""One number of a comparison, before it is known which method, split and seed it belongs to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """One number. crowd_size 0: does not depend on a crowd; aggregator "": none involved."""

    crowd_size: int
    aggregator: str
    metric: str
    value: float
