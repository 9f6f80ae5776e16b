"""`crowdllm study`: lists every study, refuses what it does not know, and runs one into a folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crowdllm.cli import main
from crowdllm.experiments.studies import STUDIES


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["study", *words])
    return int(end.value.code or 0)


def test_list_shows_every_study_with_a_line_about_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    lines = capsys.readouterr().out.splitlines()
    for name in STUDIES:
        assert [line for line in lines if re.match(rf"{name} +\S+", line)], name


def test_the_tables_of_the_paper_are_run_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("crowdllm.cli.reproduce.reproduce", lambda *words: asked.extend(words))
    assert run("run", "tables-voting", "--quick", "--out", str(tmp_path / "o"), "--workers", "2") == 0
    assert asked == ["voting", tmp_path / "o", None, True, 2, "tfidf", None]
    assert run("list") == 0
    assert "tables-voting" in capsys.readouterr().out
    assert run("run", "tables-voting", "--seed", "3") == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "crowd-sise"), "did you mean 'crowd-size'"),
        (("run",), "name the study"),
        (("rum", "cost"), "did you mean 'run'"),
        (("list", "cost"), "takes no name"),
        (("run", "cost", "--tuned", "adapter:x"), "--tuned is for groups"),
    ],
)
def test_mistakes_are_one_line_with_the_next_step(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_study_without_its_data_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("CROWDLLM_DATA_DIR", str(tmp_path / "empty"))
    from crowdllm.experiments.studies.data import open_data

    open_data.cache_clear()
    assert run("run", "profiles", "--quick", "--out", str(tmp_path / "o")) == 2
    assert "popquorn_offensiveness" in capsys.readouterr().err
    assert not (tmp_path / "o" / "meta.json").exists()
