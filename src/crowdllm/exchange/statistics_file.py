"""An SPSS or Stata file as text cells with its labels, read in a process of its own (see `statistics_worker`).

Shapes: N rows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from crowdllm.data.tables import Cells
from crowdllm.errors import MissingExtraError
from crowdllm.exchange.limits import DamagedFileError, require_size

CELLS_PER_MEGABYTE = 160_000
SECONDS, SECONDS_PER_MEGABYTE = 6.0, 0.5
DATES = (
    "DATE",
    "ADATE",
    "SDATE",
    "EDATE",
    "JDATE",
    "DATETIME",
    "YMDHMS",
    "TIME",
    "DTIME",
    "MTIME",
    "QYR",
    "MOYR",
    "WKYR",
)


@dataclass(frozen=True)
class Variable:
    """A column of the file.

    cells_N: (N,) text, numbers in their shortest form; "" where the file itself has nothing.
    labels: (code, words) in the order of the codes. missing: ranges (low, high) of codes that mean no answer.
    measure: nominal, ordinal, scale or unknown. type: such as F8.2, A20 or %9.0g.
    """

    name: str
    label: str
    cells_N: Cells
    labels: tuple[tuple[str, str], ...] = ()
    missing: tuple[tuple[str, str], ...] = ()
    measure: str = "unknown"
    type: str = ""

    @property
    def is_date(self) -> bool:
        kind = self.type.upper().rstrip("0123456789.")
        return kind in DATES or self.type.lower().startswith(("%t", "%-t", "%d", "%-d"))

    @property
    def is_text(self) -> bool:
        return self.type[:1] == "A" or self.type.endswith("s") or self.type.startswith("str")


@dataclass(frozen=True)
class AnswerSet:
    """A set of 0/1 variables that SPSS knows to be one question. value: the code that counts as picked."""

    name: str
    label: str
    value: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class StatisticsFile:
    title: str
    rows: int
    variables: tuple[Variable, ...]
    sets: tuple[AnswerSet, ...] = ()


def read_statistics(path: Path, kind: str, max_megabytes: int = 64) -> StatisticsFile:
    """The variables of a .sav ("sav") or .dta ("dta") file.

    Raises DamagedFileError where the file cannot be read within bounds, MissingExtraError without pyreadstat.
    """
    if find_spec("pyreadstat") is None:
        raise MissingExtraError("reading .sav and .dta files", "formats")
    require_size(path, max_megabytes)
    with tempfile.TemporaryDirectory(prefix="crowdllm-") as folder:
        with Worker() as worker:
            error = worker.read(path, kind, Path(folder), max_megabytes)
        if error:
            raise DamagedFileError(path, error)
        return result(Path(folder), path)


class Worker:
    """The process that reads; one for any number of files."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "crowdllm.exchange.statistics_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=environment,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def read(self, path: Path, kind: str, out: Path, max_megabytes: int = 64) -> str:
        """Read a file into a folder; "" or what is wrong with it."""
        megabytes = path.stat().st_size / 1e6
        job = {
            "path": str(path),
            "kind": kind,
            "out": str(out),
            "most_cells": CELLS_PER_MEGABYTE * max_megabytes,
            "seconds": SECONDS + SECONDS_PER_MEGABYTE * megabytes,
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except OSError:
            line = ""
        return str(json.loads(line)["error"]) if line else "the file is damaged: it made its reader stop"


def result(folder: Path, path: Path) -> StatisticsFile:
    """What a job has written; raises DamagedFileError where it is not whole."""
    try:
        about = json.loads((folder / "about").read_text(encoding="utf-8"))
        lines = (folder / "cells").read_text(encoding="utf-8").splitlines()
        codes = np.fromfile(folder / "codes", dtype=np.int32).reshape(len(about["names"]), about["rows"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(path, f"is damaged: {error}") from None
    variables = []
    for name, line, code_N in zip(about["names"], lines, codes, strict=True):
        words = np.array([_clean(cell) for cell in json.loads(line)], dtype=object)
        cells = words[code_N] if len(words) else np.zeros(0, dtype=object)
        variables.append(_variable(name, cells, about))
    sets = tuple(
        AnswerSet(str(name), _clean(s["label"]), s["value"], tuple(s["names"]))
        for name, s in about["sets"].items()
        if s["dichotomy"]
    )
    return StatisticsFile(_clean(about["title"]).strip(), int(about["rows"]), tuple(variables), sets)


def _variable(name: str, cells_N: Cells, about: Mapping[str, Any]) -> Variable:
    missing = tuple((low, high) for low, high in about["missing"].get(name, []))
    labels = tuple((code, _clean(words)) for code, words in sorted(about["values"].get(name, []), key=_by_code))
    label, measure = _clean(about["labels"].get(name, "")), about["measure"].get(name, "unknown")
    return Variable(_clean(name), label, cells_N, labels, missing, measure, about["types"].get(name, ""))


def _by_code(pair: Sequence[str]) -> tuple[int, float, str]:
    try:
        return 0, float(pair[0]), pair[0]
    except ValueError:
        return 1, 0.0, pair[0]


def _clean(text: str) -> str:
    """Text without what no file can hold, and without line ends."""
    return " ".join(text.encode("utf-8", "replace").decode("utf-8", "replace").replace("\0", " ").split())
