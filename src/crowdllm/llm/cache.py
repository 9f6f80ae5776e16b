"""A cache around any backend: what was once answered is never asked again, whatever stopped the run.

An answer is looked up by the LLM's identity, the sampling, the prompt (system message, text, listed answers) and the
number of the draw; not by server, problem id or study. It is committed to the file before it is handed on, by a backend
that has `ask_keeping` as soon as it came, however slow the one who asks is. Failures are not kept: the next run tries
them again. Two processes that miss the same answer at the same time may both ask for it; the first one's is kept, and
given by both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from crowdllm.llm.cache_exchange import export_cache, import_cache
from crowdllm.llm.cache_store import CacheError, Kept, Question, Store, question
from crowdllm.llm.protocol import Answer, Backend, Prompt, Request, Sampling, Usage
from crowdllm.llm.whole_text import whole_text

__all__ = ["CacheError", "CachedBackend", "export_cache", "import_cache"]


Keep = Callable[[Sequence[Answer]], list[Answer]]


@runtime_checkable
class KeepingBackend(Protocol):
    """A backend that hands answers to `keep` the moment it has them, and hands on what `keep` gives back."""

    def ask_keeping(self, requests: Sequence[Request], sampling: Sampling, keep: Keep) -> Iterator[Answer]: ...


@dataclass(frozen=True)
class _Missing:
    """What is left to be asked, and who waits for the answers: the first prompt that asks, and others worded alike."""

    requests: list[Request]
    waiting: dict[Prompt, list[Request]]
    questions: dict[Prompt, Question]


class CachedBackend:
    """A backend that asks another one for what its file does not hold.

    hits, misses: how many draws (or distributions) were found, and how many were asked for.

    Raises CacheError where the file cannot be used.
    """

    def __init__(self, backend: Backend, path: str | Path) -> None:
        self.backend, self.path = backend, Path(path)
        self.hits = self.misses = 0
        self._store = Store(path)

    @property
    def name(self) -> str:
        return self.backend.name

    @property
    def identity(self) -> str:
        return self.backend.identity

    @property
    def scores(self) -> bool:
        """Whether distributions are kept, or else whether the backend gives them."""
        return self._store.has_shares(self.identity) or self.backend.scores

    def missing(self, requests: Sequence[Request], sampling: Sampling) -> list[Request]:
        """What of these would have to be asked; without asking anything, nor counting hits."""
        return self._sort(requests, sampling, lambda _: None).requests

    def ask(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Answer]:
        found: list[Answer] = []
        missing = self._sort(requests, sampling, found.append)
        for answer in found:
            self.hits += _size(answer)
            yield answer
        self.misses += sum(1 if sampling.scores else len(request.draws) for request in missing.requests)
        if not missing.requests:
            return

        def keep(answers: Sequence[Answer]) -> list[Answer]:
            return self._keep(answers, missing.questions)

        if isinstance(self.backend, KeepingBackend):
            answers = self.backend.ask_keeping(missing.requests, sampling, keep)
        else:
            answers = (keep([answer])[0] for answer in self.backend.ask(missing.requests, sampling))
        try:
            for answer in answers:
                yield from _shared_out(answer, missing.waiting[answer.prompt], sampling.scores)
        finally:  # not only when nobody holds the iterator any more: threads may be asking
            close = getattr(answers, "close", None)
            if close:
                close()

    def close(self) -> None:
        """Close the file; answers that come later are lost."""
        self._store.close()

    def _sort(self, requests: Sequence[Request], sampling: Sampling, found: Callable[[Answer], None]) -> _Missing:
        """Hand what is kept to `found`; the rest is missing, each question once."""
        missing = _Missing([], {}, {})
        first: dict[str, int] = {}
        questions = [question(self.identity, sampling, request.prompt) for request in requests]
        held = self._store.get([asked.key for asked in questions])
        for request, asked in zip(requests, questions, strict=True):
            prompt, kept = request.prompt, held.get(asked.key, Kept())
            if sampling.scores:
                draws = () if kept.shares else request.draws
                if kept.shares:
                    found(Answer(prompt, (), (), kept.shares, kept.unseen))
            else:
                known = tuple(k for k in request.draws if k in kept.texts)
                draws = tuple(k for k in request.draws if k not in kept.texts)
                if known:
                    found(Answer(prompt, known, tuple(kept.texts[k] for k in known), kept.shares, kept.unseen))
            if not draws:
                continue
            if asked.key not in first:
                first[asked.key] = len(missing.requests)
                missing.requests.append(Request(prompt, draws))
                missing.questions[prompt] = asked
            asker = missing.requests[first[asked.key]]
            more = tuple(k for k in draws if k not in asker.draws)
            missing.requests[first[asked.key]] = replace(asker, draws=asker.draws + more)
            missing.waiting.setdefault(asker.prompt, []).append(Request(prompt, draws))
        return missing

    def _keep(self, answers: Sequence[Answer], questions: dict[Prompt, Question]) -> list[Answer]:
        """Commit answers, together; those in the file where somebody else was first. Failures pass."""
        places = [i for i, a in enumerate(answers) if not a.failure and (a.texts or a.shares)]
        entries = [(questions[answers[i].prompt], _kept(answers[i])) for i in places]
        out = list(answers)
        for i, kept in zip(places, self._store.put(entries) if entries else [], strict=True):
            texts = tuple(kept.texts[k] for k in out[i].draws)
            out[i] = replace(out[i], texts=texts, shares=kept.shares, unseen=kept.unseen)
        return out


def _kept(answer: Answer) -> Kept:
    texts = map(whole_text, answer.texts)
    return Kept(dict(zip(answer.draws, texts, strict=True)), answer.shares, answer.unseen)


def _size(answer: Answer) -> int:
    return len(answer.draws) or 1


def _shared_out(answer: Answer, waiting: Sequence[Request], scores: bool) -> Iterator[Answer]:
    """An answer for everybody who waits for it, each with the draws wanted; the first has what it cost."""
    usage = answer.usage
    for request in waiting:
        places = [i for i, k in enumerate(answer.draws) if k in request.draws]
        if places or scores or not answer.draws:
            draws = tuple(answer.draws[i] for i in places)
            texts = tuple(answer.texts[i] for i in places) if answer.texts else ()
            yield replace(answer, prompt=request.prompt, draws=draws, texts=texts, usage=usage)
            usage = Usage()
