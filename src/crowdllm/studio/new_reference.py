"""The reference of a new problem: what a fitted model expects of it, typed in by a person or asked of an LLM once.

A model that was fitted with references needs one for every new problem, of the kind that it knows: distributions where
its sources gave distributions, single decisions where they gave decisions. One reference stands in for every source
that the model was fitted with; where that is not the same LLM, the page says so.

Shapes: K draws, D response width, M levels or options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.belief.items import Items
from crowdllm.data.problems import Problems
from crowdllm.data.tables import plain_number
from crowdllm.errors import ConfigError, CrowdLLMError, MismatchError
from crowdllm.reference import Reference, References
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import Array, ResponseType
from crowdllm.responses.ranking import Ranking

TYPED = "typed in"


@dataclass(frozen=True)
class Expected:
    """What a model expects. sources: their names. soft: which of them gave distributions (or several draws)."""

    sources: tuple[str, ...]
    soft: tuple[bool, ...]

    @property
    def needed(self) -> bool:
        return bool(self.sources)

    @property
    def mode(self) -> str:
        """How an LLM is best asked: for its estimate of a distribution, or for one decision."""
        return "distribution" if any(self.soft) else "decision"


@dataclass(frozen=True)
class NewReference:
    """What is known about one problem.

    by: who said so ("typed in", or the LLM's name). distribution_M: shares of levels or options; None for numbers,
    and where single decisions were given. values_KD: decisions; empty where a distribution was given. wording: the
    problem it was given for, so that a changed one is noticed. account: what the asking took, in words.
    """

    by: str
    wording: str
    distribution_M: tuple[float, ...] | None = None
    values_KD: tuple[tuple[float, ...], ...] = ()
    mode: str = ""
    account: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        return {
            "by": self.by,
            "wording": self.wording,
            "distribution": None if self.distribution_M is None else list(self.distribution_M),
            "values": [list(row) for row in self.values_KD],
            "mode": self.mode,
            "account": list(self.account),
        }

    @staticmethod
    def from_dict(state: Mapping[str, Any]) -> NewReference:
        given = state["distribution"]
        return NewReference(
            state["by"],
            state["wording"],
            None if given is None else tuple(given),
            tuple(tuple(row) for row in state["values"]),
            state["mode"],
            tuple(state["account"]),
        )


def expected(model: CrowdModel) -> Expected:
    """What kind of reference the model was fitted with, source by source."""
    names = model.items.reference_names
    soft = tuple(
        any(name.startswith((f"{source}:log share ", f"{source}:log relative share")) for name in names)
        for source in model.reference_sources
    )
    return Expected(model.reference_sources, soft)


def typed_shares(kind: ResponseType, options: Sequence[str], texts: Sequence[str]) -> tuple[float, ...]:
    """Shares from typed numbers, one per level or option, such as percentages; they are made to add up to 1.

    An empty field is 0. Raises ConfigError for what is no number, negative, or all nothing.
    """
    labels = kind.levels if isinstance(kind, Ordinal) else tuple(options)
    if len(texts) != len(labels):
        raise ConfigError(f"{len(texts)} numbers were given, and there are {len(labels)} answers: one for each")
    numbers = []
    for label, text in zip(labels, texts, strict=True):
        number = 0.0 if not text.strip() else plain_number(text.strip().rstrip("%").strip())
        if number is None or not np.isfinite(number) or number < 0:
            raise ConfigError(f"the share of {label!r} must be a number of at least 0, such as 25, not {text!r}")
        numbers.append(float(number))
    total = sum(numbers)
    if not total > 0:
        raise ConfigError("no share was given: at least one answer needs a number above 0")
    if abs(total - 100) > 1 and abs(total - 1) > 0.01:
        raise ConfigError(f"the shares add up to {total:g}, not to 100: look whether one is missing")
    return tuple(number / total for number in numbers)


def typed_values(kind: ResponseType, options: Sequence[str], text: str) -> tuple[tuple[float, ...], ...]:
    """One decision, or for numbers several separated by blanks or semicolons.

    Raises UnparsableAnswerError for what is no legal response, ConfigError for nothing at all.
    """
    parts = text.replace(";", " ").split() if kind.kind == "continuous" else [text.strip()]
    if not any(parts):
        raise ConfigError(f"nothing was typed; what is wanted is {kind.allowed(options)}")
    return tuple(tuple(float(x) for x in kind.read_cell(part, options)) for part in parts)


def of_elicited(reference: Reference, wording: str, by: str, account: Sequence[str] = ()) -> NewReference:
    """What an LLM said about one problem. Raises CrowdLLMError where nothing of it could be read."""
    given = reference.distribution_TM
    shares = None if given is None or np.isnan(given[0]).any() else tuple(float(share) for share in given[0])
    draws_KD = reference.values_TKD[0]
    read = draws_KD[~np.isnan(draws_KD).any(axis=1)]
    if shares is None and not len(read):
        said = reference.unread[0] if reference.unread else None
        what = f": {(said.again or said.text)[:200]!r}" if said is not None else ""
        failed = "the LLM could not be reached" if said is not None and said.outcome == "failed" else "no legal answer"
        raise CrowdLLMError(f"{failed}{what}; ask again, or type a reference in")
    return NewReference(
        by, wording, shares, tuple(tuple(map(float, row)) for row in read), reference.mode, tuple(account)
    )


def items_with_reference(model: CrowdModel, problems: Problems, given: NewReference | None) -> Items:
    """Features of one problem with its reference.

    Raises MismatchError where the model needs a reference and none is given, or one that does not fit the problem.
    """
    wanted = expected(model)
    if not wanted.needed:
        return model.make_items(problems, None)
    if given is None:
        raise MismatchError(
            f"the model was fitted with references ({', '.join(wanted.sources)}), so a new problem needs one: ask an "
            "LLM, or type one in"
        )
    kind, options = model.response_type, problems.options[0]
    sources = [
        _as_source(name, soft, given, kind, options, problems)
        for name, soft in zip(wanted.sources, wanted.soft, strict=True)
    ]
    return model.make_items(problems, References(tuple(sources)))


def _as_source(
    name: str, soft: bool, given: NewReference, kind: ResponseType, options: Sequence[str], problems: Problems
) -> Reference:
    width, summary = kind.width(len(options)), kind.summary_width(len(options))
    shares = None if given.distribution_M is None else np.array(given.distribution_M)
    values_KD = np.array(given.values_KD, dtype=float) if given.values_KD else np.zeros((0, width))
    if (shares is not None and len(shares) != summary) or (len(values_KD) and values_KD.shape[1] != width):
        raise MismatchError("the reference was given for other answers than this problem has: give it again")
    if kind.kind == "continuous":
        return Reference(name, given.mode or "samples", problems.ids, values_KD[None], None, asked=len(values_KD))
    if soft:
        known = kind.summarise(values_KD) if shares is None else shares
        nothing = np.full((1, 1, width), np.nan)
        return Reference(name, "distribution", problems.ids, nothing, known[None], asked=1)
    decision = values_KD[:1] if len(values_KD) else decision_from(kind, np.array(shares))[None]
    return Reference(name, "decision", problems.ids, decision[None], None, asked=1)


def decision_from(kind: ResponseType, shares_M: Array) -> Array:
    """(D,) the decision that stands for a distribution: the level nearest its mean, or the most liked options."""
    if isinstance(kind, Ordinal):
        points = np.array(kind.points)
        return np.array([float(np.abs(points - shares_M @ points).argmin())])
    order = np.argsort(-shares_M, kind="stable")
    if isinstance(kind, Ballot):
        picks = np.zeros(len(shares_M))
        picks[order[: min(kind.max_picks, len(order))]] = 1.0
        return picks
    if isinstance(kind, Points):
        units = kind.budget // kind.step
        whole = np.floor(shares_M * units)
        rest = np.argsort(-(shares_M * units - whole), kind="stable")[: int(units - whole.sum())]
        whole[rest] += 1
        return whole * kind.step
    if isinstance(kind, Ranking):
        ranks = np.zeros(len(shares_M))
        depth = min(kind.depth, len(order)) if kind.depth else len(order)
        ranks[order[:depth]] = np.arange(1, depth + 1)
        return ranks
    return np.array([float(shares_M.argmax())])
