"""Tables of any separator, encoding and line end are read as cells, and rows count as in a spreadsheet."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdllm.data.tables import (
    Table,
    as_cells,
    csv_bytes,
    has_decimal_comma,
    number_text,
    plain_number,
    read_table,
    table_from_frame,
)
from crowdllm.errors import Finding


def read(tmp_path: Path, data: bytes | str, name: str = "t.csv") -> tuple[Table | None, list[Finding]]:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_table(path, ("participant", "problem", "response"))


def table(tmp_path: Path, data: bytes | str, name: str = "t.csv") -> Table:
    out, _ = read(tmp_path, data, name)
    assert out is not None
    return out


PLAIN = "participant,problem,response\nann,café,1\nbob,q2,2\n"


def cells(out: Table) -> dict[str, list[str]]:
    return {name: column.tolist() for name, column in out.columns.items()}


EXPECTED = {"participant": ["ann", "bob"], "problem": ["café", "q2"], "response": ["1", "2"]}


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (PLAIN.encode("utf-8-sig"), "UTF-8 with a byte order mark"),
        (PLAIN.encode("utf-16"), "UTF-16"),
        (PLAIN.encode("utf-16-be"), "UTF-16 (no byte order mark)"),
        (PLAIN.encode("utf-16-le"), "UTF-16 (no byte order mark)"),
        (PLAIN.encode("utf-32"), "UTF-32"),
        (PLAIN.encode("cp1252"), "Windows-1252 (Latin-1)"),
        (PLAIN.replace(",", ";").encode(), "semicolon-separated"),
        (PLAIN.replace(",", "\t").encode(), "tab-separated"),
        (PLAIN.replace(",", "|").encode(), "pipe-separated"),
    ],
)
def test_other_encodings_and_separators_are_understood_and_noted(tmp_path: Path, data: bytes, note: str) -> None:
    out, findings = read(tmp_path, data)
    assert out is not None
    assert cells(out) == EXPECTED
    assert [f.severity for f in findings] == ["note"]
    assert note in findings[0].message


def test_plain_utf8_with_commas_needs_no_note(tmp_path: Path) -> None:
    out, findings = read(tmp_path, PLAIN)
    assert out is not None
    assert (cells(out), findings) == (EXPECTED, [])


def test_latin1_note_shows_the_first_word_that_depends_on_it(tmp_path: Path) -> None:
    _, findings = read(tmp_path, PLAIN.encode("cp1252"))
    assert (findings[0].row, findings[0].value) == (2, "café")


def test_bytes_of_no_encoding_are_an_error_with_their_row(tmp_path: Path) -> None:
    out, findings = read(tmp_path, b"participant\nann\n\x81\x8d\n")
    assert out is None
    assert (findings[0].severity, findings[0].row, findings[0].value) == ("error", 3, "81 8d 0a")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_gives_the_same_table(tmp_path: Path, end: str) -> None:
    assert cells(table(tmp_path, PLAIN.replace("\n", end))) == EXPECTED


def test_mixed_line_ends_keep_rows_apart_and_counted(tmp_path: Path) -> None:
    out = table(tmp_path, "participant,response\r\nann,1\rbob,2\ncho,3\r\n")
    assert cells(out) == {"participant": ["ann", "bob", "cho"], "response": ["1", "2", "3"]}
    assert out.row_R.tolist() == [2, 3, 4]


def test_quoted_newlines_separators_and_quotes_stay_in_the_cell_and_rows_stay_right(tmp_path: Path) -> None:
    out = table(tmp_path, 'problem,text\nq1,"one\r\ntwo\nthree"\nq2,"a, ""b"""\n')
    assert cells(out) == {"problem": ["q1", "q2"], "text": ["one\r\ntwo\nthree", 'a, "b"']}
    assert out.row_R.tolist() == [2, 3]


def test_blank_rows_are_left_out_with_a_note_and_counted_in_row_numbers(tmp_path: Path) -> None:
    out, findings = read(tmp_path, "participant,response\n\nann,1\n,\nbob,2\n\n")
    assert out is not None
    assert out.row_R.tolist() == [3, 5]
    assert [(f.severity, f.message) for f in findings] == [("note", "3 blank rows left out (row 2, 4, 6)")]


def test_ragged_rows_are_errors_each_with_its_row(tmp_path: Path) -> None:
    out, findings = read(tmp_path, "participant,problem,response\nann,q1\nbob,q1,1\ncho,q1,1,5\n")
    assert out is not None
    assert out.ragged_R.tolist() == [True, False, True]
    assert [(f.severity, f.row, f.message) for f in findings] == [
        ("error", 2, "has 2 cells where the header has 3"),
        ("error", 4, "has 4 cells where the header has 3"),
    ]


def test_empty_cells_after_the_last_column_lose_nothing_and_are_no_error(tmp_path: Path) -> None:
    out, findings = read(tmp_path, "participant,response,\nann,1,\nbob,2,,\n")
    assert out is not None
    assert cells(out) == {"participant": ["ann", "bob"], "response": ["1", "2"]}
    assert not out.ragged_R.any()
    assert [(f.severity, f.message) for f in findings] == [("note", "column 3 has no name and is not loaded")]


