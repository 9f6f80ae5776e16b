"""The rectified interval: the humans who were asked, corrected by what the crowd says of exactly these humans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from crowdllm.data.problems import Problems
from crowdllm.data.responses import Responses
from crowdllm.errors import ConfigError
from crowdllm.estimation.estimands import Columns, make_columns
from crowdllm.estimation.rectified import (
    Asked,
    Tuning,
    column_bounds,
    difference_bounds,
    median_bounds,
    ppi_mean,
    tune,
    tune_column,
)
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal

Array = NDArray[np.float64]


def numbers() -> Columns:
    """An open scale: nothing is clipped."""
    problems = Problems(np.array(["q"], dtype=object), np.array(["?"], dtype=object))
    return make_columns(
        Continuous(), problems, Responses(np.arange(3), np.zeros(3, int), np.array([[0.0], [1.0], [2.0]]))
    )


def asked(values: Array, above: Array, problem_R: NDArray[np.int64], frame: float = 1e9) -> Asked:
    columns = numbers()
    pad = np.zeros((len(values), len(columns) - 1))
    count = int(problem_R.max()) + 1
    return Asked(
        columns, problem_R, np.ones(len(values)), np.c_[values, pad], np.c_[above, pad], count, np.full(count, frame)
    )


def made_up(people: int, problems: int, signal: float, seed: int) -> Asked:
    """Answers = own part of the problem + what the crowd knows + what it does not; variances signal^2 and 1."""
    rng = np.random.default_rng(seed)
    problem_R = np.repeat(np.arange(problems), people)
    known = rng.normal(size=people * problems)
    values = rng.normal(0, 3, problems)[problem_R] + signal * known + rng.normal(size=people * problems)
    return asked(values, signal * known, problem_R)


def test_the_estimate_moves_against_the_humans_luck_by_lambda() -> None:
    one = asked(np.array([4.0, 6.0, 1.0, 1.0]), np.array([0.5, 1.5, 0.0, 0.0]), np.array([0, 0, 1, 1]))
    bounds = column_bounds(one, 0, 0.95, Tuning(0.5, 0.2))
    assert bounds.estimate_T.tolist() == [5.0 - 0.5 * 1.0, 1.0]


def test_without_a_crowd_it_is_humans_alone() -> None:
    one = made_up(6, 10, 1.0, 0)
    alone, zero = column_bounds(one, 0), column_bounds(one, 0, tuning=Tuning(0.0, 0.0))
    assert alone.low_T.tolist() == zero.low_T.tolist()


def test_the_tuning_weight_and_the_explained_part_are_recovered() -> None:
    tuned = tune_column(made_up(20, 400, 1.0, 1), 0)
    assert tuned.weight == pytest.approx(1.0, abs=0.05)
    assert tuned.explained == pytest.approx(0.5, abs=0.03)  # signal 1 of a variance of 2


def test_a_crowd_that_knows_nothing_is_not_used() -> None:
    one = made_up(8, 50, 1.0, 2)
    noise = np.random.default_rng(3).normal(size=one.above_RC.shape)
    tuned = tune_column(replace(one, above_RC=-np.abs(noise) * np.sign(one.answer_RC - 100)), 0)
    assert tuned.explained < 0.02
    contrary = replace(one, above_RC=-one.above_RC)
    assert tune_column(contrary, 0) == Tuning()


def test_a_handful_of_answers_is_too_few_to_tune_on() -> None:
    one = made_up(4, 3, 2.0, 4)  # 9 degrees of freedom
    assert tune_column(one, 0) == Tuning()


def test_the_explained_part_pays_for_having_been_fitted() -> None:
    one = made_up(3, 20, 0.5, 5)
    y_R, d_R = one.answer_RC[:, 0], one.above_RC[:, 0]
    e, d = (v - np.repeat(v.reshape(20, 3).mean(axis=1), 3) for v in (y_R, d_R))
    weight = min(float(e @ d / (d @ d)), 1.0)
    left = float(((e - weight * d) ** 2).sum() / (e @ e))
    tuned = tune(one, y_R[:, None], d_R[:, None])
    assert tuned.explained == pytest.approx(1 - left * 41 / 39)  # 40 degrees of freedom


def test_only_what_the_frame_adds_can_be_saved() -> None:
    """Where the humans are the whole frame there is nobody left whom the crowd could speak for."""
    one = made_up(6, 10, 1.0, 6)
    everybody = replace(one, frame_T=np.full(10, 6.0))
    alone, with_crowd = (column_bounds(everybody, 0, tuning=t) for t in (None, Tuning(1.0, 0.5)))
    assert with_crowd.width_T == pytest.approx(alone.width_T)
    large = column_bounds(one, 0, tuning=Tuning(1.0, 0.5))
    assert large.width_T / alone.width_T == pytest.approx(np.full(10, np.sqrt(0.5)))


@pytest.mark.parametrize("seed", range(5))
def test_a_rectified_interval_is_never_wider_than_humans_alone(seed: int) -> None:
    one = made_up(5, 30, 0.3 * seed, seed)
    alone, together = column_bounds(one, 0), column_bounds(one, 0, tuning=tune_column(one, 0))
    assert (together.width_T <= alone.width_T * (1 + 1e-12)).all()


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Six people per problem, 4,000 problems with truth 0: 95 % within three standard errors of the count."""
    rng = np.random.default_rng(7)
    problem_R = np.repeat(np.arange(4000), 6)
    known = rng.normal(size=24_000)
    one = asked(known + rng.normal(size=24_000), known, problem_R)
    for tuning in (None, tune_column(one, 0)):
        bounds = column_bounds(one, 0, 0.95, tuning)
        covered = float(((bounds.low_T <= 0) & (bounds.high_T >= 0)).mean())
        assert covered == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 4000) + 0.005)


