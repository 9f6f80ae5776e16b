"""Prediction from a person's own known answers: what `answers-ridge` and `answers-catboost` have in common.

The plain methods that a digital twin has to beat. For each problem of the training part, the level (or option) that a
person gives is predicted from that person's answers to other problems and the profile. Without known answers the
profile alone is left. A problem that training people did not answer has no prediction.

An answer enters as its level's points (ordinal) or as one column per option (choice), NaN where it is not known.

Shapes: N participants, T training problems, G input columns, V profile width, M levels or options, R pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.belief.items import widest
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.methods.protocol import log_given
from crowdllm.methods.shares import floored, shares_to_parameters
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.reference import References
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import Array, ResponseType
from crowdllm.rng import stable_keys, uniforms

Index = NDArray[np.int64]
Predict = Callable[[Profiles, Array, Index, Index], Array]
"""People, their (N, G) inputs, (R,) people and (R,) training problems: (R, M) shares of the levels or options."""


@dataclass(frozen=True)
class AnswerInputs:
    """The columns that answers become.

    problem_G, level_G: the training problem of each column, and its option (-1 for scales). answered_T: whether any
    training person answered.
    """

    response_type: ResponseType
    problems: Problems
    problem_G: Index
    level_G: Index
    answered_T: NDArray[np.bool_]

    @staticmethod
    def of(train: Study, method: str) -> AnswerInputs:
        """Raises MismatchError for responses that have no levels or options, or where nobody answered."""
        if train.response_type.kind not in ("ordinal", "choice"):
            raise MismatchError(
                f"the method {method!r} needs ordinal or choice responses; these are {train.response_type.kind}"
            )
        if not len(train.responses):
            raise MismatchError(f"the method {method!r} needs training responses, and there are none")
        count = len(train.problems)
        answered = np.bincount(train.responses.problem_R, minlength=count) > 0
        if not train.response_type.has_options:
            return AnswerInputs(train.response_type, train.problems, np.arange(count), np.full(count, -1), answered)
        sizes = train.problems.option_counts
        level = np.concatenate([np.arange(m) for m in sizes])
        problem = np.repeat(np.arange(count), sizes)
        return AnswerInputs(train.response_type, train.problems, problem, level, answered)

    def positions(self, problems: Problems) -> Index:
        """Where each of these problems stands in training, -1 where it does not, unanswered, or with other options."""
        where = pd.Index(self.problems.ids, dtype=object).get_indexer(pd.Index(problems.ids, dtype=object))
        same = [
            bool(w >= 0 and self.answered_T[w] and self.problems.options[w] == options)
            for w, options in zip(where, problems.options, strict=True)
        ]
        return np.where(same, where, -1)

    def encode(self, problems: Problems, responses: Responses, people: int) -> Array:
        """(N, G) the answers as columns, NaN where there is none."""
        where_R = self.positions(problems)[responses.problem_R]
        seen = where_R >= 0
        level_NT = np.full((people, len(self.problems)), np.nan)
        level_NT[responses.participant_R[seen], where_R[seen]] = responses.values_RD[seen, 0]
        if isinstance(self.response_type, Ordinal):
            points = np.r_[np.asarray(self.response_type.points), np.nan]
            return points[np.where(np.isnan(level_NT), -1, level_NT).astype(np.int64)]
        given_NG = level_NT[:, self.problem_G]
        return np.where(np.isnan(given_NG), np.nan, given_NG == self.level_G)


@dataclass(frozen=True)
class AnswersSimulator:
    """Predictions from known answers as a row of a comparison.

    known_NG: inputs of the people in `known_ids`; None where no answers are known.
    """

    inputs: AnswerInputs
    predict: Predict
    generator: ProfileGenerator
    known_ids: NDArray[np.object_] | None = None
    known_NG: Array | None = None

    @property
    def response_type(self) -> ResponseType:
        return self.inputs.response_type

    def knowing(
        self, problems: Problems, references: References | None, people: Profiles, known: Responses, seed: int
    ) -> AnswersSimulator:
        """The same for exactly these people, given their answers `known`."""
        return replace(self, known_ids=people.ids, known_NG=self.inputs.encode(problems, known, len(people)))

    def _shares(self, problems: Problems, people: Profiles, participant_R: Index, problem_R: Index) -> Array:
        """(R, M) shares; rows of NaN for problems that are not those of the training part."""
        if self.known_ids is not None and list(self.known_ids) != list(people.ids):
            raise MismatchError("known answers are those of other people: pass the people they were given with")
        given = np.full((len(people), len(self.inputs.problem_G)), np.nan) if self.known_NG is None else self.known_NG
        levels = self.response_type.summary_width(widest(problems, self.response_type))
        where_R = self.inputs.positions(problems)[problem_R]
        shares = np.full((len(problem_R), levels), np.nan)
        seen = where_R >= 0
        if seen.any():
            shares[seen] = self.predict(people, given, participant_R[seen], where_R[seen])[:, :levels]
        return shares

    def simulate(
        self, problems: Problems, references: References | None, crowd: Profiles,
        participant_R: Index, problem_R: Index, seed: int,
    ) -> Array:  # fmt: skip
        shares = self._shares(problems, crowd, participant_R, problem_R)
        most = widest(problems, self.response_type)
        people, keys = stable_keys(crowd.ids)[participant_R], stable_keys(problems.ids)[problem_R]
        noise = uniforms(seed, "answers", people, keys, self.response_type.noise_width(most))
        values = np.full((len(problem_R), self.response_type.width(most)), np.nan)
        known = ~np.isnan(shares).any(axis=1)
        if known.any():
            params = shares_to_parameters(self.response_type, shares[known], np.zeros(0))
            values[known] = self.response_type.sample(params, noise[known], problems.option_counts[problem_R][known])
        return values

    def level_probabilities(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        shares = self._shares(problems, people, responses.participant_R, responses.problem_R)
        return floored(shares, problems.option_counts[responses.problem_R])

    def log_scores(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        return log_given(self.level_probabilities(problems, references, people, responses, seed), responses)
