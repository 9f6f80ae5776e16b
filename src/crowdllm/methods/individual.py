"""Regression on single responses: what `svr` and `catboost` have in common.

A row is one response (to an option: one response and one option of it); it sees the problem's or option's features
(LLM references, then the text's embedding) and the person's profile, and its target is the response. So these
methods know who answers, but nothing ties one person's answers together beyond the profile.

Targets of options lie in 0..1: chosen or not (choice), picked or not (ballot), share of the budget (points), Borda
points over the most (ranking). A prediction per option, floored and made to add up to 1, is the person's distribution.

Shapes: T problems, N participants, R responses or pairs, O rows (R times options), F item features, V profile
width, M levels or options.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.items import Items, item_texts, make_items, widest
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.embedding import Embedder, fit_embedder
from crowdllm.errors import MismatchError
from crowdllm.evaluation.histograms import numbers
from crowdllm.methods.protocol import log_given
from crowdllm.methods.shares import extra_parameters, floored, shares_to_parameters
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.reference import References
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import Array, ResponseType, as_torch
from crowdllm.responses.ranking import Ranking
from crowdllm.rng import generator, stable_keys, uniforms

Index = NDArray[np.int64]
Predict = Callable[[Array, Profiles, Index, Index], Array]
"""(I, F) item features, people, (O,) item rows and (O,) people: (O, M) level shares of an ordinal scale, (O, 2)
location and log scale of a number, (O, 1) share of an option."""
SMALLEST_SHARE = 1e-3
PROBLEMS_TO_HOLD_OUT = 60
HELD_OUT = 0.2


@dataclass(frozen=True)
class ItemFeatures:
    """The map from problems (or options) to the numbers that a row sees of them."""

    response_type: ResponseType
    embedder: Embedder
    uses_references: bool
    several: bool

    @staticmethod
    def fit(train: Study, references: References | None, embedding: str, seed: int) -> ItemFeatures:
        embedder = fit_embedder(embedding, item_texts(train.problems, train.response_type), seed)
        given = references is not None and bool(references.sources)
        return ItemFeatures(train.response_type, embedder, given, len(train.problems) > 1)

    def items(self, problems: Problems, references: References | None) -> Items:
        """Raises MismatchError where it was fitted with references and there are none now."""
        if self.uses_references and references is None:
            raise MismatchError("the method was fitted with references: give the same ones for these problems")
        given = references if self.uses_references else None
        return make_items(problems, self.response_type, self.embedder, given, self.several)


def columns(items: Items) -> Array:
    """(I, F) references, then the embedding."""
    return np.c_[items.reference_IF, items.x_IX.astype(np.float64)]


@dataclass(frozen=True)
class Rows:
    """Training rows: which item, which person, which response they belong to, and the target.

    target_O: level position (ordinal), number (continuous), or share of the option in 0..1. held_O: the rows on which
    settings are chosen: a fifth of the problems, or of the people where there are fewer than 60 problems.
    """

    item_O: Index
    person_O: Index
    target_O: Array
    held_O: NDArray[np.bool_]

    def take(self, rows: Index | NDArray[np.bool_]) -> Rows:
        return Rows(self.item_O[rows], self.person_O[rows], self.target_O[rows], self.held_O[rows])

    def __len__(self) -> int:
        return len(self.item_O)


def training_rows(train: Study, items: Items, most: int, seed: int, method: str) -> Rows:
    """At most `most` rows, of responses drawn at random where there are more; all options of a response or none.

    Raises MismatchError where nobody answered.
    """
    responses = train.responses
    if not len(responses):
        raise MismatchError(f"the method {method!r} needs training responses, and there are none")
    limit = max(1, most // items.item_TU.shape[1])
    if len(responses) > limit:
        chosen = np.sort(generator(seed, f"{method}:rows").permutation(len(responses))[:limit])
        responses = responses.take(chosen)
    item_RU = items.item_TU[responses.problem_R]
    row_O, u_O = np.nonzero(item_RU >= 0)
    target_RU = targets(train.response_type, responses, item_RU.shape[1])
    problems = np.unique(responses.problem_R)
    unit_R = responses.problem_R if len(problems) >= PROBLEMS_TO_HOLD_OUT else responses.participant_R
    units = generator(seed, f"{method}:held-out").permutation(np.unique(unit_R))
    held_R = np.isin(unit_R, units[: round(HELD_OUT * len(units))])
    return Rows(item_RU[row_O, u_O], responses.participant_R[row_O], target_RU[row_O, u_O], held_R[row_O])


def targets(kind: ResponseType, responses: Responses, options: int) -> Array:
    """(R, U) level position, number, or share of each option in 0..1."""
    values_RD = responses.values_RD
    if isinstance(kind, Ordinal):
        return values_RD
    if isinstance(kind, Continuous):
        return numbers(responses, kind)[:, None]
    if kind.kind == "choice":
        return (values_RD == np.arange(options)).astype(float)
    if isinstance(kind, Ranking):
        depth_R1 = np.maximum(values_RD.max(axis=1, keepdims=True), 1)
        return np.where(values_RD > 0, (depth_R1 + 1 - values_RD) / depth_R1, 0.0)
    return values_RD / kind.budget if isinstance(kind, Points) else values_RD


@dataclass(frozen=True)
class IndividualSimulator:
    """A regression of single responses as a row of a comparison; see `Predict` for what it predicts."""

    response_type: ResponseType
    features: ItemFeatures
    predict: Predict
    extras: Array
    generator: ProfileGenerator

    def simulate(
        self, problems: Problems, references: References | None, crowd: Profiles,
        participant_R: Index, problem_R: Index, seed: int,
    ) -> Array:  # fmt: skip
        most = widest(problems, self.response_type)
        if not len(participant_R):
            return np.zeros((0, self.response_type.width(most)))
        predicted = self.distributions(problems, references, crowd, participant_R, problem_R)
        people, keys = stable_keys(crowd.ids)[participant_R], stable_keys(problems.ids)[problem_R]
        noise = uniforms(seed, "individual", people, keys, self.response_type.noise_width(most))
        params = predicted
        if not isinstance(self.response_type, Continuous):
            params = shares_to_parameters(self.response_type, predicted, self.extras)
        return self.response_type.sample(params, noise, problems.option_counts[problem_R])

    def distributions(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        participant_R: Index,
        problem_R: Index,
    ) -> Array:
        """(R, M) shares of the levels or options for each pair; (R, 2) location and log scale of numbers."""
        items = self.features.items(problems, references)
        item_RU = items.item_TU[problem_R]
        row_O, u_O = np.nonzero(item_RU >= 0)
        out_OM = self.predict(columns(items), people, item_RU[row_O, u_O], participant_R[row_O])
        if isinstance(self.response_type, Continuous):
            return out_OM
        if not self.response_type.has_options:
            return out_OM / out_OM.sum(axis=1, keepdims=True)
        shares_RM = np.zeros(item_RU.shape)
        shares_RM[row_O, u_O] = np.maximum(out_OM[:, 0], SMALLEST_SHARE)
        return shares_RM / shares_RM.sum(axis=1, keepdims=True)

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
        shares = self.distributions(problems, references, people, responses.participant_R, responses.problem_R)
        return floored(shares, problems.option_counts[responses.problem_R])

    def log_scores(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        if isinstance(self.response_type, Continuous):
            pairs = responses.participant_R, responses.problem_R
            params = as_torch(self.distributions(problems, references, people, *pairs))
            none = as_torch(np.zeros(len(responses))).long()
            return np.asarray(self.response_type.log_prob(params, as_torch(responses.values_RD), none).numpy())
        return log_given(self.level_probabilities(problems, references, people, responses, seed), responses)


def individual_simulator(train: Study, features: ItemFeatures, predict: Predict, seed: int) -> IndividualSimulator:
    """The simulator around a fitted prediction, with what does not depend on who and what: sizes and recruits."""
    kind = train.response_type
    extras = extra_parameters(kind, train.responses)
    return IndividualSimulator(
        kind, features, predict, extras, ProfileGenerator.fit(train.profiles, train.relative_weights_N, seed)
    )
