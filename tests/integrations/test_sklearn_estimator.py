"""The estimators keep scikit-learn's contract, and predict what the method they wrap predicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.datasets import load_dataset
from crowdllm.integrations.estimator_rows import RowsError
from crowdllm.integrations.sklearn_estimator import CrowdClassifier, CrowdRegressor
from crowdllm.methods import get_method
from crowdllm.reference import Reference, References
from crowdllm.responses.ordinal import Ordinal

SAME_FOR_ALL = "the pooled histogram is the same for every row: it scores as a constant does, by design"
NO_ID = "the check blanks cells of every column, and a row without a problem is refused"
WEIGHT = "a survey weight of 2 is one person who stands for two, not two people: what is tuned on people differs"
ONE_ANSWER_EACH = "the check's first column is a different number in every row: as problems, each has a single answer"


def not_applicable(estimator: Any) -> dict[str, str]:
    """The checks of scikit-learn that do not apply, with the reason."""
    out = {} if estimator.method == "pooled" else {"check_sample_weight_equivalence_on_dense_data": WEIGHT}
    if estimator.method == "pooled":
        out |= {"check_regressors_train": SAME_FOR_ALL, "check_classifiers_train": SAME_FOR_ALL}
    if estimator.problem is not None:
        out |= {"check_estimators_pickle": NO_ID, "check_classifiers_train": ONE_ANSWER_EACH}
    return out


@parametrize_with_checks(
    [CrowdRegressor(method="pooled"), CrowdClassifier(method="pooled")],
    expected_failed_checks=not_applicable,
)
def test_a_quick_method_passes_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [CrowdRegressor(), CrowdClassifier(), CrowdRegressor(problem=0), CrowdClassifier(problem=0)],
    expected_failed_checks=not_applicable,
)
def test_the_crowd_passes_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def rows_of(study: Study) -> tuple[pd.DataFrame, np.ndarray]:
    """The responses of an ordinal study as a table and its targets."""
    responses = study.responses
    frame = study.profiles.to_frame().iloc[responses.participant_R].reset_index()
    frame.insert(0, "question", study.problems.texts[responses.problem_R])
    assert isinstance(study.response_type, Ordinal)
    return frame, np.asarray(study.response_type.points)[responses.values_RD[:, 0].astype(int)]


@pytest.fixture(scope="module")
def small() -> Study:
    return load_dataset("synthetic", participants=25, problems=8, per_participant=6, seed=3)


@pytest.mark.parametrize("method", ["svr", pytest.param("crowdllm", marks=pytest.mark.slow)])
def test_probabilities_are_those_of_the_wrapped_method(small: Study, method: str) -> None:
    """It sees the same study: same people, texts, scale, seed."""
    X, y = rows_of(small)
    columns = {c.name: c.to_dict() for c in small.profiles.columns}
    estimator = CrowdClassifier(
        problem="question", participant="participant", scale="ordinal", profile=columns, method=method, random_state=5
    ).fit(X, y.astype(int))
    codes, texts = pd.factorize(X["question"])
    who, people = pd.factorize(X["participant"])
    profiles = small.profiles.take(np.array([small.profiles.ids.tolist().index(p) for p in people]))
    words = np.asarray(texts, dtype=object)
    values = np.searchsorted(np.unique(y), y).astype(float)[:, None]
    scale = Ordinal(tuple(f"{v:g}" for v in np.unique(y)))
    study = Study("rows", scale, Problems(words, words), profiles, Responses(who, codes, values))
    simulator = get_method(method)(study, None, "tfidf", 5)
    ids = np.full(len(X), "row", dtype=object)
    each = Profiles(profiles.columns, ids, profiles.values_NC[who])
    asked = Responses(np.arange(len(X)), codes, values)
    expected = simulator.level_probabilities(study.problems, None, each, asked, 5)
    assert expected is not None
    assert estimator.predict_proba(X) == pytest.approx(expected, abs=1e-12)
    assert estimator.predict(X[:5]).tolist() == [estimator.classes_[row.argmax()] for row in expected[:5]]


def test_the_mean_of_an_ordinal_scale_is_that_of_its_probabilities(small: Study) -> None:
    X, y = rows_of(small)
    same = {"problem": "question", "participant": "participant", "scale": "ordinal", "method": "svr", "random_state": 1}
    mean = CrowdRegressor(**same).fit(X, y).predict(X[:20])
    classifier = CrowdClassifier(**same).fit(X, y.astype(int))
    assert mean == pytest.approx(classifier.predict_proba(X[:20]) @ classifier.classes_, abs=1e-12)


def test_new_problems_are_predicted_from_their_references() -> None:
    """Everybody answers what the reference says, so that a new problem's reference decides."""
    generator = np.random.default_rng(0)
    ids = np.array([f"q{t}" for t in range(40)], dtype=object)
    decision = generator.integers(0, 2, 40)
    reference = Reference("llm", "decision", ids, decision[:, None, None].astype(float))
    texts = {i: f"statement number {t}" for t, i in enumerate(ids)}
    X = pd.DataFrame([(i, float(n)) for i in ids for n in range(6)], columns=["id", "age"])
    y = np.repeat(np.array(["no", "yes"])[decision], 6)
    flip = generator.random(len(y)) < 0.1
    y = np.where(flip, np.where(y == "no", "yes", "no"), y)
    model = CrowdClassifier("id", texts=texts, scale="ordinal", references=References((reference,)))
    seen = np.isin(X["id"], ids[:30])
    shares = model.fit(X[seen], y[seen]).predict_proba(X[~seen])
    truth = np.repeat(decision[30:], 6)
    assert (shares[truth == 1, 1] > 0.6).all()
    assert (shares[truth == 0, 1] < 0.4).all()


