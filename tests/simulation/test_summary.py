"""Distributions and decisions from counts: the same as from all responses at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from crowdllm.aggregation import aggregate, applicable
from crowdllm.data.problems import Problems
from crowdllm.evaluation.histograms import histograms
from crowdllm.responses.continuous import QUANTILES, Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.simulation.blocks import decide_block
from crowdllm.simulation.grid import grid_terms, people_terms
from crowdllm.simulation.groups import everybody, subgroups
from crowdllm.simulation.run import SimulatedCrowd, simulate_crowd
from crowdllm.simulation.summary import distribution_table, interval_quantiles, subgroup_tables
from crowdllm.simulation.tables import Stamp
from crowdllm.simulation.tallies import INTERVALS, Tally, count_block, empty_tally, interval_span

Saved = Callable[[str], Any]
KINDS = ["continuous", "bounded", "ordinal", "choice", "ballot", "approval", "points", "ranking"]
STAMP = Stamp("0123456789abcdef" * 4, 5, "run")


def tallied(saved: Saved, kind: str, groups: Any, people: int = 300) -> tuple[Tally, SimulatedCrowd, Any]:
    model = saved(kind).model
    crowd, asked = simulate_crowd(model, model.items, people, 5), grid_terms(model, model.items)
    tally = empty_tally(model.response_type, asked.options, len(groups), 6)
    block = decide_block(asked, people_terms(model, crowd.people, 5), 5, 1.0)
    count_block(tally, model.response_type, slice(0, 6), block, groups.members(crowd.people))
    return tally, crowd, model


@pytest.mark.parametrize("kind", KINDS)
def test_decisions_are_those_of_the_aggregators(saved: Saved, kind: str) -> None:
    tally, crowd, model = tallied(saved, kind, everybody())
    table = distribution_table(tally, model.response_type, model.items.problems, STAMP)
    assert table["responses"].tolist() == [300] * 6
    numbers = kind in ("continuous", "bounded")
    for method in ("mean", "median", "majority_vote"):
        if method not in applicable(model.response_type) or (numbers and method == "median"):
            continue
        if method == "median" and kind != "ordinal":
            assert not any(name.startswith("median") for name in table)
            continue
        result = aggregate(crowd.responses, model.response_type, 6, 300, method, model.items.option_counts)
        if kind == "choice":
            options = model.items.problems.options
            chosen = [options[t][int(m)] for t, m in enumerate(result.decision_TD[:, 0])]
            assert table["majority_vote"].tolist() == chosen
            continue
        names = [name for name in table if name == method or name.startswith(f"{method}_")]
        np.testing.assert_allclose(table[names].to_numpy(), result.decision_TD, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["ordinal", "choice", "ballot", "approval", "points", "ranking"])
def test_shares_are_the_summaries_of_the_responses(saved: Saved, kind: str) -> None:
    tally, crowd, model = tallied(saved, kind, everybody())
    table = distribution_table(tally, model.response_type, model.items.problems, STAMP)
    shares = table[[name for name in table if name.startswith("share_")]].to_numpy()
    np.testing.assert_allclose(shares, histograms(crowd.responses, model.response_type, 6), rtol=1e-12)


@pytest.mark.parametrize("kind", ["continuous", "bounded"])
def test_quantiles_are_off_by_less_than_an_interval(saved: Saved, kind: str) -> None:
    tally, crowd, model = tallied(saved, kind, everybody(), people=2000)
    table = distribution_table(tally, model.response_type, model.items.problems, STAMP)
    low, high = interval_span(model.response_type)
    interval = (high - low) / INTERVALS
    at = (np.arange(QUANTILES) + 0.5) / QUANTILES
    names = [name for name in table if name.startswith("quantile_")]
    for t in range(6):
        values = np.clip(crowd.responses.values_RD[crowd.responses.problem_R == t, 0], low, high)
        for method in ("lower", "higher"):
            error = np.abs(table.loc[t, names].to_numpy(dtype=float) - np.quantile(values, at, method=method))
            assert error.max() <= interval + 1e-9
        assert abs(table.loc[t, "median"] - np.median(values)) <= interval


def test_quantiles_by_hand() -> None:
    """Four answers at 0 (the bound), four spread over the interval from .50 to .51: the median is where it begins."""
    counts = np.zeros((2, INTERVALS + 2), dtype=np.int64)
    counts[0, 0], counts[0, 51] = 4, 4
    found = interval_quantiles(Continuous(0.0, 1.0), counts, np.array([0.25, 0.5, 0.75, 1.0]))
    np.testing.assert_allclose(found[0], [0.0, 0.0, 0.505, 0.51])
    assert np.isnan(found[1]).all()


def test_a_problem_that_nobody_answered_has_no_decision() -> None:
    problems = Problems(np.array(["a", "b"], dtype=object), np.array(["A", "B"], dtype=object))
    kind = Ordinal(("1", "2", "3"))
    tally = empty_tally(kind, 0, 1, 2)
    tally.answers_GT[0] = [3, 0]
    tally.counts_GTW[0, 0] = [1, 2, 0]
    table = distribution_table(tally, kind, problems, STAMP)
    assert table.loc[0, ["mean", "median", "majority_vote"]].tolist() == [5 / 3, 2.0, 2.0]
    assert table.loc[1, ["mean", "median", "majority_vote", "share_1"]].isna().all()


def test_every_row_says_that_it_is_simulated_by_which_model_and_seed(saved: Saved) -> None:
    groups = subgroups(saved("ordinal").model.generator)
    tally, _, model = tallied(saved, "ordinal", groups)
    kind, problems = model.response_type, model.items.problems
    for table in (
        distribution_table(tally, kind, problems, STAMP),
        *subgroup_tables(tally, kind, problems, groups.names, STAMP),
    ):
        assert table["simulated"].all()
        assert set(table["model"]) == {"0123456789abcdef"}
        assert set(table["seed"]) == {5}


def test_each_subgroup_has_the_distribution_of_its_own_people(saved: Saved) -> None:
    groups = subgroups(saved("ordinal").model.generator)
    tally, crowd, model = tallied(saved, "ordinal", groups)
    tables = subgroup_tables(tally, model.response_type, model.items.problems, groups.names, STAMP)
    assert [(t["column"].iloc[0], t["level"].iloc[0]) for t in tables] == list(groups.names[1:])
    levels = crowd.people.to_frame()["region"].to_numpy()
    for table in tables:
        if table["column"].iloc[0] != "region" or table["level"].iloc[0] == "(missing)":
            continue
        inside = levels[crowd.responses.participant_R] == table["level"].iloc[0]
        expected = aggregate(crowd.responses.take(inside), model.response_type, 6, 300, "mean").decision_TD[:, 0]
        np.testing.assert_allclose(table["mean"], expected, rtol=1e-12)
