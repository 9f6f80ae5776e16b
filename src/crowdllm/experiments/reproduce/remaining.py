"""How long the work that is left will take, from what the work done so far took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

Kind = tuple[str, str]


def remaining_seconds(left: Iterable[Kind], taken: Mapping[Kind, Sequence[float]], workers: int) -> float | None:
    """Expected wall-clock seconds of the units in `left` on so many workers; None before anything was measured.

    A unit's kind is (where it runs, what runs). It takes the mean of its own kind, else of what runs elsewhere, else
    of everything.
    """
    everything = [seconds for values in taken.values() for seconds in values]
    if not everything:
        return None
    by_what: dict[str, list[float]] = {}
    for (_, what), values in taken.items():
        by_what.setdefault(what, []).extend(values)
    total = 0.0
    for kind in left:
        known = taken.get(kind) or by_what.get(kind[1]) or everything
        total += fmean(known)
    return total / max(workers, 1)


def in_words(seconds: float) -> str:
    """`40 s`, `12 min` or `2 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def status(name: str, left: Sequence[Kind], taken: Mapping[Kind, Sequence[float]], workers: int) -> str:
    """What is being done, and about how long the rest takes where that is known."""
    seconds = remaining_seconds(left, taken, workers)
    return name if seconds is None or not left else f"{name} (about {in_words(seconds)} left)"