def test_intervals_stay_on_the_scale() -> None:
    problems = Problems(np.array(["q"], dtype=object), np.array(["?"], dtype=object))
    columns = make_columns(
        Ordinal(("1", "2", "3")), problems, Responses(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 1)))
    )
    values = columns.encode(np.array([[0.0], [0.0], [2.0], [1.0]]))
    one = Asked(columns, np.array([0, 0, 1, 1]), np.ones(4), values, np.zeros(values.shape), 3, np.full(3, 99.0))
    for bounds in (column_bounds(one, 0), median_bounds(one)):
        assert (bounds.low_T[:2] >= 1).all()
        assert (bounds.high_T[:2] <= 3).all()
        assert np.isnan(bounds.low_T[2])  # nobody answered the third problem
    share = column_bounds(one, 1)
    assert share.estimate_T[0] == 1.0
    assert share.low_T[0] < 1.0
    assert share.high_T[0] == 1.0


def test_survey_weights_move_the_mean_and_widen_the_interval() -> None:
    one = asked(np.array([1.0, 5.0, 2.0, 4.0]), np.zeros(4), np.array([0, 0, 1, 1]))
    weighted = replace(one, weight_R=np.array([3.0, 1.0, 1.0, 1.0]))
    bounds = column_bounds(weighted, 0)
    assert bounds.estimate_T.tolist() == [2.0, 3.0]
    assert bounds.width_T[0] > bounds.width_T[1]


def test_what_the_same_people_have_in_common_cancels_in_a_difference() -> None:
    """Two problems, the same 40 people whose answers differ between problems by little: far narrower than separate."""
    rng = np.random.default_rng(8)
    person = rng.normal(size=40)
    values = np.r_[person + 0.1 * rng.normal(size=40), 1 + person + 0.1 * rng.normal(size=40)]
    one = asked(values, np.zeros(80), np.repeat([0, 1], 40))
    first, second = np.array([1]), np.array([0])
    separate = difference_bounds(one, 0, first, second)
    same = difference_bounds(replace(one, participant_R=np.tile(np.arange(40), 2)), 0, first, second)
    assert same.width_T[0] < 0.6 * separate.width_T[0]
    assert same.low_T[0] < 1 < same.high_T[0]


