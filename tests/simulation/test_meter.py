"""The meter: rate and remaining time of this run, not of what was there before."""

from __future__ import annotations

import pytest

from crowdllm.simulation.meter import EVERY_S, Meter, duration, rounded


def test_rate_and_remaining_time_are_those_of_this_run() -> None:
    time, seen = [0.0], []
    meter = Meter(6, 10, lambda *told: seen.append(told), lambda: time[0])
    time[0] = 10.0
    meter.step(2_000_000)
    time[0] = 20.0
    meter.step(3_000_000)
    assert seen == [
        ("simulating", 6, 10),
        ("simulating: 200 thousand responses/s, 30 s left", 7, 10),
        ("simulating: 250 thousand responses/s, 20 s left", 8, 10),
    ]


def test_it_does_not_tell_every_part_but_always_the_last() -> None:
    time, seen = [0.0], []
    meter = Meter(0, 100, lambda what, done, total: seen.append(done), lambda: time[0])
    for _ in range(100):
        time[0] += EVERY_S / 10
        meter.step(1)
    assert seen[0] == 0
    assert seen[-1] == 100
    assert 8 <= len(seen) <= 14


def test_without_anybody_to_tell_it_keeps_still() -> None:
    Meter(0, 1, None).step(5)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0"), (12.0, "12"), (1234.0, "1.23 thousand"), (8_340_000.0, "8.34 million"), (2.5e9, "2.5 billion")],
)
def test_numbers_are_rounded_with_a_word(number: float, text: str) -> None:
    assert rounded(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (89.0, "89 s"),
        (95.0, "2 min"),
        (3600.0, "60 min"),
        (11400.0, "3 h 10 min"),
        (187200.0, "2 days 4 h"),
    ],
)
def test_times_are_said_as_people_do(seconds: float, text: str) -> None:
    assert duration(seconds) == text
