"""The simulation study: its true population, what people answer in it, and the paper's conclusions on made tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdllm.experiments.studies import simulation
from crowdllm.experiments.studies.protocol import Data
from crowdllm.experiments.studies.simulation import Config, insights, settled, settled_by_seed
from crowdllm.experiments.studies.true_population import Population, Truth, training_part, true_population

SMALL = Data("synthetic:participants=80,problems=14,per_participant=12")
HASTY = (
    ("max_epochs", 8), ("folds", 2), ("reference_penalties", (100.0,)), ("embedding_penalties", (60.0,)),
    ("effect_variances", (0.1,)), ("profile_penalties", (80.0,)),
)  # fmt: skip
CONFIG = Config((0, 1), Truth(SMALL, "tfidf", HASTY, 14, 200), people=(4, 8), per_person=(3,), own=HASTY)


@pytest.fixture(scope="module")
def truth() -> Population:
    return true_population(CONFIG.truth)


def cells(values: dict[tuple[float, float, int], float]) -> pd.DataFrame:
    """Two seeds of (error, diversity, people) -> MAE, the second a little larger."""
    rows = [
        {"method": "crowdllm", "error": e, "diversity": d, "people": n, "per_person": 10, "annotations": 10 * n,
         "seed": seed, "mae": mae + 0.001 * seed}
        for (e, d, n), mae in values.items() for seed in (0, 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_settled_is_the_first_budget_from_which_all_are_near_the_last() -> None:
    table = pd.DataFrame({"annotations": [25, 50, 100, 200], "mean": [1.0, 1.05, 2.0, 1.0]})
    assert settled(table) == 200
    assert settled(table.assign(mean=[3.0, 1.05, 1.1, 1.0])) == 50
    assert settled(table.assign(mean=1.0)) == 25


def test_settled_by_seed_averages_over_errors() -> None:
    table = pd.DataFrame({"seed": [0] * 4, "annotations": [10, 10, 20, 20], "mae": [0.8, 1.2, 1.0, 1.0]})
    assert settled_by_seed(table) == {0: 10.0}


def test_the_five_conclusions_are_told_apart() -> None:
    config = Config((0, 1), CONFIG.truth, errors=(0.0, 2.0), people=(10, 80), per_person=(10,))
    table = cells(
        {
            (0, 0, 10): 0.1, (0, 0, 80): 0.1, (2, 0, 10): 0.5, (2, 0, 80): 0.7,
            (0, 1, 10): 0.2, (0, 1, 80): 0.2, (2, 1, 10): 0.4, (2, 1, 80): 0.4,
            (0, 2, 10): 0.9, (0, 2, 80): 0.3, (2, 2, 10): 0.9, (2, 2, 80): 0.3,
        }
    )  # fmt: skip
    found = list(insights(config, table))
    assert [claim.words.partition("insight ")[2][0] for claim in found] == ["1", "2", "3", "4", "5"]
    # 5 fails: at diversity 2 an error costs nothing, so that one difference is exactly 0 and not above it
    assert [claim.holds for claim in found] == [True, True, True, True, False]
    assert "0.200" in found[0].words


def test_beliefs_have_sd_one_on_average(truth: Population) -> None:
    beliefs = truth.beliefs(truth.model.recruit(4000, 5), 5)
    assert np.sqrt(beliefs.var(axis=0).mean()) == pytest.approx(1.0, abs=0.05)


def test_without_error_and_diversity_everybody_gives_the_nearest_level(truth: Population) -> None:
    part = training_part(truth, np.arange(14), 6, 14, error=0.0, diversity=0.0, seed=1)
    nearest = np.clip(np.rint(truth.location_T), 1, 5)
    assert len(part.responses) == 6 * 14
    assert (part.responses.values_RD[:, 0] + 1 == nearest[part.responses.problem_R]).all()
    mean = truth.mean_answers(truth.model.recruit(10, 0), 0.0, 0)
    assert mean == pytest.approx(nearest)


def test_training_parts_hold_so_many_people_and_problems_and_none_that_is_held_out(truth: Population) -> None:
    part = training_part(truth, np.arange(3, 14), 5, 4, error=1.0, diversity=1.0, seed=0)
    assert len(part.profiles) == 5
    assert set(np.bincount(part.responses.participant_R)) == {4}
    assert not set(part.problems.ids) & set(truth.problems.ids[:3])
    assert part.simulated


def test_every_cell_has_a_row_and_is_the_same_twice() -> None:
    first, second = (simulation.measure(CONFIG, "tfidf", "crowdllm", 1.0, 1.0, 0) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert list(first["annotations"]) == [12, 24]
    assert first["mae"].between(0, 4).all()


def test_the_report_draws_a_panel_per_error_and_diversity() -> None:
    config = Config((0, 1), CONFIG.truth, methods=("crowdllm",), errors=(0.0, 2.0), people=(10, 80), per_person=(10,))
    table = cells({(e, d, n): 0.5 for e in (0, 2) for d in (0, 1, 2) for n in (10, 80)})
    findings = simulation.report(config, {"a": table})
    figure = findings.pictures[0].draw()
    assert len(figure.axes) == 6
    assert {axis.get_ylabel() for axis in figure.axes} == {"MAE (scale points)"}
