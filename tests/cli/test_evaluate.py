"""`crowdllm evaluate`: the table, mistyped names, and going on after Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

Run = Callable[..., Any]


def test_the_table_is_printed_and_the_numbers_are_written(crowdllm: Run, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = crowdllm(
        "evaluate", study, "--out", out, "--methods", "random,pooled", "--seeds", 2, "--crowd-size", "20,50"
    )
    assert done.status == 0
    for word in ("random", "pooled", "human-floor", "mae", "±", "crowd of 20", "crowd of 50", "2 splits"):
        assert word in done.out
    table = pd.read_csv(out / "metrics.csv")
    assert set(table["method"]) == {"random", "pooled", "human-floor"}
    assert set(table["crowd_size"]) == {0, 20, 50}
    assert set(table["seed"]) == {0, 1}
    assert set(table["dataset"]) == {"study"}


def test_the_help_says_what_all_and_known_and_personas_mean(crowdllm: Run) -> None:
    text = " ".join(crowdllm("evaluate", "--help").out.replace("│", " ").split())
    for words in (
        "`all` that apply",
        "--known",
        "digital twins",
        "or option (people, and options",
        "NAME-personas beside NAME",
    ):
        assert words in text


def test_twins_and_all_aggregators_are_printed(crowdllm: Run, study: Path, tmp_path: Path) -> None:
    done = crowdllm(
        "evaluate", study, "--out", tmp_path / "out", "--methods", "random,answers-ridge", "--seeds", 1, "--crowd-size",
        20, "--split", "participant", "--known", "2", "--aggregators", "all",
    )  # fmt: skip
    assert done.status == 0
    for words in ("by aggregator", "(dawid skene)", "of the person's answers known", "crowd of 20, 1 split"):
        assert words in done.out


def test_methods_that_do_not_apply_are_left_out_and_said_to_be(crowdllm: Run, study: Path, tmp_path: Path) -> None:
    done = crowdllm("evaluate", study, "--out", tmp_path / "out", "--methods", "random,zero-shot", "--seeds", 1)
    assert done.status == 0
    assert "zero-shot left out: " in done.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--methods", "random,poled"), "unknown method 'poled': choose from random"),
        (("--methods", "crowdlm"), "did you mean 'crowdllm'"),
        (("--methods", ","), "at least one method"),
        (("--methods", "random,random"), "'random' is named twice"),
        (("--split", "problems"), "did you mean 'problem'"),
        (("--split", "option"), "a split by option needs ballots; these are ordinal"),
        (("--split", "both", "--known", "3"), "go with the split by participant or by problem, not by both"),
        (("--known", "0"), "at least one answer of each person must be known, not 0"),
        (("--known", "some"), "--known: 'some' is not a number"),
        (("--split", "participant", "--known", "900"), "no test person has more than"),
        (("--aggregators", "mean,medain"), "did you mean 'median'"),
        (("--crowd-size", "ten"), "--crowd-size: 'ten' is not a number"),
        (("--crowd-size", "2.5"), "--crowd-size: '2.5' is not a whole number"),
        (("--crowd-size", "nan"), "--crowd-size: 'nan' is not a finite number"),
        (("--crowd-size", "inf"), "--crowd-size: 'inf' is not a finite number"),
        (("--crowd-size", "0"), "a crowd of at least one"),
        (("--train-fraction", "0"), "must lie above 0 and at most 1, not 0"),
        (("--train-fraction", "1,1.5"), "must lie above 0 and at most 1, not 1.5"),
        (("--references", "gpt4"), "unknown reference source 'gpt4'"),
        (("--references", "all"), "there are no recorded references of study"),
        (("--sed", "1"), "--seeds"),
    ],
)
def test_whatever_is_mistyped_is_one_line_and_nothing_is_written(
    refused: Run, study: Path, tmp_path: Path, words: tuple[str, ...], expected: str
) -> None:
    assert expected in refused("evaluate", study, "--out", tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_comparison_is_refused(crowdllm: Run, refused: Run, study: Path, tmp_path: Path) -> None:
    command = ("evaluate", study, "--out", tmp_path / "out", "--methods", "random", "--seeds", 1)
    crowdllm(*command)
    assert "holds another comparison (crowd_sizes: [1000])" in refused(*command, "--crowd-size", 20)


SLOW_METHOD = """
import sys, time
from crowdllm.cli import main
from crowdllm.methods import METHODS, random
fit = random.fit
def slow(*arguments, **options):
    time.sleep(0.5)
    return fit(*arguments, **options)
random.fit = slow
main(sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to another process there")
def test_after_ctrl_c_the_same_command_goes_on(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["evaluate", str(study), "--out", str(out), "--methods", "random", "--seeds", "6", "--crowd-size", "20"]
    command = [sys.executable, "-c", SLOW_METHOD, *words]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(out.glob("parts/*random.csv")) and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert errors.endswith("crowdllm: stopped; the same command continues where it can\n")
    assert "Traceback" not in errors
    before = {path: path.stat().st_mtime_ns for path in out.glob("parts/*.csv")}
    assert before
    assert not (out / "metrics.csv").exists()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert set(pd.read_csv(out / "metrics.csv")["seed"]) == set(range(6))
