"""The limits per minute hold in every minute, and a pause holds for everybody."""

from __future__ import annotations

import pytest

from crowdllm.errors import ConfigError
from crowdllm.llm.limits import Pace, Start, delay


class Clock:
    """A clock that only moves when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def starts_of(pace: Pace, clock: Clock, tokens: list[int]) -> list[float]:
    return [pace.start(count, clock.wait).at for count in tokens]


@pytest.mark.parametrize("limit", [1, 7, 60])
def test_no_minute_has_more_requests_than_allowed(limit: int) -> None:
    clock = Clock()
    at = starts_of(Pace(limit, None, clock), clock, [1] * 200)
    for i in range(limit, len(at)):
        assert at[i] - at[i - limit] >= 60 - 1e-6
    assert at[-1] - at[0] <= 60 * (200 // limit + 1)  # and none waits longer than it must


def test_no_minute_has_more_tokens_than_allowed() -> None:
    clock = Clock()
    tokens = [100, 400, 300, 300, 900, 50, 50, 1000, 10] * 5
    at = starts_of(Pace(None, 1000, clock), clock, tokens)
    for first in at:
        assert sum(count for t, count in zip(at, tokens, strict=True) if first <= t < first + 60 - 1e-6) <= 1000


def test_a_call_over_the_limit_goes_alone() -> None:
    clock = Clock()
    at = starts_of(Pace(None, 100, clock), clock, [50, 5000, 50])
    assert (at[1] - at[0], at[2] - at[1]) == (pytest.approx(60), pytest.approx(60))


def test_a_corrected_estimate_lets_the_next_call_go_earlier() -> None:
    clock = Clock()
    pace = Pace(None, 1000, clock)
    first = pace.start(900, clock.wait)
    pace.correct(first, 100)
    assert pace.start(900, clock.wait).at == first.at


def test_the_delay_is_until_the_oldest_call_is_a_minute_old() -> None:
    starts = [Start(10.0, 1), Start(20.0, 1), Start(30.0, 1)]
    assert delay(starts, 40.0, 1, 4, 100) == 0
    assert delay(starts, 40.0, 1, 3, 100) == 30
    assert delay(starts, 40.0, 1, 2, 100) == 40
    assert delay(starts, 40.0, 99, 100, 100) == 40
    assert delay(starts, 71.0, 1, 2, 100) == 9


def test_without_limits_nothing_waits_and_a_pause_holds_for_all() -> None:
    clock = Clock()
    pace = Pace(clock=clock)
    assert starts_of(pace, clock, [10**9] * 50) == [1000.0] * 50
    pace.pause(5)
    pace.pause(2)
    assert starts_of(pace, clock, [1, 1]) == [1005.0, 1005.0]


@pytest.mark.parametrize("limit", [0, -1, 0.5, float("nan")])
def test_a_limit_below_one_is_refused(limit: float) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        Pace(limit)
    with pytest.raises(ConfigError, match="at least 1"):
        Pace(None, limit)
