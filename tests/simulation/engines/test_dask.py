"""The cluster engine: the same bytes as on one machine, also when a worker is killed half-way."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crowdllm.errors import ConfigError, CrowdLLMError, MissingExtraError
from crowdllm.simulation import plan
from crowdllm.simulation.engines import Resources
from crowdllm.simulation.engines import dask as engine
from crowdllm.simulation.ledger import read_ledger
from crowdllm.simulation.plan import Settings
from crowdllm.simulation.stream import stream_crowd

Saved = Callable[[str], Any]
Contents = Callable[[Path], dict[str, bytes]]
WAIT_S = 120


def stream(saved: Saved, out: Path, address: str | None, participants: int = 75, **more: Any) -> None:
    model, meta, folder = saved("ordinal")
    settings = Settings(participants, 3, participation=0.8)
    if address is None:
        stream_crowd(model, meta, model.items, settings, out)
    else:
        resources = Resources(folder, scheduler=address)
        stream_crowd(model, meta, model.items, settings, out, engine="dask", resources=resources, **more)


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a scheduler with one worker of two threads, in this process, on loopback."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=None
    ) as running:
        yield running.scheduler_address


def test_a_cluster_gives_the_same_bytes(
    saved: Saved, small_parts: int, tmp_path: Path, contents: Contents, cluster: str
) -> None:
    stream(saved, tmp_path / "local", None)
    stream(saved, tmp_path / "cluster", cluster)
    assert contents(tmp_path / "cluster") == contents(tmp_path / "local")


def test_a_run_may_change_its_engine_half_way(
    saved: Saved, small_parts: int, tmp_path: Path, contents: Contents, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crowdllm.simulation.meter.EVERY_S", 0.0)

    def stop(what: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream(saved, tmp_path / "crowd", cluster, progress=stop)
    assert len(read_ledger(tmp_path / "crowd")) == 3
    stream(saved, tmp_path / "crowd", None)
    stream(saved, tmp_path / "whole", None)
    assert contents(tmp_path / "crowd") == contents(tmp_path / "whole")


def test_a_worker_with_other_software_is_refused_in_words(
    saved: Saved, small_parts: int, tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = plan.versions()
    monkeypatch.setattr("crowdllm.simulation.job.versions", lambda: own | {"scipy": "0.1"})
    monkeypatch.setattr("crowdllm.simulation.job._opened", {})
    with pytest.raises(CrowdLLMError, match=r"would not give the same responses: scipy is .* there and 0\.1 here"):
        stream(saved, tmp_path / "crowd", cluster)


def test_without_a_scheduler_the_address_is_asked_for(saved: Saved, small_parts: int, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(ConfigError, match="--scheduler tcp://HOST:8786"):
        stream(saved, tmp_path / "crowd", "")


def test_a_scheduler_that_does_not_answer_is_one_line(
    saved: Saved, small_parts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(engine, "PATIENCE_S", 0.3)
    with pytest.raises(CrowdLLMError, match="no dask scheduler can be reached at tcp://127.0.0.1:9") as refusal:
        stream(saved, tmp_path / "crowd", "tcp://127.0.0.1:9")
    assert "\n" not in str(refusal.value)
    with pytest.raises(CrowdLLMError, match="no dask scheduler can be reached at nonsense://x"):
        stream(saved, tmp_path / "crowd", "nonsense://x")


def test_a_scheduler_without_workers_is_told(
    saved: Saved, small_parts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(engine, "PATIENCE_S", 3)
    with (
        distributed.LocalCluster(
            n_workers=0, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=None
        ) as empty,
        pytest.raises(CrowdLLMError, match="has no workers; start some: dask worker tcp://127.0.0.1"),
    ):
        stream(saved, tmp_path / "crowd", empty.scheduler_address)


def test_without_the_package_the_extra_is_named(
    saved: Saved, small_parts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "distributed":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'crowdllm\[cluster\]'"):
        stream(saved, tmp_path / "crowd", "tcp://127.0.0.1:9")


@pytest.fixture
def three_workers(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and three workers in processes of their own on loopback, and the workers' processes."""
    pytest.importorskip("distributed")
    file, running = tmp_path / "scheduler.json", []

    def start(module: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{module}", "--scheduler-file", str(file), *words]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return running[-1]

    try:
        start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        end = time.monotonic() + WAIT_S
        while not file.exists() and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.2)
        own = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
        workers = [start("dask_worker", *own) for _ in range(3)]
        yield json.loads(file.read_text())["address"], workers
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.wait(WAIT_S)


@pytest.mark.slow
def test_a_worker_that_is_killed_half_way_changes_no_byte(
    saved: Saved,
    small_parts: int,
    tmp_path: Path,
    contents: Contents,
    three_workers: tuple[str, list[subprocess.Popen[bytes]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("crowdllm.simulation.meter.EVERY_S", 0.0)
    monkeypatch.setattr(engine, "PATIENCE_S", WAIT_S)
    address, workers = three_workers
    killed: list[int] = []

    def kill_one(what: str, done: int, total: int) -> None:
        if done == total // 2 and not killed:
            workers[0].kill()
            killed.append(workers[0].wait(WAIT_S))

    stream(saved, tmp_path / "cluster", address, participants=900, progress=kill_one)
    assert killed == [-9]
    stream(saved, tmp_path / "local", None, participants=900)
    assert contents(tmp_path / "cluster") == contents(tmp_path / "local")
