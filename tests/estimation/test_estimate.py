"""The one flow from a study and a fitted crowd to a table of intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.config import CrowdConfig
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError, MismatchError, UnknownNameError
from crowdllm.estimation.estimands import make_columns
from crowdllm.estimation.estimate import Estimates, EstimateSettings, _asked, estimate_study, with_level
from crowdllm.estimation.estimate_table import OVERALL, TABLE, interval_table
from crowdllm.estimation.rectified import column_bounds, tune_column
from crowdllm.responses.continuous import Continuous

QUICK = CrowdConfig(
    max_epochs=2, belief_width=2, reference_penalties=(100.0,), embedding_penalties=(200.0,), effect_variances=(0.3,),
    profile_penalties=(80.0,), folds=2,
)  # fmt: skip
STUDY_OF_40 = Study(
    "made up", Continuous(), Problems(*([np.array([f"q{t}" for t in range(10)], dtype=object)] * 2)),
    Profiles((), np.array([f"p{i}" for i in range(40)], dtype=object), np.zeros((40, 0))),
    Responses(np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros((0, 1))),
)  # fmt: skip
SETTINGS = EstimateSettings(level=0.8, folds=2, crowd_size=60, by="leaning", compare=(("t0", "t1"),))


def ids(study: Study) -> Study:
    """The same with problems called t0, t1, ..."""
    names = np.array([f"t{t}" for t in range(len(study.problems))], dtype=object)
    return replace(study, problems=replace(study.problems, ids=names))


@pytest.fixture(scope="module", name="known")
def _known(make_known: Callable[..., Any]) -> tuple[Study, CrowdModel, Estimates]:
    """Fourteen problems, of which the last two have no human response."""
    study = ids(make_known("ordinal", people=36, problems=14, per_person=9).study)
    study = replace(study, responses=study.responses.take(study.responses.problem_R < 12))
    model = fit_crowd(study, None, QUICK)
    return study, model, estimate_study(study, model, None, SETTINGS)


def test_every_problem_has_its_rows(known: tuple[Study, CrowdModel, Estimates]) -> None:
    study, _, found = known
    table = found.table
    assert list(table.columns) == list(TABLE)
    means = table[(table["estimand"] == "mean") & (table["group"] == "")]
    answered, empty = means[means["humans"] > 0], means[means["humans"] == 0]
    assert set(answered["interval"]) == {"human", "rectified", "theorem5"}
    assert set(empty["interval"]) == {"conformal"}
    assert set(empty["problem"]) == {"t12", "t13"}
    assert set(means["problem"]) == set(study.problems.ids)


def test_the_rectified_interval_lies_beside_humans_alone_and_is_no_wider(
    known: tuple[Study, CrowdModel, Estimates],
) -> None:
    table = known[2].table
    own = table[(table["estimand"] == "mean") & (table["group"] == "")].set_index(["interval", "problem"])
    human, rectified = own.loc["human"], own.loc["rectified"]
    width = (rectified["high"] - rectified["low"]) / (human["high"] - human["low"])
    assert (width <= 1.02).all()
    assert (rectified["worth"] >= rectified["humans"] - 1e-9).all()


def test_humans_alone_are_the_means_of_the_answers(known: tuple[Study, CrowdModel, Estimates]) -> None:
    study, _, found = known
    table = found.table
    own = table[(table["estimand"] == "mean") & (table["interval"] == "human") & (table["group"] == "")]
    first = study.responses.values_RD[study.responses.problem_R == 0, 0] + 1  # levels 1 to 5
    row = own[own["problem"] == "t0"].iloc[0]
    assert row["estimate"] == pytest.approx(first.mean())
    assert row["humans"] == len(first)


def test_shares_of_a_problem_add_up(known: tuple[Study, CrowdModel, Estimates]) -> None:
    table = known[2].table
    own = table[(table["estimand"] == "share") & (table["interval"] == "human") & (table["group"] == "")]
    assert own.groupby("problem")["estimate"].sum().to_numpy() == pytest.approx(np.ones(12))
    assert own["low"].between(0, 1).all()
    assert own["high"].between(0, 1).all()


def test_a_difference_is_that_of_the_two_means(known: tuple[Study, CrowdModel, Estimates]) -> None:
    table = known[2].table
    own = table[(table["interval"] == "human") & (table["group"] == "")]
    means = own[own["estimand"] == "mean"].set_index("problem")["estimate"]
    row = own[own["estimand"] == "difference"]
    assert row[["problem", "of"]].to_numpy().tolist() == [["t0", "t1"]]
    assert row["estimate"].iloc[0] == pytest.approx(means["t0"] - means["t1"])


def test_subgroups_are_estimated_and_compared(known: tuple[Study, CrowdModel, Estimates]) -> None:
    table = known[2].table
    assert set(table["group"]) == {"", "low", "middle", "high"}
    groups = table[(table["estimand"] == "mean") & (table["interval"] == "human") & (table["group"] != "")]
    means = groups.set_index(["problem", "group"])["estimate"]
    compared = table[(table["estimand"] == "subgroup") & (table["interval"] == "human")]
    assert set(compared["of"]) == {"low - middle", "low - high", "middle - high"}
    row = compared[compared["of"] == "low - high"].iloc[0]
    assert row["estimate"] == pytest.approx(means[row["problem"], "low"] - means[row["problem"], "high"])


def test_what_they_are_worth_is_added_up(known: tuple[Study, CrowdModel, Estimates]) -> None:
    study, _, found = known
    worth = found.worth
    overall = worth[worth["problem"] == OVERALL].set_index("interval")
    each = worth[(worth["problem"] != OVERALL) & (worth["interval"] == "rectified")]
    assert overall.loc["rectified", "humans"] == len(study.responses)
    assert overall.loc["rectified", "worth"] == pytest.approx(each["worth"].sum())
    assert np.isnan(overall.loc["conformal", "ratio"])
    assert overall.loc["conformal", "worth"] > 0


def test_a_higher_level_gives_wider_intervals(known: tuple[Study, CrowdModel, Estimates]) -> None:
    found = known[2]
    wide = interval_table(with_level(found.evidence, 0.95))
    keys = ["problem", "estimand", "of", "group", "interval"]
    both = found.table.merge(wide, on=keys, suffixes=("", "_wide"))
    own = both[both["interval"].isin(["human", "rectified", "theorem5"])]
    assert (own["low_wide"] <= own["low"] + 1e-9).all()
    assert (own["high_wide"] >= own["high"] - 1e-9).all()


def test_without_enough_problems_an_unanswered_one_gets_the_whole_scale(
    known: tuple[Study, CrowdModel, Estimates],
) -> None:
    table = interval_table(with_level(known[2].evidence, 0.95))
    own = table[(table["interval"] == "conformal") & (table["estimand"] == "mean")]
    assert own[["low", "high"]].to_numpy().tolist() == [[1.0, 5.0], [1.0, 5.0]]
    assert own["note"].str.contains("too few problems").all()


def test_people_who_are_new_to_the_model_need_no_fit_over_people(
    known: tuple[Study, CrowdModel, Estimates], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, model, _ = known
    fits: list[int] = []

    def counted(*arguments: Any) -> CrowdModel:
        fits.append(len(arguments[0].profiles))
        return fit_crowd(*arguments)

    monkeypatch.setattr("crowdllm.estimation.cross_fit.fit_crowd", counted)
    estimate_study(study, model, None, replace(SETTINGS, new_people=True, by=""))
    assert fits == [36, 36]  # the two folds of problems, with everybody in them


def test_survey_weights_move_the_estimates(known: tuple[Study, CrowdModel, Estimates]) -> None:
    study, model, _ = known
    weight_N = np.where(np.arange(36) < 18, 4.0, 1.0)
    weighted = replace(study, weights_N=weight_N)
    found = estimate_study(weighted, model, None, replace(SETTINGS, new_people=True, by=""))
    mine = study.responses.problem_R == 0
    values, weights = study.responses.values_RD[mine, 0] + 1, weight_N[study.responses.participant_R[mine]]
    own = found.table[(found.table["estimand"] == "mean") & (found.table["interval"] == "human")]
    row = own[own["problem"] == "t0"].iloc[0]
    assert row["estimate"] == pytest.approx(np.average(values, weights=weights))
    assert any("weights" in note for note in found.notes)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        (EstimateSettings(level=95.0), ConfigError, r"such as 0\.95"),
        (EstimateSettings(by="shoe size"), UnknownNameError, "profile column"),
        (EstimateSettings(by="age"), ConfigError, "numeric"),
        (EstimateSettings(compare=(("t0", "nowhere"),)), UnknownNameError, "nowhere"),
    ],
)
def test_settings_that_fit_nothing_are_refused(
    settings: EstimateSettings, error: type[Exception], words: str, known: tuple[Study, CrowdModel, Estimates],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    study, model, found = known
    held = found.evidence.held_out_TC
    monkeypatch.setattr("crowdllm.estimation.estimate.cross_fit_problems", lambda *a, **k: held)
    with pytest.raises(error, match=words):
        estimate_study(study, model, None, replace(settings, new_people=True))


def test_a_study_on_another_scale_is_refused(
    known: tuple[Study, CrowdModel, Estimates], make_known: Callable[..., Any]
) -> None:
    with pytest.raises(MismatchError, match="scale"):
        estimate_study(make_known("choice", people=6, problems=3).study, known[1])


@pytest.mark.parametrize("kind", ["choice", "ballot", "bounded"])
def test_other_response_types_have_their_estimands(kind: str, make_known: Callable[..., Any]) -> None:
    study = ids(make_known(kind, people=14, problems=4).study)
    model = fit_crowd(study, None, QUICK)
    settings = EstimateSettings(folds=2, crowd_size=20, new_people=True, compare=(("t0", "t1"),))
    table = estimate_study(study, model, None, settings).table
    estimands = {"choice": {"share", "difference"}, "ballot": {"share", "difference"}}
    assert set(table["estimand"]) == estimands.get(kind, {"mean", "median", "difference"})
    assert np.isfinite(table["low"]).all()


def test_a_study_without_responses_has_an_empty_table(known: tuple[Study, CrowdModel, Estimates]) -> None:
    study, model, _ = known
    nobody = np.zeros(0, dtype=np.int64)
    empty = replace(study, responses=Responses(nobody, nobody, np.zeros((0, 1))))
    found = estimate_study(empty, model, None, replace(SETTINGS, by="", compare=()))
    assert isinstance(found.table, pd.DataFrame)
    assert len(found.table) == 0
    assert any("0 people answered" in note for note in found.notes)


def test_with_weights_humans_who_all_answered_are_not_narrowed_by_a_crowd() -> None:
    # everybody answered: there is nobody left whom a crowd could speak for, however well it predicts
    rng = np.random.default_rng(0)
    weight_N = rng.gamma(2.0, 1.0, 40)
    answer, problem, person = rng.normal(3, 1, 400), np.tile(np.arange(10), 40), np.repeat(np.arange(40), 10)
    kish = weight_N.sum() ** 2 / (weight_N**2).sum()
    study = replace(STUDY_OF_40, weights_N=weight_N, responses=Responses(person, problem, answer[:, None]))
    columns = make_columns(study.response_type, study.problems, study.responses)
    asked = _asked(study, columns, None, 0, np.ones(40, dtype=bool), study.relative_weights_N)
    assert asked.frame_T == pytest.approx(np.full(10, kish))
    known = replace(asked, above_RC=0.9 * (answer - np.bincount(problem, answer, 10)[problem] / 40)[:, None])
    tuning = tune_column(known, 0)
    assert tuning.explained > 0.5
    alone, together = (column_bounds(known, 0, tuning=t) for t in (None, tuning))
    assert together.width_T == pytest.approx(alone.width_T)


def test_the_worth_of_weighted_humans_alone_is_their_number(known: tuple[Study, CrowdModel, Estimates]) -> None:
    study, model, _ = known
    weighted = replace(study, weights_N=np.where(np.arange(36) < 18, 4.0, 1.0))
    found = estimate_study(weighted, model, None, replace(SETTINGS, new_people=True, by=""))
    alone = found.table[(found.table["interval"] == "human") & (found.table["estimand"] == "mean")]
    assert alone["worth"].to_numpy() == pytest.approx(alone["humans"].to_numpy())
    overall = found.worth[(found.worth["problem"] == OVERALL) & (found.worth["interval"] == "rectified")].iloc[0]
    assert overall["ratio"] >= 1 - 1e-9


def test_problems_to_compare_are_looked_up_before_anything_is_fitted(
    known: tuple[Study, CrowdModel, Estimates], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, model, _ = known
    monkeypatch.setattr("crowdllm.estimation.cross_fit.fit_crowd", lambda *a: pytest.fail("something was fitted"))
    with pytest.raises(UnknownNameError, match="nowhere"):
        estimate_study(study, model, None, replace(SETTINGS, compare=(("t0", "nowhere"),)))


def test_where_no_two_people_answered_a_problem_the_missing_interval_is_explained(
    known: tuple[Study, CrowdModel, Estimates],
) -> None:
    study, model, _ = known
    one = study.responses.participant_R == study.responses.participant_R[0]
    found = estimate_study(replace(study, responses=study.responses.take(one)), model, None, replace(SETTINGS, by=""))
    assert any("answered by two people" in note for note in found.notes)
    assert not ((found.table["interval"] == "human") & (found.table["estimand"] == "mean")).any()
