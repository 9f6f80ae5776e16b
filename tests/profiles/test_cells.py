"""Cutting columns into cells, and the values that come out of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdllm.data.profiles import ProfileColumn
from crowdllm.profiles.cells import Cells, granularity, make_cells

AGE = ProfileColumn("age", "numeric")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([18, 19, 21], (1, 0)),
        ([1000, 2500, 4000], (1500, 0)),
        ([1000, 2500, 3500], (500, 0)),
        ([0.5, 1.0, 2.25], (0.25, 2)),
        ([7], (1, 0)),
        ([-3, 0, 3], (3, 0)),
        ([np.pi, np.e], (0, 0)),
    ],
)
def test_granularity_is_the_coarsest_grid(values: list[float], expected: tuple[float, int]) -> None:
    assert granularity(np.unique(values)) == expected


def test_few_values_that_many_people_share_are_cells_of_their_own() -> None:
    cells = make_cells(AGE, np.repeat([18.0, 19.0, 65.0, np.nan], 10))
    assert cells.low_L[:-1].tolist() == cells.high_L[:-1].tolist() == [18, 19, 65]


@pytest.mark.parametrize("shared", range(0, 1000, 37))
def test_a_value_that_many_share_is_not_spread_over_an_interval(shared: int) -> None:
    cells = make_cells(AGE, np.concatenate([np.arange(1000.0), np.full(60, float(shared))]))
    assert (shared, shared) in zip(cells.low_L, cells.high_L, strict=True)


def test_long_tail_is_cut_finer() -> None:
    values = np.exp(np.random.default_rng(0).normal(0, 1.5, 5000))
    cells = make_cells(AGE, values)
    codes = cells.codes(values)
    emitted = cells.emit(codes, np.random.default_rng(1).random(5000))
    assert emitted.mean() == pytest.approx(values.mean(), rel=0.03)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.one_of(st.integers(-50, 50), st.just(float("nan"))), min_size=1, max_size=80),
    st.integers(0, 2**32),
)
def test_values_come_out_on_the_grid_inside_their_own_cell(raw: list[float], seed: int) -> None:
    values = np.array(raw, dtype=float)
    cells = make_cells(AGE, values)
    codes = cells.codes(values)
    known = ~np.isnan(values)
    assert (np.isnan(values) == (codes == len(cells) - 1)).all()
    assert (cells.low_L[codes[known]] <= values[known]).all()
    assert (values[known] <= cells.high_L[codes[known]]).all()
    emitted = cells.emit(codes, np.random.default_rng(seed).random(len(codes)))
    assert (np.isnan(emitted) == ~known).all()
    if known.any():
        assert (emitted[known] == np.round(emitted[known])).all()
        assert (emitted[known] % cells.step == values[known][0] % cells.step).all()
        assert ((emitted[known] >= values[known].min()) & (emitted[known] <= values[known].max())).all()


def test_refined_cells_on_a_grid_lie_inside_or_outside_the_range() -> None:
    cells = Cells(AGE, np.array([18.0, np.nan]), np.array([29.0, np.nan]), 1.0)
    cut, parent, share = cells.refine([(20, 24)])
    assert cut.low_L[:-1].tolist() == [18, 20, 25]
    assert cut.high_L[:-1].tolist() == [19, 24, 29]
    assert parent.tolist() == [0, 0, 0, 1]
    np.testing.assert_allclose(share, [2 / 12, 5 / 12, 5 / 12, 1])
    assert cut.inside([(20, 24)]).tolist() == [False, True, False, False]


def test_refined_cells_obey_strict_bounds_and_decimals() -> None:
    cells = Cells(AGE, np.array([0.0, np.nan]), np.array([0.5, np.nan]), 0.1, 1)
    cut, _, share = cells.refine([(float(np.nextafter(0.3, np.inf)), np.inf)])
    assert cut.low_L[:-1].tolist() == [0.0, 0.4]
    assert cut.high_L[:-1].tolist() == [0.3, 0.5]
    np.testing.assert_allclose(share, [4 / 6, 2 / 6, 1])


def test_refined_continuous_cells_share_by_length() -> None:
    cells = Cells(AGE, np.array([0.0, np.nan]), np.array([10.0, np.nan]))
    cut, _, share = cells.refine([(2.5, 5.0)])
    assert cut.low_L[:-1].tolist() == [0, 2.5, 5]
    np.testing.assert_allclose(share, [0.25, 0.25, 0.5, 1])
