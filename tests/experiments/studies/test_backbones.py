"""The study of backbones: what counts as an LLM's decision, its quality, and what a table says of the ceiling."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdllm.errors import MismatchError
from crowdllm.experiments.studies import backbones
from crowdllm.experiments.studies.backbones import NONE, VALUES, Config, agreement, claims, decisions_only, per_source
from crowdllm.reference import Reference, References

IDS = np.array(["a", "b"], dtype=object)


def made(rows: dict[str, tuple[float, float, float]]) -> pd.DataFrame:
    """Two seeds of source -> (quality, MAE alone, MAE of the crowd)."""
    table = [
        {
            **dict.fromkeys(VALUES, 0.5),
            "source": s,
            "seed": seed,
            "quality": q,
            "llm_mae": alone + seed / 1000,
            "crowd_mae": crowd,
        }
        for s, (q, alone, crowd) in rows.items()
        for seed in (0, 1)
    ]
    return pd.DataFrame(table)


GOOD = {"x": (0.8, 0.6, 0.3), "y": (0.6, 0.9, 0.4), "z": (0.4, 1.2, 0.5), NONE: (np.nan, np.nan, 0.6)}


def test_a_distribution_is_left_out_so_that_all_give_one_decision() -> None:
    source = Reference("s", "distribution", IDS, np.ones((2, 1, 1)), np.full((2, 5), 0.2))
    kept = decisions_only(References((source,)))
    assert kept is not None
    assert kept.sources[0].distribution_TM is None
    assert kept.sources[0].mode == "decision"
    assert decisions_only(None) is None


def test_a_source_without_decisions_is_refused() -> None:
    source = Reference("s", "distribution", IDS, np.full((2, 1, 1), np.nan), np.full((2, 5), 0.2))
    with pytest.raises(MismatchError, match="without decisions"):
        decisions_only(References((source,)))


def test_agreement_is_the_correlation_over_llms_without_the_row_that_has_none() -> None:
    found = agreement(made(GOOD))
    assert found is not None
    assert found.mean == pytest.approx(-1.0)  # quality falls by .2 while the crowd's error rises by .1
    assert agreement(made({k: v for k, v in GOOD.items() if k != "z"})) is None


def test_claims_name_the_llm_that_gains_least() -> None:
    better, tied = list(claims(made(GOOD)))
    assert (better.holds, tied.holds) == (True, True)
    assert "x: 0.30" in better.words  # .6 + .0005 on average, less .3
    worse = next(iter(claims(made(GOOD | {"x": (0.8, 0.2, 0.3)}))))
    assert worse.holds is False


def test_the_best_llm_comes_first_and_no_llm_last() -> None:
    summary = per_source(made(dict(reversed(GOOD.items()))))
    assert list(summary["source"]) == ["x", "y", "z", NONE]
    assert summary.loc[0, "llm_mae"] == pytest.approx(0.6005)


def test_the_picture_has_both_intervals_of_the_theorem_and_every_name() -> None:
    config = Config((0, 1), sources=tuple(GOOD))
    figure = backbones.report(config, {"p": made(GOOD)}).pictures[0].draw()
    labels = [label for axis in figure.axes for label in axis.get_legend_handles_labels()[1]]
    assert {"h as printed", "h as derived", "crowdllm, no LLM"} <= set(labels)
    assert {text.get_text() for text in figure.axes[0].texts} == {"x", "y", "z"}
