"""One call to a server until it is answered or given up: in its limits, within the money, with tries and pauses.

A try waits for its turn (`limits`), sets the most it may cost aside (`usage`), and is posted (`http`). A fault that may
pass is tried again after 1, 2, 4, ... seconds and a random part of one more, or after what the server's Retry-After
asks for if that is longer, during which no other call starts either. In the end there is a value or a failure in words.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import tenacity

from crowdllm.llm.chat_api import read_usage
from crowdllm.llm.crew import Stopped
from crowdllm.llm.http import NoServerError, PassingFault, Refusal, Server, ServerError
from crowdllm.llm.limits import Pace
from crowdllm.llm.protocol import Usage
from crowdllm.llm.usage import Ledger, add

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
LONGEST_BACKOFF = 60.0
LONGEST_PAUSE = 300.0
TRIES_TO_FIND_A_SERVER = 3


@dataclass(frozen=True)
class Call(Generic[T]):
    """What is asked. estimate: the most it may use; text_bytes: of its prompt; most_bytes: read of the reply.

    read: makes the value of the reply, and may raise PassingFault. tries: fewer than the caller's; 0 for those.
    """

    path: str
    body: dict[str, Any]
    estimate: Usage
    text_bytes: int
    most_bytes: int
    read: Callable[[dict[str, Any]], T]
    tries: int = 0


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What became of a call, all its tries together. refused: whether the failure is the server's final no."""

    value: T | None
    usage: Usage
    failure: str = ""
    refused: bool = False


@dataclass
class Caller:
    """What the threads of one backend share. tries: for one call; backoff: seconds after the first fault."""

    server: Server
    pace: Pace
    ledger: Ledger
    tries: int
    backoff: float
    reached: float = field(default=-1.0)
    """When the server was last heard of, in seconds of the monotonic clock; -1 if never."""

    def call(self, client: httpx2.Client, call: Call[T], stop: threading.Event) -> Outcome[T]:
        """Raises ServerError, CostLimitError, and Stopped once `stop` is set."""
        usages: list[Usage] = []
        began = time.monotonic()
        try:
            value = self._try(client, call, stop, usages)
        except Refusal as refusal:
            return Outcome(None, add(*usages), refusal.reason, refused=True)
        except PassingFault as fault:
            first = fault
        else:
            return Outcome(value, usages[0])
        return self._again(client, call, stop, usages, began, first)

    def _again(
        self,
        client: httpx2.Client,
        call: Call[T],
        stop: threading.Event,
        usages: list[Usage],
        began: float,
        first: PassingFault,
    ) -> Outcome[T]:
        """The tries after the first one failed."""
        known = [first]

        def attempt() -> T:
            if known:
                raise known.pop()
            return self._try(client, call, stop, usages)

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(PassingFault),
            stop=lambda state: self._enough(state, call.tries or self.tries),
            wait=self._pause,
            sleep=lambda seconds: sleep(seconds, stop),
            reraise=True,
        )
        try:
            return Outcome(retrying(attempt), add(*usages))
        except Refusal as refusal:
            return Outcome(None, add(*usages), refusal.reason, refused=True)
        except PassingFault as fault:
            last = fault
        if last.unreachable and self.reached < began:
            raise NoServerError(
                f"no server answers at {self.server.base_url} ({last.reason}): is it running, and is this its address? "
                "Answers so far are kept"
            )
        return Outcome(None, add(*usages), f"{last.reason}; given up after {len(usages)} tries")

    def _try(self, client: httpx2.Client, call: Call[T], stop: threading.Event, usages: list[Usage]) -> T:
        tokens = call.estimate.prompt_tokens + call.estimate.completion_tokens
        start = self.pace.start(tokens, lambda seconds: sleep(seconds, stop))
        reserved = self.ledger.reserve(call.estimate, lambda: sleep(0, stop))
        used = Usage(1)
        try:
            if stop.is_set():
                raise Stopped
            try:
                reply = self.server.post(client, call.path, call.body, call.most_bytes)
                used = read_usage(reply, call.estimate)
                self.reached = time.monotonic()
                return call.read(reply)
            except (PassingFault, Refusal) as fault:
                if fault.billed and used.prompt_tokens == 0:
                    used = call.estimate
                self._learn(fault)
                raise
        finally:
            usages.append(used)
            self.pace.correct(start, used.prompt_tokens + used.completion_tokens)
            self.ledger.settle(reserved, used, call.text_bytes)

    def _learn(self, fault: PassingFault | Refusal) -> None:
        if isinstance(fault, Refusal) or not fault.unreachable:
            self.reached = time.monotonic()
        if isinstance(fault, Refusal) or not fault.pause:
            return
        if fault.pause > LONGEST_PAUSE:
            raise ServerError(
                f"{self.server.base_url} asks for a pause of {fault.pause:,.0f} seconds ({fault.reason}): run this "
                "again then. Answers so far are kept"
            ) from None
        self.pace.pause(fault.pause)

    def _enough(self, state: tenacity.RetryCallState, tries: int) -> bool:
        unknown = _fault(state).unreachable and self.reached < 0
        return state.attempt_number >= (min(TRIES_TO_FIND_A_SERVER, tries) if unknown else tries)

    def _pause(self, state: tenacity.RetryCallState) -> float:
        grow = tenacity.wait_exponential_jitter(multiplier=self.backoff, max=LONGEST_BACKOFF, jitter=self.backoff)
        asked = _fault(state).pause or 0.0
        return max(grow(state), asked + tenacity.wait_random(0, self.backoff)(state))


def _fault(state: tenacity.RetryCallState) -> PassingFault:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, PassingFault) else PassingFault("")


def sleep(seconds: float, stop: threading.Event) -> None:
    """Raises Stopped as soon as `stop` is set."""
    if stop.wait(seconds):
        raise Stopped
