"""A server that misbehaves: every request ends as answered or failed, and nothing is asked more often than needed."""

from __future__ import annotations

import itertools
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from crowdllm.errors import ConfigError, CrowdLLMError, UnknownNameError, UnparsableAnswerError
from crowdllm.llm import BACKENDS
from crowdllm.llm.http import NoServerError, ServerError
from crowdllm.llm.openai import OpenAIBackend
from crowdllm.llm.protocol import Answer, Prompt, Request, Sampling, Usage
from crowdllm.llm.usage import CostLimitError, Price
from crowdllm.registry import lookup
from crowdllm.responses.ordinal import Ordinal

FIVE = Ordinal(("1", "2", "3", "4", "5"))
Start = Callable[..., Any]
PASSING = ["limited", "reset", "reset_halfway", "hang", "half_json", "doubled_body", "no_json", "deep_json"]
PASSING += ["empty_choices", "error_in_200"]


def backend_at(url: str, **settings: Any) -> OpenAIBackend:
    return OpenAIBackend("m", url, **{"timeout": 5, "backoff": 0.01, "concurrency": 8, "key_variable": "", **settings})


def ask(backend: OpenAIBackend, texts: Sequence[str], draws: int = 1, **sampling: Any) -> list[Answer]:
    requests = [Request(Prompt(f"p{i}", text), tuple(range(draws))) for i, text in enumerate(texts)]
    return list(backend.ask(requests, Sampling(**sampling)))


def ends(answers: Iterable[Answer]) -> Counter[tuple[str, int]]:
    """How often each draw of each prompt was answered or failed."""
    return Counter((a.prompt.problem_id, k) for a in answers for k in a.draws)


def once_each(prompts: int, draws: int) -> Counter[tuple[str, int]]:
    return Counter((f"p{i}", k) for i in range(prompts) for k in range(draws))


def test_it_is_found_by_name_and_says_who_it_is() -> None:
    backend = lookup(BACKENDS, "openai", "backend")("gpt-x", key_variable="")
    assert (backend.name, backend.identity, backend.base_url) == ("gpt-x", "openai:gpt-x", "https://api.openai.com/v1")
    assert OpenAIBackend("gpt-x", "http://localhost:1", name="mine", key_variable="").name == "mine"


