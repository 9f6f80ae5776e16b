"""How long every unit of work took, and every session, kept in two CSV files that only grow."""

from __future__ import annotations

import csv
from pathlib import Path

from crowdllm.experiments.reproduce.remaining import Kind

SESSIONS, TIMINGS = "sessions.csv", "timings.csv"


def keep_timing(out: Path, kind: Kind, seconds: float) -> None:
    """Add a finished unit of this kind."""
    _append(out / TIMINGS, ("run", "method", "seconds"), (*kind, f"{seconds:.3f}"))


def keep_session(out: Path, seconds: float, workers: int) -> None:
    """Add one time that the command ran, by the clock."""
    _append(out / SESSIONS, ("seconds", "workers"), (f"{seconds:.1f}", str(workers)))


def _append(path: Path, heading: tuple[str, ...], cells: tuple[str, ...]) -> None:
    fresh = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        if fresh:
            writer.writerow(heading)
        writer.writerow(cells)


def _rows(path: Path, width: int) -> list[list[str]]:
    """Complete rows below the heading; a last line that was cut off by a crash is no row."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return [row for row in csv.reader(stream) if len(row) == width][1:]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def read_timings(out: Path) -> dict[Kind, list[float]]:
    """(run or "picture", method) -> seconds of each unit done so far."""
    taken: dict[Kind, list[float]] = {}
    for run, method, text in _rows(out / TIMINGS, 3):
        seconds = _number(text)
        if seconds is not None:
            taken.setdefault((run, method), []).append(seconds)
    return taken


def read_sessions(out: Path) -> tuple[tuple[float, int], ...]:
    """Wall-clock seconds and workers of each time the command had something to do."""
    found = []
    for text, workers in _rows(out / SESSIONS, 2):
        seconds = _number(text)
        if seconds is not None and workers.isdecimal():
            found.append((seconds, int(workers)))
    return tuple(found)
