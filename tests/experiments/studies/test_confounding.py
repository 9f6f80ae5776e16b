"""The study of confounding: who is asked what, the true effect of the profile, and the claims on a made-up table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crowdllm.data.study import Study
from crowdllm.datasets import load_dataset
from crowdllm.datasets.synthetic import true_mean
from crowdllm.experiments.studies import confounding
from crowdllm.experiments.studies.confounding import SEEN, UNSEEN, WITHOUT, Config, claims, confounded, true_gap


@pytest.fixture(scope="module")
def whole() -> Study:
    return load_dataset("synthetic", participants=60, problems=30, per_participant=30)


def correlation(whole: Study, strength: float) -> float:
    mean_T = true_mean(30)
    rows = whole.responses.take(confounded(whole, mean_T, np.arange(24), 6, strength, 0))
    return float(np.corrcoef(whole.profiles.values_NC[rows.participant_R, 0], mean_T[rows.problem_R])[0, 1])


def test_the_stronger_the_selection_the_more_profile_and_problem_go_together(whole: Study) -> None:
    weak, middle, strong = (correlation(whole, s) for s in (0.0, 1.0, 4.0))
    assert abs(weak) < 0.15
    assert weak + 0.2 < middle < strong


def test_everybody_is_asked_so_many_training_problems(whole: Study) -> None:
    rows = whole.responses.take(confounded(whole, true_mean(30), np.arange(24), 6, 2.0, 3))
    assert set(np.bincount(rows.participant_R)) == {6}
    assert rows.problem_R.max() < 24


def test_the_true_gap_is_between_the_ends_of_the_profile_column(whole: Study) -> None:
    # only person 0 (highest leaning) and person 1 (lowest) matter: make everybody else of the middle
    levels = whole.profiles.values_NC.copy()
    levels[:, 0] = 2.0
    levels[0, 0], levels[1, 0] = 4.0, 0.0
    changed = replace(whole, profiles=replace(whole.profiles, values_NC=levels))
    values = {n: whole.responses.values_RD[whole.responses.participant_R == n, 0] for n in (0, 1)}
    assert true_gap(changed, np.arange(30)) == pytest.approx(values[0].mean() - values[1].mean())


def test_a_method_without_an_answer_has_no_error() -> None:
    config = Config((0,), participants=20, problems=12, per_person=4, crowd=5)
    table = confounding.measure(config, "tfidf", "problem-histogram", 1.0, 0)
    mae = dict(zip(table["where"], table["mae"].to_numpy(dtype=float), strict=True))
    assert np.isnan(mae[UNSEEN])
    assert mae[SEEN] > 0


def rows(method: str, strength: float, mae: float) -> list[dict[str, object]]:
    return [
        {"method": method, "strength": strength, "where": where, "seed": seed, "correlation": strength / 10,
         "mae": mae + seed / 1000, "slope": 0.0, "gap": 1.0, "true_gap": 1.5}
        for where in (UNSEEN, SEEN) for seed in (0, 1)
    ]  # fmt: skip


def test_claims_are_about_growth_and_about_what_profiles_save() -> None:
    config = Config((0, 1), strengths=(0.0, 4.0))
    table = pd.DataFrame(
        [
            *rows("crowdllm", 0, 0.3), *rows("crowdllm", 4, 0.31), *rows("crowdllm-paper", 0, 0.5),
            *rows("crowdllm-paper", 4, 0.8), *rows(WITHOUT, 0, 0.3), *rows(WITHOUT, 4, 0.45),
        ]
    )  # fmt: skip
    found = list(claims(config, table))
    assert [claim.holds for claim in found] == [True, False, True] * 2
    assert "0.140" in found[2].words
    figure = confounding.report(config, {"a": table}).pictures[0].draw()
    assert [axis.get_title(loc="left") for axis in figure.axes] == [UNSEEN, SEEN, "effect of the profile"]
