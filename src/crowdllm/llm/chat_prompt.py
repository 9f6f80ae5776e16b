"""Turn a system message and a user's text into a model's tokens: by its chat template, or as plain text without one.

The template is rendered with a generation prompt, without "thinking" where it knows that switch (`enable_thinking`;
the first token would otherwise never be an answer), and with a fixed date (26 July 2024, which Llama's templates fall
back to themselves) where it asks for today's, so that a prompt is the same tokens on every day. Where a template has
no system role, the system message stands at the head of the user's turn. Without a template the prompt is the system
message, an empty line, the text, and a line break.

Texts and answers pass `chat_text.neutral` with the tokenizer's own markers first. That it worked is then checked on
the tokens: `forged` compares how often each marker's token occurs with a harmless prompt of the same form.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from crowdllm.errors import ConfigError
from crowdllm.llm.chat_text import is_marker, neutral

_SYSTEM, _USER, _ANSWER = "probe of the system", "probe of the user", "probe of the answer"
_DAY = {"%d": "26", "%m": "07", "%b": "Jul", "%B": "July", "%Y": "2024", "%y": "24", "%a": "Fri", "%A": "Friday"}
_DAY_MACRO = (
    "{% macro strftime_now(format) %}{{ format"
    + "".join(
        f" | replace('{part}', '{value}')" for part, value in {**_DAY, "%H": "12", "%M": "00", "%S": "00"}.items()
    )
    + " }}{% endmacro %}"
)


@dataclass(frozen=True)
class ChatPrompt:
    """How one tokenizer's prompts are written; made by `chat_prompt`.

    template: the chat template, empty where there is none; system_role: whether it has a place for a system message.
    """

    tokenizer: Any
    template: str
    system_role: bool

    @cached_property
    def marker_ids(self) -> dict[int, str]:
        """Token -> text of the tokenizer's markers (see `chat_text.is_marker`)."""
        added = self.tokenizer.added_tokens_decoder
        return {int(i): token.content for i, token in added.items() if is_marker(token.content, token.special)}

    @cached_property
    def markers(self) -> frozenset[str]:
        return frozenset(self.marker_ids.values())

    def ids(self, system: str, text: str) -> list[int]:
        """The tokens of a prompt, from which the model answers."""
        return self._encode(self.written(neutral(system, self.markers), neutral(text, self.markers)))

    def answer_ids(self, answer: str) -> list[int]:
        """The tokens of an answer, encoded on its own."""
        return [int(i) for i in self._plain_ids(neutral(answer, self.markers))]

    def forged(self, ids: list[int], system: bool) -> list[str]:
        """The markers that occur in these tokens more or less often than in a harmless prompt; none, if all is well."""
        counts, due = self._count(ids), self._harmless[system]
        return sorted(self.marker_ids[i] for i in counts.keys() | due.keys() if counts[i] != due[i])

    @cached_property
    def _harmless(self) -> dict[bool, Counter[int]]:
        return {system: self._count(self.ids(_SYSTEM if system else "", _USER)) for system in (False, True)}

    def _count(self, ids: list[int]) -> Counter[int]:
        return Counter(i for i in ids if i in self.marker_ids)

    def written(self, system: str, text: str) -> str:
        """The prompt's text, markers of the template included."""
        if not self.template:
            return "\n\n".join(part for part in (system, text) if part) + "\n"
        if system and not self.system_role:
            system, text = "", f"{system}\n\n{text}"
        return render(self.tokenizer, self.template, system, text)

    def _encode(self, written: str) -> list[int]:
        ids = [int(i) for i in self._plain_ids(written)]
        return ids if self.template else [*self._first, *ids]

    def _plain_ids(self, text: str) -> list[int]:
        encoded: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return encoded

    @cached_property
    def _first(self) -> list[int]:
        """The token with which the tokenizer begins plain text, if it has one."""
        first = self.tokenizer("x", verbose=False)["input_ids"][:1]
        return [int(i) for i in first if i == self.tokenizer.bos_token_id]

    @cached_property
    def end_of_turn(self) -> list[int]:
        """The marker that the template writes after an answer; none without a template, or where it writes none."""
        if not self.template:
            return []
        written = render(self.tokenizer, self.template, "", _USER, _ANSWER)
        ids = self._plain_ids(written.rpartition(_ANSWER)[2])
        return [int(i) for i in ids if i in self.marker_ids][:1]


def chat_prompt(tokenizer: Any, model: str) -> ChatPrompt:
    """How prompts for this tokenizer are written.

    Raises ConfigError where it has a chat template that cannot be used.
    """
    if not tokenizer.chat_template:
        return ChatPrompt(tokenizer, template="", system_role=False)
    errors = _template_errors()
    trouble = "does not show what the user says"
    try:
        template = with_fixed_day(tokenizer.get_chat_template())
        shown = _USER in render(tokenizer, template, "", _USER)
    except errors as error:
        shown, template, trouble = False, "", f"cannot be used ({one_line(error)})"
    if not shown:
        raise ConfigError(
            f"the chat template of the model {model!r} {trouble}: mend chat_template.jinja (or chat_template in "
            "tokenizer_config.json) in its folder, or take it away to have plain text prompts"
        )
    try:
        both = render(tokenizer, template, _SYSTEM, _USER)
    except errors:
        both = ""
    return ChatPrompt(tokenizer, template, system_role=_SYSTEM in both and _USER in both)


def with_fixed_day(template: str) -> str:
    """The template with a macro in place of the function that tells today's date, if it calls that."""
    return _DAY_MACRO + template if "strftime_now" in template else template


def render(tokenizer: Any, template: str, system: str, text: str, answer: str = "") -> str:
    """The chat as the template writes it, up to where the answer begins; with an answer, the whole chat."""
    messages = [{"role": "system", "content": system}] if system else []
    messages += [{"role": "user", "content": text}]
    messages += [{"role": "assistant", "content": answer}] if answer else []
    written = tokenizer.apply_chat_template(
        messages, chat_template=template, tokenize=False, add_generation_prompt=not answer, enable_thinking=False
    )
    return str(written)


def _template_errors() -> tuple[type[Exception], ...]:
    from jinja2 import TemplateError

    return (TemplateError, ValueError, TypeError, KeyError, AttributeError, ImportError)


def one_line(error: BaseException) -> str:
    """An error's text in one line of at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__
