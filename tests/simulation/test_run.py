"""A simulated crowd in memory: who answers what, and that nothing else matters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.errors import ConfigError, UnknownNameError
from crowdllm.simulation import run
from crowdllm.simulation.run import SimulatedCrowd, as_study, simulate_crowd

Known = Callable[..., Any]


@pytest.fixture
def models(saved: Known) -> Callable[[str], CrowdModel]:
    return lambda kind: saved(kind).model


def same(first: SimulatedCrowd, second: SimulatedCrowd) -> bool:
    a, b = first.responses, second.responses
    pairs = np.array_equal(a.participant_R, b.participant_R) and np.array_equal(a.problem_R, b.problem_R)
    return pairs and a.values_RD.tobytes() == b.values_RD.tobytes()


def test_two_runs_with_one_seed_are_identical_and_another_seed_differs(models: Known) -> None:
    model = models("continuous")
    first, again, other = (simulate_crowd(model, model.items, 30, seed, participation=0.5) for seed in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)
    np.testing.assert_array_equal(first.people.values_NC, again.people.values_NC)


def test_a_larger_crowd_contains_the_smaller_one(models: Known) -> None:
    model = models("continuous")
    small, large = (simulate_crowd(model, model.items, n, 1, participation=0.5) for n in (10, 30))

    def rows(crowd: SimulatedCrowd) -> dict[tuple[int, int], float]:
        r = crowd.responses
        return dict(zip(zip(r.participant_R, r.problem_R, strict=True), r.values_RD[:, 0], strict=True))

    assert rows(small) == {pair: value for pair, value in rows(large).items() if pair[0] < 10}


def test_how_many_pairs_are_looked_at_at_a_time_changes_nothing(models: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    model = models("continuous")
    whole = simulate_crowd(model, model.items, 30, 1, participation=0.5)
    monkeypatch.setattr(run, "BLOCK_VALUES", 7)
    assert same(whole, simulate_crowd(model, model.items, 30, 1, participation=0.5))


def test_everybody_answers_everything_by_default(models: Known) -> None:
    model = models("ordinal")
    crowd = simulate_crowd(model, model.items, 25, 0)
    assert len(crowd.responses) == 25 * 6
    assert len(set(zip(crowd.responses.participant_R, crowd.responses.problem_R, strict=True))) == 25 * 6


def test_the_share_of_pairs_answered_is_the_participation(models: Known) -> None:
    """2,000 x 6 pairs at .3: standard error .0042."""
    model = models("ordinal")
    crowd = simulate_crowd(model, model.items, 2000, 0, participation=0.3)
    assert len(crowd.responses) / 12_000 == pytest.approx(0.3, abs=4 * 0.0042)


def test_no_participation_gives_no_responses(models: Known) -> None:
    model = models("ballot")
    crowd = simulate_crowd(model, model.items, 10, 0, participation=0.0)
    assert crowd.responses.values_RD.shape == (0, 5)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_participation_that_is_no_probability_is_refused(models: Known, share: float) -> None:
    model = models("ordinal")
    with pytest.raises(ConfigError, match="must lie between 0 and 1"):
        simulate_crowd(model, model.items, 10, 0, participation=share)


def test_filters_choose_who_is_recruited(models: Known) -> None:
    model = models("ordinal")
    crowd = simulate_crowd(model, model.items, 200, 0, where=["leaning=high", "age>=40"])
    frame = crowd.people.to_frame()
    assert set(frame["leaning"]) == {"high"}
    assert frame["age"].min() >= 40
    assert len(frame) == 200


def test_filters_that_name_nothing_are_refused_in_words(models: Known) -> None:
    model = models("ordinal")
    with pytest.raises(UnknownNameError, match="did you mean 'leaning'"):
        simulate_crowd(model, model.items, 5, 0, where=["leanin=high"])
    with pytest.raises(UnknownNameError, match="did you mean 'high'"):
        simulate_crowd(model, model.items, 5, 0, where=["leaning=hihg"])
    with pytest.raises(ConfigError, match="nobody qualifies"):
        simulate_crowd(model, model.items, 5, 0, where=["age>200"])


def test_progress_ends_with_all_pairs_done(models: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    model = models("ordinal")
    monkeypatch.setattr(run, "BLOCK_VALUES", 50)
    seen: list[tuple[int, int]] = []
    simulate_crowd(model, model.items, 20, 0, progress=lambda what, done, total: seen.append((done, total)))
    assert seen == [(40, 120), (80, 120), (120, 120)]


def test_as_a_study_it_says_that_it_is_simulated(models: Known) -> None:
    model = models("ordinal")
    study = as_study(simulate_crowd(model, model.items, 5, 7), model)
    assert study.simulated
    assert "no row is a real person's answer" in study.source[0]
    assert "crowd seed 7" in study.source[1]
