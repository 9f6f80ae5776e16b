"""The study of a small decoder: other methods' distributions are scored by the same code, and the words follow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crowdllm.datasets import load_dataset
from crowdllm.errors import ConfigError
from crowdllm.experiments.studies import tuning
from crowdllm.experiments.studies.protocol import Settings
from crowdllm.experiments.studies.tuning_report import report
from crowdllm.experiments.studies.tuning_rows import (
    CURVE,
    FOR_KL,
    FOR_RMSE,
    GROUP,
    MIN_PEOPLE,
    TRANSFER,
    rows,
    shares_of_levels,
)  # fmt: skip
from crowdllm.report.figure import save_figure
from crowdllm.responses.continuous import Continuous
from crowdllm.survey_tuning.calibration import temperature_curve

SMALL = "synthetic:participants=40,problems=6,per_participant=4"
OTHER = "synthetic:participants=30,problems=4,per_participant=3"
TINY = (("adapter", "full"), ("max_epochs", 1), ("held_out", 0.2), ("learning_rate", 0.003), ("without_profile", 0.0))
CONFIG = tuning.Config((0,), (SMALL,), (0.0, 0.5), baselines=("pooled", "catboost"))
COLUMNS = ["dataset", "method", "seed", "role", "temperature", "kl", "rmse", "nll", "avg_wd"]


def table(*rows: tuple[str, int, str, float, float]) -> pd.DataFrame:
    """(method, seed, role, kl, rmse) of SMALL."""
    return pd.DataFrame([(SMALL, m, s, r, 1.0, kl, rmse, 1.0, 0.1) for m, s, r, kl, rmse in rows], columns=COLUMNS)


def test_a_method_without_profiles_is_scored_as_by_hand() -> None:
    """`pooled` gives everybody the same shares: KL and RMSE follow from the two histograms."""
    found = tuning.measure_method(CONFIG, "tfidf", SMALL, "pooled", 0)
    train, test = tuning._parts(CONFIG, SMALL, 0)
    levels = len(test.response_type.to_dict()["levels"])
    q_M = np.bincount(train.responses.values_RD[:, 0].astype(int), minlength=levels) / len(train.responses)
    expected = []
    for t in np.unique(test.responses.problem_R):
        given = test.responses.values_RD[test.responses.problem_R == t, 0].astype(int)
        p_M = np.bincount(given, minlength=levels) / len(given)
        there = p_M > 0
        expected.append((p_M[there] * np.log(p_M[there] / (0.99 * q_M + 0.01 / levels)[there])).sum())
    chosen = found[found["role"] == FOR_KL]
    assert chosen["temperature"].tolist() == [1.0]
    assert chosen["kl"].tolist() == pytest.approx([np.mean(expected)], rel=0.02)  # levels are never quite 0
    at = np.asarray(test.response_type.to_dict()["points"], dtype=float)
    truth = at[test.responses.values_RD[:, 0].astype(int)]
    greedy = found[found["role"] == FOR_RMSE]
    assert greedy["rmse"].tolist() == pytest.approx([np.sqrt(np.mean((at[q_M.argmax()] - truth) ** 2))])


def test_answers_that_are_no_levels_are_refused() -> None:
    study = replace(
        load_dataset("synthetic", participants=10, problems=4, per_participant=2), response_type=Continuous()
    )
    with pytest.raises(ConfigError, match="levels, not continuous"):
        shares_of_levels(np.ones((2, 3)), study)


def test_a_decoder_is_trained_scored_and_cleared_away(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="for this test: pip install 'crowdllm[tune]'")
    config = replace(CONFIG, width=16, layers=1, heads=2, vocabulary=300, trained=TINY, epochs=((SMALL, 2),))
    found = tuning.measure_decoder(config, SMALL, 0.5, 0, str(tmp_path))
    assert set(found["method"]) == {"decoder-0.5", "decoder-0.5-margins"}
    assert set(found["role"]) == {CURVE, FOR_KL, FOR_RMSE}
    assert np.isfinite(found[["kl", "rmse", "nll"]][found["temperature"] > 0]).all().all()
    # embedding 16 x 300, attention 4 x 16 x 16, feed-forward 3 x 16 x 48, two norms in the layer and one at the end
    assert set(found["weights"]) == {300 * 16 + 4 * 16 * 16 + 3 * 16 * 48 + 3 * 16}
    assert found["epoch"].max() <= 2
    assert not list(tmp_path.iterdir())


def test_a_decoder_is_asked_the_questions_of_the_other_data_sets(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="for this test: pip install 'crowdllm[tune]'")
    both = replace(CONFIG, datasets=(SMALL, OTHER), width=16, layers=1, heads=2, vocabulary=300, trained=TINY)
    found = tuning.measure_decoder(both, SMALL, 0.0, 0, str(tmp_path))
    moved = found[found["role"] == TRANSFER]
    assert moved[["dataset", "method", "seed"]].to_numpy().tolist() == [[OTHER, f"decoder of {SMALL}", 0]]
    assert np.isfinite(moved[["kl", "nll", "rmse"]].astype(float)).all().all()
    assert set(found.loc[found["role"] != TRANSFER, "dataset"]) == {SMALL}
    lines = tuning_table(report(both, {"one": found}).blocks, "Transfer to another study: KL")
    assert {line[0] for line in lines} == {f"decoder of {SMALL}"}
    assert [bool(text) for text in lines[0]] == [True, True, True]  # its name, its own data set, the other


def tuning_table(blocks: Any, caption: str) -> list[list[str]]:
    """The texts of the table that is called so."""
    (found,) = [block for block in blocks if block.caption.startswith(caption)]
    return [[cell.text for cell in line] for line in found.rows]


def test_subgroups_are_scored_on_their_own_people_and_small_ones_are_left_out() -> None:
    study = load_dataset("synthetic", participants=400, problems=5, per_participant=2)
    test = study.split("participant", 0.5, 0).test
    answers = test.responses
    p_RM = np.random.default_rng(0).dirichlet(np.ones(len(test.response_type.to_dict()["levels"])), len(answers))
    shares = shares_of_levels(p_RM, test)
    found = rows(shares, study, test, 1.0, 0.0)
    groups = found[found["role"] == GROUP]
    assert (groups["people"] >= MIN_PEOPLE).all()
    checked = 0
    for c, column in enumerate(test.profiles.columns):
        for number, level in enumerate(column.levels if column.kind != "numeric" else ()):
            inside_N = test.profiles.values_NC[:, c] == number
            row = groups[(groups["column"] == column.name) & (groups["level"] == level)]
            assert len(row) == int(inside_N.sum() >= MIN_PEOPLE)
            if len(row):
                inside = np.flatnonzero(inside_N[answers.participant_R])
                curve = temperature_curve(shares.take(inside), answers.take(inside), test.response_type, (1.0,))
                assert row["kl"].tolist() == curve.kl_G.tolist()
                checked += 1
    assert checked


def test_mean_and_worst_subgroup_are_of_each_split() -> None:
    each = [("decoder-0", s, GROUP, kl, 1.0) for s, kls in ((0, (0.1, 0.3)), (1, (0.2, 0.6))) for kl in kls]
    found = report(replace(CONFIG, seeds=(0, 1)), {"one": table(("decoder-0", 0, FOR_KL, 0.3, 1.0), *each)})
    groups = found.tables["tuning-groups"].set_index("metric")
    assert groups.loc["kl mean", "mean"] == pytest.approx((0.2 + 0.4) / 2)
    assert groups.loc["kl worst", "mean"] == pytest.approx((0.3 + 0.6) / 2)
    assert groups.loc["groups", "mean"] == 2
    assert tuning_table(found.blocks, "Subgroups, KL (nats): worst group")[0][0] == "decoder-0"


@pytest.mark.parametrize(
    ("kls", "words"),
    [
        ((0.30, 0.31), "it does not reach catboost"),
        ((0.10, 0.11), "it is better than catboost"),
        ((0.30, 0.10), "it cannot be told apart from catboost"),
    ],
)
def test_whether_catboost_is_reached_is_said_from_the_numbers(kls: tuple[float, float], words: str) -> None:
    rows = [(m, s, FOR_KL, kl, 1.0) for m, each in (("decoder-0", kls), ("catboost", (0.2, 0.21)))
            for s, kl in enumerate(each)]  # fmt: skip
    found = report(replace(CONFIG, seeds=(0, 1)), {"one": table(*rows)})
    said = [line for line in found.shows if line.startswith(f"{SMALL}, decoder-0: KL")]
    assert len(said) == 1
    assert words in said[0]


def test_one_split_says_that_it_has_no_interval() -> None:
    rows = (("decoder-0", 0, FOR_KL, 0.3, 1.0), ("catboost", 0, FOR_KL, 0.2, 1.0))
    found = report(CONFIG, {"one": table(*rows)})
    words = "KL +0.1000 against catboost (one split, no interval): it does not reach catboost."
    assert len([line for line in found.shows if words in line]) == 1
    assert (found.agrees, found.differs, found.undecided) == ((), (), ())


def test_the_penalty_is_judged_by_the_rmse_of_several_splits() -> None:
    rows = [("decoder-0", s, FOR_RMSE, 0.3, 1.5 + 0.01 * s) for s in (0, 1)]
    rows += [("decoder-0.5", s, FOR_RMSE, 0.3, 1.2 + 0.01 * s) for s in (0, 1)]
    found = report(replace(CONFIG, seeds=(0, 1)), {"one": table(*rows)})
    assert len(found.agrees) == 1
    assert "-0.300" in found.agrees[0]
    assert not found.differs


def test_the_picture_has_decoders_over_temperatures_and_others_at_one(tmp_path: Path) -> None:
    steps = [("decoder-0", 0, CURVE, 0.3, 1.0), ("catboost", 0, CURVE, 0.2, 1.1)]
    curves = pd.concat([table(*steps).assign(temperature=t) for t in (0.5, 1.0)])
    figure = report(CONFIG, {"one": curves}).pictures[0].draw()
    points = {str(line.get_label()): len(np.asarray(line.get_xdata())) for line in figure.axes[0].lines}
    assert points["decoder-0"] == 2
    assert points["catboost"] == 1
    save_figure(figure, tmp_path / "curve.svg")


def test_quick_and_full_runs_name_their_pieces(tmp_path: Path) -> None:
    quick, full = (tuning.configure(Settings(tmp_path, quick)) for quick in (True, False))
    assert {piece.key for piece in quick.pieces} >= {"ev_attitudes.decoder-0.5.0", "ev_attitudes.catboost.0"}
    assert {data.dataset for data in full.data} == {"ev_attitudes", "bfi", "beps"}
