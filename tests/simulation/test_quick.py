"""Decisions in single precision are sure only where nothing between their bounds changes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import ResponseType
from crowdllm.responses.ranking import Ranking
from crowdllm.rng import Counters, problem_keys, uniforms
from crowdllm.simulation.quick import (
    BITS,
    PersonSide,
    ProblemSide,
    Space,
    Tile,
    add_up,
    bounds,
    ordinal_tile,
    race_tile,
    slack,
)
from crowdllm.simulation.single import decide_tile, first_words_above, people_side, problems_side, quick_rule
from crowdllm.simulation.terms import GridTerms, PeopleTerms

Make = Callable[..., Any]
Array = NDArray[np.float64]
Positions = NDArray[np.int64]
FIVE = Ordinal(("1", "2", "3", "4", "5"))
QUICK = (FIVE, Ordinal(("no", "yes")), Choice(7), Ballot(2, 2, 7), Ballot(0, 3, 7), Ballot(1, 7, 7))
QUANTILES = {"normal": stats.norm.ppf, "gumbel": stats.gumbel_r.ppf}
EDGES = (0, 1, 2 ** (32 - BITS) - 1, 2 ** (32 - BITS), 2**31 - 1, 2**31, 2**32 - 1)
without_deadline = settings(max_examples=60, deadline=None, database=None)


@pytest.mark.parametrize("quantile", QUANTILES)
@given(word=st.integers(0, 2**32 - 1) | st.sampled_from(EDGES), margin=st.floats(1e-5, 1.0))
@without_deadline
def test_bounds_enclose_the_quantile_of_every_word_by_the_margin(quantile: str, word: int, margin: float) -> None:
    table = bounds(quantile, margin)
    exact = float(QUANTILES[quantile]((word + 0.5) / 2**32))
    low, high = (float(end[word >> (32 - BITS)]) for end in (table.low_C, table.high_C))
    assert low <= exact - 0.9 * margin
    assert high >= exact + 0.9 * margin


def test_bounds_are_no_wider_than_a_cell_and_the_margin() -> None:
    """A quarter of the way through the cells the normal density is .3178: a cell is 1 / (.3178 cells) wide."""
    table, at = bounds("normal", 1e-4), 1 << (BITS - 2)
    assert table.high_C[at] - table.low_C[at] == pytest.approx(2e-4 + 2.0**-BITS / 0.3178, rel=0.01)


@given(seed=st.integers(0, 10**6), width=st.integers(0, 64), size=st.floats(-3, 5))
@without_deadline
def test_slack_covers_all_rounding_in_single_precision(seed: int, width: int, size: float) -> None:
    """Noise + shift compared with a cut point: each rounded at every step, against double precision."""
    rng = np.random.default_rng(seed)
    loading_ZB, attitude_ZB = rng.standard_normal((2, width, 500)) * 10.0 ** (size / 2)
    cut_B, noise_B = 10.0**size * rng.standard_normal(500), np.clip(8 * rng.standard_normal(500), -23, 23)
    shift_B, spare_B = np.empty((2, 500), dtype=np.float32)
    add_up(loading_ZB.astype(np.float32), attitude_ZB.astype(np.float32), shift_B, spare_B)
    rounded = (noise_B.astype(np.float32) + shift_B).astype(np.float64) - cut_B.astype(np.float32)
    exact = noise_B + (loading_ZB * attitude_ZB).sum(axis=0) - cut_B
    largest = float(np.abs(loading_ZB * attitude_ZB).sum(axis=0).max())
    assert np.abs(rounded - exact).max() <= slack(largest, float(np.abs(cut_B).max()), width)


@given(cut=st.floats(0, 1) | st.integers(0, 2**33).map(lambda n: n / 2**33))
@settings(max_examples=200, deadline=None, database=None)
def test_first_words_above_a_cut_are_the_first_whose_uniform_is_above_it(cut: float) -> None:
    first = int(first_words_above(np.array([cut]))[0])
    assert first == 0 or (first - 1 + 0.5) / 2**32 <= cut
    assert first == 2**32 or (first + 0.5) / 2**32 > cut


def whole_tile(terms: GridTerms, people: PeopleTerms, seed: int) -> Tile:
    shape, everything = (len(terms), len(people)), slice(None)
    return Tile(shape, problems_side(terms, seed).side(everything), people_side(people).side(everything))


@pytest.mark.parametrize("kind", QUICK, ids=str)
def test_sure_decisions_are_those_of_sample_and_few_are_unsure(kind: ResponseType, make_terms: Make) -> None:
    """72,000 pairs against the type's own `sample` with the same uniforms: no difference, not even by rounding."""
    terms, people = make_terms(kind, people=8000)
    rule = quick_rule(terms, people)
    assert rule is not None
    picks = (kind.max_picks,) if isinstance(kind, Ballot) else ()
    out_KB = np.empty((*picks, 9, 8000), dtype=np.uint8)
    unsure = decide_tile(whole_tile(terms, people, 3), rule, Space(), out_KB)
    assert 0 < len(unsure) < 0.003 * 72_000
    t, i = np.divmod(np.arange(72_000), 8000)
    noise = uniforms(3, "response", people.key_N[i], terms.key_T[t], kind.noise_width(terms.options))
    values = kind.sample(parameters(terms, people, i, t), noise, terms.count_T[t])
    wrong = np.flatnonzero(different(out_KB.reshape(*picks, -1), values))
    assert set(wrong.tolist()) <= set(unsure.tolist())


