"""One exchange: what each reply of a server means, and addresses that are none."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crowdllm.errors import ConfigError
from crowdllm.llm.http import PassingFault, Refusal, Server, ServerError, error_words, open_server
from crowdllm.llm.secret import read_key

NO_KEY = read_key("")


def post(server: Server, text: str, most_bytes: int = 1_000_000) -> dict[str, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    with server.connect() as client:
        return server.post(client, "/chat/completions", body, most_bytes)


@pytest.fixture
def server(fault_server: Callable[..., Any]) -> Server:
    return open_server(fault_server("--hang", "2").url, 5, NO_KEY)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://localhost:11434", "http://localhost:11434/v1"),
        ("http://localhost:11434/", "http://localhost:11434/v1"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("https://gateway.example/api/v1", "https://gateway.example/api/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_an_address_ends_before_the_path_of_a_call(given: str, used: str) -> None:
    assert open_server(given, 1, NO_KEY).base_url == used


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", "no base URL"),
        ("localhost:8000", "no base URL"),
        ("ftp://localhost/v1", "no base URL"),
        ("http://", "no base URL"),
        ("http://localhost:99999/v1", "no base URL"),
        ("http://[::1/v1", "no base URL"),
        ("http://user:secret@localhost/v1", "keys are read from the environment"),
        ("user:secret@localhost/v1", "keys are read from the environment"),
        ("http://localhost/v1?key=secret", "keys are read from the environment"),
        ("http://localhost/v1/chat/completions", "ends before /chat/completions"),
    ],
)
def test_an_address_that_is_none_is_refused(given: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        open_server(given, 1, NO_KEY)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("limited", "status 429: too fast"),
        ("error_500", "status 500: overloaded"),
        ("error_502", "status 502"),
        ("error_503", "status 503"),
        ("error_504", "status 504"),
        ("status_408", "status 408"),
        ("status_529", "status 529"),
        ("reset", "connection"),
        ("reset_halfway", "connection"),
        ("half_json", "no JSON object, or only a part"),
        ("doubled_body", "no JSON object, or only a part"),
        ("no_json", "no JSON object, or only a part"),
        ("deep_json", "no JSON object, or only a part"),
    ],
)
def test_what_may_pass_is_told_as_such(server: Server, told: str, words: str) -> None:
    with pytest.raises(PassingFault, match=words) as caught:
        post(server, f"[[{told}]]")
    assert caught.value.__context__ is None  # the frames of the HTTP stack, which hold headers, are gone
    assert not caught.value.unreachable


@pytest.mark.parametrize("told", ["hang", "drip"])
def test_a_reply_that_takes_too_long_may_pass(server: Server, told: str) -> None:
    with pytest.raises(PassingFault, match=r"no answer within 0\.5 s") as caught:
        post(replace(server, timeout=0.5), f"[[{told}]]")
    assert caught.value.billed


def test_a_pause_that_is_asked_for_is_passed_on(server: Server) -> None:
    for told, least in (("limited_seconds", 1.0), ("limited_date", 0.0)):
        with pytest.raises(PassingFault) as caught:
            post(server, f"[[{told}]]")
        assert caught.value.pause is not None
        assert least <= caught.value.pause <= 1.0
    with pytest.raises(PassingFault) as caught:
        post(server, "[[limited]]")
    assert caught.value.pause is None


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("status_401", "401.*a key is needed in the environment: as told"),
        ("status_403", "403"),
        ("status_404", r"is not there or knows no such model \(404\)"),
        ("status_402", "nothing left"),
        ("status_405", "405"),
        ("quota", "nothing left.*you have no money left"),
        ("redirect", r"points elsewhere \(307\), to 'http://127.0.0.1:9/v1/chat/completions'"),
    ],
)
def test_what_no_request_can_get_past_ends_the_run(server: Server, told: str, words: str) -> None:
    with pytest.raises(ServerError, match=words):
        post(server, f"[[{told}]]")


@pytest.mark.parametrize("status", [400, 413, 415, 422, 451])
def test_a_request_that_the_server_will_not_have_is_refused(server: Server, status: int) -> None:
    with pytest.raises(Refusal, match=f"status {status}: as told"):
        post(server, f"[[status_{status}]]")


def test_a_long_error_is_cut_and_cannot_move_the_cursor(server: Server) -> None:
    with pytest.raises(Refusal) as caught:
        post(server, "[[long_error]]")
    assert len(caught.value.reason) < 400
    assert caught.value.reason.isprintable()


def test_a_reply_without_end_is_not_read_to_its_end(server: Server) -> None:
    with pytest.raises(Refusal, match="beyond 1,000,000 bytes"):
        post(server, "[[endless]]")


def test_nobody_at_the_address_is_told_apart_from_a_broken_connection() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(PassingFault) as caught:
        post(open_server(f"http://127.0.0.1:{port}", 1, NO_KEY), "x")
    assert caught.value.unreachable
    assert not caught.value.billed


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (b'{"error": {"message": "no", "code": "x"}}', "no", "x"),
        (b'{"error": {"message": "no", "code": 7}}', "no", "7"),
        (b'{"error": "no"}', "no", ""),
        (b'{"message": "no"}', "no", ""),
        (b'{"detail": "no"}', "no", ""),
        (b'{"detail": [{"loc": ["n"], "msg": "no"}]}', "[{'loc': ['n'], 'msg': 'no'}]", ""),
        (b'{"error": {"type": "x"}}', '{"type": "x"}', ""),
        (b"<html>no</html>", "<html>no</html>", ""),
        (b"\xff\x00", "\ufffd\x00", ""),
        (b"[1]", "[1]", ""),
        (b"", "", ""),
        (b"[" * 100_000, "[" * 100_000, ""),
    ],
)
def test_errors_are_read_in_every_form(body: bytes, message: str, code: str) -> None:
    assert error_words(body) == (message, code)
