"""Fitted models with the folders they are saved in, small parts, and the bytes of a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from crowdllm.belief.checkpoint import read_meta, save_model
from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.simulation import plan

Make = Callable[..., Any]


class SavedModel(NamedTuple):
    """A model fitted on six problems, the meta.json of its folder, and the folder."""

    model: CrowdModel
    meta: dict[str, Any]
    folder: Path


@pytest.fixture(scope="session")
def saved(make_known: Make, fast_config: Make, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SavedModel]:
    """saved(kind) -> (model, meta, folder), each fitted and saved once."""
    done: dict[str, SavedModel] = {}

    def get(kind: str) -> SavedModel:
        if kind not in done:
            known = make_known(kind, people=40, problems=6)
            model = fit_crowd(known.study, known.references, fast_config(max_epochs=2), 0)
            folder = save_model(model, tmp_path_factory.mktemp("models") / kind, known.study)
            done[kind] = SavedModel(model, read_meta(folder), folder)
        return done[kind]

    return get


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    """Parts of ten people, decided two problems at a time; returns how many people."""
    monkeypatch.setattr(plan, "_size", lambda settings, problems, width: (10, 2, 30))
    return 10


@pytest.fixture
def contents() -> Callable[[Path], dict[str, bytes]]:
    """contents(folder) -> the bytes of every file by its path inside the folder."""

    def read(folder: Path) -> dict[str, bytes]:
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    return read
