"""Theorem 3 by hand and by simulation, and the gate's verdicts on groups whose better side is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crowdllm.errors import ConfigError, MismatchError
from crowdllm.estimation.gate import (
    CROWD,
    LLM,
    OPEN,
    GateInput,
    derived_half_width,
    gate,
    kappa_alpha,
    printed_half_width,
    safe_half_width,
)


def made_up(
    seed: int, crowd_error: float, llm_error: float, eta: float = 0.0, problems: int = 60, answers: int = 8
) -> GateInput:
    """Problems on which the crowd's mean and the LLM err by these standard deviations; 40 people in all."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(3, 1, problems)
    person = np.concatenate([rng.choice(40, answers, replace=False) for _ in range(problems)])
    problem = np.repeat(np.arange(problems), answers)
    strict = 0.4 * rng.standard_normal(40)
    human = truth[problem] + strict[person] + rng.standard_normal(len(person))
    reference = truth + llm_error * rng.standard_normal(problems)
    crowd = truth + crowd_error * rng.standard_normal(problems)
    none = np.zeros(problems)
    return GateInput(
        person_R=person, problem_R=problem, human_R=human, crowd_T=crowd, second_T=(crowd - reference) ** 2 + 0.2,
        noise_T=none, reference_T=reference, randomness_T=none + eta, reference_noise_T=none, size=1000,
    )  # fmt: skip


def test_the_printed_half_width_is_that_of_a_hand_calculation() -> None:
    # N = 10, eps2 = 1.09, eta = 0: S = 8 * 1.09 = 8.72; kappa = 0 <= 0.8 sqrt(4.36), so h1 = sqrt(18 * 8.72) / 18
    first = printed_half_width(0.0, 10, np.array([1.09]), np.zeros(1))
    assert first[0] == pytest.approx(np.sqrt(156.96) / 18)
    # kappa = 2 > 0.8 sqrt(4.36) = 1.670, so h2 = sqrt(17.44) / 10
    assert printed_half_width(2.0, 10, np.array([1.09]), np.zeros(1))[0] == pytest.approx(np.sqrt(17.44) / 10)


def test_both_printed_cases_meet_at_the_boundary_and_the_first_falls_with_kappa() -> None:
    second, edge = np.array([1.5]), 0.8 * np.sqrt(8 * 1.5 / 2)
    below, above = (printed_half_width(edge + shift, 10, second, np.zeros(1))[0] for shift in (-1e-9, 1e-9))
    assert below == pytest.approx(above)
    widths = [printed_half_width(k, 10, second, np.zeros(1))[0] for k in (0.0, 0.5, 1.0, 1.5)]
    assert widths == sorted(widths, reverse=True)


def test_the_printed_condition_lets_a_worse_crowd_pass_and_the_derived_one_does_not() -> None:
    # ten people with biases 0.3 +- 1 around an LLM that is exactly right: L = 0.3^2, L' = 0
    bias = np.array([1.3, -0.7] * 5)
    assert np.mean(bias) == pytest.approx(0.3)
    printed = printed_half_width(0.0, 10, np.array([np.mean(bias**2)]), np.zeros(1))[0]
    assert abs(np.mean(bias) - 0.0) < printed
    assert abs(np.mean(bias) - 0.0) > derived_half_width(np.zeros(1), np.zeros(1))[0]


@pytest.mark.parametrize("delta", [-0.8, 0.0, 0.5])
def test_the_derived_width_is_where_simulated_risks_are_equal(delta: float) -> None:
    rng, size, eta, nu = np.random.default_rng(0), 12, 0.6, 0.9
    slack = eta * (1 - 1 / size) - nu / size
    half = derived_half_width(np.array([delta]), np.array([slack]))[0]
    for side in (-1, 1):
        mu = delta + side * half
        answers = mu + np.sqrt(eta + nu) * rng.standard_normal((200_000, size))
        crowd = np.mean((delta - answers.mean(axis=1)) ** 2)
        llm = np.mean((delta - np.sqrt(eta) * rng.standard_normal(200_000)) ** 2)
        assert crowd == pytest.approx(llm, abs=0.02)


def test_a_bias_within_the_safe_width_never_loses_where_delta_is_below_kappa() -> None:
    kappa, slack = 0.7, np.array([0.4])
    safe = safe_half_width(kappa, slack)[0]
    assert safe == pytest.approx(np.sqrt(0.49 + 0.4) - 0.7)
    for delta in np.linspace(-kappa, kappa, 29):
        assert (safe - delta) ** 2 <= delta**2 + slack[0] + 1e-12
    assert (1.01 * safe + kappa) ** 2 > kappa**2 + slack[0]
    assert safe_half_width(kappa, np.zeros(1))[0] == 0


def test_kappa_is_the_conformal_quantile() -> None:
    deviation = np.array([-0.9, 0.1, 0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8, np.nan])
    assert kappa_alpha(deviation, 0.2) == 0.8  # ceil(10 * 0.8) = 8th of nine
    assert kappa_alpha(deviation, 0.1) == 0.9
    assert np.isinf(kappa_alpha(deviation, 0.05))


