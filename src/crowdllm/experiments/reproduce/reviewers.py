"""The paper's protocol for product ratings: the simulated crowd are the very reviewers of the test product.

Each review is a person of its own, whose profile is the text written *with the rating that is to be predicted*; the
test product's crowd are the people who reviewed it. This leaks: a review says how many stars it goes with. The row
`review-text-ridge` measures by how much: a ridge regression of the rating on the review's text alone, without the
product, and `text_r2`, the share of the variance of held-out ratings that it explains.

What can be kept clean is: the texts of test reviews take no part in learning how texts become numbers.

Shapes: R responses (= people here), C profile columns, M levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.embedding import fit_embedder
from crowdllm.errors import MismatchError
from crowdllm.evaluation.histograms import histograms, mean_decisions
from crowdllm.evaluation.metrics import decision_metrics, histogram_metrics
from crowdllm.experiments.comparison import Comparison
from crowdllm.experiments.score import Score
from crowdllm.experiments.scores import SHAPES, score_people
from crowdllm.methods import get_method
from crowdllm.methods.protocol import Simulator, log_given
from crowdllm.reference import References
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import Array
from crowdllm.rng import stable_keys, uniforms

TEXT_RIDGE = "review-text-ridge"
WIDTH = 32
PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0)
SMALLEST = 1e-3


@dataclass(frozen=True)
class ReviewerSplit:
    """Train and test studies in which every person has one response and a profile from its text."""

    train: Study
    test: Study


def split_reviewers(
    study: Study, texts: tuple[str, ...], embedding: str, test_fraction: float, seed: int
) -> ReviewerSplit:
    """Hold out products with everybody who reviewed them.

    texts: (R,) in the order of the responses. Raises MismatchError where they are not one per response.
    """
    if len(texts) != len(study.responses):
        raise MismatchError(f"{len(texts)} review texts for {len(study.responses)} responses: pass one per response")
    count = len(study.responses)
    people = Profiles((), np.array([f"review-{r:07d}" for r in range(count)], dtype=object), np.zeros((count, 0)))
    answers = replace(study.responses, participant_R=np.arange(count))
    alone = replace(study, profiles=people, responses=answers, weights_N=study.responses.weight_R)
    split = alone.split("problem", test_fraction, seed)
    inside, outside = split.train.responses.participant_R, split.test.responses.participant_R
    train_RC, test_RC = _text_columns([texts[r] for r in inside], [texts[r] for r in outside], embedding, seed)
    return ReviewerSplit(_with_profiles(split.train, train_RC), _with_profiles(split.test, test_RC))


def _text_columns(train: list[str], test: list[str], embedding: str, seed: int) -> tuple[Array, Array]:
    """(R, C) leading principal components of the texts' embeddings; everything is learned on the training texts."""
    embedder = fit_embedder(embedding, train, seed)
    train_RX, test_RX = (embedder.embed(part).astype(np.float64) for part in (train, test))
    center_X = train_RX.mean(axis=0)
    _, scale, axes_CX = np.linalg.svd(train_RX - center_X, full_matrices=False)
    keep = axes_CX[: min(WIDTH, int((scale > 1e-6).sum()))]
    return (train_RX - center_X) @ keep.T, (test_RX - center_X) @ keep.T


def _with_profiles(part: Study, values_RC: Array) -> Study:
    """The people of the responses only, in their order, with these profiles."""
    columns = tuple(ProfileColumn(f"review_{c + 1}", "numeric") for c in range(values_RC.shape[1]))
    people = Profiles(columns, part.profiles.ids[part.responses.participant_R], values_RC)
    answers = replace(part.responses, participant_R=np.arange(len(part.responses)))
    return replace(part, profiles=people, responses=answers, weights_N=part.responses.weight_R)


