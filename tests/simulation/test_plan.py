"""The plan: parts that cover everybody once whatever machine makes them, and words for what differs between runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pytest

from crowdllm.errors import ConfigError, CrowdLLMError
from crowdllm.simulation.plan import (
    BLOCK_VALUES,
    PART_DECISIONS,
    PART_PEOPLE,
    PART_ROWS,
    Plan,
    Settings,
    Shard,
    differences,
    make_plan,
    parse_shard,
    target_margins,
)

Saved = Callable[[str], Any]


def planned(saved: Saved, kind: str = "ordinal", **settings: Any) -> Plan:
    model, meta, _ = saved(kind)
    return make_plan(meta["model_hash"], model.items, model.response_type, Settings(**{"participants": 95} | settings))


@pytest.mark.parametrize("participants", [1, 9, 10, 11, 95, 100])
def test_every_participant_is_in_one_part(saved: Saved, small_parts: int, participants: int) -> None:
    plan = planned(saved, participants=participants)
    assert list(chain.from_iterable(plan.people_of(part) for part in range(plan.parts))) == list(range(participants))
    assert all(len(plan.people_of(part)) == small_parts for part in range(plan.parts - 1))


def test_every_problem_is_in_one_block(saved: Saved, small_parts: int) -> None:
    assert planned(saved).blocks() == [slice(0, 2), slice(2, 4), slice(4, 6)]


@pytest.mark.parametrize("kind", ["ordinal", "points"])
@pytest.mark.parametrize("participants", [1, 10**3, 10**9])
@pytest.mark.parametrize("sample", [0.0, 1e-6, 0.01, 1.0])
@pytest.mark.parametrize("participation", [0.001, 1.0])
def test_a_part_is_as_small_whatever_the_crowd(
    saved: Saved, kind: str, participants: int, sample: float, participation: float
) -> None:
    plan = planned(saved, kind, participants=participants, sample=sample, participation=participation)
    width = 5 if kind == "points" else 1
    answers = plan.people_per_part * 6 * participation * width
    assert 1 <= plan.people_per_part <= PART_PEOPLE
    assert answers <= max(PART_DECISIONS, PART_PEOPLE * width)
    assert answers * sample <= PART_ROWS
    assert plan.people_per_part * width * plan.problems_per_block <= BLOCK_VALUES


def test_the_size_of_a_part_does_not_depend_on_how_many_people_there_are(saved: Saved) -> None:
    few, many = (planned(saved, participants=n) for n in (10, 10**9))
    assert few.people_per_part == many.people_per_part
    assert (few.parts, many.parts) == (1, -(-(10**9) // many.people_per_part))


def test_a_plan_comes_back_from_its_json(saved: Saved) -> None:
    plan = planned(saved, where=("age>=30",), sample=0.1)
    assert Plan.from_dict(plan.to_dict()) == plan
    assert Plan.from_dict(plan.to_dict()).hash == plan.hash


def test_a_plan_with_other_fields_is_refused(saved: Saved) -> None:
    state = planned(saved).to_dict()
    with pytest.raises(CrowdLLMError, match="another version"):
        Plan.from_dict(state | {"colour": "blue"})


def test_a_plan_differs_in_nothing_from_itself(saved: Saved) -> None:
    assert differences(planned(saved), planned(saved)) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"seed": 4}, "seed is 0 there and 4 here"),
        ({"participants": 1000}, "participants is 95 there and 1,000 here"),
        ({"where": ("age>=30",)}, "where is none there and 'age>=30' here"),
        ({"participation": 0.5}, "participation is 1.0 there and 0.5 here"),
        ({"sample": 0.0}, "sample is 1.0 there and 0.0 here"),
    ],
)
def test_what_differs_is_said_and_nothing_that_follows_from_it(saved: Saved, settings: Any, words: str) -> None:
    assert differences(planned(saved), planned(saved, **settings)) == [words]


def test_another_model_other_problems_and_another_version_are_told(saved: Saved) -> None:
    plan, other = planned(saved), planned(saved, "bounded")
    assert "the model is another" in differences(plan, other)
    changed = replace(plan, problems="x", features="y", people="z", versions=plan.versions | {"numpy": "1.0"})
    found = "; ".join(differences(plan, changed))
    for words in ("problems are others", "references, embedding", "people simulated are others", "and 1.0 here"):
        assert words in found


def test_one_changed_reference_changes_the_features_and_not_the_problems(saved: Saved) -> None:
    model, meta, _ = saved("ordinal")
    moved = model.items.reference_IF.copy()
    moved[0, 0] = np.nextafter(moved[0, 0], np.inf)
    plans = [
        make_plan(meta["model_hash"], items, model.response_type, Settings(5))
        for items in (model.items, replace(model.items, reference_IF=moved))
    ]
    assert plans[0].problems == plans[1].problems
    assert plans[0].features != plans[1].features


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"participants": 0}, "at least one participant"),
        ({"sample": 1.5}, "between 0 and 1, not 1.5"),
        ({"sample": float("nan")}, "between 0 and 1"),
        ({"participation": -1.0}, "between 0 and 1"),
        ({"seed": 2**63}, "63 bits"),
    ],
)
def test_settings_that_cannot_be_are_refused(saved: Saved, settings: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        planned(saved, **settings)


@pytest.mark.parametrize("of", [1, 2, 3, 10, 12])
def test_shares_have_every_part_once(saved: Saved, small_parts: int, of: int) -> None:
    plan = planned(saved)
    parts = list(chain.from_iterable(Shard(number, of).parts(plan) for number in range(1, of + 1)))
    assert sorted(parts) == list(range(10))


def test_a_share_is_read_as_it_is_written() -> None:
    assert parse_shard("3/8") == Shard(3, 8)
    assert str(Shard(3, 8)) == "3/8"


@pytest.mark.parametrize("text", ["", "3", "3/", "/8", "0/8", "9/8", "-1/8", "a/b", "3/8/2", "1.5/2"])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="such as 3/8"):
        parse_shard(text)


def test_margins_are_part_of_the_plan_and_come_back_from_its_file(saved: Saved) -> None:
    margins = {"leaning": {"low": 1, "high": 0.0}, "age": {"<40": 0.5, "40+": 0.5}}
    plan = planned(saved, margins=target_margins(margins))
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    assert plan.hash != planned(saved).hash
    assert differences(planned(saved), plan) == ["the target margins are others"]
    assert plan.settings.margins[0] == ("leaning", (("low", 1.0), ("high", 0.0)))


def test_a_plan_without_margins_is_written_as_before_there_were_any(saved: Saved) -> None:
    plan = planned(saved)
    assert set(plan.to_dict()["settings"]) == {"participants", "seed", "where", "participation", "sample"}
    assert Plan.from_dict(plan.to_dict()) == plan
