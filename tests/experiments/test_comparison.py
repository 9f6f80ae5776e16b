"""A comparison resumes, refuses what does not belong together, and gives the same numbers every time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crowdllm.config import CrowdConfig
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError, CrowdLLMError, MismatchError, UnknownNameError
from crowdllm.experiments.comparison import COLUMNS, Comparison, run_comparison, summarise
from crowdllm.methods import METHODS
from crowdllm.methods.pooled import fit as fit_pooled
from crowdllm.reference import Reference

Known = Callable[..., Any]
CALLS: list[tuple[int, int]] = []
FAIL_AT: list[int] = []


def counting_fit(train: Study, references: Any, embedding: str, seed: int, progress: Any = None) -> Any:
    """`pooled`, but it counts, and is interrupted at the call that FAIL_AT names."""
    CALLS.append((seed, len(train.profiles)))
    if len(CALLS) in FAIL_AT:
        raise KeyboardInterrupt
    return fit_pooled(train, references, embedding, seed, progress)


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "counting", f"{__name__}:counting_fit")
    monkeypatch.setattr("crowdllm.registry.import_module", _import)
    CALLS.clear()
    FAIL_AT.clear()


def _import(name: str) -> Any:
    """This file is no importable module under pytest's importlib mode."""
    import importlib
    import sys

    return sys.modules[name] if name in sys.modules else importlib.import_module(name)


@pytest.fixture(scope="module")
def study(make_known: Known) -> Study:
    return make_known("ordinal", people=30, problems=10).study


def compare(study: Study, out: Path, methods: tuple[str, ...] = ("counting",), **settings: Any) -> pd.DataFrame:
    settings = {"crowd_sizes": (50,), "seeds": (0, 1)} | settings
    return run_comparison(study, "toy", settings.pop("references", None), Comparison(methods, **settings), out)


def values(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["metric"] != "fit_seconds"].reset_index(drop=True)


# --- the table -------------------------------------------------------------------------------------------------


def test_the_columns_of_the_table_are_exactly_these(study: Study, tmp_path: Path) -> None:
    table = compare(study, tmp_path)
    names = "dataset,split,train_fraction,references,method,crowd_size,aggregator,seed,metric,value"
    assert (tmp_path / "metrics.csv").read_text().splitlines()[0] == names
    assert ",".join(table.columns) == names == ",".join(COLUMNS)
    first = table.iloc[0]
    assert (first["dataset"], first["split"], first["train_fraction"], first["references"]) == (
        "toy",
        "problem",
        1,
        "none",
    )


def test_every_method_and_the_human_floor_have_their_rows(study: Study, tmp_path: Path) -> None:
    table = compare(study, tmp_path, ("random", "counting"), crowd_sizes=(20, 50))
    for method in ("random", "counting", "human-floor"):
        for size in (20, 50):
            for seed in (0, 1):
                own = table[(table["method"] == method) & (table["crowd_size"] == size) & (table["seed"] == seed)]
                assert {"mae", "rmse", "cosine", "avg_wd", "wd_heights", "kl", "js", "problems"} <= set(own["metric"])
                assert (own["metric"] == "mae").sum() == 1
                assert own[own["metric"] == "problems"]["value"].tolist() == [2.0]
    people = table[(table["method"] == "random") & (table["crowd_size"] == 0)]
    assert {"nll", "crps", "fit_seconds"} <= set(people["metric"])


def test_random_people_have_the_log_score_of_five_equal_levels(study: Study, tmp_path: Path) -> None:
    table = compare(study, tmp_path, ("random",))
    nll = table[(table["method"] == "random") & (table["metric"] == "nll")]["value"]
    np.testing.assert_allclose(nll, np.log(5))


def test_the_floor_is_below_random(study: Study, tmp_path: Path) -> None:
    table = compare(study, tmp_path, ("random",), seeds=(0, 1, 2))
    mean = table.groupby(["method", "metric"])["value"].mean()
    for metric in ("mae", "rmse", "avg_wd", "nll", "crps"):
        assert mean["human-floor", metric] < mean["random", metric]
    assert mean["human-floor", "cosine"] > mean["random", "cosine"]


