"""A full disk is one clear line; what is done is kept, and the same command continues once there is room."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crowdllm.errors import CrowdLLMError
from crowdllm.simulation import ledger, plan
from crowdllm.simulation.ledger import read_ledger
from crowdllm.simulation.plan import Settings
from crowdllm.simulation.stream import stream_crowd

Contents = Callable[[Path], dict[str, bytes]]
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from crowdllm.simulation import plan
plan._size = lambda *_: (10, 2, 35)
from crowdllm.cli import main
main(sys.argv[2:])
"""


def stream(saved: Callable[[str], Any], out: Path) -> None:
    model, meta, _ = saved("ordinal")
    stream_crowd(model, meta, model.items, Settings(35), out)


@pytest.mark.parametrize("fails", [0, 1, 2, 5, 8, 12, 13, 14, 16])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_wherever_the_disk_is_full_nothing_is_lost(
    saved: Callable[[str], Any], small_parts: int, tmp_path: Path, contents: Contents, fails: int, number: int
) -> None:
    """The file that cannot be written is in turn meta.json, each sort of part, and each sort of final table."""
    stream(saved, tmp_path / "whole")
    real, count = os.fsync, 0

    def full(handle: int) -> None:
        nonlocal count
        count += 1
        if count > fails:
            raise OSError(number, os.strerror(number))
        real(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CrowdLLMError, match=r"no space left in .* of 4 parts are done and kept") as refusal:
            stream(saved, tmp_path / "crowd")
    assert "make room and give the same command again" in str(refusal.value)
    kept = read_ledger(tmp_path / "crowd")
    assert all(ledger.sound(tmp_path / "crowd", entry) for entry in kept.values())
    stream(saved, tmp_path / "crowd")
    assert contents(tmp_path / "crowd") == contents(tmp_path / "whole")


def test_a_line_of_the_ledger_that_finds_no_room_is_written_again(
    saved: Callable[[str], Any], small_parts: int, tmp_path: Path, contents: Contents
) -> None:
    stream(saved, tmp_path / "whole")
    real, lines = os.write, 0

    def half(handle: int, data: bytes) -> int:
        nonlocal lines
        lines += 1
        if lines == 3:
            return real(handle, data[:20])
        if lines == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(CrowdLLMError, match="no space left .* 2 of 4 parts"):
            stream(saved, tmp_path / "crowd")
    assert not (tmp_path / "crowd" / "parts.jsonl").read_bytes().endswith(b"\n")
    stream(saved, tmp_path / "crowd")
    assert contents(tmp_path / "crowd") == contents(tmp_path / "whole")


def test_a_limit_on_the_size_of_files_is_one_line_and_no_traceback(
    saved: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, contents: Contents
) -> None:
    """The system itself refuses: no file may exceed 7,000 bytes, which the parts do not and responses.csv does."""
    pytest.importorskip("resource")
    words = ["simulate", str(saved("ordinal").folder), "--participants", "35", "--workers", "1", "--out"]
    command = [sys.executable, "-c", LIMITED, "7000", *words, str(tmp_path / "crowd")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"crowdllm: no space left in {tmp_path / 'crowd'} (File too large")
    assert "4 of 4 parts are done and kept" in line
    assert "Traceback" not in done.stderr
    monkeypatch.setattr(plan, "_size", lambda *_: (10, 2, 35))
    for name in ("crowd", "whole"):
        stream(saved, tmp_path / name)
    assert contents(tmp_path / "crowd") == contents(tmp_path / "whole")
