"""`crowdllm new DIR` writes a study that `crowdllm check DIR` accepts, and refuses to write over anything."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from crowdllm.cli.check import check
from crowdllm.cli.new import new
from crowdllm.errors import ConfigError

app = typer.Typer()
app.command()(new)
app.command()(check)


def run(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_new_writes_a_study_that_check_accepts_and_says_what_to_do_next(tmp_path: Path) -> None:
    folder = str(tmp_path / "mine")
    out = run("new", folder)
    assert f"crowdllm check {folder}" in out
    for name in ("study.toml", "problems.csv", "participants.csv", "responses.csv"):
        assert name in out
        assert (tmp_path / "mine" / name).exists()
    assert "The study can be used: 0 errors, 0 warnings" in run("check", folder)


def test_new_refuses_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="--force"):
        run("new", str(tmp_path))
    assert not (tmp_path / "study.toml").exists()


def test_new_with_force_writes_beside_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    run("new", str(tmp_path), "--force")
    assert (tmp_path / "mine.txt").read_text() == "keep"
    assert (tmp_path / "study.toml").exists()