def test_two_runs_give_the_same_numbers_but_for_the_seconds(
    make_known: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = partial(CrowdConfig, max_epochs=2, belief_width=2, prediction_draws=8)
    monkeypatch.setattr("crowdllm.methods.crowdllm.CrowdConfig", few)
    known = make_known("ordinal", people=25, problems=8)
    methods = ("random", "problem-histogram", "embedding-references-ridge", "zero-shot", "crowdllm")
    tables = [
        compare(known.study, tmp_path / name, methods, seeds=(0,), split="participant", references=known.references)
        for name in ("a", "b")
    ]
    pd.testing.assert_frame_equal(values(tables[0]), values(tables[1]), check_exact=True)
    assert set(tables[0]["method"]) == {*methods, "human-floor"}
    assert set(tables[0]["references"]) == {"oracle"}


@pytest.mark.parametrize("kind", ["continuous", "choice", "ballot", "approval", "points", "ranking"])
def test_every_response_type_can_be_compared(kind: str, make_known: Known, tmp_path: Path) -> None:
    known = make_known(kind, people=30, problems=8)
    table = compare(known.study, tmp_path, ("random", "zero-shot"), seeds=(0,), references=known.references)
    assert set(table["method"]) == {"random", "zero-shot", "human-floor"}
    mean = values(table).groupby(["method", "metric"])["value"].mean()
    metric = {"continuous": "avg_wd", "choice": "js"}.get(kind, "mae")
    assert mean["zero-shot", metric] < mean["random", metric]  # the references tell the truth
    assert np.isfinite(table[table["metric"] == metric]["value"]).all()


def test_a_crowd_of_all_recruits_is_also_scored_as_people(make_known: Known, tmp_path: Path) -> None:
    """Both regions have 30 of the 70 people or more; coherence needs 30 answers to two problems."""
    study = make_known("ordinal", people=70, problems=10, missing=0.0).study
    table = compare(study, tmp_path, ("random",), seeds=(0,), crowd_sizes=(20, 1000))
    own = table[table["method"] == "random"]
    large = set(own[own["crowd_size"] == 1000]["metric"])
    assert {"coherence", "subgroup_wd", "subgroup_floor", "subgroup_excess", "crowd_excess"} <= large
    assert {"subgroup_wd:region=north", "subgroup_floor:region=north", "subgroup_wd:region=south"} <= large
    assert not {"coherence", "subgroup_wd"} & set(own[own["crowd_size"] == 20]["metric"])
    floor = table[(table["method"] == "human-floor") & (table["crowd_size"] == 1000)]
    assert {"coherence", "subgroup_excess"} <= set(floor["metric"])


def test_all_stands_for_every_aggregator_that_applies(study: Study, tmp_path: Path) -> None:
    table = compare(study, tmp_path, ("random",), seeds=(0,), aggregators=("all",))
    every = ("mean", "median", "majority_vote", "dawid_skene", "glad")
    for method in ("random", "human-floor"):
        own = table[(table["method"] == method) & (table["metric"] == "mae")]
        assert sorted(own["aggregator"]) == sorted(every)
        assert np.isfinite(own["value"]).all()
    again = compare(study, tmp_path, ("random",), seeds=(0,), aggregators=every)
    assert set(again["aggregator"]) == {"", *every}


def test_methods_are_given_the_references_that_they_are_made_for(make_known: Known, tmp_path: Path) -> None:
    known = make_known("ordinal", people=20, problems=8)
    ids, rng = known.study.problems.ids, np.random.default_rng(0)
    draws = rng.integers(0, 5, (8, 6, 1)).astype(float)
    persona = Reference("oracle-personas", "persona", ids, draws)
    several = replace(known.references, sources=(*known.references.sources, persona))
    methods = ("zero-shot", "multi-persona", "self-consistency")
    notes: list[str] = []
    comparison = Comparison(methods, seeds=(0,), crowd_sizes=(50,))
    table = run_comparison(known.study, "toy", several, comparison, tmp_path, note=notes.append)
    label = table.groupby("method")["references"].unique().map(list).to_dict()
    assert label == {"zero-shot": ["oracle"], "multi-persona": ["oracle-personas"], "human-floor": ["oracle"]}
    assert [note.split(":")[0] for note in notes] == ["self-consistency left out"]
    # personas that join later are no other comparison; other personas under the same folder are
    run_comparison(known.study, "toy", known.references, Comparison(("zero-shot",), crowd_sizes=(50,)), tmp_path)
    other = replace(known.references, sources=(*known.references.sources, replace(persona, name="others")))
    with pytest.raises(
        CrowdLLMError, match="multi-persona.csv was made with the references oracle-personas, not others"
    ):
        run_comparison(known.study, "toy", other, comparison, tmp_path)


def test_known_answers_of_held_out_people_improve_what_uses_them(
    make_known: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = partial(CrowdConfig, max_epochs=12, belief_width=1, prediction_draws=64, profile_penalties=(8.0,))
    monkeypatch.setattr("crowdllm.methods.crowdllm.CrowdConfig", few)
    study = make_known("ordinal", people=120, problems=9, strength=2.0).study
    methods = ("problem-histogram", "answers-ridge", "crowdllm")
    table = compare(study, tmp_path, methods, seeds=(0,), split="participant", known=(3, 6))
    value = table[table["crowd_size"] == 0].set_index(["method", "metric"])["value"]
    for method in ("answers-ridge", "crowdllm"):
        assert value[method, "nll_known_6"] < value[method, "nll_known_3"] < value[method, "nll_known_0"]
    assert ("problem-histogram", "nll_known_0") in value.index
    assert ("problem-histogram", "nll_known_3") not in value.index
    assert value["crowdllm", "known_scored"] == 24 * 3


def test_answers_to_seen_problems_tell_those_to_unseen_ones(
    make_known: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts tell nothing here, but everybody leans the same way on all problems: who agreed before agrees again."""
    few = partial(CrowdConfig, max_epochs=12, belief_width=1, prediction_draws=64, profile_penalties=(8.0,))
    monkeypatch.setattr("crowdllm.methods.crowdllm.CrowdConfig", few)
    study = make_known("ordinal", people=120, problems=10, strength=0.0).study
    lean = np.random.default_rng(0).normal(size=120)[study.responses.participant_R]
    noise = np.random.default_rng(1).normal(size=len(lean))
    level = (lean[:, None] + 0.5 * noise[:, None] > np.array([-1.0, -0.3, 0.3, 1.0])).sum(axis=1)
    study = replace(study, responses=replace(study.responses, values_RD=level[:, None].astype(float)))
    table = compare(study, tmp_path, ("crowdllm",), seeds=(0,), known=(4,))
    value = table[(table["crowd_size"] == 0) & (table["method"] == "crowdllm")].set_index("metric")["value"]
    assert value["nll_known_4"] < value["nll_known_0"] - 0.2
    assert value["nll_known_0"] == pytest.approx(value["nll"])
    assert value["known_scored"] == 240


@pytest.mark.parametrize(
    "method", ["random", "problem-histogram", "embedding-ridge", "zero-shot", "svr", "crowdllm-paper", "crowdllm"]
)
def test_ballots_on_unseen_options_are_scored_for_every_method(
    method: str, make_known: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = partial(CrowdConfig, max_epochs=2, belief_width=2, prediction_draws=8)
    monkeypatch.setattr("crowdllm.methods.crowdllm.CrowdConfig", few)
    known = make_known("ballot", people=40, problems=3, same_options=True)
    table = compare(known.study, tmp_path, (method,), seeds=(0,), split="option", references=known.references)
    value = table[(table["method"] == method) & (table["crowd_size"] == 50)].set_index("metric")["value"]
    # four seen options and an unseen one per problem
    assert 5 * value["mae"] == pytest.approx(4 * value["mae_seen"] + value["mae_unseen"])
    assert value["answered"] == 1


def test_votes_for_an_unseen_option_follow_the_references_that_know_it(make_known: Known, tmp_path: Path) -> None:
    """References that tell the true shares of every option: with them the unseen ones are met better than at random."""
    known = make_known("ballot", people=300, problems=4, same_options=True, strength=0.3, seed=2)
    table = compare(
        known.study, tmp_path, ("random", "zero-shot"), seeds=(0, 1, 2), split="option", references=known.references
    )
    mean = table.groupby(["method", "metric"])["value"].mean()
    assert mean["zero-shot", "mae_unseen"] < 0.6 * mean["random", "mae_unseen"]


def test_subsets_of_the_training_people_are_used(study: Study, tmp_path: Path) -> None:
    compare(study, tmp_path, train_fractions=(0.1, 0.5, 1.0), seeds=(3,))
    assert CALLS == [(3, 3), (3, 15), (3, 30)]


def test_the_summary_has_the_mean_and_its_interval_over_seeds() -> None:
    """Values 1, 2, 3: mean 2, and t_2(.975) = 4.303 times 1 / sqrt(3) on both sides."""
    keys = {"dataset": "d", "split": "problem", "train_fraction": 1.0, "references": "none", "method": "m"}
    rows = [keys | {"crowd_size": 20, "aggregator": "", "seed": s, "metric": "mae", "value": s + 1.0} for s in range(3)]
    summary = summarise(pd.DataFrame(rows, columns=COLUMNS))
    assert len(summary) == 1
    row = summary.iloc[0]
    assert (row["mean"], row["seeds"]) == (2.0, 3)
    assert row["high"] - row["mean"] == pytest.approx(4.302653 / np.sqrt(3), abs=1e-5)
    assert row["mean"] - row["low"] == pytest.approx(4.302653 / np.sqrt(3), abs=1e-5)


# --- going on --------------------------------------------------------------------------------------------------


def test_what_is_done_is_not_done_again(study: Study, tmp_path: Path) -> None:
    first = compare(study, tmp_path)
    assert CALLS == [(0, 30), (1, 30)]
    second = compare(study, tmp_path)
    assert len(CALLS) == 2
    pd.testing.assert_frame_equal(first, second)


def test_an_interrupted_comparison_goes_on_where_it_stopped(study: Study, tmp_path: Path) -> None:
    FAIL_AT.append(3)
    with pytest.raises(KeyboardInterrupt):
        compare(study, tmp_path / "stopped", seeds=(0, 1, 2, 3))
    assert not (tmp_path / "stopped" / "metrics.csv").exists()
    FAIL_AT.clear()
    resumed = compare(study, tmp_path / "stopped", seeds=(0, 1, 2, 3))
    assert [seed for seed, _ in CALLS] == [0, 1, 2, 2, 3]
    straight = compare(study, tmp_path / "straight", seeds=(0, 1, 2, 3))
    pd.testing.assert_frame_equal(values(resumed), values(straight), check_exact=True)


def test_more_seeds_and_methods_are_added_to_what_is_there(study: Study, tmp_path: Path) -> None:
    compare(study, tmp_path)
    table = compare(study, tmp_path, ("random", "counting"), seeds=(0, 1, 2))
    assert [seed for seed, _ in CALLS] == [0, 1, 2]
    assert set(table["seed"]) == {0, 1, 2}
    assert set(table["method"]) == {"random", "counting", "human-floor"}


def test_fewer_seeds_give_the_table_of_those_alone(study: Study, tmp_path: Path) -> None:
    compare(study, tmp_path, seeds=(0, 1))
    assert set(compare(study, tmp_path, seeds=(1,))["seed"]) == {1}


def test_splits_do_not_get_into_each_others_way(study: Study, tmp_path: Path) -> None:
    by_problem = compare(study, tmp_path, split="problem")
    by_person = compare(study, tmp_path, split="participant")
    assert len(CALLS) == 4
    assert set(by_problem["split"]) == {"problem"}
    assert set(by_person["split"]) == {"participant"}


def test_numbers_that_are_not_defined_survive_a_resume(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crowdllm.experiments import comparison

    def undefined(*_: Any) -> Iterator[Any]:
        yield comparison.Score(0, "", "nll", float("nan"))
        yield comparison.Score(0, "", "crps", 0.1 + 0.2)

    monkeypatch.setattr(comparison, "score_people", undefined)
    for table in (compare(study, tmp_path), compare(study, tmp_path)):
        own = table[table["method"] == "counting"]
        assert own[own["metric"] == "nll"]["value"].isna().all()
        assert own[own["metric"] == "crps"]["value"].tolist() == [0.1 + 0.2] * 2
        assert summarise(table)["mean"].dtype == float


# --- refusals ---------------------------------------------------------------------------------------------------


def test_another_configuration_in_the_same_folder_is_refused_naming_what_differs(study: Study, tmp_path: Path) -> None:
    compare(study, tmp_path)
    with pytest.raises(CrowdLLMError, match=r"holds another comparison \(crowd_sizes: \[50\]\).*another --out"):
        compare(study, tmp_path, crowd_sizes=(60,))
    with pytest.raises(CrowdLLMError, match="aggregators"):
        compare(study, tmp_path, aggregators=("median",))


def test_other_data_in_the_same_folder_are_refused(study: Study, make_references: Known, tmp_path: Path) -> None:
    compare(study, tmp_path)
    values_NC = study.profiles.values_NC.copy()
    values_NC[0, 0] = 33
    changed = {
        "a response": replace(study, responses=replace(study.responses, values_RD=4 - study.responses.values_RD)),
        "a profile": replace(study, profiles=replace(study.profiles, values_NC=values_NC)),
        "a text": replace(study, problems=replace(study.problems, texts=study.problems.texts[::-1])),
        "an id": replace(study, problems=replace(study.problems, ids=study.problems.ids[::-1])),
        "the scale": replace(study, response_type=replace(study.response_type, points=(0.0, 1.0, 2.0, 3.0, 9.0))),
    }
    for what, other in changed.items():
        with pytest.raises(CrowdLLMError, match="holds another comparison"):
            compare(other, tmp_path)
        assert what
    assert len(compare(study, tmp_path)) > 0


def test_the_same_source_with_other_answers_is_refused(
    make_known: Known, make_references: Known, tmp_path: Path
) -> None:
    known = make_known("ordinal", people=20, problems=8)
    compare(known.study, tmp_path, ("zero-shot",), references=known.references, seeds=(0,))
    other = make_references(known.study, known.truth_TM[::-1])
    with pytest.raises(CrowdLLMError, match="holds another comparison"):
        compare(known.study, tmp_path, ("zero-shot",), references=other, seeds=(0,))


def test_a_damaged_identity_file_is_told(study: Study, tmp_path: Path) -> None:
    compare(study, tmp_path)
    (tmp_path / "comparison.json").write_text('{"study": ')
    with pytest.raises(CrowdLLMError, match=r"comparison\.json is damaged"):
        compare(study, tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"methods": ("randon",)}, "unknown method 'randon'.*did you mean 'random'"),
        ({"split": "participants"}, "unknown split 'participants'.*did you mean 'participant'"),
        ({"aggregators": ("dawid-skene",)}, "unknown aggregator 'dawid-skene'.*did you mean 'dawid_skene'"),
    ],
)
def test_unknown_names_are_refused_before_anything_is_written(
    study: Study, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnknownNameError, match=message):
        compare(study, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"methods": ()}, "at least one method"),
        ({"seeds": ()}, "at least one method, one seed"),
        ({"crowd_sizes": (0,)}, "a crowd of at least one"),
        ({"crowd_sizes": ()}, "a crowd of at least one"),
        ({"train_fractions": (1.0, 2.0)}, "training fraction must lie above 0 and at most 1, not 2"),
        ({"train_fractions": ()}, "training fraction"),
        ({"methods": ("random", "random")}, "'random' is named twice"),
        ({"crowd_sizes": (20, 50, 20)}, "20 is named twice"),
        ({"known": (3,), "split": "both"}, "known answers go with the split by participant or by problem, not by both"),
        ({"known": (0,), "split": "participant"}, "at least one answer of each person must be known, not 0"),
        ({"known": (3, 3), "split": "participant"}, "3 is named twice"),
        ({"known": (10,), "split": "participant"}, "no test person has more than 10 answers"),
        ({"split": "option"}, "a split by option needs ballots"),
    ],
)
def test_settings_out_of_range_are_refused_before_anything_is_written(
    study: Study, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        compare(study, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_methods_that_do_not_apply_are_left_out_with_a_note(study: Study, tmp_path: Path) -> None:
    notes: list[str] = []
    comparison = Comparison(("zero-shot", "problem-histogram", "pooled"), crowd_sizes=(50,))
    table = run_comparison(study, "toy", None, comparison, tmp_path, note=notes.append)
    assert set(table["method"]) == {"pooled", "human-floor"}
    assert notes[0].startswith("zero-shot left out: ")
    assert "--references" in notes[0]
    assert notes[1] == "problem-histogram left out: it has no answer to any of the test problems"


def test_aggregators_that_do_not_apply_are_named_in_a_note(make_known: Known, tmp_path: Path) -> None:
    notes: list[str] = []
    study = make_known("choice", people=20, problems=8).study
    comparison = Comparison(("random",), crowd_sizes=(50,), aggregators=("mean", "majority_vote"))
    table = run_comparison(study, "toy", None, comparison, tmp_path, note=notes.append)
    assert notes == ["left out, since they do not apply to choice responses: mean"]
    assert set(table["aggregator"]) == {"", "majority_vote"}


def test_a_bug_in_a_method_is_not_taken_for_a_method_that_does_not_apply(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("crowdllm.methods.random.fit", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        compare(study, tmp_path, ("random",))


def test_progress_names_every_unit_and_ends_at_the_total(study: Study, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    comparison = Comparison(("random",), seeds=(0, 1), crowd_sizes=(50,))
    run_comparison(study, "toy", None, comparison, tmp_path, progress=lambda *step: seen.append(step))
    assert [done for _, done, _ in seen] == [0, 1, 2, 3, 4]
    assert {total for *_, total in seen} == {4}
    assert seen[0][0] == "random, seed 0, training 100%"


def test_the_identity_file_says_what_the_folder_is_for(study: Study, tmp_path: Path) -> None:
    compare(study, tmp_path)
    identity = json.loads((tmp_path / "comparison.json").read_text())
    assert identity["study"] == "toy"
    assert identity["references"] == "none"
    assert identity["crowd_sizes"] == [50]
    assert len(identity["data"]) == 64


# --- a real data set ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_offensiveness_gives_the_rows_of_the_protocol(tmp_path: Path) -> None:
    """PROTOCOL, split `problem`: random (crowd of 20) 1.26 / 1.41 / .60 / 1.30, pooled .59 / .75 / .855 / .65,
    GPT-4 zero-shot .72 / 1.00 / .64 / .88 and in six personas .55 / .73 / .84 / .585."""
    from crowdllm.datasets import load_dataset
    from crowdllm.errors import DataUnavailableError
    from crowdllm.experiments.personas import with_personas
    from crowdllm.experiments.sources import Opened, open_references

    try:
        data = load_dataset("offensiveness")
    except DataUnavailableError as error:
        pytest.skip(str(error))
    methods = ("random", "pooled", "zero-shot", "multi-persona")
    opened = Opened(data, "offensiveness", dataset="offensiveness")
    references = with_personas(opened, open_references(opened, "gpt4"), methods)
    comparison = Comparison(methods, seeds=(0, 1), crowd_sizes=(20, 1000))
    table = run_comparison(data, "offensiveness", references, comparison, tmp_path)
    mean = table.groupby(["method", "crowd_size", "metric"])["value"].mean()
    metrics = ("mae", "rmse", "cosine", "avg_wd")
    for (method, size), published, margins in (
        (("random", 20), (1.26, 1.41, 0.60, 1.30), (0.06, 0.06, 0.02, 0.06)),
        (("pooled", 1000), (0.59, 0.75, 0.855, 0.65), (0.03, 0.04, 0.015, 0.03)),
        (("zero-shot", 1000), (0.72, 1.00, 0.64, 0.88), (0.06, 0.08, 0.03, 0.06)),
        (("multi-persona", 1000), (0.55, 0.73, 0.84, 0.585), (0.04, 0.05, 0.02, 0.04)),
    ):
        for metric, value, margin in zip(metrics, published, margins, strict=True):
            assert mean[method, size, metric] == pytest.approx(value, abs=margin)


def test_a_mismatch_found_while_scoring_leaves_the_method_out(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crowdllm.experiments import comparison

    def refuse(*_: Any) -> Iterator[Any]:
        raise MismatchError("does not fit")
        yield

    monkeypatch.setattr(comparison, "score_crowd", refuse)
    assert set(compare(study, tmp_path)["method"]) == {"human-floor"}
    assert not list((tmp_path / "parts").glob("*counting*"))
