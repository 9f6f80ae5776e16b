"""A simulator that repeats whole training responses: legal by construction, with their exact joint distribution.

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
from crowdllm.responses.protocol import Array, ResponseType
from crowdllm.rng import stable_keys, uniforms


@dataclass(frozen=True)
class ResamplingSimulator:
    """For each problem a list of training responses to draw from.

    pools: rows of `values_PD` per key; the key of a problem is its id, or "" where one pool serves all.
    A problem without a pool gets NaN.
    """

    response_type: ResponseType
    values_PD: Array
    pools: dict[str, NDArray[np.int64]]
    generator: ClassVar[None] = None

    def _pool(self, problem_id: object) -> NDArray[np.int64]:
        empty = np.zeros(0, dtype=np.int64)
        return self.pools.get("", self.pools.get(f"id:{problem_id}", empty))

    def simulate(
        self, problems: Problems, references: References | None, crowd: Profiles,
        participant_R: NDArray[np.int64], problem_R: NDArray[np.int64], seed: int,
    ) -> Array:  # fmt: skip
        keys_T = stable_keys(problems.ids)
        noise = uniforms(seed, "resample", stable_keys(crowd.ids)[participant_R], keys_T[problem_R])[:, 0]
        values = np.full((len(problem_R), self.values_PD.shape[1]), np.nan)
        pools = [self._pool(i) for i in problems.ids]
        sizes = np.array([len(p) for p in pools])
        first = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        known = sizes[problem_R] > 0
        place = first[problem_R] + np.floor(noise * sizes[problem_R]).astype(np.int64)
        if known.any():
            values[known] = self.values_PD[np.concatenate(pools)[place[known]]]
        return values

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
            pool = self._pool(identity)
            if len(pool):
                shares[t] = self.response_type.summarise(self.values_PD[pool])
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
