"""The error's terms against a population whose every term is known, and against the identity they must obey."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from crowdllm.errors import ConfigError, UnknownNameError
from crowdllm.estimation.bare_llm import BareLLM
from crowdllm.estimation.human_noise import HumanNoise, noise_from_reliability, noise_from_repeats
from crowdllm.estimation.risk import RiskReport, decompose_risk
from crowdllm.estimation.twin_pairs import TwinPairs

Array = NDArray[np.float64]
TERMS = (
    "L1",
    "L2",
    "L3",
    "L4",
    "L5",
    "risk",
    "remainder",
    "sum",
    "bare L3",
    "bare risk",
    "bare randomness",
    "advantage",
)


@dataclass(frozen=True)
class World:
    """Person i thinks m_it = b_t + o_i + u_it and answers with noise; the twin expects m~_it = b_t + e_t + k o_i.

    The SDs: of o_i (opinion), u_it (own), human noise, e_t (model error), twin noise, the LLM's error and randomness.
    """

    opinion: float = 0.8
    own: float = 0.6
    noise: float = 0.7
    model_error: float = 0.4
    knows: float = 0.5
    twin_noise: float = 0.9
    bare_error: float = 0.6
    bare_randomness: float = 0.5

    def truth(self, n: int) -> dict[str, float]:
        """Every term by hand: expectations over people, problems and noise, for n people per problem."""
        spread = self.opinion**2 + self.own**2
        one = (1 - 1 / n) * spread + self.noise**2 / n
        two = self.noise**2
        three = self.model_error**2 + (1 - self.knows) ** 2 * self.opinion**2 + self.own**2
        four = self.twin_noise**2
        five = (1 - 1 / n) * (self.knows**2 * self.opinion**2 + self.twin_noise**2)
        # the difference of means: model error, (1 - k) o_i + u_i, human noise and twin noise, each averaged over n
        risk = (
            self.model_error**2
            + ((1 - self.knows) ** 2 * self.opinion**2 + self.own**2 + self.noise**2 + self.twin_noise**2) / n
        )
        bare = self.bare_error**2 + (spread + self.noise**2) / n + self.bare_randomness**2
        total = one + two + three + four - five
        return {
            "L1": one, "L2": two, "L3": three, "L4": four, "L5": five, "sum": total, "risk": risk,
            "remainder": risk - total, "bare L3": self.bare_error**2 + spread,
            "bare randomness": self.bare_randomness**2, "bare risk": bare, "advantage": bare - risk,
        }  # fmt: skip

    def draw(
        self, seed: int, people: int = 90, problems: int = 70, n: int = 9
    ) -> tuple[TwinPairs, BareLLM, HumanNoise]:
        rng = np.random.default_rng(seed)
        person = np.concatenate([rng.choice(people, n, replace=False) for _ in range(problems)])
        problem = np.repeat(np.arange(problems), n)
        base = rng.normal(3, 1, problems)
        opinion = self.opinion * rng.standard_normal(people)
        mean = base[problem] + opinion[person] + self.own * rng.standard_normal(len(person))
        human = mean + self.noise * rng.standard_normal(len(person))
        error = self.model_error * rng.standard_normal(problems)
        twin = base[problem] + error[problem] + self.knows * opinion[person]
        twin = twin + self.twin_noise * rng.standard_normal((6, len(person)))
        draws = 4
        single = self.bare_randomness * rng.standard_normal((problems, draws))
        single += (base + self.bare_error * rng.standard_normal(problems))[:, None]
        eta = single.var(axis=1, ddof=1)
        again = rng.normal(0, self.noise, (2, 120, 1))
        pairs = TwinPairs(person, problem, human[:, None], twin[:, :, None], people, problems)
        return pairs, BareLLM(single.mean(axis=1)[:, None], eta, eta / draws), noise_from_repeats(*again)


def report(seed: int, world: World | None = None, **settings: object) -> RiskReport:
    pairs, bare, noise = (world or World()).draw(seed)
    return decompose_risk(pairs, bare, **{"noise": noise, "draws": 60, **settings})  # type: ignore[arg-type]


def test_every_term_is_recovered_within_its_interval() -> None:
    truth, found = World().truth(9), [report(seed) for seed in range(5)]
    missed = [name for r in found for name in TERMS if not r[name].low <= truth[name] <= r[name].high]
    assert len(missed) <= 6, missed  # of 60 intervals at 95 %, 3 are expected to
    for name in TERMS:
        width = np.mean([r[name].high - r[name].low for r in found])
        assert width < 1.6 * max(abs(truth[name]), 0.3), name


@pytest.mark.slow
def test_intervals_at_95_percent_hold_the_truth_about_so_often() -> None:
    truth, found = World().truth(9), [report(seed, draws=100) for seed in range(120)]
    for name in TERMS:
        held = np.mean([r[name].low <= truth[name] <= r[name].high for r in found])
        assert held > 0.89, (name, held)
        center = np.mean([r[name].estimate for r in found])
        spread = np.std([r[name].estimate for r in found]) / np.sqrt(len(found))
        assert abs(center - truth[name]) < 4 * spread, (name, center, truth[name])


def test_the_five_terms_and_the_remainder_add_up_to_the_measured_risk() -> None:
    found = report(2)
    value = {t.term: t.estimate for t in found.terms}
    five = value["L1"] + value["L2"] + value["L3"] + value["L4"] - value["L5"]
    assert five == pytest.approx(value["sum"])
    assert five + value["remainder"] == pytest.approx(value["risk"])
    bare = value["L1"] + value["L2"] + value["bare L3"] + value["bare randomness"]
    assert bare + value["bare remainder"] == pytest.approx(value["bare risk"])


def test_the_measured_risk_is_the_mean_squared_difference_of_the_means() -> None:
    pairs, _, _ = World().draw(3)
    means = [np.bincount(pairs.problem_R, v[:, 0]) / 9 for v in (pairs.human_RD, *pairs.twin_JRD)]
    by_hand = np.mean([(means[0] - twin) ** 2 for twin in means[1:]])
    assert decompose_risk(pairs, draws=2)["risk"].estimate == pytest.approx(by_hand)


def test_without_repeated_answers_the_noise_is_bounded_and_the_bounds_hold_the_truth() -> None:
    truth, found = World().truth(9), report(4, noise=HumanNoise())
    for name in ("L1", "L2", "L3"):
        assert np.isnan(found[name].estimate)
        assert found[name].how == "bounded"
        assert found[name].low <= truth[name] <= found[name].high
    assert found["risk"].how == "estimated"
    assert "one answer per person" in found.noise.explain()


def test_a_prediction_from_other_answers_bounds_the_noise_from_above() -> None:
    loose, tight = (report(4, noise=n, draws=2) for n in (HumanNoise(), HumanNoise(at_most=0.6)))
    margin = tight["L2"].high - 0.6
    assert 0 <= margin < 0.5
    assert tight["L2"].high < loose["L2"].high
    assert tight["L1"].low > loose["L1"].low


def test_a_perfectly_reliable_answer_has_no_noise() -> None:
    found = report(5, World(noise=0.0), noise=noise_from_reliability(1.0))
    assert found["L2"].estimate == 0.0
    assert found["L1"].low <= World(noise=0.0).truth(9)["L1"] <= found["L1"].high


def test_the_terms_of_options_are_summed_over_the_options() -> None:
    pairs, _, noise = World().draw(6)
    double = replace(
        pairs, human_RD=np.repeat(pairs.human_RD, 2, axis=1), twin_JRD=np.repeat(pairs.twin_JRD, 2, axis=2)
    )
    one = decompose_risk(pairs, noise=noise, draws=2)
    two = decompose_risk(double, noise=replace(noise, variance=2 * noise.variance), draws=2)
    for name in ("L1", "L3", "L5", "risk"):
        assert two[name].estimate == pytest.approx(2 * one[name].estimate)


def test_repeated_answers_give_half_the_mean_squared_difference() -> None:
    found = noise_from_repeats(np.array([[1.0], [2.0], [5.0]]), np.array([[3.0], [2.0], [4.0]]))
    assert found.variance == pytest.approx((4 + 0 + 1) / 2 / 3)
    assert found.pairs == 3


def test_problems_with_one_answer_are_left_out_and_counted() -> None:
    pairs, _, noise = World().draw(7)
    alone = (pairs.problem_R != 0) | (np.arange(len(pairs.problem_R)) == 0)
    found = decompose_risk(pairs.take(alone), noise=noise, draws=2)
    assert (found.left_out, found.problems) == (1, 69)


def test_settings_out_of_range_are_refused_in_words() -> None:
    pairs, _, _ = World().draw(8)
    with pytest.raises(UnknownNameError, match="both, people, problems"):
        decompose_risk(pairs, over="persons")
    with pytest.raises(ConfigError, match="level"):
        decompose_risk(pairs, level=95)
    with pytest.raises(ConfigError, match="two human answers"):
        decompose_risk(pairs.take(np.array([0])))
    with pytest.raises(ConfigError, match="between 0 and 1"):
        noise_from_reliability(80)
    with pytest.raises(ConfigError, match="at least two repeated"):
        noise_from_repeats(np.zeros((1, 1)), np.zeros((1, 1)))
    with pytest.raises(UnknownNameError, match="L1"):
        decompose_risk(pairs, draws=2)["L6"]


def test_with_survey_weights_the_measured_risk_is_that_of_the_weighted_means() -> None:
    pairs, bare, noise = World().draw(3)
    weight = np.random.default_rng(0).gamma(2.0, 1.0, pairs.people)[pairs.person_R]
    weighted = replace(pairs, weight_R=weight)
    total = np.bincount(pairs.problem_R, weight)
    means = [np.bincount(pairs.problem_R, weight * v[:, 0]) / total for v in (pairs.human_RD, *pairs.twin_JRD)]
    by_hand = np.mean([(means[0] - twin) ** 2 for twin in means[1:]])
    value = {t.term: t.estimate for t in decompose_risk(weighted, bare, noise, draws=2).terms}
    assert value["risk"] == pytest.approx(by_hand)
    five = value["L1"] + value["L2"] + value["L3"] + value["L4"] - value["L5"]
    assert five + value["remainder"] == pytest.approx(value["risk"])
    assert value["bare sum"] + value["bare remainder"] == pytest.approx(value["bare risk"])


def test_equal_survey_weights_change_no_term() -> None:
    pairs, bare, noise = World().draw(4)
    plain, same = (
        decompose_risk(p, bare, noise, draws=4)
        for p in (pairs, replace(pairs, weight_R=np.full(len(pairs.person_R), 5.0)))
    )
    for one, other in zip(plain.terms, same.terms, strict=True):
        assert (one.estimate, one.low, one.high) == pytest.approx((other.estimate, other.low, other.high))


def test_repeated_answers_count_by_survey_weight() -> None:
    first, second = np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [4.0], [3.0]])
    assert noise_from_repeats(first, second).variance == pytest.approx(2 / 3)  # (0 + 4 / 2 + 0) / 3
    found = noise_from_repeats(first, second, np.array([1.0, 6.0, 1.0]))
    assert found.variance == pytest.approx(6 * 2 / 8)
