"""study.toml: what it may say, and the findings on what it may not, with line and nearest valid name."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from crowdllm.data.profiles import ProfileColumn
from crowdllm.data.study_toml import (
    ProfileSpec,
    read_study_toml,
    settings_from_dict,
    toml_line,
    toml_text,
    toml_value,
)
from crowdllm.errors import Finding
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.ordinal import Ordinal

ORDINAL = '[response]\ntype = "ordinal"\nlevels = [1, 2]\n'


def findings(tmp_path: Path, text: str | bytes) -> list[Finding]:
    path = tmp_path / "study.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_study_toml(path)[1]


def only(tmp_path: Path, text: str) -> Finding:
    found = findings(tmp_path, text)
    assert len(found) == 1, found
    return found[0]


def test_every_key_is_read(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(
        'title = "T"\ncontext = "C"\nrequirements = "R"\nsource = ["a", "b"]\nsimulated = true\n'
        '[response]\ntype = "ballot"\nmin_picks = 1\nmax_picks = 2\noptions = ["x", 2]\n'
        '[files]\nresponses = "r.parquet"\n[columns]\nproblem = ["item", "item_id"]\ntext = "body"\n'
        '[profile.age]\nkind = "ordinal"\nlevels = [1, "2+"]\ncolumn = "Age group"\nlabel = "age"\n'
    )
    settings, found = read_study_toml(path)
    assert found == []
    assert settings is not None
    assert (settings.title, settings.context, settings.requirements) == ("T", "C", "R")
    assert (settings.source, settings.simulated) == (("a", "b"), True)
    assert (settings.response_type, settings.options) == (Ballot(1, 2), ("x", "2"))
    assert (settings.files, settings.columns) == (
        {"responses": "r.parquet"},
        {"problem": ("item", "item_id"), "text": ("body",)},
    )
    assert settings.profile == (ProfileSpec(ProfileColumn("age", "ordinal", ("1", "2+"), "age"), "Age group"),)


def test_levels_may_be_numbers() -> None:
    settings, _ = settings_from_dict({"response": {"type": "ordinal", "levels": [1, 2, 3]}})
    assert settings.response_type == Ordinal(("1", "2", "3"))


def test_invalid_toml_is_one_error_with_its_line(tmp_path: Path) -> None:
    found = only(tmp_path, 'title = "a"\ncontext = no quotes\n')
    assert (found.severity, found.file, found.row) == ("error", "study.toml", 2)
    assert "no valid TOML" in found.message


@pytest.mark.parametrize(
    ("text", "column", "row", "near"),
    [
        (f'titel = "a"\n{ORDINAL}', "titel", 1, "title"),
        (f"{ORDINAL}lvels = [1]\n", "response.lvels", 4, "levels"),
        (f'{ORDINAL}[files]\nrespones = "r.csv"\n', "files.respones", 5, "responses"),
        (f'{ORDINAL}[columns]\nproblm = "p"\n', "columns.problm", 5, "problem"),
        (f'{ORDINAL}[profile.age]\nkind = "numeric"\nlable = "x"\n', "profile.age.lable", 6, "label"),
        (f'{ORDINAL}[profile.age]\nkind = "numerical"\n', "profile.age.kind", 5, "numeric"),
        ('[response]\ntype = "ordinl"\nlevels = [1, 2]\n', "response.type", 2, "ordinal"),
    ],
)
def test_an_unknown_key_or_kind_names_its_line_and_the_nearest(
    tmp_path: Path, text: str, column: str, row: int, near: str
) -> None:
    found = only(tmp_path, text)
    assert (found.severity, found.column, found.row, found.nearest) == ("error", column, row, near)
    assert near in found.allowed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"title = 3\n{ORDINAL}", "must be a text"),
        (f'simulated = "yes"\n{ORDINAL}', "true or false"),
        (f"source = [1]\n{ORDINAL}", "list of texts"),
        ('title = "a"\n', "says nothing about the response"),
        ('response = "ordinal"\n', "must be a table"),
        ("[response]\nlevels = [1, 2]\n", "response type is missing"),
        ('[response]\ntype = "ordinal"\nlevels = [1]\n', "two different levels"),
        ('[response]\ntype = "ordinal"\nlevels = [1, 1]\n', "comes twice"),
        ('[response]\ntype = "ordinal"\nlevels = ["a", "A"]\n', "comes twice"),
        ('[response]\ntype = "ordinal"\nlevels = ["a", " b"]\n', "blanks at its ends"),
        ('[response]\ntype = "ordinal"\nlevels = ["a", ""]\n', "neither empty"),
        ('[response]\ntype = "ordinal"\nlevels = 5\n', "list of levels"),
        ('[response]\ntype = "continuous"\nlow = "0"\n', "must be a number"),
        ('[response]\ntype = "continuous"\nlow = nan\n', "must be a number"),
        ('[response]\ntype = "continuous"\nlow = 2\nhigh = 1\n', "low < high"),
        ('[response]\ntype = "ballot"\nmin_picks = 1.5\nmax_picks = 2\n', "whole number"),
        ('[response]\ntype = "ballot"\nmin_picks = 1\n', "max_picks"),
        ('[response]\ntype = "choice"\noptions = ["a", "a "]\n', "two options read 'a'"),
        ('[response]\ntype = "choice"\noptions = ["a", ""]\n', "an option is empty"),
        (f'{ORDINAL}options = ["a"]\n', "has no options"),
        (f'{ORDINAL}[files]\nresponses = "../r.csv"\n', "inside the study's folder"),
        (f'{ORDINAL}[files]\nresponses = "/etc/passwd"\n', "inside the study's folder"),
        (f"{ORDINAL}[columns]\nproblem = 3\n", "name of a column"),
        (f'{ORDINAL}[profile]\nage = "numeric"\n', "must be a table"),
        (f'{ORDINAL}[profile.age]\nlabel = "x"\n', "kind is missing"),
        (f'{ORDINAL}[profile.age]\nkind = "ordinal"\n', "must declare its levels"),
        (f'{ORDINAL}[profile.age]\nkind = "numeric"\nlevels = [1, 2]\n', "has no levels"),
        (f"{ORDINAL}[prices]\nm = 3\n", "a line [prices.m]"),
        (f'{ORDINAL}[prices."a/b"]\ninput = 1\n', "the price is missing"),
        (f"{ORDINAL}[prices.m]\ninput = -1\noutput = 2\n", "at least 0"),
        (f'{ORDINAL}[prices.m]\ninput = "1"\noutput = 2\n', "at least 0"),
        (f"{ORDINAL}[prices.m]\ninput = inf\noutput = 2\n", "at least 0"),
        (f"{ORDINAL}[prices.m]\ninput = 1\noutput = 2\noutptu = 3\n", "nearest: 'output'"),
    ],
)
def test_a_value_that_cannot_serve_is_an_error(tmp_path: Path, text: str, words: str) -> None:
    found = only(tmp_path, text)
    assert found.severity == "error"
    assert words in str(found)


def test_all_findings_come_at_once(tmp_path: Path) -> None:
    text = 'titel = "a"\nsimulated = 1\n[response]\ntype = "x"\n'
    text += '[profile.a]\nkind = "b"\n[profile.c]\nkind = "d"\n'
    assert {f.column for f in findings(tmp_path, text)} == {
        "titel",
        "simulated",
        "response.type",
        "profile.a.kind",
        "profile.c.kind",
    }


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_other_encodings_are_understood_and_noted(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(f'title = "café"\n{ORDINAL}'.encode(encoding))
    settings, found = read_study_toml(path)
    assert settings is not None
    assert settings.title == "café"
    assert [f.severity for f in found] == ["note"]


@pytest.mark.parametrize(
    "value",
    ['a "b" \\ \n\r\t\x00\x1f\x7f\x85 é 漢 😀', "", "'''", True, 3, -0.5, 1e300, ["a", 'b"'], [1, 2]],
)
def test_written_values_read_back_the_same(value: Any) -> None:
    assert tomllib.loads(f"x = {toml_value(value)}") == {"x": value}


def test_written_tables_read_back_the_same() -> None:
    tables = {"": {"title": "a"}, "response": {"type": "choice"}, "files": {"odd key.": "b"}}
    raw = tomllib.loads(toml_text(tables))
    assert raw == {"title": "a", "response": {"type": "choice"}, "files": {"odd key.": "b"}}


def test_lines_are_found_by_table_and_key() -> None:
    text = '# [response]\ntitle = "x"\n[response]\ntype = "y"\n[profile."age group"]\nkind = "z"\n'
    assert toml_line(text, "response", "type") == 4
    assert toml_line(text, "", "title") == 2
    assert toml_line(text, "profile.age group", "kind") == 6
    assert toml_line(text, "profile.age group", "levels") == 5
    assert toml_line(text, "files", "problems") is None


def test_prices_are_read_by_model(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(f'{ORDINAL}[prices."org/m-1.5"]\ninput = 3\noutput = 0.5\n')
    settings, found = read_study_toml(tmp_path / "study.toml")
    assert not found
    assert settings is not None
    assert settings.prices == {"org/m-1.5": (3.0, 0.5)}
