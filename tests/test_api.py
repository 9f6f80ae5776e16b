"""The Python interface: the same flow as the command line, and errors in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import crowdllm
from crowdllm.errors import ConfigError, MismatchError, UnknownNameError


@pytest.fixture(name="study")
def _study(make_known: Callable[..., Any]) -> crowdllm.Study:
    study: crowdllm.Study = make_known("ordinal", people=30, problems=8).study
    return study


def test_fit_simulate_aggregate_gives_a_decision_per_problem(study: crowdllm.Study) -> None:
    model = crowdllm.fit(study, max_epochs=1)
    crowd = crowdllm.simulate(model, 50, seed=1)
    assert crowd.simulated
    assert len(crowd.profiles) == 50
    decisions = crowdllm.aggregate(crowd, "mean").decision_TD
    assert decisions.shape == (8, 1)
    low, high = study.response_type.points[0], study.response_type.points[-1]  # type: ignore[attr-defined]
    assert ((decisions >= low) & (decisions <= high)).all()


def test_people_of_a_study_are_simulated_under_ids_that_say_so(study: crowdllm.Study) -> None:
    crowd = crowdllm.simulate(crowdllm.fit(study, max_epochs=1), study)
    assert all(str(identity).startswith("sim:") for identity in crowd.profiles.ids)
    assert np.array_equal(crowd.profiles.values_NC, study.profiles.values_NC, equal_nan=True)


@pytest.fixture(scope="module")
def strict_and_lenient(make_known: Callable[..., Any]) -> tuple[crowdllm.CrowdModel, crowdllm.Study]:
    """A model of people who differ in one attitude, and two of them known by four extreme answers each."""
    known = make_known("ordinal", people=150, problems=8).study
    rng = np.random.default_rng(0)
    lenient_N = rng.random(150) < 0.5
    values = np.where(lenient_N[:, None], rng.integers(3, 5, (150, 8)), rng.integers(0, 2, (150, 8)))
    answers = crowdllm.Responses(
        np.repeat(np.arange(150), 8), np.tile(np.arange(8), 150), values.reshape(-1, 1).astype(float)
    )
    model = crowdllm.fit(replace(known, responses=answers))
    extreme = crowdllm.Responses(np.repeat([0, 1], 4), np.tile(np.arange(4), 2), np.repeat([[4.0], [0.0]], 4, axis=0))
    return model, replace(known.subset(np.arange(8), np.array([0, 1])), responses=extreme)


def test_twins_answer_like_the_people_they_are_made_from(
    strict_and_lenient: tuple[crowdllm.CrowdModel, crowdllm.Study],
) -> None:
    model, two = strict_and_lenient
    answers = np.concatenate(
        [crowdllm.twins(model, two, seed=s).responses.values_RD.reshape(2, 8) for s in range(20)], axis=1
    )
    assert answers[0].mean() > answers[1].mean() + 2  # the two kinds of people lie three levels apart


def test_twins_are_marked_as_simulated(strict_and_lenient: tuple[crowdllm.CrowdModel, crowdllm.Study]) -> None:
    twins = crowdllm.twins(*strict_and_lenient)
    assert twins.simulated
    assert all(str(identity).startswith("sim:") for identity in twins.profiles.ids)


def test_a_known_answer_to_an_unknown_problem_is_named(
    strict_and_lenient: tuple[crowdllm.CrowdModel, crowdllm.Study],
) -> None:
    model, two = strict_and_lenient
    renamed = replace(two.problems, ids=np.array(["elsewhere", *two.problems.ids[1:]], dtype=object))
    with pytest.raises(MismatchError, match="problem 'elsewhere' has answers"):
        crowdllm.twins(model, replace(two, problems=renamed))


def test_people_with_other_profile_columns_are_refused(study: crowdllm.Study, make_known: Callable[..., Any]) -> None:
    other = make_known("choice", people=20, problems=4).study
    with pytest.raises(MismatchError, match="scale differs"):
        crowdllm.simulate(crowdllm.fit(study, max_epochs=1), other)


def test_a_mistyped_setting_names_the_nearest(study: crowdllm.Study) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'crowd_sizes'"):
        crowdllm.evaluate(study, ["random"], crowd_size=20)
    with pytest.raises(UnknownNameError, match="did you mean 'max_epochs'"):
        crowdllm.fit(study, max_epoch=3)
    with pytest.raises(ConfigError, match="belief_width"):
        crowdllm.fit(study, belief_width=-1)


def test_a_study_object_has_no_named_references(study: crowdllm.Study) -> None:
    with pytest.raises(MismatchError, match="no named references"):
        crowdllm.fit(study, "gpt4")


def test_evaluate_gives_the_long_table(study: crowdllm.Study) -> None:
    table = crowdllm.evaluate(study, ["random", "pooled"], seeds=1, crowd_sizes=(20,))
    assert set(table["method"]) == {"random", "pooled", "human-floor"}
    assert list(table.columns)[-2:] == ["metric", "value"]


def test_an_unknown_public_name_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="load_study"):
        _ = crowdllm.load_studdy  # type: ignore[attr-defined]


def test_estimates_have_an_interval_per_problem_and_say_what_it_is_worth(study: crowdllm.Study) -> None:
    model = crowdllm.fit(study, max_epochs=1)
    found = crowdllm.estimate(study, model, folds=2, crowd_size=20, new_people=True)
    own = found.table[(found.table["estimand"] == "mean") & (found.table["interval"] == "rectified")]
    assert len(own) == 8
    assert (own["low"] < own["high"]).all()
    assert (found.worth["worth"] > 0).all()


def test_an_unknown_setting_of_estimate_lists_the_valid_ones(study: crowdllm.Study) -> None:
    with pytest.raises(UnknownNameError, match="new_people"):
        crowdllm.estimate(study, None, newpeople=True)  # type: ignore[arg-type]