@pytest.mark.parametrize(
    "settings",
    [{"concurrency": 0}, {"concurrency": 5000}, {"tries": 0}, {"timeout": 0}, {"backoff": -1}, {"scoring": "x"}],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises((ConfigError, UnknownNameError)):
        OpenAIBackend("m", "http://localhost:1", key_variable="", **settings)
    with pytest.raises(ConfigError, match="name the model"):
        OpenAIBackend(" ", "http://localhost:1", key_variable="")


def test_draws_come_in_one_call_where_the_server_gives_them(fault_server: Start) -> None:
    server = fault_server()
    answers = ask(backend_at(server.url), ["a", "b"], draws=8)
    assert ends(answers) == once_each(2, 8)
    assert [line["n"] for line in server.lines()] == [8, 8]
    assert all(a.usage == Usage(1, 100, 32) for a in answers)
    assert all(FIVE.parse(text) is not None for a in answers for text in a.texts)


@pytest.mark.parametrize(("offer", "wasted"), [("ignored", 0), ("refused", 1)])
def test_a_server_without_n_is_asked_singly_from_then_on(fault_server: Start, offer: str, wasted: int) -> None:
    server = fault_server("--n", offer)
    backend = backend_at(server.url, concurrency=1)
    assert ends(ask(backend, ["a", "b", "c"], draws=4)) == once_each(3, 4)
    assert [line["n"] for line in server.lines()] == [4, *[1] * (11 + wasted)]
    ask(backend, ["d"], draws=4)
    assert [line["n"] for line in server.lines()][-4:] == [1] * 4  # remembered


@pytest.mark.parametrize("told", ["few", "many", "doubled_choices"])
def test_a_wrong_number_of_choices_loses_and_doubles_nothing(fault_server: Start, told: str) -> None:
    server = fault_server()
    assert ends(ask(backend_at(server.url), [f"[[{told}*1]] a", f"[[{told}*1]] b"], draws=4)) == once_each(2, 4)


def test_the_name_of_the_limit_of_tokens_is_learned(fault_server: Start) -> None:
    server = fault_server("--refuse", "max_tokens")
    backend = backend_at(server.url, concurrency=1)
    assert ends(ask(backend, ["a", "b", "c"])) == once_each(3, 1)
    assert [line["status"] for line in server.lines()] == [400, 200, 200, 200]


@pytest.mark.parametrize(
    "told",
    [*PASSING, *(f"error_{code}" for code in (500, 502, 503, 504)), *(f"status_{code}" for code in (408, 409, 529))],
)
def test_what_passes_is_tried_again(fault_server: Start, told: str) -> None:
    server = fault_server("--hang", "1")
    (answer,) = ask(backend_at(server.url, timeout=0.5 if told == "hang" else 5), [f"[[{told}*2]]"])
    assert (answer.draws, answer.failure) == ((0,), "")
    assert answer.usage.calls == 3


def test_what_does_not_pass_is_a_failure_with_its_reason_and_the_others_go_on(fault_server: Start) -> None:
    server = fault_server()
    answers = ask(backend_at(server.url, tries=3), ["[[error_503]]", "a", "[[empty_choices]]", "[[reset]]"], draws=2)
    assert ends(answers) == once_each(4, 2)
    reasons = {a.prompt.problem_id: a.failure for a in answers if a.failure}
    assert reasons["p0"] == "status 503: overloaded; given up after 3 tries"
    assert reasons["p2"] == "the reply has no choices; given up after 3 tries"
    assert re.match(r"the connection .*; given up after 3 tries", reasons["p3"])
    assert set(reasons) == {"p0", "p2", "p3"}
    assert len([line for line in server.lines() if "503" in line["prompt"]]) == 3


def test_a_refused_prompt_fails_at_once_for_all_its_draws(fault_server: Start) -> None:
    server = fault_server()
    backend = backend_at(server.url, concurrency=1)
    answers = ask(backend, ["a", "[[status_400]]", "b"], draws=4)
    assert ends(answers) == once_each(3, 4)
    assert [a.failure for a in answers if a.failure] == ["status 400: as told"]
    assert len(server.lines()) == 3


@pytest.mark.parametrize("told", ["status_401", "status_403", "status_404", "redirect", "quota", "patience"])
def test_what_no_retry_mends_ends_the_run_at_once(fault_server: Start, told: str) -> None:
    server = fault_server("--latency", "0.02")
    answers: list[Answer] = []
    prompts = [Request(Prompt(f"p{i}", f"[[{told}]]" if i == 20 else "a"), (0,)) for i in range(500)]
    began = time.monotonic()
    with pytest.raises(ServerError):
        answers.extend(backend_at(server.url, concurrency=2).ask(prompts, Sampling()))
    assert time.monotonic() - began < 5
    assert 18 <= len(answers) <= 25  # what was there is handed on
    assert len(server.lines()) <= 25


def test_a_model_that_is_not_there_is_named_with_those_that_are(fault_server: Start) -> None:
    server = fault_server("--models", "llama3.2:3b,mm")
    with pytest.raises(UnknownNameError, match=r"unknown model 'm' in http://.*llama3\.2:3b, mm"):
        ask(backend_at(server.url), ["a"])


def test_no_server_is_said_before_long() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(NoServerError, match=f"no server answers at http://127.0.0.1:{port}/v1"):
        ask(backend_at(f"http://127.0.0.1:{port}"), ["a"] * 50)
    assert time.monotonic() - began < 5


def test_a_server_that_goes_away_ends_the_run_and_keeps_what_came(fault_server: Start) -> None:
    server = fault_server("--latency", "0.02")
    answers: list[Answer] = []

    def watch() -> Iterable[Answer]:
        for answer in backend_at(server.url, tries=3).ask(
            [Request(Prompt(f"p{i}", "a")) for i in range(2000)], Sampling()
        ):
            if len(answers) == 20:
                server.process.kill()
            yield answer

    with pytest.raises(NoServerError, match="Answers so far are kept"):
        answers.extend(watch())
    assert all(not a.failure for a in answers[:20])


@pytest.mark.parametrize(("told", "least"), [("limited_seconds*1", 1.0), ("limited_date*1", 0.0)])
def test_a_pause_that_the_server_asks_for_holds_for_all(fault_server: Start, told: str, least: float) -> None:
    server = fault_server("--latency", "0.01")
    ask(backend_at(server.url, concurrency=2), [f"[[{told}]]", *["a"] * 30])
    at = [line["at"] for line in server.lines()]
    paused = max(second - first for first, second in itertools.pairwise(at))
    assert least - 0.1 <= paused < 3


def test_requests_keep_to_their_number_a_minute(fault_server: Start) -> None:
    server = fault_server()
    answers = backend_at(server.url, requests_per_minute=5).ask(
        [Request(Prompt(f"p{i}", "a")) for i in range(9)], Sampling()
    )
    got = [next(answers) for _ in range(5)]
    time.sleep(0.3)
    answers.close()  # type: ignore[attr-defined]
    assert len(got) == len(server.lines()) == 5


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ("other_language", "Ich würde sagen: vier von fünf Punkten."),
        ("refusal", "I'm sorry, but I can't help with that."),
        ("control", "\x00\x1b[2J\x07Rating: \u202e3\ufffd"),
        ("not_utf8", "Rating: \ufffd\ufffd3"),
        ("empty_text", ""),
    ],
)
def test_whatever_an_llm_says_is_passed_on(fault_server: Start, told: str, text: str) -> None:
    (answer,) = ask(backend_at(fault_server().url), [f"[[{told}]]"])
    assert answer.texts == (text,)


