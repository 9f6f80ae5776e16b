"""The simulation study: its true population, what people answer in it, and the paper's conclusions on made tables."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from crowdllm.experiments.studies import simulation
from crowdllm.experiments.studies.protocol import Data
from crowdllm.experiments.studies.simulation import Config, excess, insights, settled
from crowdllm.experiments.studies.true_population import Population, Truth, training_part, true_population
from crowdllm.report.page import Table

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


def test_excess_is_paired_by_repetition_and_averaged_over_errors() -> None:
    config = Config((0, 1), CONFIG.truth, people=(10, 20), per_person=(5, 10))
    maes = {(10, 5): 0.9, (10, 10): 0.6, (20, 5): 0.4, (20, 10): 0.3}
    rows = [
        {"diversity": 1.0, "error": error, "people": n, "per_person": m, "annotations": n * m, "seed": seed,
         "mae": mae + 0.1 * seed + 0.2 * error}
        for (n, m), mae in maes.items() for seed in (0, 1) for error in (0.0, 1.0)
    ]  # fmt: skip
    found = excess(config, pd.DataFrame(rows), 1.0)
    assert list(found) == [(10, 5), (10, 10), (20, 5)]
    assert [gap.mean for gap in found.values()] == pytest.approx([0.6, 0.3, 0.1])
    assert found[10, 5].low == pytest.approx(0.6)  # both repetitions say the same


def made_of(high: float, error_costs: float = 0.1) -> pd.DataFrame:
    """A table of the default grid in which the paper is right, but for the MAE at diversity 2 with 800 annotations."""
    config = Config((0, 1, 2), CONFIG.truth)
    rows = []
    for (error, diversity), (people, each), seed in product(
        product(config.errors, config.diversities), product(config.people, config.per_person), config.seeds
    ):
        annotations = people * each
        mae = 0.1 + 0.1 * diversity + error_costs * error
        mae += 0.001 * people if diversity == 0 and error > 0 else 0.0
        if diversity == 2 and annotations < 3200:
            mae += high if annotations >= 800 else 0.5
        rows.append(("crowdllm", error, diversity, people, each, annotations, seed, mae + 0.001 * seed))
    return pd.DataFrame(rows, columns=[*simulation.KEYS, "seed", "mae"])


def holds(table: pd.DataFrame) -> dict[str, set[bool | None]]:
    """By number of the paper's insight, what became of its claims."""
    found = insights(Config((0, 1, 2), CONFIG.truth), table)
    return {str(n): {claim.holds for claim in claims} for n, claims in enumerate(found.values(), 1)}


def test_the_five_conclusions_hold_where_the_paper_is_right() -> None:
    assert holds(made_of(high=0.0)) == {n: {True} for n in "12345"}


def test_a_diversity_that_settles_later_or_earlier_is_not_the_papers() -> None:
    later = holds(made_of(high=0.5))
    assert later == {n: {n != "3"} for n in "12345"}
    table = made_of(high=0.0)
    enough = (table["diversity"] == 2) & (table["people"] == 80)  # also with 80 x 5, which is half the budget
    earlier = holds(table.assign(mae=table["mae"].where(~enough, 0.4)))
    assert earlier["3"] == {False}


def test_errors_that_cost_nothing_are_no_ceiling() -> None:
    table = made_of(high=0.0, error_costs=0.0)
    assert holds(table)["5"] == {False}


def test_conclusions_say_their_numbers() -> None:
    found = insights(Config((0, 1, 2), CONFIG.truth), made_of(high=0.0))
    words = [claim.words for claims in found.values() for claim in claims]
    # insight 1: from 10 to 80 people, at 0.001 each
    assert "0.070" in words[0]
    assert "0.500 ±.000 with 80 x 5" in next(w for w in words if "insight 3" in w)


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


def test_the_verdicts_stand_in_a_table() -> None:
    config = Config((0, 1, 2), CONFIG.truth)
    right, wrong = made_of(high=0.0), made_of(high=0.5)
    findings = simulation.report(config, {"a": right, "b": wrong.assign(method="crowdllm-paper")})
    table = findings.blocks[0]
    assert isinstance(table, Table)
    assert table.header == ("insight", "crowdllm", "crowdllm-paper")
    assert [row[1].text for row in table.rows] == ["confirmed"] * 5
    assert [row[2].text for row in table.rows] == [*["confirmed"] * 2, "not confirmed", *["confirmed"] * 2]
    # a run of which only some cells are done is reported all the same
    assert simulation.report(config, {"a": right[right["diversity"] == 0]}).shows
