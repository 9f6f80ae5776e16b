"""Fits in the background: watched, stopped, killed, and found again by a studio that was started anew."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import crowdllm
from crowdllm.errors import ConfigError
from crowdllm.studio import fits as fits_module
from crowdllm.studio.fits import ALIVE, JOB, STATE, Fits, FitState, Job


@pytest.fixture
def study(tmp_path: Path) -> Path:
    crowdllm.new_study(tmp_path / "study")
    return tmp_path / "study"


@pytest.fixture
def job(study: Path, quick_settings: dict[str, Any]) -> Job:
    settings = quick_settings | {"embedding_penalties": [30.0], "reference_penalties": [30.0]}
    settings |= {"effect_variances": [0.3], "profile_penalties": [8.0]}
    return Job(str(study), "Working from home", "none", settings=settings, measure=False)


def wait_for(fits: Fits, identity: str, seconds: float = 180) -> FitState:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        state = fits.state(identity)
        if not state.running:
            return state
        time.sleep(0.1)
    raise AssertionError(f"still running: {fits.state(identity)}")


def test_a_fit_that_is_stopped_leaves_nothing_half_done_and_can_be_started_again(tmp_path: Path, job: Job) -> None:
    fits = Fits(tmp_path / "fits")
    state = fits.start(job)
    assert state.running
    assert fits.start(job).id == state.id  # a second click
    working = tmp_path / "fits" / state.id / STATE
    while not working.is_file():
        assert fits.state(state.id).running
        time.sleep(0.05)
    fits.stop(state.id)
    assert wait_for(fits, state.id).outcome == "stopped"
    assert not fits.model(state.id).exists()
    assert Fits(tmp_path / "fits").state(state.id).outcome == "stopped"
    fits.stop(state.id)  # nothing happens


def test_a_fit_that_is_killed_is_told_from_one_that_works(
    tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = Fits(tmp_path / "fits")
    state = fits.start(job)
    os.kill(fits._processes[state.id].pid, signal.SIGKILL)
    fits._processes[state.id].wait(10)
    assert fits.state(state.id).outcome == "killed"
    other = Fits(tmp_path / "fits")  # a studio that was started anew knows no process
    assert other.state(state.id).running
    monkeypatch.setattr(fits_module, "SECONDS_SILENT", -1.0)
    assert other.state(state.id).outcome == "killed"
    assert other.state(state.id).job == job


@pytest.mark.slow
def test_a_fit_goes_on_without_the_studio_and_its_model_is_found(tmp_path: Path, job: Job) -> None:
    identity = Fits(tmp_path / "fits").start(job).id
    other = Fits(tmp_path / "fits")
    state = wait_for(other, identity)
    assert state.outcome == "finished", other.log(identity)
    assert crowdllm.load_model(other.model(identity)).reference_sources == ()


def test_a_fit_with_an_error_says_it(tmp_path: Path, job: Job) -> None:
    from crowdllm.studio.fit_process import main

    folder = tmp_path / "fits" / "abc123"
    folder.mkdir(parents=True)
    held = json.loads(json.dumps(job.__dict__)) | {"study": str(tmp_path / "nowhere"), "started": time.time()}
    (folder / JOB).write_text(json.dumps(held))
    (folder / ALIVE).touch()
    assert main(folder) == 2
    state = Fits(tmp_path / "fits").state("abc123")
    assert state.outcome == "failed"
    assert "neither a study folder nor a data set" in state.message


def test_progress_is_what_the_process_last_wrote(tmp_path: Path, job: Job) -> None:
    folder = tmp_path / "fits" / "abc123"
    folder.mkdir(parents=True)
    (folder / JOB).write_text(json.dumps(job.__dict__ | {"started": time.time()}))
    (folder / ALIVE).touch()
    (folder / STATE).write_text(json.dumps({"outcome": "running", "stage": "epoch", "done": 3, "of": 8}))
    state = Fits(tmp_path / "fits").state("abc123")
    assert (state.stage, state.done, state.of, state.running) == ("epoch", 3, 8, True)


@pytest.mark.parametrize("identity", ["", "..", "../../etc", "none"])
def test_a_fit_that_does_not_exist_is_refused(tmp_path: Path, identity: str) -> None:
    with pytest.raises(ConfigError, match="there is no fit"):
        Fits(tmp_path / "fits").state(identity)


def test_more_than_two_at_once_are_refused(tmp_path: Path, job: Job) -> None:
    fits = Fits(tmp_path / "fits")
    for name in ("one", "two"):
        folder = tmp_path / "fits" / name
        folder.mkdir(parents=True)
        (folder / JOB).write_text(json.dumps(job.__dict__ | {"title": name, "started": time.time()}))
        (folder / ALIVE).touch()
    with pytest.raises(ConfigError, match="2 fits are running already"):
        fits.start(job)


@pytest.mark.slow
def test_a_fit_with_its_interval_for_people_gives_conformal_intervals(
    tmp_path: Path, quick_settings: dict[str, Any], ask: Callable
) -> None:
    from crowdllm.experiments.demo import open_demo_study
    from crowdllm.studio.workspace import Workspace

    fits, work = Fits(tmp_path / "fits"), Workspace(tmp_path / "studio")
    settings = {name: list(v) if isinstance(v, tuple) else v for name, v in quick_settings.items()}
    identity = fits.start(Job(str(open_demo_study().folder), "City", "recorded", settings=settings)).id
    assert wait_for(fits, identity, 300).outcome == "finished", fits.log(identity)
    work.add_model(fits.model(identity))
    entry = ask(work, "More trees in the streets.")
    answer = work.answer(entry)
    found = work.interval(entry, answer)
    assert found.kind == "conformal"
    assert found.mean is not None
    assert found.mean[1] - found.mean[0] > 10 * answer.mean_error
