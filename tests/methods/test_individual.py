"""Rows of single responses: targets worked out by hand, what is held out, and how shares become responses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crowdllm.data.responses import Responses
from crowdllm.errors import MismatchError
from crowdllm.methods.individual import ItemFeatures, individual_simulator, targets, training_rows
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import ResponseType
from crowdllm.responses.ranking import Ranking

Known = Callable[..., Any]


@pytest.mark.parametrize(
    ("kind", "response", "expected"),
    [
        (Choice(3), [2.0], [0, 0, 1]),
        (Ballot(1, 2, 3), [1.0, 0, 1], [1, 0, 1]),
        (Points(10, 1, 3), [7.0, 3, 0], [0.7, 0.3, 0]),
        (Ranking(2, 3), [0.0, 2, 1], [0, 0.5, 1]),
    ],
    ids=["choice", "ballot", "points", "ranking"],
)
def test_targets_of_options_lie_between_0_and_1(
    kind: ResponseType, response: list[float], expected: list[float]
) -> None:
    one = Responses(np.zeros(1, dtype=int), np.zeros(1, dtype=int), np.array([response]))
    np.testing.assert_allclose(targets(kind, one, 3), [expected])


def test_whole_problems_are_held_out_where_there_are_many_and_people_where_not(make_known: Known) -> None:
    for problems, unit in ((60, "item_O"), (10, "person_O")):
        study = make_known("ordinal", people=30, problems=problems, per_person=10).study
        features = ItemFeatures.fit(study, None, "tfidf", 0)
        rows = training_rows(study, features.items(study.problems, None), 10_000, 0, "x")
        held, kept = set(getattr(rows, unit)[rows.held_O]), set(getattr(rows, unit)[~rows.held_O])
        assert not held & kept
        assert len(held) == round(0.2 * (len(held) + len(kept)))


def test_a_limit_on_rows_takes_whole_responses(make_known: Known) -> None:
    study = make_known("ballot", people=30, problems=4, same_options=True).study
    features = ItemFeatures.fit(study, None, "tfidf", 0)
    rows = training_rows(study, features.items(study.problems, None), 52, 0, "x")
    assert len(rows) == 50, "ten responses of five options each"
    np.testing.assert_array_equal(rows.target_O.reshape(10, 5).sum(axis=1), 2)


def test_a_prediction_per_option_becomes_a_distribution_over_the_problems_own_options(make_known: Known) -> None:
    study = make_known("choice", people=20, problems=3).study  # problems of 3, 4 and 5 options
    features = ItemFeatures.fit(study, None, "tfidf", 0)

    def predict(item_IF: Any, people: Any, item_O: Any, person_O: Any) -> Any:
        return np.where(item_O % 2 == 0, 0.3, -1.0)[:, None]  # below the floor of 0.001 counts as that

    simulator = individual_simulator(study, features, predict, 0)
    shares = simulator.distributions(study.problems, None, study.profiles, np.zeros(3, dtype=int), np.arange(3))
    low = 0.001
    expected = [  # options are numbered on: 0 to 2, 3 to 6, 7 to 11; each row adds up to 1
        np.array([0.3, low, 0.3, 0, 0]) / 0.601,
        np.array([low, 0.3, low, 0.3, 0]) / 0.602,
        np.array([low, 0.3, low, 0.3, low]) / 0.603,
    ]
    np.testing.assert_allclose(shares, expected)


def test_references_must_be_given_again(make_known: Known) -> None:
    known = make_known("ordinal", people=20, problems=4)
    features = ItemFeatures.fit(known.study, known.references, "tfidf", 0)
    with pytest.raises(MismatchError, match="fitted with references"):
        features.items(known.study.problems, None)
    assert not replace(features, uses_references=False).items(known.study.problems, known.references).reference_names
