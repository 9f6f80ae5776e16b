"""A whole reproduction on simulated people: resumed, refused where it does not belong, and told on one page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crowdllm.errors import CrowdLLMError, MismatchError, MissingExtraError
from crowdllm.experiments.comparison import Comparison, run_comparison
from crowdllm.experiments.reproduce.page import section_scores, write_results
from crowdllm.experiments.reproduce.pictures import shown_problems
from crowdllm.experiments.reproduce.plan import Printed, PrintedColumn, Reproduction, Run, Section, Settings
from crowdllm.experiments.reproduce.run import Results, read_sessions, read_timings, reproduce
from crowdllm.experiments.reproduce.units import OpenedRun, Unit, do_unit, is_done, left_out_path, part_path
from crowdllm.experiments.sources import open_study
from crowdllm.methods import METHODS
from crowdllm.methods.pooled import fit as fit_pooled

SMALL = "synthetic:participants=30,problems=15,per_participant=6"
CALLS: list[int] = []
STOP_AT: list[int] = []
PRINTED = Printed(
    "Table 1",
    (PrintedColumn("MAE mean", "mae", "mean"), PrintedColumn("Avg. WD", "avg_wd")),
    (("CrowdLLM", (0.45, 0.51)),),
)


def counting_fit(train: Any, references: Any, embedding: str, seed: int, progress: Any = None) -> Any:
    CALLS.append(seed)
    if len(CALLS) in STOP_AT:
        raise KeyboardInterrupt
    return fit_pooled(train, references, embedding, seed, progress)


def refusing_fit(train: Any, references: Any, embedding: str, seed: int, progress: Any = None) -> Any:
    CALLS.append(seed)
    raise MismatchError("it wants <something> else")


def needing_fit(train: Any, references: Any, embedding: str, seed: int, progress: Any = None) -> Any:
    CALLS.append(seed)
    raise MissingExtraError("the method 'needing'", "baselines")


@pytest.fixture(autouse=True)
def methods(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("counting", "refusing", "needing"):
        monkeypatch.setitem(METHODS, name, f"{__name__}:{name}_fit")
    monkeypatch.setattr("crowdllm.registry.import_module", _import)
    monkeypatch.setattr("crowdllm.experiments.reproduce.run.load_dataset", lambda _: open_study(SMALL).study)
    CALLS.clear()
    STOP_AT.clear()


def _import(name: str) -> Any:
    """This file is no importable module under pytest's importlib mode."""
    import importlib
    import sys

    return sys.modules[name] if name in sys.modules else importlib.import_module(name)


def toy(methods: tuple[str, ...] = ("random", "counting"), seeds: tuple[int, ...] = (0, 1)) -> Reproduction:
    main = Comparison(methods, seeds=seeds, crowd_sizes=(20, 30))
    few = Comparison(("pooled",), seeds=seeds, crowd_sizes=(30,), train_fractions=(0.1, 1.0))
    return Reproduction(
        dataset="synthetic",
        title="simulated people",
        sections=(
            Section("problem", "Unseen problems", "Words.", (Run("problem", main),), printed=PRINTED),
            Section(
                "other",
                "Other",
                "Words.",
                (Run("other", replace(main, methods=("pooled",))),),
                ("problem", ("random",)),
            ),
            Section("fractions", "Fewer", "Words.", (Run("fractions", few),), by_fraction=True),
        ),
        not_comparable=("This is <not> comparable.",),
        pictured_run="problem",
        pictured=tuple(m for m in ("random", "counting") if m in methods),
    )


def run(out: Path, plan: Reproduction | None = None, **more: Any) -> Results:
    return reproduce(plan or toy(), Settings(seeds=2), out, 1, "crowdllm reproduce toy", **more)


def test_the_numbers_are_those_of_the_comparison_itself(tmp_path: Path) -> None:
    results = run(tmp_path / "a")
    opened = results.opened["problem"]
    itself = run_comparison(opened.study, "synthetic", None, opened.run.comparison, tmp_path / "b")
    ours = results.tables["problem"]
    keys = ["method", "crowd_size", "aggregator", "seed", "metric"]
    both = ours.merge(itself, on=keys, how="outer", suffixes=("", "_itself"), validate="one_to_one")
    both = both[both["metric"] != "fit_seconds"]
    assert not both["value"].isna().any()
    np.testing.assert_array_equal(both["value"], both["value_itself"])


def test_a_comparison_goes_on_with_what_a_reproduction_wrote(tmp_path: Path) -> None:
    results = run(tmp_path)
    opened = results.opened["problem"]
    CALLS.clear()
    run_comparison(opened.study, "synthetic", None, opened.run.comparison, opened.folder)
    assert CALLS == []


