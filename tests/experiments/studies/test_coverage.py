"""The study that counts how often intervals hold the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crowdllm.estimation.estimands import make_columns
from crowdllm.experiments.studies import get_study
from crowdllm.experiments.studies.coverage import COLUMNS, Config, configure, cover, report, summarise
from crowdllm.experiments.studies.coverage_population import Population, finite_population, without_options
from crowdllm.experiments.studies.coverage_replay import asked_of, draw_people, left_out_conformal, replay
from crowdllm.experiments.studies.protocol import Settings
from crowdllm.report.coverage_figure import coverage_figure
from crowdllm.report.figure import save_figure


@pytest.fixture(name="made")
def _made(make_known: Callable[..., Any]) -> Population:
    """Thirty problems, sixty people who all answer; a crowd that knows a part of every person's answer."""
    study = make_known("ordinal", people=60, problems=30, missing=0.0).study
    columns = make_columns(study.response_type, study.problems, study.responses)
    made = finite_population(study, columns, ("region", "north", "south"))
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.5, made.answer_RC.shape)
    crowd_TC = np.clip(
        made.truth_TC + rng.normal(0, 0.05, made.truth_TC.shape), made.columns.low_C, made.columns.high_C
    )
    return replace(
        made,
        expected_RC=0.5 * made.answer_RC + noise,
        crowd_TC=crowd_TC,
        crowd_mean_T=crowd_TC[:, 0],
        bias_T=np.full(30, 0.2),
        twin_R=made.answer_RC[:, 0],
    )


def test_people_are_drawn_without_replacement_and_never_all_of_them(made: Population) -> None:
    rows = draw_people(made, (7, 9), 0)
    assert len(np.unique(rows)) == len(rows)
    people = np.bincount(made.problem_R[rows], minlength=30)
    assert set(people) <= {7, 8, 9}
    everybody = np.bincount(made.problem_R[draw_people(made, (99, 99), 0)], minlength=30)
    assert (everybody == 59).all()


def test_neighbouring_problems_are_put_to_the_same_people(made: Population) -> None:
    rows = draw_people(made, (10, 10), 1)
    people = [frozenset(made.participant_R[rows[made.problem_R[rows] == t]]) for t in range(30)]
    assert len(set(people)) == 15


def test_predictions_are_centred_on_the_population(made: Population) -> None:
    above = asked_of(made, np.arange(len(made.problem_R))).above_RC
    for t in (0, 29):
        assert above[made.problem_R == t].mean(axis=0) == pytest.approx(np.zeros(6), abs=1e-9)


def test_a_replay_counts_every_problem_of_every_draw(made: Population) -> None:
    table = replay(made, (8, 8), (8, 8), 2, (0.8, 0.95), 0)
    means = table[(table["estimand"] == "mean") & (table["interval"] == "rectified")]
    assert means["draws"].tolist() == [60, 60]
    assert (table["covered"] <= table["draws"] + 1e-9).all()
    assert set(table["estimand"]) == {"mean", "median", "share", "difference", "subgroup"}
    assert set(table["interval"]) == {"human", "rectified", "combined", "conformal", "theorem5"}


def test_a_crowd_that_knows_people_narrows_the_interval_and_keeps_its_coverage(made: Population) -> None:
    table = summarise(replay(made, (8, 8), (8, 8), 12, (0.95,), 0).assign(dataset="made up"))
    own = table[table["estimand"] == "mean"].set_index("interval")
    assert own.loc["rectified", "width_ratio"] < 0.95
    assert 0.92 < own.loc["rectified", "empirical"] < 0.99
    assert 0.92 < own.loc["human", "empirical"] < 0.99


def test_one_draw_gives_the_same_counts_again(made: Population) -> None:
    first, again = (replay(made, (8, 8), (8, 8), 1, (0.9,), 3) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)


def test_without_enough_problems_there_is_no_conformal_interval(made: Population) -> None:
    table = replay(made, (8, 8), (8, 8), 1, (0.999,), 0)
    own = table[(table["interval"] == "conformal") & (table["estimand"] == "mean")]
    assert own["draws"].sum() == 0
    assert (
        len(summarise(table.assign(dataset="x"))[lambda t: (t["interval"] == "conformal") & (t["estimand"] == "mean")])
        == 0
    )


def test_a_conformal_interval_without_a_crowd_lies_around_the_other_problems(made: Population) -> None:
    from crowdllm.estimation.intervals import answered_intervals

    rows = draw_people(made, (99, 99), 0)
    own = [
        f for f in answered_intervals(asked_of(made, rows), 0.8) if f.interval == "rectified" and f.estimand == "mean"
    ]
    bounds = left_out_conformal(own, None, made, 0.8, 0)[0]
    estimate = own[0].bounds.estimate_T
    assert bounds.estimate_T[0] == pytest.approx(np.delete(estimate, 0).mean())


