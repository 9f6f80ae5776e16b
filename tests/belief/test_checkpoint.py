"""A model folder: reads back the very same model, tells damage, and holds nobody's answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crowdllm.belief.checkpoint import check_fits, load_model, read_meta, save_model
from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError, MismatchError
from crowdllm.responses.ordinal import Ordinal
from crowdllm.simulation.run import simulate_crowd

KINDS = ["continuous", "bounded", "ordinal", "choice", "ballot", "approval", "points", "ranking"]
Known = Callable[..., Any]
Config = Callable[..., Any]


def answers(model: CrowdModel, people: int = 12) -> bytes:
    return simulate_crowd(model, model.items, people, seed=5).responses.values_RD.tobytes()


@pytest.fixture(scope="module")
def study(make_known: Known) -> Study:
    return make_known("ordinal", people=30, problems=6).study


@pytest.fixture(scope="module")
def model(make_known: Known, fast_config: Config) -> CrowdModel:
    return fit_crowd(make_known("ordinal", people=30, problems=6).study, None, fast_config(), 0)


@pytest.fixture
def folder(model: CrowdModel, study: Study, tmp_path: Path) -> Path:
    return save_model(model, tmp_path / "model", study)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_was_read_back_simulates_the_same_bytes(
    kind: str, make_known: Known, fast_config: Config, tmp_path: Path
) -> None:
    known = make_known(kind, people=25, problems=6)
    model = fit_crowd(known.study, known.references, fast_config(max_epochs=2), 0)
    loaded = load_model(save_model(model, tmp_path / "model", known.study))
    assert answers(loaded) == answers(model)
    assert loaded.config == model.config
    assert loaded.response_type == model.response_type
    new = replace(known.study.problems, ids=np.array([f"new{t}" for t in range(6)], dtype=object))
    renamed = replace(known.references.sources[0], problem_ids=new.ids)
    references = replace(known.references, sources=(renamed,))
    crowds = [simulate_crowd(m, m.make_items(new, references), 8, 1).responses.values_RD for m in (model, loaded)]
    np.testing.assert_array_equal(*crowds)


def test_texts_without_any_word_can_be_saved(make_known: Known, fast_config: Config, tmp_path: Path) -> None:
    study = make_known("ordinal", people=25, problems=6).study
    wordless = replace(study, problems=replace(study.problems, texts=np.array(["?"] * 6, dtype=object)))
    model = fit_crowd(wordless, None, fast_config(max_epochs=1), 0)
    assert answers(load_model(save_model(model, tmp_path / "model"))) == answers(model)


SIMULATE = """
import sys
from crowdllm.belief.checkpoint import load_model
from crowdllm.simulation.run import simulate_crowd
model = load_model(sys.argv[1])
sys.stdout.buffer.write(simulate_crowd(model, model.items, 12, seed=5).responses.values_RD.tobytes())
"""


def test_another_process_simulates_the_same_bytes(folder: Path, model: CrowdModel) -> None:
    done = subprocess.run([sys.executable, "-c", SIMULATE, str(folder)], capture_output=True, check=True)
    assert done.stdout == answers(model)


def test_the_folder_says_what_it_was_fitted_on_and_by_what(folder: Path, study: Study) -> None:
    meta = read_meta(folder)
    assert meta["method"] == "crowdllm"
    assert meta["seed"] == 0
    assert meta["study"]["people"] == len(study.profiles)
    assert meta["study"]["title"] == study.title
    assert set(meta["fit"]["population"]) >= {"reference_penalty", "embedding_penalty", "effect_variance"}
    assert sorted(p.name for p in folder.iterdir()) == [
        "meta.json",
        "model.json",
        "tensors.safetensors",
        "training.csv",
    ]


def test_saving_the_same_model_twice_gives_the_same_bytes(model: CrowdModel, study: Study, tmp_path: Path) -> None:
    first, second = save_model(model, tmp_path / "a", study), save_model(model, tmp_path / "b", study)
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


# --- damage ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tensors.safetensors", "model.json", "meta.json"])
@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 0.999])
def test_one_flipped_bit_anywhere_is_told(folder: Path, name: str, place: float) -> None:
    data = bytearray((folder / name).read_bytes())
    data[int(place * len(data))] ^= 1
    (folder / name).write_bytes(bytes(data))
    with pytest.raises(CrowdLLMError, match="damaged|format|holds no fitted model") as error:
        load_model(folder)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize("name", ["tensors.safetensors", "model.json", "meta.json"])
def test_a_missing_or_cut_file_is_told(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CrowdLLMError, match="damaged"):
        load_model(folder)
    (folder / name).unlink()
    with pytest.raises(CrowdLLMError, match="damaged"):
        load_model(folder)


def test_a_changed_seed_in_the_meta_file_is_told(folder: Path) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"seed": 1}))
    with pytest.raises(CrowdLLMError, match="damaged"):
        load_model(folder)


def test_a_meta_file_laid_out_otherwise_is_no_damage(folder: Path, model: CrowdModel) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(dict(reversed(meta.items()))))
    assert answers(load_model(folder)) == answers(model)


def test_a_newer_format_is_told_with_both_numbers(folder: Path) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"format": 99}))
    with pytest.raises(CrowdLLMError, match=r"format 99; this version reads format 1"):
        load_model(folder)


@pytest.mark.parametrize("content", ["[]", "null", "{}", '{"format": 1}', "not json"])
def test_another_programs_meta_file_is_no_model(tmp_path: Path, content: str) -> None:
    (tmp_path / "meta.json").write_text(content)
    with pytest.raises(CrowdLLMError, match="holds no fitted model; make one with: crowdllm fit"):
        load_model(tmp_path)


def test_no_folder_and_a_file_are_no_model(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "nothing", tmp_path / "file", tmp_path / "file" / "below", tmp_path / "a" / "b"):
        with pytest.raises(CrowdLLMError, match="holds no fitted model"):
            load_model(path)


# --- saving over something ----------------------------------------------------------------------------------


def test_saving_over_an_old_model_replaces_all_of_it(folder: Path, make_known: Known, fast_config: Config) -> None:
    other = fit_crowd(make_known("choice", people=25, problems=5).study, None, fast_config(max_epochs=1), 0)
    save_model(other, folder)
    assert answers(load_model(folder)) == answers(other)
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_a_damaged_model_can_be_replaced(folder: Path, model: CrowdModel) -> None:
    (folder / "meta.json").write_text("{")
    save_model(model, folder)
    assert answers(load_model(folder)) == answers(model)


def test_an_empty_folder_is_filled(model: CrowdModel, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    save_model(model, tmp_path / "empty")
    assert answers(load_model(tmp_path / "empty")) == answers(model)


@pytest.mark.parametrize(
    "files",
    [{"thesis.txt": "mine"}, {"meta.json": '{"simulated": true}', "responses.csv": "x"}, {"meta.json": "[1]"}],
    ids=["a text", "a simulated crowd", "another meta.json"],
)
def test_a_folder_with_other_things_is_refused_and_left_alone(
    model: CrowdModel, tmp_path: Path, files: dict[str, str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(CrowdLLMError, match="holds something other than a model; choose another folder"):
        save_model(model, tmp_path)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == files


def test_a_file_in_the_place_of_the_folder_is_refused(model: CrowdModel, tmp_path: Path) -> None:
    (tmp_path / "model").write_text("mine")
    with pytest.raises(CrowdLLMError, match="something other than a model"):
        save_model(model, tmp_path / "model")
    assert (tmp_path / "model").read_text() == "mine"


def test_the_current_folder_can_hold_a_model(
    model: CrowdModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    save_model(model, ".")
    assert answers(load_model(tmp_path / "here")) == answers(model)


SAVE_AND_DIE = """
import os, sys
from pathlib import Path
from crowdllm.belief.checkpoint import load_model, save_model
new, target, deadly = load_model(sys.argv[1]), sys.argv[2], int(sys.argv[3])
rename, calls = Path.rename, []
def dying(self, other):
    calls.append(self)
    if len(calls) == deadly:
        os._exit(9)  # as `kill -9`: nothing is cleaned up
    return rename(self, other)