@pytest.mark.parametrize(("crowd", "llm", "verdict"), [(0.2, 0.9, CROWD), (0.9, 0.2, LLM), (0.5, 0.5, OPEN)])
def test_the_verdict_is_for_the_better_side(crowd: float, llm: float, verdict: str) -> None:
    found = gate(made_up(0, crowd, llm), ["all"] * 60).groups[0]
    assert found.verdict == verdict
    assert found.crowd_error == pytest.approx(crowd, abs=0.2)
    assert found.llm_error == pytest.approx(llm, abs=0.2)


def test_the_advantage_is_covered_by_its_interval() -> None:
    held, wrong = [], 0
    for seed in range(200):
        data = made_up(seed, 0.4, 0.5, eta=0.1)
        found = gate(data, ["all"] * 60).groups[0]
        held.append(found.low <= 0.5**2 + 0.1 - 0.4**2 <= found.high)
        wrong += found.verdict == LLM
    assert 0.9 <= np.mean(held) <= 0.99
    assert wrong <= 2


def test_few_answers_do_not_bias_the_advantage() -> None:
    two = [gate(made_up(seed, 0.3, 0.6, answers=2), ["all"] * 60).groups[0].advantage for seed in range(150)]
    assert np.mean(two) == pytest.approx(0.6**2 - 0.3**2, abs=4 * np.std(two) / np.sqrt(150))


def test_groups_keep_their_order_and_small_or_unanswered_ones_are_no_evidence() -> None:
    data = made_up(1, 0.1, 1.5)
    named = gate(data, ["few"] * 4 + ["many"] * 56)
    assert [g.group for g in named.groups] == ["few", "many"]
    assert [g.verdict for g in named.groups] == [OPEN, CROWD]
    silent = replace(data, reference_T=np.r_[np.full(4, np.nan), data.reference_T[4:]])
    report = gate(silent, ["few"] * 4 + ["many"] * 56)
    assert (report.unanswered, report.groups[0].problems, report.groups[0].verdict) == (4, 0, OPEN)
    assert list(report.frame()["verdict"]) == [OPEN, CROWD]


def test_wrong_input_is_refused_in_words() -> None:
    data = made_up(1, 0.1, 1.0)
    with pytest.raises(MismatchError, match="59 groups"):
        gate(data, ["all"] * 59)
    with pytest.raises(ConfigError, match="level"):
        gate(data, ["all"] * 60, level=95)
    with pytest.raises(ConfigError, match="alpha"):
        kappa_alpha(np.ones(4), 1.0)
    with pytest.raises(ConfigError, match="at least 3"):
        replace(data, size=2)
    with pytest.raises(MismatchError, match="one entry per problem"):
        replace(data, crowd_T=np.ones(3))


def test_equal_survey_weights_change_no_verdict_and_no_number() -> None:
    data = made_up(2, 0.4, 0.5, eta=0.1)
    weighted = replace(data, weight_R=np.full(len(data.human_R), 7.0))
    plain, same = (gate(d, ["all"] * 60).frame() for d in (data, weighted))
    pd.testing.assert_frame_equal(plain, same)


def test_the_weighted_advantage_is_that_of_a_hand_calculation() -> None:
    # two problems, answers 1 and 4: weights 3 and 1 make the people's mean 1.75, where everybody alike makes it 2.5
    person, problem = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    flat = np.zeros(2)
    data = GateInput(
        person, problem, np.array([1.0, 4.0, 1.0, 4.0]), flat + 2, flat, flat, flat + 3, flat, flat, 1000,
        weight_R=np.array([3.0, 1.0, 3.0, 1.0]),
    )  # fmt: skip
    found = gate(data, ["all", "all"]).groups[0]
    assert found.mean_delta == pytest.approx(1.75 - 3)
    assert found.advantage == pytest.approx((1.75 - 3) ** 2 - (1.75 - 2) ** 2)


def test_the_weighted_advantage_is_covered_by_its_interval() -> None:
    # strict people are asked three times as often as they stand for; their weight puts that right
    held, unweighted = [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        truth, strict = rng.normal(3, 1, 60), rng.random(40) < 0.75
        person = np.concatenate([rng.choice(40, 8, replace=False) for _ in range(60)])
        problem = np.repeat(np.arange(60), 8)
        # the population: half strict, one point above; the other half one point below
        human = truth[problem] + np.where(strict[person], 1.0, -1.0) + 0.5 * rng.standard_normal(len(person))
        weight = np.where(strict[person], 1 / 3, 1.0)
        data = replace(
            made_up(seed, 0.4, 0.5), human_R=human, person_R=person, problem_R=problem, weight_R=weight,
            crowd_T=truth + 0.4 * rng.standard_normal(60), reference_T=truth + 0.5 * rng.standard_normal(60) + 0.5,
        )  # fmt: skip
        found, alike = (gate(d, ["all"] * 60).groups[0] for d in (data, replace(data, weight_R=None)))
        held.append(found.low <= 0.5**2 + 0.5**2 - 0.4**2 <= found.high)
        unweighted.append(alike.advantage)
    assert np.mean(held) > 0.85
    assert np.mean(unweighted) < 0.34 - 0.3  # as if the population were three quarters strict
