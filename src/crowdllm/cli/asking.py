"""Show how far the asking is: rate, remaining time, cost so far, what was unparsable or failed.

A bar on a terminal; elsewhere a line every ten seconds, so that logs stay short.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from crowdllm.cli.progress import progress_bar

if TYPE_CHECKING:
    from crowdllm.elicitation.asking import Tally

    Watch = Callable[[Tally], None]

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def asking_progress(
    cost_of: Callable[[Tally], str], clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[Tally], None]]:
    """Gives a function that shows a tally. cost_of: what was spent so far in words, "" where it is not known."""
    started = clock()
    if sys.stderr.isatty():
        with progress_bar() as bar:
            yield lambda tally: bar(tally_in_words(tally, clock() - started, cost_of(tally)), tally.done, tally.of)
        return
    last = started - SECONDS_BETWEEN_LINES

    def line(tally: Tally) -> None:
        nonlocal last
        if clock() - last < SECONDS_BETWEEN_LINES and tally.done < tally.of:
            return
        last = clock()
        words = tally_in_words(tally, clock() - started, cost_of(tally))
        print(f"[{tally.done:,}/{tally.of:,}] {words}", file=sys.stderr, flush=True)

    yield line


def tally_in_words(tally: Tally, seconds: float, cost: str) -> str:
    """One line, such as `asking: 12.5 answers/s, 1:35 left, 0.0210 spent, 3 unparsable, 1 failed`."""
    rate = tally.done / seconds if seconds > 0 else 0.0
    parts = [f"{rate:.1f} answers/s"] if rate else []
    if rate and tally.done < tally.of:
        parts.append(f"{duration((tally.of - tally.done) / rate)} left")
    parts += [f"{cost} spent"] if cost else []
    parts += [f"{tally.unparsable:,} unparsable"] if tally.unparsable else []
    parts += [f"{tally.failed:,} failed"] if tally.failed else []
    return ("asking again: " if tally.again else "asking: ") + ", ".join(parts)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, such as 1:02:05 or 0:07."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
