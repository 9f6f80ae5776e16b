"""Twins, gate input and the whole check of a crowd's trust, on a small study with a known answer distribution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crowdllm.belief.crowd_model import fit_crowd
from crowdllm.errors import ConfigError, MismatchError
from crowdllm.estimation.bare_llm import bare_llm
from crowdllm.estimation.gate_input import answer_groups, gate_input
from crowdllm.estimation.human_noise import noise_from_reliability, repeated_in_study
from crowdllm.estimation.known_answers import errors_from_others
from crowdllm.estimation.plan_study import Prices, plan_study
from crowdllm.estimation.plan_tables import plan_lines
from crowdllm.estimation.trust import TrustSettings, check_trust, trust_tables
from crowdllm.estimation.twin_pairs import as_numbers, twin_pairs
from crowdllm.methods.crowdllm import CrowdSimulator
from crowdllm.reference import Reference, References
from crowdllm.report.figure import save_figure
from crowdllm.report.trust_figures import trust_figures
from crowdllm.responses.choice import Choice
from crowdllm.responses.ordinal import Ordinal

FIVE = Ordinal(("1", "2", "3", "4", "5"))


def decisions(problems: np.ndarray, draws: list[list[float]]) -> References:
    values = np.array(draws, dtype=float)[:, :, None]
    return References((Reference("llm", "samples", problems, values),))


@pytest.fixture(scope="module")
def known(make_known: Callable[..., Any], fast_config: Callable[..., Any]) -> tuple[Any, Any]:
    found = make_known("ordinal", people=60, problems=12, per_person=8, seed=3)
    return found, fit_crowd(found.study, found.references, fast_config())


def test_a_twin_is_asked_afresh_in_every_draw_and_repeats_itself_for_one_seed(known: tuple[Any, Any]) -> None:
    found, model = known
    one, two, other = (twin_pairs(model, found.study, None, 3, seed) for seed in (0, 0, 1))
    assert (one.twin_JRD == two.twin_JRD).all()
    assert (one.twin_JRD != other.twin_JRD).any()
    assert (one.twin_JRD[0] != one.twin_JRD[1]).any()
    assert set(np.unique(one.human_RD)) <= {1.0, 2.0, 3.0, 4.0, 5.0}
    with pytest.raises(ConfigError, match="at least twice"):
        twin_pairs(model, found.study, None, 1)


def test_choices_become_one_number_per_option() -> None:
    picked = as_numbers(np.array([[0.0], [2.0], [np.nan]]), Choice(3), 3)
    assert picked[:2].tolist() == [[1, 0, 0], [0, 0, 1]]
    assert np.isnan(picked[2]).all()


def test_answers_are_predicted_from_the_same_persons_other_answers(known: tuple[Any, Any]) -> None:
    found, model = known
    study = found.study
    errors = errors_from_others(model, study, found.references)
    assert errors.shape == (len(study.responses),)
    alone = study.subset(np.array([0]), np.arange(60))  # one problem: no other answers, so only the profile helps
    fitted = [errors_from_others(model, alone, found.references).mean(), errors[study.responses.problem_R == 0].mean()]
    assert fitted[1] < fitted[0]


def test_the_bare_llm_is_the_mean_of_its_draws_and_their_variance(known: tuple[Any, Any]) -> None:
    problems = known[0].study.problems.take(np.arange(3))
    # positions 0..4 are the points 1..5; the second problem has one draw, the third none
    found = bare_llm(decisions(problems.ids, [[0, 2], [1, np.nan], [np.nan, np.nan]]), FIVE, problems)
    assert found.answer_TD[:2, 0].tolist() == [2.0, 2.0]
    assert np.isnan(found.answer_TD[2, 0])
    assert found.randomness_T.tolist() == [2.0, 0.0, 0.0]
    assert found.answer_variance_T[0] == 1.0
    with pytest.raises(MismatchError, match="no bare LLM"):
        bare_llm(None, FIVE, problems)


def test_a_source_with_a_distribution_answers_with_its_mean(known: tuple[Any, Any]) -> None:
    found = known[0]
    bare = bare_llm(found.references, FIVE, found.study.problems)
    assert bare.answer_TD[:, 0] == pytest.approx(found.truth_TM @ np.arange(1, 6))
    assert (bare.randomness_T == 0).all()


def test_groups_are_the_llms_own_answers(known: tuple[Any, Any]) -> None:
    study = known[0].study.subset(np.arange(3), np.arange(4))
    groups = answer_groups(decisions(study.problems.ids, [[0.0], [3.0], [np.nan]]), study)
    assert groups == ["the LLM says about 1", "the LLM says about 4", "no answer"]


def test_the_gate_gets_means_and_moments_of_the_simulated_people(known: tuple[Any, Any]) -> None:
    found, model = known
    data = gate_input(CrowdSimulator(model), found.study, found.references, 300, seed=1)
    assert (data.noise_T > 0).all()
    assert (data.second_T >= (data.crowd_T - data.reference_T) ** 2 - 0.3).all()
    with pytest.raises(MismatchError, match="means on a scale"):
        gate_input(CrowdSimulator(model), replace(found.study, response_type=Choice(3)), found.references)


def test_everything_is_judged_by_people_the_crowds_have_not_seen(known: tuple[Any, Any], tmp_path: Path) -> None:
    found, model = known
    trust = check_trust(found.study, model, found.references, TrustSettings(noise=noise_from_reliability(0.7)))
    tables = trust_tables(trust)
    assert list(tables) == ["risk", "gate", "subgroups", "mix"]
    assert trust.risk.responses == len(found.study.responses)
    assert trust.gate is not None
    assert sum(g.problems for g in trust.gate.groups) == 12
    undecided = [g for g in trust.gate.groups if g.verdict == "no evidence"]
    assert {g.group for g in undecided} >= {g.group for g in trust.gate.groups if g.problems < 5} > set()
    told = f"bare LLM in {len(undecided)} of {len(trust.gate.groups)} groups: they are in gate.csv"
    assert [note for note in trust.notes if told in note]
    assert {"everybody", "leaning", "region", "age"} == set(tables["subgroups"]["column"])
    assert "stated reliability of 0.7" in trust.notes[0]
    for k in range(2):
        for name, figure in trust_figures(trust).items():
            save_figure(figure, tmp_path / f"{name}-{k}.svg")
    for name in ("risk", "gate"):
        assert (tmp_path / f"{name}-0.svg").read_bytes() == (tmp_path / f"{name}-1.svg").read_bytes()


def test_a_crowd_that_never_saw_the_people_is_judged_as_it_is(known: tuple[Any, Any]) -> None:
    found, model = known
    trust = check_trust(found.study, model, None, TrustSettings(new_people=True))
    assert trust.gate is None
    assert any("without an LLM" in note for note in trust.notes)


def test_too_few_people_to_judge_by_are_refused(known: tuple[Any, Any]) -> None:
    found, model = known
    with pytest.raises(ConfigError, match="at least two folds"):
        check_trust(found.study.subset(np.arange(8), np.arange(3)), model, found.references)


def test_questions_that_stand_in_the_study_twice_give_the_noise(known: tuple[Any, Any]) -> None:
    study = known[0].study
    first, second = (str(i) for i in study.problems.ids[:2])
    points = as_numbers(study.responses.values_RD, FIVE, 0)[:, 0]
    answer = {
        (int(i), int(t)): y
        for i, t, y in zip(study.responses.participant_R, study.responses.problem_R, points, strict=True)
    }
    both = [i for i in range(60) if (i, 0) in answer and (i, 1) in answer]
    by_hand = np.mean([(answer[i, 0] - answer[i, 1]) ** 2 / 2 for i in both])
    found = repeated_in_study(study, [(first, second)])
    assert (found.pairs, found.variance) == (len(both), pytest.approx(by_hand))


def test_a_plan_measures_what_the_crowd_is_worth(known: tuple[Any, Any]) -> None:
    found, model = known
    plan = plan_study(found.study, model, found.references, Prices(30, 1.0), 1.0, folds=2)
    assert plan.cost <= 30
    assert len(plan.asks) == plan.allocation.more_T.sum() == len(plan.purpose)
    assert 0.05 <= plan.left <= 1
    assert plan.curve is not None
    assert plan.crowd_error > 0
    asked = {(ask.person, ask.problem) for ask in plan.asks if ask.person >= 0}
    answered = set(zip(found.study.responses.participant_R, found.study.responses.problem_R, strict=True))
    assert not asked & answered


def test_problems_that_the_llm_was_not_asked_about_cost_calls(known: tuple[Any, Any]) -> None:
    found, model = known
    source = found.references.sources[0]
    shares = source.distribution_TM.copy()
    shares[:2] = np.nan
    silent = References((replace(source, distribution_TM=shares),))
    plan = plan_study(found.study, model, silent, Prices(50, 1.0, 0.25, 8), 1.5, folds=0)
    assert plan.calls_T.tolist() == [8, 8] + [0] * 10
    assert plan.cost == len(plan.asks) + 16 * 0.25 <= 50


@pytest.mark.slow
def test_plans_are_for_shares_where_there_is_no_scale(
    make_known: Callable[..., Any], fast_config: Callable[..., Any]
) -> None:
    for kind in ("choice", "points"):
        found = make_known(kind, people=40, problems=6, seed=1)
        model = fit_crowd(found.study, None, fast_config())
        plan = plan_study(found.study, model, None, Prices(20, 1.0), 0.2, folds=2)
        assert (plan.allocation.before_T > 0).all()
        assert check_trust(found.study, model).gate is None


def test_everything_is_judged_by_the_weighted_people(known: tuple[Any, Any]) -> None:
    found, model = known
    weight_N = np.where(np.arange(60) < 10, 6.0, 1.0)
    weighted = replace(found.study, weights_N=weight_N)
    plain, trust = (
        check_trust(study, model, found.references, TrustSettings(new_people=True)) for study in (found.study, weighted)
    )
    assert plain.gate is not None
    assert trust.gate is not None
    problem_R, person_R = weighted.responses.problem_R, weighted.responses.participant_R
    mean_T = [
        np.average(weighted.responses.values_RD[mine, 0] + 1, weights=weight_N[person_R[mine]])
        for mine in (problem_R == t for t in range(12))
    ]
    signed_T = np.array(mean_T) - bare_llm(found.references, FIVE, weighted.problems).answer_TD[:, 0]
    names = answer_groups(found.references, weighted)
    for group in trust.gate.groups:
        assert group.mean_delta == pytest.approx(signed_T[[name == group.group for name in names]].mean())
    assert trust.risk["risk"].estimate != plain.risk["risk"].estimate
    assert len(trust.subgroups) == len(plain.subgroups)


def test_a_crowd_is_judged_with_weights_in_folds_too(known: tuple[Any, Any]) -> None:
    found, model = known
    weighted = replace(found.study, weights_N=np.where(np.arange(60) < 10, 6.0, 1.0))
    trust = check_trust(weighted, model, found.references)
    assert trust.risk.responses == len(weighted.responses)
    assert trust.gate is not None
    assert "everybody" in set(trust_tables(trust)["subgroups"]["column"])


def test_kappa_is_of_each_problem_once_however_many_folds_judge(known: tuple[Any, Any]) -> None:
    found, model = known
    trust = check_trust(found.study, model, found.references, TrustSettings(level=0.8))
    assert trust.gate is not None
    points = found.study.responses.values_RD[:, 0] + 1
    mean_T = np.array([points[found.study.responses.problem_R == t].mean() for t in range(12)])
    error_T = np.sort(np.abs(mean_T - bare_llm(found.references, FIVE, found.study.problems).answer_TD[:, 0]))
    assert trust.gate.kappa == pytest.approx(error_T[10])  # ceil(13 * .8) = the 11th of twelve


def test_a_plan_for_a_weighted_study_says_so_and_asks_for_more(known: tuple[Any, Any]) -> None:
    found, model = known
    weighted = replace(found.study, weights_N=np.where(np.arange(60) < 10, 6.0, 1.0))
    plain, plan = (
        plan_study(study, model, found.references, Prices(10_000, 1.0), 1.0, folds=0)
        for study in (found.study, weighted)
    )
    kish = (10 * 6 + 50) ** 2 / (10 * 36 + 50)
    assert plan.effective == pytest.approx(kish / 60)
    assert plan.allocation.needed_T.sum() > 1.3 * plain.allocation.needed_T.sum()
    assert any("survey weights are used: 100 answers tell as much as 49" in line for line in plan_lines(plan))
    assert not any("weights" in line for line in plan_lines(plain))
