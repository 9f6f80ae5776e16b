"""The bias audit, on surveys whose shares are known: distances by hand, differences kept or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.responses.choice import Choice
from crowdllm.survey_tuning.answers import Shares
from crowdllm.survey_tuning.audit import audit, between_variance, compare_between

Array = NDArray[np.float64]
LEANING = "leaning"


def shares_of_answers(study: Study, of: Mapping[tuple[str, int], tuple[float, ...]], points: bool = True) -> Shares:
    """The model that has these shares in each group and problem."""
    answers = study.responses
    groups = study.profiles.columns[0].levels
    code_R = study.profiles.values_NC[answers.participant_R, 0].astype(int)
    p_RM = np.array([of[groups[g], t] for g, t in zip(code_R, answers.problem_R.tolist(), strict=True)])
    values_RM = np.tile(np.arange(4.0), (len(p_RM), 1))
    points_RM = values_RM + 1 if points else np.full_like(values_RM, np.nan)
    with np.errstate(divide="ignore"):
        return Shares(np.log(p_RM), values_RM, points_RM, np.zeros(len(p_RM)))


def pooled(of: Mapping[tuple[str, int], tuple[float, ...]]) -> dict[tuple[str, int], tuple[float, ...]]:
    mean = {t: (np.array(of["left", t]) + np.array(of["right", t])) / 2 for t in range(2)}
    return {(g, t): tuple(mean[t]) for g, t in of}


def opposite_ends(of: Mapping[tuple[str, int], tuple[float, ...]]) -> dict[tuple[str, int], tuple[float, ...]]:
    """Everybody in a group gives the extreme answer on their side."""
    up = {("right", 0), ("left", 1)}
    return {key: (0.0, 0.0, 0.0, 1.0) if key in up else (1.0, 0.0, 0.0, 0.0) for key in of}


def test_variance_between_groups_is_what_is_left_beyond_chance() -> None:
    x_RD = np.array([[0.0], [2.0], [4.0], [6.0]])
    one, problem_R, group_R = np.ones(4), np.zeros(4, dtype=int), np.array([0, 0, 1, 1])
    # means 1 and 5: 4; each group's answers have variance 2, so chance gives 2 * (1/2 * 1/2 * 2 / 2) = 1/2
    assert between_variance(x_RD, one, problem_R, group_R) == pytest.approx(3.5)
    assert between_variance(x_RD, 7 * one, problem_R, group_R) == pytest.approx(3.5)
    assert between_variance(np.full((4, 1), 3.0), one, problem_R, group_R) == 0.0
    # twice the numbers of an answer, twice the sum; those of another problem are added
    twice = between_variance(np.hstack([x_RD, x_RD]), one, problem_R, group_R)
    both = between_variance(np.vstack([x_RD, x_RD]), np.ones(8), np.repeat([0, 1], 4), np.tile(group_R, 2))
    assert twice == both == pytest.approx(7.0)


def test_weights_stand_for_people() -> None:
    x_RD, weight_R = np.array([[0.0], [2.0], [4.0], [6.0]]), np.array([3.0, 1.0, 1.0, 1.0])
    # shares 2/3 and 1/3, means 1/2 and 5: 2/9 * 81/4 = 9/2. Variances: 3/4 / (1 - 10/16) = 2 with 10/16 of it in the
    # mean, and 2 with 1/2: chance 2/9 * (2 * 10/16 + 2 * 1/2) = 1/2
    found = between_variance(x_RD, weight_R, np.zeros(4, dtype=int), np.array([0, 0, 1, 1]))
    assert found == pytest.approx(4.0)


def test_groups_of_one_answer_and_people_of_no_group_do_not_count() -> None:
    x_RD = np.array([[0.0], [2.0], [4.0], [6.0], [100.0], [50.0]])
    group_R = np.array([0, 0, 1, 1, 2, -1])
    assert between_variance(x_RD, np.ones(6), np.zeros(6, dtype=int), group_R) == pytest.approx(3.5)
    assert between_variance(x_RD, np.ones(6), np.zeros(6, dtype=int), np.full(6, -1)) == 0.0
    assert between_variance(x_RD[:2], np.ones(2), np.zeros(2, dtype=int), np.zeros(2, dtype=int)) == 0.0


def test_true_shares_keep_differences_and_pooled_ones_flatten_them(two_groups: Any, shares_of: Any) -> None:
    study = two_groups(200)
    found = audit(study, shares_of_answers(study, pooled(shares_of)), shares_of_answers(study, shares_of))
    (leaning,) = [c for c in found.columns if c.column == LEANING]
    assert leaning.groups == 2
    assert (leaning.before.ratio, leaning.before.verdict) == (0.0, "flattened")
    assert leaning.after.verdict == "kept"
    # group means 1.75 and 3.4, 3 and 2; variances within them .7875 and .74, 1 and 1, each over 199 people
    between, chance = (0.825**2 + 0.5**2) / 2, (0.7875 + 0.74 + 1 + 1) / 4 / 199 / 2
    assert leaning.human == pytest.approx(between - chance)
    assert leaning.after.ratio == pytest.approx(between / leaning.human)
    assert leaning.after.low < leaning.after.ratio < leaning.after.high


def test_extreme_groups_exaggerate_differences(two_groups: Any, shares_of: Any) -> None:
    study = two_groups(200)
    found = audit(study, shares_of_answers(study, shares_of), shares_of_answers(study, opposite_ends(shares_of)))
    (leaning,) = [c for c in found.columns if c.column == LEANING]
    assert leaning.after.verdict == "exaggerated"
    assert leaning.after.ratio == pytest.approx(2.25 / leaning.human)  # 1 against 4 in both questions


def test_no_ratio_is_given_where_humans_do_not_differ(shares_of: Any, two_groups: Any) -> None:
    study = two_groups(40)
    answers = study.responses
    tea = np.flatnonzero(answers.problem_R == 0)
    given = np.tile([0.0, 1.0, 2.0, 3.0], 20)[answers.participant_R[tea]]  # the same in both groups
    same = Responses(answers.participant_R[tea], answers.problem_R[tea], given[:, None])
    study = replace(study, responses=same)
    extreme = shares_of_answers(study, opposite_ends(shares_of))
    (leaning,) = [c for c in audit(study, extreme, extreme).columns if c.column == LEANING]
    assert leaning.human < 0
    assert leaning.after.verdict == "no clear human differences"
    assert np.isnan(leaning.after.ratio)


def test_options_differ_by_the_share_of_each(two_groups: Any, shares_of: Any) -> None:
    study = two_groups(200)
    options = (("a", "b", "c", "d"), ("e", "f", "g", "h"))
    study = replace(study, response_type=Choice(4), problems=replace(study.problems, options=options))
    after = shares_of_answers(study, shares_of, points=False)
    found = audit(study, after, after)
    (leaning,) = [c for c in found.columns if c.column == LEANING]
    gaps = [(np.array(shares_of["left", t]) - np.array(shares_of["right", t])) / 2 for t in range(2)]
    assert leaning.after.ratio * leaning.human == pytest.approx(sum(float(g @ g) for g in gaps) / 2)
    assert leaning.after.verdict == "kept"
    assert np.isnan(found.groups[0].wd_after)
    assert set(found.to_frame()["measure"]) == {"kl", "between_ratio"}


def test_distances_of_a_group_are_those_of_its_own_people(two_groups: Any, shares_of: Any) -> None:
    study = two_groups(40)
    found = audit(study, shares_of_answers(study, pooled(shares_of)), shares_of_answers(study, shares_of))
    left = next(g for g in found.groups if g.level == "left")
    assert left.people == 40
    assert left.wd_after == pytest.approx(0.0, abs=1e-12)
    p, q = (np.array([of["left", t] for t in range(2)]) for of in (shares_of, pooled(shares_of)))
    assert left.kl_after == pytest.approx((p * np.log(p / (0.99 * p + 0.0025))).sum() / 2)
    assert left.kl_before == pytest.approx((p * np.log(p / (0.99 * q + 0.0025))).sum() / 2)
    assert left.wd_before == pytest.approx(np.abs(np.cumsum(p - q, axis=1)).sum() / 2)


def test_temperature_is_part_of_what_is_compared(two_groups: Any, shares_of: Any) -> None:
    study = two_groups(40)
    true = shares_of_answers(study, shares_of)
    greedy = next(g for g in audit(study, true, true, 1.0, 0.0).groups if g.level == "left")
    assert greedy.wd_before == pytest.approx(0.0, abs=1e-12)
    assert greedy.wd_after == pytest.approx((0.75 + 1.0) / 2)  # means 1.75 against 1, 3 against 4


def test_small_groups_are_counted_and_left_out(two_groups: Any, shares_of: Any) -> None:
    study = two_groups(40)
    few = study.subset(np.arange(2), np.r_[0:40, 40:45])
    shares = shares_of_answers(few, shares_of)
    found = audit(few, shares, shares)
    assert [g.level for g in found.groups if g.column == LEANING] == ["left"]
    assert found.too_small == 1
    assert not [c for c in found.columns if c.column == LEANING]
    with pytest.raises(MismatchError, match="no group has 50 of the 45 held-out people.*held_out"):
        audit(few, shares, shares, min_people=50)


def test_distributions_of_other_answers_are_refused(two_groups: Any, shares_of: Any) -> None:
    study = two_groups(20)
    shares = shares_of_answers(study, shares_of)
    with pytest.raises(MismatchError, match="3 and 80 for 80 answers"):
        audit(study, shares.take(np.arange(3)), shares)


def test_an_interval_holds_the_true_ratio_about_as_often_as_it_says() -> None:
    """Simulated differences are half of the true ones (ratio 1/4); 100 people per group, 60 surveys."""
    held = 0
    rng = np.random.default_rng(5)
    group_N = np.repeat([0, 1], 100)
    answers = Responses(np.arange(200), np.zeros(200, dtype=int), np.zeros((200, 1)))
    for _ in range(60):
        human = rng.standard_normal((200, 1)) + 2.0 * group_N[:, None]
        _, (found,) = compare_between(human, [1.0 * group_N[:, None]], answers, group_N)
        held += found.low <= 0.25 <= found.high
    assert held >= 51  # 57 expected, SD 1.7
