"""Compact responses as columns: the cells that the response types themselves write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.simulation.cells import response_column
from crowdllm.simulation.grid import decide_grid, grid_terms, people_terms, values_of

KINDS = ["continuous", "bounded", "ordinal", "choice", "ballot", "approval", "points", "ranking"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_cells_are_those_that_the_response_type_writes(kind: str, saved: Callable[[str], Any]) -> None:
    model = saved(kind).model
    terms = grid_terms(model, model.items)
    grid = decide_grid(terms, people_terms(model, model.recruit(50, 1), 1), 1)
    compact_R, problem_R = grid.reshape(300, *grid.shape[2:]), np.tile(np.arange(6), 50)
    options = model.items.problems.options
    cells = response_column(model.response_type, options, problem_R, compact_R).to_pylist()
    values_RD = values_of(terms, compact_R)
    for cell, value_D, t in zip(cells, values_RD, problem_R, strict=True):
        written = model.response_type.write_cell(value_D, options[t])
        assert (repr(cell) if isinstance(cell, float) else cell) == written


@pytest.mark.parametrize("kind", KINDS)
def test_no_responses_give_an_empty_column(kind: str, saved: Callable[[str], Any]) -> None:
    model = saved(kind).model
    terms = grid_terms(model, model.items)
    nobody = people_terms(model, model.recruit(1, 0).take(np.zeros(0, dtype=np.int64)), 0)
    grid = decide_grid(terms, nobody, 0)
    none = grid.reshape(0, *grid.shape[2:])
    column = response_column(model.response_type, model.items.problems.options, np.zeros(0, dtype=np.int64), none)
    assert column.to_pylist() == []


def test_a_ballot_without_picks_has_a_cell_of_its_own() -> None:
    picks = np.array([[255, 255], [0, 255], [1, 2]], dtype=np.uint8)
    column = response_column(Ballot(0, 2, 3), (("a", "b", "c"),), np.zeros(3, dtype=np.int64), picks)
    assert column.to_pylist() == ["|", "#1", "#2|#3"]


def test_options_that_read_like_others_are_written_by_their_number() -> None:
    options = (("yes", "no"), ("1", "2", "yes"), ("Yes", "yes "))
    kind, problem_R, option_R = Choice(3), np.array([0, 1, 1, 2]), np.array([1, 0, 2, 1], dtype=np.uint8)
    column = response_column(kind, options, problem_R, option_R).to_pylist()
    assert column == [
        kind.write_cell(np.array([float(m)]), options[t]) for t, m in zip(problem_R, option_R, strict=True)
    ]
