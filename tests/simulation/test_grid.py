"""Every person on every problem: the defined responses, however the work is cut and whoever else there is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from crowdllm.belief.crowd_model import fit_crowd
from crowdllm.errors import ConfigError, MismatchError
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import ResponseType
from crowdllm.responses.ranking import Ranking
from crowdllm.rng import stable_keys
from crowdllm.simulation import grid
from crowdllm.simulation.decide import simulate_pairs
from crowdllm.simulation.exact import decide_exactly
from crowdllm.simulation.grid import (
    GridTerms,
    PeopleTerms,
    compact_shape,
    decide_grid,
    decide_pairs,
    grid_terms,
    people_terms,
    values_of,
)

Make = Callable[..., Any]
FIVE = Ordinal(("1", "2", "3", "4", "5"))
QUICK: dict[str, ResponseType] = {
    "ordinal": FIVE,
    "two levels": Ordinal(("no", "yes")),
    "choice": Choice(7),
    "ballot": Ballot(2, 2, 7),
    "approval": Ballot(0, 3, 7),
    "any number": Ballot(1, 7, 7),
}
KINDS = QUICK | {
    "continuous": Continuous(),
    "bounded": Continuous(-1.0, 1.0),
    "points": Points(6, 1, 7),
    "ranking": Ranking(2, 7),
}
every_type = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
quick_type = pytest.mark.parametrize("kind", QUICK.values(), ids=QUICK)
RELAXED = settings(
    max_examples=15, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def by_definition(terms: GridTerms, people: PeopleTerms, seed: int) -> NDArray[Any]:
    """(N, T, ...) responses, all at once."""
    i, t = np.divmod(np.arange(len(people) * len(terms)), len(terms))
    return decide_exactly(terms, people, i, t, seed).reshape(len(people), len(terms), *compact_shape(terms))


@every_type
@given(data=st.data())
@RELAXED
def test_the_cut_into_tiles_and_threads_and_who_is_in_which_order_change_nothing(
    kind: ResponseType, make_terms: Make, data: st.DataObject
) -> None:
    """Subsets in any order, with blocks, tiles and threads of any size: each is its part of the whole."""
    terms, people = make_terms(kind)
    whole = by_definition(terms, people, 5)
    some = data.draw(st.lists(st.integers(0, 39), unique=True, max_size=40), "people")
    asked = data.draw(st.lists(st.integers(0, 8), unique=True, max_size=9), "problems")
    sizes = st.integers(1, 50)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TILE", "VALUES", "PEOPLE", "PROBLEMS", "FEW_PEOPLE", "FEW_PAIRS"):
            patch.setattr(grid, name, data.draw(sizes, name))
        i, t = np.array(some, dtype=np.int64), np.array(asked, dtype=np.int64)
        part = decide_grid(terms.take(t), people.take(i), 5, data.draw(st.integers(1, 3), "threads"))
        assert part.dtype == whole.dtype
        assert part.shape == (len(i), len(t), *whole.shape[2:])
        assert part.tobytes() == whole[i][:, t].tobytes()


@every_type
@given(data=st.data())
@RELAXED
def test_pairs_in_any_order_and_number_are_those_of_the_grid(
    kind: ResponseType, make_terms: Make, data: st.DataObject
) -> None:
    terms, people = make_terms(kind)
    whole = by_definition(terms, people, 6)
    count = data.draw(st.integers(0, 400), "pairs")
    rng = np.random.default_rng(data.draw(st.integers(0, 100), "seed"))
    i, t = rng.integers(40, size=count), rng.integers(9, size=count)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TILE", "VALUES", "FEW_PAIRS"):
            patch.setattr(grid, name, data.draw(st.integers(1, 500), name))
        assert decide_pairs(terms, people, i, t, 6).tobytes() == whole[i, t].tobytes()


@quick_type
def test_a_big_crowd_is_decided_as_defined_and_hardly_ever_by_the_definition(
    kind: ResponseType, make_terms: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms, people = make_terms(kind, people=20_000, problems=11, width=6, strength=0.5)
    whole = by_definition(terms, people, 7)
    settled = []

    def counted(*pairs: Any) -> NDArray[Any]:
        settled.append(len(pairs[2]))
        return decide_exactly(*pairs)

    monkeypatch.setattr(grid, "decide_exactly", counted)
    assert np.array_equal(decide_grid(terms, people, 7, 2), whole)
    assert 0 < sum(settled) < 0.003 * whole.shape[0] * whole.shape[1]


@quick_type
@pytest.mark.parametrize("strength", [0.0, 1e-3, 30.0, 1e3, 1e6])
@pytest.mark.parametrize("width", [0, 1, 20])
def test_models_of_any_strength_and_width_are_decided_as_defined(
    kind: ResponseType, strength: float, width: int, make_terms: Make
) -> None:
    terms, people = make_terms(kind, people=300, strength=strength, width=width)
    assert np.array_equal(decide_grid(terms, people, 8), by_definition(terms, people, 8))


@pytest.mark.parametrize(
    "kind",
    [Ordinal(tuple(map(str, range(300)))), Choice(300), Ballot(3, 3, 300), Ballot(0, 4, 300)],
    ids=["levels", "choice", "ballot", "approval"],
)
def test_more_levels_or_options_than_a_byte_holds(kind: ResponseType, make_terms: Make) -> None:
    terms, people = make_terms(kind, people=60)
    found = decide_grid(terms.take(slice(5, 9)), people, 9)
    assert found.dtype == np.uint16
    assert np.array_equal(found, by_definition(terms.take(slice(5, 9)), people, 9))


@pytest.mark.parametrize("kind", ["continuous", "ordinal", "choice", "ballot", "approval", "points", "ranking"])
def test_a_fitted_model_gives_the_responses_of_simulate_pairs(kind: str, make_known: Make, fast_config: Make) -> None:
    known = make_known(kind, people=25, problems=9, strength=1.5)
    model = fit_crowd(known.study, known.references, fast_config(max_epochs=2), 0)
    crowd = model.recruit(50, 0)
    terms, people = grid_terms(model, model.items), people_terms(model, crowd, 3)
    i, t = np.divmod(np.arange(450), 9)
    values = simulate_pairs(model, model.items, crowd, i, t, 3)
    compact = decide_grid(terms, people, 3)
    np.testing.assert_array_equal(values_of(terms, compact.reshape(450, *compact.shape[2:])), values)


@every_type
def test_adding_participants_and_inserting_a_problem_leave_all_other_responses_as_they_were(
    kind: ResponseType, make_terms: Make
) -> None:
    terms, people = make_terms(kind)
    more_terms, more_people = terms.take(np.array([0, 1, 8, 2, 3])), make_terms(kind, people=60)[1]
    more_people = replace(more_people, attitude_NZ=np.concatenate([people.attitude_NZ, np.full((20, 3), 9.0)]))
    new_key = np.where(np.arange(5) == 2, stable_keys(["inserted"]), more_terms.key_T)
    more = decide_grid(replace(more_terms, key_T=new_key), more_people, 4)
    before = decide_grid(terms.take(slice(0, 4)), people, 4)
    assert np.array_equal(np.delete(more, 2, axis=1)[:40], before)


def test_seeds_and_problems_have_noise_of_their_own(make_terms: Make) -> None:
    """The same problem under another id, or another seed: other answers of the same people."""
    terms, people = make_terms(FIVE, people=400)
    terms = terms.take(np.zeros(2, dtype=np.int64))
    twins = replace(terms, key_T=stable_keys(["one", "two"]))
    first, other = decide_grid(twins, people, 0), decide_grid(twins, people, 1)
    assert (first[:, 0] != first[:, 1]).mean() > 0.2
    assert (first != other).mean() > 0.2
    assert np.array_equal(*decide_grid(terms, people, 0).T)


@every_type
def test_nobody_and_nothing_give_empty_grids(kind: ResponseType, make_terms: Make) -> None:
    terms, people = make_terms(kind)
    none = np.zeros(0, dtype=np.int64)
    picks = compact_shape(terms)
    assert decide_grid(terms, people.take(none), 0, 2).shape == (0, 9, *picks)
    assert decide_grid(terms.take(none), people, 0, 2).shape == (40, 0, *picks)
    assert decide_pairs(terms, people, none, none, 0).shape == (0, *picks)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_ballot_that_cannot_be_cast_is_refused_whatever_the_threads(threads: int, make_terms: Make) -> None:
    terms, people = make_terms(Ballot(4, 4, 7), people=400)
    with pytest.raises(MismatchError, match="a ballot of exactly 4 picks cannot be cast on a problem with 3 options"):
        decide_grid(terms, people, 0, threads)
    castable = terms.take(np.array([1, 2]))
    assert np.array_equal(decide_grid(castable, people, 0, threads), by_definition(castable, people, 0))


def test_less_than_one_thread_is_refused(make_terms: Make) -> None:
    with pytest.raises(ConfigError, match="the number of threads must be at least 1, not 0"):
        decide_grid(*make_terms(FIVE), 0, 0)


def test_responses_lie_problem_by_problem_in_memory(make_terms: Make) -> None:
    assert decide_grid(*make_terms(FIVE), 0).swapaxes(0, 1).flags.c_contiguous
