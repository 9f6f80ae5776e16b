"""Blocks: who answers, what is sampled, and that neither depends on how the work is cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from crowdllm.profiles.participation import pairs
from crowdllm.simulation.blocks import decide_block, rows, sampled
from crowdllm.simulation.decide import simulate_pairs
from crowdllm.simulation.grid import grid_terms, people_terms, values_of

Saved = Callable[[str], Any]
KINDS = ["continuous", "ordinal", "choice", "ballot", "approval", "points", "ranking"]


def terms(saved: Saved, kind: str, people: int = 60) -> tuple[Any, Any, Any, Any]:
    model = saved(kind).model
    crowd = model.recruit(people, 3)
    return model, crowd, grid_terms(model, model.items), people_terms(model, crowd, 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("participation", [0.0, 0.4, 1.0])
def test_rows_are_the_responses_of_the_pairs_that_take_part(saved: Saved, kind: str, participation: float) -> None:
    model, crowd, asked, people = terms(saved, kind)
    block = decide_block(asked, people, 3, participation)
    person_R, problem_R, compact_R = rows(block, asked, people, 3, 1.0)
    expected = [
        np.concatenate(column) for column in zip(*pairs(participation, people.key_N, asked.key_T, 3), strict=True)
    ]
    assert set(zip(person_R.tolist(), problem_R.tolist(), strict=True)) == set(
        zip(expected[0].tolist(), expected[1].tolist(), strict=True)
    )
    assert block.responses == len(person_R)
    values = simulate_pairs(model, model.items, crowd, person_R, problem_R, 3)
    np.testing.assert_array_equal(values_of(asked, compact_R), values)


def test_rows_come_by_participant_then_problem(saved: Saved) -> None:
    _, _, asked, people = terms(saved, "ordinal")
    for participation, sample in ((1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (0.5, 0.5)):
        person_R, problem_R, _ = rows(decide_block(asked, people, 3, participation), asked, people, 3, sample)
        assert np.all(np.diff(person_R * 6 + problem_R) > 0)


def test_the_sample_is_the_same_for_any_blocks_and_grows_with_the_share(saved: Saved) -> None:
    _, _, asked, people = terms(saved, "ordinal", 200)
    whole = sampled(people.key_N, asked.key_T, 3, 0.3)
    for n in (slice(0, 70), slice(70, 200)):
        for t in (slice(0, 1), slice(1, 6)):
            part = sampled(people.key_N[n], asked.key_T[t], 3, 0.3)
            np.testing.assert_array_equal(part, whole[n, t])
    larger = sampled(people.key_N, asked.key_T, 3, 0.5)
    assert (larger | ~whole).all()
    assert whole.any()
    assert (larger & ~whole).any()


def test_the_sample_has_the_share_that_was_asked_for(saved: Saved) -> None:
    """12,000 pairs at .3: standard error .0042."""
    _, _, asked, people = terms(saved, "ordinal", 2000)
    assert sampled(people.key_N, asked.key_T, 3, 0.3).mean() == pytest.approx(0.3, abs=4 * 0.0042)


def test_the_sample_has_nothing_to_do_with_who_takes_part(saved: Saved) -> None:
    """12,000 pairs; among those that take part (.5) the share sampled is .3 as well: standard error .0059."""
    _, _, asked, people = terms(saved, "ordinal", 2000)
    block = decide_block(asked, people, 3, 0.5)
    present = block.present_NT
    assert present is not None
    assert sampled(people.key_N, asked.key_T, 3, 0.3)[present].mean() == pytest.approx(0.3, abs=4 * 0.0059)
