"""Subgroups: what is too wide says so, and an over-confident crowd is told from an honest one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError, MismatchError
from crowdllm.estimation.subgroup_trust import default_limit, flag_wide, overconfident, shown, trust_frame
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.simulation.groups import EVERYBODY, Groups

COLUMNS = (ProfileColumn("region", "categorical", ("north", "south", "east", "west")),)
GROUPS = Groups((EVERYBODY, *(("region", level) for level in (*COLUMNS[0].levels, "(missing)"))), COLUMNS, ((),))
PROBLEMS = 15


def crowd_of(people: int, seed: int, west: float = 0.0, share: float = 1.0, trait: float = 0.7) -> Study:
    """Everybody answers `share` of the problems: mean 0, a personal trait, noise; the west is `west` higher."""
    rng = np.random.default_rng(seed)
    region = rng.integers(4, size=people).astype(float)
    person, problem = np.repeat(np.arange(people), PROBLEMS), np.tile(np.arange(PROBLEMS), people)
    kept = rng.random(len(person)) < share
    person, problem = person[kept], problem[kept]
    value = (
        trait * rng.standard_normal(people)[person] + rng.standard_normal(len(person)) + west * (region[person] == 3)
    )
    texts = np.array([f"question {t}" for t in range(PROBLEMS)], dtype=object)
    ids = np.array([f"p{i}" for i in range(people)], dtype=object)
    return Study(
        "made up", Continuous(), Problems(texts, texts), Profiles(COLUMNS, ids, region[:, None]),
        Responses(person, problem, value[:, None]),
    )  # fmt: skip


def verdicts(human: Study, crowd: Study, **settings: int) -> dict[str, str]:
    return {row.level: row.verdict for row in overconfident(human, crowd, GROUPS, draws=199, **settings)}


def test_a_group_that_the_crowd_gets_wrong_is_over_confident_and_the_others_are_not() -> None:
    found = verdicts(crowd_of(200, 0, west=1.5, share=0.5), crowd_of(2000, 1))
    assert found["west"] == "over-confident"
    assert {found[level] for level in ("north", "south", "east")} == {"no evidence against it"}
    assert found["(missing)"] == "too few people"


def test_an_honest_crowd_is_rarely_called_over_confident_although_people_answer_many_problems() -> None:
    false = [
        "over-confident" in verdicts(crowd_of(160, 2 * seed, share=0.5), crowd_of(1000, 2 * seed + 1)).values()
        for seed in range(40)
    ]
    assert np.sum(false) <= 6  # 2 are expected at 5 % of 40


def test_the_p_values_are_corrected_for_the_number_of_groups() -> None:
    rows = [r for r in overconfident(crowd_of(160, 4), crowd_of(1000, 5), GROUPS, draws=199) if not np.isnan(r.p)]
    least = min(rows, key=lambda r: r.p)
    assert least.p_holm == pytest.approx(min(1.0, len(rows) * least.p))
    assert all(row.p_holm >= row.p for row in rows)
    assert len(trust_frame(tuple(rows))) == 5


def test_widen_says_how_far_the_simulated_intervals_fall_short() -> None:
    # on every problem the west lies 1.5 off; the crowd's standard error there is sqrt((0.49 + 1) / 500) = 0.0546
    row = next(
        r for r in overconfident(crowd_of(400, 6, west=1.5), crowd_of(2000, 7), GROUPS, draws=99) if r.level == "west"
    )
    assert row.widen == pytest.approx(1.5 / 0.0546, rel=0.25)
    assert row.simulated_width < row.human_width


def test_a_wide_interval_never_stands_without_saying_so() -> None:
    assert shown(3.0, 2.8, 3.2, 1.0) == "3.00 [2.80, 3.20]"
    assert shown(3.0, 2.0, 4.0, 1.0).startswith("too uncertain: somewhere in [2.00, 4.00]")
    assert shown(np.nan, np.nan, np.nan, 1.0) == "no estimate"
    flagged = flag_wide(pd.DataFrame({"low": [2.8, 2.0, np.nan], "high": [3.2, 4.0, np.nan]}), 1.0)
    assert flagged["too_wide"].tolist() == [False, True, True]
    with pytest.raises(ConfigError, match="above 0"):
        flag_wide(flagged, 0.0)


def test_the_default_limit_is_a_quarter_of_the_scale_or_twenty_points_of_a_share() -> None:
    assert default_limit(Ordinal(("1", "2", "3", "4", "5"))) == 1.0
    assert default_limit(Continuous(0.0, 100.0)) == 25.0
    assert default_limit(Choice(3)) == 0.2
    with pytest.raises(ConfigError, match="state the widest"):
        default_limit(Continuous())


def test_a_crowd_with_other_problems_or_no_numbers_is_refused() -> None:
    human = crowd_of(40, 8)
    other = replace(human, problems=Problems(human.problems.ids[::-1], human.problems.texts))
    with pytest.raises(MismatchError, match="other problems"):
        overconfident(human, other, GROUPS)
    with pytest.raises(MismatchError, match="means on a scale"):
        overconfident(replace(human, response_type=Choice(3)), human, GROUPS)
    with pytest.raises(ConfigError, match="at least 19 draws"):
        overconfident(human, human, GROUPS, draws=5)


def test_survey_weights_decide_whom_the_crowd_is_held_against() -> None:
    # nine of ten who answered are of the west, which answers higher; the crowd, and the population, have a quarter
    asked = crowd_of(600, 8, west=1.5, share=0.5)
    west = asked.profiles.values_NC[:, 0] == 3
    keep = np.flatnonzero(west | (np.arange(600) % 20 == 0))
    human = asked.subset(np.arange(PROBLEMS), keep)
    crowd = crowd_of(2000, 9, west=1.5)
    weights = np.where(west[keep], 1.0, 3.0 * west[keep].sum() / (~west[keep]).sum())
    by_weight, alike = (
        next(r for r in overconfident(h, crowd, GROUPS, draws=199) if not r.column)
        for h in (replace(human, weights_N=weights), human)
    )
    assert alike.verdict == "over-confident"
    assert by_weight.verdict == "no evidence against it"


def test_equal_survey_weights_change_no_row() -> None:
    human, crowd = crowd_of(80, 10, share=0.5), crowd_of(400, 11)
    plain, same = (
        trust_frame(overconfident(h, crowd, GROUPS, draws=99))
        for h in (human, replace(human, weights_N=np.full(80, 3.0)))
    )
    pd.testing.assert_frame_equal(plain, same)
