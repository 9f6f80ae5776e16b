"""Decisions from counts stand in the form of those from responses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crowdllm.errors import CrowdLLMError
from crowdllm.experiments.decisions import decision_table, open_responses
from crowdllm.experiments.sources import open_study
from crowdllm.simulation.decisions import counted_decisions
from crowdllm.simulation.plan import Settings, Shard
from crowdllm.simulation.stream import stream_crowd

Saved = Callable[[str], Any]


def stream(saved: Saved, kind: str, out: Path, sample: float) -> str:
    model, meta, _ = saved(kind)
    stream_crowd(model, meta, model.items, Settings(60, sample=sample), out)
    return str(out)


@pytest.mark.parametrize(
    ("kind", "method"),
    [("ordinal", "mean"), ("ordinal", "median"), ("ordinal", "majority_vote"), ("choice", "majority_vote")]
    + [(kind, "mean") for kind in ("ballot", "approval", "points", "ranking", "continuous")],
)
def test_counts_give_the_same_table_as_all_responses(saved: Saved, tmp_path: Path, kind: str, method: str) -> None:
    whole, counts = (stream(saved, kind, tmp_path / str(sample), sample) for sample in (1.0, 0.0))
    assert counted_decisions(whole, method) is None
    expected = decision_table(open_responses(whole), method)
    found = counted_decisions(counts, method)
    assert found is not None
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "method", "fits"),
    [
        ("ordinal", "dawid_skene", "mean or median or majority_vote"),
        ("choice", "mean", "majority_vote"),
        ("ballot", "median", "mean"),
        ("continuous", "majority_vote", "mean or median"),
    ],
)
def test_what_counts_cannot_give_is_refused_with_what_they_can(
    saved: Saved, tmp_path: Path, kind: str, method: str, fits: str
) -> None:
    counts = stream(saved, kind, tmp_path, 0.0)
    with pytest.raises(CrowdLLMError, match=f"what was counted gives {fits}, and {method} needs all"):
        counted_decisions(counts, method)


def test_a_share_is_no_crowd_to_decide_about(saved: Saved, small_parts: int, tmp_path: Path) -> None:
    model, meta, _ = saved("ordinal")
    stream_crowd(model, meta, model.items, Settings(60, sample=0.0), tmp_path, shard=Shard(1, 2))
    with pytest.raises(CrowdLLMError, match="join all shares"):
        counted_decisions(str(tmp_path), "mean")


def test_of_a_sample_the_way_to_use_it_alone_is_told(saved: Saved, tmp_path: Path) -> None:
    sample = stream(saved, "ordinal", tmp_path, 0.5)
    with pytest.raises(CrowdLLMError, match=r"of the sample: crowdllm\.aggregate\(crowdllm\.load_study"):
        counted_decisions(sample, "glad")


def test_distributions_are_no_study_to_work_with(saved: Saved, tmp_path: Path) -> None:
    counts = stream(saved, "ordinal", tmp_path, 0.0)
    with pytest.raises(CrowdLLMError, match=r"distributions only, no responses: read .*distributions\.csv"):
        open_study(counts)


def test_what_is_no_simulated_crowd_is_left_to_others(tmp_path: Path) -> None:
    assert counted_decisions("voting", "mean") is None
    assert counted_decisions(str(tmp_path), "mean") is None
