"""Responses: who gave any, and to what."""

from __future__ import annotations

import numpy as np

from crowdllm.data.responses import Responses


def test_people_and_answered_problems_are_those_with_a_response() -> None:
    responses = Responses(np.array([5, 2, 5]), np.array([0, 3, 3]), np.zeros((3, 1)))
    assert responses.people.tolist() == [2, 5]
    assert responses.answered.tolist() == [0, 3]
    nothing = responses.take(np.zeros(3, dtype=bool))
    assert nothing.people.tolist() == nothing.answered.tolist() == []
