"""The card of a fitted crowd says whom it stands for and what it must not be used for; foreign text stays text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crowdllm.belief.checkpoint import read_meta, save_model
from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.config import CrowdConfig
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.study import Study
from crowdllm.datasets import synthetic
from crowdllm.report.model_card import NOT_REAL, model_card, write_model_card
from crowdllm.report.page import to_markdown


@pytest.fixture(scope="module")
def study() -> Study:
    base = synthetic.load(participants=40, problems=15, per_participant=8)
    column = ProfileColumn("city", "categorical", ("<b>Ulm</b>", "Jena"))
    values = np.r_[np.zeros(10), np.ones(20), np.full(10, np.nan)][:, None]
    profiles = Profiles((column,), base.profiles.ids, values)
    return replace(base, title="Hate <script>alert(1)</script>", profiles=profiles, source=("Somebody, CC BY",))


@pytest.fixture(scope="module")
def model(study: Study) -> CrowdModel:
    config = CrowdConfig(max_epochs=1, embedding_penalties=(60.0,), reference_penalties=(100.0,))
    return fit_crowd(study, None, config, 0)


def card(model: CrowdModel, study: Study, folder: Path) -> str:
    save_model(model, folder, study)
    return to_markdown(model_card(model, read_meta(folder), study, "crowdllm fit my-study --out m"), folder)


def test_the_card_says_what_it_must(model: CrowdModel, study: Study, tmp_path: Path) -> None:
    text = card(model, study, tmp_path / "m")
    for part in ("Intended use", "Not intended", "Data", "Fidelity", "Limits", "How it was made", "Somebody, CC BY"):
        assert part in text
    assert NOT_REAL in text
    assert read_meta(tmp_path / "m")["model_hash"] in text
    assert "Only 40 people answered" in text
    assert "No LLM reference" in text


def test_shares_of_profile_levels_are_those_of_the_people(model: CrowdModel, study: Study, tmp_path: Path) -> None:
    text = card(model, study, tmp_path / "m")
    assert "Jena | 50%" in text
    assert "missing | 25%" in text


def test_survey_weights_count(model: CrowdModel, study: Study, tmp_path: Path) -> None:
    weights = np.r_[np.full(10, 3.0), np.full(30, 1.0)]  # 30 of 60
    text = card(model, replace(study, weights_N=weights), tmp_path / "m")
    assert "Jena | 33%" in text
    assert "survey weight" in text


def test_nobody_is_named(model: CrowdModel, study: Study, tmp_path: Path) -> None:
    text = card(model, study, tmp_path / "m")
    assert not [identity for identity in study.profiles.ids if str(identity) in text]


def test_foreign_text_stays_text(model: CrowdModel, study: Study, tmp_path: Path) -> None:
    save_model(model, tmp_path / "m", study)
    page = write_model_card(model, read_meta(tmp_path / "m"), study, "crowdllm fit", tmp_path / "m")
    html = page.read_text(encoding="utf-8")
    assert "<script>" not in html
    assert "<b>Ulm" not in html
    assert "&lt;b&gt;Ulm" in html


def test_the_card_changes_nothing_of_the_model(model: CrowdModel, study: Study, tmp_path: Path) -> None:
    save_model(model, tmp_path / "m", study)
    before = read_meta(tmp_path / "m")
    write_model_card(model, before, study, "crowdllm fit", tmp_path / "m")
    assert read_meta(tmp_path / "m") == before
    save_model(model, tmp_path / "m", study)  # a folder with a card is still one that a model may go to
