"""A language model in this process: any causal model of the transformers library, on a GPU or the CPU.

Texts are sampled as described in `crowdllm.llm.draws`; with `Sampling.scores`, the probability of every legal answer is
computed exactly, as described in `crowdllm.llm.option_scores`. How prompts are written, and why no text can forge a
turn, stands in `crowdllm.llm.chat_prompt`. Needs `pip install 'crowdllm[local]'`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from crowdllm.errors import ConfigError
from crowdllm.llm.causal_lm import Prefilled, prefill
from crowdllm.llm.chat_prompt import one_line
from crowdllm.llm.draws import draw_noise, write_texts
from crowdllm.llm.local_model import DTYPES, LocalModel, Source, find_model, load_model, out_of_memory
from crowdllm.llm.option_scores import Tokens, plan, score_answers, shares
from crowdllm.llm.protocol import Answer, Request, Sampling, Usage
from crowdllm.llm.whole_text import whole_text


@dataclass(frozen=True)
class _Job:
    """A request in tokens: of its prompt, and of its answers where these are scored."""

    request: Request
    ids: Tokens
    answers: tuple[Tokens, ...] = ()


@dataclass(frozen=True)
class Ready:
    """A model that is in memory already, with the name and the identity that its answers carry."""

    name: str
    identity: str
    model: LocalModel


@dataclass(frozen=True)
class TransformersBackend:
    """A causal language model by its name on the Hugging Face Hub, or by the path of its folder.

    device: "auto" (GPUs where there are any, else the CPU), "cpu", "cuda", "cuda:1", "mps".
    dtype: "auto" (as the weights are stored), "float32", "float16" or "bfloat16".
    batch_size: prompts, or continuations of prompts, run at once; halved by itself where memory does not suffice.
    revision: a branch, tag or commit on the Hub.
    ready: answers instead of the model of this name, where one is given.

    The model is found when its name is first asked for, and loaded when it is first asked something. Both raise
    MissingExtraError without transformers, DataUnavailableError where there is no such model, and ConfigError for one
    that cannot be used.
    """

    model: str
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 8
    revision: str | None = None
    ready: Ready | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model.strip():
            raise ConfigError(f"model={self.model!r} names no model: give a name on the Hugging Face Hub or a folder")
        if self.dtype not in DTYPES:
            raise ConfigError(f"dtype={self.dtype!r} is none: choose from {', '.join(DTYPES)}")
        if isinstance(self.batch_size, bool) or not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise ConfigError(f"batch_size={self.batch_size!r} must be a whole number of at least 1")

    @cached_property
    def _source(self) -> Source:
        return find_model(self.model, self.revision)

    @cached_property
    def _loaded(self) -> LocalModel:
        return self.ready.model if self.ready else load_model(self._source, self.device, self.dtype)

    @property
    def name(self) -> str:
        """The name on the Hub, or that of the folder."""
        return self.ready.name if self.ready else self._source.name

    @property
    def identity(self) -> str:
        """Name and commit on the Hub; of a folder, its own name and a hash of its files (`local_model.folder_hash`).

        The precision is part of it where it was chosen; where the folder lies, and the device, are not.
        """
        if self.ready:
            return self.ready.identity
        source = self._source
        precision = "" if self.dtype == "auto" else f" in {self.dtype}"
        return f"transformers:{source.name}@{source.version}{precision}"

    @property
    def scores(self) -> bool:
        return True

    def ask(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Answer]:
        """Answers of whole requests, those with long prompts first.

        A request fails, and the others go on, where its prompt with its answer is longer than the model's context,
        where its text would forge a marker of the chat template, where its answers cannot be told apart, where the
        model's numbers are not finite, and where memory does not suffice for it alone.

        Scores are the model's own probabilities, at temperature 1 whatever the sampling's. Usage: one call per prompt;
        the prompt's tokens; of texts every token sampled, of scores those tokens of answers that had to be run.
        """
        if not np.isfinite(sampling.temperature) or sampling.temperature < 0:
            raise ConfigError(f"temperature={sampling.temperature!r} must be a number of at least 0")
        if sampling.max_tokens < 1:
            raise ConfigError(f"max_tokens={sampling.max_tokens!r} must be at least 1")
        jobs: list[_Job] = []
        for request in requests:
            if not (request.draws or sampling.scores):
                continue
            job = _job(self._loaded, request, sampling)
            if isinstance(job, Answer):
                yield job
            else:
                jobs.append(job)
        waiting = deque(sorted(jobs, key=lambda job: -len(job.ids)))
        size = self.batch_size
        while waiting:
            batch = [waiting.popleft() for _ in range(min(size, len(waiting)))]
            answers, error = self._try(batch, sampling, size)
            if error and size > 1:
                size //= 2
                waiting.extendleft(reversed(batch))
            else:
                yield from answers or [_failed(job.request, sampling, _no_memory(job, error)) for job in batch]

    def _try(self, batch: list[_Job], sampling: Sampling, size: int) -> tuple[list[Answer], str]:
        """The answers, or why memory did not suffice for them."""
        try:
            prefilled = prefill(self._loaded.lm, [job.ids for job in batch])
            if sampling.scores:
                return _scored(batch, prefilled, size), ""
            return self._written(batch, prefilled, sampling, size), ""
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            return [], one_line(error)

    def _written(self, batch: list[_Job], prefilled: Prefilled, sampling: Sampling, size: int) -> list[Answer]:
        """Texts for all draws of a batch; at temperature 0 they are the same, and written once."""
        model = self._loaded
        one = sampling.temperature == 0
        rows = [(b, k) for b, job in enumerate(batch) for k in (job.request.draws[:1] if one else job.request.draws)]
        prompts = [job.request.prompt for job in batch]
        keys = [whole_text(f"{prompts[b].system}\x1f{prompts[b].text}") for b, _ in rows]
        noise_RS = draw_noise(self.identity, keys, [k for _, k in rows], sampling.max_tokens)
        tokens: list[Tokens | None] = []
        for start in range(0, len(rows), size):
            some = slice(start, start + size)
            continued = [b for b, _ in rows[some]]
            tokens += write_texts(prefilled, continued, noise_RS[some], sampling.temperature, model.stop)
        answers = []
        for b, job in enumerate(batch):
            own = [text for (row, _), text in zip(rows, tokens, strict=True) if row == b]
            answers.append(_texts(model, job, own * (len(job.request.draws) if one else 1), own))
        return answers


def _job(model: LocalModel, request: Request, sampling: Sampling) -> _Job | Answer:
    """The request in tokens, or a failure that says why it cannot be asked."""
    prompt = request.prompt
    ids = tuple(model.prompt.ids(prompt.system, prompt.text))
    if forged := model.prompt.forged(list(ids), bool(prompt.system)):
        return _failed(request, sampling, f"the text would forge markers of the chat template: {', '.join(forged[:5])}")
    answers: tuple[Tokens, ...] = ()
    longest = sampling.max_tokens
    if sampling.scores:
        answers = tuple(tuple(model.prompt.answer_ids(answer)) for answer in prompt.answers)
        if wrong := _not_scorable(prompt.answers, answers):
            return _failed(request, sampling, wrong)
        longest = max(len(answer) for answer in answers) - 1
    if model.context and len(ids) + longest > model.context:
        return _failed(
            request,
            sampling,
            f"the prompt's {len(ids)} tokens and {longest} for the answer are more than the {model.context} "
            "of the model's context: shorten the text, or choose another model",
        )
    return _Job(request, ids, answers)


def _not_scorable(texts: Sequence[str], answers: tuple[Tokens, ...]) -> str:
    """Why these answers cannot be scored; empty if they can."""
    if not answers:
        return "the prompt lists no answers to score: ask for texts"
    if not all(answers):
        return "an empty answer cannot be scored"
    first: dict[Tokens, str] = {}
    for text, answer in zip(texts, answers, strict=True):
        if answer in first:
            return f"the answers {first[answer]!r} and {text!r} are the same tokens, and cannot be told apart"
        first[answer] = text
    return ""


def _scored(batch: list[_Job], prefilled: Prefilled, size: int) -> list[Answer]:
    answers = []
    begins = score_answers(prefilled, [job.answers for job in batch], size)
    for job, begins_M in zip(batch, begins, strict=True):
        run = sum(len(row) for row in plan(job.answers).rows)
        usage = Usage(calls=1, prompt_tokens=len(job.ids), completion_tokens=run)
        try:
            shares_M, unseen = shares(begins_M, job.answers)
        except ValueError as error:
            answers.append(Answer(job.request.prompt, (), failure=_not_finite(error), usage=usage))
            continue
        answers.append(Answer(job.request.prompt, (), shares=tuple(shares_M.tolist()), unseen=unseen, usage=usage))
    return answers


def _texts(model: LocalModel, job: _Job, tokens: Sequence[Tokens | None], run: Sequence[Tokens | None]) -> Answer:
    """One Answer with the texts of all draws; `run` are those that were really sampled."""
    request = job.request
    usage = Usage(calls=1, prompt_tokens=len(job.ids), completion_tokens=sum(len(text or ()) for text in run))
    written = [text for text in tokens if text is not None]
    if len(written) < len(tokens):
        return Answer(request.prompt, request.draws, failure=_not_finite("at a step of a text"), usage=usage)
    bodies = [text[:-1] if text[-1] in model.stop else text for text in written]
    texts = tuple(str(model.prompt.tokenizer.decode(body, skip_special_tokens=True)) for body in bodies)
    return Answer(request.prompt, request.draws, texts, usage=usage)


def _failed(request: Request, sampling: Sampling, why: str) -> Answer:
    return Answer(request.prompt, () if sampling.scores else request.draws, failure=why)


def _not_finite(where: object) -> str:
    return f"the model's numbers are no probabilities ({where}): choose dtype='float32' or 'bfloat16'"


def _no_memory(job: _Job, error: str) -> str:
    return (
        f"there is not enough memory for one prompt of {len(job.ids)} tokens ({error}): shorten it, or use "
        "another device"
    )
