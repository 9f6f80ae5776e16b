"""CSV, Parquet and Excel: what stands in the cells, formulas that are none, and what a sheet cannot hold."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow.parquet as pq
import pytest

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.exporting import export
from crowdllm.exchange.spreadsheet_text import defuse, is_dangerous
from crowdllm.responses import ResponseType
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.ranking import Ranking

Make = Callable[..., Any]
ATTACKS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    "\uff1d1+1",
    "\u200b=1",
    "=HYPERLINK(1)",
]
HARMLESS = ["-5", "+3", "-0.25", "a=b", "", "1-2", "mail@example.org", "—dash", "'=1"]


def study(
    kind: ResponseType,
    values: list[list[float]],
    options: tuple[str, ...] = (),
    texts: tuple[str, str] = ("One", "Two"),
) -> Study:
    """Two people, each answering one of two problems."""
    problems = Problems(
        np.array(["q1", "q2"], dtype=object), np.array(texts, dtype=object), (options, options) if options else ()
    )
    columns = (ProfileColumn("response", "categorical", ("x", "y")), ProfileColumn("age", "numeric"))
    people = Profiles(columns, np.array(["a", "b"], dtype=object), np.array([[0.0, 31.0], [np.nan, np.nan]]))
    return Study("T", kind, problems, people, Responses(np.array([0, 1]), np.array([0, 1]), np.array(values)))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("text", ATTACKS)
def test_texts_that_spreadsheets_run_are_dangerous(text: str) -> None:
    assert is_dangerous(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_numbers_and_plain_texts_are_left_alone(text: str) -> None:
    assert not is_dangerous(text)


def test_a_row_has_ids_texts_profile_weight_and_marks(tmp_path: Path) -> None:
    one = replace(study(Ordinal(("no", "yes")), [[1.0], [0.0]]), weights_N=np.array([1.5, 0.1]))
    export(one, "csv", tmp_path / "out.csv")
    first, second = rows(tmp_path / "out.csv")
    assert first == {
        "participant": "a", "problem": "q1", "text": "One", "response": "yes", "profile_response": "x", "age": "31.0",
        "weight": "1.5", "simulated": "False", "model": "", "seed": "",
    }  # fmt: skip
    assert (second["profile_response"], second["age"], second["weight"]) == ("", "", "0.1")


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (Choice(3), [[2.0], [0.0]], ["c=3", "a|1"]),
        (Ballot(0, 3, 3), [[1.0, 0, 1], [0, 0, 0]], ['["a|1", "c=3"]', ""]),
        (Ballot(0, 3, 3), [[0.0, 1, 1], [0, 1, 0]], ["b|c=3", "b"]),
        (Ranking(2, 3), [[0.0, 2, 1], [0, 1, 2]], ["c=3|b", "b|c=3"]),
        (Points(4, 1, 3), [[0.0, 4, 0], [1, 2, 1]], ["b=4", '{"a|1": 1.0, "b": 2.0, "c=3": 1.0}']),
    ],
)
def test_answers_are_written_in_words(
    kind: ResponseType, values: list[list[float]], words: list[str], tmp_path: Path
) -> None:
    export(study(kind, values, ("a|1", "b", "c=3")), "csv", tmp_path / "out.csv")
    assert [row["response"] for row in rows(tmp_path / "out.csv")] == words


def test_formulas_in_a_csv_are_defused_and_counted(tmp_path: Path) -> None:
    one = study(Choice(2), [[0.0], [1.0]], ("=cmd()", "-5"), ("@SUM(A1)", "fine"))
    done = export(one, "csv", tmp_path / "out.csv")
    first, second = rows(tmp_path / "out.csv")
    assert (first["response"], first["text"], second["response"]) == ("'=cmd()", "'@SUM(A1)", "-5")
    assert any("2 text(s)" in note and "apostrophe" in note for note in done.notes)


def test_two_texts_that_an_apostrophe_makes_the_same_stay_two_rows() -> None:
    frame = pd.DataFrame({"x": pd.Categorical(["=1", "'=1", "=1"])})
    assert defuse(frame)[0]["x"].tolist() == ["'=1", "'=1", "'=1"]


def test_names_of_columns_are_defused_too() -> None:
    safe, changed = defuse(pd.DataFrame({"=x": [1]}))
    assert safe.columns.tolist() == ["'=x"]
    assert changed == {"=x"}


def test_excel_keeps_texts_as_texts_and_numbers_as_numbers(tmp_path: Path) -> None:
    one = study(Ordinal(("1", "2")), [[0.0], [1.0]], (), ('=HYPERLINK("http://x")', "-2+3"))
    done = export(one, "excel", tmp_path / "out.xlsx")
    book = openpyxl.load_workbook(tmp_path / "out.xlsx")
    sheet = book["responses"]
    header = [cell.value for cell in sheet[1]]
    text, response = sheet[2][header.index("text")], sheet[2][header.index("response")]
    assert (text.value, text.data_type, text.quotePrefix) == ('=HYPERLINK("http://x")', "s", True)
    assert sheet[3][header.index("text")].data_type == "s"
    assert (response.value, response.data_type) == (1, "n")
    about = {row[0].value: row[1].value for row in book["about"].iter_rows()}
    assert about["what"] == "Answers of people (simulated: no)."
    assert about["title"] == "T"
    assert not done.notes


def test_excel_says_which_characters_it_lost(tmp_path: Path) -> None:
    one = study(Ordinal(("1", "2")), [[0.0], [1.0]], (), ("bell\x07", "x" * 40_000))
    done = export(one, "excel", tmp_path / "out.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx")["responses"]
    assert sheet["C2"].value == "bell\ufffd"
    assert len(sheet["C3"].value) == 32_767
    assert len(done.notes) == 2


def test_a_sheet_that_is_too_long_is_refused_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crowdllm.exchange.write_excel.MOST_ROWS", 2)
    with pytest.raises(CrowdLLMError, match=r"2 rows do not fit on a sheet.*csv"):
        export(study(Ordinal(("1", "2")), [[0.0], [1.0]]), "excel", tmp_path / "out.xlsx")
    assert not list(tmp_path.iterdir())


def test_parquet_says_where_it_is_from_in_its_metadata_and_has_types(tmp_path: Path) -> None:
    one = replace(
        study(Ordinal(("1", "2")), [[0.0], [1.0]]), simulated=True, source=("Model 0123456789abcdef, seed 9.",)
    )
    export(one, "parquet", tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    metadata = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    assert metadata["crowdllm.simulated"] == "True"
    assert (metadata["crowdllm.model"], metadata["crowdllm.seed"]) == ("0123456789abcdef", "9")
    assert str(table.schema.field("seed").type) == "int64"
    assert table["simulated"].to_pylist() == [True, True]
    assert table["profile_response"].to_pylist() == ["x", None]


def test_distributions_have_the_decisions_and_shares_of_everybody(tmp_path: Path) -> None:
    one = study(Ordinal(("1", "2", "3")), [[0.0], [2.0]])
    whole = replace(
        one,
        responses=Responses(np.array([0, 1]), np.array([0, 0]), np.array([[0.0], [2.0]])),
        weights_N=np.array([3.0, 1]),
    )
    export(whole, "csv", tmp_path / "out.csv", "distributions")
    first, second = rows(tmp_path / "out.csv")
    assert (first["responses"], first["mean"], first["share_1"], first["share_3"]) == ("2", "1.5", "0.75", "0.25")
    assert (second["responses"], second["mean"], second["text"]) == ("0", "", "Two")


def test_groups_of_fewer_than_five_people_are_not_exported(make_known: Make, tmp_path: Path) -> None:
    one = make_known("ordinal", people=12, problems=2, missing=0.0).study
    region = one.profiles.values_NC.copy()
    region[:, one.profiles.position("region")] = np.arange(12) < 4
    region[:, one.profiles.position("leaning")] = np.arange(12) % 2
    few = replace(one, profiles=replace(one.profiles, values_NC=region))
    export(few, "csv", tmp_path / "out.csv", "subgroups")
    groups = {(row["column"], row["level"], row["responses"]) for row in rows(tmp_path / "out.csv")}
    assert groups == {("region", "north", "8"), ("leaning", "low", "6"), ("leaning", "middle", "6")}
