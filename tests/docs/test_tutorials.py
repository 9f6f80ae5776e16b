"""The tutorials run, on real data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "docs" / "tutorials").glob("*.py"))


@pytest.mark.skipif("CROWDLLM_DATA_DIR" not in os.environ, reason="needs CROWDLLM_DATA_DIR, see the README")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_tutorial_runs_and_says_something(script: Path, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) >= 3


def test_there_is_one_for_each_kind_of_user() -> None:
    assert {path.stem for path in SCRIPTS} == {
        "survey_researcher", "market_researcher", "label_buyer", "recommender_builder", "social_scientist",
    }  # fmt: skip
