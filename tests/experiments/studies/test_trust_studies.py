"""The studies of the planner, the gate and the terms of the error: replay, bookkeeping, and known truth."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdllm.config import CrowdConfig
from crowdllm.estimation.gate import CROWD, LLM, OPEN
from crowdllm.estimation.known_people import known_people
from crowdllm.estimation.twin_pairs import TwinPairs
from crowdllm.experiments.studies import gate as gate_study
from crowdllm.experiments.studies import planner, risk
from crowdllm.experiments.studies.protocol import Settings
from crowdllm.methods import crowdllm as method
from crowdllm.report.figure import save_figure

SMALL = "synthetic:participants=40,problems=16,per_participant=12"
POOL = planner.Pool(SMALL, "none", "participant", 0.6, 1.6)


@pytest.fixture(scope="module")
def replayed() -> Iterator[pd.DataFrame]:
    """A replay with a crowd that is fitted in a hurry: how good it is does not matter here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(method, "CrowdConfig", partial(CrowdConfig, max_epochs=2, belief_width=2, folds=2))
        yield planner.replay(planner.Config((0,), (POOL,), rounds=8), POOL, "tfidf", 0)


def test_a_replay_draws_more_and_more_until_all_that_can_be_is_reached(replayed: pd.DataFrame) -> None:
    assert set(replayed["strategy"]) == set(planner.STRATEGIES)
    for _, part in replayed.groupby("strategy"):
        assert part["answers"].is_monotonic_increasing
        assert part["answers"].iloc[0] == 0
        assert part["reached"].iloc[-1] == 1
        assert (part["answers"] <= part["pool"]).all()


def test_the_answers_needed_are_those_of_the_first_round_that_reached_all(replayed: pd.DataFrame) -> None:
    needed = planner.needed_answers(replayed).set_index("strategy")["answers"]
    for name, part in replayed.groupby("strategy"):
        assert needed[name] == part[part["reached"] >= 1]["answers"].min()
    assert needed[planner.PLANNED] <= needed[planner.RANDOM]


def test_equal_numbers_differ_by_one_at_most() -> None:
    config = planner.Config((0,), (POOL,))
    study = planner.open_data(planner.Data(SMALL))[0]
    split = study.split("participant", 0.6, 0)
    fitted = planner.fit_method("pooled", split.train, None, "tfidf", 0)
    assert fitted.simulator is not None
    widths = planner.WidthModel(np.ones(16), np.full(16, np.inf))
    value = planner.numbers(split.test.responses, split.test.response_type)
    seen = planner.Replayed(split.test, value, widths, planner.Groups((("", ""),), (), ()), np.ones(1), 1.6)
    drawn = np.zeros(len(value), dtype=bool)
    draw = planner._strategy(seen, planner.EQUAL, config.seeds[0])
    drawn[draw(drawn, 40)] = True
    counts = np.bincount(seen.problem_R[drawn], minlength=16)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize(
    ("verdict", "advantage", "low", "high", "words"),
    [
        (CROWD, 0.4, 0.1, 0.7, "right"),
        (CROWD, -0.4, -0.7, -0.1, "wrong"),
        (LLM, -0.4, -0.7, -0.1, "right"),
        (LLM, 0.4, 0.1, 0.7, "wrong"),
        (CROWD, 0.4, -0.1, 0.9, "truth open"),
        (OPEN, 0.4, 0.1, 0.7, "nothing said, truth known"),
        (OPEN, 0.4, -0.1, 0.7, "nothing said, truth open"),
    ],
)
def test_a_verdict_is_right_where_the_held_out_problems_agree(
    verdict: str, advantage: float, low: float, high: float, words: str
) -> None:
    assert gate_study.outcome(verdict, advantage, low, high) == words


def test_the_problems_of_fit_gate_and_truth_are_different_ones() -> None:
    study = planner.open_data(planner.Data(SMALL))[0]
    parts = gate_study._three_parts(study, gate_study.Config((0,)), 0)
    together = np.concatenate(parts)
    assert sorted(together) == list(range(16))
    assert [len(p) for p in parts] == [6, 5, 5]


def test_the_true_terms_are_those_of_a_hand_calculation() -> None:
    world = known_people(people=12, problems=2, per_problem=3, noise=0.5, seed=1)
    study = world.study
    i, t = study.responses.participant_R, study.responses.problem_R
    # twins that all expect 1 and vary by exactly 1 around it: draws 0 and 2 have variance 2 (ddof 1)
    twins = TwinPairs(i, t, study.responses.values_RD, np.stack([np.zeros((6, 1)), np.full((6, 1), 2.0)]), 12, 2)
    truth = risk.true_terms(world, study, np.arange(2), twins)
    m = world.mean_NT[i, t].reshape(2, 3)
    assert truth["L2"] == pytest.approx(0.25)
    assert truth["L4"] == pytest.approx(2.0)
    assert truth["L3"] == pytest.approx(np.mean((m - 1) ** 2))
    assert truth["L1"] == pytest.approx(np.mean(m.var(axis=1)) + 0.25 / 3)
    assert truth["L5"] == pytest.approx(2 / 3 * 2.0)
    assert truth["risk"] == pytest.approx(np.mean((m.mean(axis=1) - 1) ** 2) + (0.25 + 2) / 3)
    assert truth["remainder"] == pytest.approx(truth["risk"] - truth["sum"])


@pytest.mark.slow
def test_terms_of_a_fitted_crowd_are_found_where_the_truth_is_known() -> None:
    config = risk.Config((0,), people=120, problems=40, draws=100)
    found = pd.concat([risk.measure_known(config, seed) for seed in range(4)])
    known = found[found["truth"].notna()]
    held = (known["low"] <= known["truth"]) & (known["truth"] <= known["high"])
    assert held.sum() >= len(known) - 3  # of 32 intervals at 95 %


def test_configurations_name_everything_they_need(tmp_path: Path) -> None:
    for module in (planner, gate_study, risk):
        for quick in (True, False):
            experiment = module.configure(Settings(tmp_path, quick))
            assert len({piece.key for piece in experiment.pieces}) == len(experiment.pieces) > 0
            assert experiment.data
            assert experiment.limits


def test_the_findings_of_a_replay_have_a_picture_and_say_the_numbers(replayed: pd.DataFrame, tmp_path: Path) -> None:
    config = planner.Config((0,), (POOL,), rounds=8)
    table = replayed.assign(dataset=SMALL, seed=0)
    found = planner.report(config, {"one": table})
    assert "fewer than random" in found.shows[0]
    assert save_figure(found.pictures[0].draw(), tmp_path / "planner.svg").stat().st_size > 1000


def test_made_up_people_answer_around_their_expected_answers() -> None:
    world = known_people(people=200, problems=30, per_problem=50, noise=0.7)
    r = world.study.responses
    residual = r.values_RD[:, 0] - world.mean_NT[r.participant_R, r.problem_R]
    assert residual.std() == pytest.approx(0.7, abs=0.05)
    assert ((world.repeats[0] - world.repeats[1]) ** 2).mean() / 2 == pytest.approx(0.49, abs=0.15)
    assert world.study.simulated
