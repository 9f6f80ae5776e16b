"""`answers-catboost`: for each problem, gradient-boosted trees on a person's other answers and the profile.

One multiclass model per problem. Each training person enters three times, with a random number of the other answers
known and the rest missing (which trees handle as they are), so that one model serves any number of known answers. Depth
4, learning rate 0.1, and up to 300 trees: the number with the lowest loss on a fifth of the people, who are held out
for that. Fits 25 problems with 2,240 people (`bfi`) in about half a minute. Needs pip install 'crowdllm[baselines]'.

Shapes: N participants, T problems, G inputs, M levels or options, R pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.items import widest
from crowdllm.data.profiles import Profiles
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.methods.answers import AnswerInputs, AnswersSimulator
from crowdllm.methods.catboost import (
    DEPTH,
    LEARNING_RATE,
    PATIENCE,
    TREES,
    features_data,
    profile_features,
    require_catboost,
    varies,
)
from crowdllm.methods.protocol import Progress
from crowdllm.methods.shares import uniform_shares
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.reference import References
from crowdllm.responses.protocol import Array
from crowdllm.rng import generator, seed_words

MOST_PROBLEMS = 100
MASKINGS = 3
FEWEST_PEOPLE = 20
Index = NDArray[np.int64]


def fit(
    train: Study, references: References | None, embedding: str, seed: int, progress: Progress | None = None
) -> AnswersSimulator:
    """Raises MissingExtraError without the package, MismatchError as `AnswerInputs.of` or for over 100 problems."""
    require_catboost()
    inputs = AnswerInputs.of(train, "answers-catboost")
    count = len(train.problems)
    if count > MOST_PROBLEMS:
        raise MismatchError(
            f"the method 'answers-catboost' fits a model per problem: {count:,} are too many (at most "
            f"{MOST_PROBLEMS}); leave it out for this study"
        )
    levels = train.response_type.summary_width(widest(train.problems, train.response_type))
    answers_NG = inputs.encode(train.problems, train.responses, len(train.profiles))
    rng = generator(seed, "answers-catboost")
    held_N = rng.random(len(train.profiles)) < 0.2
    models: list[Any] = []
    for t in range(count):
        if progress:
            progress("fitting answers-catboost", t, count)
        answered = inputs.answered_T[t]
        models.append(_fit_problem(train, inputs, answers_NG, t, held_N, rng, seed) if answered else None)

    def predict(people: Profiles, given_NG: Array, participant_R: Index, problem_R: Index) -> Array:
        numeric, words = profile_features(people)
        shares = np.zeros((len(participant_R), levels))
        for t in np.unique(problem_R):
            rows = np.flatnonzero(problem_R == t)
            i = participant_R[rows]
            data = features_data(np.c_[numeric[i], _without(given_NG[i], inputs, t)], words[i])
            shares[rows] = models[t](data, levels)
        present = uniform_shares(train.problems.option_counts, levels)[problem_R] > 0
        kept = np.where(present, np.maximum(shares, 1e-3), 0.0)
        return np.asarray(kept / kept.sum(axis=1, keepdims=True))

    return AnswersSimulator(inputs, predict, ProfileGenerator.fit(train.profiles, train.relative_weights_N, seed))


def _without(given_NG: Array, inputs: AnswerInputs, t: int) -> Array:
    """The inputs without the answer to the problem itself."""
    return np.where(inputs.problem_G == t, np.nan, given_NG)


def _fit_problem(
    train: Study, inputs: AnswerInputs, answers_NG: Array, t: int, held_N: NDArray[np.bool_],
    rng: np.random.Generator, seed: int,
) -> Any:  # fmt: skip
    """A map from a table to (O, M) shares of this problem's levels."""
    catboost = require_catboost()
    mine = train.responses.take(train.responses.problem_R == t)
    level_R, person_R = mine.values_RD[:, 0].astype(np.int64), mine.participant_R
    kept_R = ~held_N[person_R]
    if (~kept_R).sum() < FEWEST_PEOPLE or not kept_R.any():
        kept_R = np.ones(len(person_R), dtype=bool)
    counts = np.bincount(level_R[kept_R])
    numeric, words = profile_features(train.profiles)

    def table(rows: Index) -> Any:
        known = rng.random((len(rows), len(train.problems))) < rng.random((len(rows), 1))
        given = np.where(known[:, inputs.problem_G], _without(answers_NG[rows], inputs, t), np.nan)
        return features_data(np.c_[numeric[rows], given], words[rows])

    person_O, level_O = np.tile(person_R[kept_R], MASKINGS), np.tile(level_R[kept_R], MASKINGS)
    data = table(person_O)
    if (counts > 0).sum() < 2 or not varies(data):
        share = counts / counts.sum()
        return lambda given, levels: np.tile(np.pad(share, (0, levels - len(share))), (given.get_object_count(), 1))
    settings: dict[str, Any] = {
        "loss_function": "MultiClass", "iterations": TREES, "depth": DEPTH, "learning_rate": LEARNING_RATE,
        "thread_count": 1, "verbose": False, "random_seed": seed_words(seed, f"answers-catboost:{t}") % 2**31,
        "allow_writing_files": False,
    }  # fmt: skip
    held_R = ~kept_R & (counts[np.minimum(level_R, len(counts) - 1)] > 0) & (level_R < len(counts))
    held = None
    if held_R.any():
        settings |= {"od_type": "Iter", "od_wait": PATIENCE, "use_best_model": True}
        held = catboost.Pool(table(np.tile(person_R[held_R], MASKINGS)), np.tile(level_R[held_R], MASKINGS))
    model = catboost.CatBoostClassifier(**settings).fit(catboost.Pool(data, level_O), eval_set=held)
    classes = np.asarray(model.classes_, dtype=np.int64)

    def shares(given: Any, levels: int) -> Array:
        out = np.zeros((given.get_object_count(), levels))
        out[:, classes] = model.predict_proba(catboost.Pool(given))
        return out

    return shares
