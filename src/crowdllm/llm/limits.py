"""Keep to a server's limits: so many requests and so many tokens in any minute, and pauses that it asks for.

A call may start at time t when fewer than `requests` calls and at most `tokens` minus its own tokens started in the
minute before t. A call's tokens are estimated when it starts and corrected when its true number is known. A call that
needs more tokens than the limit goes alone, since it could never go otherwise.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from crowdllm.errors import ConfigError

MINUTE = 60.0


@dataclass
class Start:
    """One call: when it started (seconds of a clock) and its tokens as far as known."""

    at: float
    tokens: int


def delay(starts: Iterable[Start], now: float, tokens: int, most_requests: float, most_tokens: float) -> float:
    """Seconds until a call of `tokens` tokens may start, 0 for at once. starts: of the last minute, oldest first."""
    recent = [start for start in starts if start.at > now - MINUTE]
    count, used, wait = len(recent), sum(start.tokens for start in recent), 0.0
    for start in recent:
        if count < most_requests and used + tokens <= most_tokens:
            break
        count, used, wait = count - 1, used - start.tokens, start.at + MINUTE - now
    return wait


class Pace:
    """What the threads of one backend share to keep to its limits; None for no limit."""

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for what, limit in (("requests", requests_per_minute), ("tokens", tokens_per_minute)):
            if limit is not None and not limit >= 1:
                raise ConfigError(f"{what} per minute must be at least 1, not {limit}")
        self._limited = requests_per_minute is not None or tokens_per_minute is not None
        self._requests = requests_per_minute or float("inf")
        self._tokens = tokens_per_minute or float("inf")
        self._clock = clock
        self._starts: deque[Start] = deque()
        self._not_before = 0.0
        self._lock = threading.Lock()

    def start(self, tokens: int, wait: Callable[[float], None]) -> Start:
        """Wait, by calling `wait` with seconds, until a call may start; then it counts."""
        while True:
            with self._lock:
                now = self._clock()
                seconds = max(self._not_before - now, self._delay(now, tokens))
                if seconds <= 0:
                    start = Start(now, tokens)
                    if self._limited:
                        self._starts.append(start)
                    return start
            wait(seconds)

    def correct(self, start: Start, tokens: int) -> None:
        """The tokens that a call took in truth."""
        with self._lock:
            start.tokens = tokens

    def pause(self, seconds: float) -> None:
        """Let no call start for so long: what a server's Retry-After asks of all of them."""
        with self._lock:
            self._not_before = max(self._not_before, self._clock() + seconds)

    def _delay(self, now: float, tokens: int) -> float:
        if not self._limited:
            return 0.0
        while self._starts and self._starts[0].at <= now - MINUTE:
            self._starts.popleft()
        return delay(self._starts, now, tokens, self._requests, self._tokens)