def score_reviewers(
    study: Study, texts: tuple[str, ...], references: References | None, comparison: Comparison, method: str, seed: int
) -> Iterator[Score]:
    """The test products' own reviewers, simulated from their reviews, against what they really gave.

    Scores have crowd size 0: the crowd is as large as the number of reviewers. Raises MismatchError for responses
    that are no ratings on a scale, or a method that does not apply.
    """
    kind = study.response_type
    if not isinstance(kind, Ordinal):
        raise MismatchError(f"reviews go with ratings on a scale, not with {kind.kind} responses")
    split = split_reviewers(study, texts, comparison.embedding, comparison.test_fraction, seed)
    simulator: Simulator
    if method == TEXT_RIDGE:
        simulator = fit_text_ridge(split.train)
    else:
        simulator = get_method(method)(split.train, references, comparison.embedding, seed)
    test, count = split.test, len(split.test.problems)
    i, t = test.responses.participant_R, test.responses.problem_R
    values_RD = simulator.simulate(test.problems, references, test.profiles, i, t, seed)
    answered = np.asarray(~np.isnan(values_RD).any(axis=1))
    if not answered.any():
        raise MismatchError("it has no answer to any of the test problems")
    simulated = Responses(i, t, values_RD).take(answered)
    shapes = histogram_metrics(histograms(test.responses, kind, count), histograms(simulated, kind, count), kind)
    for metric in (*SHAPES, "problems"):
        yield Score(0, "", metric, float(getattr(shapes, metric)))
    errors = decision_metrics(mean_decisions(test.responses, kind, count), mean_decisions(simulated, kind, count))
    yield Score(0, "mean", "mae", errors.mae)
    yield Score(0, "mean", "rmse", errors.rmse)
    if method == TEXT_RIDGE:
        yield Score(0, "", "text_r2", explained(simulator, test, seed))
    yield from score_people(simulator, test, references, seed)


def explained(simulator: Simulator, test: Study, seed: int) -> float:
    """Share of the variance of the held-out ratings that the expected rating of each person explains."""
    kind = test.response_type
    assert isinstance(kind, Ordinal)
    shares_RM = simulator.level_probabilities(test.problems, None, test.profiles, test.responses, seed)
    assert shares_RM is not None
    points = np.asarray(kind.points)
    given_R = points[test.responses.values_RD[:, 0].astype(np.int64)]
    return float(1 - ((given_R - shares_RM @ points) ** 2).sum() / ((given_R - given_R.mean()) ** 2).sum())


@dataclass(frozen=True)
class TextRidge:
    """Level shares that are linear in a person's profile: it knows the review, and not the product."""

    weights_CM: Array
    base_M: Array
    generator: ClassVar[None] = None

    def shares(self, people: Profiles) -> Array:
        """(N, M) of each person; cut at 0.001 and normalised."""
        kept = np.maximum(people.values_NC @ self.weights_CM + self.base_M, SMALLEST)
        return np.asarray(kept / kept.sum(axis=1, keepdims=True))

    def simulate(
        self, problems: Problems, references: References | None, crowd: Profiles,
        participant_R: NDArray[np.int64], problem_R: NDArray[np.int64], seed: int,
    ) -> Array:  # fmt: skip
        keys = stable_keys(crowd.ids)[participant_R], stable_keys(problems.ids)[problem_R]
        noise_R1 = uniforms(seed, "text-ridge", *keys)[:, :1]
        below_RM = np.cumsum(self.shares(crowd)[participant_R], axis=1)[:, :-1]
        return (noise_R1 > below_RM).sum(axis=1)[:, None].astype(float)

    def level_probabilities(
        self, problems: Problems, references: References | None, people: Profiles, responses: Responses, seed: int
    ) -> Array | None:
        return self.shares(people)[responses.participant_R]

    def log_scores(
        self, problems: Problems, references: References | None, people: Profiles, responses: Responses, seed: int
    ) -> Array | None:
        return log_given(self.level_probabilities(problems, references, people, responses, seed), responses)


def fit_text_ridge(train: Study) -> TextRidge:
    """Ridge regression of the given level on the text's columns; the penalty by cross-validation over reviews."""
    from sklearn.linear_model import RidgeCV

    assert isinstance(train.response_type, Ordinal)
    level = train.responses.values_RD[:, 0].astype(np.int64)
    given_RM = np.eye(len(train.response_type.levels))[level]
    if not train.profiles.columns:
        return TextRidge(np.zeros((0, given_RM.shape[1])), given_RM.mean(axis=0))
    x_RC = train.profiles.values_NC[train.responses.participant_R]
    scale = float(x_RC.std()) or 1.0
    model = RidgeCV(alphas=PENALTIES).fit(x_RC / scale, given_RM)
    return TextRidge(np.asarray(model.coef_).T / scale, np.asarray(model.intercept_))
