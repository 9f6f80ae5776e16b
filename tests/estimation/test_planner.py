"""The planner: widths by hand, answers where they are worth most, people that are lacking, the split for training."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student_t

from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.errors import ConfigError
from crowdllm.estimation.planner import RECTIFICATION, TRAINING, Ask, allocate, choose_people, purposes
from crowdllm.estimation.training_share import best_training, learning_curve
from crowdllm.estimation.width_model import WidthModel, sums_of_squares
from crowdllm.simulation.groups import EVERYBODY, Groups

COLUMNS = (ProfileColumn("region", "categorical", ("north", "south")),)
GROUPS = Groups((EVERYBODY, ("region", "north"), ("region", "south"), ("region", "(missing)")), COLUMNS, ((),))
INFINITE = np.full(3, np.inf)
VARIANCE = np.array([0.25, 1.0, 2.25])


def people(norths: int, souths: int) -> Profiles:
    region = np.r_[np.zeros(norths), np.ones(souths)]
    return Profiles(COLUMNS, np.array([f"p{i}" for i in range(len(region))], dtype=object), region[:, None])


def half_width(n: int, variance: float) -> float:
    """By SciPy: Student's t with 8 + n - 1 degrees of freedom."""
    return float(student_t.ppf(0.975, 8 + n - 1) * np.sqrt(variance / n))


def test_the_width_is_that_of_students_interval_with_a_prior_worth_eight_answers() -> None:
    model = WidthModel(VARIANCE, INFINITE)
    count, square = np.array([5, 5, 5]), np.array([2.0, 2.0, 2.0])
    variance = model.variance(count, square)
    assert variance == pytest.approx((8 * VARIANCE + 2.0) / 12)
    assert model.width(count, variance)[1] == pytest.approx(2 * half_width(5, (8 + 2) / 12))
    assert np.isinf(model.width(np.zeros(3, dtype=int), VARIANCE)).all()


def test_what_the_crowd_explains_narrows_by_the_root_of_what_is_left() -> None:
    count = np.array([9, 9, 9])
    whole, part = (WidthModel(VARIANCE, INFINITE, left=left).width(count, VARIANCE) for left in (1.0, 0.49))
    assert part == pytest.approx(0.7 * whole)


def test_needed_is_the_smallest_number_that_reaches_the_target() -> None:
    needed = WidthModel(VARIANCE, INFINITE).needed(VARIANCE, 1.0)
    for n, variance in zip(needed, VARIANCE, strict=True):
        assert 2 * half_width(int(n), variance) <= 1.0 < 2 * half_width(int(n) - 1, variance)


def test_a_problem_that_the_crowd_answers_well_enough_needs_nobody() -> None:
    needed = WidthModel(VARIANCE, np.array([0.9, 1.1, np.inf])).needed(VARIANCE, 1.0)
    assert needed[0] == 0
    assert needed[1] > 0


def test_a_large_budget_gives_every_problem_what_it_needs_and_no_more() -> None:
    model = WidthModel(VARIANCE, INFINITE)
    found = allocate(model, np.zeros(3, dtype=int), np.zeros(3), 1.0, 10_000)
    assert found.more_T.tolist() == model.needed(VARIANCE, 1.0).tolist()
    assert found.enough
    assert (found.after_T <= 1.0).all()
    assert found.curve[-1, 0] == found.more_T.sum()


def test_a_small_budget_is_spent_where_the_width_falls_most() -> None:
    count = np.array([20, 20, 4])
    model = WidthModel(np.full(3, 1.0), INFINITE)
    found = allocate(model, count, np.array([19.0, 19.0, 3.0]), 0.1, 6)
    assert found.more_T.tolist() == [0, 0, 6]
    assert not found.enough


def test_the_greedy_allocation_is_as_good_as_the_best_of_all() -> None:
    model, count = WidthModel(VARIANCE, INFINITE), np.array([3, 3, 3])
    found = allocate(model, count, (count - 1) * VARIANCE, 0.01, 7)
    variance = model.variance(count, (count - 1) * VARIANCE)
    every = [(a, b, 7 - a - b) for a in range(8) for b in range(8 - a)]
    best = min(model.width(count + np.array(more), variance).mean() for more in every)
    assert found.after_T.mean() == pytest.approx(best, rel=1e-3)


def test_no_problem_gets_more_answers_than_there_are_people() -> None:
    found = allocate(WidthModel(VARIANCE, INFINITE), np.zeros(3, dtype=int), np.zeros(3), 1.0, 99, np.array([2, 2, 2]))
    assert found.more_T.tolist() == [2, 2, 2]


def test_people_are_asked_until_the_answers_have_the_wanted_mix() -> None:
    # six people of the north have answered; a half-half mix is wanted, so the next six are of the south
    asked = np.zeros((30, 1), dtype=bool)
    asked[:6] = True
    asks = choose_people(
        np.array([6]), np.array([2.0]), np.array([1.0]), people(15, 15), asked, GROUPS, np.array([1.0, 0.5, 0.5, 0.0])
    )
    assert all(ask.person >= 15 for ask in asks)
    assert len({ask.person for ask in asks}) == 6


