"""A new study works as it stands, says that it is invented, and never replaces what is there unasked."""

import tomllib
from pathlib import Path

import pytest

from crowdllm.data.new_study import new_study, new_study_files
from crowdllm.data.study_check import check_study
from crowdllm.data.study_folder import load_study
from crowdllm.errors import ConfigError


def test_the_new_study_loads_without_errors_or_warnings(tmp_path: Path) -> None:
    written = new_study(tmp_path / "deep" / "study")
    assert sorted(p.name for p in written) == [
        "participants.csv",
        "problems.csv",
        "responses.csv",
        "study.toml",
    ]
    report = check_study(tmp_path / "deep" / "study")
    assert report.usable
    assert {f.severity for f in report.findings} == {"note"}
    assert load_study(tmp_path / "deep" / "study").describe() == "N=12 T=12 R=120"


def test_it_leaves_something_to_predict_and_some_values_missing(tmp_path: Path) -> None:
    new_study(tmp_path)
    messages = " ".join(f.message for f in check_study(tmp_path).findings)
    assert "2 problem(s) without responses" in messages
    assert "is missing for 1 of 12 people" in messages


def test_it_says_that_nobody_answered(tmp_path: Path) -> None:
    new_study(tmp_path)
    study = load_study(tmp_path)
    assert "invented" in study.title
    assert "no person answered" in study.source[0]


def test_every_setting_of_study_toml_is_explained(tmp_path: Path) -> None:
    text = new_study_files()["study.toml"].decode()
    for key in (
        "title",
        "context",
        "requirements",
        "source",
        "[response]",
        "[files]",
        "[columns]",
        "[profile.age]",
    ):
        lines = text.splitlines()
        at = next(i for i, line in enumerate(lines) if line.removeprefix("# ").startswith(key))
        assert lines[at - 1].startswith("#"), key


def test_the_files_and_columns_it_shows_as_comments_are_valid_once_uncommented(tmp_path: Path) -> None:
    text = new_study_files()["study.toml"].decode()
    block = text[text.index("# [files]") : text.index("# Needed only if your columns")]
    raw = tomllib.loads("\n".join(line.removeprefix("# ") for line in block.splitlines()))
    assert list(raw["files"]) == ["problems", "participants", "responses"]


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match=r"not empty \(it has mine\.txt\).*--force"):
        new_study(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_force_replaces_its_own_files_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    (tmp_path / "study.toml").write_text("old")
    new_study(tmp_path, force=True)
    assert (tmp_path / "mine.txt").read_text() == "keep"
    assert check_study(tmp_path).usable
    assert len(list(tmp_path.iterdir())) == 5


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        new_study(tmp_path / "x", force=True)
    with pytest.raises(ConfigError, match="cannot be written"):
        new_study(tmp_path / "x" / "y")
