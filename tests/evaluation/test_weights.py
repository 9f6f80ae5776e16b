"""Survey weights in distributions, scores and the floor: a weight of three counts like three people."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crowdllm import evaluate, load_dataset
from crowdllm.aggregation import aggregate, applicable
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import DataUnavailableError
from crowdllm.evaluation.floor import human_floor, vote_floor
from crowdllm.evaluation.histograms import (
    effective_counts,
    histograms,
    mean_decisions,
    variances,
    weighted_quantile,
)
from crowdllm.evaluation.metrics import crps, crps_ensemble, histogram_metrics, nll
from crowdllm.evaluation.subgroups import subgroup_wd
from crowdllm.evaluation.votes import recall_at_k, vote_counts
from crowdllm.experiments.scores import score_floor
from crowdllm.methods import get_method
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.responses import ResponseType
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.ranking import Ranking

Known = Callable[..., Any]
TIMES = np.array([1, 3, 2, 1, 4, 2])
VALUES: dict[str, tuple[ResponseType, list[list[float]]]] = {
    "ordinal": (Ordinal(("1", "2", "3"), points=(1.0, 2.0, 5.0)), [[0], [2], [1], [1], [0], [2]]),
    "continuous": (Continuous(), [[0.5], [2.0], [1.0], [7.0], [-3.0], [2.5]]),
    "choice": (Choice(3), [[0], [2], [1], [1], [0], [2]]),
    "ballot": (Ballot(1, 2, 3), [[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 1]]),
    "points": (Points(4, 1, 3), [[4, 0, 0], [1, 1, 2], [0, 2, 2], [1, 0, 3], [2, 2, 0], [0, 0, 4]]),
    "ranking": (Ranking(2, 3), [[1, 2, 0], [0, 1, 2], [2, 1, 0], [0, 2, 1], [1, 0, 2], [2, 0, 1]]),
}


def weighted_and_repeated(kind: str) -> tuple[ResponseType, Responses, Responses]:
    """Six people who answered two problems (three each), by weight, and as so many people."""
    scale, values = VALUES[kind]
    person, problem, values_RD = np.arange(6), np.array([0, 0, 0, 1, 1, 1]), np.array(values, dtype=float)
    rows = np.repeat(np.arange(6), TIMES)
    weighted = Responses(person, problem, values_RD, TIMES.astype(float))
    return scale, weighted, Responses(np.arange(len(rows)), problem[rows], values_RD[rows])


@pytest.mark.parametrize("kind", ["ordinal", "choice", "ballot", "points", "ranking"])
def test_weighted_histograms_are_those_of_as_many_people(kind: str) -> None:
    scale, weighted, repeated = weighted_and_repeated(kind)
    np.testing.assert_allclose(histograms(weighted, scale, 2, 3), histograms(repeated, scale, 2, 3))


@pytest.mark.parametrize(
    ("kind", "method"),
    [(k, m) for k in VALUES for m in ("mean", "median", "majority_vote") if m in applicable(VALUES[k][0])],
)
def test_weighted_decisions_are_those_of_as_many_people(kind: str, method: str) -> None:
    scale, weighted, repeated = weighted_and_repeated(kind)
    counts = np.array([3, 3])
    one = aggregate(weighted, scale, 2, 6, method, counts)
    many = aggregate(repeated, scale, 2, int(TIMES.sum()), method, counts)
    np.testing.assert_allclose(one.decision_TD, many.decision_TD)
    if one.distribution_TM is not None and many.distribution_TM is not None:
        np.testing.assert_allclose(one.distribution_TM, many.distribution_TM)


@pytest.mark.parametrize("method", ["dawid_skene", "glad"])
def test_aggregators_that_ask_who_is_right_leave_weights_aside(method: str) -> None:
    scale, weighted, _ = weighted_and_repeated("ordinal")
    plain = replace(weighted, weight_R=None)
    a, b = (aggregate(r, scale, 2, 6, method) for r in (weighted, plain))
    assert a.distribution_TM is not None
    assert b.distribution_TM is not None
    assert a.distribution_TM.tobytes() == b.distribution_TM.tobytes()


def test_means_and_variances_are_weighted() -> None:
    scale, weighted, repeated = weighted_and_repeated("continuous")
    np.testing.assert_allclose(mean_decisions(weighted, scale, 2), mean_decisions(repeated, scale, 2))
    # problem 0: 0.5, 2, 1 by 1, 3, 2: mean 8.5 / 6; squares (121 + 3 * 49 + 2 * 25) / 144; over 6 - 14 / 6
    square = (121 + 3 * 49 + 2 * 25) / 144
    assert variances(weighted, scale, 2)[0] == pytest.approx(square / (6 - 14 / 6))
    equal = replace(weighted, weight_R=np.full(6, 1.0))
    np.testing.assert_allclose(variances(equal, scale, 2), variances(replace(equal, weight_R=None), scale, 2))


def test_quantiles_of_equal_weights_are_those_of_numpy() -> None:
    x, at = np.random.default_rng(0).standard_normal(17), np.linspace(0.01, 0.99, 31)
    np.testing.assert_allclose(weighted_quantile(x, np.full(17, 0.3), at), np.quantile(x, at))
    assert weighted_quantile(np.array([5.0]), np.array([2.0]), at).tolist() == [5.0] * 31


def test_quantiles_of_a_weighted_sample_approach_the_populations() -> None:
    rng = np.random.default_rng(1)
    x = np.r_[rng.normal(0, 1, 4000), rng.normal(4, 1, 500)]
    weight = np.r_[np.ones(4000), np.full(500, 8.0)]
    everybody = np.r_[rng.normal(0, 1, 40_000), rng.normal(4, 1, 40_000)]
    at = np.array([0.1, 0.3, 0.7, 0.9])
    np.testing.assert_allclose(weighted_quantile(x, weight, at), np.quantile(everybody, at), atol=0.15)


def test_effective_counts_are_those_of_kish() -> None:
    _, weighted, _ = weighted_and_repeated("ordinal")
    np.testing.assert_allclose(effective_counts(weighted, 3), [36 / 14, 49 / 21, 0])
    assert effective_counts(replace(weighted, weight_R=None), 3).tolist() == [3, 3, 0]


def test_scores_of_single_responses_are_weighted_means() -> None:
    p, level, weight = np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 0]), np.array([3.0, 1.0])
    assert nll(p, level, weight) == pytest.approx((3 * np.log(2) + np.log(4)) / 4)
    assert crps(p, level, (0.0, 1.0), weight) == pytest.approx((3 * 0.25 + 0.5625) / 4)
    samples = np.array([[1.0, 1.0], [2.0, 2.0]])
    assert crps_ensemble(samples, np.array([0.0, 0.0]), weight) == pytest.approx((3 * 1 + 2) / 4)


def test_votes_and_recall_are_weighted() -> None:
    ballots, weight = np.array([[1.0, 0, 1], [0, 1, 0]]), np.array([3.0, 1.0])
    assert vote_counts(ballots, None, weight).tolist() == [1.5, 0.5, 1.5]  # as many voters as there are: two
    score = np.array([[9.0, 8, 1], [9, 8, 1]])
    assert recall_at_k(score, ballots, 1, weight) == pytest.approx((3 * 0.5 + 1 * 0) / 4)


@pytest.mark.parametrize("kind", ["ordinal", "continuous", "choice"])
def test_the_floor_of_equal_weights_is_that_of_none(kind: str, make_known: Known) -> None:
    study = make_known(kind, people=25, problems=6, same_options=True).study
    plain = human_floor(study, 40, 3, draws=4)
    equal = human_floor(replace(study, weights_N=np.full(25, 7.0)), 40, 3, draws=4)
    assert equal.histogram.avg_wd == pytest.approx(plain.histogram.avg_wd, nan_ok=True)
    assert equal.histogram.cosine == pytest.approx(plain.histogram.cosine, nan_ok=True)
    assert equal.nll == pytest.approx(plain.nll, nan_ok=True)


@pytest.mark.parametrize("kind", ["ordinal", "continuous"])
def test_unequal_weights_raise_the_floor_as_fewer_people_would(kind: str, make_known: Known) -> None:
    study = make_known(kind, people=300, problems=12, strength=0.5).study
    weights = np.where(np.arange(300) < 20, 30.0, 1.0)  # 880^2 / 18,280: as good as 42 people
    distance = {
        "weighted": human_floor(replace(study, weights_N=weights), None, 0, draws=6).histogram.avg_wd,
        "all": human_floor(study, None, 0, draws=6).histogram.avg_wd,
        "few": human_floor(study.subset(np.arange(12), np.arange(42)), None, 0, draws=6).histogram.avg_wd,
    }
    assert distance["weighted"] > 1.8 * distance["all"]
    assert distance["weighted"] == pytest.approx(distance["few"], rel=0.25)


def test_the_floor_of_votes_rises_too(make_known: Known) -> None:
    study = make_known("ballot", people=200, problems=3, same_options=True).study
    weights = np.where(np.arange(200) < 10, 40.0, 1.0)
    weighted = vote_floor(replace(study, weights_N=weights), None, 0, draws=30)
    assert weighted.mae > 1.5 * vote_floor(study, None, 0, draws=30).mae


def test_groups_are_scored_against_their_weighted_humans(make_known: Known) -> None:
    study = make_known("ordinal", people=120, problems=4, missing=0.0).study
    weights = np.random.default_rng(0).uniform(0.2, 5, 120)
    human = replace(study, weights_N=weights)
    p_TM = histograms(human.responses, study.response_type, 4)
    report = subgroup_wd(human, p_TM, draws=1)
    north = next(g for g in report.groups if g.column == "region")
    inside = np.flatnonzero(study.profiles.values_NC[:, study.profiles.position("region")] == 0)
    own = human.subset(np.arange(4), inside)
    below = np.cumsum(histograms(own.responses, study.response_type, 4) - p_TM, axis=1)[:, :-1]
    assert north.avg_wd == pytest.approx(np.abs(below).sum(axis=1).mean())


@pytest.mark.parametrize("method", ["pooled", "problem-histogram", "tfidf-ridge"])
def test_baselines_repeat_the_weighted_distribution(method: str, make_known: Known) -> None:
    study = make_known("ordinal", people=60, problems=3).study
    study = replace(study, weights_N=np.where(np.arange(60) < 30, 9.0, 1.0))
    simulator = get_method(method)(study, None, "tfidf", 0)
    people, problem = np.repeat(np.arange(60), 3), np.tile(np.arange(3), 60)
    draws = [simulator.simulate(study.problems, None, study.profiles, people, problem, s) for s in range(30)]
    crowd = Responses(np.arange(180 * 30), np.tile(problem, 30), np.concatenate(draws))
    shares = histograms(crowd, study.response_type, 3)
    weighted = histograms(study.responses, study.response_type, 3)
    plain = histograms(replace(study.responses, weight_R=None), study.response_type, 3)
    if method != "problem-histogram":  # the same for all problems, or much alike
        weighted, plain, shares = (x.mean(axis=0) for x in (weighted, plain, shares))
    assert np.abs(shares - weighted).max() < 0.04
    assert np.abs(shares - weighted).mean() < np.abs(shares - plain).mean()


def test_the_floor_row_of_a_table_takes_weighted_humans(make_known: Known) -> None:
    study = make_known("ordinal", people=40, problems=4).study
    weighted = replace(study, weights_N=np.linspace(0.5, 4, 40))
    rows = {(s.aggregator, s.metric): s.value for s in score_floor(weighted, (50,), ("mean", "majority_vote"), 0)}
    assert rows["mean", "mae"] > 0


def same_tables(study: Study, **settings: Any) -> None:
    """Every metric of a comparison is the same (to rounding) without weights and with equal ones."""
    tables = []
    for weights in (None, np.full(len(study.profiles), 2.5)):
        table = evaluate(replace(study, weights_N=weights), seeds=1, **settings)
        tables.append(table[table["metric"] != "fit_seconds"].reset_index(drop=True))
    plain, equal = tables
    names = [c for c in plain.columns if c != "value"]
    assert plain[names].astype(str).to_numpy().tolist() == equal[names].astype(str).to_numpy().tolist()
    np.testing.assert_allclose(equal["value"].astype(float), plain["value"].astype(float), rtol=1e-6, atol=1e-9)


def test_equal_weights_change_no_metric(make_known: Known) -> None:
    study = make_known("ordinal", people=60, problems=8).study
    same_tables(study, methods=["pooled", "tfidf-ridge"], split="participant", crowd_sizes=(20,))


@pytest.mark.slow
def test_equal_weights_change_no_metric_of_offensiveness() -> None:
    if not os.environ.get("CROWDLLM_DATA_DIR"):
        pytest.skip("set CROWDLLM_DATA_DIR to a folder with the published files (see crowdllm.datasets.download)")
    try:
        study = load_dataset("offensiveness")
    except DataUnavailableError as missing:
        pytest.skip(str(missing))
    same_tables(study, methods=["pooled", "tfidf-ridge", "crowdllm"], split="problem", crowd_sizes=(20,))


@pytest.mark.parametrize("method", [pytest.param("crowdllm", marks=pytest.mark.slow), "pooled"])
def test_a_crowd_scored_against_weighted_humans_is_nearer_when_it_was_fitted_with_weights(
    method: str, make_known: Known
) -> None:
    study = make_known("ordinal", people=500, problems=6, strength=1.5, missing=0.0).study
    leaning = study.profiles.values_NC[:, study.profiles.position("leaning")]
    weighted = replace(study, weights_N=np.where(leaning == 0, 12.0, 1.0))
    wd = []
    for weights in (weighted.weights_N, None):
        simulator = get_method(method)(replace(study, weights_N=weights), None, "tfidf", 0)
        people = ProfileGenerator.fit(study.profiles, weights, 0).recruit(500, 0)
        person, problem = np.repeat(np.arange(500), 6), np.tile(np.arange(6), 500)
        values = simulator.simulate(study.problems, None, people, person, problem, 0)
        p_TM = histograms(weighted.responses, study.response_type, 6).mean(axis=0, keepdims=True)
        q_TM = histograms(Responses(person, problem, values), study.response_type, 6).mean(axis=0, keepdims=True)
        wd.append(histogram_metrics(p_TM, q_TM, study.response_type).avg_wd)
    assert wd[0] < 0.5 * wd[1]
