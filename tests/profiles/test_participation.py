"""Who answers what: keyed Bernoulli draws and exactly n per problem."""

from __future__ import annotations

import numpy as np
import pytest

from crowdllm.errors import ConfigError
from crowdllm.profiles.participation import n_per_problem, pairs, participation
from crowdllm.rng import stable_keys, uniforms

PEOPLE = stable_keys([f"p{i}" for i in range(40)])
PROBLEMS = stable_keys([f"t{i}" for i in range(25)])


def test_pair_takes_part_when_its_own_uniform_is_below_p() -> None:
    phi = participation(0.3, PEOPLE, PROBLEMS, seed=1)
    for t in (0, 24):
        u = uniforms(1, "participation", PEOPLE, PROBLEMS[[t]])[:, 0]
        assert phi[:, t].tolist() == (u < 0.3).tolist()


def test_share_of_pairs_is_p() -> None:
    people, problems = np.arange(300, dtype=np.uint64), np.arange(300, dtype=np.uint64)
    share = participation(0.2, people, problems, seed=0).mean()
    assert abs(share - 0.2) < 5 * np.sqrt(0.2 * 0.8 / 90_000)


def test_probability_may_differ_by_participant_problem_or_pair() -> None:
    per_person = np.where(np.arange(40) < 10, 1.0, 0.0)[:, None]
    assert (participation(per_person, PEOPLE, PROBLEMS, 0) == (per_person == 1)).all()
    per_problem = np.where(np.arange(25) < 5, 1.0, 0.0)[None, :]
    assert (participation(per_problem, PEOPLE, PROBLEMS, 0) == (per_problem == 1)).all()
    full = per_person * per_problem
    assert (participation(full, PEOPLE, PROBLEMS, 0) == (full == 1)).all()


def test_larger_probability_only_adds_pairs() -> None:
    few, many = (participation(p, PEOPLE, PROBLEMS, seed=3) for p in (0.2, 0.6))
    assert (few <= many).all()
    assert few.sum() < many.sum()


def test_order_and_company_change_nothing() -> None:
    phi = participation(0.4, PEOPLE, PROBLEMS, seed=2)
    rows, columns = (
        np.random.default_rng(0).permutation(40)[:17],
        np.random.default_rng(1).permutation(25)[:9],
    )
    assert (participation(0.4, PEOPLE[rows], PROBLEMS[columns], seed=2) == phi[np.ix_(rows, columns)]).all()


@pytest.mark.parametrize("block", [1, 7, 40, 999, 10**6])
def test_pairs_are_the_same_for_any_block_size_and_ordered_by_problem(block: int) -> None:
    blocks = list(pairs(0.4, PEOPLE, PROBLEMS, 2, block=block))
    assert all(len(person) <= block for person, _ in blocks)
    person, problem = (np.concatenate(part) for part in zip(*blocks, strict=True))
    expected_problem, expected_person = np.nonzero(participation(0.4, PEOPLE, PROBLEMS, 2).T)
    assert person.tolist() == expected_person.tolist()
    assert problem.tolist() == expected_problem.tolist()


def test_nobody_or_no_problem_gives_no_pairs() -> None:
    assert list(pairs(0.5, PEOPLE[:0], PROBLEMS, 0)) == []
    assert participation(0.5, PEOPLE, PROBLEMS[:0], 0).shape == (40, 0)


@pytest.mark.parametrize("wrong", [-0.1, 1.5, float("nan")])
def test_probability_outside_its_range_is_refused_at_once(wrong: float) -> None:
    with pytest.raises(ConfigError, match=f"between 0 and 1, not {wrong:g}"):
        pairs(wrong, PEOPLE, PROBLEMS, 0)


def test_ambiguous_shape_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"p\[:, None\] per participant"):
        participation(np.full(40, 0.5), PEOPLE, PROBLEMS, 0)


def test_n_per_problem_are_those_with_the_smallest_noise() -> None:
    chosen = n_per_problem(6, PEOPLE, PROBLEMS, seed=4)
    assert chosen.shape == (25, 6)
    u = uniforms(4, "participation", PEOPLE, PROBLEMS[[8]])[:, 0]
    assert chosen[8].tolist() == sorted(np.argsort(u)[:6].tolist())


def test_smaller_crowd_is_part_of_the_larger_and_order_does_not_matter() -> None:
    small, large = n_per_problem(5, PEOPLE, PROBLEMS, 4), n_per_problem(20, PEOPLE, PROBLEMS, 4)
    assert all(set(a) <= set(b) for a, b in zip(small.tolist(), large.tolist(), strict=True))
    order = np.random.default_rng(0).permutation(40)
    shuffled = n_per_problem(5, PEOPLE[order], PROBLEMS, 4)
    assert [set(order[row]) for row in shuffled] == [set(row) for row in small]


def test_everybody_is_chosen_equally_often() -> None:
    people, problems = np.arange(10, dtype=np.uint64), np.arange(4000, dtype=np.uint64)
    counts = np.bincount(n_per_problem(3, people, problems, 0).reshape(-1), minlength=10)
    assert np.abs(counts - 1200).max() < 5 * np.sqrt(4000 * 0.3 * 0.7)


def test_all_none_and_too_many_per_problem() -> None:
    assert n_per_problem(40, PEOPLE, PROBLEMS, 0).tolist() == [list(range(40))] * 25
    assert n_per_problem(0, PEOPLE, PROBLEMS, 0).shape == (25, 0)
    with pytest.raises(ConfigError, match="41 participants per problem were asked for, but there are 40"):
        n_per_problem(41, PEOPLE, PROBLEMS, 0)
