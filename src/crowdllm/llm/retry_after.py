"""How long a server asks to wait before the next try: its Retry-After header, in seconds or as a date."""

from __future__ import annotations

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def asked_pause(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, at least 0; None where the server does not say, or not in a way that can be read.

    headers: by lower-case name. now: seconds since 1970. Besides Retry-After (RFC 9110, 10.2.3) the millisecond form
    `retry-after-ms` is read, which is finer where both are sent.
    """
    fine = _seconds(headers.get("retry-after-ms", ""))
    if fine is not None:
        return fine / 1000
    value = headers.get("retry-after", "")
    seconds = _seconds(value)
    return _until(value, now) if seconds is None else seconds


def _seconds(value: str) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _until(value: str, now: float) -> float | None:
    try:
        return max(parsedate_to_datetime(value).timestamp() - now, 0.0)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
