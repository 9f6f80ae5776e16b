"""A crowd as a folder of parts: the same responses as in memory, the same bytes however they are made."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.data.problems import Problems
from crowdllm.data.study_check import check_study
from crowdllm.data.study_folder import load_study
from crowdllm.errors import ConfigError, CrowdLLMError, UnknownNameError
from crowdllm.experiments.sources import open_study
from crowdllm.reference import Reference, References
from crowdllm.simulation import finish
from crowdllm.simulation.engines import Resources
from crowdllm.simulation.folder import Report
from crowdllm.simulation.plan import Settings, target_margins
from crowdllm.simulation.run import simulate_crowd
from crowdllm.simulation.stream import stream_crowd

KINDS = ["continuous", "bounded", "ordinal", "choice", "ballot", "approval", "points", "ranking"]
Saved = Callable[[str], Any]
Contents = Callable[[Path], dict[str, bytes]]


def stream(saved: Saved, out: Path, kind: str = "ordinal", **given: Any) -> Report:
    """35 people on six problems, unless something else is given; arguments of `Settings` go there."""
    model, meta, folder = saved(kind)
    own = {name: given.pop(name) for name in list(given) if name in Settings.__dataclass_fields__}
    settings = Settings(**{"participants": 35, "seed": 3} | own)
    given = {"resources": Resources(folder, 1)} | given
    return stream_crowd(model, meta, given.pop("items", model.items), settings, out, **given)


def answers(ids: Any, problems: Any, responses: Any) -> dict[tuple[str, str], list[float]]:
    keys = zip(ids[responses.participant_R], problems[responses.problem_R], strict=True)
    return dict(zip(keys, responses.values_RD.tolist(), strict=True))


# --- what is in the folder ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spreadsheet", [True, False], ids=["csv", "parts"])
def test_the_folder_is_a_study_with_the_responses_that_memory_gives(
    saved: Saved, small_parts: int, tmp_path: Path, kind: str, spreadsheet: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not spreadsheet:
        monkeypatch.setattr(finish, "SPREADSHEET_ROWS", 10)
    report = stream(saved, tmp_path / "crowd", kind, participation=0.7)
    model = saved(kind).model
    crowd = simulate_crowd(model, model.items, 35, 3, participation=0.7)
    study = load_study(tmp_path / "crowd")
    assert (tmp_path / "crowd" / "responses.csv").exists() == spreadsheet
    assert study.simulated
    assert study.response_type == model.response_type
    assert study.problems.options == model.items.problems.options
    assert study.problems.texts.tolist() == model.items.problems.texts.tolist()
    assert study.profiles.columns == model.encoder.columns
    assert study.profiles.ids.tolist() == crowd.people.ids.tolist()
    np.testing.assert_array_equal(study.profiles.values_NC, crowd.people.values_NC)
    assert answers(study.profiles.ids, study.problems.ids, study.responses) == answers(
        crowd.people.ids, crowd.items.problems.ids, crowd.responses
    )
    assert (report.parts, report.new, report.people) == (4, 4, 35)
    assert report.simulated == report.stored == len(crowd.responses)
    assert not [f for f in check_study(tmp_path / "crowd").findings if f.severity == "error"]


@pytest.mark.parametrize("kind", ["ordinal", "ballot", "continuous"])
def test_every_row_says_that_it_is_simulated_by_which_model_and_seed(
    saved: Saved, small_parts: int, tmp_path: Path, kind: str
) -> None:
    stream(saved, tmp_path, kind, seed=17)
    model_hash = saved(kind).meta["model_hash"]
    tables = [pd.read_parquet(tmp_path / "responses"), pd.read_csv(tmp_path / "responses.csv")]
    for table in tables:
        assert len(table) == 35 * 6
        assert table["simulated"].all()
        assert set(table["model"]) == {model_hash[:16]}
        assert set(table["seed"]) == {17}
    assert tables[0]["response"].astype(str).tolist() == tables[1]["response"].astype(str).tolist()
    people = pd.read_parquet(tmp_path / "participants")
    assert people["simulated"].all()
    for path in tmp_path.glob("*/*.parquet"):
        metadata = pq.read_schema(path).metadata
        assert metadata[b"crowdllm.simulated"] == b"true"
        assert metadata[b"crowdllm.model_hash"] == model_hash.encode()
        assert metadata[b"crowdllm.seed"] == b"17"
    meta = json.loads((tmp_path / "meta.json").read_text())
    assert meta["simulated"] is True
    assert meta["complete"] is True
    assert (meta["seed"], meta["participants"], meta["problems"], meta["responses"]) == (17, 35, 6, 210)


def test_people_come_in_parts_of_which_none_depends_on_how_many_there_are(
    saved: Saved, small_parts: int, tmp_path: Path
) -> None:
    for people in (35, 95):
        stream(saved, tmp_path / str(people), participants=people, where=("leaning=high",))
    few, many = (pd.read_parquet(tmp_path / name / "responses") for name in ("35", "95"))
    assert (len(few), len(many)) == (35 * 6, 95 * 6)
    shared = many[many["participant"].isin(set(few["participant"]))]
    columns = ["participant", "problem", "response"]
    assert few[columns].astype(str).values.tolist() == shared[columns].astype(str).values.tolist()
    assert set(pd.read_parquet(tmp_path / "95" / "participants")["leaning"]) == {"high"}


def test_people_are_recruited_to_the_same_margins_in_a_folder_and_in_memory(
    saved: Saved, small_parts: int, tmp_path: Path
) -> None:
    margins = {"leaning": {"high": 1.0, "middle": 0, "low": 0}}
    stream(saved, tmp_path, where=("age>=30",), margins=target_margins(margins))
    model = saved("ordinal").model
    crowd = simulate_crowd(model, model.items, 35, 3, ("age>=30",), margins=margins)
    study = load_study(tmp_path)
    np.testing.assert_array_equal(study.profiles.values_NC, crowd.people.values_NC)
    assert set(pd.read_parquet(tmp_path / "participants")["leaning"].dropna()) == {"high"}
    assert answers(study.profiles.ids, study.problems.ids, study.responses) == answers(
        crowd.people.ids, crowd.items.problems.ids, crowd.responses
    )


def test_given_people_are_simulated_under_ids_that_say_so(saved: Saved, small_parts: int, tmp_path: Path) -> None:
    people = saved("ordinal").model.recruit(23, 9)
    report = stream(saved, tmp_path, people=people)
    study = load_study(tmp_path)
    assert report.people == 23
    assert study.profiles.ids.tolist() == [f"sim:{identity}" for identity in people.ids]
    np.testing.assert_array_equal(study.profiles.values_NC, people.values_NC)


def blank_references(model: CrowdModel, problems: Problems) -> References:
    """Of the sources that the model was fitted with, saying nothing about these problems."""
    draws, shares = np.full((len(problems), 4, 7), np.nan), np.full((len(problems), 7), np.nan)
    sources = (Reference(name, "distribution", problems.ids, draws, shares) for name in model.reference_sources)
    return References(tuple(sources))


@pytest.mark.parametrize("kind", ["choice", "approval", "points", "ranking"])
def test_problems_with_other_numbers_of_options_read_back(
    saved: Saved, small_parts: int, tmp_path: Path, kind: str
) -> None:
    model = saved(kind).model
    ids, texts = np.array(["few", "many"], dtype=object), np.array(["Few options", "Many options"], dtype=object)
    options = (("yes", "no", "perhaps"), tuple(f"option {m}" for m in range(7)))
    problems = Problems(ids, texts, options)
    stream(saved, tmp_path, kind, items=model.make_items(problems, blank_references(model, problems)))
    study = load_study(tmp_path)
    assert study.problems.options == options
    counts = study.problems.option_counts[study.responses.problem_R]
    assert study.response_type.legal(study.responses.values_RD, counts).all()
    assert len(study.responses) == 70


HOSTILE = [
    "=cmd()|' /C calc'!A0",
    "[red]x[/red]",
    "<script>alert(1)</script>",
    "\u202egnp.exe",
    "👩🏽‍🔬 emoji",
    'quote " , ;',
    "a\nb",
]


@pytest.mark.parametrize("spreadsheet", [True, False], ids=["csv", "parts"])
def test_hostile_texts_and_ids_come_back_as_they_were(
    saved: Saved, small_parts: int, tmp_path: Path, spreadsheet: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not spreadsheet:
        monkeypatch.setattr(finish, "SPREADSHEET_ROWS", 10)
    model, meta, _ = saved("ordinal")
    problems = Problems(np.array(HOSTILE, dtype=object), np.array(HOSTILE[::-1], dtype=object))
    items = model.make_items(problems, blank_references(model, problems))
    stream_crowd(model, meta | {"study": {"title": "[b]<t>\u202e"}}, items, Settings(14), tmp_path / "crowd")
    study = load_study(tmp_path / "crowd")
    assert study.problems.ids.tolist() == HOSTILE
    assert study.problems.texts.tolist() == HOSTILE[::-1]
    assert "[b]<t>\u202e" in study.title
    assert len(study.responses) == 14 * len(HOSTILE)
    assert sorted(set(pd.read_parquet(tmp_path / "crowd" / "responses")["problem"])) == sorted(HOSTILE)


def test_options_that_are_hostile_come_back_as_they_were(
    make_known: Callable[..., Any], fast_config: Callable[..., Any], tmp_path: Path
) -> None:
    known = make_known("choice", people=30, problems=4)
    options = tuple(tuple(HOSTILE[:3]) for _ in range(4))
    given = replace(known.study.responses, values_RD=np.minimum(known.study.responses.values_RD, 2))
    study = replace(known.study, problems=replace(known.study.problems, options=options), responses=given)
    model = fit_crowd(study, None, fast_config(max_epochs=1), 0)
    stream_crowd(model, {"model_hash": "0" * 64}, model.items, Settings(10), tmp_path)
    again, crowd = load_study(tmp_path), simulate_crowd(model, model.items, 10, 0)
    assert again.problems.options == options
    assert answers(again.profiles.ids, again.problems.ids, again.responses) == answers(
        crowd.people.ids, crowd.items.problems.ids, crowd.responses
    )


# --- the same bytes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ordinal", "points"])
@pytest.mark.parametrize("sample", [0.0, 0.4, 1.0])
def test_two_runs_and_two_workers_write_the_same_bytes(
    saved: Saved, small_parts: int, tmp_path: Path, contents: Contents, kind: str, sample: float
) -> None:
    runs = {"a": 1, "b": 1, "two workers": 2}
    for name, workers in runs.items():
        resources = Resources(saved(kind).folder, workers)
        stream(saved, tmp_path / name, kind, participation=0.8, sample=sample, resources=resources)
    first = contents(tmp_path / "a")
    assert {"study.toml", "meta.json", "parts.jsonl", "distributions.csv", "tallies/part-000003.parquet"} <= set(first)
    assert ("responses/part-000003.parquet" in first) == (sample > 0)
    assert contents(tmp_path / "b") == first
    assert contents(tmp_path / "two workers") == first


def test_another_seed_gives_other_responses(saved: Saved, tmp_path: Path, contents: Contents) -> None:
    for seed in (1, 2):
        stream(saved, tmp_path / str(seed), seed=seed)
    first, second = (contents(tmp_path / name) for name in ("1", "2"))
    assert first["responses.csv"] != second["responses.csv"]


# --- distributions and samples --------------------------------------------------------------------------------


def test_distributions_are_the_same_whatever_is_stored(saved: Saved, small_parts: int, tmp_path: Path) -> None:
    for sample in (0.0, 0.3, 1.0):
        stream(saved, tmp_path / str(sample), sample=sample, participation=0.7)
    tables = [(tmp_path / name / "distributions.csv").read_bytes() for name in ("0.0", "0.3", "1.0")]
    assert tables[0] == tables[1] == tables[2]
    subgroups = [(tmp_path / name / "subgroups.csv").read_bytes() for name in ("0.0", "0.3")]
    assert subgroups[0] == subgroups[1]
    table = pd.read_csv(tmp_path / "0.0" / "subgroups.csv")
    assert set(table["column"]) == {"age", "leaning", "region"}
    per_column = table.groupby(["column", "problem"])["responses"].sum().unstack(0)
    everybody = pd.read_csv(tmp_path / "0.0" / "distributions.csv").set_index("problem")["responses"]
    for column in per_column:
        assert per_column[column].tolist() == everybody.tolist()


def test_without_stored_responses_there_is_no_row_anywhere(
    saved: Saved, small_parts: int, tmp_path: Path, contents: Contents
) -> None:
    report = stream(saved, tmp_path, sample=0.0)
    assert (report.simulated, report.stored) == (210, 0)
    assert not [name for name in contents(tmp_path) if name.startswith(("responses/", "participants/"))]
    study = load_study(tmp_path)
    assert (len(study.profiles), len(study.responses)) == (0, 0)
    assert "No response is stored" in study.source[2]


def test_the_sample_is_a_part_of_all_responses_and_the_same_for_any_parts(
    saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crowdllm.simulation import plan

    stream(saved, tmp_path / "all")
    sizes = {"a": (10, 2, 35), "b": (7, 5, 3), "c": (100, 6, 1000)}
    for name, size in sizes.items():
        monkeypatch.setattr(plan, "_size", lambda *_, size=size: size)
        stream(saved, tmp_path / name, sample=0.3)

    def rows(name: str) -> set[tuple[str, ...]]:
        table = pd.read_csv(tmp_path / name / "responses.csv", dtype=str)[["participant", "problem", "response"]]
        return set(table.itertuples(index=False, name=None))

    assert rows("a") == rows("b") == rows("c")
    assert rows("a") < rows("all")
    assert 20 < len(rows("a")) < 110
    study = load_study(tmp_path / "a")
    assert set(study.profiles.ids) == {participant for participant, _, _ in rows("a")}
    assert "A sample of 0.3 of the responses" in study.source[2]


def test_nobody_may_answer(saved: Saved, small_parts: int, tmp_path: Path) -> None:
    report = stream(saved, tmp_path, participation=0.0)
    assert (report.people, report.simulated) == (35, 0)
    assert len(load_study(tmp_path).profiles) == 35


# --- going on, and refusing to --------------------------------------------------------------------------------


def test_the_same_command_on_a_complete_folder_changes_nothing(
    saved: Saved, small_parts: int, tmp_path: Path, contents: Contents
) -> None:
    stream(saved, tmp_path)
    before = {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in tmp_path.rglob("*") if p.is_file()}
    report = stream(saved, tmp_path)
    assert (report.parts, report.new, report.damaged) == (4, 0, 0)
    assert {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("damage", ["truncate", "delete", "flip"])
@pytest.mark.parametrize("place", ["responses/part-000002.parquet", "tallies/part-000001.parquet", "responses.csv"])
def test_damaged_files_of_a_complete_folder_are_made_again(
    saved: Saved, small_parts: int, tmp_path: Path, contents: Contents, damage: str, place: str
) -> None:
    stream(saved, tmp_path)
    before = contents(tmp_path)
    path = tmp_path / place
    data = before[place]
    if damage == "delete":
        path.unlink()
    else:
        path.write_bytes(data[: len(data) // 2] if damage == "truncate" else data[:-1] + bytes([data[-1] ^ 1]))
    report = stream(saved, tmp_path)
    assert report.new == report.damaged == (0 if place == "responses.csv" else 1)
    assert contents(tmp_path) == before


def test_a_run_that_was_interrupted_is_told_and_goes_on(
    saved: Saved, small_parts: int, tmp_path: Path, contents: Contents
) -> None:
    stream(saved, tmp_path / "whole")

    def stop(what: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crowdllm.simulation.meter.EVERY_S", 0.0)
        with pytest.raises(KeyboardInterrupt):
            stream(saved, tmp_path / "crowd", progress=stop)
    with pytest.raises(CrowdLLMError, match="was not written to the end; give the same crowdllm simulate command"):
        open_study(str(tmp_path / "crowd"))
    report = stream(saved, tmp_path / "crowd")
    assert (report.parts, report.new) == (4, 2)
    assert contents(tmp_path / "crowd") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 4}, "seed is 3 there and 4 here"),
        ({"participants": 36}, "participants is 35 there and 36 here"),
        ({"participation": 0.5}, "participation is 1.0 there and 0.5 here"),
        ({"where": ("age>=30",)}, "where is none there and 'age>=30' here"),
        ({"sample": 0.5}, "sample is 1.0 there and 0.5 here"),
        ({"kind": "bounded"}, "the model is another"),
    ],
)
def test_another_run_in_the_same_folder_is_refused_with_what_differs(
    saved: Saved, small_parts: int, tmp_path: Path, contents: Contents, change: Any, words: str
) -> None:
    stream(saved, tmp_path)
    before = contents(tmp_path)
    with pytest.raises(
        CrowdLLMError, match="holds another run: .*choose another folder, or delete that one"
    ) as refusal:
        stream(saved, tmp_path, **change)
    assert words in str(refusal.value)
    assert contents(tmp_path) == before


def test_other_problems_or_people_in_the_same_folder_are_refused(
    saved: Saved, small_parts: int, tmp_path: Path
) -> None:
    model = saved("ordinal").model
    stream(saved, tmp_path / "problems")
    texts = model.items.problems.texts.copy()
    texts[2] = "Something else"
    changed = replace(model.items, problems=replace(model.items.problems, texts=texts))
    with pytest.raises(CrowdLLMError, match="the problems are others"):
        stream(saved, tmp_path / "problems", items=changed)
    stream(saved, tmp_path / "people", people=model.recruit(10, 1))
    with pytest.raises(CrowdLLMError, match="the people simulated are others"):
        stream(saved, tmp_path / "people", people=model.recruit(10, 2))


def test_a_folder_of_an_earlier_version_is_refused_in_words(saved: Saved, tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text(json.dumps({"crowdllm": "0.0.9", "simulated": True, "complete": True}))
    with pytest.raises(CrowdLLMError, match=r"written in another way, by crowdllm 0\.0\.9"):
        stream(saved, tmp_path)


def test_a_folder_with_other_things_is_refused_and_left_alone(saved: Saved, tmp_path: Path, contents: Contents) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "responses.csv").write_text("precious")
    model = saved("ordinal").folder
    before = contents(model)
    for folder in (tmp_path / "mine", model, tmp_path / "mine" / "responses.csv"):
        with pytest.raises(CrowdLLMError, match="holds something other than a simulated crowd; choose another folder"):
            stream(saved, folder)
    assert (tmp_path / "mine" / "responses.csv").read_text() == "precious"
    assert contents(model) == before


def test_a_run_that_was_killed_over_its_first_file_goes_on(saved: Saved, tmp_path: Path, contents: Contents) -> None:
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / ".meta.json.fresh").write_text('{"crowdllm": ')
    for name in ("killed", "whole"):
        stream(saved, tmp_path / name)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"where": ("leanin=high",)}, UnknownNameError, "did you mean 'leaning'"),
        ({"where": ("age>200",)}, ConfigError, "nobody qualifies"),
        ({"engine": "dusk"}, UnknownNameError, "unknown engine 'dusk': choose from local, dask; did you mean 'dask'"),
        ({"participation": 2.0}, ConfigError, "between 0 and 1"),
    ],
)
def test_what_cannot_be_is_refused_before_a_folder_is_made(
    saved: Saved, tmp_path: Path, given: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        stream(saved, tmp_path / "crowd", **given)
    assert not (tmp_path / "crowd").exists()


def test_a_profile_column_may_be_called_like_a_column_of_the_tables(
    make_known: Callable[..., Any], fast_config: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = make_known("ordinal", people=30, problems=4)
    names = ("participant", "response", "simulated")
    columns = tuple(replace(c, name=name) for c, name in zip(known.study.profiles.columns, names, strict=True))
    study = replace(known.study, profiles=replace(known.study.profiles, columns=columns))
    model = fit_crowd(study, None, fast_config(max_epochs=1), 0)
    for rows in (10, 10**6):
        monkeypatch.setattr(finish, "SPREADSHEET_ROWS", rows)
        stream_crowd(model, {"model_hash": "0" * 64}, model.items, Settings(12), tmp_path / str(rows))
        again = load_study(tmp_path / str(rows))
        assert again.profiles.columns == columns
        np.testing.assert_array_equal(again.profiles.values_NC, model.recruit(12, 0).values_NC)
        assert len(again.responses) == 48
