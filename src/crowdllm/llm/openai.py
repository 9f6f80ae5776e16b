"""Any server that speaks OpenAI's chat form: OpenAI itself, vLLM, Ollama, llama.cpp, LM Studio, SGLang, gateways.

What a server offers is found out once and remembered for the backend's life: whether it gives several draws for one
call (`n`), what it calls its limit of tokens, and from where it gives probabilities of answers (`scoring`): a decision
form (see `decision_api`), or the first tokens' alternatives (see `first_tokens`). The key is read from the environment
and sent to `base_url` alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from crowdllm.errors import ConfigError, CrowdLLMError, UnknownNameError
from crowdllm.llm import chat_api, decision_api
from crowdllm.llm.calls import Call, Caller, Outcome
from crowdllm.llm.chat_api import Choice, Form
from crowdllm.llm.crew import Done, Job, Keep, Worker, run
from crowdllm.llm.first_tokens import Scored, read_positions, score
from crowdllm.llm.http import NoServerError, ServerError, open_server
from crowdllm.llm.limits import Pace
from crowdllm.llm.protocol import Answer, Prompt, Request, Sampling, Usage
from crowdllm.llm.secret import read_key
from crowdllm.llm.usage import Ledger, Price, add

if TYPE_CHECKING:
    import httpx2

OPENAI = "https://api.openai.com/v1"
SCORINGS = ("auto", "systemone", "decisions", "logprobs")
TOPS = (20, 5)
"""How many alternatives of a token are asked for: the most that OpenAI gives, and what smaller servers may."""
PROBE_TRIES = 2


@dataclass
class Learned:
    """What is known of the server so far. granted: the most draws that one call gave; singly: one draw per call."""

    granted: int = 1
    singly: bool = False
    form: Form = field(default_factory=Form)
    way: str = ""
    top: int = 0
    probed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class OpenAIBackend:
    """An LLM behind HTTP.

    base_url: up to and with /v1. concurrency: calls at the same time. timeout: seconds for one try; tries: for one
    call; backoff: seconds after the first fault. requests_per_minute, tokens_per_minute: limits to keep to, None for
    none. key_variable: the environment variable with the key; unset or "" where no key is needed. scoring: where the
    probabilities of answers are from, "auto" for the first of systemone, decisions, logprobs that the server offers.
    price, max_cost: of a million tokens, and what must not be spent beyond (see `usage`). ledger: the running totals.

    Raises ConfigError for settings out of range.
    """

    model: str
    base_url: str = OPENAI
    name: str = ""
    concurrency: int = 32
    timeout: float = 120.0
    tries: int = 8
    backoff: float = 1.0
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    key_variable: str = "OPENAI_API_KEY"
    scoring: str = "auto"
    price: Price | None = None
    max_cost: float | None = None
    ledger: Ledger = field(init=False, repr=False, compare=False)
    _learned: Learned = field(default_factory=Learned, init=False, repr=False, compare=False)
    _caller: Caller = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise ConfigError("name the model that the server should use")
        if not (1 <= self.concurrency <= 1024 and self.tries >= 1 and self.timeout > 0 and self.backoff >= 0):
            raise ConfigError("concurrency is 1 to 1024, tries at least 1, timeout above 0 and backoff at least 0")
        if self.scoring not in SCORINGS:
            raise UnknownNameError("scoring", self.scoring, SCORINGS)
        server = open_server(self.base_url, self.timeout, read_key(self.key_variable))
        pace = Pace(self.requests_per_minute, self.tokens_per_minute)
        object.__setattr__(self, "name", self.name or self.model)
        object.__setattr__(self, "ledger", Ledger(self.price, self.max_cost))
        object.__setattr__(self, "_caller", Caller(server, pace, self.ledger, self.tries, self.backoff))

    @property
    def identity(self) -> str:
        return f"openai:{self.model}"

    @property
    def scores(self) -> bool:
        """Whether it can give the probability of each legal answer; asks the server, once."""
        return bool(self.scored_by)

    @property
    def scored_by(self) -> str:
        """ "systemone", "decisions" or "logprobs"; "" where the server offers none of them. Asks the server, once."""
        with self._learned.lock:
            if not self._learned.probed:
                with self._caller.server.connect() as client:
                    self._probe(client)
                self._learned.probed = True
            return self._learned.way

    def ask(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Answer]:
        return self.ask_keeping(requests, sampling, list)

    def ask_keeping(self, requests: Sequence[Request], sampling: Sampling, keep: Keep) -> Iterator[Answer]:
        """Like `ask`; `keep` is called with answers as soon as they are there, and gives those to hand on.

        It is called in a thread of its own, and may be called for some time after the iterator was left, with answers
        that came later.
        """
        if sampling.scores and not self.scores:
            raise CrowdLLMError(
                f"the server at {self.base_url} gives no probabilities of answers for {self.model!r} (neither "
                "/systemone nor /decisions nor logprobs): ask for samples instead"
            )
        jobs = [Job((i, 0), request.prompt, request.draws) for i, request in enumerate(requests) if request.draws]
        size = min(self.concurrency, sum(1 if sampling.scores else len(job.draws) for job in jobs))
        stop = threading.Event()

        def open_worker() -> Worker:
            client = self._caller.server.connect()
            turn = Turn(self, client, sampling, stop)
            return Worker(turn.scores if sampling.scores else turn.texts, client.close)

        try:
            yield from run(jobs, open_worker, size, stop, keep)
        except ServerError as error:
            known = self._models() if error.status == 404 else []
            if known and self.model not in known:
                raise UnknownNameError("model", self.model, known, self.base_url) from None
            raise

    def _models(self) -> list[str]:
        with self._caller.server.connect() as client:
            return self._caller.server.models(client)

    def _probe(self, client: httpx2.Client) -> None:
        """Find out where probabilities are from, by a question that costs next to nothing."""
        turn = Turn(self, client, Sampling(scores=True), threading.Event())
        allowed = SCORINGS[1:] if self.scoring == "auto" else (self.scoring,)
        for way in allowed:
            if way == "logprobs":
                self._learned.top = next((top for top in TOPS if turn.lists_alternatives(top)), 0)
                self._learned.way = way if self._learned.top else ""
            elif turn.decides(way):
                self._learned.way = way
            if self._learned.way:
                return


@dataclass(frozen=True)
class Turn:
    """One thread's work for a backend: a client of its own, the rest is shared."""

    backend: OpenAIBackend
    client: httpx2.Client
    sampling: Sampling
    stop: threading.Event

    def texts(self, job: Job) -> Done:
        """Some or all of a job's draws, as texts."""
        learned = self.backend._learned
        now = job.draws[:1] if learned.singly else job.draws
        outcome = self._chat(job.prompt, len(now), self._read_choices(len(now)))
        if outcome.refused and len(now) > 1 and len(now) > learned.granted:
            alone = self._chat(job.prompt, 1, self._read_choices(1))  # is it the number of draws that it refuses?
            outcome = replace(alone, usage=add(outcome.usage, alone.usage))
            if not alone.refused:
                learned.singly, now = learned.singly or alone.value is not None, job.draws[:1]
        if outcome.value is None:
            failed = job.draws if outcome.refused else now
            left = job.draws[len(failed) :]
            return Done((_failed(job.prompt, failed, outcome),), _split(job, left))
        got = now[: len(outcome.value)]
        if len(got) < len(now):
            learned.singly = True
        learned.granted = max(learned.granted, len(got))
        return Done(_answers(job.prompt, got, outcome.value, outcome.usage), _split(job, job.draws[len(got) :]))

    def scores(self, job: Job) -> Done:
        """The share of each of the prompt's answers."""
        prompt, way = job.prompt, self.backend._learned.way
        if not prompt.answers or len(set(prompt.answers)) < len(prompt.answers):
            return Done((Answer(prompt, (), failure="the prompt has no list of different answers to score"),))
        outcome = self._alternatives(prompt) if way == "logprobs" else self._decision(way, prompt)
        if outcome.value is None:
            return Done((_failed(prompt, (), outcome),))
        found = outcome.value
        return Done((Answer(prompt, (), (), found.shares, found.unseen, found.failure, outcome.usage),))

    def decides(self, way: str) -> bool:
        try:
            outcome = self._decision(way, decision_api.PROBE, PROBE_TRIES)
        except NoServerError:
            raise
        except ServerError:  # no such path for this server, this model or this key; the chat form will tell
            return False
        return outcome.value is not None and not outcome.value.failure

    def lists_alternatives(self, top: int) -> bool:
        return bool(self._chat(decision_api.PROBE, 1, _read_listed, top).value)

    def _decision(self, way: str, prompt: Prompt, tries: int = 0) -> Outcome[Scored]:
        def read(reply: dict[str, Any]) -> Scored:
            found = decision_api.read_decision(way, reply, prompt)
            return Scored(failure=found) if isinstance(found, str) else Scored(found)

        body = decision_api.decision_body(way, self.backend.model, prompt)
        return self._call(decision_api.PATHS[way], body, prompt, 1, read, tries)

    def _alternatives(self, prompt: Prompt) -> Outcome[Scored]:
        return self._chat(prompt, 1, lambda reply: score(_positions(reply), prompt.answers), self.backend._learned.top)

    def _chat(self, prompt: Prompt, draws: int, read: Callable[[dict[str, Any]], Any], top: int = 0) -> Outcome[Any]:
        """A call in the chat form, in other words where the server refuses those of the first try."""
        learned, spent = self.backend._learned, Usage()
        while True:
            form = learned.form
            body = chat_api.chat_body(self.backend.model, prompt, self.sampling, draws, form, top)
            outcome = self._call(chat_api.PATH, body, prompt, draws, read)
            changed = form.after(outcome.failure, body) if outcome.refused else None
            if changed is None:
                return replace(outcome, usage=add(spent, outcome.usage)) if spent.calls else outcome
            learned.form, spent = changed, add(spent, outcome.usage)

    def _call(
        self,
        path: str,
        body: dict[str, Any],
        prompt: Prompt,
        draws: int,
        read: Callable[[dict[str, Any]], Any],
        tries: int = 0,
    ) -> Outcome[Any]:
        ledger = self.backend.ledger
        length = len((prompt.system + prompt.text).encode("utf-8", "replace"))
        estimate = ledger.estimate(prompt.system, prompt.text, draws, self.sampling)
        call = Call(path, body, estimate, length, draws * chat_api.MOST_BYTES, read, tries)
        return self.backend._caller.call(self.client, call, self.stop)

    def _read_choices(self, draws: int) -> Callable[[dict[str, Any]], list[Choice]]:
        key = self.backend._caller.server.key

        def read(reply: dict[str, Any]) -> list[Choice]:
            choices = chat_api.read_choices(reply, draws)
            return [replace(c, text=key.scrubbed(c.text)) for c in choices] if key else choices

        return read


