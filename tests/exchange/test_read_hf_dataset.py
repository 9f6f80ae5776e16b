"""Folders of Hugging Face data sets are recognised, read without running anything, and refused where damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.importing import find_reader, import_study

datasets = pytest.importorskip("datasets")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hf") / "ratings"
    rows = {"item": [f"i{n // 3}" for n in range(12)], "user": [f"u{n % 3}" for n in range(12)]}
    rows |= {"rating": [n % 5 + 1 for n in range(12)], "tags": [["a"], []] * 6}
    datasets.Dataset.from_dict(rows).save_to_disk(folder)
    return folder


def test_a_folder_is_recognised_and_read(saved: Path) -> None:
    assert find_reader([saved]).name == "huggingface"
    imported = import_study(saved)
    assert len(imported.study.responses) == 12
    assert imported.guessed
    assert any(note.kind == "changed" and note.about == "tags" for note in imported.notes)


def test_parquet_files_by_split_are_read(tmp_path: Path, saved: Path) -> None:
    (tmp_path / "hub" / "data").mkdir(parents=True)
    datasets.load_from_disk(saved).to_parquet(tmp_path / "hub" / "data" / "train-00000-of-00001.parquet")
    assert find_reader([tmp_path / "hub"]).name == "huggingface"
    assert len(import_study(tmp_path / "hub").study.responses) == 12


@pytest.mark.parametrize("name", ["../ratings/data-00000-of-00001.arrow", "/etc/passwd", "", "..", None])
def test_a_state_that_names_files_elsewhere_is_refused(tmp_path: Path, saved: Path, name: str | None) -> None:
    shutil.copytree(saved, tmp_path / "copy")
    (tmp_path / "copy" / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(CrowdLLMError):
        import_study(tmp_path / "copy")


def test_an_empty_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CrowdLLMError, match="no Parquet files"):
        import_study(tmp_path, "huggingface")
    (tmp_path / "x").write_text("x")
    with pytest.raises(CrowdLLMError, match="name the folder"):
        import_study(tmp_path / "x", "huggingface")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["state.json", "dataset_info.json", "data-00000-of-00001.arrow"]), st.data())
def test_damaged_folders_are_read_right_or_refused(saved: Path, tmp_path: Path, name: str, data: st.DataObject) -> None:
    folder = tmp_path / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(saved, folder)
    raw = bytearray((folder / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(raw) - 1, 0)))
        raw[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    (folder / name).write_bytes(bytes(raw))
    try:
        imported = import_study(folder, "huggingface")
    except CrowdLLMError:
        return
    for piece in imported.parts:
        counts = piece.study.problems.option_counts[piece.study.responses.problem_R]
        assert piece.study.response_type.legal(piece.study.responses.values_RD, counts).all()