def test_an_endless_answer_is_a_failure(fault_server: Start) -> None:
    backend = backend_at(fault_server().url)
    (long, endless) = sorted(ask(backend, ["[[long_text]]", "[[endless]]"]), key=lambda a: a.prompt.problem_id)
    assert "characters, more than the 200,000 allowed" in long.failure
    assert "goes on beyond" in endless.failure
    assert long.texts == endless.texts == ()


def test_usage_that_the_server_does_not_say_is_estimated(fault_server: Start) -> None:
    backend = backend_at(fault_server().url)
    (answer,) = ask(backend, ["[[no_usage]]"])
    assert answer.usage == Usage(1, 4 + 50, 5 + 1, 1)  # 12 bytes / 3 and the template; 9 bytes / 2 and the end
    assert backend.ledger.usage == answer.usage


SCALE = Prompt("s", "How? Answer with 1, 2, 3, 4 or 5.", answers=("1", "2", "3", "4", "5"))
OPTIONS = Prompt("o", "Which?", ("Tea", "Milk", "Water"), answers=("A", "B", "C"))


@pytest.mark.parametrize(
    ("options", "way"),
    [
        (("--ways", "systemone,decisions", "--logprobs", "20"), "systemone"),
        (("--ways", "decisions", "--logprobs", "20"), "decisions"),
        (("--logprobs", "20"), "logprobs"),
        (("--logprobs", "5"), "logprobs"),
        ((), ""),
    ],
)
def test_where_probabilities_are_from_is_found_out_once(
    fault_server: Start, options: tuple[str, ...], way: str
) -> None:
    server = fault_server(*options)
    backend = backend_at(server.url)
    assert (backend.scored_by, backend.scores) == (way, bool(way))
    probes = {path: len(server.lines(path)) for path in ("/v1/systemone", "/v1/decisions", "/v1/chat/completions")}
    assert backend.scores == bool(way)
    assert probes == {path: len(server.lines(path)) for path in probes}
    assert sum(probes.values()) <= 4
    assert backend.ledger.usage.calls == sum(probes.values())  # and they are accounted for


