"""Tries of a call: how long is waited between them, and what they cost together."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import tenacity

from crowdllm.llm.calls import LONGEST_BACKOFF, Call, Caller, sleep
from crowdllm.llm.crew import Stopped
from crowdllm.llm.http import PassingFault, Refusal, Server, ServerError, open_server
from crowdllm.llm.limits import Pace
from crowdllm.llm.protocol import Usage
from crowdllm.llm.secret import read_key
from crowdllm.llm.usage import Ledger

ESTIMATE = Usage(1, 50, 64, 1)
GOOD = {"answer": 1, "usage": {"prompt_tokens": 40, "completion_tokens": 2}}


def caller_with(monkeypatch: pytest.MonkeyPatch, *replies: Any, tries: int = 4) -> Caller:
    """A caller whose server gives these replies, or raises these faults, one after the other."""
    left = list(replies)

    def post(self: Server, client: Any, path: str, body: Any, most_bytes: int) -> dict[str, Any]:
        reply = left.pop(0)
        if isinstance(reply, Exception):
            raise reply
        assert isinstance(reply, dict)
        return reply

    monkeypatch.setattr(Server, "post", post)
    server = open_server("http://localhost:1", 1, read_key(""))
    return Caller(server, Pace(), Ledger(), tries=tries, backoff=0.001)


def call(caller: Caller, stop: threading.Event | None = None) -> Any:
    wanted = Call("/x", {}, ESTIMATE, 10, 1000, lambda reply: reply["answer"])
    return caller.call(None, wanted, stop or threading.Event())  # type: ignore[arg-type]


def pause(caller: Caller, attempt: int, asked: float | None) -> float:
    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    state.attempt_number = attempt
    state.set_exception((PassingFault, PassingFault("", pause=asked), None))
    return caller._pause(state)


def test_pauses_double_with_a_random_part_up_to_a_minute() -> None:
    caller = Caller(open_server("http://localhost:1", 1, read_key("")), Pace(), Ledger(), tries=8, backoff=2.0)
    for attempt, least in ((1, 2), (2, 4), (3, 8), (4, 16)):
        found = {pause(caller, attempt, None) for _ in range(50)}
        assert least <= min(found) < max(found) <= least + 2
    assert pause(caller, 30, None) == LONGEST_BACKOFF
    found = {pause(caller, 1, 10.0) for _ in range(50)}
    assert 10 <= min(found) < max(found) <= 12
    assert 32 <= pause(caller, 5, 0.0) <= 34  # a server that asks for nothing is spared all the same


def test_what_failed_tries_may_have_cost_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    limited, timeout = PassingFault("429"), PassingFault("no answer", billed=True)
    caller = caller_with(monkeypatch, limited, timeout, GOOD)
    outcome = call(caller)
    assert (outcome.value, outcome.failure) == (1, "")
    assert outcome.usage == Usage(3, 50 + 40, 64 + 2, 1)  # the first was not taken, the second may have been
    assert caller.ledger.usage == outcome.usage


def test_after_the_last_try_the_failure_says_how_many_there_were(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = call(caller_with(monkeypatch, *[PassingFault("status 500")] * 9, tries=3))
    assert (outcome.value, outcome.failure, outcome.refused) == (None, "status 500; given up after 3 tries", False)
    assert outcome.usage == Usage(3)
    outcome = call(caller_with(monkeypatch, PassingFault("status 500"), tries=1))
    assert outcome.failure == "status 500; given up after 1 tries"


def test_a_refusal_after_a_fault_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = call(caller_with(monkeypatch, PassingFault("status 500"), Refusal(400, "too long")))
    assert (outcome.failure, outcome.refused, outcome.usage) == ("too long", True, Usage(2))


def test_a_server_that_was_there_is_given_all_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    away = PassingFault("refused", unreachable=True)
    caller = caller_with(monkeypatch, *[away] * 5, GOOD, tries=6)
    with pytest.raises(ServerError, match="no server answers"):  # nobody was ever there: three tries
        call(caller)
    caller.reached = time.monotonic()
    assert call(caller).value == 1  # the sixth


def test_a_wait_ends_when_the_run_does(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(Stopped):
        sleep(30, stop)
    with pytest.raises(Stopped):
        call(caller_with(monkeypatch, GOOD), stop)
