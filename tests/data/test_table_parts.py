"""A folder of Parquet parts is read as one table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from crowdllm.data import tables
from crowdllm.data.tables import read_table


def write(folder: Path, **parts: pd.DataFrame) -> Path:
    folder.mkdir()
    for name, frame in parts.items():
        frame.to_parquet(folder / f"{name}.parquet")
    return folder


def test_parts_are_read_in_the_order_of_their_names_whatever_their_dictionaries(tmp_path: Path) -> None:
    first = pd.DataFrame({"who": pd.Categorical(["b", "a", None]), "n": [1.0, 2.5, float("nan")]})
    second = pd.DataFrame({"who": pd.Categorical(["c", "b"]), "n": [3.0, 4.0]})
    table, findings = read_table(write(tmp_path / "t", part2=second, part1=first))
    assert table is not None
    assert findings == []
    assert {name: cells.tolist() for name, cells in table.columns.items()} == {
        "who": ["b", "a", "", "c", "b"],
        "n": ["1", "2.5", "", "3", "4"],
    }
    assert table.row_R.tolist() == [2, 3, 4, 5, 6]


def test_parts_with_different_columns_are_an_error(tmp_path: Path) -> None:
    frames = {"a": pd.DataFrame({"x": [1]}), "b": pd.DataFrame({"y": [1]})}
    table, findings = read_table(write(tmp_path / "t", **frames))
    assert table is None
    assert "different columns" in findings[0].message


def test_a_damaged_part_is_an_error(tmp_path: Path) -> None:
    folder = write(tmp_path / "t", a=pd.DataFrame({"x": [1]}))
    (folder / "b.parquet").write_bytes(b"PAR1 and then nothing")
    table, findings = read_table(folder)
    assert table is None
    assert "cannot be read as Parquet" in findings[0].message


def test_more_rows_than_memory_should_hold_are_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "t", a=pd.DataFrame({"x": range(6)}), b=pd.DataFrame({"x": range(5)}))
    monkeypatch.setattr(tables, "MOST_ROWS", 10)
    table, findings = read_table(folder)
    assert table is None
    assert "has 11 rows in 2 Parquet parts" in findings[0].message
    assert "crowdllm.Responses.scan" in findings[0].allowed


def test_a_folder_of_other_things_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    table, findings = read_table(tmp_path / "t")
    assert table is None
    assert "cannot be read" in findings[0].message
