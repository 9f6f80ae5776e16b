"""Recorded answers: a table is read whole, or refused with file, row and column."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from crowdllm.errors import Finding, StudyError
from crowdllm.llm.protocol import Prompt, Request, Sampling
from crowdllm.llm.recorded import RecordedBackend

GOOD = "problem,decision,k1,k2,p1,p2,p3\na,3,2,2,20,30,50\nb,1,,1,,,\nc,,,,0.2,0.3,0.5\n"


def write(tmp_path: Path, content: str | bytes, name: str = "refs.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(tmp_path: Path, content: str | bytes, name: str = "refs.csv") -> list[Finding]:
    with pytest.raises(StudyError) as caught:
        RecordedBackend.read(write(tmp_path, content, name))
    return [finding for finding in caught.value.findings if finding.severity == "error"]


def test_answers_and_shares_are_read(tmp_path: Path) -> None:
    backend = RecordedBackend.read(write(tmp_path, GOOD))
    assert (backend.name, backend.draws) == ("refs", 3)
    assert backend.texts == {"a": ("3", "2", "2"), "b": ("1", "", "1"), "c": ()}
    assert backend.shares == {"a": (0.2, 0.3, 0.5), "c": pytest.approx((0.2, 0.3, 0.5))}


def test_a_problem_without_a_row_gets_no_answer(tmp_path: Path) -> None:
    backend = RecordedBackend.read(write(tmp_path, GOOD), "gpt")
    requests = [Request(Prompt("x", "?"), (0, 1)), Request(Prompt("a", "?"), (0, 1))]
    answers = list(backend.ask(requests, Sampling()))
    assert backend.name == "gpt"
    assert [(a.draws, a.texts, a.shares) for a in answers] == [((), (), ()), ((0, 1), ("3", "2"), (0.2, 0.3, 0.5))]


def test_an_empty_cell_is_a_draw_that_is_not_there_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    backend = RecordedBackend.read(write(tmp_path, GOOD))
    (answer,) = backend.ask([Request(Prompt("b", "?"), (0, 1, 2, 3))], Sampling())
    assert (answer.draws, answer.texts) == ((0, 2), ("1", "1"))


def test_a_parquet_table_reads_the_same(tmp_path: Path) -> None:
    frame = pd.DataFrame({"problem": ["a", "b"], "k1": [3, None], "p1": [25.0, 100.0], "p2": [75.0, 0.0]})
    path = tmp_path / "refs.parquet"
    frame.to_parquet(path)
    backend = RecordedBackend.read(path)
    assert backend.texts == {"a": ("3",), "b": ()}
    assert backend.shares == {"a": (0.25, 0.75), "b": (1, 0)}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_semicolons_and_marks_are_understood(tmp_path: Path, encoding: str) -> None:
    table = "problem;decision\nä;4\n".encode(encoding)
    assert RecordedBackend.read(write(tmp_path, table)).texts == {"ä": ("4",)}


def test_a_problem_with_fewer_options_leaves_its_last_shares_empty(tmp_path: Path) -> None:
    table = "problem,p1,p2,p3\na,40,60,\nb,20,30,50\n"
    assert RecordedBackend.read(write(tmp_path, table)).shares == {"a": (0.4, 0.6), "b": (0.2, 0.3, 0.5)}


def test_shares_within_rounding_are_normalised(tmp_path: Path) -> None:
    backend = RecordedBackend.read(write(tmp_path, "problem,p1,p2,p3\na,33,33,33\n"))
    assert backend.shares["a"] == pytest.approx((1 / 3, 1 / 3, 1 / 3))


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ("20,30,40", "add up to 90"),
        ("-20,60,60", "not be negative"),
        ("50,x,50", "must be numbers"),
        ("50,nan,50", "must be numbers"),
        ("0,1e400,0", "must be numbers"),
        ("9_0,5,5", "must be numbers"),
        ("50,,50", "must be numbers"),
        ("0,0,0", "add up to 0"),
    ],
)
def test_shares_that_are_none_are_refused_with_their_row(tmp_path: Path, cells: str, words: str) -> None:
    (finding,) = refused(tmp_path, f"problem,p1,p2,p3\na,20,30,50\nb,{cells}\n")
    assert (finding.file, finding.row, finding.column) == ("refs.csv", 3, "p1..p3")
    assert words in finding.message


def test_every_wrong_row_is_named(tmp_path: Path) -> None:
    findings = refused(tmp_path, "problem,decision,p1,p2\na,1,50,50\n\na,2,50,50\nb,1,5,5\n,1,50,50\n")
    assert [(f.row, f.column) for f in findings] == [(4, "problem"), (5, "p1..p2"), (6, "problem")]
    assert [f.message.split()[0] for f in findings] == ["this", "shares", "an"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        ("problem,comment\na,x\n", "needs? a column"),
        ("id,decision\na,1\n", "needs? a column"),
        ("problem,p1,p3\na,50,50\n", "no column 'p2'"),
        ("problem,p0,p1\na,50,50\n", "no column 'p2'"),
        ("problem,decision,decision\na,1,2\n", "two columns"),
        ("problem,decision\na,1,2\n", "cells"),
        ("problem,decision\na\n", "cell"),
        ('problem,decision\na,"1\n', "never closed"),
        (b"PK\x03\x04xxxx", "workbook"),
        (b"PAR1 broken", "Parquet"),
        (b"problem,decision\na,\x81\n", "not text"),
    ],
)
def test_tables_of_another_form_are_refused(tmp_path: Path, content: str | bytes, words: str) -> None:
    findings = refused(tmp_path, content)
    assert len(findings) == 1
    assert findings[0].file == "refs.csv"
    assert re.search(words, findings[0].message), findings[0].message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"nowhere\.csv: no such file"):
        RecordedBackend.read(tmp_path / "nowhere.csv")
