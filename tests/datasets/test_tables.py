"""Text cells become positions and numbers; what is blank or off the scale is counted, never mended."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdllm.data.profiles import ProfileColumn
from crowdllm.datasets.tables import (
    level_column,
    number_column,
    read_text_table,
    require_columns,
    running_ids,
    scale_cells,
    wide_responses,
)
from crowdllm.errors import StudyError, UnknownNameError
from crowdllm.responses.ordinal import Ordinal


def test_cells_stay_the_text_they_are(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('id,text\n007,NA\n008,"a ""quoted"", cell"\n', encoding="utf-8")
    table = read_text_table(tmp_path / "t.csv")
    assert table["id"].tolist() == ["007", "008"]
    assert table["text"].tolist() == ["NA", 'a "quoted", cell']


def test_a_table_without_header_takes_the_given_names(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1,2\n3,4\n", encoding="utf-8")
    assert read_text_table(tmp_path / "t.csv", names=("a", "b"))["b"].tolist() == ["2", "4"]


def test_a_file_that_is_no_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,b\n\xff\xfe\n")
    with pytest.raises(StudyError, match=r"t\.csv"):
        read_text_table(tmp_path / "t.csv")


def test_every_missing_column_is_named() -> None:
    with pytest.raises(StudyError) as caught:
        require_columns(pd.DataFrame({"a": []}), ["a", "b", "c"], "t.csv")
    assert [f.column for f in caught.value.findings] == ["b", "c"]


def test_scale_cells_count_blank_and_off_scale() -> None:
    scale = Ordinal(("-1", "0", "1"))
    cells = np.array([["-1.0", "0"], ["", "2"], ["1", "word"], ["0.5", " 1 "]], dtype=object)
    read = scale_cells(cells, scale)
    expected = np.array([[0, 1], [np.nan, np.nan], [2, np.nan], [np.nan, 2]])
    np.testing.assert_array_equal(read.positions, expected)
    assert (read.blank, read.off_scale) == (1, 3)


def test_a_blank_level_is_missing_and_an_unknown_one_is_refused() -> None:
    column = ProfileColumn("size", "ordinal", ("small", "large"))
    np.testing.assert_array_equal(level_column(pd.Series(["large", "", "small"]), column, "t.csv"), [1, np.nan, 0])
    with pytest.raises(UnknownNameError, match="'Large'.*t.csv, column 'size'.*did you mean 'large'"):
        level_column(pd.Series(["Large"]), column, "t.csv")


def test_a_word_where_a_number_belongs_is_named_with_its_row() -> None:
    with pytest.raises(StudyError, match="row 3, column 'age'.*'old'"):
        number_column(pd.Series(["30", "old", ""], name="age"), "t.csv")


def test_wide_answers_become_rows_person_by_person() -> None:
    responses = wide_responses(np.array([[0, np.nan], [2, 1]]))
    assert responses.participant_R.tolist() == [0, 1, 1]
    assert responses.problem_R.tolist() == [0, 0, 1]
    assert responses.values_RD.tolist() == [[0.0], [2.0], [1.0]]


def test_running_ids_start_at_one() -> None:
    assert running_ids(3).tolist() == ["p1", "p2", "p3"]
