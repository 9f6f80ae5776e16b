"""Every data set's configuration: its rows, splits, sizes and seeds, and the numbers that the paper prints."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from crowdllm.errors import UnknownNameError
from crowdllm.experiments.comparison import FLOOR
from crowdllm.experiments.reproduce import REPRODUCTIONS, get_reproduction
from crowdllm.experiments.reproduce.amazon import TABLE_3, TABLE_4
from crowdllm.experiments.reproduce.offensiveness import TABLE_1
from crowdllm.experiments.reproduce.plan import Printed, Reproduction, Settings
from crowdllm.experiments.reproduce.rows import FREE, ROWS, SEEN, UNSEEN, runnable, with_references
from crowdllm.experiments.reproduce.voting import TABLE_5
from crowdllm.methods import METHODS

PRINTED = {"Table 1": TABLE_1, "Table 3": TABLE_3, "Table 4": TABLE_4, "Table 5": TABLE_5}
PROTOCOL = {
    "random", "pooled", "tfidf-ridge", "embedding-ridge", "embedding-references-ridge", "svr", "catboost", "zero-shot",
    "multi-persona", "self-consistency", "vae", "crowdllm-paper", "crowdllm",
}  # fmt: skip


@pytest.fixture(params=REPRODUCTIONS)
def plan(request: pytest.FixtureRequest) -> Reproduction:
    return get_reproduction(request.param, Settings())


def test_an_unknown_data_set_lists_those_that_can_be_reproduced() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'voting'"):
        get_reproduction("votin", Settings())


def test_the_first_section_of_each_has_ten_seeds_and_crowds_of_20_and_1000(plan: Reproduction) -> None:
    for run in plan.sections[0].runs:
        assert run.comparison.seeds == tuple(range(10))
        assert {20, 1000} <= set(run.comparison.crowd_sizes)


def test_every_protocol_row_is_in_some_table_that_stands_first(plan: Reproduction) -> None:
    rows = {m for section in plan.sections for run in section.runs for m in run.comparison.methods}
    lacking = {name for name in PROTOCOL if ROWS[name].needs_references} if plan.dataset.startswith("amazon") else set()
    assert rows >= PROTOCOL - lacking


def test_runs_and_sections_have_names_of_their_own(plan: Reproduction) -> None:
    keys = [run.key for run in plan.runs]
    assert len(set(keys)) == len(keys)
    sections = [section.key for section in plan.sections]
    assert len(set(sections)) == len(sections)
    for section in plan.sections:
        if section.borrowed is not None:
            assert section.borrowed[0] in sections


def test_quick_runs_have_few_seeds_and_fractions_of_the_same_comparison(plan: Reproduction) -> None:
    quick = get_reproduction(plan.dataset, Settings(quick=True))
    assert [run.key for run in quick.runs] == [run.key for run in plan.runs]
    for few, full in zip(quick.runs, plan.runs, strict=True):
        assert few.comparison.seeds == (0, 1, 2)
        assert set(few.comparison.train_fractions) <= set(full.comparison.train_fractions)
        assert few.comparison.crowd_sizes == full.comparison.crowd_sizes
        assert few.comparison.aggregators == full.comparison.aggregators


def test_own_references_take_the_place_of_the_data_set_s(plan: Reproduction) -> None:
    own = get_reproduction(plan.dataset, Settings(references="mine.csv"))
    assert {run.references for run in own.runs} == {"mine.csv"}
    none = get_reproduction(plan.dataset, Settings(references="none"))
    assert {run.references for run in none.runs} == {"none"}
    for run in none.runs:
        assert not [m for m in run.comparison.methods if ROWS[m].needs_references]


def test_a_section_that_borrows_rows_has_all_rows(plan: Reproduction) -> None:
    for section in plan.sections:
        if section.borrowed is not None:
            lender = next(s for s in plan.sections if s.key == section.borrowed[0])
            lent = {m for run in lender.runs for m in run.comparison.methods}
            assert set(section.borrowed[1]) <= lent
            assert not [m for m in section.borrowed[1] if ROWS[m].uses_references]
            for ours, theirs in ((a, b) for a in section.runs for b in lender.runs):
                assert ours.comparison.split == theirs.comparison.split
                assert ours.comparison.seeds == theirs.comparison.seeds
                assert ours.comparison.crowd_sizes == theirs.comparison.crowd_sizes
                assert ours.comparison.aggregators == theirs.comparison.aggregators


def test_offensiveness_has_both_reference_sets_three_splits_six_fractions_and_five_aggregators() -> None:
    plan = get_reproduction("offensiveness", Settings())
    runs = {run.key: run for run in plan.runs}
    assert runs["problem"].references.split(",")[0] == "gpt4"
    assert runs["problem-all"].references == "all"
    assert {run.comparison.split for run in plan.runs} == {"problem", "participant", "both"}
    assert runs["fractions"].comparison.train_fractions == (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
    five = ("mean", "median", "majority_vote", "dawid_skene", "glad")
    assert runs["problem"].comparison.aggregators == five
    assert TABLE_1.crowd_size == round(13_036 / 1_500) == 9
    assert 9 in runs["problem"].comparison.crowd_sizes
    assert not plan.show_texts


def test_surveys_ask_what_known_answers_tell() -> None:
    for name, known in (("bfi", (5, 10)), ("ev_attitudes", (3,))):
        runs = {run.key: run.comparison for run in get_reproduction(name, Settings()).runs}
        assert runs["participant"].known == known
        assert {"answers-ridge", "answers-catboost"} <= set(runs["participant"].methods)
        assert all(comparison.known == () for key, comparison in runs.items() if key != "participant")
        assert {"participant", "problem", "both"} <= {comparison.split for comparison in runs.values()}


def test_voting_compares_as_many_simulated_voters_as_were_held_out() -> None:
    plan = get_reproduction("voting", Settings())
    assert TABLE_5.crowd_size == round(0.2 * 180) == 36
    assert 36 in plan.sections[0].runs[0].comparison.crowd_sizes
    assert {run.comparison.split for run in plan.runs} == {"participant", "option"}


def test_amazon_has_the_paper_s_protocol_and_an_honest_one_in_sections_of_their_own() -> None:
    for name, table in (("amazon_beauty", TABLE_3), ("amazon_music", TABLE_4)):
        plan = get_reproduction(name, Settings())
        leaky, honest = plan.sections
        assert [run.protocol for run in leaky.runs] == ["reviewers"]
        assert [run.protocol for run in honest.runs] == ["recruited"]
        assert leaky.printed is table
        assert honest.printed is None
        assert "leaks" in leaky.words
        assert {run.comparison.split for run in plan.runs} == {"problem"}


def test_the_rows_without_references_are_those_that_references_cannot_change() -> None:
    assert set(FREE) == {"random", "pooled", "tfidf-ridge", "embedding-ridge", "vae"}
    assert set(SEEN) - set(UNSEEN) == {"problem-histogram"}
    assert "multi-persona" not in with_references(UNSEEN)
    assert FLOOR not in SEEN


def test_methods_that_are_not_registered_are_left_out_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(METHODS, "svr", raising=False)
    plan = get_reproduction("bfi", Settings())
    notes: list[str] = []
    kept = runnable(plan, notes.append)
    assert not [run for run in kept.runs if "svr" in run.comparison.methods]
    assert sum("svr left out: no method of that name" in note for note in notes) == 1
    assert {run.key for run in kept.runs} == {run.key for run in plan.runs}


def test_a_split_that_is_not_there_is_left_out_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crowdllm.experiments.reproduce.rows.SPLITS", ("problem", "participant", "both"))
    notes: list[str] = []
    kept = runnable(get_reproduction("voting", Settings()), notes.append)
    assert "option" not in [section.key for section in kept.sections]
    assert any("split 'option' left out" in note for note in notes)
    assert any("'Unseen projects' left out" in note for note in notes)


# --- what the paper prints ----------------------------------------------------------------------------------------


def values(printed: Printed, metric: str, aggregator: str) -> np.ndarray:
    position = [(c.metric, c.aggregator) for c in printed.columns].index((metric, aggregator))
    return np.array([numbers[position] for _, numbers in printed.rows])


@pytest.mark.parametrize("name", PRINTED)
def test_every_printed_row_has_a_number_for_every_column(name: str) -> None:
    printed = PRINTED[name]
    assert printed.table == name
    assert len(printed.rows) == 6
    assert all(len(numbers) == len(printed.columns) for _, numbers in printed.rows)


def test_rmse_is_never_below_mae_in_what_is_printed() -> None:
    """Holds for any numbers; a mistyped one would be likely to break it."""
    for printed in PRINTED.values():
        for aggregator in {c.aggregator for c in printed.columns if c.metric == "mae"}:
            assert (values(printed, "rmse", aggregator) >= values(printed, "mae", aggregator)).all()


def test_the_wd_of_table_1_can_be_a_distance_on_the_scale() -> None:
    """W1 of two distributions on a scale is never below the difference of their means."""
    assert (values(TABLE_1, "avg_wd", "") >= values(TABLE_1, "mae", "mean")).all()


@pytest.mark.parametrize("table", [TABLE_3, TABLE_4])
def test_the_wd_of_tables_3_and_4_cannot_be_a_distance_on_the_scale_but_one_of_heights(table: Printed) -> None:
    printed = values(table, "wd_heights", "")
    assert (printed < values(table, "mae", "mean")).all()
    # the heights of five bars differ most between all on one level and a fifth on each: (.8 + 4 * .2) / 5
    assert (printed <= (0.8 + 4 * 0.2) / 5).all()


def test_the_wd_of_table_3_cannot_be_a_distance_on_a_scale_of_length_one_either() -> None:
    """Five stars on a scale from 0 to 1: the difference of means is a quarter of the MAE in stars."""
    assert (values(TABLE_3, "wd_heights", "") < values(TABLE_3, "mae", "mean") / 4).all()


def test_the_wd_of_table_5_is_below_the_mae_of_counts_as_a_distance_of_heights_must_be() -> None:
    """Sorting both sets of counts pairs them as nearly as can be, so it cannot be further than pairing by project."""
    assert (values(TABLE_5, "wd_heights", "") <= values(TABLE_5, "mae", "")).all()


def test_the_printed_columns_stand_in_one_order() -> None:
    for printed in PRINTED.values():
        metrics = [c.metric for c in printed.columns]
        order = ["mae", "rmse", "cosine", "avg_wd", "wd_heights"]
        assert all(order.index(a) <= order.index(b) for a, b in pairwise(metrics))
