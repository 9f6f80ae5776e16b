"""`crowdllm simulate` of large crowds: what is stored, shares, going on, and settings that contradict each other."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crowdllm.simulation import finish, plan

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _parts_of_ten_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_size", lambda *_: (10, 2, 35))


def test_distributions_alone_are_told_and_can_be_aggregated(crowdllm: Run, fitted: Path, tmp_path: Path) -> None:
    out = tmp_path / "crowd"
    done = crowdllm("simulate", fitted, "--out", out, "--participants", 35, "--distribution-only")
    assert done.status == 0
    assert "35 simulated people, 12 problems, 420 responses, 0 of them stored" in done.out
    assert f"wrote {out / 'distributions.csv'}" in done.out
    assert f"wrote {out / 'subgroups.csv'}" in done.out
    assert "crowdllm aggregate" not in done.out
    table = pd.read_csv(out / "distributions.csv")
    for method, column in (("mean", "mean"), ("median", "median"), ("majority_vote", "majority_vote")):
        decisions = tmp_path / f"{method}.csv"
        assert crowdllm("aggregate", out, "--method", method, "--out", decisions).status == 0
        assert pd.read_csv(decisions)["decision"].tolist() == table[column].tolist()
    assert crowdllm("check", out).status == 0


def test_methods_that_need_single_responses_are_refused_without_them(
    crowdllm: Run, refused: Run, fitted: Path, tmp_path: Path
) -> None:
    crowdllm("simulate", fitted, "--out", tmp_path / "crowd", "--participants", 35, "--distribution-only")
    line = refused("aggregate", tmp_path / "crowd", "--method", "glad")
    assert "holds 0 of 420 responses" in line
    assert "mean or median or majority_vote, and glad needs all responses" in line


def test_a_sample_is_stored_and_all_responses_are_counted(crowdllm: Run, fitted: Path, tmp_path: Path) -> None:
    out = tmp_path / "crowd"
    done = crowdllm("simulate", fitted, "--out", out, "--participants", 95, "--sample", 0.2)
    stored = len(pd.read_csv(out / "responses.csv"))
    assert f"1,140 responses, {stored} of them stored" in done.out
    assert 140 < stored < 330
    assert crowdllm("check", out).status == 0
    assert crowdllm("aggregate", out, "--out", tmp_path / "d.csv").status == 0
    assert pd.read_csv(tmp_path / "d.csv")["responses"].tolist() == [95] * 12


def test_a_crowd_too_large_for_a_spreadsheet_still_is_a_study(
    crowdllm: Run, fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finish, "SPREADSHEET_ROWS", 100)
    out = tmp_path / "crowd"
    assert "4 parts in" in crowdllm("simulate", fitted, "--out", out, "--participants", 35).out
    assert not (out / "responses.csv").exists()
    assert "responses    420" in crowdllm("check", out).out
    assert crowdllm("aggregate", out, "--method", "dawid_skene", "--out", tmp_path / "d.csv").status == 0
    assert len(pd.read_csv(tmp_path / "d-skills.csv")) == 35


def test_decisions_of_a_crowd_too_large_to_load_come_from_the_counts(
    crowdllm: Run, fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "crowd"
    crowdllm("simulate", fitted, "--out", out, "--participants", 35)
    crowdllm("aggregate", out, "--out", tmp_path / "loaded.csv")
    monkeypatch.setattr("crowdllm.simulation.decisions.MOST_ROWS", 100)
    crowdllm("aggregate", out, "--out", tmp_path / "counted.csv")
    loaded, counted = (pd.read_csv(tmp_path / name) for name in ("loaded.csv", "counted.csv"))
    pd.testing.assert_frame_equal(counted, loaded)


def test_shares_are_joined_into_the_whole(crowdllm: Run, fitted: Path, tmp_path: Path) -> None:
    simulate = ("simulate", fitted, "--participants", 35)
    crowdllm(*simulate, "--out", tmp_path / "whole")
    for number in (1, 2):
        done = crowdllm(*simulate, "--out", tmp_path / str(number), "--shard", f"{number}/2")
        assert f"share {number}/2 is complete; when all are: crowdllm merge DIR... --out DIR" in done.out
        assert "crowdllm aggregate" not in done.out
    joined = crowdllm("merge", tmp_path / "2", tmp_path / "1", "--out", tmp_path / "joined")
    assert joined.status == 0
    assert "crowdllm aggregate" in joined.out
    for name in ("responses.csv", "participants.csv", "meta.json"):
        assert (tmp_path / "joined" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_missing_share_is_one_line(crowdllm: Run, refused: Run, fitted: Path, tmp_path: Path) -> None:
    crowdllm("simulate", fitted, "--participants", 35, "--out", tmp_path / "1", "--shard", "1/2")
    line = refused("merge", tmp_path / "1", "--out", tmp_path / "joined")
    assert "add the folder of share 2/2" in line


def test_the_same_command_again_finds_everything_there(crowdllm: Run, fitted: Path, tmp_path: Path) -> None:
    simulate = ("simulate", fitted, "--participants", 35, "--out", tmp_path / "crowd")
    assert f"wrote {tmp_path / 'crowd' / 'responses.csv'}" in crowdllm(*simulate).out
    again = crowdllm(*simulate)
    assert again.status == 0
    assert "wrote" not in again.out
    assert f"there already: {tmp_path / 'crowd' / 'responses.csv'}" in again.out
    part = tmp_path / "crowd" / "responses" / "part-000001.parquet"
    part.write_bytes(part.read_bytes()[:100])
    assert "1 of them were damaged or missing, and were made again" in crowdllm(*simulate).out


def test_another_seed_in_the_same_folder_is_one_line(crowdllm: Run, refused: Run, fitted: Path, tmp_path: Path) -> None:
    simulate = ("simulate", fitted, "--participants", 35, "--out", tmp_path / "crowd")
    crowdllm(*simulate)
    line = refused(*simulate, "--seed", 1)
    assert "holds another run: seed is 0 there and 1 here; choose another folder, or delete that one" in line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--sample", "0"), "--sample must be a share above 0 and at most 1, such as 0.01, not 0"),
        (("--sample", "1.5"), "not 1.5"),
        (("--sample", "nan"), "not nan"),
        (("--sample", "0.5", "--distribution-only"), "give one of the two"),
        (("--engine", "dusk"), "unknown engine 'dusk': choose from local, dask; did you mean 'dask'?"),
        (("--scheduler", "tcp://x:1"), "--scheduler goes with --engine dask"),
        (("--shard", "9/8"), "such as 3/8, not '9/8'"),
        (("--engine", "dask"), "needs the address of a scheduler: --scheduler tcp://HOST:8786"),
        (("--workers", "-1"), "Invalid value for '--workers'"),
        (("--seed", str(2**64)), "at most 63 bits"),
    ],
)
def test_settings_that_cannot_be_are_one_line(
    refused: Run, fitted: Path, tmp_path: Path, words: tuple[str, ...], expected: str
) -> None:
    line = refused("simulate", fitted, "--out", tmp_path / "crowd", "--participants", 35, *words)
    assert expected in line
    assert not (tmp_path / "crowd" / "parts.jsonl").exists()


MARGINS = '[team]\nengineering = 0.8\nsales = 0.2\nsupport = 0\n\n[age]\n"<40" = 0.5\n"40+" = 0.5\n'


@pytest.fixture
def margins(tmp_path: Path) -> Path:
    (tmp_path / "census.toml").write_text(MARGINS)
    return tmp_path / "census.toml"


def test_people_are_recruited_to_margins_which_the_report_then_shows(
    crowdllm: Run, fitted: Path, margins: Path, tmp_path: Path
) -> None:
    out = tmp_path / "crowd"
    done = crowdllm("simulate", fitted, "--out", out, "--participants", 400, "--margins", margins)
    assert done.status == 0, done.err
    assert f"wrote {out / 'margins.toml'}" in done.out
    assert tomllib.loads((out / "margins.toml").read_text()) == tomllib.loads(MARGINS)
    people = pd.read_csv(out / "participants.csv")
    assert set(people["team"]) == {"engineering", "sales"}
    assert (people["team"] == "engineering").mean() == pytest.approx(0.8, abs=0.08)  # four standard errors
    assert (people["age"].dropna() >= 40).mean() == pytest.approx(0.5, abs=0.1)
    assert crowdllm("report", out, "--out", tmp_path / "page.html").status == 0
    page = (tmp_path / "page.html").read_text()
    assert "Targets are the margins that were given." in page
    row = re.search(r">team: engineering</th>(.*?)</tr>", page, re.DOTALL)
    assert row is not None
    assert "80.0%" in row.group(1)


def test_a_crowd_recruited_to_margins_goes_on_and_other_margins_are_refused(
    crowdllm: Run, refused: Run, fitted: Path, margins: Path, tmp_path: Path
) -> None:
    simulate = ("simulate", fitted, "--out", tmp_path / "crowd", "--participants", 35)
    crowdllm(*simulate, "--margins", margins)
    whole = {path.name: path.read_bytes() for path in (tmp_path / "crowd").rglob("*.*") if path.is_file()}
    (tmp_path / "crowd" / "margins.toml").unlink()
    (tmp_path / "crowd" / "responses" / "part-000001.parquet").unlink()
    assert crowdllm(*simulate, "--margins", margins).status == 0
    again = {path.name: path.read_bytes() for path in (tmp_path / "crowd").rglob("*.*") if path.is_file()}
    assert again == whole
    assert "holds another run: the target margins are others" in refused(*simulate)
    margins.write_text(MARGINS.replace("0.8", "0.7").replace("0.2", "0.3"))
    assert "the target margins are others; choose another folder" in refused(*simulate, "--margins", margins)


def test_shares_of_a_crowd_recruited_to_margins_are_joined(
    crowdllm: Run, fitted: Path, margins: Path, tmp_path: Path
) -> None:
    simulate = ("simulate", fitted, "--participants", 35, "--margins", margins)
    crowdllm(*simulate, "--out", tmp_path / "whole")
    for number in (1, 2):
        crowdllm(*simulate, "--out", tmp_path / str(number), "--shard", f"{number}/2")
    assert crowdllm("merge", tmp_path / "2", tmp_path / "1", "--out", tmp_path / "joined").status == 0
    for name in ("responses.csv", "participants.csv", "margins.toml", "meta.json"):
        assert (tmp_path / "joined" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_crowd_without_margins_says_nothing_of_them(crowdllm: Run, fitted: Path, tmp_path: Path) -> None:
    assert crowdllm("simulate", fitted, "--participants", 5, "--out", tmp_path / "crowd").status == 0
    assert "margins" not in (tmp_path / "crowd" / "meta.json").read_text()
    assert not (tmp_path / "crowd" / "margins.toml").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[tema]\nsales = 1\n", "did you mean 'team'"),
        ("[team]\nsales = 80\nsupport = 20\n", "divide them by 100"),
        ('[team]\nsales = "1"\n', "must be a number of 0 or more"),
        ("[team]\nsales = 1\n", "add what is missing, with a share of 0"),
        ("team = 1\n", "must be a table such as [team]"),
    ],
)
def test_margins_that_cannot_be_are_one_line(
    refused: Run, fitted: Path, margins: Path, tmp_path: Path, text: str, expected: str
) -> None:
    margins.write_text(text)
    assert expected in refused("simulate", fitted, "--out", tmp_path / "crowd", "--margins", margins)
    assert not (tmp_path / "crowd").exists()


def test_margins_are_of_recruits_and_not_of_given_people(
    refused: Run, fitted: Path, study: Path, margins: Path, tmp_path: Path
) -> None:
    line = refused("simulate", fitted, "--out", tmp_path / "crowd", "--like", study, "--margins", margins)
    assert "--margins goes with recruits, and --like names the people: give one of the two" in line
