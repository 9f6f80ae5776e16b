"""Killed at any instant, the same command goes on; the folder is then the one that an undisturbed run writes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crowdllm.simulation import plan
from crowdllm.simulation.ledger import LEDGER
from crowdllm.simulation.plan import Settings
from crowdllm.simulation.stream import stream_crowd

CODE = """
import sys
from crowdllm.simulation import plan
plan._size = lambda *_: (10, 2, 35)
from crowdllm.cli import main
main(sys.argv[1:])
"""
WAIT_S = 120


@pytest.fixture
def same_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process cuts parts as the command in CODE does."""
    monkeypatch.setattr(plan, "_size", lambda *_: (10, 2, 35))


def command(saved: Callable[[str], Any], out: Path, parts: int, workers: int) -> list[str]:
    """`crowdllm simulate` with parts of ten people."""
    words = [sys.executable, "-c", CODE, "simulate", str(saved("ordinal").folder), "--out", str(out)]
    return [*words, "--participants", str(10 * parts), "--participation", "0.8", "--workers", str(workers)]


def lines(out: Path) -> int:
    path = out / LEDGER
    return path.read_bytes().count(b"\n") if path.exists() else 0


def started(words: list[str], out: Path, more: int) -> subprocess.Popen[bytes]:
    """The command running, once it has kept so many parts more than there were."""
    before = lines(out)
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    end = time.monotonic() + WAIT_S
    while lines(out) < before + more and process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    return process


def undisturbed(saved: Callable[[str], Any], out: Path, parts: int) -> None:
    """What the command does, in this process."""
    model, meta, _ = saved("ordinal")
    stream_crowd(model, meta, model.items, Settings(10 * parts, participation=0.8), out)


def killed_again_and_again(
    saved: Callable[[str], Any], folder: Path, contents: Callable[[Path], Any], kills: int, parts: int, workers: int
) -> None:
    rng = np.random.default_rng(kills)
    undisturbed(saved, folder / "whole", parts)
    words, midway = command(saved, folder / "crowd", parts, workers), 0
    for _ in range(kills):
        process = started(words, folder / "crowd", 1)
        time.sleep(rng.uniform(0, 0.06))
        process.kill()
        assert process.wait(WAIT_S) in (-signal.SIGKILL, 0)
        midway += 0 < lines(folder / "crowd") < parts
    assert midway > 0
    undisturbed(saved, folder / "crowd", parts)
    assert contents(folder / "crowd") == contents(folder / "whole")


def test_killed_three_times_it_writes_the_same_bytes(
    saved: Callable[[str], Any], same_parts: None, tmp_path: Path, contents: Callable[[Path], Any]
) -> None:
    killed_again_and_again(saved, tmp_path, contents, kills=3, parts=60, workers=1)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_twenty_times_it_writes_the_same_bytes(
    saved: Callable[[str], Any], same_parts: None, tmp_path: Path, contents: Callable[[Path], Any], workers: int
) -> None:
    killed_again_and_again(saved, tmp_path, contents, kills=20, parts=300, workers=workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_ends_it_cleanly_and_keeps_what_is_done(
    saved: Callable[[str], Any], tmp_path: Path, workers: int
) -> None:
    words = command(saved, tmp_path / "crowd", 2000, workers)
    process = started(words, tmp_path / "crowd", 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert err.decode().splitlines()[-1] == "crowdllm: stopped; the same command continues where it can"
    assert "Traceback" not in err.decode()
    assert 3 <= lines(tmp_path / "crowd") < 2000


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")
def test_workers_end_with_the_process_that_started_them_even_if_it_is_killed(
    saved: Callable[[str], Any], tmp_path: Path
) -> None:
    process = started(command(saved, tmp_path / "crowd", 2000, 2), tmp_path / "crowd", 3)
    family = descendants(process.pid)
    process.kill()
    process.communicate(timeout=WAIT_S)
    assert len(family) >= 2
    end = time.monotonic() + WAIT_S
    while [pid for pid in family if alive(pid)] and time.monotonic() < end:
        time.sleep(0.05)
    assert not [pid for pid in family if alive(pid)]


def descendants(pid: int) -> list[int]:
    """Children, their children and so on, by /proc."""
    out: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            out += [child, *descendants(child)]
    return out


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z" and os.path.exists(f"/proc/{pid}")
