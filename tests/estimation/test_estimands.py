"""Responses become columns whose means are asked for, and the grouped median tells 2.1 from 2.9."""

from __future__ import annotations

import numpy as np
import pytest

from crowdllm.data.problems import Problems
from crowdllm.data.responses import Responses
from crowdllm.errors import MismatchError
from crowdllm.estimation.estimands import (
    below_weights,
    grouped_median,
    grouped_quantile,
    make_columns,
    stretches,
)
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import ResponseType

FIVE = Ordinal(("1", "2", "3", "4", "5"))


def problems(options: int = 0) -> Problems:
    texts = tuple(f"option {m}" for m in range(options))
    return Problems(np.array(["q"], dtype=object), np.array(["?"], dtype=object), (texts,))


def answers(*values: list[float]) -> Responses:
    rows = np.arange(len(values))
    return Responses(rows, np.zeros(len(values), dtype=np.int64), np.array(values, dtype=float))


def test_an_ordinal_response_is_its_points_and_an_indicator_per_level() -> None:
    scale = Ordinal(("no", "maybe", "yes"), points=(-1.0, 0.0, 2.0))
    columns = make_columns(scale, problems(), answers([0.0]))
    assert columns.encode(np.array([[2.0], [0.0]])).tolist() == [[2.0, 0.0, 0.0, 1.0], [-1.0, 1.0, 0.0, 0.0]]
    assert columns.names == ("", "no", "maybe", "yes")
    assert columns.of_kind("share") == (1, 2, 3)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (Choice(max_options=3), [1.0], [0.0, 1.0, 0.0]),
        (Ballot(2, 2, 3), [1.0, 0.0, 1.0], [1.0, 0.0, 1.0]),
        (Points(10, 1, 3), [5.0, 5.0, 0.0], [0.5, 0.5, 0.0]),
    ],
)
def test_options_become_a_column_each(kind: ResponseType, value: list[float], expected: list[float]) -> None:
    columns = make_columns(kind, problems(3), answers(value))
    assert columns.encode(np.array([value])).tolist() == [expected]


def test_a_continuous_response_is_itself_and_the_cell_it_lies_in() -> None:
    columns = make_columns(Continuous(0.0, 10.0), problems(), answers(*[[float(v)] for v in range(11)]))
    encoded = columns.encode(np.array([[0.0], [10.0], [4.2]]))
    assert encoded[:, 0].tolist() == [0.0, 10.0, 4.2]
    assert (encoded[:, 1:].sum(axis=1) == 1).all()
    assert encoded[0, 1] == 1
    assert encoded[1, -1] == 1


def test_a_continuous_scale_without_responses_cannot_be_estimated() -> None:
    with pytest.raises(MismatchError, match="at least one response"):
        make_columns(Continuous(), problems(), Responses(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 1))))


def test_levels_stretch_to_the_midpoints_of_their_neighbours() -> None:
    assert stretches(np.array([1.0, 2.0, 4.0])).tolist() == [0.5, 1.5, 3.0, 5.0]


@pytest.mark.parametrize(
    ("shares", "median"),
    [
        ([0, 0, 1, 0, 0], 3.0),  # all say 3
        ([1, 0, 0, 0, 0], 1.0),
        ([0.5, 0.5, 0, 0, 0], 1.5),  # the line reaches one half where 1 ends
        ([0.25, 0.5, 0.25, 0, 0], 2.0),  # .25 below 1.5, then half of the stretch 1.5 to 2.5
        ([0.4, 0.4, 0.2, 0, 0], 1.75),  # .1 of .4 of the stretch 1.5 to 2.5
        ([0.5, 0, 0, 0, 0.5], 3.0),  # flat at one half from 1.5 to 4.5: its middle
        ([0.6, 0.1, 0.1, 0.1, 0.1], 0.5 + 0.5 / 0.6),
    ],
)
def test_the_grouped_median_by_hand(shares: list[float], median: float) -> None:
    columns = make_columns(FIVE, problems(), answers([0.0]))
    expected = np.clip(median, 1, 5)
    assert grouped_median(np.array([shares]), columns)[0] == pytest.approx(expected)


def test_a_quantile_of_no_answers_is_missing() -> None:
    assert np.isnan(grouped_quantile(np.full((1, 5), np.nan), stretches(np.arange(1.0, 6.0)), np.array([0.5])))[0]


def test_half_of_the_people_lie_below_the_median() -> None:
    columns = make_columns(FIVE, problems(), answers([0.0]))
    share_TM = np.array([[0.1, 0.3, 0.4, 0.1, 0.1], [0.7, 0.3, 0, 0, 0]])
    assert (below_weights(share_TM, columns) * share_TM).sum(axis=1) == pytest.approx([0.5, 0.5])
