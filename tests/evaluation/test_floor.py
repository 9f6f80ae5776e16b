"""The human floor against populations whose truth is known, and against an unbiased formula on real data."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError
from crowdllm.evaluation.dirichlet_mixture import draw_shares, fit_dirichlet_mixture
from crowdllm.evaluation.floor import floor_draws, human_floor, vote_floor
from crowdllm.evaluation.histograms import histograms, mean_decisions, response_counts
from crowdllm.evaluation.metrics import crps_ensemble, decision_metrics, histogram_metrics, nll
from crowdllm.evaluation.votes import vote_metrics
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import ResponseType
from crowdllm.responses.ranking import Ranking

FIVE = Ordinal(("1", "2", "3", "4", "5"))


def study(
    kind: ResponseType, problem_R: np.ndarray, values_RD: np.ndarray, problems: int, options: tuple = ()
) -> Study:
    people = len(problem_R)
    ids = np.array([str(i) for i in range(max(people, problems))], dtype=object)
    return Study(
        "test",
        kind,
        Problems(ids[:problems], ids[:problems], options),
        Profiles((), ids[:people], np.zeros((people, 0))),
        Responses(np.arange(people), problem_R, values_RD),
    )


def draw_levels(share_TM: np.ndarray, problem_R: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    level = (rng.random((len(problem_R), 1)) > np.cumsum(share_TM, axis=1)[problem_R, :-1]).sum(axis=1)
    return level[:, None].astype(float)


def skewed_truth(problems: int, rng: np.random.Generator) -> np.ndarray:
    """Shares like those of a rating task where most problems are mild: an ordered probit, no Dirichlet."""
    location, spread = rng.gamma(1.2, 1.0, problems) - 1.2, np.exp(rng.normal(-0.1, 0.3, problems))
    below = ndtr((np.linspace(0, 2.2, 4) - location[:, None]) / spread[:, None])
    return np.diff(np.concatenate([np.zeros((problems, 1)), below, np.ones((problems, 1))], axis=1), axis=1)


@pytest.mark.parametrize("crowd_size", [None, 20])
def test_floor_of_ratings_is_what_the_true_distribution_scores(crowd_size: int | None) -> None:
    """The observed histogram taken for the truth would give 15 % less MAE and 25 % less avg_wd."""
    rng = np.random.default_rng(1)
    truths, floors = [], []
    for seed in range(3):
        share_TM = skewed_truth(300, rng)
        problem_R = np.repeat(np.arange(300), rng.integers(7, 12, 300))
        for _ in range(5):
            human = Responses(np.arange(len(problem_R)), problem_R, draw_levels(share_TM, problem_R, rng))
            q_TM = share_TM
            if crowd_size:
                q_TM = rng.multinomial(crowd_size, share_TM) / crowd_size
            p_TM = histograms(human, FIVE, 300)
            scores = histogram_metrics(p_TM, q_TM, FIVE)
            points = np.array(FIVE.points)
            errors = decision_metrics(p_TM @ points, q_TM @ points)
            own = nll(share_TM[problem_R], human.values_RD[:, 0].astype(int))
            truths.append([errors.mae, errors.rmse, scores.cosine, scores.avg_wd, scores.js, own])
        floor = human_floor(study(FIVE, problem_R, human.values_RD, 300), crowd_size, seed, draws=10)
        mean, shape = floor.decisions["mean"], floor.histogram
        floors.append([mean.mae, mean.rmse, shape.cosine, shape.avg_wd, shape.js, floor.nll])
    np.testing.assert_allclose(np.mean(floors, axis=0), np.mean(truths, axis=0), rtol=0.06)


def test_floor_of_choices_with_their_own_options() -> None:
    rng = np.random.default_rng(2)
    count_T = rng.integers(2, 6, 300)
    present_TM = np.arange(5) < count_T[:, None]
    gamma_TM = rng.gamma(np.where(present_TM, np.where(rng.random(300) < 0.5, 0.3, 2.0)[:, None], 0.0))
    share_TM = gamma_TM / gamma_TM.sum(axis=1, keepdims=True)
    problem_R = np.repeat(np.arange(300), 8)
    truths = []
    for _ in range(5):
        value = np.minimum(draw_levels(share_TM, problem_R, rng), count_T[problem_R, None] - 1)
        human = Responses(np.arange(len(problem_R)), problem_R, value)
        scores = histogram_metrics(histograms(human, Choice(5), 300), share_TM, Choice(5), count_T)
        truths.append([scores.cosine, scores.wd_heights, scores.kl, scores.js])
    options = tuple(tuple("abcde"[:n]) for n in count_T)
    floor = human_floor(study(Choice(5), problem_R, value, 300, options), draws=10)
    found = floor.histogram
    np.testing.assert_allclose([found.cosine, found.wd_heights, found.kl, found.js], np.mean(truths, axis=0), rtol=0.08)
    assert np.isnan([found.avg_wd, floor.crps]).all()
    assert floor.decisions == {}


@pytest.mark.parametrize("skewed", [False, True])
def test_floor_of_continuous_answers(skewed: bool) -> None:
    rng = np.random.default_rng(3)
    noise = (lambda size: rng.exponential(size=size) - 1) if skewed else rng.standard_normal
    location, spread = rng.normal(50, 20, 200), np.exp(rng.normal(2.3, 0.3, 200))
    many_TE = location[:, None] + spread[:, None] * noise((200, 3000))
    q_TM = np.quantile(many_TE, (np.arange(33) + 0.5) / 33, axis=1).T
    problem_R = np.repeat(np.arange(200), 8)
    truths = []
    for _ in range(8):
        value = (location[problem_R] + spread[problem_R] * noise(len(problem_R)))[:, None]
        human = Responses(np.arange(len(problem_R)), problem_R, value)
        errors = decision_metrics(mean_decisions(human, Continuous(), 200), location)
        scores = histogram_metrics(histograms(human, Continuous(), 200), q_TM, Continuous())
        ranked = crps_ensemble(many_TE[problem_R, :100], value[:, 0])
        truths.append([errors.mae, errors.rmse, scores.avg_wd, ranked])
    floor = human_floor(study(Continuous(), problem_R, value, 200), draws=10)
    mean = floor.decisions["mean"]
    found = [mean.mae, mean.rmse, floor.histogram.avg_wd, floor.crps]
    np.testing.assert_allclose(found, np.mean(truths, axis=0), rtol=0.1)
    assert np.isnan(floor.nll)


@pytest.mark.parametrize("crowd_size", [None, 36])
def test_floor_of_votes_is_what_other_voters_score(crowd_size: int | None) -> None:
    rng = np.random.default_rng(4)
    utility_D = rng.normal(0, 0.8, 24)

    def ballots(count: int) -> np.ndarray:
        rank = np.argsort(np.argsort(-(utility_D + rng.gumbel(size=(count, 24))), axis=1), axis=1)
        return (rank < 5).astype(float)

    rate_D = ballots(40_000).mean(axis=0)
    truths, floors = [], []
    for seed in range(25):
        human = ballots(36)
        for _ in range(8):
            other = 36 * rate_D if crowd_size is None else ballots(crowd_size).sum(axis=0)
            found = vote_metrics(ballots(36).sum(axis=0), other)
            truths.append([found.mae, found.rmse, found.cosine, found.wd_heights])
        test = study(Ballot(5, 5, 24), np.zeros(36, dtype=int), human, 1, (tuple("abcdefghijklmnopqrstuvwx"),))
        floor = vote_floor(test, crowd_size, seed, draws=15)
        floors.append([floor.mae, floor.rmse, floor.cosine, floor.wd_heights])
    np.testing.assert_allclose(np.mean(floors, axis=0)[:3], np.mean(truths, axis=0)[:3], rtol=0.05)
    assert np.mean(floors, axis=0)[3] == pytest.approx(np.mean(truths, axis=0)[3], rel=0.15)


def test_floor_of_votes_has_the_unbiased_variance_of_every_count() -> None:
    """RMSE^2 over options is on average mean_j N s_j^2, s_j^2 the unbiased variance of being picked."""
    ballots = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0.0]])
    test = study(Ballot(1, 1, 3), np.zeros(4, dtype=int), ballots, 1, (("a", "b", "c"),))
    squares = [vote_floor(test, None, seed, draws=1).rmse ** 2 for seed in range(3000)]
    assert np.mean(squares) == pytest.approx(4 * ballots.var(axis=0, ddof=1).mean(), rel=0.06)


def test_larger_crowds_come_closer_to_the_floor_without_limit() -> None:
    rng = np.random.default_rng(5)
    problem_R = np.repeat(np.arange(100), 8)
    test = study(FIVE, problem_R, draw_levels(skewed_truth(100, rng), problem_R, rng), 100)
    few, many, unlimited = (human_floor(test, n, 0).histogram.avg_wd for n in (5, 1000, None))
    assert few > 1.2 * unlimited
    assert many == pytest.approx(unlimited, rel=0.03)


def test_floor_sees_only_problems_that_humans_answered() -> None:
    test = study(FIVE, np.array([0, 0, 2, 2]), np.array([[0.0], [1], [4], [4]]), 3)
    floor = human_floor(test, 10, draws=3)
    assert (floor.histogram.problems, floor.histogram.no_human, floor.histogram.no_crowd) == (2, 1, 0)
    assert floor.decisions["mean"].problems == 2


def test_same_seed_same_floor() -> None:
    test = study(FIVE, np.repeat(np.arange(5), 6), np.arange(30)[:, None] % 5.0, 5)
    assert human_floor(test, 20, 1, draws=3) == human_floor(test, 20, 1, draws=3)
    assert human_floor(test, 20, 1, draws=3) != human_floor(test, 20, 2, draws=3)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (FIVE, [[0.0], [1], [4], [4]]),
        (Choice(3), [[0.0], [1], [2], [2]]),
        (Continuous(0, 1), [[0.0], [0.3], [1], [0.9]]),
        (Ballot(1, 2, 3), [[1.0, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1]]),
        (Points(4, 1, 3), [[4.0, 0, 0], [2, 2, 0], [0, 0, 4], [1, 1, 2]]),
        (Ranking(0, 3), [[1.0, 2, 3], [3, 2, 1], [2, 1, 3], [1, 3, 2]]),
    ],
    ids=lambda x: getattr(x, "kind", ""),
)
def test_fresh_humans_and_perfect_crowds_give_legal_responses(kind: ResponseType, values: list) -> None:
    options = (("a", "b", "c"),) * 2 if kind.has_options else ()
    test = study(kind, np.array([0, 0, 1, 1]), np.array(values), 2, options)
    for draw in floor_draws(test, 6, seed=0, draws=5):
        assert draw.crowd is not None
        for part in (draw.human, draw.crowd):
            option_count = np.full(len(part), 3)
            assert kind.legal(part.values_RD, option_count).all()
        assert set(draw.crowd.problem_R) == {0, 1}
    assert human_floor(test, 6, draws=2).histogram.problems == 2


def test_other_aggregators_are_scored_on_the_same_draws() -> None:
    test = study(FIVE, np.repeat(np.arange(5), 6), np.arange(30)[:, None] % 5.0, 5)
    floor = human_floor(test, 20, 1, 3, {"again": lambda r: mean_decisions(r, FIVE, 5)})
    assert list(floor.decisions) == ["mean", "again"]
    assert floor.decisions["again"] == floor.decisions["mean"]
    with pytest.raises(ConfigError, match="set crowd_size"):
        human_floor(test, None, aggregators={"again": lambda r: mean_decisions(r, FIVE, 5)})


def test_impossible_floors_say_why() -> None:
    test = study(FIVE, np.array([0]), np.array([[1.0]]), 1)
    with pytest.raises(ConfigError, match="at least one draw"):
        human_floor(test, draws=0)
    with pytest.raises(ConfigError, match="crowd of at least one"):
        human_floor(test, 0)
    with pytest.raises(ConfigError, match="no human responses"):
        human_floor(study(FIVE, np.zeros(0, dtype=int), np.zeros((0, 1)), 1))
    with pytest.raises(ConfigError, match="two human responses"):
        human_floor(study(Continuous(), np.array([0]), np.array([[1.0]]), 1))
    with pytest.raises(ConfigError, match="no ballots"):
        vote_floor(test)


def test_prior_finds_the_concentration_that_counts_were_drawn_with() -> None:
    rng = np.random.default_rng(0)
    alpha_M = np.array([4.0, 2.0, 1.0])
    counts_TM = rng.multinomial(10, rng.dirichlet(alpha_M, size=4000)).astype(float)
    mixture = fit_dirichlet_mixture(counts_TM)
    assert len(mixture.weight_K) == 1, "one Dirichlet made them"
    np.testing.assert_allclose(mixture.alpha_KM[0], alpha_M, rtol=0.12)
    symmetric = fit_dirichlet_mixture(rng.multinomial(10, rng.dirichlet(np.ones(3) * 2, size=4000)), symmetric=True)
    np.testing.assert_allclose(symmetric.alpha_KM[0], 2, rtol=0.12)


def test_prior_tells_two_kinds_of_problems_apart() -> None:
    rng = np.random.default_rng(0)
    kinds = np.concatenate([rng.dirichlet([30, 5, 1], size=300), rng.dirichlet([1, 5, 30], size=100)])
    mixture = fit_dirichlet_mixture(rng.multinomial(12, kinds).astype(float))
    np.testing.assert_allclose(np.sort(mixture.weight_K), [0.25, 0.75], atol=0.03)


def test_posterior_draws_average_to_the_conjugate_mean() -> None:
    counts_TM = np.array([[3.0, 1, 0], [0, 0, 0]])
    mixture = fit_dirichlet_mixture(np.random.default_rng(0).multinomial(5, [0.5, 0.3, 0.2], size=50).astype(float))
    assert len(mixture.weight_K) == 1
    rng = np.random.default_rng(1)
    draws = np.array([draw_shares(mixture, counts_TM, rng) for _ in range(2000)])
    posterior = mixture.alpha_KM[0] + counts_TM[0]
    np.testing.assert_allclose(draws[:, 0].mean(axis=0), posterior / posterior.sum(), atol=0.01)
    assert np.isnan(draws[:, 1]).all(), "nothing is made up for a problem nobody answered"


def test_floor_of_offensiveness_agrees_with_the_unbiased_error_of_its_means() -> None:
    """E(mean - truth)^2 = sigma^2 / n, for which s^2 / n is unbiased whatever the distributions are."""
    folder = os.environ.get("CROWDLLM_DATA_DIR")
    path = Path(folder or ".") / "popquorn_offensiveness" / "raw_data.csv"
    if not folder or not path.exists():
        pytest.skip("set CROWDLLM_DATA_DIR to a folder that holds popquorn_offensiveness/raw_data.csv (POPQUORN)")
    with path.open() as file:
        rows = [(row["instance_id"], float(row["offensiveness"])) for row in csv.DictReader(file)]
    _, problem_R = np.unique([r[0] for r in rows], return_inverse=True)
    level_R = np.array([r[1] for r in rows]) - 1
    test = study(FIVE, problem_R, level_R[:, None], 1500)
    n_T = response_counts(test.responses, 1500)
    mean_T = np.bincount(problem_R, weights=level_R) / n_T
    variance_T = np.bincount(problem_R, weights=(level_R - mean_T[problem_R]) ** 2) / (n_T - 1)
    assert human_floor(test).decisions["mean"].rmse == pytest.approx(np.sqrt((variance_T / n_T).mean()), rel=0.03)


def test_the_vote_floor_of_some_options_is_over_their_counts_alone() -> None:
    """The floor's draws are the same, so what is summed over all options is the sum over the two sets of them."""
    rng = np.random.default_rng(5)
    ballots = (rng.random((40, 6)).argsort(axis=1) < 2).astype(float)
    test = study(Ballot(2, 2, 6), np.zeros(40, dtype=int), ballots, 1, (tuple("abcdef"),))
    first = np.array([[True, True, False, False, False, False]])
    whole, some, rest = (vote_floor(test, 100, 0, draws=20, only_TM=only) for only in (None, first, ~first))
    assert 6 * whole.mae == pytest.approx(2 * some.mae + 4 * rest.mae)
