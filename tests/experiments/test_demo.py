"""The demonstration, shortened: what it writes, that it says its people are simulated, and that it resumes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from crowdllm.data.study_folder import load_study
from crowdllm.experiments import demo


def test_the_demo_study_says_that_nobody_in_it_is_real() -> None:
    opened = demo.open_demo_study()
    assert opened.study.simulated
    assert "simulated" in opened.study.title


@pytest.mark.slow
def test_the_demo_writes_a_comparison_a_model_a_crowd_decisions_and_a_picture(tmp_path: Path) -> None:
    result = demo.run_demo(tmp_path / "demo")
    assert all(path.exists() for path in result.written)
    assert {path.suffix for path in result.written} == {"", ".csv", ".svg", ".png"}
    means = result.summary[result.summary["crowd_size"] > 0].set_index(["method", "metric"])["mean"]
    for metric in ("mae", "avg_wd"):
        assert means["human-floor", metric] < means["crowdllm", metric] < means["pooled", metric]
        assert means["pooled", metric] < means["random", metric]
    crowd = load_study(tmp_path / "demo" / "crowd")
    assert crowd.simulated
    assert (len(crowd.profiles), len(crowd.problems)) == (1000, 8)
    decisions = pd.read_csv(tmp_path / "demo" / "decisions.csv")
    assert decisions["simulated_mean"].between(1, 5).all()
    error = (decisions["simulated_mean"] - decisions["human_mean"]).abs().mean()
    assert error < means["random", "mae"]
    again = demo.run_demo(tmp_path / "demo")
    pd.testing.assert_frame_equal(again.summary, result.summary)
