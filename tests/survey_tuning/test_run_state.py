"""Which run a folder is for, also where it was begun by a version with fewer settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crowdllm.config import TuneConfig
from crowdllm.errors import CrowdLLMError
from crowdllm.survey_tuning.base_model import Identity
from crowdllm.survey_tuning.run_state import CHECKPOINTS, RUN, claim, run_card


def card(**settings: Any) -> dict[str, Any]:
    return run_card([], [], Identity("base", "1234"), TuneConfig(**settings), 0)


def begun(place: Path, held: dict[str, Any]) -> Path:
    """A folder in which a run has made steps."""
    (place / CHECKPOINTS).mkdir(parents=True)
    (place / RUN).write_text(json.dumps(held))
    return place


def test_a_run_from_before_a_setting_goes_on_with_that_settings_default(tmp_path: Path) -> None:
    older = card(rank=2)
    del older["config"]["answer_end"], older["config"]["profile_weight"]
    claim(begun(tmp_path / "run", older), card(rank=2, checkpoint_every=7))
    with pytest.raises(CrowdLLMError, match=r"another run \(answer_end True, now False\)"):
        claim(tmp_path / "run", card(rank=2, answer_end=False))
    with pytest.raises(CrowdLLMError, match=r"\(profile_weight 1.0, now chosen\)"):
        claim(tmp_path / "run", card(rank=2, profile_weight="chosen"))


def test_a_setting_that_is_no_more_is_named(tmp_path: Path) -> None:
    newer = card()
    newer["config"]["twist"] = 3
    with pytest.raises(CrowdLLMError, match=r"another run \(twist 3, now None\)"):
        claim(begun(tmp_path / "run", newer), card())


def test_a_folder_whose_run_has_no_settings_is_another_run(tmp_path: Path) -> None:
    with pytest.raises(CrowdLLMError, match="another run"):
        claim(begun(tmp_path / "run", {"config": None, "seed": 0}), card())
