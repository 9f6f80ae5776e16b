"""Groups of people: everybody at once where they are few, whole persons dealt out at random where they are many."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from crowdllm.belief import batches
from crowdllm.belief.batches import Groups
from crowdllm.belief.items import Items, make_items
from crowdllm.data.problems import Problems
from crowdllm.data.responses import Responses
from crowdllm.embedding import fit_embedder
from crowdllm.responses.ordinal import Ordinal

LEVELS = Ordinal(("1", "2", "3"))


@pytest.fixture(scope="module")
def items() -> Items:
    texts = np.array([f"problem {t}" for t in range(5)], dtype=object)
    problems = Problems(np.array([f"q{t}" for t in range(5)], dtype=object), texts)
    return make_items(problems, LEVELS, fit_embedder("tfidf", list(texts)), None)


def answers(people: int, seed: int = 0) -> Responses:
    """Person n gives 1 + n % 5 answers, in mixed order; person 3 none."""
    rng = np.random.default_rng(seed)
    person = np.concatenate([np.full(1 + n % 5, n) for n in range(people) if n != 3])
    person = rng.permutation(person)
    return Responses(person, rng.integers(0, 5, len(person)), rng.integers(0, 3, (len(person), 1)).astype(float))


def test_few_rows_are_one_group_of_everybody_in_their_order(items: Items) -> None:
    responses = answers(10)
    rows = np.arange(len(responses))[::2]
    groups = Groups.of(responses, items, rows, 10, 1, 0)
    assert len(groups) == 1
    np.testing.assert_array_equal(groups.rows[0], rows)
    np.testing.assert_array_equal(groups.people[0], np.arange(10))
    first, second = islice(groups.batches(), 2)
    assert first is second
    np.testing.assert_array_equal(first.participant, responses.participant_R[rows])
    np.testing.assert_array_equal(first.values, responses.values_RD[rows])


def test_many_rows_are_dealt_out_with_whole_persons(items: Items, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MANY", 40)
    responses = answers(60)
    rows = np.flatnonzero(responses.problem_R != 4)
    groups = Groups.of(responses, items, rows, 60, 1, 0)
    assert len(groups) == -(-len(rows) // 40)
    np.testing.assert_array_equal(np.sort(np.concatenate(groups.rows)), rows)
    for part, people in zip(groups.rows, groups.people, strict=True):
        assert abs(len(part) - len(rows) / len(groups)) < 5  # the most answers of a person
        np.testing.assert_array_equal(np.unique(responses.participant_R[part]), people)
    assert len(np.concatenate(groups.people)) == len(np.unique(responses.participant_R[rows]))


def test_the_burden_of_a_response_makes_groups_smaller(items: Items, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MANY", 200)
    responses = answers(60)
    rows = np.arange(len(responses))
    assert len(Groups.of(responses, items, rows, 60, 1, 0)) == 1
    assert len(Groups.of(responses, items, rows, 60, 10, 0)) == -(-len(rows) // 20)


def test_a_batch_holds_its_own_people_and_rows(items: Items, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MANY", 40)
    responses = answers(60)
    groups = Groups.of(responses, items, np.arange(len(responses)), 60, 1, 0)
    for g, batch in enumerate(islice(groups.batches(), 2 * len(groups))):
        part = groups.rows[g % len(groups)]
        np.testing.assert_array_equal(batch.people[batch.participant], responses.participant_R[part])
        np.testing.assert_array_equal(batch.problem, responses.problem_R[part])
        np.testing.assert_array_equal(batch.values, responses.values_RD[part])
        np.testing.assert_array_equal(batch.item_BU, items.item_TU[responses.problem_R[part]])


def test_other_rows_of_a_group_are_those_of_its_people(items: Items, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MANY", 40)
    responses = answers(60)
    kept, held = np.flatnonzero(responses.problem_R != 4), np.flatnonzero(responses.problem_R == 4)
    groups = Groups.of(responses, items, kept, 60, 1, 0)
    also = groups.also(1, held)
    expected = [r for r in held if responses.participant_R[r] in groups.people[1]]
    assert len(expected) > 0
    np.testing.assert_array_equal(also.people, groups.people[1])
    np.testing.assert_array_equal(also.people[also.participant], responses.participant_R[expected])


def test_another_seed_deals_otherwise(items: Items, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MANY", 40)
    responses = answers(60)
    first, again, other = (
        Groups.of(responses, items, np.arange(len(responses)), 60, 1, seed).people[0].tolist() for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other
