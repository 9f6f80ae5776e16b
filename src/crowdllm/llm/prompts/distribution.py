"""The distribution prompt: how would a crowd with the study's profile mix spread over the answers? And its answer.

The LLM answers with one JSON object, a number per level or option (`{"1": 10, "2": 30, ...}`), or with the numbers in
their order (`[10, 30, ...]`). They must add up to 100 (or 1) within 2 %, none negative, every level named exactly once;
then they are normalised. For numbers without levels it is asked for nine quantiles, which must not fall.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.tables import number_text
from crowdllm.errors import UnparsableAnswerError
from crowdllm.llm.prompts.multi_persona import one_line
from crowdllm.llm.prompts.template import DEFAULTS, Template
from crowdllm.llm.prompts.zero_shot import fill_in
from crowdllm.llm.protocol import Prompt
from crowdllm.responses.answer_text import Pairs, answer_part, strict_json
from crowdllm.responses.options import positions
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import Array, ResponseType

QUANTILES = 9
TOLERANCE = 0.02
SHOWN_LEVELS = 12


def distribution_prompts(
    problems: Problems,
    response_type: ResponseType,
    people: Profiles | None = None,
    context: str = "",
    requirements: str = "",
    template: Template = DEFAULTS["distribution"],
) -> list[Prompt]:
    """One prompt per problem. people: whose mix of profiles is described; nobody's where None."""
    mix = {"mix": mix_in_words(people) if people is not None else ""}
    (prompts,) = fill_in(
        problems, template, context, requirements, lambda options: crowd_instructions(response_type, options), (mix,)
    )
    return prompts


def crowd_instructions(response_type: ResponseType, options: Sequence[str] = ()) -> str:
    """What is asked about the crowd, and the answer format, which ends the text."""
    question = f"{response_type.crowd_question(options)} Do not explain."
    if response_type.kind == "continuous":
        return f"{question}\nAnswer format: [{', '.join(['number'] * QUANTILES)}], from the lowest to the highest"
    members = ", ".join(f"{json.dumps(key, ensure_ascii=False)}: number" for key in _keys(response_type, options))
    return f"{question} The numbers add up to 100.\nAnswer format: {{{members}}}"


def _keys(response_type: ResponseType, options: Sequence[str]) -> tuple[str, ...]:
    if isinstance(response_type, Ordinal):
        return response_type.levels
    return tuple(f"#{i + 1}" for i in range(len(options)))


def mix_in_words(people: Profiles) -> str:
    """One line per profile column with the shares of its levels, in percent; quantiles of numbers."""
    lines = []
    for c, column in enumerate(people.columns):
        values = people.values_NC[:, c]
        if len(values):
            words = _numbers(values) if column.kind == "numeric" else _levels(column, values)
            lines.append(f"- {one_line(column.label or column.name)}: {words}")
    return "\n".join(["These are the people who answer:", *lines]) if lines else ""


def _levels(column: ProfileColumn, values_N: Array) -> str:
    counts = [int((values_N == m).sum()) for m in range(len(column.levels))]
    order = sorted(range(len(counts)), key=lambda m: -counts[m])[:SHOWN_LEVELS]
    shown = [m for m in range(len(counts)) if m in order and counts[m]]
    parts = [f"{one_line(column.levels[m])} {_percent(counts[m], len(values_N))}" for m in shown]
    others = sum(counts) - sum(counts[m] for m in shown)
    missing = int(np.isnan(values_N).sum())
    parts += [f"others {_percent(others, len(values_N))}"] if others else []
    parts += [f"not stated {_percent(missing, len(values_N))}"] if missing else []
    return ", ".join(parts)


def _numbers(values_N: Array) -> str:
    known = values_N[~np.isnan(values_N)]
    if not len(known):
        return "not stated"
    low, middle, high = np.quantile(known, [0.1, 0.5, 0.9], method="inverted_cdf").tolist()
    text = f"a tenth up to {number_text(low)}, half up to {number_text(middle)}, nine tenths up to {number_text(high)}"
    missing = len(values_N) - len(known)
    return text + (f", not stated {_percent(missing, len(values_N))}" if missing else "")


def _percent(count: int, of: int) -> str:
    percent = 100 * count / of
    return f"{percent:.0f} %" if percent >= 1 else "under 1 %"


def parse_distribution(text: str, response_type: ResponseType, options: Sequence[str] = ()) -> Array:
    """(M,) shares that add up to 1, one per level or option; for `continuous` (9,) quantiles.

    Raises UnparsableAnswerError for anything but one JSON object or array of the right form.
    """
    allowed = crowd_instructions(response_type, options).rpartition("\n")[2]
    try:
        value = strict_json(answer_part(text))
        if response_type.kind == "continuous":
            return _quantiles(value, response_type)
        return _shares(value, response_type, options)
    except ValueError as error:
        raise UnparsableAnswerError(text, f"{allowed} ({error})") from None


def _quantiles(value: Any, response_type: ResponseType) -> Array:
    if isinstance(value, Pairs) or not isinstance(value, list) or len(value) != QUANTILES:
        raise ValueError(f"not an array of {QUANTILES} numbers")
    quantiles = np.array([_number(entry) for entry in value])
    if not response_type.legal(quantiles[:, None], np.zeros(QUANTILES, dtype=np.int64)).all():
        raise ValueError("a number off the scale")
    if (np.diff(quantiles) < 0).any():
        raise ValueError("the numbers fall")
    return quantiles


def _shares(value: Any, response_type: ResponseType, options: Sequence[str]) -> Array:
    count = len(_keys(response_type, options))
    numbers = np.full(count, np.nan)
    if isinstance(value, Pairs):
        for key, number in value:
            place = _place(key, response_type, options)
            if not np.isnan(numbers[place]):
                raise ValueError(f"{key[:40]!r} comes twice")
            numbers[place] = _number(number)
    elif isinstance(value, list) and len(value) == count:
        numbers[:] = [_number(number) for number in value]
    if np.isnan(numbers).any():
        raise ValueError(f"not one number for each of the {count}")
    total = float(numbers.sum())
    if numbers.min() < 0 or not (abs(total - 1) <= TOLERANCE or abs(total - 100) <= 100 * TOLERANCE):
        raise ValueError(f"the numbers are negative, or add up to {total:g}")
    return numbers / total


def _place(key: str, response_type: ResponseType, options: Sequence[str]) -> int:
    try:
        if isinstance(response_type, Ordinal):
            return int(response_type.read_cell(key)[0])
        return positions([key], options, "")[0]
    except UnparsableAnswerError:
        raise ValueError(f"{key[:40]!r} is none of the answers") from None


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("not a number")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError("a number beyond any use") from None
    if not math.isfinite(number):
        raise ValueError("a number beyond any use")
    return number