def test_all_runs_are_in_one_table_with_their_names(tmp_path: Path) -> None:
    run(tmp_path)
    table = pd.read_csv(tmp_path / "metrics.csv", keep_default_na=False)
    assert table.columns[0] == "run"
    assert set(table["run"]) == {"problem", "other", "fractions"}
    assert set(table[table["run"] == "problem"]["method"]) == {"random", "counting", "human-floor"}
    assert set(table[table["run"] == "fractions"]["train_fraction"].astype(float)) == {0.1, 1.0}


def test_what_was_stopped_goes_on_and_nothing_is_done_twice(tmp_path: Path) -> None:
    STOP_AT.append(2)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert len(read_sessions(tmp_path)) == 1  # how long it took until then is kept
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("parts/*.csv")}
    assert before
    assert not (tmp_path / "metrics.csv").exists()
    STOP_AT.clear()
    results = run(tmp_path)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert set(results.tables["problem"]["seed"]) == {0, 1}
    assert CALLS.count(0) == 2  # once for the scores, once for the picture, which is of the first split
    CALLS.clear()
    steps: list[tuple[str, int, int]] = []
    run(tmp_path, progress=lambda *step: steps.append(step))
    assert CALLS == []
    assert steps == []
    assert len(read_sessions(tmp_path)) == 2


def test_more_seeds_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    run(tmp_path)
    CALLS.clear()
    results = reproduce(toy(seeds=(0, 1, 2)), Settings(seeds=3), tmp_path, 1)
    assert CALLS == [2]
    assert set(results.tables["problem"]["seed"]) == {0, 1, 2}


