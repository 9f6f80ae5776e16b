"""A simulated crowd as a folder: a study that says it is simulated, in every row, and that replaces only its like."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crowdllm.belief.checkpoint import read_meta, save_model
from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.data.problems import Problems
from crowdllm.data.study_folder import load_study
from crowdllm.errors import ConfigError, CrowdLLMError, UnknownNameError
from crowdllm.experiments.sources import open_study
from crowdllm.simulation import run
from crowdllm.simulation.run import SimulatedCrowd, simulate_crowd, write_crowd

KINDS = ["continuous", "bounded", "ordinal", "choice", "ballot", "approval", "points", "ranking"]
META = {"model_hash": "0123456789abcdef" * 4, "study": {"title": "The original"}}
Known = Callable[..., Any]


@pytest.fixture(scope="module")
def models(make_known: Known, fast_config: Known) -> Callable[[str], CrowdModel]:
    done: dict[str, CrowdModel] = {}

    def get(kind: str) -> CrowdModel:
        if kind not in done:
            known = make_known(kind, people=40, problems=6)
            done[kind] = fit_crowd(known.study, known.references, fast_config(max_epochs=2), 0)
        return done[kind]

    return get


def same(first: SimulatedCrowd, second: SimulatedCrowd) -> bool:
    a, b = first.responses, second.responses
    pairs = np.array_equal(a.participant_R, b.participant_R) and np.array_equal(a.problem_R, b.problem_R)
    return pairs and a.values_RD.tobytes() == b.values_RD.tobytes()


# --- simulating ---------------------------------------------------------------------------------------------


def test_two_runs_with_one_seed_are_identical_and_another_seed_differs(models: Known) -> None:
    model = models("continuous")
    first, again, other = (simulate_crowd(model, model.items, 30, seed, participation=0.5) for seed in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)
    np.testing.assert_array_equal(first.people.values_NC, again.people.values_NC)


def test_a_larger_crowd_contains_the_smaller_one(models: Known) -> None:
    model = models("continuous")
    small, large = (simulate_crowd(model, model.items, n, 1, participation=0.5) for n in (10, 30))

    def rows(crowd: SimulatedCrowd) -> dict[tuple[int, int], float]:
        r = crowd.responses
        return dict(zip(zip(r.participant_R, r.problem_R, strict=True), r.values_RD[:, 0], strict=True))

    assert rows(small) == {pair: value for pair, value in rows(large).items() if pair[0] < 10}


def test_how_many_pairs_are_looked_at_at_a_time_changes_nothing(models: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    model = models("continuous")
    whole = simulate_crowd(model, model.items, 30, 1, participation=0.5)
    monkeypatch.setattr(run, "PAIRS", 7)
    assert same(whole, simulate_crowd(model, model.items, 30, 1, participation=0.5))


def test_everybody_answers_everything_by_default(models: Known) -> None:
    model = models("ordinal")
    crowd = simulate_crowd(model, model.items, 25, 0)
    assert len(crowd.responses) == 25 * 6
    assert len(set(zip(crowd.responses.participant_R, crowd.responses.problem_R, strict=True))) == 25 * 6


def test_the_share_of_pairs_answered_is_the_participation(models: Known) -> None:
    """2,000 x 6 pairs at .3: standard error .0042."""
    model = models("ordinal")
    crowd = simulate_crowd(model, model.items, 2000, 0, participation=0.3)
    assert len(crowd.responses) / 12_000 == pytest.approx(0.3, abs=4 * 0.0042)


def test_no_participation_gives_no_responses(models: Known) -> None:
    model = models("ballot")
    crowd = simulate_crowd(model, model.items, 10, 0, participation=0.0)
    assert crowd.responses.values_RD.shape == (0, 5)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_participation_that_is_no_probability_is_refused(models: Known, share: float) -> None:
    model = models("ordinal")
    with pytest.raises(ConfigError, match="must lie between 0 and 1"):
        simulate_crowd(model, model.items, 10, 0, participation=share)


def test_filters_choose_who_is_recruited(models: Known) -> None:
    model = models("ordinal")
    crowd = simulate_crowd(model, model.items, 200, 0, where=["leaning=high", "age>=40"])
    frame = crowd.people.to_frame()
    assert set(frame["leaning"]) == {"high"}
    assert frame["age"].min() >= 40
    assert len(frame) == 200


def test_filters_that_name_nothing_are_refused_in_words(models: Known) -> None:
    model = models("ordinal")
    with pytest.raises(UnknownNameError, match="did you mean 'leaning'"):
        simulate_crowd(model, model.items, 5, 0, where=["leanin=high"])
    with pytest.raises(UnknownNameError, match="did you mean 'high'"):
        simulate_crowd(model, model.items, 5, 0, where=["leaning=hihg"])
    with pytest.raises(ConfigError, match="nobody qualifies"):
        simulate_crowd(model, model.items, 5, 0, where=["age>200"])


def test_progress_ends_with_all_pairs_done(models: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    model = models("ordinal")
    monkeypatch.setattr(run, "PAIRS", 50)
    seen: list[tuple[int, int]] = []
    simulate_crowd(model, model.items, 20, 0, progress=lambda what, done, total: seen.append((done, total)))
    assert seen == [(50, 120), (100, 120), (120, 120)]


# --- the folder ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_folder_is_a_study_that_reads_back_as_simulated(kind: str, models: Known, tmp_path: Path) -> None:
    model = models(kind)
    crowd = simulate_crowd(model, model.items, 20, 0, participation=0.7)
    write_crowd(crowd, model, META, tmp_path / "crowd")
    study = load_study(tmp_path / "crowd")
    assert study.simulated
    assert study.response_type == model.response_type
    assert study.problems.options == model.items.problems.options
    assert study.problems.texts.tolist() == model.items.problems.texts.tolist()
    assert study.profiles.columns == model.encoder.columns
    np.testing.assert_array_equal(study.profiles.values_NC, crowd.people.values_NC)

    def rows(ids: Any, problems: Any, responses: Any) -> dict[tuple[str, str], list[float]]:
        keys = zip(ids[responses.participant_R], problems[responses.problem_R], strict=True)
        return dict(zip(keys, responses.values_RD.tolist(), strict=True))

    assert rows(study.profiles.ids, study.problems.ids, study.responses) == rows(
        crowd.people.ids, crowd.items.problems.ids, crowd.responses
    )


@pytest.mark.parametrize("kind", ["ordinal", "ballot"])
def test_every_row_of_both_tables_says_that_it_is_simulated_by_which_model_and_seed(
    kind: str, models: Known, tmp_path: Path
) -> None:
    model = models(kind)
    crowd = simulate_crowd(model, model.items, 20, 17)
    files = write_crowd(crowd, model, META, tmp_path / "crowd")
    folder = tmp_path / "crowd"
    tables = [pd.read_parquet(folder / "responses.parquet"), pd.read_csv(folder / "responses.csv")]
    for table in tables:
        assert len(table) == 20 * 6
        assert table["simulated"].all()
        assert set(table["model"]) == {"0123456789abcdef"}
        assert set(table["seed"]) == {17}
    assert tables[0]["response"].astype(str).tolist() == tables[1]["response"].astype(str).tolist()
    assert all(path.is_file() for path in files)
    meta = json.loads((tmp_path / "crowd" / "meta.json").read_text())
    assert meta["simulated"] is True
    assert meta["complete"] is True
    assert meta["model_hash"] == META["model_hash"]
    assert (meta["seed"], meta["participants"], meta["problems"], meta["responses"]) == (17, 20, 6, 120)


def test_two_runs_write_the_same_files(models: Known, tmp_path: Path) -> None:
    model = models("points")
    for name in ("a", "b"):
        write_crowd(simulate_crowd(model, model.items, 15, 3), model, META, tmp_path / name)
    names = {p.name for p in (tmp_path / "a").iterdir()}
    assert names == {p.name for p in (tmp_path / "b").iterdir()}
    assert "study.toml" in names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_running_again_replaces_the_crowd(models: Known, tmp_path: Path) -> None:
    model = models("ordinal")
    for people in (30, 10):
        write_crowd(simulate_crowd(model, model.items, people, 0), model, META, tmp_path / "crowd")
    study = load_study(tmp_path / "crowd")
    assert len(study.profiles) == 10
    assert len(study.responses) == 60


def test_a_folder_with_other_things_is_refused_and_left_alone(models: Known, tmp_path: Path) -> None:
    model = models("ordinal")
    crowd = simulate_crowd(model, model.items, 5, 0)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "responses.csv").write_text("precious")
    saved = save_model(model, tmp_path / "model")
    before = {p.name: p.read_bytes() for p in saved.iterdir()}
    for folder in (tmp_path / "mine", saved, tmp_path / "mine" / "responses.csv"):
        with pytest.raises(CrowdLLMError, match="holds something other than a simulated crowd; choose another folder"):
            write_crowd(crowd, model, read_meta(saved), folder)
    assert (tmp_path / "mine" / "responses.csv").read_text() == "precious"
    assert {p.name: p.read_bytes() for p in saved.iterdir()} == before


def test_a_crowd_that_was_not_written_to_the_end_is_told_and_can_be_written_again(
    models: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models("ordinal")
    old, new = (simulate_crowd(model, model.items, n, 0) for n in (20, 10))
    folder = tmp_path / "crowd"
    write_crowd(old, model, META, folder)
    with monkeypatch.context() as broken:
        broken.setattr(pd.DataFrame, "to_parquet", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_crowd(new, model, META, folder)
    with pytest.raises(CrowdLLMError, match="was not written to the end; run crowdllm simulate again"):
        open_study(str(folder))
    write_crowd(new, model, META, folder)
    assert len(open_study(str(folder)).study.profiles) == 10


def test_problems_with_other_numbers_of_options_can_be_simulated_and_read_back(models: Known, tmp_path: Path) -> None:
    for kind in ("choice", "approval", "points", "ranking"):
        model = models(kind)
        problems = Problems(
            np.array(["few", "many"], dtype=object),
            np.array(["Few options", "Many options"], dtype=object),
            (("yes", "no", "perhaps"), tuple(f"option {m}" for m in range(7))),
        )
        source = model_references(model, problems)
        crowd = simulate_crowd(model, model.make_items(problems, source), 12, 0)
        write_crowd(crowd, model, META, tmp_path / kind)
        study = load_study(tmp_path / kind)
        assert study.problems.options == problems.options
        counts = study.problems.option_counts[study.responses.problem_R]
        assert study.response_type.legal(study.responses.values_RD, counts).all()
        assert len(study.responses) == 24


def model_references(model: CrowdModel, problems: Problems) -> Any:
    """References of the source that the test models were fitted with, which says nothing about these problems."""
    from crowdllm.reference import Reference, References

    draws = np.full((len(problems), 4, 7), np.nan)
    shares = np.full((len(problems), 7), np.nan)
    return References(
        tuple(Reference(name, "distribution", problems.ids, draws, shares) for name in model.reference_sources)
    )


HOSTILE = [
    "=cmd()|' /C calc'!A0",
    "[red]x[/red]",
    "<script>alert(1)</script>",
    "\u202egnp.exe",
    "👩🏽‍🔬 emoji",
    'quote " , ;',
    "a\nb",
]


def test_hostile_texts_and_ids_come_back_as_they_were(models: Known, tmp_path: Path) -> None:
    model = models("ordinal")
    problems = Problems(np.array(HOSTILE, dtype=object), np.array(HOSTILE[::-1], dtype=object))
    crowd = simulate_crowd(model, model.make_items(problems, model_references(model, problems)), 4, 0)
    write_crowd(crowd, model, META | {"study": {"title": "[b]<t>\u202e"}}, tmp_path / "crowd")
    study = load_study(tmp_path / "crowd")
    assert study.problems.ids.tolist() == HOSTILE
    assert study.problems.texts.tolist() == HOSTILE[::-1]
    assert "[b]<t>\u202e" in study.title
    assert len(study.responses) == 4 * len(HOSTILE)
    assert sorted(set(pd.read_parquet(tmp_path / "crowd" / "responses.parquet")["problem"])) == sorted(HOSTILE)


def test_options_that_are_hostile_come_back_as_they_were(make_known: Known, fast_config: Known, tmp_path: Path) -> None:
    known = make_known("choice", people=30, problems=4)
    options = tuple(tuple(HOSTILE[:3]) for _ in range(4))
    responses = known.study.responses
    study = replace(
        known.study,
        problems=replace(known.study.problems, options=options),
        responses=replace(responses, values_RD=np.minimum(responses.values_RD, 2)),
    )
    model = fit_crowd(study, None, fast_config(max_epochs=1), 0)
    crowd = simulate_crowd(model, model.items, 10, 0)
    write_crowd(crowd, model, META, tmp_path / "crowd")
    again = load_study(tmp_path / "crowd")
    assert again.problems.options == options
    read, written = (np.sort(c.responses.values_RD, axis=0) for c in (again, crowd))
    np.testing.assert_array_equal(read, written)
