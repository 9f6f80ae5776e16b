"""`crowdllm check DIR` says what was understood and all that is wrong, and shows untrusted text literally."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from crowdllm.cli.check import check, report_lines, visible
from crowdllm.cli.new import new
from crowdllm.data.new_study import new_study
from crowdllm.data.study_check import check_study

app = typer.Typer()
app.command()(new)
app.command()(check)


def run(folder: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["check", str(folder)], catch_exceptions=False)
    return result.exit_code, result.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    new_study(tmp_path / "study")
    return tmp_path / "study"


def replace(path: Path, old: str, new_text: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new_text), encoding="utf-8")


def test_a_usable_study_exits_0_and_says_what_was_understood(folder: Path) -> None:
    code, out = run(folder)
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "people 12" in lines
    assert "problems 12" in lines
    assert "responses 120 (83.3% of all pairs)" in lines
    assert "per problem min 0, median 12, max 12" in lines
    assert "per person min 10, median 10, max 10" in lines
    assert "team (categorical): engineering: 4; sales: 4; support: 4; missing: 0" in lines
    assert "age (numeric): min 26, median 41, max 61; missing: 1" in lines
    assert lines[-1] == "The study can be used: 0 errors, 0 warnings, 3 notes."


def test_the_histogram_has_a_bar_for_each_level_in_proportion(folder: Path) -> None:
    rows = "".join(f"p{i:02d},focus,{level}\n" for i, level in enumerate([1, 1, 2, 5], start=1))
    (folder / "responses.csv").write_text(f"participant,problem,response\n{rows}")
    out = run(folder)[1]
    bars = {line.split()[0]: line.count("█") for line in out.splitlines() if "%" in line and "pairs" not in line}
    assert bars == {"1": 30, "2": 15, "3": 0, "4": 0, "5": 15}


def test_warnings_are_allowed(folder: Path) -> None:
    (folder / "responses.csv").write_text("participant,problem,response\np01,focus,1\n")
    code, out = run(folder)
    assert code == 0
    assert "very few responses: 1" in out
    assert "0 errors, 1 warning" in out


def test_errors_exit_2_and_all_of_them_are_shown(folder: Path) -> None:
    replace(folder / "responses.csv", "p02,focus,", "p002,focus,")
    replace(folder / "participants.csv", "under 15 minutes", "under 15 minuts")
    replace(folder / "study.toml", "title =", "titel =")
    code, out = run(folder)
    assert code == 2
    assert "responses.csv, row 12, column 'participant': unknown participant (value 'p002')" in out
    assert "nearest: 'p02'" in out
    assert "nearest: 'under 15 minutes'" in out
    assert "study.toml, row 5, column 'titel': unknown key" in out
    assert "nearest: 'title'" in out
    assert "The study cannot be used: 5 errors" in out


def test_a_missing_folder_exits_2(tmp_path: Path) -> None:
    code, out = run(tmp_path / "nothing")
    assert code == 2
    assert "there is no such folder" in out


def test_many_findings_of_one_sort_are_cut_to_five_and_counted(folder: Path) -> None:
    rows = "".join(f"p01,x{i},1\n" for i in range(1239))
    (folder / "responses.csv").write_text(f"participant,problem,response\n{rows}")
    out = run(folder)[1]
    assert out.count("unknown problem") == 5
    assert "… and 1,234 more of this sort" in out
    assert "Errors (1,239)" in out


def test_markup_and_control_characters_in_the_data_are_shown_literally(folder: Path) -> None:
    replace(folder / "study.toml", "Working from home", r"[red]Hi[/red] \u001b[31m :smile: \u202e")
    replace(folder / "participants.csv", "engineering", "[blink]\x1b]0;x\x07")
    replace(folder / "responses.csv", "p01,focus", "p\x1b[2J,focus")
    code, out = run(folder)
    assert code == 2
    assert r"[red]Hi[/red] \x1b[31m :smile: \u202e" in out
    assert r"[blink]\x1b]0;x\x07: 4" in out
    assert r"p\x1b[2J" in out
    assert not [c for c in out if not c.isprintable() and c != "\n"]


def test_option_types_show_the_most_picked_options_first(tmp_path: Path) -> None:
    options = "|".join(f"option {i}" for i in range(12))
    files = {
        "study.toml": '[response]\ntype = "ballot"\nmin_picks = 1\nmax_picks = 3\n',
        "problems.csv": f"problem,text,options\nq1,a,{options}\nq2,b,x|y\n",
        "responses.csv": "participant,problem,response\nann,q1,#4|#7\nbob,q1,#7\ncho,q2,y\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    code, out = run(tmp_path)
    assert code == 0
    lines = out.splitlines()
    start = lines.index("Responses (picks)")
    assert lines[start + 1].split()[:2] == ["option", "6"]
    assert "… and 4 more options" in out
    assert "ballot: 2 to 12 options per problem, min_picks 1, max_picks 3" in out


def test_long_lines_are_not_cut_when_the_output_is_no_terminal(folder: Path) -> None:
    long = "w" * 300
    replace(folder / "participants.csv", "engineering", long)
    assert f"{long}: 4" in run(folder)[1]


def test_the_histogram_is_drawn_with_plain_signs_where_blocks_cannot_be_shown(folder: Path) -> None:
    text = "\n".join(line for line, _ in report_lines(check_study(folder), full_blocks=False))
    assert "█" not in text
    assert "###" in text


def test_an_ascii_terminal_gets_escapes_rather_than_a_crash(folder: Path) -> None:
    replace(folder / "study.toml", "Working", "Wörking")
    code = "from pathlib import Path; from crowdllm.cli.check import check; check(Path(r'%s'))" % folder  # noqa: UP031
    env = {"PYTHONIOENCODING": "ascii", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=env, check=True)
    assert rb"W\xf6rking" in done.stdout
    assert b"####" in done.stdout


def test_visible_escapes_what_the_encoding_lacks() -> None:
    assert visible("é\n…", "ascii") == r"\xe9\n\u2026"
    assert visible("é …") == "é …"
    assert io.StringIO(visible("a\u2028b\xa0c")).read() == r"a\u2028b\xa0c"
