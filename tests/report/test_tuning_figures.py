"""Pictures of temperatures and of the bias audit: what is marked is the best, and texts are drawn as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from crowdllm.report.audit_figure import audit_figure
from crowdllm.report.figure import save_figure
from crowdllm.report.temperature_figure import TemperatureLine, TemperaturePanel, temperature_figure
from crowdllm.survey_tuning.audit import BiasAudit, ColumnDifferences, Differences, GroupDistance

NAN = float("nan")
LINE = TemperatureLine("tuned", (0.0, 0.3, 1.0, 2.0), (1.0, 0.9, 1.2, 1.5), (2.0, 0.8, 0.1, 0.3))


def test_the_best_temperatures_are_ringed_and_named() -> None:
    axis = temperature_figure([TemperaturePanel("a study", (LINE,))]).axes[0]
    rings = {(float(np.asarray(r.get_xdata())[0]), float(np.asarray(r.get_ydata())[0])) for r in axis.lines[1:]}
    assert rings == {(0.9, 0.8), (1.2, 0.1)}
    words = [text.get_text() for text in axis.texts]
    assert "t = 0.3, lowest RMSE" in words
    assert "t = 1, lowest KL" in words
    assert "t = 2" in words


def test_one_temperature_that_is_best_in_both_is_ringed_once() -> None:
    best = TemperatureLine("tuned", (0.0, 1.0), (1.0, 0.5), (2.0, 0.1))
    axis = temperature_figure([TemperaturePanel("a study", (best,))]).axes[0]
    assert [t.get_text() for t in axis.texts] == ["t = 0", "t = 1, lowest KL and RMSE"]


def test_of_two_models_the_best_temperatures_alone_are_named() -> None:
    other = TemperatureLine("other", (0.0, 1.0), (1.0, 0.5), (2.0, 0.1))
    axis = temperature_figure([TemperaturePanel("a study", (LINE, other))]).axes[0]
    assert [t.get_text() for t in axis.texts] == ["t = 0.3", "t = 1", "t = 1"]


def test_a_method_without_a_temperature_is_a_point() -> None:
    pooled = TemperatureLine("pooled", (NAN,), (1.3,), (0.05,))
    figure = temperature_figure([TemperaturePanel("$x$", (LINE, pooled))])
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["tuned", "pooled"]
    assert not [t for t in figure.axes[0].texts if "nan" in t.get_text()]
    assert figure.axes[0].get_title("left") == "$x$"


def test_an_audit_shows_every_group_and_the_ratios_there_are(tmp_path: Path) -> None:
    kept, none = Differences(1.1, 0.8, 1.4, "kept"), Differences(NAN, NAN, NAN, "no clear human differences")
    found = BiasAudit(
        (GroupDistance("age", "$x$", 30, 0.5, 0.2, 1.0, 0.3), GroupDistance("age", "old", 20, 0.4, 0.6, 1.0, 0.3)),
        (ColumnDifferences("age", 2, 0.3, Differences(0.1, 0.0, 0.3, "flattened"), kept),
         ColumnDifferences("place", 2, 0.0, none, none)),
        50, 1,
    )  # fmt: skip
    left, right = audit_figure(found).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["age: $x$", "age: old"]
    drawn = {str(line.get_label()): np.asarray(line.get_xdata()).tolist() for line in left.lines}
    assert drawn["before tuning"] == [0.5, 0.4]
    assert drawn["after tuning"] == [0.2, 0.6]
    points = [np.asarray(line.get_xdata()).tolist() for line in right.lines]
    assert [1.1] in points
    assert [0.8, 1.4] in points
    assert right.get_xlim()[1] > 1.4
    assert [text.get_text() for text in right.texts] == ["no clear human differences"]
    assert save_figure(audit_figure(found), tmp_path / "a.svg").stat().st_size > 1000
