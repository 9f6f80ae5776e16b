"""The terms in single precision, cut into tiles, and the rule by which tiles are decided quickly.

Everything per problem and per participant is computed once here; a tile only looks at parts of it.

Shapes: N participants, T problems, Z belief width, U utilities, P cut points or options, S possible sizes of a ballot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowdllm.responses.ballot import Ballot
from crowdllm.responses.options import mask_missing_array
from crowdllm.rng import Counters, Words, problem_keys
from crowdllm.simulation.exact import PURPOSE, Compact
from crowdllm.simulation.quick import (
    Bounds,
    PersonSide,
    ProblemSide,
    Single,
    Space,
    Tile,
    bounds,
    ordinal_tile,
    race_tile,
    slack,
)
from crowdllm.simulation.terms import GridTerms, PeopleTerms

LARGEST = 1e6
Array = NDArray[np.float64]
Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Rule:
    """How tiles are decided: bounds of the noise, the least and most picks (None for ordinal), words per response."""

    noise: Bounds
    sizes: tuple[int, int] | None
    words: int


def quick_rule(terms: GridTerms, people: PeopleTerms) -> Rule | None:
    """The rule for these terms; None where everything is left to the definition.

    That is so for types other than ordinal, choice and ballot, for numbers so large that single precision says little,
    and for problems on which the ballot cannot be cast, which the definition refuses.
    """
    kind = terms.response_type
    shift = float(terms.reach_Z @ people.reach_Z)
    if kind.kind not in ("ordinal", "choice", "ballot") or not shift + terms.reach < LARGEST:
        return None
    margin = slack(shift, terms.reach, len(terms.reach_Z))
    words = kind.noise_width(terms.options)
    if not isinstance(kind, Ballot):
        ordinal = kind.kind == "ordinal"
        return Rule(bounds("normal" if ordinal else "gumbel", margin), None if ordinal else (1, 1), words)
    if terms.count_T.min(initial=terms.options) < kind.min_picks:
        return None
    return Rule(bounds("gumbel", margin), (kind.min_picks, kind.max_picks), words)


@dataclass(frozen=True)
class Problems:
    """The problems' side of every tile, problems last."""

    keys: tuple[Words, Words]
    base_PT: Single
    loading_ZUT: Single
    size_ST: Words

    def side(self, where: slice | Positions) -> ProblemSide:
        """At these positions: an array of them, or a slice, which becomes an axis in front of the people's."""
        keys = _part(self.keys[0], where, -1), _part(self.keys[1], where, -1)
        base, loading, size = (_part(a, where, -1) for a in (self.base_PT, self.loading_ZUT, self.size_ST))
        return ProblemSide(keys, base, loading, size)


@dataclass(frozen=True)
class People:
    """The people's side of every tile, people last."""

    counters: Counters
    attitude_ZN: Single

    def side(self, where: slice | Positions) -> PersonSide:
        """At these positions: an array of them, or a slice, which becomes an axis behind the problems'."""
        c = self.counters
        high, product_high, product = (_part(a, where, -2) for a in (c.high, c.product_high, c.product))
        return PersonSide(Counters(high, product_high, product), _part(self.attitude_ZN, where, -2))


def _part(array: NDArray[Any], where: slice | Positions, new_axis: int) -> NDArray[Any]:
    """Columns at these positions (last axis); those of a slice with one more axis, at this place."""
    if isinstance(where, slice):
        return np.expand_dims(array[..., where], new_axis)
    return np.take(array, where, axis=-1)


def problems_side(terms: GridTerms, seed: int) -> Problems:
    """All that is computed once per problem."""
    base_PT, loading_ZUT, size_ST = problem_arrays(terms)
    return Problems(
        keys=problem_keys(seed, PURPOSE, terms.key_T),
        base_PT=np.ascontiguousarray(base_PT, dtype=np.float32),
        loading_ZUT=np.ascontiguousarray(loading_ZUT, dtype=np.float32),
        size_ST=np.ascontiguousarray(size_ST),
    )


def problem_arrays(terms: GridTerms) -> tuple[Array, Array, Words]:
    """(P, T) cut points or utilities, (Z, U, T) loadings, and (S, T) words from which on a ballot has one pick more."""
    kind, base_TP = terms.response_type, terms.base_TP
    size_TS = np.zeros((len(terms), 0), dtype=np.uint64)
    if isinstance(kind, Ballot):
        size_TS = first_words_above(kind.size_cuts(base_TP[:, terms.options :], terms.count_T))
    if kind.has_options:
        base_TP = mask_missing_array(base_TP[:, : terms.options], terms.count_T)
    else:
        base_TP = base_TP * terms.spread_T[:, None]
    loading_TUZ = terms.loadings_IZ[np.maximum(terms.item_TU, 0)]
    return base_TP.T, loading_TUZ.transpose(2, 1, 0), size_TS.T


def people_side(people: PeopleTerms) -> People:
    """All that is computed once per participant."""
    return People(Counters.of(people.key_N), np.ascontiguousarray(people.attitude_NZ.T, dtype=np.float32))


def decide_tile(tile: Tile, rule: Rule, space: Space, out_KB: Compact) -> NDArray[np.int64]:
    """Writes the compact responses of a tile, and returns where (in the flattened tile) they are not sure.

    out_KB: the tile's shape, behind an axis of picks for ballots.
    """
    if rule.sizes is None:
        unsure = ordinal_tile(tile, rule.noise, space, out_KB)
    else:
        picks_KB = out_KB if out_KB.ndim > len(tile.shape) else out_KB[None]
        unsure = race_tile(tile, rule.noise, space, rule.sizes, picks_KB)
    return np.flatnonzero(unsure)


def first_words_above(cut: Array) -> Words:
    """The first noise word whose uniform (word + 1/2) / 2**32 is above each cut; 2**32 where none is."""
    scaled = np.clip(cut, 0.0, 1.0) * 2.0**32
    whole = np.floor(scaled)
    return (whole + (scaled - whole >= 0.5)).astype(np.uint64)
