"""A study whose texts look like markup, formulas and terminal commands: every command shows them as text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
TITLE = "[red]x[/red] =cmd() <script> \u202ertl 👩🏽‍🔬 :smile: \x1b[31m"
TEXTS = [
    "[bold]loud[/bold]",
    "=cmd()|'/C calc'!A0",
    "<script>alert(1)</script>",
    "\u202egnp.exe",
    "👩🏽‍🔬",
    "\x1b[2Jgone",
]


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    folder = tmp_path / "[red]study"
    folder.mkdir()
    toml = [
        f"title = {json.dumps(TITLE, ensure_ascii=False)}",
        '[response]\ntype = "ordinal"\nlevels = ["[i]no[/i]", "=maybe()", "<b>yes</b>"]',
        '[profile.group]\nkind = "categorical"\nlevels = ["[blink]a[/blink]", "\\u202eb"]\n',
    ]
    (folder / "study.toml").write_text("\n".join(toml), encoding="utf-8")
    rows = [f'"{text}","{text}"' for text in TEXTS]
    (folder / "problems.csv").write_text("\n".join(["problem,text", *rows]) + "\n", encoding="utf-8")
    groups = ["[blink]a[/blink]", "\u202eb"]
    people = [f"=p{n}(),{groups[n % 2]}" for n in range(10)]
    (folder / "participants.csv").write_text("\n".join(["participant,group", *people]) + "\n", encoding="utf-8")
    levels = ["[i]no[/i]", "=maybe()", "<b>yes</b>"]
    answers = [f'=p{n}(),"{text}",{levels[(n + t) % 3]}' for n in range(10) for t, text in enumerate(TEXTS)]
    (folder / "responses.csv").write_text(
        "\n".join(["participant,problem,response", *answers]) + "\n", encoding="utf-8"
    )
    return folder


def test_every_command_shows_hostile_texts_as_they_are(crowdllm: Run, hostile: Path, tmp_path: Path) -> None:
    model, crowd = tmp_path / "model", tmp_path / "crowd"
    shown = ""
    for words in (
        ("check", hostile),
        ("fit", hostile, "--out", model),
        ("simulate", model, "--out", crowd, "--participants", 8),
        ("check", crowd),
        ("aggregate", crowd),
        ("aggregate", crowd, "--method", "majority_vote"),
        (
            "evaluate",
            hostile,
            "--out",
            tmp_path / "out",
            "--methods",
            "random,pooled",
            "--seeds",
            1,
            "--crowd-size",
            10,
        ),
    ):
        done = crowdllm(*words)
        assert done.status == 0, done.err
        assert all(line.isprintable() for line in done.out.splitlines() + done.err.splitlines()), words
        shown += done.out
    assert shown.count("[red]x[/red] =cmd() <script> \\u202ertl 👩🏽\\u200d🔬 :smile: \\x1b[31m") >= 4
    for text in ("[bold]loud[/bold]", "=cmd()|'/C calc'!A0", "<script>alert(1)</script>", "[red]study"):
        assert text in shown


def test_hostile_names_in_errors_are_shown_as_they_are(
    refused: Run, crowdllm: Run, hostile: Path, tmp_path: Path
) -> None:
    assert "[red]y[/red]" in refused("evaluate", hostile, "--out", tmp_path / "o", "--methods", "[red]y[/red]")
    assert "\\x1b[2J" in refused("evaluate", hostile, "--out", tmp_path / "o", "--split", "\x1b[2J")
    assert "[/]" in refused("fit", "[/]", "--out", tmp_path / "m")
    crowdllm("fit", hostile, "--out", tmp_path / "m")
    line = refused("simulate", tmp_path / "m", "--out", tmp_path / "c", "--where", "group=\u202eC")
    assert "\\u202eC" in line


def test_a_nul_in_a_table_is_a_finding_and_no_crash(crowdllm: Run, hostile: Path, tmp_path: Path) -> None:
    path = hostile / "problems.csv"
    path.write_bytes(path.read_bytes().replace(b"loud", b"lo\x00ud"))
    done = crowdllm("fit", hostile, "--out", tmp_path / "model")
    assert done.status in (0, 2)
    assert "\x00" not in done.out + done.err