def test_the_table_has_the_columns_that_are_promised() -> None:
    sums = pd.DataFrame(
        [
            ("mean", "rectified", 0.95, 50, 47.0, 25.0, 50.0, "a", 0),
            ("mean", "rectified", 0.95, 50, 49.0, 25.0, 50.0, "a", 1),
        ],
        columns=["estimand", "interval", "nominal", "draws", "covered", "width", "human_width", "dataset", "seed"],
    )
    table = summarise(sums)
    assert tuple(table.columns) == COLUMNS
    assert table.iloc[0].tolist() == ["a", "mean", "rectified", 0.95, 0.96, 100, 0.5]


def test_the_report_says_which_intervals_miss_what_is_required(tmp_path: Path) -> None:
    row = {
        "nominal": 0.95,
        "draws": 1000,
        "width": 1.0,
        "human_width": 1.0,
        "seed": 0,
        "dataset": "a",
        "estimand": "mean",
    }
    rows = [
        {**row, "interval": "human", "covered": 950},
        {**row, "interval": "rectified", "covered": 955, "width": 0.9},
        {**row, "interval": "conformal", "covered": 900},
        {**row, "interval": "theorem5", "covered": 1000, "width": 3.0},
    ]
    findings = report({"a-0": pd.DataFrame(rows)})
    text = " ".join(findings.shows)
    assert "1 of 2 rectified and conformal" in text
    assert "Outside: a, mean, conformal: 90.0%." in text
    assert "Theorem 5" in text
    assert list(findings.tables) == ["coverage"]
    path = save_figure(coverage_figure(findings.tables["coverage"]), tmp_path / "coverage.svg")
    assert path.read_text().count("<svg") == 1


@pytest.mark.parametrize("quick", [False, True])
def test_the_study_has_a_piece_per_split(quick: bool, tmp_path: Path) -> None:
    experiment = get_study("coverage")(Settings(tmp_path, quick=quick, seed=5))
    assert {piece.kind for piece in experiment.pieces} == {"offensiveness", "bfi", "beps", "voting", "synthetic"}
    assert all(int(piece.key.rpartition("-")[2]) >= 5 for piece in experiment.pieces)
    assert experiment.config == configure(Settings(tmp_path, quick=quick, seed=5)).config


def test_hidden_options_are_seen_in_no_training_ballot(make_known: Callable[..., Any]) -> None:
    study = make_known("ballot", people=20, problems=1, same_options=True).study
    held = np.array([1, 3])
    split = without_options(study, held)
    assert split.option_order_TM is not None
    assert split.option_order_TM.tolist() == [[0, 2, 4, 1, 3]]
    assert split.train.responses.values_RD[:, 3:].sum() == 0
    assert len(split.train.problems.options[0]) == 3
    assert split.test.responses.values_RD[:, 3].tolist() == study.responses.values_RD[:, 1].tolist()


@pytest.mark.slow
def test_made_up_crowds_are_covered_through_the_whole_flow() -> None:
    """One small made-up crowd, cross-fitting included: a coarse check, the study itself is the fine one."""
    config = Config((), problems=40, people=60, per_person=10)
    source = replace(configure(Settings(Path("nowhere"))).config.sources[-1], splits=1)
    table = summarise(cover(config, source, 0))
    own = table[(table["estimand"] == "mean") & (table["nominal"] == 0.95)].set_index("interval")
    assert own.loc["rectified", "empirical"] > 0.85
    assert own.loc["rectified", "width_ratio"] <= 1.02


def test_a_replay_of_weighted_answers_counts_against_the_weighted_truth(made: Population) -> None:
    """Those who answer high weigh a third: unweighted intervals would miss the truth, weighted ones hold it."""
    high_R = made.answer_RC[:, 0] >= 4
    weight_R = np.where(high_R, 1 / 3, 1.0)
    columns = [
        np.bincount(made.problem_R, weight_R * c, 30) / np.bincount(made.problem_R, weight_R, 30)
        for c in made.answer_RC.T
    ]
    weighted = replace(made, weight_R=weight_R, truth_TC=np.stack(columns, axis=1))
    held = {}
    for name, population in (("by weight", weighted), ("alike", replace(weighted, weight_R=None))):
        table = summarise(replay(population, (20, 20), (20, 20), 8, (0.95,), 0).assign(dataset=name))
        held[name] = table[(table["estimand"] == "mean") & (table["interval"] == "human")]["empirical"].iloc[0]
    assert held["by weight"] > 0.9
    assert held["alike"] < 0.8


def test_equal_weights_change_no_count(made: Population) -> None:
    plain, same = (
        replay(m, (8, 8), (8, 8), 1, (0.9,), 0)
        for m in (made, replace(made, weight_R=np.full(len(made.problem_R), 2.0)))
    )
    pd.testing.assert_frame_equal(plain, same)


@pytest.mark.filterwarnings("error")
def test_one_problem_with_one_number_has_no_other_to_calibrate_on_and_warns_of_nothing(
    make_known: Callable[..., Any],
) -> None:
    study = make_known("continuous", people=30, problems=1).study
    columns = make_columns(study.response_type, study.problems, study.responses)
    one = finite_population(study, columns, ("", "", ""))
    table = replay(replace(one, crowd_TC=one.truth_TC, expected_RC=one.answer_RC), (8, 8), (8, 8), 1, (0.9,), 0)
    assert table[table["interval"] == "conformal"]["draws"].sum() == 0
