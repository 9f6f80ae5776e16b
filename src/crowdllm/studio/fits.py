"""Fit in the background: a process of its own, which a page can watch, stop, and lose sight of without harm.

A fit is a folder. `job.json` says what is to be done; the process (`crowdllm.studio.fit_process`) writes `state.json`,
touches `alive` every second while it lives, stops where it finds a file `stop`, and leaves the model in `model`. So the
state of a fit is on disk: a reloaded page, another tab and a studio that was started again all see the same, and a
process that was killed is told from one that works by the age of `alive`. A model is saved by rename: whatever stops a
fit, there is no half of one.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crowdllm.errors import ConfigError

JOB, STATE, ALIVE, STOP, LOG, MODEL_FOLDER = "job.json", "state.json", "alive", "stop", "log.txt", "model"
SECONDS_SILENT = 20.0
"""A process that has not touched `alive` for so long is dead (importing torch may hold it up for some seconds)."""
MOST_AT_ONCE = 2
RUNNING, FINISHED, FAILED, STOPPED, KILLED = "running", "finished", "failed", "stopped", "killed"


@dataclass(frozen=True)
class Job:
    """What to fit. study: a folder or the name of a data set; references: as --references of `crowdllm fit`.

    measure: whether to measure how far the crowd is from people, too (`crowdllm.studio.calibration`), which takes
    some more fits. model: a fitted model for which only this is done; "" to fit one.
    """

    study: str
    title: str
    references: str | None = None
    embedding: str = "tfidf"
    seed: int = 0
    settings: dict[str, Any] | None = None
    measure: bool = True
    model: str = ""


@dataclass(frozen=True)
class FitState:
    """How far a fit is. outcome: "running", "finished", "failed", "stopped" or "killed"; stage, done, of: of a run."""

    id: str
    job: Job
    outcome: str
    stage: str = ""
    done: int = 0
    of: int = 0
    message: str = ""
    started: float = 0.0
    seconds: float = 0.0

    @property
    def running(self) -> bool:
        return self.outcome == RUNNING


class Fits:
    """The fits in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, job: Job) -> FitState:
        """Start a fit; one that is running with the same settings is given instead of starting it twice.

        Raises ConfigError where too many are running already.
        """
        running = [state for state in self.all() if state.running]
        for state in running:
            if state.job == job:
                return state
        if len(running) >= MOST_AT_ONCE:
            raise ConfigError(f"{len(running)} fits are running already: wait for one, or stop it")
        identity = secrets.token_hex(6)
        folder = self.folder / identity
        folder.mkdir(parents=True)
        write_json(folder / JOB, asdict(job) | {"started": time.time()})
        (folder / ALIVE).touch()
        with (folder / LOG).open("wb") as log:
            self._processes[identity] = subprocess.Popen(
                [sys.executable, "-m", "crowdllm.studio.fit_process", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the Ctrl+C that ends the studio does not end a fit half-way
            )
        return self.state(identity)

    def state(self, identity: str) -> FitState:
        """Raises ConfigError for a fit that does not exist."""
        folder = self.folder / identity
        if not identity.isalnum() or not (folder / JOB).is_file():
            raise ConfigError(f"there is no fit {identity!r}")
        held = json.loads((folder / JOB).read_text(encoding="utf-8"))
        started = float(held.pop("started"))
        state: dict[str, Any] = {"outcome": RUNNING, "stage": "starting"}
        if (folder / STATE).is_file():
            state |= json.loads((folder / STATE).read_text(encoding="utf-8"))
        if state["outcome"] == RUNNING and self._dead(identity):
            stopped = (folder / STOP).exists()
            state |= {"outcome": STOPPED if stopped else KILLED}
        last = (folder / ALIVE).stat().st_mtime if state["outcome"] != RUNNING else time.time()
        return FitState(identity, Job(**held), started=started, seconds=max(0.0, last - started), **state)

    def all(self) -> list[FitState]:
        """Every fit, the newest first."""
        found = [self.state(path.parent.name) for path in self.folder.glob(f"*/{JOB}")]
        return sorted(found, key=lambda state: -state.started)

    def stop(self, identity: str) -> None:
        """Ask a fit to stop, which takes about a second; nothing where it has ended already."""
        if self.state(identity).running:
            (self.folder / identity / STOP).touch()

    def model(self, identity: str) -> Path:
        """Where the model of a fit is, or will be."""
        job = self.state(identity).job
        return Path(job.model) if job.model else self.folder / identity / MODEL_FOLDER

    def log(self, identity: str, most: int = 4000) -> str:
        """The end of what the process printed: empty unless something went wrong."""
        path = self.folder / identity / LOG
        data = path.read_bytes() if path.is_file() else b""
        return data[-most:].decode("utf-8", "replace")

    def _dead(self, identity: str) -> bool:
        process = self._processes.get(identity)
        if process is not None:
            return process.poll() is not None
        try:
            age = time.time() - (self.folder / identity / ALIVE).stat().st_mtime
        except OSError:
            return True
        return age > SECONDS_SILENT


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Beside its place first, then renamed: a reader sees the old or the new one."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.part")
    fresh.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(path)
