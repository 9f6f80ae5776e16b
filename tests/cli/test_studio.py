"""`crowdllm studio`: starts on the loopback interface, prints the address with its token, and stops by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from crowdllm.cli import main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["studio", *arguments])
    return int(stopped.value.code or 0)


def test_the_studio_starts_answers_and_stops_by_itself(tmp_path: Path) -> None:
    code = "import sys; from crowdllm.cli import main; main(sys.argv[1:])"
    command = [
        sys.executable,
        "-c",
        code,
        "studio",
        "--folder",
        str(tmp_path / "kept"),
        "--no-browser",
        "--idle",
        "0.03",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split(" at ")[1].strip()
        assert address.startswith("http://127.0.0.1:")
        with httpx2.Client(trust_env=False, follow_redirects=True) as client:
            assert "How would a crowd answer?" in client.get(address).text
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "the studio has stopped" in out
    assert address.partition("token=")[2] not in out + errors
    assert (tmp_path / "kept" / "studio.sqlite").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "neither a study folder nor a data set"),
        (["--model", "gpt"], "say which, with --backend"),
        (["--backend", "oracle"], "unknown backend 'oracle'"),
        (["--backend", "recorded"], "knows no new problem"),
        (["--backend", "scripted", "--mode", "guess"], "unknown mode 'guess'"),
        (["--backend", "openai", "--model", "m", "--max-cost", "1"], "--max-cost needs"),
        (["--backend", "openai", "--model", "m", "--price-input", "1"], "go together"),
        (["--idle", "0"], "--idle must be"),
    ],
)
def test_a_wrong_setting_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert run(*arguments, "--folder", str(tmp_path / "kept"), "--no-browser") == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_port_that_is_taken_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert run("--port", port, "--folder", str(tmp_path / "kept"), "--no-browser") == 2
    assert f"port {port} cannot be used" in capsys.readouterr().err
