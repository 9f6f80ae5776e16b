"""How long a server asks to wait, in each of the forms that servers use."""

from __future__ import annotations

import pytest

from crowdllm.llm.retry_after import asked_pause

NOON = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": " 0 "}, 0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30),
        ({"retry-after": "Tuesday, 14-Nov-23 22:13:50 GMT"}, 30),
        ({"retry-after": "Tue, 14 Nov 2023 22:00:00 GMT"}, 0),
        ({"retry-after": "9", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "9", "retry-after-ms": "soon"}, 9),
    ],
)
def test_seconds_and_dates_are_understood(headers: dict[str, str], seconds: float) -> None:
    assert asked_pause(headers, NOON) == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["", "soon", "nan", "inf", "1e999", "Tue, 99 Nov 2023 22:13:50 GMT", "1,5", "٣ days"])
def test_what_cannot_be_read_asks_for_nothing(value: str) -> None:
    assert asked_pause({"retry-after": value}, NOON) is None
    assert asked_pause({}, NOON) is None
