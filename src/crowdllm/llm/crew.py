"""Run jobs in threads and give their answers as they come: the outside is an iterator, the inside a crew of workers.

Each worker takes the first job that is left and works on it; what is left over of a job goes back to its place. An
error of one worker ends the run: the others start nothing new, and have a second to hand in what they have. Answers
pass through one further thread, which may keep them: those that came while it kept others are kept together. Leaving
the iterator early (Ctrl-C included) waits for nobody: jobs under way end by themselves, or with the program.
"""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field

from crowdllm.llm.protocol import Answer, Prompt

GRACE = 1.0
LINGER = 0.001
"""Seconds for which more answers are awaited to be kept together; what is lost at a kill came in these."""
_POLL = 0.2


class Stopped(Exception):
    """The run was ended from outside, or by another thread's error."""


@dataclass(order=True, frozen=True)
class Job:
    """Draws that are wanted of a prompt. rank: jobs are taken in this order."""

    rank: tuple[int, int]
    prompt: Prompt = field(compare=False)
    draws: tuple[int, ...] = field(compare=False)


@dataclass(frozen=True)
class Done:
    """What came of a job: answers, and the jobs that are left of it."""

    answers: tuple[Answer, ...] = ()
    left: tuple[Job, ...] = ()


@dataclass(frozen=True)
class Worker:
    """What one thread does with a job, and at the end."""

    work: Callable[[Job], Done]
    close: Callable[[], None]


_Item = Answer | Exception | None  # None: a thread has ended
Queue = queue.SimpleQueue[_Item]
Keep = Callable[[Sequence[Answer]], list[Answer]]


class Jobs:
    """The jobs that are left, for several threads; ends when none is left and nobody works on one."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._heap = list(jobs)
        heapq.heapify(self._heap)
        self._busy = 0
        self._changed = threading.Condition()

    def take(self, stop: threading.Event) -> Job | None:
        """The first job; None at the end, or once `stop` is set."""
        with self._changed:
            while not self._heap and self._busy and not stop.is_set():
                self._changed.wait(_POLL)
            if not self._heap or stop.is_set():
                return None
            self._busy += 1
            return heapq.heappop(self._heap)

    def finish(self, left: Iterable[Job]) -> None:
        """A job that was taken is done, but for these."""
        with self._changed:
            for job in left:
                heapq.heappush(self._heap, job)
            self._busy -= 1
            if self._heap or not self._busy:
                self._changed.notify_all()


def run(
    jobs: Iterable[Job], open_worker: Callable[[], Worker], size: int, stop: threading.Event, keep: Keep
) -> Generator[Answer]:
    """The answers of all jobs, in any order, by `size` threads.

    keep: called in a further thread with the answers that came since its last call, as soon as it can be; gives those
    to hand on. stop: set at the end, however it comes. Raises the first error of a worker or of `keep`.
    """
    waiting = Jobs(jobs)
    came: Queue = queue.SimpleQueue()
    out: queue.SimpleQueue[list[_Item]] = queue.SimpleQueue()
    for number in range(size):
        _start(f"llm-{number}", _work, waiting, open_worker, came, stop)
    _start("llm-keep", _keep_all, came, out, keep, size, stop)
    running, error, until = size, None, float("inf")
    try:
        while running and time.monotonic() < until:
            try:
                items = out.get(timeout=_POLL)  # a wait without end would not hear Ctrl-C on every system
            except queue.Empty:
                continue
            for item in items:
                if item is None:
                    running -= 1
                elif isinstance(item, Answer):
                    yield item
                elif error is None:
                    error, until = item, time.monotonic() + GRACE
        if error is not None:
            raise error
    finally:
        stop.set()


def _start(name: str, target: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=target, args=arguments, name=name, daemon=True).start()


def _work(waiting: Jobs, open_worker: Callable[[], Worker], came: Queue, stop: threading.Event) -> None:
    worker: Worker | None = None
    try:
        worker = open_worker()
        while (job := waiting.take(stop)) is not None:
            done = Done()
            try:
                done = worker.work(job)
            finally:
                for answer in done.answers:
                    came.put(answer)
                waiting.finish(done.left)
    except Stopped:
        pass
    except Exception as error:  # raised again where the answers are taken
        stop.set()
        came.put(error)
    finally:
        if worker is not None:
            worker.close()
        came.put(None)


def _keep_all(
    came: Queue, out: queue.SimpleQueue[list[_Item]], keep: Keep, running: int, stop: threading.Event
) -> None:
    """Until the last worker has ended, also when nobody takes the answers any more."""
    while running:
        items = [came.get()]
        time.sleep(LINGER)
        while not came.empty():
            items.append(came.get())
        running -= items.count(None)
        others: list[_Item] = [item for item in items if not isinstance(item, Answer)]
        answers: list[_Item] = []
        try:
            answers += keep([item for item in items if isinstance(item, Answer)])
        except Exception as error:  # raised again where the answers are taken
            stop.set()
            others.insert(0, error)
        out.put([*answers, *others])
