"""Recorded references: what is written reads back the same, and its account says how it came about."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crowdllm.data.study import Study
from crowdllm.elicitation.asking import Asked, ask
from crowdllm.elicitation.laying import lay
from crowdllm.elicitation.modes import Elicitation, Plan, make_plan
from crowdllm.errors import ConfigError, StudyError
from crowdllm.experiments.recording import (
    SpendingLog,
    Spent,
    account_path,
    read_account,
    require_place,
    settings_of,
    write_recording,
)
from crowdllm.experiments.sources import read_references
from crowdllm.llm.made_up import made_up_answers
from crowdllm.llm.protocol import Prompt, Usage
from crowdllm.llm.scripted import ScriptedBackend
from crowdllm.llm.usage import Price
from crowdllm.reference import Reference, References

KINDS = ("ordinal", "continuous", "bounded", "choice", "ballot", "approval", "points", "ranking")
MODES = ("decision", "samples", "distribution", "persona")
HOSTILE = '=cmd() "quoted"\n\x00\x1b[31m\ud800 <script>'


def made(study: Study, mode: str, script: Callable[[Prompt, int], str] | None = None) -> tuple[Plan, Asked, Reference]:
    script = script or made_up_answers(study.response_type, mode == "distribution")
    wish = Elicitation(mode, personas=3 if mode == "persona" else None)
    plan = make_plan(study.problems, study.response_type, wish, people=study.profiles)
    asked = ask(plan, ScriptedBackend(script))
    return plan, asked, lay(plan, asked, "llm")


def written(tmp_path: Path, study: Study, mode: str, script: Callable[[Prompt, int], str] | None = None) -> Path:
    plan, asked, reference = made(study, mode, script)
    table = tmp_path / "references" / "llm.csv"
    write_recording(table, plan, reference, settings_of(plan, "scripted:x"), Spent(asked.usage))
    return table


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_what_is_written_reads_back_the_same(
    tmp_path: Path, make_known: Callable[..., Any], kind: str, mode: str
) -> None:
    study = make_known(kind, people=30, problems=5).study

    def script(prompt: Prompt, k: int) -> str:  # one problem's answers cannot be read
        good = made_up_answers(study.response_type, mode == "distribution")
        return "I cannot say" if prompt.problem_id == "q02" else good(prompt, k)

    _, _, reference = made(study, mode, script)
    table = written(tmp_path, study, mode, script)
    back = read_references(table, "llm", study, study.problems)
    assert (back.mode, back.asked, back.unparsable) == (mode, reference.asked, reference.unparsable)
    assert (back.failed, back.missing, back.unread) == (0, reference.missing, reference.unread)
    assert reference.unparsable > 0
    np.testing.assert_array_equal(back.values_TKD, reference.values_TKD)
    if reference.distribution_TM is None:
        assert back.distribution_TM is None
    else:
        np.testing.assert_allclose(back.distribution_TM, reference.distribution_TM, atol=1e-12)
    ours = References((reference,)).features(study.response_type, study.problems)
    read = References((back,)).features(study.response_type, study.problems)
    assert read[1] == ours[1]
    np.testing.assert_allclose(read[0], ours[0], atol=1e-9)


def test_the_account_says_how_the_references_came_about(tmp_path: Path, make_known: Callable[..., Any]) -> None:
    study = make_known("ordinal", problems=4).study
    plan, _, reference = made(study, "persona")
    table = tmp_path / "llm.csv"
    spent = Spent(Usage(10, 2000, 500, 1), Usage(5, 1000, 100), Price(2.0, 4.0), 3, 7)
    path = write_recording(table, plan, reference, settings_of(plan, "openai:gpt"), spent)
    held = json.loads(path.read_text())
    assert path == account_path(table) == tmp_path / "llm.json"
    settings = held["settings"]
    assert (settings["mode"], settings["model"], settings["draws"], settings["temperature"]) == (
        "persona", "openai:gpt", 3, 0.0,
    )  # fmt: skip
    assert settings["template"]["sha256"] == plan.template.sha256
    assert (held["problems"], held["answers"], held["parse_rate"], held["asked_again"]) == (4, 12, 1.0, 3)
    assert held["usage"] == {"calls": 15, "prompt_tokens": 3000, "completion_tokens": 600, "estimated": 1}
    assert held["cost"] == pytest.approx((3000 * 2 + 600 * 4) / 1e6)
    assert len(held["personas"]) == 3
    assert set(held["personas"][0]) == {"age", "leaning", "region"}
    assert held["date"].endswith("+00:00")
    assert "person-0" not in path.read_text()


def test_hostile_answers_are_kept_in_the_account_and_break_nothing(
    tmp_path: Path, make_known: Callable[..., Any]
) -> None:
    study = make_known("ordinal", problems=3).study
    table = written(tmp_path, study, "samples", lambda prompt, k: HOSTILE)
    assert account_path(table).read_text(encoding="ascii")
    assert "cmd" not in table.read_text()
    back = read_references(table, "llm", study, study.problems)
    assert (back.asked, back.unparsable, back.parse_rate) == (24, 24, 0)
    assert {u.text for u in back.unread} == {HOSTILE}


def test_a_table_that_was_filled_in_by_hand_counts_what_is_there(
    tmp_path: Path, make_known: Callable[..., Any]
) -> None:
    study = make_known("ordinal", problems=3).study
    table = written(tmp_path, study, "decision", lambda p, k: "4" if p.problem_id == "q01" else "none")
    assert table.read_text().split() == ["problem,decision", "q00,", "q01,4", "q02,"]
    table.write_text("problem,decision\nq00,2\nq01,4\nq02,\n")
    back = read_references(table, "llm", study, study.problems)
    assert (back.asked, back.unparsable, back.missing) == (3, 1, 0)
    assert back.values_TKD[0, 0, 0] == 1
    assert back.note.endswith("edited since it was recorded")


def test_a_part_of_the_problems_counts_for_itself(tmp_path: Path, make_known: Callable[..., Any]) -> None:
    study = make_known("ordinal", problems=4).study
    table = written(tmp_path, study, "decision", lambda p, k: "4" if p.problem_id == "q01" else "none")
    back = read_references(table, "llm", study, study.problems.take(np.array([0, 1])))
    assert (back.asked, back.unparsable) == (2, 1)


def test_a_recording_is_only_replaced_by_one_of_the_same_settings(
    tmp_path: Path, make_known: Callable[..., Any]
) -> None:
    study = make_known("ordinal", problems=3).study
    plan, _, _ = made(study, "samples")
    table = written(tmp_path, study, "samples")
    require_place(table, settings_of(plan, "scripted:x"))
    with pytest.raises(ConfigError, match=r"in another way \(it differs in model\): give another --out"):
        require_place(table, settings_of(plan, "scripted:y"))
    other, _, _ = made(study, "decision")
    with pytest.raises(ConfigError, match="differs in mode, draws, temperature"):
        require_place(table, settings_of(other, "scripted:x"))
    account_path(table).unlink()
    with pytest.raises(ConfigError, match="was not written by"):
        require_place(table, settings_of(plan, "scripted:x"))
    with pytest.raises(ConfigError, match=r"NAME\.csv, not 'llm\.parquet'"):
        require_place(tmp_path / "llm.parquet", settings_of(plan, "scripted:x"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda held: "[",
        lambda held: "[]",
        lambda held: "null",
        lambda held: json.dumps({**held, "form": 99}),
        lambda held: json.dumps({**held, "settings": {**held["settings"], "mode": "guess"}}),
        lambda held: json.dumps({**held, "unread": [{"problem": "q00"}]}),
        lambda held: json.dumps({**held, "unread": 3}),
        lambda held: json.dumps({**held, "answers": "many"}),
        lambda held: json.dumps({**held, "usage": {"callz": 1}}),
        lambda held: "[" * 100_000,
        lambda held: '\udcff',
    ],
)  # fmt: skip
def test_a_damaged_account_is_named(
    tmp_path: Path, make_known: Callable[..., Any], damage: Callable[[dict[str, Any]], str]
) -> None:
    study = make_known("ordinal", problems=3).study
    table = written(tmp_path, study, "decision")
    path = account_path(table)
    path.write_bytes(damage(json.loads(path.read_text())).encode("utf-8", "surrogateescape"))
    with pytest.raises(StudyError, match=r"llm\.json: is no account of references"):
        read_references(table, "llm", study, study.problems)


def test_a_table_without_an_account_is_one_written_by_hand(tmp_path: Path) -> None:
    assert read_account(tmp_path / "none.csv") is None


def test_what_stopped_runs_used_is_not_forgotten(tmp_path: Path) -> None:
    now = [0.0]
    first = SpendingLog(tmp_path / "llm.csv", {"mode": "x"}, lambda: now[0])
    first.note(Usage(1, 10, 5))
    assert not first.path.exists()  # too early to write again
    now[0] = 6.0
    first.note(Usage(2, 20, 10))
    second = SpendingLog(tmp_path / "llm.csv", {"mode": "x"})
    assert second.before == Usage(2, 20, 10)
    second.note(Usage(1, 7, 3), now=True)
    assert SpendingLog(tmp_path / "llm.csv", {"mode": "x"}).before == Usage(3, 27, 13)
    assert SpendingLog(tmp_path / "llm.csv", {"mode": "other"}).before == Usage()
    second.close()
    assert SpendingLog(tmp_path / "llm.csv", {"mode": "x"}).before == Usage()


def test_a_finished_recording_adds_up_what_its_runs_used(tmp_path: Path, make_known: Callable[..., Any]) -> None:
    study = make_known("ordinal", problems=3).study
    plan, _, reference = made(study, "decision")
    settings = settings_of(plan, "scripted:x")
    table = tmp_path / "llm.csv"
    write_recording(table, plan, reference, settings, Spent(Usage(2, 20, 10)))
    log = SpendingLog(table, settings)
    write_recording(table, plan, reference, settings, Spent(Usage(1, 1, 1), log.before))
    account = read_account(table)
    assert account is not None
    assert account["usage"] == {"calls": 3, "prompt_tokens": 21, "completion_tokens": 11, "estimated": 0}


def test_a_damaged_log_of_spending_counts_as_none(tmp_path: Path) -> None:
    for text in ("", "[", "[]", '{"recording": "x"}', "[" * 100_000):
        (tmp_path / ".llm.spent.json").write_text(text)
        assert SpendingLog(tmp_path / "llm.csv", {}).before == Usage()
