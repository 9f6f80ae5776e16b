"""The picture of intervals: every kind in its place, hostile names drawn as they are."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from crowdllm.report.figure import save_figure
from crowdllm.report.interval_figure import MOST_ROWS, interval_figure


def rows(problem: str, of: str = "", estimand: str = "mean") -> list[dict[str, object]]:
    one = {"problem": problem, "estimand": estimand, "of": of, "group": "", "estimate": 2.0, "low": 1.5, "high": 2.5}
    return [{**one, "interval": kind} for kind in ("human", "rectified")]


def test_each_kind_of_interval_is_drawn_for_each_problem(tmp_path: Path) -> None:
    table = pd.DataFrame([*rows("q1"), *rows("q2")])
    figure = interval_figure(table, 0.9)
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["q2", "q1"]
    assert [line.get_label() for line in axis.get_lines()] == ["humans alone", "rectified"]
    assert "90%" in axis.get_title(loc="left")
    assert save_figure(figure, tmp_path / "i.svg").stat().st_size > 1000


def test_rows_that_are_left_out_are_counted() -> None:
    table = pd.DataFrame([row for t in range(MOST_ROWS + 3) for row in rows(f"q{t}")])
    axis = interval_figure(table, 0.95).axes[0]
    assert len(axis.get_yticks()) == MOST_ROWS
    assert "3 more rows" in axis.get_title(loc="left")


def test_shares_are_drawn_where_there_are_no_means() -> None:
    table = pd.DataFrame([*rows("q", "tea", "share"), *rows("q", "coffee", "share")])
    labels = [label.get_text() for label in interval_figure(table, 0.95).axes[0].get_yticklabels()]
    assert labels == ["q: coffee", "q: tea"]


def test_markup_in_a_problems_name_is_text(tmp_path: Path) -> None:
    table = pd.DataFrame(rows("$\\frac{<script>}{$"))
    text = save_figure(interval_figure(table, 0.95), tmp_path / "i.svg").read_text()
    assert "<script>" not in text
