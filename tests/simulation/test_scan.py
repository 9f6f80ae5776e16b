"""Reading a crowd piece by piece: the same responses, of the problems and people that were asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crowdllm.data.responses import Responses
from crowdllm.data.study_folder import load_study
from crowdllm.errors import ConfigError, CrowdLLMError, UnknownNameError
from crowdllm.profiles.pool import parse_filters, qualified
from crowdllm.simulation import finish
from crowdllm.simulation.plan import Settings, Shard
from crowdllm.simulation.stream import stream_crowd

KINDS = ["continuous", "bounded", "ordinal", "choice", "ballot", "approval", "points", "ranking"]
Saved = Callable[[str], Any]
pytestmark = pytest.mark.usefixtures("small_parts")


def crowd(saved: Saved, out: Path, kind: str = "ordinal", **settings: Any) -> Path:
    model, meta, _ = saved(kind)
    stream_crowd(model, meta, model.items, Settings(**{"participants": 45, "participation": 0.8} | settings), out)
    return out


def scanned(*given: Any, **more: Any) -> dict[tuple[str, str], list[float]]:
    out: dict[tuple[str, str], list[float]] = {}
    for batch in Responses.scan(*given, **more):
        r = batch.responses
        for i, t, value in zip(r.participant_R, r.problem_R, r.values_RD.tolist(), strict=True):
            pair = (batch.people.ids[i], batch.problems.ids[t])
            assert pair not in out
            out[pair] = value
    return out


def loaded(folder: Path, problems: Any = None, where: Any = ()) -> dict[tuple[str, str], list[float]]:
    study = load_study(folder)
    r = study.responses
    inside = qualified(study.profiles, parse_filters(list(where), study.profiles.columns))
    ids, names = study.profiles.ids, study.problems.ids
    rows = zip(r.participant_R, r.problem_R, r.values_RD.tolist(), strict=True)
    return {
        (ids[i], names[t]): value for i, t, value in rows if inside[i] and (problems is None or names[t] in problems)
    }


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_read(saved: Saved, tmp_path: Path, kind: str) -> None:
    crowd(saved, tmp_path, kind)
    assert scanned(tmp_path) == loaded(tmp_path)


@pytest.mark.parametrize("problems", [["q03"], ["q05", "q00"], []])
def test_only_these_problems_are_read(saved: Saved, tmp_path: Path, problems: list[str]) -> None:
    crowd(saved, tmp_path)
    found = scanned(tmp_path, problems=problems)
    assert found == loaded(tmp_path, problems)
    assert bool(found) == bool(problems)


@pytest.mark.parametrize("where", [["leaning=high"], ["age>=50", "region=north"], ["age=18-90"]])
def test_only_these_people_are_read(saved: Saved, tmp_path: Path, where: list[str]) -> None:
    crowd(saved, tmp_path)
    assert scanned(tmp_path, where=where) == loaded(tmp_path, where=where)
    for batch in Responses.scan(tmp_path, where=where):
        assert qualified(batch.people, parse_filters(where, batch.people.columns)).all()


def test_a_sample_is_read_too(saved: Saved, tmp_path: Path) -> None:
    crowd(saved, tmp_path, sample=0.3)
    assert scanned(tmp_path, where=["leaning=low"]) == loaded(tmp_path, where=["leaning=low"])


def test_a_batch_is_a_row_group_and_no_more(saved: Saved, tmp_path: Path) -> None:
    crowd(saved, tmp_path)
    assert max(len(batch.responses) for batch in Responses.scan(tmp_path)) <= 45
    assert {batch.part for batch in Responses.scan(tmp_path)} == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"problems": ["q9"]}, UnknownNameError, "unknown problem 'q9'"),
        ({"where": ["colour=red"]}, UnknownNameError, "unknown profile column 'colour'"),
        ({"where": ["age"]}, ConfigError, "not of the form"),
    ],
)
def test_what_there_is_not_is_refused_at_once(
    saved: Saved, tmp_path: Path, given: Any, error: type[Exception], words: str
) -> None:
    crowd(saved, tmp_path)
    with pytest.raises(error, match=words):
        Responses.scan(tmp_path, **given)


def test_a_folder_without_responses_is_refused(saved: Saved, tmp_path: Path) -> None:
    crowd(saved, tmp_path / "counts", sample=0.0)
    with pytest.raises(CrowdLLMError, match=r"distributions only, no responses: read .*distributions\.csv"):
        Responses.scan(tmp_path / "counts")
    with pytest.raises(CrowdLLMError, match="holds no simulated crowd"):
        Responses.scan(tmp_path)
    model, meta, _ = saved("ordinal")
    stream_crowd(model, meta, model.items, Settings(45), tmp_path / "share", shard=Shard(1, 2))
    with pytest.raises(CrowdLLMError, match="join all shares"):
        Responses.scan(tmp_path / "share")


def test_pandas_reads_the_parts_and_joins_them_with_the_people(saved: Saved, tmp_path: Path) -> None:
    crowd(saved, tmp_path)
    responses = pd.read_parquet(tmp_path / "responses", filters=[("problem", "in", ["q02", "q04"])])
    people = pd.read_parquet(tmp_path / "participants")
    joined = responses.merge(people, on="participant", suffixes=("", "_person"))
    assert len(joined) == len(loaded(tmp_path, ["q02", "q04"]))
    mean = joined["response"].astype(str).astype(int).groupby(joined["leaning"], observed=True).mean()
    by_hand = [value[0] + 1 for value in scanned(tmp_path, problems=["q02", "q04"], where=["leaning=high"]).values()]
    assert mean["high"] == pytest.approx(np.mean(by_hand))


def test_duckdb_reads_the_parts(saved: Saved, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    crowd(saved, tmp_path)
    count = duckdb.sql(f"SELECT count(*) FROM '{tmp_path}/responses/*.parquet' WHERE problem = 'q02'").fetchone()[0]
    assert count == len(loaded(tmp_path, ["q02"]))


def test_polars_reads_the_parts(saved: Saved, tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    crowd(saved, tmp_path)
    lazy = polars.scan_parquet(f"{tmp_path}/responses/*.parquet")
    assert lazy.filter(polars.col("problem") == "q02").collect().height == len(loaded(tmp_path, ["q02"]))


def test_parts_with_many_rows_are_not_loaded_whole(
    saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finish, "SPREADSHEET_ROWS", 10)
    monkeypatch.setattr("crowdllm.data.tables.MOST_ROWS", 100)
    crowd(saved, tmp_path)
    with pytest.raises(CrowdLLMError, match=r"too many to hold at once.*crowdllm\.Responses\.scan"):
        load_study(tmp_path)
    assert len(scanned(tmp_path)) > 100
