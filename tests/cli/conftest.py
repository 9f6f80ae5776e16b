"""Run commands in this process as the shell would, and a small study with a crowd fitted on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from crowdllm.cli import main
from crowdllm.config import CrowdConfig
from crowdllm.data.new_study import new_study


class Done(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


Run = Callable[..., Done]


def run_command(capture: pytest.CaptureFixture[str], *words: object) -> Done:
    capture.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    captured = capture.readouterr()
    assert "Traceback" not in captured.out + captured.err
    status = stopped.value.code
    assert isinstance(status, int)
    return Done(status, captured.out, captured.err)


@pytest.fixture
def crowdllm(capsys: pytest.CaptureFixture[str]) -> Run:
    """crowdllm("fit", folder, "--out", model) -> Done(status, out, err)."""
    return lambda *words: run_command(capsys, *words)


@pytest.fixture
def refused(crowdllm: Run) -> Callable[..., str]:
    """Run a command that must be refused: status 2 and one line, which is returned."""

    def run(*words: object) -> str:
        done = crowdllm(*words)
        assert done.status == 2
        lines = done.err.strip().splitlines()
        assert len(lines) == 1, lines
        assert lines[0].startswith("crowdllm: ")
        return lines[0]

    return run


@pytest.fixture(autouse=True)
def _few_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """How good a fit is does not matter to the command line."""
    import crowdllm.config

    checked = crowdllm.config.make_config

    def quick(cls: type, settings: dict[str, object]) -> object:
        few = {"max_epochs": 2, "belief_width": 2, "prediction_draws": 8, "profile_penalties": (8.0,)}
        return checked(cls, settings | (few if cls is CrowdConfig else {}))

    monkeypatch.setattr(crowdllm.config, "make_config", quick)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The folder that `crowdllm new` writes."""
    new_study(tmp_path / "study")
    return tmp_path / "study"


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model fitted on that study without references; not to be changed."""
    from crowdllm.belief.checkpoint import save_model
    from crowdllm.belief.crowd_model import fit_crowd
    from crowdllm.data.study_folder import load_study

    folder = tmp_path_factory.mktemp("fitted")
    new_study(folder / "study")
    loaded = load_study(folder / "study")
    return save_model(fit_crowd(loaded, None, CrowdConfig(max_epochs=2, belief_width=2)), folder / "model", loaded)
