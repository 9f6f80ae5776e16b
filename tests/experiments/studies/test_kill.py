"""A study that is killed without warning repeats only the piece that was in hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODE = """
import os, signal, sys
from dataclasses import dataclass
from pathlib import Path
import pandas as pd
from crowdllm.experiments.studies.protocol import Experiment, Findings, Piece, Settings, union
from crowdllm.experiments.studies.run import run_study

out, marks = Path(sys.argv[1]), Path(sys.argv[2])

@dataclass(frozen=True)
class Config:
    pass

def action(number):
    with marks.open("a") as stream:
        stream.write(f"{number} ")
    if number == 3 and marks.read_text().split().count("3") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return pd.DataFrame({"number": [number]})

pieces = tuple(Piece(f"p{n}", action, (n,)) for n in (1, 2, 3, 4))
report = lambda tables: Findings({"all": union(tables)}, (), ("done",))
run_study(Experiment("x", "X", "", "?", Config(), pieces, report), Settings(out))
"""


def test_a_killed_run_repeats_only_the_piece_in_hand(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, str(tmp_path / "out"), str(tmp_path / "marks")]
    assert subprocess.run(command, timeout=60).returncode != 0
    assert not (tmp_path / "out" / "meta.json").exists()
    assert subprocess.run(command, timeout=60).returncode == 0
    assert (tmp_path / "marks").read_text().split() == ["1", "2", "3", "3", "4"]
    assert (tmp_path / "out" / "all.csv").read_text().split() == ["number", "1", "2", "3", "4"]
    assert (tmp_path / "out" / "meta.json").exists()
