"""What is exported: a study that reads back, tables without formulas, and nothing that is left unsaid."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import crowdllm
from crowdllm.studio.texts import clean, defused, short, shown
from crowdllm.studio.workspace import Workspace

FORMULAS = ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", " =1", "＝1", "|x", "%0a")


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert defused(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-3", "+4.5", "-1e3", "plain", "a=b", "", "3 - 2", "'=1"])
def test_numbers_and_plain_texts_stay_as_they_are(text: str) -> None:
    assert defused(text) == text


def test_what_cannot_be_seen_is_shown() -> None:
    assert shown("a\0b\x1b[0m\x7f\x85\u202e\u2066x\ud800") == "a␀b␛[0m␡\\x85\\u202e\\u2066x\\ud800"
    assert shown("👩‍👩‍👧 سلام\nb") == "👩‍👩‍👧 سلام\nb"


def test_a_short_text_is_one_line() -> None:
    assert short("a\n b" + "c" * 300) == "a b" + "c" * 156 + "…"


def test_a_text_is_never_cut() -> None:
    assert clean("a\r\nb\rc", 5) == "a\nb\nc"
    with pytest.raises(ValueError, match="6 characters"):
        clean("abcdef", 5)


def downloaded(server: Any, place: str) -> bytes:
    with server.client() as client:
        answer = client.get(place)
        assert answer.status_code == 200, answer.text
        assert "attachment" in answer.headers["content-disposition"]
        return bytes(answer.content)


@pytest.fixture
def listed(bare_server: Any, model_folder: Path, ask: Callable) -> Any:
    bare_server.work.open(str(model_folder))
    for text in ('=HYPERLINK("http://x")', "A plain one,\nof two lines \0 \u202e 🙂"):
        ask(bare_server.work, text)
    ask(bare_server.work, "@waiting", reference=False)
    return bare_server


def test_no_cell_of_the_table_is_a_formula_and_every_row_says_simulated(listed: Any) -> None:
    text = downloaded(listed, "/export/answers.csv?people=200").decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert not [
        c
        for row in rows
        for c in row.values()
        if c.startswith(("=", "@", "+", "\t")) or (c[:1] == "-" and not c[1:2].isdigit())
    ]
    assert {row["text"] for row in rows} == {
        '\'=HYPERLINK("http://x")',
        "A plain one,\nof two lines ␀ \u202e 🙂",
        "'@waiting",
    }
    answered = [row for row in rows if row["answer"] != "(not answered yet)"]
    assert {row["simulated"] for row in answered} == {"True"}
    assert {row["interval"] for row in answered} == {"sampling", "none for subgroups"}
    everybody = [row for row in answered if row["column"] == "everybody" and row["text"].startswith("'=")]
    assert [row["answer"] for row in everybody] == ["1", "2", "3", "4", "5"]
    assert sum(float(row["value"]) for row in everybody) == pytest.approx(100, abs=1e-3)
    assert {row["training_people"] for row in everybody} == {"300"}


def test_the_zip_holds_a_study_that_reads_back_the_same_texts(listed: Any, tmp_path: Path) -> None:
    archive = zipfile.ZipFile(io.BytesIO(downloaded(listed, "/export/study.zip?people=50")))
    assert all(not name.startswith("/") and ".." not in name for name in archive.namelist())
    archive.extractall(tmp_path)
    study = crowdllm.load_study(tmp_path / "study")
    assert study.simulated
    assert list(study.problems.texts) == ['=HYPERLINK("http://x")', "A plain one,\nof two lines \0 \u202e 🙂"]
    assert study.describe() == "N=50 T=2 R=100"
    assert "no row is a real person's answer" in study.source[0]
    for name in archive.namelist():
        if name.endswith(".csv"):
            cells = csv.reader(io.StringIO(archive.read(name).decode("utf-8-sig"), newline=""))
            assert not [cell for row in cells for cell in row if cell.startswith(("=", "@"))]
    waiting = json.loads(archive.read("not-answered.json"))
    assert [entry["text"] for entry in waiting] == ["@waiting"]
    assert json.loads(archive.read("study/references.json"))[0]["reference"]["by"] == "typed in"


def test_the_exported_answers_are_those_of_the_page(workspace: Workspace, ask: Callable) -> None:
    from crowdllm.studio.export import simulated_study

    entry = ask(workspace, "One more.")
    study = simulated_study(workspace, [entry], "", 500, 0)
    shares = study.response_type.summarise(study.responses.values_RD)
    assert 100 * shares == pytest.approx(workspace.answer(entry, people=500).value_GM[0])


def test_too_many_answers_are_refused_in_words(listed: Any) -> None:
    with listed.client() as client:
        answer = client.get("/export/study.zip?people=200000000")
    assert answer.status_code == 400
    assert "take fewer" in answer.text
