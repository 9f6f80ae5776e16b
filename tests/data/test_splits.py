"""Splits: what is held out is unseen in training, and the same seed holds out the same."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.splits import SPLITS, reordered, split_study
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError, UnknownNameError
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.ordinal import Ordinal

N, T = 25, 20
BY_PEOPLE_OR_PROBLEM = SPLITS[:3]


def study(people: int = N, problems: int = T) -> Study:
    """Everyone answers everything, and the response tells who and what: level = (3 i + t) mod 5."""
    ids = [np.array([f"{letter}{i}" for i in range(n)], dtype=object) for letter, n in (("p", people), ("q", problems))]
    person_R, problem_R = np.repeat(np.arange(people), problems), np.tile(np.arange(problems), people)
    return Study(
        title="t",
        response_type=Ordinal(("1", "2", "3", "4", "5")),
        problems=Problems(ids[1], ids[1]),
        profiles=Profiles((ProfileColumn("age", "numeric"),), ids[0], np.arange(people, dtype=float)[:, None]),
        responses=Responses(person_R, problem_R, ((3 * person_R + problem_R) % 5)[:, None].astype(float)),
    )


def pairs(part: Study) -> set[tuple[str, str]]:
    answered = part.responses
    return set(zip(part.profiles.ids[answered.participant_R], part.problems.ids[answered.problem_R], strict=True))


@pytest.mark.parametrize("by", BY_PEOPLE_OR_PROBLEM)
def test_a_fifth_is_held_out_and_the_parts_share_no_response(by: str) -> None:
    split = split_study(study(), by, 0.2, seed=1)
    held_t, held_n = (4 if by != "participant" else T), (5 if by != "problem" else N)
    assert (len(split.test.problems), len(split.test.profiles)) == (held_t, held_n)
    assert len(split.train.problems) == (T if by == "participant" else T - 4)
    assert len(split.train.profiles) == (N if by == "problem" else N - 5)
    assert not pairs(split.train) & pairs(split.test)
    assert len(split.test.responses) == held_t * held_n


def test_the_two_mixed_quadrants_are_used_by_neither_part() -> None:
    split = split_study(study(), "both", 0.2, seed=1)
    assert len(pairs(split.train)) + len(pairs(split.test)) == (N - 5) * (T - 4) + 5 * 4
    assert not set(split.train.problems.ids) & set(split.test.problems.ids)
    assert not set(split.train.profiles.ids) & set(split.test.profiles.ids)


@pytest.mark.parametrize("by", BY_PEOPLE_OR_PROBLEM)
def test_parts_keep_ids_profiles_and_responses_together(by: str) -> None:
    whole = study()
    split = split_study(whole, by, 0.3, seed=2)
    for part, t, n in (
        (split.train, split.train_problems, split.train_participants),
        (split.test, split.test_problems, split.test_participants),
    ):
        assert part.problems.ids.tolist() == whole.problems.ids[t].tolist()
        assert part.profiles.ids.tolist() == whole.profiles.ids[n].tolist()
        assert (np.diff(t) > 0).all()
        assert (np.diff(n) > 0).all()
        person_R, problem_R = n[part.responses.participant_R], t[part.responses.problem_R]
        assert part.responses.values_RD[:, 0].tolist() == ((3 * person_R + problem_R) % 5).tolist()
        assert part.profiles.values_NC[:, 0].tolist() == n.tolist()


@pytest.mark.parametrize("by", BY_PEOPLE_OR_PROBLEM)
def test_a_split_repeats_with_its_seed_and_differs_with_another(by: str) -> None:
    def held(seed: int) -> tuple[list[int], list[int]]:
        split = split_study(study(), by, 0.2, seed)
        return split.test_problems.tolist(), split.test_participants.tolist()

    assert held(1) == held(1)
    assert len({str(held(seed)) for seed in range(10)}) == 10


def test_every_problem_is_held_out_as_often_as_another() -> None:
    """200 seeds of 4 in 20: 40 times each, binomial with SD 5.7; the largest of 20 stays within 4 SD."""
    counts = np.zeros(T)
    for seed in range(200):
        counts[split_study(study(2), "problem", 0.2, seed).test_problems] += 1
    assert counts.sum() == 800
    assert np.abs(counts - 40).max() < 4 * np.sqrt(200 * 0.2 * 0.8)


def test_smaller_training_fractions_are_parts_of_larger_ones() -> None:
    kept = [
        set(split_study(study(), "problem", 0.2, 3, fraction).train.profiles.ids)
        for fraction in (0.01, 0.1, 0.25, 0.5, 1.0)
    ]
    assert [len(k) for k in kept] == [1, 2, 6, 12, 25]
    assert all(small < large for small, large in pairwise(kept))


def test_the_training_fraction_leaves_the_test_part_alone() -> None:
    whole, part = (split_study(study(), "both", 0.2, 3, fraction) for fraction in (1.0, 0.25))
    assert pairs(part.test) == pairs(whole.test)
    assert pairs(part.train) < pairs(whole.train)


def test_a_method_of_the_study_does_the_same() -> None:
    assert pairs(study().split(seed=4).test) == pairs(split_study(study(), "problem", 0.2, 4).test)


def test_an_unknown_split_lists_those_there_are() -> None:
    expected = "unknown split 'problems': choose from problem, participant, both, option"
    with pytest.raises(UnknownNameError, match=expected):
        split_study(study(), "problems", 0.2, 0)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 20.0, float("nan")])
def test_a_fraction_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match="test fraction must lie between 0 and 1"):
        split_study(study(), "problem", fraction, 0)
    if fraction != 1:
        with pytest.raises(ConfigError, match="training fraction"):
            split_study(study(), "problem", 0.2, 0, fraction)


@pytest.mark.parametrize(("by", "people", "problems"), [("problem", 5, 1), ("participant", 2, 9), ("both", 2, 20)])
def test_a_part_without_anything_is_refused(by: str, people: int, problems: int) -> None:
    with pytest.raises(ConfigError, match="leaves a part empty"):
        split_study(study(people, problems), by, 0.2, 0)


def test_holding_out_nearly_all_leaves_one_or_is_refused() -> None:
    assert len(split_study(study(3, 10), "problem", 0.9, 0).train.problems) == 1
    with pytest.raises(ConfigError, match="holding out 97% of 10 problems"):
        split_study(study(3, 10), "problem", 0.97, 0)


# --- by option ------------------------------------------------------------------------------------------------


def ballots(people: int = 30) -> Study:
    """Two problems of ten and five options; person i picks options i mod m and (i + 2) mod m."""
    options = (tuple(f"a{m}" for m in range(10)), tuple(f"b{m}" for m in range(5)))
    ids = [np.array([f"{letter}{i}" for i in range(n)], dtype=object) for letter, n in (("p", people), ("q", 2))]
    person_R, problem_R = np.repeat(np.arange(people), 2), np.tile(np.arange(2), people)
    values = np.zeros((2 * people, 10))
    for row, (i, t) in enumerate(zip(person_R, problem_R, strict=True)):
        values[row, [i % len(options[t]), (i + 2) % len(options[t])]] = 1
    return Study(
        title="b",
        response_type=Ballot(2, 2),
        problems=Problems(ids[1], ids[1], options),
        profiles=Profiles((), ids[0], np.zeros((people, 0))),
        responses=Responses(person_R, problem_R, values),
    )


def picked(part: Study) -> dict[tuple[str, str], set[str]]:
    """The texts of the options that each person picked of each problem."""
    answers = part.responses
    return {
        (str(part.profiles.ids[i]), str(part.problems.ids[t])): {
            part.problems.options[t][m] for m in np.flatnonzero(row)
        }
        for i, t, row in zip(answers.participant_R, answers.problem_R, answers.values_RD, strict=True)
    }


def test_a_fifth_of_each_problems_options_and_of_the_people_is_unseen() -> None:
    split = split_study(ballots(), "option", 0.2, seed=1)
    assert [len(o) for o in split.train.problems.options] == [8, 4]
    assert [set(o) for o in split.test.problems.options] == [set(o) for o in ballots().problems.options]
    assert (len(split.train.profiles), len(split.test.profiles)) == (24, 6)
    assert not set(split.train.profiles.ids) & set(split.test.profiles.ids)
    unseen = split.unseen_TM
    assert unseen is not None
    assert unseen.sum(axis=1).tolist() == [2, 1]
    for t in range(2):
        seen = split.train.problems.options[t]
        assert split.test.problems.options[t][: len(seen)] == seen
        later = {split.test.problems.options[t][m] for m in np.flatnonzero(unseen[t])}
        assert later == set(ballots().problems.options[t]) - set(seen)


def test_test_ballots_are_whole_and_training_ballots_lack_the_unseen_options_alone() -> None:
    whole, split = ballots(), split_study(ballots(), "option", 0.2, seed=1)
    truth = picked(whole)
    assert picked(split.test) == {key: truth[key] for key in picked(split.test)}
    seen = {str(i): set(o) for i, o in zip(split.train.problems.ids, split.train.problems.options, strict=True)}
    assert picked(split.train) == {key: truth[key] & seen[key[1]] for key in picked(split.train)}
    assert {len(picks) for picks in picked(split.train).values()} > {2}, "some ballots lack a pick"
    assert split.train.response_type == split.test.response_type == Ballot(2, 2, 10)


def test_the_order_says_where_each_option_stood() -> None:
    whole, split = ballots(), split_study(ballots(), "option", 0.2, seed=3)
    assert split.option_order_TM is not None
    for t, row in enumerate(split.option_order_TM):
        assert tuple(whole.problems.options[t][m] for m in row if m >= 0) == split.test.problems.options[t]
    assert (split.option_order_TM[1, 5:] == -1).all()


def test_other_splits_have_no_unseen_options() -> None:
    assert split_study(study(), "problem", 0.2, 0).unseen_TM is None


def test_a_split_by_option_needs_ballots_and_options_enough() -> None:
    with pytest.raises(ConfigError, match="needs ballots; these are ordinal"):
        split_study(study(), "option", 0.2, 0)
    with pytest.raises(ConfigError, match="holding out 4% of 10 options leaves a part empty"):
        split_study(ballots(40), "option", 0.04, 0)


def test_reordered_columns_keep_missing_draws_missing_and_leave_no_gap() -> None:
    values = np.array([[1.0, 2.0, 3.0], [np.nan, np.nan, np.nan]])
    order = np.array([[2, 0, -1], [0, 1, -1]])
    np.testing.assert_array_equal(reordered(values, order), [[3.0, 1.0, 0.0], [np.nan, np.nan, np.nan]])
