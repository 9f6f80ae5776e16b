"""The chat form of LLM servers: what is posted to /chat/completions, and what is read from the reply.

Everything in a reply is data from elsewhere: nothing in it is trusted to be there, or to be of its type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crowdllm.llm.http import PassingFault
from crowdllm.llm.protocol import Prompt, Sampling, Usage
from crowdllm.llm.usage import SCORE_TOKENS, text_tokens
from crowdllm.llm.whole_text import whole_text

PATH = "/chat/completions"
MOST_CHARACTERS = 200_000
"""Longer answers are failures: no answer to a problem needs as much."""
MOST_BYTES = 6 * MOST_CHARACTERS + 100_000
"""Read of a reply per answer: each character may be written as six bytes of JSON."""


@dataclass(frozen=True)
class Form:
    """How this server wants to be asked, as far as is known.

    tokens_field: the name of the limit of generated tokens. left_out: optional fields that it refused.
    """

    tokens_field: str = "max_tokens"
    left_out: frozenset[str] = frozenset()

    def after(self, reason: str, body: dict[str, Any]) -> Form | None:
        """The form to try after a refusal with this reason; None where it names nothing that could be changed."""
        if "max_completion_tokens" in reason and self.tokens_field in body and self.tokens_field == "max_tokens":
            return Form("max_completion_tokens", self.left_out)
        if "top_p" in reason and "top_p" in body:
            return Form(self.tokens_field, self.left_out | {"top_p"})
        return None


@dataclass(frozen=True)
class Choice:
    """One answer of a reply: its text, or why there is none."""

    text: str = ""
    failure: str = ""


def chat_body(model: str, prompt: Prompt, sampling: Sampling, draws: int, form: Form, top: int = 0) -> dict[str, Any]:
    """The request for so many draws; with `top`, for the first tokens' `top` likeliest alternatives instead.

    `top_p` is 1: some servers cut off unlikely answers by default, which would narrow the spread of draws. For
    alternatives the temperature is 1 too, whatever the sampling's: some servers apply it to the probabilities, some
    do not, and at 1 both give the model's own.
    """
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    body: dict[str, Any] = {
        "model": model,
        "messages": [*system, {"role": "user", "content": prompt.text}],
        "temperature": 1.0 if top else sampling.temperature,
        "top_p": 1.0,
        form.tokens_field: SCORE_TOKENS if top else sampling.max_tokens,
        "stream": False,
    }
    if draws > 1:
        body["n"] = draws
    if top:
        body |= {"logprobs": True, "top_logprobs": top}
    return {name: value for name, value in body.items() if name not in form.left_out}


def read_choices(reply: dict[str, Any], draws: int) -> list[Choice]:
    """At most `draws` answers of a reply; what is more than was asked for, or sent twice, is left.

    Raises PassingFault for a reply with no choice in it.
    """
    return [_read_choice(choice) for choice in _once_each(choice_dicts(reply))[:draws]]


def choice_dicts(reply: dict[str, Any]) -> list[dict[str, Any]]:
    choices = reply.get("choices")
    found = [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
    if not found:
        error = reply.get("error")
        said = f": {str(error)[:200]}" if error else ""
        raise PassingFault(f"the reply has no choices{said}", billed=True)
    return found


def _once_each(choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first choice of each index, since a server may send one twice; by place where they are not numbered.

    Whether texts agree says nothing: two draws may well be the same.
    """
    by_index: dict[object, dict[str, Any]] = {}
    for place, choice in enumerate(choices):
        number = choice.get("index")
        by_index.setdefault(number if isinstance(number, int) else f"place {place}", choice)
    return list(by_index.values())


def _read_choice(choice: dict[str, Any]) -> Choice:
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    text = _text(message.get("content"))
    if text is None:
        text = _text(message.get("refusal"))  # in the LLM's words, as its answer
    ended = choice.get("finish_reason")
    if not text and ended == "length":
        return Choice(
            failure="the LLM used up its tokens before it said anything (does it reason at length?): raise max_tokens"
        )
    if not text and ended == "content_filter":
        return Choice(failure="the server's content filter held the answer back")
    if text is None:
        return Choice(failure="the answer has no text")
    if len(text) > MOST_CHARACTERS:
        return Choice(failure=f"an answer of {len(text):,} characters, more than the {MOST_CHARACTERS:,} allowed")
    return Choice(whole_text(text))


def _text(content: object) -> str | None:
    """A message's text: a string, or a list of parts of which some have text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return None


def read_usage(reply: dict[str, Any], estimate: Usage) -> Usage:
    """What the server says that a call used; estimated where it does not say, or says nothing that can be true.

    Chat replies count prompt and completion tokens, decisions input and output tokens.
    """
    said = reply.get("usage")
    said = said if isinstance(said, dict) else {}
    prompt = _count(said.get("prompt_tokens", said.get("input_tokens")))
    completion = _count(said.get("completion_tokens", said.get("output_tokens")))
    if prompt and completion is not None:
        return Usage(1, prompt, completion)
    return Usage(1, prompt or estimate.prompt_tokens, min(_written_tokens(reply), estimate.completion_tokens), 1)


def _written_tokens(reply: dict[str, Any]) -> int:
    """An estimate of the tokens of all texts in a reply, rather high than low."""
    choices = reply.get("choices")
    messages = [c.get("message") for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []
    texts = [_text(message.get("content")) or "" for message in messages if isinstance(message, dict)]
    return sum(text_tokens(text, per_byte=0.5) + 1 for text in texts)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
