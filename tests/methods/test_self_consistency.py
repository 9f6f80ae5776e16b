"""self-consistency: the majority of the draws, worked out by hand for every kind of response."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.methods import get_method
from crowdllm.reference import Reference, References
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import ResponseType
from crowdllm.responses.ranking import Ranking

NAN = float("nan")
OPTIONS = ("k", "l", "m", "n")


def decision(kind: ResponseType, draws: list[list[float]], options: tuple[str, ...] = ()) -> list[float]:
    """What everybody answers to the one problem that these draws are about."""
    values = np.array(draws, dtype=float)[None]
    ids = np.array(["q"], dtype=object)
    answered = values[0, :1] if not np.isnan(values[0, 0]).any() else values[0, 1:2]
    study = Study(
        "by hand",
        kind,
        Problems(ids, ids, (options,) if options else ()),
        Profiles((), np.array(["p"], dtype=object), np.zeros((1, 0))),
        Responses(np.zeros(1, dtype=int), np.zeros(1, dtype=int), answered),
    )
    references = References((Reference("llm", "samples", ids, values),))
    simulator: Any = get_method("self-consistency")(study, references, "tfidf", 0)
    people = np.arange(5)
    crowd = Profiles((), people.astype(str).astype(object), np.zeros((5, 0)))
    found = simulator.simulate(study.problems, references, crowd, people, people * 0, 0)
    assert (found == found[0]).all() or np.isnan(found).all()
    return list(found[0])


def test_the_level_or_option_drawn_most_often_wins_and_the_lowest_of_a_tie() -> None:
    scale = Ordinal(("1", "2", "3"))
    assert decision(scale, [[2], [0], [2], [NAN]]) == [2]
    assert decision(scale, [[2], [0], [2], [0]]) == [0]
    assert decision(Choice(4), [[3], [3], [1]], OPTIONS) == [3]


def test_numbers_are_decided_by_their_median() -> None:
    assert decision(Continuous(), [[1.0], [2.0], [40.0]]) == [2.0]


def test_a_ballot_has_the_options_that_were_picked_most_often() -> None:
    draws = [[1.0, 1, 0, 0], [1, 0, 0, 1], [0, 1, 0, 1], [1, 1, 0, 0]]
    assert decision(Ballot(2, 2, 4), draws, OPTIONS) == [1, 1, 0, 0]


def test_points_are_the_mean_of_the_draws_in_whole_points() -> None:
    assert decision(Points(4, 1, 4), [[4.0, 0, 0, 0], [0, 4, 0, 0]], OPTIONS) == [2, 2, 0, 0]


def test_a_ranking_goes_by_the_mean_places() -> None:
    """Borda points 4 3 2 1, 4 3 2 1 and 1 4 3 2 add up to 9, 10, 7 and 4."""
    draws = [[1.0, 2, 3, 4], [1, 2, 3, 4], [4, 1, 2, 3]]
    assert decision(Ranking(0, 4), draws, OPTIONS) == [2, 1, 3, 4]


def test_nothing_is_decided_where_no_draw_is_legal() -> None:
    ids = np.array(["q0", "q1"], dtype=object)
    values = np.array([[[1.0], [1.0]], [[NAN], [NAN]]])
    study = Study(
        "by hand",
        Ordinal(("1", "2", "3")),
        Problems(ids, ids),
        Profiles((), np.array(["p"], dtype=object), np.zeros((1, 0))),
        Responses(np.zeros(2, dtype=int), np.arange(2), np.array([[1.0], [2.0]])),
    )
    references = References((Reference("llm", "samples", ids, values),))
    simulator = get_method("self-consistency")(study, references, "tfidf", 0)
    both = np.arange(2)
    found = simulator.simulate(study.problems, references, study.profiles, both * 0, both, 0)
    np.testing.assert_array_equal(found, [[1.0], [NAN]])
    shares = simulator.level_probabilities(study.problems, references, study.profiles, study.responses, 0)
    np.testing.assert_allclose(shares, [[0.001 / 3, 0.999 + 0.001 / 3, 0.001 / 3], [1 / 3] * 3])


@pytest.mark.parametrize("change", [{"mode": "decision"}, {"values_TKD": np.zeros((1, 1, 1))}, {"mode": "persona"}])
def test_a_single_decision_has_no_majority(change: dict[str, Any]) -> None:
    ids = np.array(["q"], dtype=object)
    study = Study(
        "by hand",
        Ordinal(("1", "2")),
        Problems(ids, ids),
        Profiles((), np.array(["p"], dtype=object), np.zeros((1, 0))),
        Responses(np.zeros(1, dtype=int), np.zeros(1, dtype=int), np.zeros((1, 1))),
    )
    source = replace(Reference("llm", "samples", ids, np.zeros((1, 3, 1))), **change)
    with pytest.raises(MismatchError, match=r"source of mode samples.*columns k1, k2.*\(llm has \d of mode"):
        get_method("self-consistency")(study, References((source,)), "tfidf", 0)
