"""A tuned model as a folder: it comes back as it was, and belongs to one base model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crowdllm.config import TuneConfig
from crowdllm.errors import CrowdLLMError, MismatchError
from crowdllm.survey_tuning.answers import answer_shares
from crowdllm.survey_tuning.artifact import load_tuned, tuned_identity
from crowdllm.survey_tuning.tuned import Tuned
from crowdllm.survey_tuning.tuning import tune

pytest.importorskip("peft", reason="for this test: pip install 'crowdllm[tune]'")

FILES = {"adapter_config.json", "adapter_model.safetensors", "crowd.json", "meta.json", "run.json", "training.csv"}


@pytest.fixture(scope="module")
def saved(tiny: Any, of_kind: Any, short: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tuned, Path]:
    """A model tuned with LoRA on numbers."""
    out = tmp_path_factory.mktemp("saved") / "out"
    config = TuneConfig(rank=2, learning_rate=1e-2, max_epochs=1, held_out=0.3, gamma=0.1, profile_weight=0.25)
    return tune([of_kind("continuous")], tiny("llama"), config, 0, out, short, "cpu"), out


def asked(tuned: Tuned, study: Any) -> np.ndarray:
    i, t = np.array([0, 7]), np.array([0, 1])
    return answer_shares(tuned, tuned.interview(study), study.problems, study.profiles, i, t).log_p_RM


def test_a_folder_comes_back_as_it_was(saved: tuple[Tuned, Path], of_kind: Any) -> None:
    tuned, out = saved
    again = load_tuned(out, device="cpu")
    assert {path.name for path in out.iterdir()} == FILES
    assert asked(again, of_kind("continuous")) == pytest.approx(asked(tuned, of_kind("continuous")), abs=1e-5)
    assert (again.temperature_kl, again.temperature_rmse) == (tuned.temperature_kl, tuned.temperature_rmse)
    assert again.profile_weight == tuned.profile_weight == 0.25
    assert again.config == tuned.config
    assert [row.loss for row in again.history] == pytest.approx([row.loss for row in tuned.history])


def test_another_base_model_is_refused(saved: tuple[Tuned, Path], tiny: Any) -> None:
    """The same architecture with other weights, and another architecture."""
    for other in (tiny("llama", seed=5), tiny("qwen3")):
        with pytest.raises(MismatchError, match="is another"):
            load_tuned(saved[1], base=other, device="cpu")


def test_the_same_base_elsewhere_is_taken_and_one_changed_weight_is_not(
    saved: tuple[Tuned, Path], tiny: Any, tmp_path: Path
) -> None:
    moved = tmp_path / "llama"
    shutil.copytree(tiny("llama"), moved)
    assert load_tuned(saved[1], base=str(moved), device="cpu").config == saved[0].config
    weights = moved / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(MismatchError, match="the same weights, tokenizer and chat template"):
        load_tuned(saved[1], base=str(moved), device="cpu")


def test_a_damaged_folder_is_told_from_a_good_one(saved: tuple[Tuned, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(saved[1], broken)
    crowd = json.loads((broken / "crowd.json").read_text())
    (broken / "crowd.json").write_text(json.dumps(crowd | {"temperature_kl": 9.0}))
    with pytest.raises(CrowdLLMError, match="damaged"):
        load_tuned(broken)
    (broken / "meta.json").unlink()
    with pytest.raises(CrowdLLMError, match="its tuning is not finished"):
        load_tuned(broken)
    with pytest.raises(CrowdLLMError, match="holds no tuned model; make one with: crowdllm tune"):
        load_tuned(tmp_path)


def test_no_participant_and_no_profile_is_stored(saved: tuple[Tuned, Path]) -> None:
    text = "".join(path.read_text() for path in saved[1].iterdir() if path.suffix in (".json", ".csv"))
    assert "p000" not in text
    assert "right" not in text
    assert "Is tea good?" not in text


def test_the_identity_names_base_and_adapter(saved: tuple[Tuned, Path], tiny: Any) -> None:
    name = Path(tiny("llama")).name
    assert tuned_identity(saved[1]).startswith(f"tuned:{name}@{saved[0].identity.version}+")