def test_quantiles_and_samples_of_a_continuous_scale() -> None:
    """Answers to one question are normal with mean 10 and SD 2: so are the predicted ones, within their own noise."""
    generator = np.random.default_rng(1)
    X = pd.DataFrame({"town": np.where(np.arange(400) % 2, "a", "b")})
    y = generator.normal(10, 2, 400)
    model = CrowdRegressor(draws=2000).fit(X, y)
    low, middle, high = model.predict_quantiles(X[:1], (0.159, 0.5, 0.841))[0]
    assert middle == pytest.approx(10, abs=0.4)
    assert (high - low) / 2 == pytest.approx(2, rel=0.15)
    assert model.predict(X[:2]) == pytest.approx([y[1::2].mean(), y[1::2].mean()], abs=0.6)
    assert model.sample(X[:3], 4).shape == (3, 4)
    assert (model.sample(X[:3], 4) == model.sample(X[:3], 4)).all()
    assert (model.sample(X[:3], 4, random_state=1) != model.sample(X[:3], 4)).all()


def test_bounds_are_kept_and_answers_beyond_them_refused() -> None:
    X, y = np.arange(40.0)[:, None], np.linspace(0, 1, 40)
    drawn = CrowdRegressor(low=0, high=1).fit(X, y).sample(X, 50)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    with pytest.raises(RowsError, match="row 40: y is 1, not a number of at least 0 and of at most 0.5"):
        CrowdRegressor(low=0, high=0.5).fit(X[-1:].repeat(2, 0).repeat(20, 0), np.r_[np.full(39, 0.1), 1.0])