def test_the_variance_of_an_independent_difference_is_the_sum() -> None:
    one = made_up(10, 2, 0.0, 9)
    each = column_bounds(one, 0)
    both = difference_bounds(one, 0, np.array([0]), np.array([1]))
    assert both.variance_T[0] == pytest.approx(each.variance_T.sum())


def test_ppi_without_humans_or_with_wrong_weights_is_refused() -> None:
    with pytest.raises(ConfigError, match="two or more humans"):
        ppi_mean(np.ones(1), np.ones(1), np.ones(5))
    with pytest.raises(ConfigError, match="survey weights"):
        ppi_mean(np.ones(3), np.ones(3), np.ones(5), weight_n=np.array([1.0, -1.0, 1.0]))


def strict_people_asked_too_often(
    seed: int, problems: int = 60, frame: int = 150, each: int = 20
) -> tuple[Asked, Array]:
    """Half of the population is strict, but three quarters of those who answer are; weights put that right.

    Person i feels b_t + s_t a_i + N(0, 1) about problem t, a_i ~ N(+-.8, .6^2), and answers in five levels by fixed
    cuts; the crowd knows .6 of a_i with noise. Returns the answers, and the true means (by SciPy).
    """
    rng = np.random.default_rng(seed)
    base, sign = rng.normal(0, 0.8, problems), rng.choice([-1.0, 1.0], problems)
    strict = rng.random(frame) < 0.75
    attitude, weight = np.where(strict, 0.8, -0.8) + 0.6 * rng.standard_normal(frame), np.where(strict, 1 / 3, 1.0)
    person = np.concatenate([rng.choice(frame, each, replace=False) for _ in range(problems)])
    problem = np.repeat(np.arange(problems), each)
    felt = base[problem] + sign[problem] * attitude[person] + rng.standard_normal(len(person))
    cuts = np.array([-1.5, -0.5, 0.5, 1.5])
    level = (felt[:, None] > cuts).sum(axis=1)
    said = 0.6 * sign * attitude[:, None] + 0.3 * rng.standard_normal((frame, problems))
    above = (said - weight @ said / weight.sum())[person, problem]
    ids = np.array([f"q{t}" for t in range(problems)], dtype=object)
    columns = make_columns(
        Ordinal(("1", "2", "3", "4", "5")), Problems(ids, ids), Responses(person, problem, level[:, None].astype(float))
    )
    answer = columns.encode(level[:, None].astype(float))
    kish = weight.sum() ** 2 / (weight**2).sum()
    truth = 1 + np.mean(
        [norm.cdf((base[:, None] + half - cuts) / np.sqrt(1 + 0.6**2)).sum(axis=1) for half in (0.8, -0.8)], axis=0
    )
    padded = np.c_[above, np.zeros((len(above), answer.shape[1] - 1))]
    made = Asked(columns, problem, weight[person], answer, padded, problems, np.full(problems, kish), None, person)
    return made, truth


def test_weighted_intervals_hold_the_truth_that_unweighted_ones_miss() -> None:
    held: dict[str, list[float]] = {"humans": [], "rectified": [], "unweighted": []}
    width: dict[str, list[float]] = {"humans": [], "rectified": []}
    for seed in range(25):
        made, truth = strict_people_asked_too_often(seed)
        bounds = {
            "humans": column_bounds(made, 0), "rectified": column_bounds(made, 0, tuning=tune_column(made, 0)),
            "unweighted": column_bounds(replace(made, weight_R=np.ones(len(made.weight_R))), 0),
        }  # fmt: skip
        for name, found in bounds.items():
            held[name].append(float(((found.low_T <= truth) & (truth <= found.high_T)).mean()))
            if name in width:
                width[name].append(float(found.width_T.mean()))
    assert 0.93 <= np.mean(held["humans"]) <= 0.97
    assert 0.93 <= np.mean(held["rectified"]) <= 0.97
    assert np.mean(width["rectified"]) < 0.9 * np.mean(width["humans"])
    assert np.mean(held["unweighted"]) < 0.85
