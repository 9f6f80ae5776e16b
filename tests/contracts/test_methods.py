"""What every method promises, for every response type: legal, repeatable, and honest where it does not apply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from crowdllm.config import CrowdConfig, PaperConfig
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.splits import Split
from crowdllm.errors import MismatchError, UnknownNameError
from crowdllm.methods import MADE_FOR, METHODS, KnowsAnswers, Simulator, get_method
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.reference import Reference, References

KINDS = ("continuous", "bounded", "ordinal", "choice", "ballot", "approval", "points", "ranking")
NEEDS_REFERENCES = ("embedding-references-ridge", "zero-shot", "multi-persona", "self-consistency", "crowdllm-paper")
NO_NEW_PROBLEMS = ("problem-histogram", "answers-ridge", "answers-catboost")
LEVELS_ONLY = ("answers-ridge", "answers-catboost")
ONE_ANSWER = ("self-consistency",)
OPTIONAL = {"catboost": "catboost", "answers-catboost": "catboost"}
Array = NDArray[np.float64]
Fitted = Callable[[str, str], tuple[Simulator, Split, References]]


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Few epochs: what is promised does not depend on how good the fit is."""
    patch = pytest.MonkeyPatch()
    few = {"max_epochs": 2, "belief_width": 2, "prediction_draws": 8, "profile_penalties": (8.0,)}
    patch.setattr("crowdllm.methods.crowdllm.CrowdConfig", partial(CrowdConfig, **few))
    patch.setattr("crowdllm.methods.crowdllm_paper.PaperConfig", partial(PaperConfig, max_epochs=2, hidden=20))
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _optional(request: pytest.FixtureRequest) -> None:
    """Methods of an optional package are tested where it is installed."""
    names = getattr(request.node, "callspec", None)
    method = names.params.get("method") if names else None
    if method in OPTIONAL:
        pytest.importorskip(OPTIONAL[method], reason="pip install 'crowdllm[baselines]'")


def references_for(method: str, known: Any) -> References:
    """What the method is made for: the truth as distributions, six of its draws in persona, or repeated draws."""
    mode = MADE_FOR.get(method)
    if mode is None:
        return known.references
    study, rng = known.study, np.random.default_rng(5)
    draws = np.stack(
        [
            study.responses.values_RD[rng.choice(np.flatnonzero(study.responses.problem_R == t), size=6)]
            for t in range(len(study.problems))
        ]
    )
    return References((Reference("llm", mode, study.problems.ids, draws),))


@pytest.fixture(scope="module")
def fitted(make_known: Callable[..., Any]) -> Fitted:
    """A function: method and response type to (simulator, split by problem, references), each fitted once."""

    @cache
    def get(method: str, kind: str) -> tuple[Simulator, Split, References]:
        # of choices and the like one study in two has the same options everywhere, as `pooled` needs them
        known = make_known(kind, people=20, problems=8, same_options=method == "pooled")
        split = known.study.split("problem", 0.25, seed=0)
        references = references_for(method, known)
        return get_method(method)(split.train, references, "tfidf", 0), split, references

    return get


def crowd_of(simulator: Simulator, split: Split, people: int = 20) -> Profiles:
    return (simulator.generator or ProfileGenerator.fit(split.train.profiles)).recruit(people, 1)


def simulated(
    simulator: Simulator, problems: Problems, references: References | None, crowd: Profiles, seed: int = 3
) -> tuple[Array, NDArray[np.int64]]:
    i, t = np.repeat(np.arange(len(crowd)), len(problems)), np.tile(np.arange(len(problems)), len(crowd))
    return simulator.simulate(problems, references, crowd, i, t, seed), problems.option_counts[t]


def applies(method: str, kind: str) -> bool:
    return method not in LEVELS_ONLY or kind in ("ordinal", "choice")


both = pytest.mark.parametrize(("method", "kind"), [(m, k) for m in METHODS for k in KINDS if applies(m, k)])


@both
def test_responses_to_problems_seen_in_training_are_legal(method: str, kind: str, fitted: Fitted) -> None:
    simulator, split, references = fitted(method, kind)
    values, counts = simulated(simulator, split.train.problems, references, crowd_of(simulator, split))
    assert split.train.response_type.legal(values, counts).all()
    assert values.shape[1] == split.train.responses.values_RD.shape[1]


