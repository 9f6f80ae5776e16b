"""Variance between and within groups: against hand calculation and a simulation with known components."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.experiments.studies import groups
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.decoder_participants import DECODER, QUICK_TRAINED, decoder_participants
from crowdllm.experiments.studies.groups import (
    HUMANS,
    Asked,
    Config,
    around_problems,
    claims,
    group_slope,
    persona_answers,
    variance_shares,
)
from crowdllm.experiments.studies.protocol import Data, Settings, check_pieces
from crowdllm.reference import Reference, References
from crowdllm.responses.ordinal import Ordinal


def test_answers_are_taken_around_their_problems_mean() -> None:
    rest = around_problems(np.array([1.0, 3.0, 5.0]), np.array([0, 0, 1]))
    assert rest == pytest.approx([-1, 1, 0])


def test_shares_of_a_balanced_design_are_those_of_the_textbook() -> None:
    # 2 groups of 2 people with 2 answers each; people's means 1, 3 and 5, 7; answers one above and below their mean
    value = np.array([0, 2, 2, 4, 4, 6, 6, 8], dtype=float)
    person, group = np.repeat(np.arange(4), 2), np.repeat([0, 1], 4)
    # MS within = 8 / 4 = 2; MS people = 2 (1 + 1 + 1 + 1) / 2 = 4; MS groups = 4 (4 + 4) / 1 = 32
    # sigma_E^2 = 2, sigma_P^2 = (4 - 2) / 2 = 1, sigma_G^2 = (32 - 4) / 4 = 7
    shares = variance_shares(value, person, group)
    assert shares == pytest.approx((0.7, 0.1, 0.2))


def test_shares_are_right_on_average_for_unbalanced_groups() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        group_N = np.repeat(np.arange(6), (3, 5, 8, 10, 4, 20))
        count_N = rng.integers(2, 9, len(group_N))
        person = np.repeat(np.arange(len(group_N)), count_N)
        felt_N = 0.6 * rng.standard_normal(6)[group_N] + 0.8 * rng.standard_normal(len(group_N))
        found.append(variance_shares(felt_N[person] + rng.standard_normal(len(person)), person, group_N[person]))
    # variances .36, .64, 1: a ratio of estimates is a little off its expectation
    assert np.mean(found, axis=0) == pytest.approx([0.18, 0.32, 0.5], abs=0.025)


def test_one_group_or_single_answers_have_no_shares() -> None:
    value = np.array([1.0, 2.0, 3.0, 4.0])
    assert np.isnan(variance_shares(value, np.arange(4), np.array([0, 0, 1, 1]))).all()
    assert np.isnan(variance_shares(value, np.array([0, 0, 1, 1]), np.zeros(4, dtype=int))).all()


def test_the_slope_is_one_for_the_same_groups_and_two_for_a_caricature() -> None:
    human, group = np.array([-1.0, -1.0, 1.0, 1.0]), np.array([0, 0, 1, 1])
    assert group_slope(human, human, group) == pytest.approx(1)
    assert group_slope(2 * human, human, group) == pytest.approx(2)
    assert group_slope(-human, human, group) == pytest.approx(-1)
    assert np.isnan(group_slope(human, np.zeros(4), group))


def test_people_speak_in_the_persona_of_their_own_level() -> None:
    gender = ProfileColumn("gender", "categorical", ("Man", "Woman", "Non-binary"))
    people = Profiles((gender,), np.array(list("mwn"), dtype=object), np.array([[0.0], [1.0], [2.0]]))
    problems = Problems(np.array(["p"], dtype=object), np.array(["text"], dtype=object))
    answers = Responses(np.arange(3), np.zeros(3, dtype=np.int64), np.zeros((3, 1)))
    study = Study("t", Ordinal(("1", "2", "3", "4", "5")), problems, people, answers)
    draws = np.array([[0.0, 1.0, 4.0, 2.0, 2.0, 2.0]])[:, :, None]  # base, male, female, ...
    spoken = persona_answers(study, References((Reference("r", "persona", problems.ids, draws),)), "gender")
    assert spoken[:2] == pytest.approx([2, 5])
    assert np.isnan(spoken[2])


ONE = Asked("a", "none", "problem", 0.2, "unseen a", ("crowdllm",), ("gender", "race"), ("p",))
OTHER = Asked("b", "none", "participant", 0.5, "unseen people", ("crowdllm", DECODER), ("gender", "race"))


def made(between: dict[str, float], dataset: str = "a") -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"data": dataset, "who": who, "column": column, "seed": seed, "between": share + seed / 1000,
             "people": 0.3, "within": 0.7 - share, "agreement": 1.0}
            for who, share in between.items() for column in ("gender", "race") for seed in (0, 1)
        ]
    )  # fmt: skip


def test_claims_compare_with_humans_on_the_columns_that_both_have() -> None:
    found = list(claims(ONE, made({HUMANS: 0.02, "crowdllm": 0.03, "p": 0.12})))
    assert [claim.holds for claim in found] == [True, True, False, True]
    assert "0.100" in found[2].words


def test_the_report_has_panels_for_every_data_set_and_one_colour_for_each_kind_of_people() -> None:
    config = Config((0, 1), (ONE, OTHER))
    tables = {
        "a": made({HUMANS: 0.02, "crowdllm": 0.03, "p": 0.12}),
        "b": made({HUMANS: 0.02, "crowdllm": 0.03, DECODER: 0.0}, "b"),
    }
    findings = groups.report(config, tables)
    assert any(line.startswith(f"b, {DECODER}: of the variance, 0.00") for line in findings.shows)
    assert len({config.style(who) for who in ("crowdllm", "p", DECODER)}) == 3
    figure = findings.pictures[0].draw()
    assert len(figure.axes) == 4
    assert {axis.get_ylabel() for axis in figure.axes} == {"% of the variance"}
    # what was left out is missing, and the rest is reported all the same
    assert len(groups.report(config, {"a": tables["a"]}).pictures[0].draw().axes) == 2


def test_your_own_tuned_model_takes_part_in_both_data_sets() -> None:
    experiment = groups.configure(Settings(Path("o"), tuned="adapter:somewhere"))
    assert [asked.people[-1] for asked in experiment.config.asked] == ["adapter:somewhere"] * 2
    check_pieces(experiment.pieces)
    assert DECODER not in {piece.arguments[3] for piece in experiment.pieces if len(piece.arguments) == 5}
    assert DECODER in {asked.people[-1] for asked in groups.configure(Settings(Path("o"))).config.asked}


@pytest.mark.slow
def test_a_decoders_people_answer_each_question_by_themselves() -> None:
    pytest.importorskip("transformers")
    study, _ = open_data(Data("synthetic:participants=60,problems=12,per_participant=12"))
    split = study.split("participant", 0.5, 0)
    test = split.test
    simulator = decoder_participants(split.train, QUICK_TRAINED, 0)
    answers = test.responses
    values = simulator.simulate(test.problems, None, test.profiles, answers.participant_R, answers.problem_R, 0)
    assert values.shape == (len(answers), 1)
    assert set(values[:, 0]) <= set(range(5))
    person = answers.participant_R
    shares = variance_shares(around_problems(values[:, 0], answers.problem_R), person, (person % 2).astype(np.int64))
    # a share between people of 0 has an SD of about sqrt(2 / 28) / 12 here
    assert abs(shares.people) < 4 * np.sqrt(2 / 28) / 12
