"""The definition of a response, against the model's formulas written out here, and the compact forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from crowdllm.belief.crowd_model import fit_crowd
from crowdllm.errors import MismatchError
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import ResponseType
from crowdllm.responses.ranking import Ranking
from crowdllm.rng import stable_keys, uniforms
from crowdllm.simulation.exact import compact_dtype, compact_of, compact_shape, decide_exactly, values_of
from crowdllm.simulation.terms import grid_terms, people_terms

Make = Callable[..., Any]
TYPES = (Ordinal(("1", "2", "3", "4", "5")), Choice(7), Ballot(2, 2, 7), Ballot(0, 3, 7), Ballot(1, 7, 7))
TYPES += (Continuous(), Points(6, 1, 7), Ranking(2, 7))


def test_an_ordinal_response_counts_the_cut_points_below_noise_plus_shift(make_known: Make, fast_config: Make) -> None:
    """From a fitted model, person by person and problem by problem, with SciPy's normal quantile."""
    model = fit_crowd(make_known("ordinal", people=20, problems=5).study, None, fast_config(max_epochs=2), 0)
    crowd = model.recruit(6, 0)
    loadings_IZ, base_TP, spread_T = model.item_terms(model.items)
    attitude_NZ = model.attitudes(crowd, model.participant_noise(crowd, 4))
    terms, people = grid_terms(model, model.items), people_terms(model, crowd, 4)
    i, t = np.divmod(np.arange(30), 5)
    found = decide_exactly(terms, people, i, t, 4)
    assert len(set(found)) > 1
    for person, problem, level in zip(i, t, found, strict=True):
        keys = stable_keys([crowd.ids[person]]), stable_keys([model.items.problems.ids[problem]])
        noise = stats.norm.ppf(uniforms(4, "response", *keys)[0, 0])
        shift = float(loadings_IZ[problem] @ attitude_NZ[person])
        assert level == sum(noise + shift > cut for cut in spread_T[problem] * base_TP[problem])


def test_a_ballot_holds_the_options_with_the_largest_utility_and_gumbel_noise(make_terms: Make) -> None:
    terms, people = make_terms(Ballot(2, 2, 7))
    i, t = np.divmod(np.arange(40 * 9), 9)
    found = decide_exactly(terms, people, i, t, 1)
    for person, problem, picks in zip(i, t, found, strict=True):
        count = terms.count_T[problem]
        noise = uniforms(1, "response", people.key_N[[person]], terms.key_T[[problem]], count)[0]
        loadings_UZ = terms.loadings_IZ[terms.item_TU[problem, :count]]
        utility = terms.base_TP[problem, :count] + loadings_UZ @ people.attitude_NZ[person]
        best = np.argsort(utility + stats.gumbel_r.ppf(noise))[-2:]
        assert sorted(best) == picks.tolist()


def test_noise_that_is_given_moves_a_person_as_an_attitude(make_known: Make, fast_config: Make) -> None:
    """c_i = what the profile says + eps_i."""
    model = fit_crowd(make_known("ordinal", people=20, problems=5).study, None, fast_config(max_epochs=1), 0)
    crowd, noise_NZ = model.recruit(4, 0), np.arange(8.0).reshape(4, 2)
    base = people_terms(model, crowd, 0, np.zeros((4, 2)))
    np.testing.assert_allclose(people_terms(model, crowd, 0, noise_NZ).attitude_NZ, base.attitude_NZ + noise_NZ)


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_compact_forms_hold_the_whole_response(kind: ResponseType, make_terms: Make) -> None:
    terms, people = make_terms(kind)
    i, t = np.divmod(np.arange(40 * 9), 9)
    compact = decide_exactly(terms, people, i, t, 2)
    values = values_of(terms, compact)
    assert compact.dtype == compact_dtype(terms)
    assert compact.shape == (360, *compact_shape(terms))
    assert values.shape == (360, terms.width)
    assert kind.legal(values, terms.count_T[t]).all()
    np.testing.assert_array_equal(compact_of(terms, values), compact)


def test_ballots_are_positions_in_rising_order_filled_up_with_the_largest_number(make_terms: Make) -> None:
    terms, _ = make_terms(Ballot(0, 3, 7))
    values = np.zeros((3, 7))
    values[0, [6, 1]] = 1
    values[1, [0, 2, 5]] = 1
    assert compact_of(terms, values).tolist() == [[1, 6, 255], [0, 2, 5], [255, 255, 255]]
    np.testing.assert_array_equal(values_of(terms, compact_of(terms, values)), values)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (Ordinal(tuple(map(str, range(254)))), np.uint8),
        (Ordinal(tuple(map(str, range(255)))), np.uint16),
        (Choice(254), np.uint8),
        (Choice(255), np.uint16),
        (Ballot(1, 2, 300), np.uint16),
        (Continuous(), np.float64),
    ],
    ids=["254 levels", "255 levels", "254 options", "255 options", "ballot", "continuous"],
)
def test_the_largest_number_of_the_compact_dtype_is_never_a_position(kind: Any, dtype: type, make_terms: Make) -> None:
    assert compact_dtype(make_terms(kind)[0]) == dtype


def test_a_ballot_of_more_picks_than_options_is_refused(make_terms: Make) -> None:
    terms, people = make_terms(Ballot(4, 4, 7))
    with pytest.raises(MismatchError, match="a ballot of exactly 4 picks cannot be cast on a problem with 3 options"):
        decide_exactly(terms, people, np.zeros(2, dtype=np.int64), np.arange(2), 0)


def test_terms_of_some_problems_and_people_are_rows_of_the_whole(make_terms: Make) -> None:
    terms, people = make_terms(Choice(7))
    some, few = terms.take(np.array([5, 2])), people.take(slice(3, 6))
    assert len(some) == 2
    assert len(few) == 3
    assert some.key_T.tolist() == terms.key_T[[5, 2]].tolist()
    assert some.count_T.tolist() == terms.count_T[[5, 2]].tolist()
    np.testing.assert_array_equal(few.attitude_NZ, people.attitude_NZ[3:6])
    assert np.shares_memory(few.attitude_NZ, people.attitude_NZ)
