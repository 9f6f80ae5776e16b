"""The configurations fit the published data: the reference sets they name exist, and Table 1's Random row is met."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from crowdllm.experiments.reproduce import get_reproduction
from crowdllm.experiments.reproduce.plan import Reproduction, Settings
from crowdllm.experiments.reproduce.rows import runnable
from crowdllm.experiments.reproduce.run import open_runs
from crowdllm.experiments.reproduce.units import OpenedRun, Unit, do_unit, part_path

NAMES = ("offensiveness", "voting", "bfi", "ev_attitudes")


def opened(name: str, folder: Path) -> tuple[Reproduction, dict[str, OpenedRun]]:
    if not os.environ.get("CROWDLLM_DATA_DIR"):
        pytest.skip("set CROWDLLM_DATA_DIR to a folder with the published files (see crowdllm.datasets.download)")
    settings = Settings(quick=True)
    plan = runnable(get_reproduction(name, settings), lambda line: None)
    return plan, open_runs(plan, settings, folder, lambda line: None)


@pytest.mark.parametrize("name", NAMES)
def test_every_reference_set_that_is_named_is_there(name: str, tmp_path: Path) -> None:
    plan, runs = opened(name, tmp_path)
    assert set(runs) == {run.key for run in plan.runs}
    assert all(run.references is not None for run in runs.values())


@pytest.mark.parametrize(
    ("name", "run", "method", "sources"),
    [
        ("offensiveness", "problem", "zero-shot", "gpt4"),
        ("offensiveness", "problem", "multi-persona", "gpt4-personas"),
        ("voting", "participant", "multi-persona", "gpt4-personas"),
        ("voting", "participant-zero-shot", "zero-shot", "gpt4-temp0"),
        ("voting", "participant-consistency", "self-consistency", "gpt4-temp1"),
        ("bfi", "participant", "self-consistency", "elicited"),
        ("ev_attitudes", "both", "zero-shot", "elicited"),
    ],
)
def test_rows_of_bare_llms_use_the_sources_that_the_page_says(
    name: str, run: str, method: str, sources: str, tmp_path: Path
) -> None:
    _, runs = opened(name, tmp_path)
    assert runs[run].label(method) == sources
    assert method in runs[run].run.comparison.methods


def test_the_random_row_of_table_1_is_met_by_unseen_problems_and_as_many_people_as_rated(tmp_path: Path) -> None:
    """Over four splits, whose means differ from those of other splits by a few hundredths."""
    plan, runs = opened("offensiveness", tmp_path)
    printed = plan.sections[0].printed
    assert printed is not None
    few = replace(runs["problem"].run.comparison, crowd_sizes=(printed.crowd_size,), aggregators=("mean", "median"))
    run = replace(runs["problem"], run=replace(runs["problem"].run, comparison=few))
    found = []
    for seed in range(4):
        assert do_unit(run, Unit(1.0, seed, "random")) == ""
        found.append(pd.read_csv(part_path(run, Unit(1.0, seed, "random")), keep_default_na=False))
    ours = pd.concat(found).groupby(["metric", "aggregator"])["value"].mean()
    for column, theirs in zip(printed.columns, printed.rows[0][1], strict=True):
        if column.aggregator in ("", "mean", "median"):
            assert ours[column.metric, column.aggregator] == pytest.approx(theirs, abs=0.05), column