def test_over_many_problems_the_mix_of_answers_is_the_wanted_one() -> None:
    more = np.full(40, 3)
    asks = choose_people(
        more, np.full(40, 2.0), np.full(40, 1.0), people(60, 20), np.zeros((80, 40), dtype=bool), GROUPS,
        np.array([1.0, 0.75, 0.25, 0.0]),
    )  # fmt: skip
    assert np.mean([ask.person >= 60 for ask in asks]) == pytest.approx(0.25, abs=0.03)


def test_the_questions_are_spread_over_the_people() -> None:
    asks = choose_people(
        np.full(40, 2), np.full(40, 2.0), np.full(40, 1.0), people(10, 10), np.zeros((20, 40), dtype=bool), GROUPS,
        np.array([1.0, 0.5, 0.5, 0.0]),
    )  # fmt: skip
    assert max(np.bincount([ask.person for ask in asks])) <= 6  # 80 questions, 20 people


def test_where_everybody_has_answered_somebody_new_is_needed() -> None:
    everybody = np.ones((2, 1), dtype=bool)
    asks = choose_people(
        np.array([1]), np.array([2.0]), np.array([1.0]), people(1, 1), everybody, GROUPS, np.array([1.0, 0.5, 0.5, 0.0])
    )
    assert [ask.person for ask in asks] == [-1]


def test_no_person_trains_and_rectifies() -> None:
    asks = [Ask(i % 10, i // 10, 1.0) for i in range(60)]
    found = purposes(asks, people(5, 5), 24)
    by_person = {ask.person: {p for a, p in zip(asks, found, strict=True) if a.person == ask.person} for ask in asks}
    assert all(len(kinds) == 1 for kinds in by_person.values())
    assert found.count(TRAINING) == 24
    assert purposes(asks, people(5, 5), 0) == [RECTIFICATION] * 60


def test_the_best_split_is_that_of_a_hand_search() -> None:
    curve = learning_curve((100.0, 400.0), (0.9, 0.6))
    # slope = 0.3 / (1/100 - 1/400) = 40, floor = 0.6 - 0.1 = 0.5
    assert (curve.slope, curve.floor) == (pytest.approx(40.0), pytest.approx(0.5))
    into, gain = best_training(curve, 50, 0, 200)
    variance = {f: min(0.5 + 40 / (50 + f), 1.0) / (200 - f) for f in range(200)}
    assert into == min(variance, key=lambda f: variance[f])
    assert gain == pytest.approx(np.sqrt(variance[into] / variance[0]))


def test_a_flat_curve_trains_on_nothing() -> None:
    assert best_training(learning_curve((100.0, 400.0), (0.8, 0.9)), 400, 0, 200) == (0, 1.0)


def test_sums_of_squares_are_those_around_each_problems_mean() -> None:
    count, square = sums_of_squares(np.array([1.0, 3.0, 5.0]), np.array([0, 0, 2]), 3)
    assert count.tolist() == [2, 0, 1]
    assert square == pytest.approx([2.0, 0.0, 0.0])


def test_settings_out_of_range_are_refused_in_words() -> None:
    model = WidthModel(VARIANCE, INFINITE)
    with pytest.raises(ConfigError, match="above 0"):
        model.needed(VARIANCE, 0.0)
    with pytest.raises(ConfigError, match="widen it"):
        model.needed(VARIANCE, 1e-6)
    with pytest.raises(ConfigError, match="0 or more"):
        allocate(model, np.zeros(3, dtype=int), np.zeros(3), 1.0, -1)
    with pytest.raises(ConfigError, match="at most 1"):
        WidthModel(VARIANCE, INFINITE, left=1.5)
    with pytest.raises(ConfigError, match="rising"):
        learning_curve((400.0, 100.0), (0.9, 0.6))
    with pytest.raises(ConfigError, match="between 0 and 1 answers"):
        purposes([Ask(0, 0, 1.0)], people(1, 0), 2)


def test_with_survey_weights_as_many_answers_count_as_the_weights_leave() -> None:
    plain, weighted = WidthModel(VARIANCE, INFINITE), WidthModel(VARIANCE, INFINITE, effective=0.5)
    few, many = np.array([9, 9, 9]), np.array([18, 18, 18])
    assert weighted.width(many, VARIANCE) == pytest.approx(plain.width(few, VARIANCE))
    assert weighted.width(np.ones(3, dtype=int), VARIANCE) == pytest.approx(
        plain.width(np.ones(3, dtype=int), VARIANCE)
    )
    assert weighted.variance(many, 17.0 * VARIANCE) == pytest.approx((8 * VARIANCE + 8.5 * VARIANCE) / 16)
    needed = (plain.needed(VARIANCE, 1.0), weighted.needed(VARIANCE, 1.0))
    assert (np.abs(needed[1] - 2 * needed[0]) <= 1).all()
    with pytest.raises(ConfigError, match="at most 1"):
        WidthModel(VARIANCE, INFINITE, effective=1.5)


def test_sums_of_squares_are_weighted_and_count_heads() -> None:
    # weights 3 and 1: mean 2, mean square (3 * 1 + 1 * 9) / 4 = 3, for two people
    count, square = sums_of_squares(np.array([1.0, 5.0]), np.array([0, 0]), 2, np.array([3.0, 1.0]))
    assert count.tolist() == [2, 0]
    assert square == pytest.approx([6.0, 0.0])
