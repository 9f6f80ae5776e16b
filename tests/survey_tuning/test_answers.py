"""Distributions at a temperature, draws from them, and the best temperature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crowdllm.config import TuneConfig, make_config
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError, MismatchError
from crowdllm.evaluation.distances import kl
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.survey_tuning.answers import Shares, answer_shares, at_temperature, draw_answers, mixed
from crowdllm.survey_tuning.calibration import calibrate, choose_profile_weight, temperature_curve
from crowdllm.survey_tuning.tuned import untuned

LOG = np.log(np.array([[0.1, 0.4, 0.5], [0.2, 0.8, 1e-300]]))
LOG[1, 2] = -np.inf


def shares(log_p=LOG, points=(1.0, 2.0, 4.0)) -> Shares:
    values = np.tile(np.arange(log_p.shape[1], dtype=float), (len(log_p), 1))
    return Shares(log_p, values, np.tile(np.array(points), (len(log_p), 1)), np.zeros(len(log_p)))


def test_temperature_raises_the_shares_to_a_power() -> None:
    assert at_temperature(LOG, 1.0) == pytest.approx(np.exp(LOG))
    square = np.array([0.01, 0.16, 0.25])
    assert at_temperature(LOG, 0.5)[0] == pytest.approx(square / square.sum())
    assert at_temperature(LOG, 1e6)[0] == pytest.approx([1 / 3] * 3, abs=1e-5)
    assert at_temperature(LOG, 0.0).tolist() == [[0, 0, 1], [0, 1, 0]]
    assert at_temperature(LOG, 1e-12).tolist() == [[0, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("wrong", [-0.1, np.nan, np.inf])
def test_a_temperature_is_a_number_of_at_least_0(wrong: float) -> None:
    with pytest.raises(ConfigError, match="at least 0"):
        at_temperature(LOG, wrong)


def test_a_draw_is_where_its_uniform_number_falls() -> None:
    found = draw_answers(shares(np.repeat(LOG[:1], 4, axis=0)), 1.0, np.array([0.05, 0.15, 0.49, 0.51]))
    assert found.tolist() == [[0], [1], [1], [2]]
    assert draw_answers(shares(LOG), 1.0, np.array([0.999, 0.999999])).tolist() == [[2], [1]]
    assert draw_answers(shares(LOG), 0.0, np.array([0.01, 0.01])).tolist() == [[2], [1]]


def test_the_curves_measures_are_those_of_the_definitions() -> None:
    """Two people who answered 4 and 1 (levels 2 and 0) to one question; both have q = (.1, .4, .5)."""
    kind = Ordinal(("1", "2", "4"))
    both = shares(np.repeat(LOG[:1], 2, axis=0))
    answers = Responses(np.array([0, 1]), np.array([0, 0]), np.array([[2.0], [0.0]]))
    curve = temperature_curve(both, answers, kind, (1.0,))
    square = (0.1 * 9 + 0.4 * 4, 0.4 * 1 + 0.5 * 9)
    assert curve.rmse_G[0] == pytest.approx(np.sqrt(np.mean(square)))
    assert curve.nll_G[0] == pytest.approx(-np.log(0.5 * 0.1) / 2)
    assert curve.kl_G[0] == pytest.approx(kl(np.array([[0.5, 0, 0.5]]), np.exp(LOG[:1]))[0])
    assert curve.avg_wd_G[0] == pytest.approx(0.4 * 1 + 0.0 * 2)  # |.1 - .5| over 1 to 2, |.5 - .5| over 2 to 4


def test_the_best_temperatures_undo_a_distortion_and_prefer_greedy_for_rmse() -> None:
    """People answer as p; the model says p^2 / sum: the KL is lowest at temperature 2."""
    p = np.array([0.6, 0.3, 0.1])
    given = np.repeat([0, 1, 2], [60, 30, 10])
    sharp = np.tile(2 * np.log(p) - np.log((p**2).sum()), (100, 1))
    answers = Responses(np.arange(100), np.zeros(100, dtype=np.int64), given[:, None].astype(float))
    _, best = calibrate(shares(sharp), answers, Ordinal(("1", "2", "4")))
    assert best.temperature_kl == pytest.approx(2.0, abs=0.1)
    assert best.kl < 0.01
    points, mean = np.array([1.0, 2.0, 4.0]), p @ np.array([1.0, 2.0, 4.0])
    variance = p @ (points - mean) ** 2
    assert best.temperature_rmse > 0  # always saying 1 costs more than the answers nearer to the mean
    assert best.rmse < np.sqrt(p @ (points - 1) ** 2)
    assert best.rmse > np.sqrt(variance)


def test_options_are_right_or_wrong(of_kind: Callable[[str], Study]) -> None:
    study = of_kind("choice")
    answers = Responses(np.array([0]), np.array([0]), np.array([[2.0]]))
    curve = temperature_curve(shares(LOG[:1], (np.nan,) * 3), answers, study.response_type, (1.0,))
    assert curve.rmse_G[0] == pytest.approx(np.sqrt(0.5))
    assert np.isnan(curve.avg_wd_G[0])


def test_survey_weights_count_in_the_curve() -> None:
    answers = Responses(np.array([0, 1]), np.array([0, 0]), np.array([[2.0], [0.0]]), np.array([1.5, 0.5]))
    curve = temperature_curve(shares(np.repeat(LOG[:1], 2, axis=0)), answers, Ordinal(("1", "2", "4")), (1.0,))
    assert curve.nll_G[0] == pytest.approx(-0.75 * np.log(0.5) - 0.25 * np.log(0.1))
    assert curve.kl_G[0] == pytest.approx(kl(np.array([[0.25, 0, 0.75]]), np.exp(LOG[:1]))[0])


def test_a_temperature_needs_held_out_answers() -> None:
    none = np.zeros(0, dtype=np.int64)
    with pytest.raises(MismatchError, match="there are none"):
        calibrate(shares(LOG[:0]), Responses(none, none, np.zeros((0, 1))), Ordinal(("1", "2")))


@pytest.mark.parametrize("kind", ["ordinal", "choice", "continuous"])
def test_a_model_as_it_is_answers_every_kind_of_question(
    kind: str, tiny: Callable[..., str], of_kind: Callable[[str], Study]
) -> None:
    study = of_kind(kind)
    plain = untuned(tiny("qwen3"), TuneConfig(answer_form="typed"), [study], "cpu")
    i, t = np.array([0, 6, 0, 3]), np.array([0, 0, 1, 0])
    found = answer_shares(plain, plain.interview(study), study.problems, study.profiles, i, t)
    p_RM = found.at(1.0)
    assert p_RM.sum(axis=1) == pytest.approx(np.ones(4))
    assert p_RM[0] == pytest.approx(p_RM[3])  # persons 0 and 3 have one profile
    assert not np.allclose(p_RM[0], p_RM[1])
    assert ((found.stray_R >= 0) & (found.stray_R <= 1)).all()
    values = draw_answers(found, 1.0, np.array([0.1, 0.5, 0.7, 0.9]))
    assert study.response_type.legal(values, study.problems.option_counts[t]).all()


def test_the_weight_of_the_profile_mixes_probabilities_and_never_makes_an_answer_up() -> None:
    found = mixed(shares(LOG[:1]), shares(LOG[1:]), 0.25)
    assert np.exp(found.log_p_RM)[0] == pytest.approx([0.175, 0.7, 0.125])
    assert mixed(shares(LOG[1:]), shares(LOG[1:]), 0.25).log_p_RM[0, 2] == -np.inf
    assert mixed(shares(LOG[:1]), shares(LOG[1:]), 0.0).at(1.0)[0] == pytest.approx([0.2, 0.8, 0])


def test_the_profiles_weight_is_the_likeliest_on_held_out_people() -> None:
    """With the profile .9 for the answer given in 7 of 10 cases and .1 in the others, without it always .5: the log
    likelihood .7 log(.5 + .4 w) + .3 log(.5 - .4 w) is greatest where .5 + .4 w = .7."""
    told, untold = (
        shares(np.log(np.tile([0.9, 0.1], (10, 1))), (1.0, 2.0)),
        shares(np.log(np.full((10, 2), 0.5)), (1.0, 2.0)),
    )
    given = np.repeat([0.0, 1.0], [7, 3])[:, None]
    answers = Responses(np.arange(10), np.zeros(10, dtype=np.int64), given)
    assert choose_profile_weight([(told, untold, answers)]) == pytest.approx(0.5)
    assert choose_profile_weight([(untold, told, answers)]) == pytest.approx(0.5)


@pytest.mark.parametrize("weight", [0.0, 0.25])
def test_a_person_is_mixed_with_the_question_asked_without_a_profile(weight: float, tiny: Any, of_kind: Any) -> None:
    study, pairs = of_kind("ordinal"), (np.array([0, 6]), np.array([0, 1]))
    plain = untuned(tiny("llama"), TuneConfig(profile_weight=weight), [study], "cpu")
    how = plain.interview(study)
    found = answer_shares(plain, how, study.problems, study.profiles, *pairs).at(1.0)
    told = answer_shares(replace(plain, profile_weight=1.0), how, study.problems, study.profiles, *pairs).at(1.0)
    untold = answer_shares(plain, how, study.problems, None, *pairs).at(1.0)
    assert not np.allclose(told, untold, rtol=1e-4)
    assert found == pytest.approx(weight * told + (1 - weight) * untold)


@pytest.mark.parametrize("wrong", [-0.1, 1.5, "best"])
def test_the_profiles_weight_is_a_share_or_chosen(wrong: object) -> None:
    with pytest.raises(ConfigError, match="profile_weight"):
        make_config(TuneConfig, {"profile_weight": wrong})
    assert make_config(TuneConfig, {"profile_weight": "0.5"}).profile_weight == 0.5
    assert make_config(TuneConfig, {"profile_weight": "chosen"}).profile_weight == "chosen"


def test_a_study_with_other_numbers_is_asked_on_its_own_scale(tiny, of_kind) -> None:
    study = of_kind("continuous")
    plain = untuned(tiny("llama"), TuneConfig(most_candidates=11), [study], "cpu")
    other = replace(study, response_type=Continuous(0.0, 100.0), title="Another")
    assert plain.interview(other).candidates(study.problems, 0).points == tuple(float(n) for n in range(0, 101, 10))
    unknown = replace(study, response_type=Continuous(0.0), title="Open")
    with pytest.raises(MismatchError, match="numbers without bounds"):
        plain.interview(unknown)
