"""`catboost`: gradient-boosted trees on problem features and profile, with CatBoost's own handling of categories.

Ordinal scales: one multiclass model, so that every level has its probability. Numbers: a regression, with normal
residuals as wide as those of held-out rows. Options: the share of each option (see `crowdllm.methods.individual`), by
cross-entropy.

Settings are fixed (depth 4, learning rate 0.1) but for the number of trees: the one, up to 300, with the lowest loss on
held-out training problems (people where there are fewer than 60 problems); the model is then fitted again on all rows.
At most 20,000 rows are used, of responses drawn at random. One thread, so that a fit repeats to the last bit;
`offensiveness` (10,400 training responses) takes about 15 seconds.

Needs the optional package: pip install 'crowdllm[baselines]'. For people some of whose answers are known there is
`answers-catboost`.

Shapes: I items, N participants, O rows, F item features, M levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.study import Study
from crowdllm.errors import MissingExtraError
from crowdllm.methods.individual import (
    IndividualSimulator,
    ItemFeatures,
    Rows,
    columns,
    individual_simulator,
    training_rows,
)
from crowdllm.methods.protocol import Progress
from crowdllm.reference import References
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import Array, ResponseType
from crowdllm.rng import seed_words

MOST_ROWS = 20_000
TREES, PATIENCE = 300, 30
DEPTH, LEARNING_RATE = 4, 0.1
FEWEST_HELD_OUT = 20
CHUNK = 50_000
Index = NDArray[np.int64]


def require_catboost() -> Any:
    """The package; raises MissingExtraError where it is not installed."""
    try:
        import catboost
    except ImportError:
        raise MissingExtraError("the method 'catboost'", "baselines") from None
    return catboost


def fit(
    train: Study, references: References | None, embedding: str, seed: int, progress: Progress | None = None
) -> IndividualSimulator:
    """Raises MissingExtraError without the package, MismatchError where nobody answered."""
    require_catboost()
    kind = train.response_type
    features = ItemFeatures.fit(train, references, embedding, seed)
    items = features.items(train.problems, references)
    rows = training_rows(train, items, MOST_ROWS, seed, "catboost")
    table = Table(columns(items), train.profiles)
    trees, spread = _choose(kind, rows, table, seed)
    model = boost(kind, table.pool(rows.item_O, rows.person_O), rows.target_O, trees, seed)

    def predict(item_IF: Array, people: Profiles, item_O: Index, person_O: Index) -> Array:
        given = Table(item_IF, people)
        parts = [
            model(given.pool(item_O[s : s + CHUNK], person_O[s : s + CHUNK])) for s in range(0, len(item_O), CHUNK)
        ]
        out = np.concatenate(parts) if parts else model(given.pool(item_O, person_O))
        return np.c_[out, np.full(len(out), np.log(spread))] if isinstance(kind, Continuous) else out

    return individual_simulator(train, features, predict, seed)


@dataclass(frozen=True)
class Table:
    """Item features and profiles, from which rows are put together."""

    item_IF: Array
    people: Profiles

    def pool(self, item_O: Index, person_O: Index) -> Any:
        """CatBoost's table of these rows: numbers, then categories as words."""
        numeric, words = profile_features(self.people)
        return features_data(np.c_[self.item_IF[item_O], numeric[person_O]], words[person_O])


def profile_features(people: Profiles) -> tuple[Array, NDArray[np.object_]]:
    """(N, .) numbers, with an ordinal column's level by its rank and NaN where missing; (N, .) categories as bytes."""
    numeric = [people.values_NC[:, c] for c, column in enumerate(people.columns) if column.kind != "categorical"]
    words = [
        _words(column, people.values_NC[:, c])
        for c, column in enumerate(people.columns)
        if column.kind == "categorical"
    ]
    count = len(people)
    return (
        np.stack(numeric, axis=1) if numeric else np.zeros((count, 0)),
        np.stack(words, axis=1) if words else np.zeros((count, 0), dtype=object),
    )


def _words(column: ProfileColumn, value_N: Array) -> NDArray[np.object_]:
    """Level numbers as bytes; a missing value is a level of its own."""
    names = np.array([str(m).encode() for m in range(len(column.levels))] + [b"missing"], dtype=object)
    return names[np.where(np.isnan(value_N), len(column.levels), value_N).astype(np.int64)]


