"""Items: the units that carry features. A scale has one item per problem, a type with options one per option.

Shapes: T problems, I items, U utilities per problem (1 or the most options), F features (references, then embedding).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.problems import Problems
from crowdllm.embedding import Embedder
from crowdllm.errors import MismatchError
from crowdllm.reference import References
from crowdllm.responses.protocol import ResponseType


@dataclass(frozen=True)
class Items:
    """What a model sees of T problems.

    item_TU: (T, U) position of each problem's items; -1 where a problem has fewer options than the most.
    x_IX: embedding of the item's text. reference_IF: reference features, with their names.
    keys: text that identifies an item across studies (problem id, problem text, option text).
    """

    problems: Problems
    item_TU: NDArray[np.int64]
    x_IX: NDArray[np.float32]
    reference_IF: NDArray[np.float64]
    reference_names: tuple[str, ...]
    decision_TY: NDArray[np.float64]
    keys: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def option_counts(self) -> NDArray[np.int64]:
        return self.problems.option_counts


def item_texts(problems: Problems, response_type: ResponseType) -> list[str]:
    """The text of each item: the problem's, or the option's preceded by its problem's where there are several."""
    if not response_type.has_options:
        return [str(text) for text in problems.texts]
    several = len(problems) > 1
    return [
        f"{text} {option}" if several else option
        for text, options in zip(problems.texts, problems.options, strict=True)
        for option in options
    ]


def make_items(
    problems: Problems, response_type: ResponseType, embedder: Embedder, references: References | None
) -> Items:
    """Embed the items and lay their reference features beside.

    Raises MismatchError where a type with options meets a problem without any.
    """
    counts = problems.option_counts
    if response_type.has_options:
        if (counts < 1).any():
            missing = problems.ids[int(np.argmin(counts))]
            raise MismatchError(f"problem {missing!r} has no options, which a {response_type.kind} needs")
        most = int(counts.max())
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        columns = np.arange(most)
        item_TU = np.where(columns < counts[:, None], first[:, None] + columns, -1)
    else:
        item_TU = np.arange(len(problems))[:, None]
    refs = (references or References(())).aligned(problems)
    features, names = refs.features(response_type, problems)
    width = int(counts.max(initial=0)) if response_type.has_options else 1
    decision = refs.decisions(response_type, width) if refs.sources else np.full((len(problems), width), np.nan)
    return Items(
        problems=problems,
        item_TU=item_TU,
        x_IX=embedder.embed(item_texts(problems, response_type)),
        reference_IF=features,
        reference_names=names,
        decision_TY=decision,
        keys=_keys(problems, response_type),
    )


def _keys(problems: Problems, response_type: ResponseType) -> tuple[str, ...]:
    if not response_type.has_options:
        return tuple(f"{i}\x1f{text}" for i, text in zip(problems.ids, problems.texts, strict=True))
    return tuple(
        f"{i}\x1f{text}\x1f{option}"
        for i, text, options in zip(problems.ids, problems.texts, problems.options, strict=True)
        for option in options
    )
