"""Do many independent pieces of work in processes of one thread each; stop cleanly on Ctrl-C.

Every piece writes its own result, so nothing is lost when the work is stopped: what was finished is not done again.
A process ends when the one that started it is gone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

from crowdllm.errors import CrowdLLMError


@dataclass(frozen=True)
class Task:
    """One piece of work: `action(*arguments)`, a function of a module, and what it is called."""

    kind: tuple[str, str]
    name: str
    action: Callable[..., str]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Done:
    """A finished task, how long it took, and what it has to say ("" for nothing)."""

    task: Task
    seconds: float
    said: str


def cores() -> int:
    """How many processes this machine lets us run at once."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def work_through(tasks: Sequence[Task], workers: int) -> Iterator[Done]:
    """Each task as it is finished: in the order given with one worker, in any order with several.

    An error of a task is raised here, after which no further task is started.
    """
    if workers <= 1 or len(tasks) <= 1:
        for task in tasks:
            seconds, said = _timed(task.action, task.arguments)
            yield Done(task, seconds, said)
        return
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(min(workers, len(tasks)), multiprocessing.get_context("spawn"), initializer=_settle)
    finished = False
    try:
        running: dict[Future[tuple[float, str]], Task] = {
            pool.submit(_timed, task.action, task.arguments): task for task in tasks
        }
        for future in as_completed(running):
            yield Done(running[future], *future.result())
        finished = True
    except BrokenProcessPool:
        raise CrowdLLMError(
            "a worker process ended unexpectedly (was there not enough memory?); the same command continues, "
            f"with fewer at a time as --workers {max(workers // 2, 1)}"
        ) from None
    finally:
        pool.shutdown(wait=finished, cancel_futures=True)
        if not finished:
            for child in set(multiprocessing.active_children()) - before:
                child.terminate()


def _settle() -> None:
    """In a new process: Ctrl-C is the parent's business, and without a parent there is nothing to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _timed(action: Callable[..., str], arguments: tuple[Any, ...]) -> tuple[float, str]:
    """Seconds and what was said, on one thread: a process per core leaves nothing for more."""
    from threadpoolctl import threadpool_limits

    from crowdllm.belief.threads import one_thread

    started = time.perf_counter()
    with threadpool_limits(1), one_thread():
        said = action(*arguments)
    return time.perf_counter() - started, said
