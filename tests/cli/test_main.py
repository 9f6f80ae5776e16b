"""The entry point: help, version, and one clear line with status 2 for whatever was mistyped."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crowdllm import __version__
from crowdllm.cli import COMMANDS, error_lines, main
from crowdllm.errors import ConfigError, CrowdLLMError, Finding, StudyError

Run = Callable[..., Any]


def test_without_a_command_the_help_is_shown(crowdllm: Run) -> None:
    done = crowdllm()
    assert done.status == 0
    for name in COMMANDS:
        assert name in done.out
    assert done.err == ""


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help(crowdllm: Run, option: str) -> None:
    for name in COMMANDS:
        done = crowdllm(name, option)
        assert done.status == 0
        assert f"crowdllm {name}" in done.out


def test_the_version_is_printed(crowdllm: Run) -> None:
    assert crowdllm("--version") == (0, f"crowdllm {__version__}\n", "")


def test_a_mistyped_command_names_the_nearest(refused: Run) -> None:
    assert "'evalute'. Did you mean 'evaluate'?" in refused("evalute")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("fit", "x", "--otu", "y"), "--otu (Possible options: --out) (see crowdllm fit -h)"),
        (("evaluate", "x", "--out", "y", "--sedes", "3"), "--seeds) (see crowdllm evaluate -h)"),
        (("simulate", "x", "--out", "y", "--participant", "3"), "--participant (Possible options: --participants"),
        (("--versoin",), "--versoin (Possible options: --version) (see crowdllm -h)"),
        (("fit",), "Missing argument 'study' (see crowdllm fit -h)"),
        (("fit", "x"), "Missing option '--out' (see crowdllm fit -h)"),
        (("simulate", "m", "--out", "c", "--participants", "many"), "Invalid value for '--participants'"),
        (("simulate", "m", "--out", "c", "--participants", "0"), "Invalid value for '--participants'"),
        (("evaluate", "s", "--out", "c", "--seeds", "0"), "Invalid value for '--seeds'"),
        (("new", "a", "b"), "unexpected extra argument"),
    ],
)
def test_a_mistyped_option_is_one_line(refused: Run, words: tuple[str, ...], expected: str) -> None:
    assert expected in refused(*words)


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("crowdllm.data.new_study.new_study", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        main(["new", str(tmp_path / "x")])


def test_a_place_that_cannot_be_written_is_one_line(refused: Run, study: Path, fitted: Path) -> None:
    blocked = study / "problems.csv" / "below"
    assert "problems.csv" in refused("fit", study, "--out", blocked)
    assert "problems.csv" in refused("simulate", fitted, "--out", blocked, "--participants", 2)
    assert "problems.csv" in refused("evaluate", study, "--out", blocked, "--methods", "random")
    assert "problems.csv" in refused("aggregate", study, "--out", blocked)
    assert str(study) in refused("aggregate", study, "--out", study)


def test_an_interrupt_exits_130_with_a_message(crowdllm: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("crowdllm.data.new_study.new_study", interrupted)
    done = crowdllm("new", tmp_path / "x")
    assert done == (130, "", "crowdllm: stopped; the same command continues where it can\n")


def test_an_interrupt_while_the_program_loads_is_one_line_too() -> None:
    code = (
        "import os, signal, sys\n"
        "class Loading:\n"
        "    def find_spec(self, name, *more):\n"
        "        if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Loading())\n"
        "from crowdllm.__main__ import run\n"
        "run()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "crowdllm: stopped; the same command continues where it can\n"


def test_the_console_script_and_the_module_are_one_program() -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    assert tomllib.loads(project.read_text())["project"]["scripts"] == {"crowdllm": "crowdllm.__main__:run"}
    done = subprocess.run([sys.executable, "-m", "crowdllm", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"crowdllm {__version__}\n", "")
    mistyped = subprocess.run([sys.executable, "-m", "crowdllm", "fti"], capture_output=True, text=True, check=False)
    assert mistyped.returncode == 2
    assert mistyped.stderr.startswith("crowdllm: ")


def test_thousands_of_findings_are_grouped(crowdllm: Run, study: Path) -> None:
    rows = "".join(f"p01,nowhere{i},1\n" for i in range(3000)) + "p01,focus,9\n"
    (study / "responses.csv").write_text(f"participant,problem,response\n{rows}")
    done = crowdllm("fit", study, "--out", study / "model")
    assert done.status == 2
    lines = done.err.splitlines()
    assert len(lines) == 7
    assert lines[0].startswith("crowdllm: responses.csv, row 2, column 'problem': unknown problem")
    assert lines[5] == "crowdllm: … and 2,995 more of this sort"
    assert "row 3002" in lines[6]
    assert not (study / "model").exists()


def test_warnings_are_not_among_the_errors() -> None:
    error = StudyError([Finding("warning", "odd", "a.csv"), Finding("error", "wrong", "b.csv", row=3)])
    assert error_lines(error) == ["b.csv, row 3: wrong"]
    assert error_lines(StudyError([Finding("note", "by the way")])) == ["the study cannot be read"]


def test_an_error_of_several_lines_is_shown_in_full_and_one_without_words_by_its_name() -> None:
    assert error_lines(ConfigError("one\ntwo")) == ["one", "two"]
    assert error_lines(CrowdLLMError()) == ["CrowdLLMError"]


def test_control_characters_in_an_error_are_shown_and_not_obeyed(refused: Run) -> None:
    line = refused("fit", "\x1b[2Jnothing\x07\u202e", "--out", "x")
    assert "\\x1b[2Jnothing\\x07\\u202e" in line
    assert line.isprintable()


def test_the_program_and_its_help_load_nothing_heavy() -> None:
    code = (
        "import sys\nfrom crowdllm.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'matplotlib', 'sklearn', 'pandas'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_ascii_terminal_gets_escapes_rather_than_a_crash(study: Path, tmp_path: Path) -> None:
    toml = (study / "study.toml").read_text(encoding="utf-8")
    (study / "study.toml").write_text(toml.replace("Working", "Wörking"), encoding="utf-8")
    command = ["evaluate", str(study), "--out", str(tmp_path / "é"), "--methods", "random,pooled", "--seeds", "2"]
    code = f"from crowdllm.cli import main; main({command!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, env={"PYTHONIOENCODING": "ascii", "PATH": ""}
    )
    assert done.returncode == 0, done.stderr
    assert rb"W\xf6rking from home" in done.stdout
    assert b"+-" in done.stdout