def test_ordered_labels_need_not_follow_the_alphabet() -> None:
    X = pd.DataFrame({"age": np.arange(90) % 30 + 20.0})
    y = np.array(["never", "rarely", "often"])[np.arange(90) // 30]
    model = CrowdClassifier(scale="ordinal", levels=("never", "rarely", "often")).fit(X, y)
    assert model.classes_.tolist() == ["never", "often", "rarely"]
    assert model.crowd_.response_type.levels == ("never", "rarely", "often")
    assert model.predict_proba(X[:1]).sum() == pytest.approx(1)
    assert set(model.sample(X, 3).ravel()) <= {"never", "rarely", "often"}
    with pytest.raises(RowsError, match="levels .* are not the labels in y"):
        CrowdClassifier(scale="ordinal", levels=("never", "often")).fit(X, y)


def test_column_types_become_profile_kinds() -> None:
    grades = pd.CategoricalDtype(["low", "high"], ordered=True)
    X = pd.DataFrame(
        {
            "age": [30, 40, None, 50],
            "town": ["x", None, "y", "x"],
            "grade": pd.Series(["low", "high", None, "low"], dtype=grades),
            "flag": [True, False, True, True],
        }
    )
    model = CrowdRegressor(method="pooled").fit(X, [1.0, 2.0, 3.0, 4.0])
    assert model.crowd_.layout.columns == (
        ProfileColumn("age", "numeric"),
        ProfileColumn("town", "categorical", ("x", "y")),
        ProfileColumn("grade", "ordinal", ("low", "high")),
        ProfileColumn("flag", "numeric"),
    )


def test_an_unknown_level_is_an_error_unless_it_may_count_as_missing() -> None:
    X = pd.DataFrame({"town": ["x", "y"] * 10})
    y = np.arange(20.0)
    new = pd.DataFrame({"town": ["z"]})
    with pytest.raises(RowsError, match="row 1: column 'town' has no level 'z'; the fit saw x, y"):
        CrowdRegressor(method="pooled").fit(X, y).predict(new)
    missing = CrowdRegressor(unknown_levels="missing").fit(X, y)
    assert missing.predict(new) == pytest.approx(missing.predict(pd.DataFrame({"town": [None]}, dtype=object)))


@pytest.mark.parametrize(
    ("frame", "settings", "message"),
    [
        ({"q": ["a", None], "age": [1, 2]}, {"problem": "q"}, "row 2 has no problem"),
        ({"q": ["a", "b"], "age": [1, 2]}, {"problem": "nope"}, "is no column of the table; it has q, age"),
        ({"q": ["a", "b"], "age": [1, 2]}, {"problem": "q", "participant": "q"}, "name two columns"),
        ({"p": ["a", "a"], "age": [1, 2]}, {"participant": "p"}, "a person has one profile"),
        ({"p": ["a", "a"], "age": [1, 1]}, {"participant": "p"}, "has answered this problem in an earlier row"),
        ({"q": ["a", "b"], "age": [1, 2]}, {"problem": "q", "texts": {"a": "A?"}}, "no description of the problem 'b'"),
        ({"age": [1, "x"]}, {}, "holds numbers and texts"),
        ({"age": [1, 2]}, {"scale": "ratio"}, "choose continuous or ordinal"),
        ({"age": [1, 2]}, {"profile": {"sex": {"kind": "numeric"}}}, "there is no profile column 'sex'"),
        ({"age": [1, 2]}, {"profile": {"age": {"kind": "odd"}}}, "give kind"),
        ({"age": [1, 2]}, {"random_state": None}, "give a whole number"),
    ],
)
def test_rows_that_are_no_study_are_refused_in_words(frame: dict, settings: dict, message: str) -> None:
    with pytest.raises(RowsError, match=message):
        CrowdRegressor(**{"method": "pooled"} | settings).fit(pd.DataFrame(frame), [1.0, 2.0])


def test_weights_move_the_prediction_to_whom_they_count_for() -> None:
    """Half of the people say 0, half 10; those who say 10 count three times as much: the mean is 7.5."""
    X, y = pd.DataFrame({"town": ["x"] * 200}), np.tile([0.0, 10.0], 100)
    weight = np.tile([1.0, 3.0], 100)
    settings = {"scale": "ordinal"}
    assert CrowdRegressor(**settings).fit(X, y).predict(X[:1])[0] == pytest.approx(5, abs=0.3)
    assert CrowdRegressor(**settings).fit(X, y, weight).predict(X[:1])[0] == pytest.approx(7.5, abs=0.4)
    with pytest.raises(ValueError, match="at least one non-zero number"):
        CrowdRegressor(method="pooled").fit(X, y, np.zeros(200))
    who = pd.DataFrame({"who": ["a", "a"], "q": ["1", "2"]})
    with pytest.raises(RowsError, match="different sample weights"):
        CrowdRegressor("q", "who", method="pooled").fit(who, [1.0, 2.0], [1.0, 2.0])


def test_it_fits_into_pipelines_searches_and_grouped_validation(small: Study) -> None:
    X, y = rows_of(small)
    both = make_column_transformer(("passthrough", ["question", "participant"]), verbose_feature_names_out=False)
    steps = make_pipeline(
        both.set_output(transform="pandas"),
        CrowdRegressor("question", "participant", scale="ordinal", method="pooled"),
    )
    scores = cross_val_score(steps, X, y, groups=X["question"], cv=GroupKFold(3), scoring="neg_mean_absolute_error")
    assert len(scores) == 3
    assert np.isfinite(scores).all()
    model = CrowdRegressor("question", "participant", scale="ordinal")
    found = GridSearchCV(model, {"method": ["pooled", "tfidf-ridge"]}, cv=3).fit(X, y)
    assert found.best_params_["method"] in ("pooled", "tfidf-ridge")
    assert clone(model).get_params() == model.get_params()
