"""A progress bar for long work on a terminal, and plain lines where there is none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, int, int], None]


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Gives a function (what is being done, steps done, steps in all) that shows a bar with the remaining time."""
    if not sys.stderr.isatty():
        yield _plain_progress()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


def _plain_progress() -> Progress:
    """One line whenever what is being done changes, so that logs stay short."""
    last = ""

    def show(what: str, done: int, total: int) -> None:
        nonlocal last
        if what != last:
            print(f"[{done}/{total}] {what}", file=sys.stderr, flush=True)
            last = what

    return show
