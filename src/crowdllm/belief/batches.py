"""Responses as tensors: all of them at once where they are few, by groups of people where they are many.

A step on 200,000 responses moves the parameters as well as one on ten million: each has thousands of people in it. So
beyond `counted.MANY` the people are dealt at random into groups, whole persons to a group, and a step sees one group.
Memory is then that of a group; with fewer responses there is one group, which is everybody in their order.

Shapes: B responses of a batch, R in all, N people, U utilities, D response width, P parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, repeat

import numpy as np
import torch
from numpy.typing import NDArray

from crowdllm.belief.counted import MANY
from crowdllm.belief.items import Items
from crowdllm.belief.slopes import ByPerson
from crowdllm.data.responses import Responses
from crowdllm.rng import generator

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Responses with the item rows they refer to, and whose they are.

    people: (G,) positions of the batch's people among all; participant: (B,) positions among these. weights: (B,) how
    much each response counts, None where all count alike.
    """

    people: torch.Tensor
    participant: torch.Tensor
    problem: torch.Tensor
    item_BU: torch.Tensor
    values: torch.Tensor
    counts: torch.Tensor
    by_person: ByPerson
    weights: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.problem)

    @staticmethod
    def of(responses: Responses, items: Items, people: Index) -> Batch:
        """people: rising, and among them everybody who gave one of these responses."""
        problem = torch.from_numpy(np.asarray(responses.problem_R, dtype=np.int64))
        participant = torch.from_numpy(np.searchsorted(people, responses.participant_R))
        item_BU = torch.from_numpy(items.item_TU)[problem]
        return Batch(
            torch.from_numpy(people),
            participant,
            problem,
            item_BU,
            torch.from_numpy(responses.values_RD),
            torch.from_numpy(items.option_counts)[problem],
            ByPerson.of(participant, item_BU[:, 0], len(people)),
            None if responses.weight_R is None else torch.from_numpy(responses.weight_R),
        )

    def total(self, number_B: torch.Tensor) -> torch.Tensor:
        """() sum of one number per response, by weight where there are weights."""
        return number_B.sum() if self.weights is None else (number_B * self.weights).sum()

    def mean(self, number_B: torch.Tensor) -> float:
        """The mean of one number per response, by weight where there are weights."""
        return float(number_B.mean() if self.weights is None else self.total(number_B) / self.weights.sum())

    @property
    def amount(self) -> float:
        """How many responses these count as."""
        return float(len(self) if self.weights is None else self.weights.sum())


@dataclass(frozen=True)
class Groups:
    """Which rows and people are seen together. Rows that were not dealt out are in no group."""

    responses: Responses
    items: Items
    rows: tuple[Index, ...]
    people: tuple[Index, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @staticmethod
    def of(responses: Responses, items: Items, rows: Index, people: int, each: int, seed: int) -> Groups:
        """Deal these rows out, people in random order; one group of all `people` where the rows are few.

        each: the `burden` of a response.
        """
        most = max(1, MANY // each)
        if len(rows) <= most:
            return Groups(responses, items, (rows,), (np.arange(people),))
        participant = responses.participant_R[rows]
        answers_N = np.bincount(participant, minlength=people)
        order = generator(seed, "belief:groups").permutation(np.flatnonzero(answers_N))
        groups = -(-len(rows) // most)
        group_N = np.zeros(people, dtype=np.int16 if groups < 2**15 else np.int64)  # the short ones sort fast
        group_N[order] = (np.cumsum(answers_N[order]) - 1) * groups // len(rows)
        group_R = group_N[participant]
        by_group = rows[np.argsort(group_R, kind="stable")]
        cuts = np.cumsum(np.bincount(group_R, minlength=groups))[:-1]
        members = [np.sort(order[group_N[order] == g]) for g in range(groups)]
        parts = [(part, who) for part, who in zip(np.split(by_group, cuts), members, strict=True) if len(part)]
        return Groups(responses, items, tuple(part for part, _ in parts), tuple(who for _, who in parts))

    def batch(self, g: int) -> Batch:
        """Group g, counted round and round."""
        g %= len(self)
        return Batch.of(self.responses.take(self.rows[g]), self.items, self.people[g])

    def also(self, g: int, rows: Index) -> Batch:
        """Those of these other rows that group g's people gave."""
        own = np.zeros(int(max(self.people[g].max(initial=0), self.responses.participant_R.max(initial=0))) + 1, bool)
        own[self.people[g]] = True
        chosen = rows[own[self.responses.participant_R[rows]]]
        return Batch.of(self.responses.take(chosen), self.items, self.people[g])

    def batches(self) -> Iterator[Batch]:
        """Group after group, without end; a group that is alone is made once."""
        if len(self) == 1:
            yield from repeat(self.batch(0))
        for g in count():
            yield self.batch(g)
