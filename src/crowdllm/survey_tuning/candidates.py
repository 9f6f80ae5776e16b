"""The possible answers to a problem: as they are typed, as numbers, and as responses.

Levels and options are all candidates. With `labels`, each is a single character, as in `references --mode options`
(`crowdllm.llm.prompts.option_scores`); with `typed`, or where one letter cannot tell them apart, a level is typed as it
stands in the data and an option as `#3`. Of numbers the candidates are those that people gave, thinned out to evenly
spaced quantiles where there are many: a number is typed as it is, in as many tokens as it takes, on its own scale.

Shapes: M candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.tables import number_text
from crowdllm.errors import MismatchError
from crowdllm.llm.prompts.option_scores import answer_labels, score_instructions
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType

ASKED = ("ordinal", "choice", "continuous")


@dataclass(frozen=True)
class Candidates:
    """M answers: what is typed, the response it stands for, and the number it counts as (empty for options)."""

    texts: tuple[str, ...]
    values: tuple[float, ...]
    points: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.texts)


def require_askable(response_type: ResponseType) -> None:
    """Raise MismatchError for responses whose possible answers cannot be listed one by one."""
    if response_type.kind not in ASKED:
        raise MismatchError(
            f"survey participants give answers that can be listed ({', '.join(ASKED)}), and these are "
            f"{response_type.kind} responses: use the methods crowdllm or catboost"
        )


def uses_labels(response_type: ResponseType, answer_form: str, options: Sequence[str] = ()) -> bool:
    """Whether answers are one character each."""
    count = len(response_type.levels) if isinstance(response_type, Ordinal) else len(options)
    return answer_form == "labels" and not isinstance(response_type, Continuous) and count <= len(ascii_uppercase)


def candidates(
    response_type: ResponseType, answer_form: str, options: Sequence[str] = (), numbers: Sequence[float] = ()
) -> Candidates:
    """The possible answers to a problem with these options. numbers: the candidates of a continuous response."""
    if isinstance(response_type, Ordinal):
        labels = uses_labels(response_type, answer_form)
        texts = answer_labels(response_type, ()) if labels else response_type.levels
        return Candidates(texts, tuple(map(float, range(len(texts)))), tuple(map(float, response_type.points)))
    if isinstance(response_type, Choice):
        labels = uses_labels(response_type, answer_form, options)
        texts = answer_labels(response_type, options) if labels else tuple(f"#{m + 1}" for m in range(len(options)))
        return Candidates(texts, tuple(map(float, range(len(texts)))), ())
    require_askable(response_type)
    found = tuple(sorted({float(n) for n in numbers}))
    return Candidates(tuple(number_text(n) for n in found), found, found)


def instructions(response_type: ResponseType, answer_form: str, options: Sequence[str] = ()) -> str:
    """How the answer is to be typed, with the scale or the options, in the words in which any other LLM is asked."""
    if uses_labels(response_type, answer_form, options):
        return score_instructions(response_type, options)
    return response_type.instructions(options)


def thinned(numbers: NDArray[np.float64], most: int) -> tuple[float, ...]:
    """At most `most` of the numbers given: all different ones, or those at evenly spaced quantiles, ends included."""
    different = np.unique(numbers)
    if len(different) > most:
        place = np.round(np.linspace(0, len(numbers) - 1, most)).astype(int)
        different = np.unique(np.sort(numbers)[place])
    return tuple(float(n) for n in different)
