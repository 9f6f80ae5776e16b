"""Jobs in threads: every job is worked on once, what is left goes back, an error ends the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from crowdllm.llm.crew import Done, Job, Stopped, Worker, run
from crowdllm.llm.protocol import Answer, Prompt

PROMPTS = [Prompt(str(i), "?") for i in range(50)]
JOBS = [Job((i, 0), prompt, (0, 1, 2)) for i, prompt in enumerate(PROMPTS)]


def one_draw(job: Job) -> Done:
    """Answers the first draw of a job, and leaves the others."""
    left = (Job((job.rank[0], job.draws[1]), job.prompt, job.draws[1:]),) if len(job.draws) > 1 else ()
    return Done((Answer(job.prompt, job.draws[:1], ("x",)),), left)


@pytest.mark.parametrize("size", [1, 2, 16])
def test_every_draw_is_answered_once(size: int) -> None:
    closed: list[int] = []
    answers = list(run(JOBS, lambda: Worker(one_draw, lambda: closed.append(1)), size, threading.Event(), list))
    assert sorted((a.prompt.problem_id, a.draws) for a in answers) == sorted(
        (p.problem_id, (k,)) for p in PROMPTS for k in range(3)
    )
    assert len(closed) == size


def test_a_job_s_rest_comes_before_later_jobs() -> None:
    answers = list(run(JOBS, lambda: Worker(one_draw, lambda: None), 1, threading.Event(), list))
    assert [(a.prompt.problem_id, a.draws[0]) for a in answers[:4]] == [("0", 0), ("0", 1), ("0", 2), ("1", 0)]


def test_an_error_ends_the_run_after_the_answers_before_it() -> None:
    started: list[str] = []

    def work(job: Job) -> Done:
        started.append(job.prompt.problem_id)
        if job.prompt.problem_id == "5":
            raise ValueError("five")
        return one_draw(Job(job.rank, job.prompt, (0,)))

    seen: list[Answer] = []
    with pytest.raises(ValueError, match="five"):
        seen.extend(run(JOBS, lambda: Worker(work, lambda: None), 1, threading.Event(), list))
    assert [a.prompt.problem_id for a in seen] == ["0", "1", "2", "3", "4"]
    assert started == ["0", "1", "2", "3", "4", "5"]


def test_answers_under_way_are_handed_in_when_another_fails() -> None:
    together = threading.Barrier(2)

    def work(job: Job) -> Done:
        together.wait(5)
        if job.prompt.problem_id == "0":
            raise ValueError
        time.sleep(0.1)
        return one_draw(Job(job.rank, job.prompt, (0,)))

    seen: list[Answer] = []
    with pytest.raises(ValueError):
        seen.extend(run(JOBS[:2], lambda: Worker(work, lambda: None), 2, threading.Event(), list))
    assert [a.prompt.problem_id for a in seen] == ["1"]


def test_leaving_early_stops_the_others_and_waits_for_nobody() -> None:
    stop, started = threading.Event(), []

    def work(job: Job) -> Done:
        started.append(job)
        if job.prompt.problem_id == "1" and stop.wait(30):
            raise Stopped
        return one_draw(Job(job.rank, job.prompt, (0,)))

    answers = run(JOBS, lambda: Worker(work, lambda: None), 2, stop, list)
    next(answers)
    began = time.monotonic()
    answers.close()
    assert time.monotonic() - began < 1
    assert stop.is_set()


def test_a_worker_that_cannot_start_is_an_error() -> None:
    def open_worker() -> Worker:
        raise OSError("no thread")

    with pytest.raises(OSError, match="no thread"):
        list(run(JOBS, open_worker, 3, threading.Event(), list))
    assert list(run([], lambda: Worker(one_draw, lambda: None), 0, threading.Event(), list)) == []


def test_answers_that_come_while_others_are_kept_are_kept_together() -> None:
    batches: list[int] = []

    def keep(answers: Sequence[Answer]) -> list[Answer]:
        batches.append(len(answers))
        time.sleep(0.05)
        return [replace(answer, texts=("kept",)) for answer in answers]

    answers = list(run(JOBS, lambda: Worker(one_draw, lambda: None), 4, threading.Event(), keep))
    assert {a.texts for a in answers} == {("kept",)}
    assert sum(batches) == len(answers) == 150
    assert len(batches) < 20


def test_what_cannot_be_kept_ends_the_run() -> None:
    def keep(answers: Sequence[Answer]) -> list[Answer]:
        raise OSError("disk full")

    stop = threading.Event()
    with pytest.raises(OSError, match="disk full"):
        list(run(JOBS, lambda: Worker(one_draw, lambda: None), 2, stop, keep))
    assert stop.is_set()


def test_answers_that_come_after_the_iterator_was_left_are_kept() -> None:
    kept: list[str] = []
    slow = threading.Event()

    def work(job: Job) -> Done:
        if job.prompt.problem_id == "1":
            slow.wait(10)
        return one_draw(Job(job.rank, job.prompt, (0,)))

    def keep(answers: Sequence[Answer]) -> list[Answer]:
        kept.extend(a.prompt.problem_id for a in answers)
        return list(answers)

    answers = run(JOBS[:2], lambda: Worker(work, lambda: None), 2, threading.Event(), keep)
    next(answers)
    answers.close()
    slow.set()
    deadline = time.monotonic() + 5
    while "1" not in kept and time.monotonic() < deadline:
        time.sleep(0.01)
    assert kept == ["0", "1"]