@pytest.mark.parametrize("way", ["systemone", "decisions"])
def test_a_decision_gives_the_share_of_each_answer(fault_server: Start, way: str) -> None:
    backend = backend_at(fault_server("--ways", way).url)
    answers = list(backend.ask([Request(SCALE), Request(OPTIONS)], Sampling(scores=True)))
    shares = {a.prompt.problem_id: a.shares for a in answers}
    assert shares["s"] == pytest.approx([i / 15 for i in range(1, 6)])
    assert shares["o"] == pytest.approx([1 / 6, 2 / 6, 3 / 6])
    assert all((a.draws, a.texts, a.unseen, a.failure) == ((), (), 0, "") for a in answers)


def test_first_tokens_give_the_share_of_each_answer(fault_server: Start) -> None:
    backend = backend_at(fault_server("--logprobs", "20").url)
    (answer,) = backend.ask([Request(SCALE)], Sampling(temperature=0.3, scores=True))
    assert answer.shares == pytest.approx([i / 15 for i in range(1, 6)])
    assert answer.unseen == pytest.approx(0)


def test_answers_that_are_not_listed_are_unseen(fault_server: Start) -> None:
    backend = backend_at(fault_server("--logprobs", "3").url)  # lists 5, 4 and 3: 12/15 of the probability
    (answer,) = backend.ask([Request(SCALE)], Sampling(scores=True))
    assert answer.shares == pytest.approx((0, 0, 3 / 12, 4 / 12, 5 / 12))
    assert answer.unseen == pytest.approx(3 / 15)


def test_scores_that_cannot_be_had_are_failures_or_an_error(fault_server: Start) -> None:
    backend = backend_at(fault_server("--logprobs", "20").url)
    letters = Prompt("l", "Which?", answers=("A", "B"))
    requests = [Request(letters), Request(Prompt("n", "Which?")), Request(Prompt("d", "?", answers=("1", "1")))]
    failures = {a.prompt.problem_id: a.failure for a in backend.ask(requests, Sampling(scores=True))}
    assert failures["l"] == "only 0% of the probability is on legal answers"
    assert failures["n"] == failures["d"] == "the prompt has no list of different answers to score"
    with pytest.raises(CrowdLLMError, match="gives no probabilities of answers for 'm'.*ask for samples"):
        list(backend_at(fault_server().url).ask([Request(SCALE)], Sampling(scores=True)))


def test_what_a_decision_declines_or_refuses_is_a_failure(fault_server: Start) -> None:
    many = tuple(f"o{i}" for i in range(30))
    backend = backend_at(fault_server("--ways", "systemone").url)
    (answer,) = backend.ask([Request(Prompt("p", "?", many, answers=many))], Sampling(scores=True))
    assert answer.failure.startswith("status 422: this model reads at most 26")
    backend = backend_at(fault_server("--ways", "decisions").url)
    (answer,) = backend.ask([Request(Prompt("p", "declined", answers=("1", "2")))], Sampling(scores=True))
    assert answer.failure == "the LLM declined to answer"


def test_the_way_can_be_chosen(fault_server: Start) -> None:
    server = fault_server("--ways", "systemone,decisions", "--logprobs", "20")
    assert backend_at(server.url, scoring="logprobs").scored_by == "logprobs"
    assert backend_at(server.url, scoring="decisions").scored_by == "decisions"
    assert len(server.lines("/v1/systemone")) == 0


