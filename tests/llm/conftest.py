"""A misbehaving LLM server for tests, in a process of its own that ends by itself."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SERVER = Path(__file__).with_name("fault_server.py")


@dataclass(frozen=True)
class Running:
    """A server under way: its address, and what it has logged so far."""

    url: str
    log: Path
    process: subprocess.Popen[str]

    def lines(self, path: str = "/v1/chat/completions") -> list[dict[str, Any]]:
        """The requests to a path, once no more are written: a line follows its reply, and may come a little later."""
        before, now = -1, self.log.stat().st_size
        while now != before:
            time.sleep(0.05)
            before, now = now, self.log.stat().st_size
        found = [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]
        return [line for line in found if line["path"] == path]


@pytest.fixture
def fault_server(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """fault_server("--n", "refused", ...) -> Running; see fault_server.py for the options."""
    running: list[Running] = []

    def start(*options: str) -> Running:
        log = tmp_path / f"server-{len(running)}.jsonl"
        command = [sys.executable, str(SERVER), "--log", str(log), *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        first = process.stdout.readline().split()
        assert first[:1] == ["port"], first
        running.append(Running(f"http://127.0.0.1:{first[1]}/v1", log, process))
        return running[-1]

    yield start
    for server in running:
        server.process.kill()
        server.process.wait()
        if server.process.stdout:
            server.process.stdout.close()
