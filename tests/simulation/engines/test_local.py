"""Processes on this machine: every part once, errors in words, and a dead worker told from a bug."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from crowdllm.errors import ConfigError, CrowdLLMError, MismatchError
from crowdllm.simulation.engines import Resources, local
from crowdllm.simulation.engines.local import make_parts
from crowdllm.simulation.job import make_part_of, open_job, pack_job
from crowdllm.simulation.parts import Workbench, make_part, open_workbench
from crowdllm.simulation.plan import Settings, make_plan

Saved = Callable[[str], Any]
pytestmark = pytest.mark.usefixtures("small_parts")


def workbench(saved: Saved, kind: str = "ordinal", people: Any = None) -> Workbench:
    model, meta, _ = saved(kind)
    plan = make_plan(meta["model_hash"], model.items, model.response_type, Settings(75, 3), people)
    return open_workbench(plan, model, model.items, people)


def test_two_workers_make_every_part_once_and_the_same_bytes(saved: Saved) -> None:
    bench = workbench(saved)
    made = list(make_parts(bench, range(1, 8), Resources(saved("ordinal").folder, 2)))
    assert sorted(part.index for part in made) == list(range(1, 8))
    for part in made:
        assert part == make_part(bench, part.index)


def test_one_worker_is_this_process(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_in_processes", lambda *_: pytest.fail("started processes"))
    bench = workbench(saved)
    assert [part.index for part in make_parts(bench, [0, 3], Resources(saved("ordinal").folder, 1))] == [0, 3]
    assert [part.index for part in make_parts(bench, [2], Resources(saved("ordinal").folder, 0))] == [2]
    assert list(make_parts(bench, [], Resources(saved("ordinal").folder, 2))) == []


def test_fewer_than_no_workers_are_refused(saved: Saved) -> None:
    with pytest.raises(ConfigError, match="must be at least 1"):
        next(make_parts(workbench(saved), [0], Resources(None, -1)))


def test_a_worker_that_dies_is_told_in_words_and_no_other_is_left(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    real = local._started

    def remember(job: Any) -> Any:
        pipe, process = real(job)
        started.append(process)
        return pipe, process

    monkeypatch.setattr(local, "_started", remember)
    parts = make_parts(workbench(saved), range(8), Resources(saved("ordinal").folder, 2))
    next(parts)
    for process in started:
        os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(CrowdLLMError, match=r"ended unexpectedly \(exit status -9\).*fewer --workers"):
        list(parts)
    assert not any(process.is_alive() for process in started)


def test_workers_end_when_nobody_wants_more(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    real = local._started
    monkeypatch.setattr(local, "_started", lambda job: started.append(real(job)) or started[-1])
    with closing(make_parts(workbench(saved), range(8), Resources(saved("ordinal").folder, 2))) as parts:
        next(parts)
    assert len(started) == 2
    assert not any(process.is_alive() for _, process in started)


def test_what_the_user_can_mend_comes_back_as_such_and_a_bug_with_its_traceback(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = workbench(saved)
    job = pack_job(bench, saved("ordinal").folder)
    assert local._attempt(job, 1) == make_part(bench, 1)
    by_user, message = local._attempt(make_other(job, {"numpy": "1.0"}), 0)  # type: ignore[misc]
    assert by_user
    assert "numpy is 1.0 there" in message
    monkeypatch.setattr(local, "make_part_of", lambda job, index: 1 // index)
    by_user, message = local._attempt(job, 0)  # type: ignore[misc]
    assert not by_user
    assert "Traceback" in message
    assert "ZeroDivisionError" in message


def make_other(job: Any, versions: dict[str, str]) -> Any:
    from dataclasses import replace

    return replace(job, plan=replace(job.plan, versions=job.plan.versions | versions))


# --- the job --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ordinal", "choice", "points"])
def test_a_job_makes_the_same_parts_elsewhere(saved: Saved, kind: str) -> None:
    people = saved(kind).model.recruit(33, 8)
    for who in (None, people):
        bench = workbench(saved, kind, who)
        job = pack_job(bench, saved(kind).folder)
        assert make_part_of(job, 1) == make_part(bench, 1)
        assert set(job.model) == {"meta.json", "model.json", "tensors.safetensors"}


def test_a_machine_that_rounds_otherwise_refuses(saved: Saved) -> None:
    job = make_other(pack_job(workbench(saved), saved("ordinal").folder), {"arithmetic": "other"})
    with pytest.raises(MismatchError, match="rounds in another way"):
        open_job(job)


def test_a_model_that_changed_meanwhile_is_refused(saved: Saved) -> None:
    with pytest.raises(CrowdLLMError, match="has changed since the simulation began"):
        pack_job(workbench(saved), saved("bounded").folder)


def test_a_model_that_was_damaged_on_its_way_is_refused(saved: Saved) -> None:
    from dataclasses import replace

    job = pack_job(workbench(saved), saved("ordinal").folder)
    tensors = bytearray(job.model["tensors.safetensors"])
    tensors[-1] ^= 1
    with pytest.raises(CrowdLLMError, match="damaged"):
        open_job(replace(job, model=job.model | {"tensors.safetensors": bytes(tensors)}))


def test_new_problems_travel_with_the_job(saved: Saved) -> None:
    model, meta, folder = saved("ordinal")
    from dataclasses import replace

    ids = np.array([f"new {t}" for t in range(6)], dtype=object)
    items = replace(model.items, problems=replace(model.items.problems, ids=ids))
    bench = open_workbench(make_plan(meta["model_hash"], items, model.response_type, Settings(20)), model, items)
    part = make_part_of(pack_job(bench, folder), 0)
    assert part == make_part(bench, 0)
    assert part.files != make_part(workbench(saved), 0).files
