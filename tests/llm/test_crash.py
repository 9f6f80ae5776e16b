"""A client that is killed at any moment asks for nothing again that it had: the server's own log is the witness.

Completed means: the reply was delivered in full, and its answer is committed to the cache. A reply that the server sent
but that did not get that far before the kill is lost, and is asked for again; no client can know of it. How many these
are is counted: at most one call for each thread and kill.
"""

from __future__ import annotations

import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CLIENT = Path(__file__).with_name("asking_client.py")
Draws = Counter[str]


def start_client(url: str, cache: Path, prompts: int, draws: int, concurrency: int = 16) -> subprocess.Popen[str]:
    command = [sys.executable, str(CLIENT), url, str(cache), *map(str, (prompts, draws, concurrency))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "asking\n", process.communicate()
    return process


def committed(cache: Path) -> Draws:
    """How many draws of each prompt the cache holds, read past the code under test."""
    with sqlite3.connect(f"file:{cache}?mode=ro", uri=True) as db:
        rows = db.execute("SELECT q.text, count(*) FROM texts JOIN questions q USING (key) GROUP BY q.text")
        return Counter(dict(rows))


def check_log(lines: list[dict[str, Any]], before: Draws, draws: int) -> None:
    """Every request of a run is for a prompt of which draws were missing, and for no more than these."""
    for line in lines:
        assert before[line["prompt"]] < draws, f"{line['prompt']} was complete and is asked again"
        assert line["n"] <= draws - before[line["prompt"]], f"{line['prompt']}: more draws than were missing"


def delivered(lines: list[dict[str, Any]]) -> Draws:
    """How many answers of each prompt were delivered and could be read."""
    found: Draws = Counter()
    for line in lines:
        if line["fault"] not in ("doubled_body", "long_text"):
            found[line["prompt"]] += min(line["choices"], line["n"])
    return found


@dataclass(frozen=True)
class Run:
    """One run of the client: when it began, and what the cache held before and after it."""

    began: float
    before: Draws
    after: Draws


def kill_and_go_on(
    fault_server: Callable[..., Any], tmp_path: Path, kills: int, prompts: int, draws: int, n: str, hang: float
) -> None:
    rng = random.Random(kills)
    server = fault_server("--faults", "0.3", "--hang", str(hang), "--n", n, "--latency", "0.02", "--seconds", "400")
    cache, threads = tmp_path / "cache.sqlite", 16
    runs: list[Run] = []
    held: Draws = Counter()
    for _ in range(kills):
        began = time.time()
        client = start_client(server.url, cache, prompts, draws, threads)
        time.sleep(rng.uniform(0.02, 0.6))
        assert client.poll() is None, "the client ended before it was killed: more prompts are needed"
        client.kill()
        client.communicate()
        time.sleep(0.3)  # what was on its way has come
        runs.append(Run(began, held, committed(cache)))
        held = runs[-1].after
        assert all(held[prompt] >= runs[-1].before[prompt] for prompt in runs[-1].before)
    began = time.time()
    client = start_client(server.url, cache, prompts, draws, threads)
    out, err = client.communicate(timeout=200)
    ended = re.match(r"ended answered=(\d+) failed=(\d+) hits=(\d+)", out)
    assert ended, err
    answered, failed, hits = map(int, ended.groups())
    assert (answered + failed, hits) == (prompts * draws, sum(held.values()))
    runs.append(Run(began, held, committed(cache)))
    assert sum(runs[-1].after.values()) == answered
    time.sleep(hang + 0.5)  # a request that hangs is logged when that ends
    lost = [check_run(run, until, server.lines(), draws) for run, until in zip(runs, ends_of(runs), strict=True)]
    assert lost[-1] == 0  # the run that was not killed lost nothing
    assert all(count <= threads * draws for count in lost), lost


def ends_of(runs: list[Run]) -> list[float]:
    return [*(run.began for run in runs[1:]), float("inf")]


def check_run(run: Run, until: float, lines: list[dict[str, Any]], draws: int) -> int:
    """The log of one run; how many answers were delivered in it that did not get into the cache."""
    mine = [line for line in lines if run.began <= line["came"] < until]
    check_log(mine, run.before, draws)
    sent = delivered(mine)
    new = {prompt: run.after[prompt] - run.before[prompt] for prompt in run.after}
    assert all(sent[prompt] >= count for prompt, count in new.items())  # nothing is in the cache that nobody said
    return sum(sent[prompt] - new.get(prompt, 0) for prompt in sent)


def test_a_killed_client_goes_on_where_it_was(fault_server: Callable[..., Any], tmp_path: Path) -> None:
    kill_and_go_on(fault_server, tmp_path, kills=2, prompts=120, draws=2, n="ignored", hang=0.3)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "draws"), [("ignored", 2), ("yes", 4)])
def test_ten_kills_repeat_no_completed_call(
    fault_server: Callable[..., Any], tmp_path: Path, n: str, draws: int
) -> None:
    kill_and_go_on(fault_server, tmp_path, kills=10, prompts=700, draws=draws, n=n, hang=4)


def test_ctrl_c_leaves_at_once_and_keeps_what_came(fault_server: Callable[..., Any], tmp_path: Path) -> None:
    server = fault_server("--latency", "0.02", "--hang", "30")
    cache = tmp_path / "cache.sqlite"
    client = start_client(server.url, cache, 20_000, 1)
    while len(server.log.read_text().splitlines()) < 50:
        time.sleep(0.01)
    client.send_signal(signal.SIGINT)
    began = time.monotonic()
    out, err = client.communicate(timeout=20)
    assert time.monotonic() - began < 15  # of the 30 seconds for which the server hangs
    assert (client.returncode, out, err) == (130, "", "")
    lines = server.lines()
    assert len(lines) < 20_000
    # but for what was under way: per thread one call that was cut off, and one that was begun as the signal came
    assert sum(committed(cache).values()) >= len(lines) - 2 * 16
