"""Pieces of work are done once each, in one process or several, and an error of one reaches the caller."""

from __future__ import annotations

import operator
import os

import pytest

from crowdllm.experiments.reproduce.processes import Task, cores, work_through


def task(name: str, *arguments: object, action: object = str) -> Task:
    return Task(("run", name), name, action, arguments)  # type: ignore[arg-type]


def test_one_worker_keeps_the_order_and_this_process() -> None:
    done = list(work_through([task("a", 1), task("b", 2), task("pid", action=os.getpid)], 1))
    assert [d.said for d in done] == ["1", "2", os.getpid()]
    assert [d.task.name for d in done] == ["a", "b", "pid"]
    assert all(d.seconds >= 0 for d in done)


def test_an_error_stops_the_work_before_the_next_piece() -> None:
    seen = []

    def note(text: str) -> str:
        seen.append(text)
        return text

    tasks = [task("a", "a", action=note), task("b", 1, 0, action=operator.truediv), task("c", "c", action=note)]
    with pytest.raises(ZeroDivisionError):
        list(work_through(tasks, 1))
    assert seen == ["a"]


def test_there_is_at_least_one_core() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)


@pytest.mark.slow
def test_several_workers_do_everything_in_other_processes() -> None:
    tasks = [task(str(k), k) for k in range(6)] + [task("pid", action=os.getpid)]
    done = {d.task.name: d.said for d in work_through(tasks, 2)}
    assert {k: v for k, v in done.items() if k != "pid"} == {str(k): str(k) for k in range(6)}
    assert done["pid"] != os.getpid()


@pytest.mark.slow
def test_an_error_in_another_process_reaches_the_caller() -> None:
    tasks = [task("b", 1, 0, action=operator.truediv), *(task(str(k), k) for k in range(3))]
    with pytest.raises(ZeroDivisionError):
        list(work_through(tasks, 2))
