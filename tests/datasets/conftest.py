"""Where the published files are, for tests that need them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def mirror() -> Path:
    """The mirror folder; skips where there is none."""
    folder = os.environ.get("CROWDLLM_DATA_DIR", "")
    if not folder:
        pytest.skip("set CROWDLLM_DATA_DIR to a folder with the published files (see crowdllm.datasets.download)")
    return Path(folder)


@pytest.fixture
def published(mirror: Path):
    """A function: a file of the mirror, skipping the test where it is absent."""

    def find(path: str) -> Path:
        found = mirror / path
        if not found.is_file():
            pytest.skip(f"{path} is not in CROWDLLM_DATA_DIR; its data set's card names the source")
        return found

    return find