def test_progress_counts_every_unit_and_says_what_is_left(tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    run(tmp_path, progress=lambda *step: steps.append(step))
    # 2 seeds x (2 methods + floor) + 2 x (1 + 1) + 2 seeds x 2 fractions x (1 + 1), and two pictures
    assert steps[-1][1:] == (20, 20)
    assert [done for _, done, _ in steps] == list(range(21))
    assert all(total == 20 for *_, total in steps)
    assert "left)" in steps[1][0]
    assert sum(len(v) for v in read_timings(tmp_path).values()) == 20


def test_a_folder_of_another_comparison_is_refused_before_any_work(tmp_path: Path) -> None:
    run(tmp_path)
    CALLS.clear()
    plan = toy()
    changed = replace(plan.sections[0].runs[0].comparison, crowd_sizes=(50,), seeds=(7,))
    section = replace(plan.sections[0], runs=(Run("problem", changed),))
    with pytest.raises(CrowdLLMError, match=r"holds another comparison \(crowd_sizes"):
        run(tmp_path, replace(plan, sections=(section,)))
    assert CALLS == []


def test_a_method_that_does_not_apply_is_tried_once_and_told(tmp_path: Path) -> None:
    notes: list[str] = []
    results = run(tmp_path, toy(("random", "refusing")), note=notes.append)
    assert CALLS == [0, 1]
    assert "refusing left out of 'problem': it wants <something> else" in notes
    assert results.left_out.count("refusing left out of 'problem': it wants <something> else") == 1
    assert set(results.tables["problem"]["method"]) == {"random", "human-floor"}
    run(tmp_path, toy(("random", "refusing")))
    assert CALLS == [0, 1]


def test_a_method_left_out_on_some_splits_says_on_how_many(tmp_path: Path) -> None:
    run(tmp_path, toy(("random", "counting")))
    opened = run(tmp_path, toy(("random", "counting"))).opened["problem"]
    path = part_path(opened, Unit(1.0, 1, "counting"))
    path.unlink()
    left_out_path(opened, Unit(1.0, 1, "counting")).write_text("why")
    assert "counting left out of 'problem' for 1 of 2 splits: why" in run(tmp_path).left_out


def test_a_missing_package_is_told_and_tried_again(tmp_path: Path) -> None:
    results = run(tmp_path, toy(("random", "needing")))
    assert any("pip install 'crowdllm[baselines]'" in line for line in results.left_out)
    run(tmp_path, toy(("random", "needing")))
    assert CALLS == [0, 1, 0, 1]


def test_unregistered_methods_are_told_and_the_rest_runs(tmp_path: Path) -> None:
    results = run(tmp_path, toy(("random", "not-there-yet")))
    assert any(line.startswith("not-there-yet left out") for line in results.left_out)
    assert set(results.tables["problem"]["method"]) == {"random", "human-floor"}


def test_borrowed_rows_are_those_of_the_other_section(tmp_path: Path) -> None:
    results = run(tmp_path)
    table = section_scores(results.plan.sections[1], results)
    assert set(table["method"]) == {"pooled", "random", "human-floor"}
    lent = results.tables["problem"]
    first = lent[lent["method"] == "random"]["value"].tolist()
    assert table[table["method"] == "random"]["value"].tolist() == first


def test_the_page_tells_everything(tmp_path: Path) -> None:
    results = run(tmp_path)
    html, markdown = write_results(results, tmp_path)
    text = markdown.read_text(encoding="utf-8")
    for words in (
        "# Reproduction: simulated people",
        "As printed in the paper (arXiv 2512.07890, Table 1): other splits, another LLM, not measured here",
        "| CrowdLLM | 0.45 | 0.51 |",
        "crowd of 20",
        "crowd of 30",
        "This is \\<not\\> comparable.",
        "Licence: Apache-2.0",
        "crowdllm reproduce toy",
        "Seeds: 0, 1.",
        "Versions: crowdllm",
        "Time:",
        "figures/distributions.svg",
        "figures/fractions.svg",
    ):
        assert words in text, words
    assert html.read_text(encoding="utf-8").count("<svg") == len(list((tmp_path / "figures").glob("*.svg"))) == 4
    parts = text.split("\n## ")
    own = next(part for part in parts if part.startswith("Unseen problems"))
    tables = [block for block in own.split("\n\n") if block.startswith("|")]
    assert not [t for t in tables if "wd\\_heights" in t.splitlines()[0] and "avg\\_wd" in t.splitlines()[0]]


def test_the_page_is_the_same_when_written_again(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_results(run(tmp_path), tmp_path)]
    assert [path.read_bytes() for path in write_results(run(tmp_path), tmp_path)] == first


def test_texts_of_problems_stand_in_the_picture_only_where_they_may(tmp_path: Path, monkeypatch: Any) -> None:
    titles: list[list[str]] = []

    def keep(human: Any, methods: Any, labels: Any, given: list[str], path: Path) -> Path:
        titles.append(list(given))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("<svg></svg>")
        return path

    monkeypatch.setattr("crowdllm.experiments.reproduce.page.draw_methods", keep)
    results = run(tmp_path)
    write_results(results, tmp_path)
    write_results(replace(results, plan=replace(results.plan, show_texts=False)), tmp_path)
    texts = set(results.opened["problem"].study.problems.texts)
    assert set(titles[0]) <= texts
    assert not set(titles[1]) & texts
    assert all(title.startswith("problem ") for title in titles[1])


def test_shown_problems_are_a_low_a_middle_and_a_high_one_of_the_test_part() -> None:
    study = open_study("synthetic").study
    test = study.split("problem", 0.2, 0).test
    shown = shown_problems(test)
    means = [test.responses.values_RD[test.responses.problem_R == t].mean() for t in shown]
    assert means == sorted(means)
    assert len(set(shown.tolist())) == 3
    assert means[0] < means[1] < means[2]


def test_a_cut_off_line_of_the_notes_on_time_is_no_row(tmp_path: Path) -> None:
    (tmp_path / "timings.csv").write_text("run,method,seconds\na,x,1.5\na,x,oops\na,x\n")
    (tmp_path / "sessions.csv").write_text("seconds,workers\n10.0,2\n3")
    assert read_timings(tmp_path) == {("a", "x"): [1.5]}
    assert read_sessions(tmp_path) == ((10.0, 2),)


def test_a_unit_killed_while_writing_leaves_nothing_that_counts_as_done(tmp_path: Path, monkeypatch: Any) -> None:
    study = open_study("synthetic").study
    opened = OpenedRun(Run("r", Comparison(("random",), crowd_sizes=(20,))), "synthetic", study, None, tmp_path)
    unit = Unit(1.0, 0, "random")

    def killed(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            do_unit(opened, unit)
    assert not is_done(opened, unit)
    assert do_unit(opened, unit) == ""
    assert is_done(opened, unit)


@pytest.mark.slow
def test_several_processes_give_the_same_numbers_as_one(tmp_path: Path) -> None:
    plan = toy(("random", "pooled", "tfidf-ridge"))
    one = reproduce(plan, Settings(seeds=2), tmp_path / "one", 1).tables
    two = reproduce(plan, Settings(seeds=2), tmp_path / "two", 2).tables
    for key, table in one.items():
        ours, theirs = (t[t["metric"] != "fit_seconds"].reset_index(drop=True) for t in (table, two[key]))
        pd.testing.assert_frame_equal(ours, theirs)
