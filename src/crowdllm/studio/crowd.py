"""Ask a crowd one problem: recruit people of a choice, let them decide, count everybody and the subgroups.

Responses are counted, not kept, as in `crowdllm simulate --distribution-only`; they are the very responses that
`crowdllm.simulate` gives for the same model, people, seed and problem. Ten thousand people take a few hundredths of a
second, of which recruiting them is most; people of one choice are recruited once.

Shapes: N people, G groups, M levels, options or ranges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.belief.items import Items
from crowdllm.data.profiles import Profiles
from crowdllm.errors import ConfigError
from crowdllm.profiles.raking import Margins
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import Array, ResponseType
from crowdllm.simulation.blocks import decide_block
from crowdllm.simulation.grid import GridTerms, PeopleTerms, grid_terms, people_terms, values_of
from crowdllm.simulation.groups import Groups, subgroups
from crowdllm.simulation.summary import interval_quantiles
from crowdllm.simulation.tallies import INTERVALS, Tally, count_block, empty_tally, interval_span

MOST_PEOPLE = 200_000
RANGES = 20
"""A continuous scale's 100 counted intervals are shown five by five."""
UNITS = {
    "ordinal": "% of people",
    "choice": "% of people",
    "continuous": "% of people",
    "ballot": "% of people pick it",
    "points": "points on average",
    "ranking": "rank points on average",
}
"""What the numbers of a bar are; rank points: of k ranks the first gives k, the last 1, none 0."""


@dataclass(frozen=True)
class Who:
    """Who is asked: filters and target margins on profile columns, as `ProfileGenerator.recruit` takes them."""

    name: str = "everybody"
    where: Mapping[str, Sequence[str] | Sequence[tuple[float, float]]] = field(default_factory=dict)
    margins: Margins = field(default_factory=dict)


@dataclass(frozen=True)
class Crowd:
    """Recruited people; member_GN: who is in which group, everybody first."""

    people: Profiles
    terms: PeopleTerms
    groups: Groups
    member_GN: NDArray[np.bool_]
    seed: int

    def __len__(self) -> int:
        return len(self.people)


@dataclass(frozen=True)
class Answer:
    """How a crowd answers one problem.

    labels: of the M bars. value_GM: per group, in `unit`; NaN for a group of nobody. error_M: standard error of
    everybody's values, from the number of people alone. mean_G: mean answer on a scale, NaN for types with options.
    people_G: how many answered. quantile_5: at 5, 25, 50, 75 and 95 % on a continuous scale, else empty.
    """

    kind: str
    unit: str
    labels: tuple[str, ...]
    groups: tuple[tuple[str, str], ...]
    people_G: NDArray[np.int64]
    value_GM: Array
    error_M: Array
    mean_G: Array
    mean_error: float
    quantile_5: tuple[float, ...] = ()


def recruit_crowd(model: CrowdModel, people: int, seed: int = 0, who: Who | None = None) -> Crowd:
    """People of this choice; person k is the same however many are recruited.

    Raises ConfigError for a number out of range, a filter that nobody meets, and margins that cannot hold.
    """
    if not 1 <= people <= MOST_PEOPLE:
        raise ConfigError(f"between 1 and {MOST_PEOPLE:,} people can be asked here, not {people:,}")
    who = who or Who()
    recruits = model.generator.recruit(people, seed, margins=who.margins or None, where=who.where or None)
    groups = subgroups(model.generator)
    return Crowd(recruits, people_terms(model, recruits, seed), groups, groups.members(recruits), seed)


def ask_crowd(model: CrowdModel, items: Items, crowd: Crowd, position: int = 0) -> Answer:
    """The crowd's answer to one of the items' problems."""
    terms = grid_terms(model, items).take(slice(position, position + 1))
    return count_answers(model.response_type, terms, items.problems.options[position], crowd)