@both
def test_responses_to_new_problems_are_legal_or_missing_where_the_method_has_none(
    method: str, kind: str, fitted: Fitted
) -> None:
    simulator, split, references = fitted(method, kind)
    values, counts = simulated(simulator, split.test.problems, references, crowd_of(simulator, split))
    if method in NO_NEW_PROBLEMS:
        assert np.isnan(values).all()
    else:
        assert split.test.response_type.legal(values, counts).all()


@both
def test_the_same_seed_repeats_and_another_seed_does_not(method: str, kind: str, fitted: Fitted) -> None:
    simulator, split, references = fitted(method, kind)
    crowd = crowd_of(simulator, split)
    first, again, other = (
        simulated(simulator, split.train.problems, references, crowd, seed)[0].tobytes() for seed in (3, 3, 4)
    )
    assert first == again
    assert (first != other) == (method not in ONE_ANSWER)


@both
def test_a_second_fit_with_the_same_seed_simulates_the_same(method: str, kind: str, fitted: Fitted) -> None:
    simulator, split, references = fitted(method, kind)
    second = get_method(method)(split.train, references, "tfidf", 0)
    crowd = crowd_of(simulator, split)
    values = [simulated(s, split.train.problems, references, crowd)[0].tobytes() for s in (simulator, second)]
    assert values[0] == values[1]


@both
def test_log_scores_and_probabilities_are_finite_and_agree_where_given(method: str, kind: str, fitted: Fitted) -> None:
    simulator, split, references = fitted(method, kind)
    test = split.test
    arguments = (test.problems, references, test.profiles, test.responses, 0)
    shares, scores = simulator.level_probabilities(*arguments), simulator.log_scores(*arguments)
    assert (shares is None) == (kind not in ("ordinal", "choice"))
    if scores is not None:
        assert np.isfinite(scores).all()
        assert scores.shape == (len(test.responses),)
    if shares is None:
        return
    assert scores is not None
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    given = test.responses.values_RD[:, 0].astype(int)
    np.testing.assert_allclose(np.log(shares[np.arange(len(given)), given]), scores, atol=1e-9)
    if kind == "choice":
        absent = np.arange(shares.shape[1]) >= test.problems.option_counts[test.responses.problem_R][:, None]
        assert not shares[absent].any()


@both
def test_an_empty_request_gives_no_responses(method: str, kind: str, fitted: Fitted) -> None:
    simulator, split, references = fitted(method, kind)
    none = np.zeros(0, dtype=np.int64)
    values = simulator.simulate(split.test.problems, references, crowd_of(simulator, split), none, none, 0)
    assert len(values) == 0
    assert values.ndim == 2


@pytest.mark.parametrize(
    ("method", "kind"), [(m, k) for m in METHODS for k in ("ordinal", "approval") if applies(m, k)]
)
def test_people_without_any_profile_column_are_no_obstacle(
    method: str, kind: str, make_known: Callable[..., Any]
) -> None:
    known = make_known(kind, people=20, problems=6, same_options=True)
    bare = Profiles((), known.study.profiles.ids, np.zeros((20, 0)))
    study = replace(known.study, profiles=bare)
    references = references_for(method, known)
    simulator = get_method(method)(study, references, "tfidf", 0)
    values, counts = simulated(simulator, study.problems, references, bare)
    assert study.response_type.legal(values, counts).all()


@pytest.mark.parametrize(
    ("method", "kind"), [(m, k) for m in METHODS for k in ("ordinal", "ballot", "choice") if applies(m, k)]
)
def test_a_single_problem_is_enough(method: str, kind: str, make_known: Callable[..., Any]) -> None:
    known = make_known(kind, people=20, problems=1)
    references = references_for(method, known)
    simulator = get_method(method)(known.study, references, "tfidf", 0)
    crowd = ProfileGenerator.fit(known.study.profiles).recruit(10, 0)
    values, counts = simulated(simulator, known.study.problems, references, crowd)
    assert known.study.response_type.legal(values, counts).all()