def test_a_quote_never_closed_is_named_and_does_not_swallow_the_rest_silently(tmp_path: Path) -> None:
    out, findings = read(tmp_path, 'problem,text\nq1,fine\nq2,"open\nq3,x\n')
    assert out is not None
    assert not out.complete
    assert cells(out)["problem"] == ["q1"]
    assert [(f.severity, f.row) for f in findings] == [("error", 3)]
    assert "never closed" in findings[0].message


def test_two_columns_of_one_name_are_an_error(tmp_path: Path) -> None:
    _, findings = read(tmp_path, "participant,response,response\nann,1,2\n")
    assert [(f.severity, f.column) for f in findings] == [("error", "response")]


def test_blanks_around_a_column_name_are_ignored_with_a_note(tmp_path: Path) -> None:
    out, findings = read(tmp_path, "participant, response\nann,1\n")
    assert out is not None
    assert list(out.columns) == ["participant", "response"]
    assert [(f.severity, f.value) for f in findings] == [("note", " response")]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf", b"   \r\n"])
def test_empty_file_is_an_error(tmp_path: Path, data: bytes) -> None:
    out, findings = read(tmp_path, data)
    assert out is None
    assert any(f.severity == "error" and "is empty" in f.message for f in findings)


def test_a_workbook_named_csv_says_what_to_do(tmp_path: Path) -> None:
    _, findings = read(tmp_path, b"PK\x03\x04rest")
    assert "workbook" in findings[0].message
    assert "CSV UTF-8" in findings[0].message


def test_the_separator_is_that_of_the_header_not_the_one_frequent_in_texts(tmp_path: Path) -> None:
    out = table(tmp_path, "problem;text\nq1;a, b, c, d\nq2;e, f\n")
    assert cells(out) == {"problem": ["q1", "q2"], "text": ["a, b, c, d", "e, f"]}


def test_a_cell_longer_than_the_csv_modules_limit_is_read_and_the_limit_is_left_alone(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    long = "x" * (before + 10)
    assert cells(table(tmp_path, f"problem,text\nq1,{long}\n"))["text"] == [long]
    assert csv.field_size_limit() == before


def test_parquet_gives_the_same_cells_as_csv_and_keeps_large_whole_numbers(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "participant": pd.array([2**60 + 1, None], dtype="Int64"),
            "response": [0.1, np.nan],
            "word": ["a", None],
            "options": [["x", "y|z"], None],
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    out, findings = read_table(tmp_path / "t.parquet")
    assert out is not None
    assert cells(out) == {
        "participant": ["1152921504606846977", ""],
        "response": ["0.1", ""],
        "word": ["a", ""],
        "options": ['["x", "y|z"]', ""],
    }
    assert (findings, out.row_R.tolist()) == ([], [2, 3])


def test_a_broken_parquet_file_is_an_error(tmp_path: Path) -> None:
    out, findings = read(tmp_path, b"PAR1 and then nonsense", "t.parquet")
    assert out is None
    assert "cannot be read as Parquet" in findings[0].message


def test_a_named_index_is_read_as_a_column() -> None:
    frame = pd.DataFrame({"age": [3.0]}, index=pd.Index(["ann"], name="participant"))
    assert cells(table_from_frame(frame, "participants")[0]) == {"participant": ["ann"], "age": ["3"]}


def test_cells_of_mixed_types_are_told_apart() -> None:
    series = pd.Series([1, 1.5, True, "1", None, pd.NA, float("nan")], dtype=object)
    assert as_cells(series).tolist() == ["1", "1.5", "True", "1", "", "", ""]


@pytest.mark.parametrize("value", [0.1, -0.0, 1e300, 5e-324, 34.0, 2.0**60, 1 / 3])
def test_number_text_keeps_every_bit(value: float) -> None:
    assert np.float64(number_text(value)).tobytes() == np.float64(value).tobytes()


def test_whole_numbers_are_written_without_a_point() -> None:
    assert (number_text(34.0), number_text(float("nan"))) == ("34", "")


@pytest.mark.parametrize("cell", ["1_000", "nan", "inf", "1e999", "٣", "3,5", "", "0x10", "1 2"])
def test_only_plain_decimal_numbers_are_numbers(cell: str) -> None:
    assert plain_number(cell) is None


def test_a_decimal_comma_is_recognised() -> None:
    assert [has_decimal_comma(c) for c in ("3,5", " -1.234,5", "3.5", "a,b")] == [True, True, False, False]


def test_written_tables_read_back_whatever_the_texts(tmp_path: Path) -> None:
    texts = ["a\r\nb", "c\rd", '"', ",;|\t", "=1+1", "@x", " lead", "ünï ✓ 漢", "\x00\x1b[31m", "'"]
    data = csv_bytes({"problem": [f"q{i}" for i in range(len(texts))], "text": texts})
    assert cells(table(tmp_path, data))["text"] == texts
