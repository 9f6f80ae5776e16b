"""Items: the units that carry features. A scale has one item per problem, a type with options one per option.

Shapes: T problems, I items, U utilities per problem (1 or the most options), F features (references, then embedding).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.problems import Problems, widest
from crowdllm.embedding import Embedder
from crowdllm.errors import MismatchError
from crowdllm.reference import References
from crowdllm.responses.protocol import ResponseType


@dataclass(frozen=True)
class Items:
    """What a model sees of T problems.

    item_TU: (T, U) position of each problem's items; -1 where a problem has fewer options than the most (`widest`).
    x_IX: embedding of the item's text. length_I: log number of its words, centred at 20.
    reference_IF: reference features, with their names.
    keys: text that identifies an item across studies (problem id, problem text, option text).
    """

    problems: Problems
    item_TU: NDArray[np.int64]
    x_IX: NDArray[np.float32]
    reference_IF: NDArray[np.float64]
    reference_names: tuple[str, ...]
    decision_TY: NDArray[np.float64]
    length_I: NDArray[np.float64]
    keys: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def leaning_I(self) -> NDArray[np.float64]:
        """(I,) the references' mean answer in SDs of the scale (for options: share relative to an even one, less 1)."""
        columns = [c for c, name in enumerate(self.reference_names) if name.endswith((":mean", ":relative share"))]
        if not columns:
            return np.zeros(len(self))
        even = [1.0 if self.reference_names[c].endswith("share") else 0.0 for c in columns]
        return (self.reference_IF[:, columns] - even).mean(axis=1)

    @property
    def few_width(self) -> int:
        """How many of the first columns of `design` are few and strong: references, length, and their product."""
        return self.reference_IF.shape[1] + (2 if self.reference_names else 1)

    def design(self) -> NDArray[np.float64]:
        """(I, F) all features of an item: references, length, then the embedding, and their products with the leaning.

        The products let a text's features say how far the reference is to be believed, and in which direction it errs.
        """
        x, length = self.x_IX.astype(np.float64), self.length_I[:, None]
        if not self.reference_names:
            return np.c_[length, x]
        leaning = self.leaning_I[:, None]
        return np.c_[self.reference_IF, length, length * leaning, x, x * leaning]

    @property
    def option_counts(self) -> NDArray[np.int64]:
        return self.problems.option_counts


def item_texts(problems: Problems, response_type: ResponseType, several: bool | None = None) -> list[str]:
    """The text of each item: the problem's, or the option's preceded by its problem's where there are several.

    several: whether the model was fitted on several problems; in fitting None, for what is at hand.
    """
    if not response_type.has_options:
        return [str(text) for text in problems.texts]
    several = len(problems) > 1 if several is None else several
    return [
        f"{text} {option}" if several else option
        for text, options in zip(problems.texts, problems.options, strict=True)
        for option in options
    ]


def make_items(
    problems: Problems,
    response_type: ResponseType,
    embedder: Embedder,
    references: References | None,
    several: bool | None = None,
) -> Items:
    """Embed the items and lay their reference features beside; `several` as in `item_texts`.

    Raises MismatchError where a type with options meets a problem without any.
    """
    counts = problems.option_counts
    if response_type.has_options:
        if (counts < 1).any():
            missing = problems.ids[int(np.argmin(counts))]
            raise MismatchError(f"problem {missing!r} has no options, which a {response_type.kind} needs")
        most = widest(problems, response_type)
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        columns = np.arange(most)
        item_TU = np.where(columns < counts[:, None], first[:, None] + columns, -1)
    else:
        item_TU = np.arange(len(problems))[:, None]
    texts = item_texts(problems, response_type, several)
    refs = (references or References(())).aligned(problems)
    features, names = refs.features(response_type, problems)
    width = widest(problems, response_type) if response_type.has_options else 1
    decision = refs.decisions(response_type, width) if refs.sources else np.full((len(problems), width), np.nan)
    return Items(
        problems=problems,
        item_TU=item_TU,
        x_IX=embedder.embed(texts),
        reference_IF=features,
        reference_names=names,
        decision_TY=decision,
        length_I=np.array([np.log1p(len(text.split())) - np.log(21) for text in texts]),
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