def parameters(terms: GridTerms, people: PeopleTerms, i: Positions, t: Positions) -> Array:
    """(B, P), by the formulas of the response types' docstrings."""
    item_BU = terms.item_TU[t]
    shift_BU = np.einsum("buz,bz->bu", terms.loadings_IZ[np.maximum(item_BU, 0)], people.attitude_NZ[i])
    if not terms.response_type.has_options:
        return terms.base_TP[t] * terms.spread_T[t, None] - shift_BU
    out_BP = terms.base_TP[t].copy()
    out_BP[:, : terms.options] += np.where(item_BU >= 0, shift_BU, 0)
    return out_BP


def different(compact_KB: NDArray[np.uint8], values_BD: Array) -> NDArray[np.bool_]:
    """(B,) where a compact response is not the one in the rows of values."""
    if compact_KB.ndim == 1:
        return np.asarray(compact_KB != values_BD[:, 0])
    most = values_BD.shape[1]
    chosen = np.zeros((len(values_BD), most + 1))
    np.put_along_axis(chosen, np.minimum(compact_KB, most).T.astype(np.int64), 1, axis=1)
    return np.asarray((chosen[:, :most] != values_BD).any(axis=1))


def test_a_level_next_to_its_cut_point_is_not_sure() -> None:
    """One person without attitudes; the cut point stands on the noise, and then a little beside it."""
    key, nobody = np.array([5], dtype=np.uint64), np.array([7], dtype=np.uint64)
    noise = stats.norm.ppf(uniforms(0, "response", nobody, key)[0, 0])
    empty = np.zeros((0, 1, 1), dtype=np.float32)
    person, keys = PersonSide(Counters.of(nobody), empty[:, 0]), problem_keys(0, "response", key)
    for gap, sure in ((0.0, False), (1e-6, False), (-1e-6, False), (0.01, True), (-0.01, True)):
        cut = np.array([[noise + gap]], dtype=np.float32)
        tile = Tile((1,), ProblemSide(keys, cut, empty, np.zeros((0, 1), dtype=np.uint64)), person)
        level = np.empty(1, dtype=np.uint8)
        unsure = ordinal_tile(tile, bounds("normal", 1e-6), Space(), level)
        assert unsure.tolist() == [not sure]
        assert not sure or level.tolist() == [int(gap < 0)]


@pytest.mark.parametrize("more", [0, 1])
def test_a_ballot_has_one_pick_more_from_the_first_word_above_the_cut_on(more: int) -> None:
    """One person, three equal options, 1 or 2 picks: the cut is met exactly, or missed by one word."""
    key, nobody = np.array([5], dtype=np.uint64), np.array([7], dtype=np.uint64)
    word = int(uniforms(0, "response", nobody, key)[0, 0] * 2**32 - 0.5)
    empty = np.zeros((0, 3, 1), dtype=np.float32)
    first = np.array([[word + more]], dtype=np.uint64)
    problem = ProblemSide(problem_keys(0, "response", key), np.zeros((3, 1), dtype=np.float32), empty, first)
    tile, picks = Tile((1,), problem, PersonSide(Counters.of(nobody), empty[:, 0])), np.empty((2, 1), dtype=np.uint8)
    assert not race_tile(tile, bounds("gumbel", 1e-6), Space(), (1, 2), picks).any()
    assert (picks < 3).sum() == 2 - more


@pytest.mark.parametrize("kind", [Continuous(), Points(6, 1, 7), Ranking(2, 7)], ids=str)
def test_other_types_are_left_to_the_definition(kind: ResponseType, make_terms: Make) -> None:
    assert quick_rule(*make_terms(kind)) is None


@pytest.mark.parametrize("large", [1e7, 1e300, np.inf, np.nan])
def test_numbers_too_large_for_single_precision_are_left_to_the_definition(large: float, make_terms: Make) -> None:
    for name in ("loadings_IZ", "base_TP"):
        terms, people = make_terms(Choice(7))
        assert quick_rule(terms, people) is not None
        terms, people = make_terms(Choice(7))
        getattr(terms, name)[0, 0] = large
        assert quick_rule(terms, people) is None


def test_a_space_gives_the_same_memory_again_and_grows() -> None:
    space = Space()
    first = space.get("a", (3, 4), np.float32)
    assert first.shape == (3, 4)
    assert np.shares_memory(space.get("a", (2, 5), np.float32), first)
    assert not np.shares_memory(space.get("b", (3, 4), np.float32), first)
    assert space.get("a", (100,), np.float32).shape == (100,)