def count_answers(kind: ResponseType, terms: GridTerms, options: Sequence[str], crowd: Crowd) -> Answer:
    """Let everybody decide one problem, and count."""
    block = decide_block(terms, crowd.terms, crowd.seed, 1.0)
    tally = empty_tally(kind, terms.options, len(crowd.groups), 1)
    count_block(tally, kind, slice(0, 1), block, crowd.member_GN)
    people_G, counts_GW = tally.answers_GT[:, 0], tally.counts_GTW[:, 0]
    score_NM, means_G = np.zeros((0, 0)), np.full(len(people_G), np.nan)
    if isinstance(kind, Continuous):
        return _of_numbers(kind, tally, crowd.groups.names)
    share_GM = _per_person(counts_GW.astype(float), people_G)
    if kind.kind in ("points", "ranking"):
        score_NM = _scores(kind, values_of(terms, block.compact_NT[:, 0]))
        error_M = score_NM.std(axis=0) / np.sqrt(len(score_NM))
        value_GM = share_GM
    else:
        error_M = 100 * np.sqrt(share_GM[0] * (1 - share_GM[0]) / people_G[0])
        value_GM = 100 * share_GM
    mean_error = float("nan")
    if isinstance(kind, Ordinal):
        points_M = np.array(kind.points)
        means_G = share_GM @ points_M
        mean_error = float(np.sqrt(max(share_GM[0] @ points_M**2 - means_G[0] ** 2, 0.0) / people_G[0]))
    labels = kind.levels if isinstance(kind, Ordinal) else tuple(options)
    count = len(labels)
    return Answer(
        kind.kind, UNITS[kind.kind], labels, crowd.groups.names, people_G, value_GM[:, :count], error_M[:count],
        means_G, mean_error,
    )  # fmt: skip


def _of_numbers(kind: Continuous, tally: Tally, groups: tuple[tuple[str, str], ...]) -> Answer:
    people_G, counts_GW, sums_G = tally.answers_GT[:, 0], tally.counts_GTW[:, 0], tally.sums_GT[:, 0]
    low, high = interval_span(kind)
    inner_GM = counts_GW[:, 1:-1].reshape(len(people_G), RANGES, INTERVALS // RANGES).sum(axis=2)
    inner_GM[:, 0] += counts_GW[:, 0]
    inner_GM[:, -1] += counts_GW[:, -1]
    share_GM = _per_person(inner_GM.astype(float), people_G)
    edges = np.linspace(low, high, RANGES + 1)
    labels = [f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges)]
    labels[0] += "" if kind.low is not None else " or below"
    labels[-1] += "" if kind.high is not None else " or above"
    middle_W = np.concatenate([[low], low + (high - low) * (np.arange(INTERVALS) + 0.5) / INTERVALS, [high]])
    mean_G = _per_person(sums_G[:, None], people_G)[:, 0]
    share_W = counts_GW[0] / people_G[0]
    spread = float(np.sqrt(max(share_W @ middle_W**2 - (share_W @ middle_W) ** 2, 0.0)))
    quantiles = interval_quantiles(kind, counts_GW[:1], np.array([0.05, 0.25, 0.5, 0.75, 0.95]))[0]
    error_M = 100 * np.sqrt(share_GM[0] * (1 - share_GM[0]) / people_G[0])
    return Answer(
        kind.kind, UNITS[kind.kind], tuple(labels), groups, people_G, 100 * share_GM, error_M, mean_G,
        spread / float(np.sqrt(people_G[0])), tuple(float(q) for q in quantiles),
    )  # fmt: skip


def _per_person(total_GM: Array, people_G: NDArray[np.int64]) -> Array:
    out = np.full(total_GM.shape, np.nan)
    return np.divide(total_GM, people_G[:, None], out=out, where=people_G[:, None] > 0)


def _scores(kind: ResponseType, values_ND: Array) -> Array:
    """(N, M) what each response adds to its options' bars."""
    if kind.kind == "ranking":
        return np.where(values_ND > 0, values_ND.max(axis=1, keepdims=True) + 1 - values_ND, 0.0)
    return values_ND
