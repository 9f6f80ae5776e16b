"""Reading in pieces gives what reading at once would, and equal cells are one text."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crowdllm.data import csv_records
from crowdllm.data.csv_records import read_records
from crowdllm.data.tables import as_cells, read_table

TEXT = 'a,b\r\n1,"x\ny"\n2,"say ""so"""\r\r3,z,too many\n\n4\n5,"\u2028 one cell, one row"'


@pytest.mark.parametrize("at_once", [1, 2, 3, 50_000])
def test_pieces_of_any_size_give_the_same_table_and_findings(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_records, "AT_ONCE", at_once)
    records, findings = read_records(TEXT, "t", ("a", "b"))
    assert records is not None
    assert records.header == ["a", "b"]
    assert [cells.tolist() for cells in records.columns] == [
        ["1", "2", "3", "4", "5"],
        ["x\ny", 'say "so"', "z", "", "\u2028 one cell, one row"],
    ]
    assert records.row_R.tolist() == [2, 3, 5, 7, 8]
    assert records.ragged_R.tolist() == [False, False, True, True, False]
    assert [(f.severity, f.row) for f in findings] == [("error", 5), ("error", 7), ("note", 4)]
    assert records.complete


@pytest.mark.parametrize("at_once", [1, 3, 50_000])
def test_a_quote_that_is_never_closed_stops_reading_in_its_row(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_records, "AT_ONCE", at_once)
    records, findings = read_records('a,b\n1,2\n3,4\n5,"6\n7,8\n', "t", ())
    assert records is not None
    assert records.columns[0].tolist() == ["1", "3"]
    assert not records.complete
    assert findings[0].row == 4
    assert "never closed" in findings[0].message


def test_lines_end_where_pythons_own_reader_ends_them() -> None:
    text = 'a,b\n1,2\r3,"4\r\n5"\r\n\x0b6,\x1c7\n\u20288,9\x85\r'
    records, _ = read_records(text, "t", ())
    expected = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row][1:]
    assert records is not None
    assert [list(row) for row in zip(*(c.tolist() for c in records.columns), strict=True)] == expected


@pytest.mark.parametrize("most_kept", [0, 1_000_000])
def test_equal_cells_of_a_column_are_one_text_unless_hardly_any_are(
    most_kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_records, "MOST_KEPT", most_kept)
    monkeypatch.setattr(csv_records, "AT_ONCE", 2)
    records, _ = read_records("who\n" + "person one\n" * 3 + "person two\nperson one\n", "t", ())
    assert records is not None
    cells = records.columns[0]
    assert cells.tolist() == ["person one"] * 3 + ["person two", "person one"]
    assert (cells[4] is cells[0]) == (most_kept > 0)


# --- Parquet ------------------------------------------------------------------------------------------------


def test_parquet_cells_are_texts_as_in_a_csv_and_equal_ones_are_one_text(tmp_path: Path) -> None:
    columns = {
        "who": ["anna", None, "anna", ""],
        "whole": [1, None, 3, 1],
        "number": [0.1, -0.0, None, float("nan")],
        "large": [2**60, 2**60 + 1, 0, 2**60],
        "yes": [True, None, False, True],
        "several": [[1, 2], None, [1, 2], []],
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet", row_group_size=3)
    table, findings = read_table(tmp_path / "t.parquet")
    assert findings == []
    assert table is not None
    assert {name: cells.tolist() for name, cells in table.columns.items()} == {
        "who": ["anna", "", "anna", ""],
        "whole": ["1", "", "3", "1"],
        "number": ["0.1", "-0.0", "", ""],
        "large": [str(2**60), str(2**60 + 1), "0", str(2**60)],
        "yes": ["True", "", "False", "True"],
        "several": ['["1", "2"]', "", '["1", "2"]', "[]"],
    }
    assert table.columns["who"][0] is table.columns["who"][2]
    assert table.columns["large"][0] is table.columns["large"][3]


def test_parquet_and_the_same_frame_give_the_same_cells(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=50), "b": rng.integers(0, 5, 50), "c": rng.choice(["x", "y"], 50)})
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=7)
    table, _ = read_table(tmp_path / "t.parquet")
    assert table is not None
    for name in frame.columns:
        assert table.columns[name].tolist() == as_cells(frame[name]).tolist()


def test_a_parquet_file_without_rows_has_its_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([], pa.int64()), "b": pa.array([], pa.string())}), tmp_path / "t.parquet")
    table, findings = read_table(tmp_path / "t.parquet")
    assert findings == []
    assert table is not None
    assert {name: len(cells) for name, cells in table.columns.items()} == {"a": 0, "b": 0}
