"""Counts: what a count by hand of the single responses gives, for every response type, group, and share of answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from crowdllm.aggregation.scores import scores
from crowdllm.data.responses import Responses
from crowdllm.errors import ConfigError
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.simulation.blocks import decide_block, rows
from crowdllm.simulation.grid import grid_terms, people_terms, values_of
from crowdllm.simulation.groups import subgroups
from crowdllm.simulation.tallies import (
    INTERVALS,
    Tally,
    count_block,
    empty_tally,
    interval_span,
    read_tally,
    tally_bytes,
    tally_width,
)

Saved = Callable[[str], Any]
KINDS = ["continuous", "bounded", "ordinal", "choice", "ballot", "approval", "points", "ranking"]


def counted(saved: Saved, kind: str, participation: float) -> tuple[Tally, Any, Any, Any, Responses]:
    """The tally of 80 people, counted two problems at a time; and the model, groups, people and single responses."""
    model = saved(kind).model
    crowd, asked = model.recruit(80, 5), grid_terms(model, model.items)
    people, groups = people_terms(model, crowd, 5), subgroups(model.generator)
    tally = empty_tally(model.response_type, asked.options, len(groups), 6)
    for start in (0, 2, 4):
        block = decide_block(asked.take(slice(start, start + 2)), people, 5, participation)
        count_block(tally, model.response_type, slice(start, start + 2), block, groups.members(crowd))
    person_R, problem_R, compact_R = rows(decide_block(asked, people, 5, participation), asked, people, 5, 1.0)
    return tally, model, groups, crowd, Responses(person_R, problem_R, values_of(asked, compact_R))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("participation", [0.5, 1.0])
def test_counts_are_those_of_the_single_responses(saved: Saved, kind: str, participation: float) -> None:
    tally, model, groups, crowd, responses = counted(saved, kind, participation)
    member_GN = groups.members(crowd)
    score_RD = scores(responses, model.response_type) if kind not in ("ordinal", "choice") else responses.values_RD
    for g in range(len(groups)):
        for t in range(6):
            here = member_GN[g, responses.participant_R] & (responses.problem_R == t)
            assert tally.answers_GT[g, t] == here.sum()
            mine = score_RD[here]
            if kind in ("ordinal", "choice"):
                expected = [(mine[:, 0] == m).sum() for m in range(tally.counts_GTW.shape[2])]
            elif kind in ("continuous", "bounded"):
                expected = intervals_by_hand(model.response_type, mine[:, 0])
                assert tally.sums_GT[g, t] == pytest.approx(mine.sum(), rel=1e-12, abs=1e-9)
            else:
                expected = mine.sum(axis=0).tolist()
            assert tally.counts_GTW[g, t].tolist() == expected


def intervals_by_hand(kind: Continuous, values: Any) -> list[int]:
    low, high = interval_span(kind)
    width = (high - low) / INTERVALS
    counts = [0] * (INTERVALS + 2)
    for value in values.tolist():
        if value <= low:
            counts[0] += 1
        elif value >= high:
            counts[-1] += 1
        else:
            counts[1 + int((value - low) / width)] += 1
    return counts


def test_answers_at_the_bounds_of_a_scale_are_counted_there(saved: Saved) -> None:
    tally, model, _, _, responses = counted(saved, "bounded", 1.0)
    assert interval_span(model.response_type) == (0.0, 10.0)
    at_low = [(responses.values_RD[responses.problem_R == t, 0] == 0.0).sum() for t in range(6)]
    assert sum(at_low) > 0
    assert tally.counts_GTW[0, :, 0].tolist() == at_low


@pytest.mark.parametrize("kind", KINDS)
def test_a_tally_comes_back_from_its_file(saved: Saved, kind: str) -> None:
    tally, _, groups, _, _ = counted(saved, kind, 0.5)
    again = read_tally(tally_bytes(tally, {"a": "b"}), len(groups), 6)
    for name in ("answers_GT", "counts_GTW", "sums_GT"):
        assert getattr(again, name).tobytes() == getattr(tally, name).tobytes()


def test_tallies_add_up(saved: Saved) -> None:
    tally, _, groups, _, _ = counted(saved, "ordinal", 0.5)
    twice = empty_tally(saved("ordinal").model.response_type, 0, len(groups), 6)
    for _ in range(2):
        twice.add(tally)
    np.testing.assert_array_equal(twice.counts_GTW, 2 * tally.counts_GTW)
    np.testing.assert_array_equal(twice.answers_GT, 2 * tally.answers_GT)


def test_more_counts_than_memory_should_hold_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"40 subgroups x 1,000,000 problems x 5 counts.*fewer problems"):
        empty_tally(Ordinal(("1", "2", "3", "4", "5")), 0, 40, 10**6)


@pytest.mark.parametrize(
    ("kind", "span"),
    [
        (Continuous(), (-5.0, 5.0)),
        (Continuous(center=100, scale=10), (50.0, 150.0)),
        (Continuous(low=0.0, center=3, scale=2), (0.0, 13.0)),
        (Continuous(high=4.0, center=3, scale=2), (-7.0, 4.0)),
        (Continuous(0.0, 1.0, 0.5, 0.1), (0.0, 1.0)),
        (Continuous(low=90.0, center=3, scale=2), (90.0, 110.0)),
        (Continuous(high=-90.0, center=3, scale=2), (-110.0, -90.0)),
    ],
)
def test_intervals_span_the_scale_or_five_standard_deviations(kind: Continuous, span: tuple[float, float]) -> None:
    assert interval_span(kind) == span
    assert tally_width(kind, 0) == 102
