"""Pictures of error terms, the gate and a plan: what is bounded looks bounded, and texts are drawn as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdllm.report.figure import save_figure
from crowdllm.report.gate_figure import GateRow, gate_figure
from crowdllm.report.plan_figure import plan_figure
from crowdllm.report.risk_figure import RiskBar, risk_figure

NAN = float("nan")


def test_a_bounded_term_is_hatched_and_an_estimated_one_is_filled() -> None:
    figure = risk_figure([("a study", [RiskBar("L1", NAN, 0.0, 2.0), RiskBar("L4", 1.0, 0.8, 1.2, truth=0.9)])])
    bounded, estimated = figure.axes[0].patches
    assert bounded.get_hatch()
    assert (bounded.get_x(), bounded.get_width()) == (0.0, 2.0)  # type: ignore[attr-defined]
    assert not estimated.get_hatch()
    assert estimated.get_width() == 1.0  # type: ignore[attr-defined]


def test_the_gate_shows_both_intervals_of_theorem_3_and_names_each_once() -> None:
    rows = [GateRow("a", 0.4, 0.1, 0.7, "crowd", 0.1, 0.5, 0.2), GateRow("b", -0.4, -0.7, -0.1, "llm", 0.9, 0.3, 0.2)]
    figure = gate_figure(rows)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(names) == sorted(
        ["the crowd is better", "the LLM is better", "B as printed", "B as derived", "mean bias - Delta"]
    )
    printed = [line for line in figure.axes[1].lines if np.asarray(line.get_xdata()).tolist() == [-0.2, 0.2]]
    assert len(printed) == 2


def test_a_plan_is_drawn_without_its_infinite_widths() -> None:
    curve = pd.DataFrame({"answers": [0.0, 5.0], "mean_width": [np.inf, 1.0], "greatest_width": [np.inf, 2.0]})
    axis = plan_figure(curve, 1.5).axes[0]
    assert np.isnan(np.asarray(axis.lines[0].get_ydata(), dtype=float)[0])
    assert np.asarray(axis.lines[2].get_ydata()).tolist() == [1.5, 1.5]


@pytest.mark.parametrize("name", ["$x^2$", r"\frac", "<b>", "{0}"])
def test_texts_are_no_markup(name: str, tmp_path: Path) -> None:
    figures = (
        risk_figure([(name, [RiskBar(name, 1.0, 0.5, 1.5)])]),
        gate_figure([GateRow(name, 0.1, -0.1, 0.3, "", 0.0, 0.4, 0.2)]),
    )
    for k, figure in enumerate(figures):
        assert name in [label.get_text() for label in figure.axes[0].get_yticklabels()]
        save_figure(figure, tmp_path / f"{k}.svg")