def _answers(prompt: Prompt, draws: tuple[int, ...], choices: list[Choice], usage: Usage) -> tuple[Answer, ...]:
    """One Answer with the texts, and one for each reason why there is none; the first has the call's usage."""
    reasons = dict.fromkeys(choice.failure for choice in choices)  # "" for those that have a text
    answers: list[Answer] = []
    for reason in sorted(reasons):
        places = [i for i, choice in enumerate(choices) if choice.failure == reason]
        texts = () if reason else tuple(choices[i].text for i in places)
        spent = Usage() if answers else usage
        answers.append(Answer(prompt, tuple(draws[i] for i in places), texts, failure=reason, usage=spent))
    return tuple(answers)


def _failed(prompt: Prompt, draws: tuple[int, ...], outcome: Outcome[Any]) -> Answer:
    return Answer(prompt, draws, failure=outcome.failure, usage=outcome.usage)


def _split(job: Job, draws: tuple[int, ...]) -> tuple[Job, ...]:
    """What is left of a job, one draw each."""
    return tuple(Job((job.rank[0], k), job.prompt, (k,)) for k in draws)


def _positions(reply: dict[str, Any]) -> list[Any]:
    (first, *_) = chat_api.choice_dicts(reply)
    return read_positions(first.get("logprobs"))


def _read_listed(reply: dict[str, Any]) -> bool:
    positions = _positions(reply)
    return bool(positions) and len(positions[0].probabilities) > 1
