"""`crowdllm import`: shows what it understood, asks for a yes where it guessed, and writes a study."""

from __future__ import annotations

from pathlib import Path

import pytest

from crowdllm.cli import main
from crowdllm.data.study_folder import load_study

LONG = "user,item,rating,age\n" + "".join(f"u{i},t{t},{(i + t) % 5 + 1},{20 + i}\n" for i in range(5) for t in range(4))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "ratings.csv"
    path.write_text(LONG)
    return path


def run(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return int(end.value.code or 0)


def test_a_guess_is_shown_and_nothing_written_without_a_yes(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("import", table, "--out", tmp_path / "study") == 2
    shown = capsys.readouterr().out
    for line in ("Read as csv.", "participant: user", "rating: ordinal (1, 2, 3, 4, 5)", "age: profile numeric"):
        assert line in shown
    assert "Take it with --yes" in shown
    assert not (tmp_path / "study").exists()


def test_a_guess_is_taken_with_yes(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("import", table, "--out", tmp_path / "study", "--yes") == 0
    assert f"next: crowdllm check {tmp_path / 'study'}" in capsys.readouterr().out
    assert load_study(tmp_path / "study").describe() == "N=5 T=4 R=20"
    assert run("check", tmp_path / "study") == 0


def test_a_saved_guess_is_edited_and_used(table: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "map.toml"
    assert run("import", table, "--out", tmp_path / "study", "--save-mapping", mapping) == 0
    assert not (tmp_path / "study").exists()
    text = mapping.read_text(encoding="utf-8")
    assert 'kind = "numeric"' in text
    mapping.write_text(text.replace('use = "profile"\nkind = "numeric"', 'use = "skip"'), encoding="utf-8")
    assert run("import", table, "--out", tmp_path / "study", "--mapping", mapping) == 0
    assert load_study(tmp_path / "study").profiles.columns == ()


def test_one_column_is_changed_on_the_command_line(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    assert run("import", table, "-o", out, "--map", "rating=continuous", "--map", "age=skip") == 0
    study = load_study(out)
    assert study.response_type.kind == "continuous"
    assert study.profiles.columns == ()


def test_an_unknown_column_is_one_line_and_status_2(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("import", table, "--out", tmp_path / "study", "--map", "participant=usr") == 2
    error = capsys.readouterr().err
    assert error.startswith("crowdllm: unknown column 'usr'")
    assert "did you mean 'user'" in error
    assert len(error.splitlines()) == 1


def test_a_full_folder_is_told_before_anything_is_read(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("import", table, "--out", tmp_path, "--yes") == 2
    assert "not empty" in capsys.readouterr().err


def test_a_hostile_name_reaches_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_text(LONG.replace("age", "\x1b]0;evil\x07age"))
    assert run("import", path, "--out", tmp_path / "study", "--yes") == 0
    assert "\x1b" not in capsys.readouterr().out
