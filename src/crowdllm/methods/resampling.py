"""A simulator that repeats whole training responses: legal by construction, with their exact joint distribution.

A response means nothing for a problem with other options than those it was given to, which then has no answer. Ballots
are an exception where a problem has the training options and further ones behind them (the split by option): a ballot
with fewer picks than the rules ask for is filled up with further options, all equally likely.

Shapes: T problems, R pairs, D response width, M levels or options.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.items import widest
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.methods.protocol import log_given
from crowdllm.methods.shares import floored
from crowdllm.reference import References
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.protocol import Array, ResponseType
from crowdllm.rng import stable_keys, uniforms

NONE: NDArray[np.int64] = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class ResamplingSimulator:
    """For each problem a list of training responses to draw from.

    pools: rows of `values_PD` per key; the key of a problem is its id, or "" where one pool serves all.
    options: the options that the responses of each pool were given to, by the same keys.
    weight_P: the survey weight of each row, by which it is drawn; None where all have the same chance.
    A problem without a pool gets NaN.
    """

    response_type: ResponseType
    values_PD: Array
    pools: dict[str, NDArray[np.int64]]
    options: dict[str, tuple[str, ...]]
    weight_P: Array | None = None
    generator: ClassVar[None] = None

    def _pool(self, problem_id: object, options: tuple[str, ...]) -> NDArray[np.int64]:
        key = "" if "" in self.pools else f"id:{problem_id}"
        asked = self.options.get(key, ())
        further = isinstance(self.response_type, Ballot) and asked == options[: len(asked)]
        return self.pools.get(key, NONE) if asked == options or further else NONE

    def _new(self, problem_id: object, options: tuple[str, ...]) -> int:
        """How many options the problem has beyond those that the responses were given to."""
        return len(options) - len(self.options.get("" if "" in self.pools else f"id:{problem_id}", options))

    def simulate(
        self, problems: Problems, references: References | None, crowd: Profiles,
        participant_R: NDArray[np.int64], problem_R: NDArray[np.int64], seed: int,
    ) -> Array:  # fmt: skip
        keys_T = stable_keys(problems.ids)
        noise = uniforms(seed, "resample", stable_keys(crowd.ids)[participant_R], keys_T[problem_R])[:, 0]
        values = np.full((len(problem_R), self.values_PD.shape[1]), np.nan)
        pools = [self._pool(i, o) for i, o in zip(problems.ids, problems.options, strict=True)]
        sizes = np.array([len(p) for p in pools])
        first = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        known = sizes[problem_R] > 0
        if self.weight_P is None:
            place = first[problem_R] + np.floor(noise * sizes[problem_R]).astype(np.int64)
        else:
            place = _by_weight(self.weight_P[np.concatenate([NONE, *pools])], first, sizes, problem_R, noise)
        if known.any():
            values[known] = self.values_PD[np.concatenate(pools)[place[known]]]
        new_T = np.array([self._new(i, o) for i, o in zip(problems.ids, problems.options, strict=True)], dtype=np.int64)
        if not known.any() or not isinstance(self.response_type, Ballot) or not new_T.any():
            return values
        people, keys = stable_keys(crowd.ids)[participant_R], keys_T[problem_R]
        race = uniforms(seed, "resample:new", people, keys, values.shape[1])
        return _filled(values, race, problems.option_counts[problem_R], new_T[problem_R], self.response_type.min_picks)

    def _shares(self, pool: NDArray[np.int64], levels: int) -> Array:
        """(M,) shares of the levels or options in a pool."""
        if self.weight_P is None:
            return self.response_type.summarise(self.values_PD[pool])
        count_M = np.bincount(self.values_PD[pool, 0].astype(np.int64), self.weight_P[pool], minlength=levels)
        return np.asarray(count_M / count_M.sum())

    def level_probabilities(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        if self.response_type.kind not in ("ordinal", "choice"):
            return None
        levels = self.response_type.summary_width(widest(problems, self.response_type))
        shares = np.full((len(problems), levels), np.nan)
        for t, identity in enumerate(problems.ids):
            pool = self._pool(identity, problems.options[t])
            if len(pool):
                shares[t] = self._shares(pool, levels)
        return floored(shares, problems.option_counts)[responses.problem_R]

    def log_scores(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        return log_given(self.level_probabilities(problems, references, people, responses, seed), responses)


def _by_weight(
    weight_Q: Array, first_T: NDArray[np.int64], size_T: NDArray[np.int64], problem_R: NDArray[np.int64], noise_R: Array
) -> NDArray[np.int64]:
    """(R,) places among the pools laid end to end, each drawn in its problem's pool with a chance by its weight."""
    sum_Q = np.append(0.0, np.cumsum(weight_Q))
    low_T, high_T = sum_Q[first_T], sum_Q[first_T + size_T]
    at_R = low_T[problem_R] + noise_R * (high_T - low_T)[problem_R]
    place_R = np.searchsorted(sum_Q[1:], at_R, side="right")
    return np.clip(place_R, first_T[problem_R], np.maximum(first_T + size_T - 1, first_T)[problem_R])


def _filled(
    values_RM: Array, race_RM: Array, count_R: NDArray[np.int64], new_R: NDArray[np.int64], min_picks: int
) -> Array:
    """(R, M) ballots with at least `min_picks`, the lacking ones among the last `new_R` of each problem's options."""
    column_M = np.arange(values_RM.shape[1])
    last_RM = (column_M < count_R[:, None]) & (column_M >= (count_R - new_R)[:, None])
    rank_RM = np.argsort(np.argsort(np.where(last_RM, race_RM, np.inf), axis=1), axis=1)
    lacking_R1 = min_picks - values_RM.sum(axis=1, keepdims=True)
    return np.where(last_RM & (rank_RM < lacking_R1), 1.0, values_RM)