@pytest.mark.parametrize("method", METHODS)
def test_progress_is_reported_in_steps_that_do_not_pass_the_end(method: str, make_known: Callable[..., Any]) -> None:
    known = make_known("ordinal", people=20, problems=6)
    seen: list[tuple[int, int]] = []
    references = references_for(method, known)
    get_method(method)(known.study, references, "tfidf", 0, lambda what, done, total: seen.append((done, total)))
    assert all(0 <= done <= total for done, total in seen)


@pytest.mark.parametrize("method", NEEDS_REFERENCES)
def test_methods_that_need_references_say_so(method: str, make_known: Callable[..., Any]) -> None:
    study = make_known("ordinal", people=20, problems=6).study
    for nothing in (None, References(())):
        with pytest.raises(MismatchError, match=f"method '{method}' needs reference decisions.*--references"):
            get_method(method)(study, nothing, "tfidf", 0)


@pytest.mark.parametrize("method", [m for m in METHODS if m not in NEEDS_REFERENCES])
def test_the_other_methods_do_without_references(method: str, make_known: Callable[..., Any]) -> None:
    study = make_known("ordinal", people=20, problems=6).study
    simulator = get_method(method)(study, None, "tfidf", 0)
    values, counts = simulated(simulator, study.problems, None, ProfileGenerator.fit(study.profiles).recruit(5, 0))
    assert study.response_type.legal(values, counts).all()


@pytest.mark.parametrize(("method", "kind"), [(m, k) for m in METHODS for k in KINDS if not applies(m, k)])
def test_methods_for_levels_and_options_refuse_other_responses(
    method: str, kind: str, make_known: Callable[..., Any]
) -> None:
    with pytest.raises(MismatchError, match=f"method '{method}' needs ordinal or choice responses"):
        get_method(method)(make_known(kind, people=20, problems=4).study, None, "tfidf", 0)


@both
def test_a_method_that_knows_answers_is_still_a_method_for_those_people_alone(
    method: str, kind: str, fitted: Fitted
) -> None:
    """Given half of the test people's answers to seen problems, it predicts the others, legally and repeatably."""
    simulator, split, references = fitted(method, kind)
    if not isinstance(simulator, KnowsAnswers):
        assert method not in ("crowdllm", *LEVELS_ONLY)
        return
    part = split.train
    rows = np.arange(len(part.responses))
    known, asked = part.responses.take(rows % 2 == 0), part.responses.take(rows % 2 == 1)
    twins = [simulator.knowing(part.problems, references, part.profiles, known, 0) for _ in range(2)]
    arguments = (part.problems, references, part.profiles, asked, 1)
    scores = [twin.log_scores(*arguments) for twin in twins]
    assert scores[0] is not None
    assert np.isfinite(scores[0]).all()
    np.testing.assert_array_equal(scores[0], scores[1])
    values, counts = simulated(twins[0], part.problems, references, part.profiles)
    assert part.response_type.legal(values, counts).all()
    others = replace(part.profiles, ids=part.profiles.ids[::-1])
    with pytest.raises(MismatchError, match="known answers are those of other people"):
        twins[0].log_scores(part.problems, references, others, asked, 1)


def test_pooling_problems_with_different_options_is_refused(make_known: Callable[..., Any]) -> None:
    with pytest.raises(MismatchError, match="'pooled' needs the same options in every problem"):
        get_method("pooled")(make_known("choice", people=20, problems=6).study, None, "tfidf", 0)


def test_texts_without_words_are_refused_by_tfidf_ridge(make_known: Callable[..., Any]) -> None:
    study = make_known("ordinal", people=20, problems=6).study
    wordless = replace(study, problems=replace(study.problems, texts=np.array(["?!"] * 6, dtype=object)))
    with pytest.raises(MismatchError, match="'tfidf-ridge' needs problem texts with words"):
        get_method("tfidf-ridge")(wordless, None, "tfidf", 0)


def test_an_unknown_method_lists_the_valid_ones_and_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown method 'crowdlm'.*random, pooled.*did you mean 'crowdllm'"):
        get_method("crowdlm")