def test_the_cost_limit_holds_whatever_is_under_way(fault_server: Start) -> None:
    server = fault_server("--latency", "0.01")
    # a call costs 100 * 1 + 4 * 10 = 140 millionths, and at most 1 * 51 + 8 * 10 = 131 are expected of the first
    backend = backend_at(server.url, price=Price(1.0, 10.0), max_cost=0.01)
    answers: list[Answer] = []
    requests = [Request(Prompt(f"p{i}", "a")) for i in range(500)]
    with pytest.raises(CostLimitError, match=r"limit of 0\.01 is reached"):
        answers.extend(backend.ask(requests, Sampling(max_tokens=8)))
    assert backend.ledger.cost is not None
    assert 0.0090 < backend.ledger.cost <= 0.01 + 8 * 9e-6  # the eight first calls cost 9 millionths more than expected
    assert len(answers) == backend.ledger.usage.calls == len(server.lines())
    with pytest.raises(CostLimitError):
        next(backend.ask(requests[:1], Sampling(max_tokens=8)))


def test_leaving_early_asks_no_more(fault_server: Start) -> None:
    server = fault_server("--latency", "0.02")
    answers = backend_at(server.url).ask([Request(Prompt(f"p{i}", "a")) for i in range(2000)], Sampling())
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    time.sleep(0.2)
    seen = len(server.lines())
    time.sleep(0.2)
    assert len(server.lines()) == seen < 40


def test_nothing_is_asked_before_the_first_answer_is_wanted(fault_server: Start) -> None:
    server = fault_server()
    backend_at(server.url).ask([Request(Prompt("p", "a"))], Sampling())
    assert list(backend_at(server.url).ask([], Sampling())) == []
    assert list(backend_at(server.url).ask([Request(Prompt("p", "a"), ())], Sampling())) == []
    assert server.lines() == []


def test_it_can_be_asked_from_several_threads(fault_server: Start) -> None:
    backend = backend_at(fault_server().url)
    found: list[list[Answer]] = []
    threads = [threading.Thread(target=lambda: found.append(ask(backend, ["a", "b"], 2))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [ends(answers) for answers in found] == [once_each(2, 2)] * 4


def survive(fault_server: Start, prompts: int, draws: int, seed: int) -> None:
    """Nearly a third of the calls go wrong in some way; every draw ends once, and no answered one is asked again."""
    server = fault_server("--faults", "0.3", "--hang", "3", "--seed", str(seed), "--seconds", "300")
    backend = backend_at(server.url, timeout=1.5, concurrency=32, tries=12)
    answers = ask(backend, [f"prompt {i}" for i in range(prompts)], draws)
    assert ends(answers) == once_each(prompts, draws)
    kinds: Counter[str] = Counter()
    for answer in answers:
        assert answer.failure or len(answer.texts) == len(answer.draws)
        for text in answer.texts:
            try:
                FIVE.parse(text)
                kinds["read"] += 1
            except UnparsableAnswerError:
                kinds["unparsable"] += 1
        kinds["failed"] += len(answer.draws) if answer.failure else 0
    assert sum(kinds.values()) == prompts * draws
    assert kinds["read"] > 0.8 * prompts * draws
    failures = [a.failure for a in answers if a.failure]
    assert all("200,000 allowed" in failure or "given up" in failure for failure in failures), failures
    lines = server.lines()
    faulty = [line for line in lines if line["fault"]]
    assert len(faulty) > 0.15 * len(lines)
    delivered = Counter(line["prompt"] for line in lines if line["choices"] and line["fault"] != "doubled_body")
    for i in range(prompts):  # a delivered reply is never asked for again: one for each draw, or one for all
        assert delivered[f"prompt {i}"] <= draws, f"prompt {i}"


def test_a_run_survives_every_fault(fault_server: Start) -> None:
    survive(fault_server, 150, 1, seed=1)
    survive(fault_server, 30, 4, seed=2)


@pytest.mark.slow
def test_two_thousand_calls_survive_every_fault(fault_server: Start) -> None:
    survive(fault_server, 2000, 1, seed=3)
