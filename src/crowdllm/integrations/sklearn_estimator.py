"""CrowdLLM as scikit-learn estimators: `CrowdRegressor` and `CrowdClassifier`, over rows of (problem, profile).

    X: one row per response: a column that names the problem, one that names the participant, profile columns
    y: the responses, one per row

`fit` makes a study of the rows and fits a method on it; `predict` says what people of these profiles answer to these
problems, of which some may be new: their text (the problem column itself, or `texts`) and their references tell.
`predict_proba` (classifier) and `predict_quantiles` (regressor) give the whole distribution, `sample` single answers.
A prediction depends on its own row alone. A pipeline, a grid search or a cross-validation takes them as any estimator;
`GroupKFold` on the problem column holds out problems.

Shapes: R rows, T problems, M levels or classes, J draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.data.tables import number_text
from crowdllm.integrations.estimator_rows import (
    ColumnName,
    Layout,
    Rows,
    RowsError,
    person_weights,
    read_layout,
    read_rows,
)
from crowdllm.methods import get_method
from crowdllm.methods.protocol import Simulator
from crowdllm.reference import References
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType

Array = NDArray[np.float64]
Profile = Mapping[str, Mapping[str, Any]] | None
MOST_LEVELS, PAIRS = 50, 1 << 17


@dataclass(frozen=True)
class Fitted:
    """What a fit leaves: the layout of the table, the scale, the options of every problem, and the method."""

    layout: Layout
    response_type: ResponseType
    options: tuple[str, ...]
    simulator: Simulator


class CrowdRegressor(RegressorMixin, BaseEstimator):
    """Numeric responses: the mean answer of people with a row's profile to its problem.

    problem, participant: columns (names, or positions); None where all rows answer one problem, or every row is
        another person. texts: problems' descriptions by the values in the problem column; None where these are the
        descriptions. references: LLM references by problem, for the problems to predict as well.
    profile: settings of single columns, as in a study.toml; else read off the columns' types.
    scale: "continuous", with `low` and `high` where it has ends, or "ordinal": the numbers in y are the levels.
    method, embedding: as for `crowdllm evaluate`. draws: simulated answers per row that a prediction on a continuous
        scale averages. unknown_levels: "error", or "missing": a level that the fit did not see counts as missing.
    random_state: seed of the fit and of the draws; a whole number.
    """

    def __init__(
        self, problem: ColumnName = None, participant: ColumnName = None, texts: Mapping[Any, str] | None = None,
        references: References | None = None, profile: Profile = None, scale: str = "continuous",
        low: float | None = None, high: float | None = None, method: str = "crowdllm", embedding: str = "tfidf",
        draws: int = 256, unknown_levels: str = "error", random_state: int = 0,
    ) -> None:  # fmt: skip
        self.problem, self.participant, self.texts, self.references = problem, participant, texts, references
        self.profile, self.scale, self.low, self.high = profile, scale, low, high
        self.method, self.embedding, self.draws = method, embedding, draws
        self.unknown_levels, self.random_state = unknown_levels, random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> CrowdRegressor:
        """Fit on responses; raises RowsError (a ValueError) for what no study can be made of.

        sample_weight: survey weights, the same in all rows of a person; people of weight 0 are left out.
        """
        cells, y = validate_data(self, X, y, dtype=None, ensure_all_finite="allow-nan", y_numeric=True)
        value_R = np.asarray(column_or_1d(y, warn=True), dtype=np.float64)
        if self.scale == "continuous":
            kind: ResponseType = Continuous(self.low, self.high)
            outside = np.flatnonzero(~kind.legal(value_R[:, None], np.zeros(len(value_R), dtype=np.int64)))
            if len(outside):
                raise RowsError(f"row {outside[0] + 1}: y is {value_R[outside[0]]:g}, not {kind.allowed()}")
        elif self.scale == "ordinal":
            levels, code_R = np.unique(value_R, return_inverse=True)
            kind, value_R = _ordinal([number_text(v) for v in levels]), code_R.astype(np.float64)
        else:
            raise RowsError(f"scale={self.scale!r}: choose continuous or ordinal")
        self.crowd_ = _fit(self, X, cells, value_R, kind, (), sample_weight)
        return self

    def predict(self, X: Any) -> Array:
        """(R,) the mean answer."""
        cells = _validated(self, X)
        kind = self.crowd_.response_type
        if isinstance(kind, Ordinal):
            shares = _shares(self, cells)
            if shares is not None:
                return np.asarray(shares @ np.asarray(kind.points))
        return np.asarray(_points(kind, _draw(self, cells, self.draws, self.random_state)).mean(axis=1))

    def predict_quantiles(self, X: Any, quantiles: Sequence[float] = (0.05, 0.5, 0.95)) -> Array:
        """(R, Q) quantiles of the answers that people of this profile give: how they differ, not an error bar."""
        cells = _validated(self, X)
        drawn_RJ = _points(self.crowd_.response_type, _draw(self, cells, self.draws, self.random_state))
        return np.asarray(np.quantile(drawn_RJ, quantiles, axis=1).T)

    def sample(self, X: Any, n: int = 1, random_state: int = 0) -> Array:
        """(R, n) simulated answers; each column is one round in which everybody answers."""
        cells = _validated(self, X)
        return _points(self.crowd_.response_type, _draw(self, cells, n, random_state))


class CrowdClassifier(ClassifierMixin, BaseEstimator):
    """Responses that are one of several labels: the share of people with a row's profile who give each.

    scale: "choice" (the labels are options of every problem), or "ordinal": they have an order, that of `classes_`,
    which is numbers by size and texts by the alphabet, unless `levels` lists them from the lowest to the highest.
    The other arguments are those of `CrowdRegressor`.
    """

    def __init__(
        self, problem: ColumnName = None, participant: ColumnName = None, texts: Mapping[Any, str] | None = None,
        references: References | None = None, profile: Profile = None, scale: str = "choice",
        levels: Sequence[Any] | None = None, method: str = "crowdllm", embedding: str = "tfidf",
        draws: int = 256, unknown_levels: str = "error", random_state: int = 0,
    ) -> None:  # fmt: skip
        self.problem, self.participant, self.texts, self.references = problem, participant, texts, references
        self.profile, self.scale, self.levels = profile, scale, levels
        self.method, self.embedding, self.draws = method, embedding, draws
        self.unknown_levels, self.random_state = unknown_levels, random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> CrowdClassifier:
        """Fit on responses; raises RowsError (a ValueError) for what no study can be made of.

        sample_weight: survey weights, the same in all rows of a person; people of weight 0 are left out.
        """
        cells, y = validate_data(self, X, y, dtype=None, ensure_all_finite="allow-nan")
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        self.classes_, code_R = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise RowsError(f"y has one class only, {self.classes_[0]!r}: there is nothing to tell apart")
        kind, self.order_ = self._kind()
        options = tuple(_label(c) for c in self.classes_) if isinstance(kind, Choice) else ()
        place = np.argsort(self.order_)  # where each class stands on the scale
        self.crowd_ = _fit(self, X, cells, place[code_R].astype(np.float64), kind, options, sample_weight)
        return self

    def _kind(self) -> tuple[ResponseType, NDArray[np.int64]]:
        """The scale, and which class stands at each place of it."""
        if self.scale == "choice":
            return Choice(len(self.classes_)), np.arange(len(self.classes_))
        if self.scale != "ordinal":
            raise RowsError(f"scale={self.scale!r}: choose choice or ordinal")
        listed = list(self.classes_.tolist() if self.levels is None else self.levels)
        if sorted(map(_label, listed)) != sorted(map(_label, self.classes_)):
            raise RowsError(f"levels {listed} are not the labels in y, which are {self.classes_.tolist()}")
        names = [_label(c) for c in self.classes_]
        return _ordinal([_label(level) for level in listed]), np.array([names.index(_label(level)) for level in listed])

    def predict_proba(self, X: Any) -> Array:
        """(R, M) the share of people of this profile who give each label, in the order of `classes_`."""
        cells = _validated(self, X)
        shares = _shares(self, cells)
        if shares is None:
            raise RowsError(f"the method {self.method!r} gives no probabilities; choose another")
        return np.asarray(shares[:, np.argsort(self.order_)])

    def predict(self, X: Any) -> NDArray[Any]:
        """(R,) the commonest label."""
        shares_RM = self.predict_proba(X)
        return np.asarray(self.classes_[shares_RM.argmax(axis=1)])

    def sample(self, X: Any, n: int = 1, random_state: int = 0) -> NDArray[Any]:
        """(R, n) simulated labels; each column is one round in which everybody answers."""
        drawn = _draw(self, _validated(self, X), n, random_state)
        return np.asarray(self.classes_[self.order_[drawn.astype(np.int64)]])


def _ordinal(labels: Sequence[str]) -> Ordinal:
    if not 2 <= len(labels) <= MOST_LEVELS:
        raise RowsError(f"y has {len(labels)} levels; an ordinal scale here has 2 to {MOST_LEVELS}")
    return Ordinal(tuple(labels))


def _label(value: Any) -> str:
    return number_text(float(value)) if isinstance(value, int | float | np.number) else str(value)


def _validated(estimator: Any, X: Any) -> NDArray[Any]:
    check_is_fitted(estimator)
    return np.asarray(validate_data(estimator, X, dtype=None, ensure_all_finite="allow-nan", reset=False))


def _fit(
    estimator: Any,
    X: Any,
    cells: NDArray[Any],
    value_R: Array,
    kind: ResponseType,
    options: tuple[str, ...],
    weight: Any,
) -> Fitted:
    seed = estimator.random_state
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise RowsError(f"random_state={seed!r}: give a whole number, the seed")
    layout = read_layout(X, cells, estimator.problem, estimator.participant, estimator.profile)
    weight_R = None if weight is None else np.asarray(_check_sample_weight(weight, cells, ensure_non_negative=True))
    if weight_R is not None:
        kept = weight_R > 0
        cells, value_R, weight_R = cells[kept], value_R[kept], weight_R[kept]
    rows = read_rows(cells, layout, estimator.texts, options)
    twice = np.flatnonzero(_repeated(rows.participant_R, rows.problem_R))
    if len(twice):
        raise RowsError(f"row {twice[0] + 1}: this participant has answered this problem in an earlier row")
    responses = Responses(rows.participant_R, rows.problem_R, value_R[:, None])
    weights_N = None if weight_R is None else person_weights(rows, weight_R)
    study = Study("rows", kind, rows.problems, rows.people, responses, weights_N=weights_N)
    simulator = get_method(estimator.method)(study, estimator.references, estimator.embedding, int(seed))
    return Fitted(layout, kind, options, simulator)


def _repeated(participant_R: NDArray[np.int64], problem_R: NDArray[np.int64]) -> NDArray[np.bool_]:
    pairs = np.stack([participant_R, problem_R], axis=1)
    first = np.unique(pairs, axis=0, return_index=True)[1]
    out = np.ones(len(pairs), dtype=bool)
    out[first] = False
    return out


def _rows(estimator: Any, cells: NDArray[Any]) -> Rows:
    crowd: Fitted = estimator.crowd_
    return read_rows(cells, crowd.layout, estimator.texts, crowd.options, estimator.unknown_levels, by_person=False)


def _shares(estimator: Any, cells: NDArray[Any]) -> Array | None:
    """(R, M) probability of every level; None where the method has none."""
    rows = _rows(estimator, cells)
    asked = Responses(rows.participant_R, rows.problem_R, np.zeros((len(cells), 1)))
    return estimator.crowd_.simulator.level_probabilities(
        rows.problems, estimator.references, rows.people, asked, int(estimator.random_state)
    )


def _draw(estimator: Any, cells: NDArray[Any], draws: int, seed: int) -> Array:
    """(R, J) simulated responses: draw j is the same invented character with each row's profile."""
    rows = _rows(estimator, cells)
    columns, values_RC = rows.people.columns, rows.people.values_NC
    step = max(1, PAIRS // max(draws, 1))
    parts = [np.zeros((0, draws))]
    for start in range(0, len(cells), step):
        some = slice(start, start + step)
        count = len(values_RC[some])
        ids = np.tile(np.array([f"draw {j}" for j in range(draws)], dtype=object), count)
        people = Profiles(columns, ids, np.repeat(values_RC[some], draws, axis=0))
        problem_B = np.repeat(rows.problem_R[some], draws)
        drawn = estimator.crowd_.simulator.simulate(
            rows.problems, estimator.references, people, np.arange(count * draws), problem_B, int(seed)
        )
        parts.append(drawn[:, 0].reshape(count, draws))
    return np.concatenate(parts)


def _points(kind: ResponseType, drawn_RJ: Array) -> Array:
    """Levels as the numbers that they count as; numbers as they are."""
    return np.asarray(kind.points)[drawn_RJ.astype(np.int64)] if isinstance(kind, Ordinal) else drawn_RJ
