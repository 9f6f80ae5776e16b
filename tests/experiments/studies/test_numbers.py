"""The arithmetic of the studies: running means, smaller training parts, workers reached, money, and intervals."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from crowdllm.data.study import Study
from crowdllm.datasets import load_dataset
from crowdllm.errors import ConfigError, MismatchError, UnknownNameError
from crowdllm.evaluation.intervals import Interval
from crowdllm.experiments.studies.cost import Config as CostConfig
from crowdllm.experiments.studies.cost import different_llms, reached_within, workers
from crowdllm.experiments.studies.crowd_size import DIVERSE, ONE_BELIEF, ONE_PROFILE
from crowdllm.experiments.studies.crowd_size import Config as SizeConfig
from crowdllm.experiments.studies.crowd_size import measure as measure_size
from crowdllm.experiments.studies.crowds import running_means, same_profile
from crowdllm.experiments.studies.data_size import Config as DataConfig
from crowdllm.experiments.studies.data_size import measure as measure_data
from crowdllm.experiments.studies.money import Call, Prices, Way, break_even, calls_table, costs
from crowdllm.experiments.studies.profiles import Config as ProfileConfig
from crowdllm.experiments.studies.profiles import measure as measure_profiles
from crowdllm.experiments.studies.protocol import Data
from crowdllm.experiments.studies.summary import (
    Claim,
    above,
    all_of,
    below,
    curve,
    difference,
    interval,
    number,
    over_seeds,
    sort_claims,
)
from crowdllm.experiments.studies.training_part import (
    PEOPLE,
    PER_PROBLEM,
    PROBLEMS,
    RESPONSES,
    place_in_problem,
    smaller_part,
)

NAN = float("nan")
SMALL = "synthetic:participants=40,problems=20,per_participant=10"


@pytest.fixture(scope="module")
def small() -> Study:
    return load_dataset("synthetic", participants=40, problems=20, per_participant=10)


def test_running_means_leave_out_missing_answers() -> None:
    means = running_means(np.array([[1.0, 3.0, 5.0], [NAN, 2.0, NAN], [NAN, NAN, NAN]]))
    assert means[0] == pytest.approx([1, 2, 3])
    assert np.isnan(means[1, 0])
    assert means[1, 1:] == pytest.approx([2, 2])
    assert np.isnan(means[2]).all()


def test_same_profile_gives_everybody_one_profile_under_their_own_ids(small: Study) -> None:
    alike = same_profile(small.profiles, 3)
    assert (alike.values_NC == small.profiles.values_NC[3]).all()
    assert list(alike.ids) == list(small.profiles.ids)


def pairs(study: Study) -> set[tuple[str, str]]:
    r = study.responses
    return set(zip(study.profiles.ids[r.participant_R], study.problems.ids[r.problem_R], strict=True))


@pytest.mark.parametrize("factor", [PROBLEMS, PEOPLE, RESPONSES, PER_PROBLEM])
def test_a_smaller_part_is_contained_in_a_larger_one(small: Study, factor: str) -> None:
    parts = [pairs(smaller_part(small, factor, count, seed=4)) for count in (2, 5)]
    assert parts[0] < parts[1] < pairs(small)


def test_a_smaller_part_has_the_number_asked_for(small: Study) -> None:
    assert len(smaller_part(small, PROBLEMS, 3, 0).problems) == 3
    assert len(smaller_part(small, PEOPLE, 3, 0).profiles) == 3
    assert len(smaller_part(small, RESPONSES, 3, 0).responses) == 3
    per_problem = np.bincount(smaller_part(small, PER_PROBLEM, 3, 0).responses.problem_R)
    assert set(per_problem) == {3}


def test_problems_without_a_response_are_no_longer_there(small: Study) -> None:
    part = smaller_part(small, RESPONSES, 1, 0)
    assert (len(part.problems), len(part.profiles)) == (1, 1)


def test_too_large_a_part_and_an_unknown_factor_are_refused(small: Study) -> None:
    with pytest.raises(ConfigError, match="21 problems of 20"):
        smaller_part(small, PROBLEMS, 21, 0)
    with pytest.raises(UnknownNameError, match="problems"):
        smaller_part(small, "problem", 1, 0)


def test_places_in_a_problem_count_up_from_zero() -> None:
    problem_R = np.array([1, 0, 1, 1, 0])
    place_R = place_in_problem(problem_R, np.random.default_rng(0))
    assert sorted(place_R[problem_R == 1]) == [0, 1, 2]
    assert sorted(place_R[problem_R == 0]) == [0, 1]


def test_workers_reached_stays_once_it_was_within_and_within_does_not() -> None:
    human = np.array([3.0, 3.0, NAN])
    crowd = np.array([[1.0, 5.0, 5.0], [3.4, 3.0, 3.0], [3.0, 3.0, 3.0]])
    # means: 1, 3, 3.67 and 3.4, 3.2, 3.13: within .25 of 3 at n = 2 only, and from n = 2 on; nobody rated the third
    table = reached_within(human, crowd, 0.25)
    assert list(table["reached"]) == [0.0, 1.0, 1.0]
    assert list(table["within"]) == [0.0, 1.0, 0.5]


def test_a_worker_without_an_answer_reaches_nothing() -> None:
    table = reached_within(np.array([3.0]), np.array([[NAN, 3.0]]), 0.1)
    assert list(table["reached"]) == [0.0, 1.0]


def test_too_few_recorded_llms_are_refused(small: Study) -> None:
    with pytest.raises(MismatchError, match="8 LLM workers need as many"):
        different_llms(None, small, 8, 0)


def test_break_even_is_where_both_ways_cost_the_same() -> None:
    person, reference, prices = Call(300, 5, 0.003), Call(200, 5, 0.002), Prices(human=0.5)
    assert break_even(prices, Way("8", 8), person, reference, 100) == pytest.approx(8 * 0.002 / 0.003)
    # 10 responses at .5 over 100 problems are .05 a problem
    assert break_even(prices, Way("1", 1, 10), person, reference, 100) == pytest.approx((0.002 + 0.05) / 0.003)
    assert math.isnan(break_even(prices, Way("each", 0), person, reference, 100))


def test_costs_per_thousand_decisions_follow_from_one_call() -> None:
    calls = pd.DataFrame(
        {
            "call": ["person", "reference"],
            "input_tokens": [300.0, 200.0],
            "output_tokens": [5.0, 5.0],
            "money": [0.003, 0.002],
            "problems": 100,
            "human_responses": 500,
        }
    )
    prices = Prices(draws=(8,), people=(1, 20), human=0.5, few=10)
    table = costs(prices, calls).set_index(["way", "crowd_size"])
    assert table.loc[("a prompt per person", 20), "calls"] == 1000
    assert table.loc[("a prompt per person", 20), "money"] == pytest.approx(3.0)
    assert table.loc[("8 references per problem", 20), "calls"] == pytest.approx(400)
    assert table.loc[("8 references per problem", 20), "money"] == pytest.approx(0.8)
    assert table.loc[("8 references per problem", 1), "input_tokens"] == pytest.approx(1_600_000)
    # one reference for 20 people, and 10 responses at .5 over 2,000 decisions
    assert table.loc[("1 reference, 10 human responses", 20), "money"] == pytest.approx(1000 * (0.002 / 20 + 5 / 2000))


def test_a_prompt_in_persona_is_longer_than_one_without() -> None:
    table = calls_table(Data(SMALL), Prices()).set_index("call")
    assert table.loc["person", "input_tokens"] > table.loc["reference", "input_tokens"]
    assert set(table["problems"]) == {20}


def test_over_seeds_gives_mean_and_students_interval() -> None:
    table = pd.DataFrame({"method": "a", "seed": [0, 1, 2], "mae": [1.0, 2.0, 3.0], "x": [NAN, NAN, NAN]})
    row = over_seeds(table, ("method",), ("mae", "x")).iloc[0]
    # t(2, .975) = 4.3027, s = 1: half = 4.3027 / sqrt(3)
    assert (row["mean"], row["seeds"]) == (2.0, 3)
    assert row["high"] - row["mean"] == pytest.approx(4.3027 / math.sqrt(3), abs=1e-4)
    assert len(over_seeds(table, ("method",), ("x",))) == 0


def test_a_difference_is_over_the_seeds_that_both_have() -> None:
    table = pd.DataFrame({"method": ["a", "a", "b"], "seed": [0, 1, 1], "mae": [9.0, 3.0, 1.0]})
    found = difference(table, "mae", {"method": "a"}, {"method": "b"})
    assert found is not None
    assert (found.mean, found.count) == (2.0, 1)
    assert difference(table, "mae", {"method": "a"}, {"method": "c"}) is None
    assert interval(table, "mae", {"method": "c"}) is None


def test_numbers_in_sentences() -> None:
    table = pd.DataFrame({"method": "a", "seed": [0, 1, 2], "mae": [1.0, 1.01, 0.99]})
    assert number(interval(table, "mae", {"method": "a"})) == "1.000 ±.025"
    assert number(interval(table, "mae", {"seed": 0})) == "1.000"
    assert number(None) == "not measured"


def test_a_line_has_only_the_points_asked_for_in_order() -> None:
    table = pd.DataFrame({"n": [5, 1, 2], "metric": "mae", "mean": [0.5, 1.0, 2.0], "low": NAN, "high": NAN})
    line = curve(table, "a", "n", {"metric": "mae"}, at=(1, 5))
    assert line is not None
    assert (line.x, line.mean) == ((1.0, 5.0), (1.0, 0.5))
    assert curve(table, "a", "n", {"metric": "rmse"}) is None


def test_claims_are_sorted_by_what_became_of_them() -> None:
    found = sort_claims([Claim(True, "a"), Claim(None, "b"), Claim(False, "c"), Claim(True, "d")])
    assert (found.agrees, found.differs, found.undecided) == (("a", "d"), ("c",), ("b",))


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.1, 0.3, True), (-0.3, -0.1, False), (-0.1, 0.3, None), (NAN, NAN, True)]
)
def test_above_needs_the_whole_interval(low: float, high: float, verdict: bool | None) -> None:
    found = Interval(0.2, low, high, 3)
    assert above(found) is verdict
    assert below(found, 0.0) is (None if verdict is None else not verdict)


def test_all_of_is_false_before_it_is_open() -> None:
    assert all_of([True, None, False]) is False
    assert all_of([True, None]) is None
    assert all_of([True, True]) is True


def test_a_piece_is_the_same_twice() -> None:
    config = SizeConfig((0,), largest=6, dataset=SMALL, references="none")
    first, second = (measure_size(config, "tfidf", "pooled", 1.0, 3) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_crowd_size_measures_every_kind_of_people_at_every_size() -> None:
    tiny = "synthetic:participants=12,problems=10,per_participant=5"
    config = SizeConfig((0,), largest=6, fixed=1, dataset=tiny, references="none")
    table = measure_size(config, "tfidf", "crowdllm", 1.0, 0)
    assert set(table["profiles"]) == {DIVERSE, ONE_PROFILE, ONE_BELIEF}
    assert list(table[table["profiles"] == DIVERSE]["crowd_size"]) == [1, 2, 3, 4, 5, 6]
    assert table["resolved"].between(0, 1).all()


def test_the_human_floor_falls_with_the_crowd() -> None:
    config = SizeConfig((0,), largest=30, dataset=SMALL, references="none", floor_draws=60)
    mae = measure_size(config, "tfidf", "human-floor", 1.0, 0)["mae"]
    assert mae.iloc[0] > mae.iloc[4] > mae.iloc[29] > 0


def test_data_size_counts_what_was_trained_on() -> None:
    config = DataConfig((0,), dataset=SMALL, references="none", crowd_size=10)
    row = measure_data(config, "tfidf", "pooled", RESPONSES, 7, 0).iloc[0]
    assert row["responses"] == 7
    assert row["rmse"] >= row["mae"] > 0


def test_shares_of_every_profile_column_add_up_to_one() -> None:
    table = measure_profiles(ProfileConfig((0,), recruits=500), SMALL, 0)
    assert set(table["people"]) == {"crowdllm", "independent columns (paper)", "other humans", "held-out humans"}
    shares = table[table["kind"] == "share"]
    totals = shares.groupby(["people", "columns"])["value"].sum()
    assert totals.to_numpy() == pytest.approx(np.ones(len(totals)))


def test_workers_of_a_baseline_are_counted_up_to_the_most() -> None:
    config = CostConfig((0,), dataset=SMALL, references="none", most=4, tolerances=(0.2, 0.4))
    table = workers(config, "tfidf", "random", "no generator", 0)
    assert list(table["workers"]) == [1, 2, 3, 4] * 2
    reached = table.pivot(index="workers", columns="tolerance", values="reached")
    assert (reached[0.4] >= reached[0.2]).all()
    assert (reached.diff().dropna() >= 0).all().all()
