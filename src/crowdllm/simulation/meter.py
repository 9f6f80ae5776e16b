"""How far a long run is: parts done, responses per second, and the time that is left."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

Progress = Callable[[str, int, int], None]
EVERY_S = 5.0


class Meter:
    """Tells `progress` after a part, at most every EVERY_S seconds, and at the end; a class since it counts.

    done: parts that were there before. The rate is that of this run.
    """

    def __init__(
        self, done: int, total: int, progress: Progress | None, clock: Callable[[], float] = monotonic
    ) -> None:
        self._before, self._done, self._total = done, done, total
        self._progress, self._clock = progress, clock
        self._start, self._told, self._responses = clock(), -EVERY_S, 0
        if progress:
            progress("simulating", done, total)

    def step(self, responses: int) -> None:
        """One more part is done, of so many responses."""
        self._done += 1
        self._responses += responses
        passed = self._clock() - self._start
        if not self._progress or (passed - self._told < EVERY_S and self._done < self._total):
            return
        self._told = passed
        left = passed / (self._done - self._before) * (self._total - self._done)
        rate = f"{rounded(self._responses / max(passed, 1e-9))} responses/s"
        self._progress(f"simulating: {rate}, {duration(left)} left", self._done, self._total)


def rounded(number: float) -> str:
    """A number with a word for its thousands, such as 8.3 million."""
    for size, word in ((1e9, " billion"), (1e6, " million"), (1e3, " thousand")):
        if number >= size:
            return f"{number / size:.3g}{word}"
    return f"{number:.3g}"


def duration(seconds: float) -> str:
    """A time such as 42 s, 5 min, 3 h 10 min or 2 days 4 h."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{round(seconds)} s"
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} days {minutes % 1440 // 60} h"