def features_data(numeric: Array, words: NDArray[np.object_]) -> Any:
    """CatBoost's table; a column of zeros where there is nothing to tell rows apart by."""
    catboost = require_catboost()
    if numeric.shape[1] + words.shape[1] == 0:
        numeric = np.zeros((len(numeric), 1))
    return catboost.FeaturesData(
        num_feature_data=np.ascontiguousarray(numeric, dtype=np.float32) if numeric.shape[1] else None,
        cat_feature_data=words if words.shape[1] else None,
    )


def boost(kind: ResponseType, data: Any, target_O: Array, trees: int, seed: int) -> Any:
    """A fitted map from tables to (O, M) level shares, or (O, 1) numbers or shares of an option."""
    constant = len(np.unique(target_O)) == 1 or trees == 0 or not varies(data)
    if constant:
        return _constant(kind, target_O)
    model = _learner(kind, trees, seed).fit(_pool(data, kind, target_O))
    return lambda given: _output(kind, model, given)


def varies(data: Any) -> bool:
    """Whether any column of the table differs between its rows (CatBoost refuses tables where none does)."""
    numeric, words = data.num_feature_data, data.cat_feature_data
    same = True
    if numeric is not None and len(numeric):
        same = bool(((numeric == numeric[0]) | (np.isnan(numeric) & np.isnan(numeric[0]))).all())
    return not same or (words is not None and len(words) > 0 and bool((words != words[0]).any()))


def _constant(kind: ResponseType, target_O: Array) -> Any:
    if isinstance(kind, Ordinal):
        shares = np.bincount(target_O.astype(np.int64), minlength=len(kind.levels)) / len(target_O)
    else:
        shares = np.array([target_O.mean()])
    return lambda given: np.tile(shares, (given.get_object_count(), 1))


def _learner(kind: ResponseType, trees: int, seed: int, **more: Any) -> Any:
    catboost = require_catboost()
    shared = {
        "iterations": trees, "depth": DEPTH, "learning_rate": LEARNING_RATE, "thread_count": 1, "verbose": False,
        "random_seed": seed_words(seed, "catboost") % 2**31, "allow_writing_files": False,
    } | more  # fmt: skip
    if isinstance(kind, Ordinal):
        return catboost.CatBoostClassifier(loss_function="MultiClass", **shared)
    if isinstance(kind, Continuous):
        return catboost.CatBoostRegressor(loss_function="RMSE", **shared)
    return catboost.CatBoost({"loss_function": "CrossEntropy", **shared})


def _pool(data: Any, kind: ResponseType, target_O: Array) -> Any:
    labels = target_O.astype(np.int64) if isinstance(kind, Ordinal) else target_O
    return require_catboost().Pool(data, labels)


def _output(kind: ResponseType, model: Any, data: Any) -> Array:
    pool = require_catboost().Pool(data)
    if isinstance(kind, Ordinal):
        shares = np.zeros((data.get_object_count(), len(kind.levels)))
        shares[:, np.asarray(model.classes_, dtype=np.int64)] = model.predict_proba(pool)
        return shares
    if isinstance(kind, Continuous):
        return np.asarray(model.predict(pool), dtype=float)[:, None]
    return np.asarray(model.predict(pool, prediction_type="Probability"), dtype=float)[:, -1:]


def _choose(kind: ResponseType, rows: Rows, table: Table, seed: int) -> tuple[int, float]:
    """The number of trees with the lowest held-out loss, and the SD of the residuals there; 100 where few are held
    out."""
    kept, held = rows.take(~rows.held_O), rows.take(rows.held_O)
    few = len(held) < FEWEST_HELD_OUT or len(np.unique(kept.target_O)) < 2
    if few:
        return 100, max(float(rows.target_O.std()), 1e-6)
    if isinstance(kind, Ordinal):  # a level that nobody kept gave has no class to be scored by
        held = held.take(np.isin(held.target_O, kept.target_O))
    inside, outside = table.pool(kept.item_O, kept.person_O), table.pool(held.item_O, held.person_O)
    if not varies(inside):
        return 0, max(float(rows.target_O.std()), 1e-6)
    learner = _learner(kind, TREES, seed, od_type="Iter", od_wait=PATIENCE, use_best_model=True)
    learner.fit(_pool(inside, kind, kept.target_O), eval_set=_pool(outside, kind, held.target_O))
    residual = held.target_O - _output(kind, learner, outside)[:, 0] if isinstance(kind, Continuous) else np.ones(1)
    return int(learner.tree_count_), max(float(residual.std()), 1e-6)
