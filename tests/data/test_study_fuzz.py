"""Whatever bytes stand in a study's files: a study, or a StudyError that says what is wrong, nothing else."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crowdllm.data.new_study import new_study_files
from crowdllm.data.study_check import check_study, finding_lines
from crowdllm.data.study_folder import load_study, save_study
from crowdllm.errors import StudyError

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
PIECES = [
    b"participant",
    b"problem",
    b"response",
    b"p01",
    b"focus",
    b"1",
    b",",
    b";",
    b"\t",
    b"\n",
    b"\r",
    b'"',
    b" ",
]
PIECES += [
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    "é".encode(),
    b"NA",
    b"1e999",
    b"PAR1",
    b"p01,focus,5\n",
    b"1_0",
]
WORDS = [
    b"[response]\n",
    b"type",
    b" = ",
    b'"ordinal"',
    b"levels",
    b"[1, 2]",
    b"\n",
    b"[profile.age]\n",
    b"kind",
    b"[[",
]
WORDS += [
    b'"ballot"',
    b"max_picks",
    b"9" * 400,
    b"nan",
    b"true",
    b"2024-01-01",
    b"options",
    b'["a"]',
    b"[files]\n",
]
WORDS += [
    b"problems",
    b"{",
    b"}",
    b"#",
    b"\xff",
    b'"\\u0000"',
    b"'",
    b"'a'",
    b"[columns]\n",
    b"text",
    b"points",
    b"ends",
]
KINDS = ["ordinal", "continuous", "choice", "ballot", "points", "ranking"]
KEYS = [
    "min_picks",
    "max_picks",
    "levels",
    "points",
    "low",
    "high",
    "budget",
    "step",
    "depth",
    "scale",
    "ends",
]
VALUES = [
    "0",
    "-1",
    "3",
    "[1, 3]",
    '["a", "b"]',
    '"x"',
    "true",
    "1e400",
    "[]",
    "9" * 400,
    "0.5",
    "[[1], [2]]",
]


def pieces(words: list[bytes], most: int) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(words), max_size=most).map(b"".join)


def load_or_refuse(name: str, data: bytes) -> None:
    """Check, then load and save again, or be refused; hypothesis sees any other exception."""
    folder = Path(tempfile.mkdtemp())
    try:
        for file, content in (new_study_files() | {name: data}).items():
            (folder / file).write_bytes(content)
        report = check_study(folder)
        assert len(finding_lines(report.findings)) <= len(report.findings) * 2
        if not report.usable:
            assert report.of("error")
            with pytest.raises(StudyError):
                load_study(folder)
            return
        study = load_study(folder)
        save_study(study, folder / "again")
        again = load_study(folder / "again")
        assert again.responses.values_RD.tobytes() == study.responses.values_RD.tobytes()
        assert again.problems.texts.tolist() == study.problems.texts.tolist()
        assert again.response_type == study.response_type
    finally:
        shutil.rmtree(folder)


@QUICK
@given(st.binary(max_size=200) | pieces(PIECES, 40))
def test_any_bytes_as_responses(data: bytes) -> None:
    load_or_refuse("responses.csv", data)


@QUICK
@given(pieces(PIECES, 25))
def test_any_bytes_below_a_good_header(data: bytes) -> None:
    load_or_refuse("responses.csv", b"participant,problem,response\np02,focus,1\n" + data)


@QUICK
@given(st.binary(max_size=100) | pieces(WORDS, 25))
def test_any_bytes_as_study_toml(data: bytes) -> None:
    load_or_refuse("study.toml", data)


@QUICK
@given(pieces(WORDS, 25))
def test_any_bytes_below_a_good_scale(data: bytes) -> None:
    load_or_refuse("study.toml", b'[response]\ntype = "ordinal"\nlevels = [1, 2, 3, 4, 5]\n' + data)


@QUICK
@given(pieces(PIECES + WORDS, 30), st.sampled_from([b"", b"problem,text,options\nfocus,a,x|y\n", b"PAR1"]))
def test_any_bytes_as_problems(data: bytes, above: bytes) -> None:
    load_or_refuse("problems.csv", above + data)


@QUICK
@given(pieces(PIECES, 30))
def test_any_bytes_as_people(data: bytes) -> None:
    load_or_refuse("participants.csv", b"participant,age,commute,team\n" + data)


@QUICK
@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=4))
def test_any_settings_of_any_response_type(kind: str, keys: dict[str, str]) -> None:
    options = 'options = ["1", "2", "3"]\n' if kind in ("choice", "ballot", "points", "ranking") else ""
    lines = "".join(f"{key} = {value}\n" for key, value in keys.items())
    load_or_refuse("study.toml", f'[response]\ntype = "{kind}"\n{options}{lines}'.encode())