Path.rename = dying
save_model(new, target)
"""


@pytest.mark.parametrize("deadly", [1, 2])
def test_a_kill_while_saving_leaves_the_old_model(
    folder: Path, model: CrowdModel, make_known: Known, fast_config: Config, tmp_path: Path, deadly: int
) -> None:
    other = fit_crowd(make_known("ordinal", people=20, problems=5, seed=9).study, None, fast_config(max_epochs=1), 0)
    new = save_model(other, tmp_path / "new")
    done = subprocess.run([sys.executable, "-c", SAVE_AND_DIE, str(new), str(folder), str(deadly)], check=False)
    assert done.returncode == 9
    assert answers(load_model(folder)) == answers(model)
    save_model(other, folder)
    assert answers(load_model(folder)) == answers(other)
    shutil.rmtree(folder)
    with pytest.raises(CrowdLLMError, match="holds no fitted model"):  # nothing older comes back
        load_model(folder)


# --- what is in the folder ---------------------------------------------------------------------------------


def test_no_participant_and_no_response_is_in_the_folder(
    make_known: Known, fast_config: Config, tmp_path: Path
) -> None:
    known = make_known("continuous", people=25, problems=5)
    study = known.study
    secret = np.array([f"Zaphod-{i}-Beeblebrox" for i in range(25)], dtype=object)
    study = replace(study, profiles=Profiles(study.profiles.columns, secret, study.profiles.values_NC))
    folder = save_model(fit_crowd(study, None, fast_config(max_epochs=2), 0), tmp_path / "model", study)
    everything = b"".join(path.read_bytes() for path in folder.iterdir())
    assert b"Zaphod" not in everything
    for value in study.responses.values_RD[:, 0]:
        assert np.float64(value).tobytes() not in everything
        assert np.float32(value).tobytes() not in everything
        assert repr(float(value)).encode() not in everything


def test_there_is_no_pickle_in_the_folder(folder: Path) -> None:
    for path in folder.iterdir():
        data = path.read_bytes()
        assert not data.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK"))
    for name in ("model.json", "meta.json"):
        assert isinstance(json.loads((folder / name).read_text(encoding="utf-8")), dict)
    header_length = int.from_bytes((folder / "tensors.safetensors").read_bytes()[:8], "little")
    header = json.loads((folder / "tensors.safetensors").read_bytes()[8 : 8 + header_length])
    assert {entry["dtype"] for name, entry in header.items() if name != "__metadata__"} <= {"F32", "F64", "I64"}


# --- does it fit a study -------------------------------------------------------------------------------------


def test_a_study_with_the_same_columns_and_scale_fits(folder: Path, study: Study) -> None:
    check_fits(load_model(folder), study)


def test_the_unit_of_a_continuous_scale_makes_no_difference(make_known: Known, fast_config: Config) -> None:
    study = make_known("bounded", people=20, problems=5).study
    check_fits(fit_crowd(study, None, fast_config(max_epochs=1), 0), study)


def test_another_scale_is_refused_naming_what_differs(model: CrowdModel, study: Study) -> None:
    other = replace(study, response_type=Ordinal(("1", "2", "3")))
    with pytest.raises(
        MismatchError, match=r"scale differs.*levels: model \['1', '2', '3', '4', '5'\], study \['1', '2'"
    ):
        check_fits(model, other)


def test_other_profile_columns_are_refused_naming_them(model: CrowdModel, study: Study) -> None:
    columns = (*study.profiles.columns, ProfileColumn("shoe size", "numeric"))
    values = np.c_[study.profiles.values_NC, np.full(len(study.profiles), 40.0)]
    with pytest.raises(MismatchError, match="shoe size"):
        check_fits(model, replace(study, profiles=Profiles(columns, study.profiles.ids, values)))
    fewer = Profiles(study.profiles.columns[1:], study.profiles.ids, study.profiles.values_NC[:, 1:])
    with pytest.raises(MismatchError, match="'age' is missing"):
        check_fits(model, replace(study, profiles=fewer))


def test_problems_without_options_are_refused_by_a_model_of_choices(make_known: Known, fast_config: Config) -> None:
    model = fit_crowd(make_known("choice", people=20, problems=5).study, None, fast_config(max_epochs=1), 0)
    bare = Problems(np.array(["x"], dtype=object), np.array(["What?"], dtype=object))
    with pytest.raises(MismatchError, match="problem 'x' has no options, which a choice needs"):
        model.make_items(bare, None)


def test_other_references_are_refused_naming_both(
    make_known: Known, make_references: Known, fast_config: Config
) -> None:
    known = make_known("ordinal", people=20, problems=5)
    model = fit_crowd(known.study, known.references, fast_config(max_epochs=1), 0)
    with pytest.raises(MismatchError, match=r"fitted with references \['oracle'\], but none were given"):
        model.make_items(known.study.problems, None)
    other = make_references(known.study, known.truth_TM, name="parrot")
    with pytest.raises(MismatchError, match=r"\['oracle'\], but \['parrot'\] were given"):
        model.make_items(known.study.problems, other)
