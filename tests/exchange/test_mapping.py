"""What columns mean: checked, shown, saved, and read back the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from crowdllm.errors import ConfigError, CrowdLLMError, UnknownNameError
from crowdllm.exchange.mapping import checked_mapping, mapping_lines, mapping_text, merged_mapping, read_mapping

MAPPING = {
    "layout": "wide",
    "participant": "user id",
    "columns": {
        "Q 1": {"use": "problem", "type": "ordinal", "levels": ["never", "always"]},
        "age": {"use": "profile", "kind": "numeric"},
        "w=x": {"use": "weight"},
    },
}


def test_a_mapping_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text(mapping_text(MAPPING), encoding="utf-8")
    assert read_mapping(path) == MAPPING


def test_pairs_of_the_command_line_change_single_columns() -> None:
    merged = merged_mapping(MAPPING, ["age=skip", "Q 1=choice", "participant=who", "w=x=profile", "weight=ww"])
    assert merged == {
        "layout": "wide",
        "participant": "who",
        "weight": "ww",
        "columns": {
            "Q 1": {"use": "problem", "type": "choice", "levels": ["never", "always"]},
            "age": {"use": "skip", "kind": "numeric"},
            "w=x": {"use": "profile"},
        },
    }
    assert MAPPING["participant"] == "user id"  # the one given is not changed


def test_a_column_may_be_called_like_a_key() -> None:
    assert merged_mapping({}, ["weight=skip", "text=problem"]) == {
        "columns": {"weight": {"use": "skip"}, "text": {"use": "problem"}}
    }


def test_the_mapping_in_words_puts_like_columns_together() -> None:
    same = {"use": "problem", "type": "ordinal", "levels": [str(n) for n in range(1, 11)]}
    mapping = {"participant": "", "columns": {"Q1": same, "Q2": same, "Q3": same, "age": {"use": "skip"}}}
    assert list(mapping_lines(mapping)) == [
        "participant: (none)",
        "Q1 to Q3 (3 columns): problem ordinal (1, 2, 3, 4, 5, 6, …, 10)",
        "age: skip",
    ]


@pytest.mark.parametrize(
    ("raw", "error", "words"),
    [
        ({"partcipant": "x"}, UnknownNameError, "did you mean 'participant'"),
        ({"layout": "broad"}, UnknownNameError, "unknown layout 'broad'"),
        ({"participant": 3}, ConfigError, "participant must be a text"),
        ({"columns": []}, ConfigError, "columns must be tables"),
        ({"columns": {"a": "skip"}}, ConfigError, "columns.a must be a table"),
        ({"columns": {"a": {"use": "problm"}}}, UnknownNameError, "did you mean 'problem'"),
        ({"columns": {"a": {"type": "likert"}}}, UnknownNameError, "unknown type 'likert'"),
        ({"columns": {"a": {"kind": "nominal"}}}, UnknownNameError, "unknown kind 'nominal'"),
        ({"columns": {"a": {"levels": "1-5"}}}, ConfigError, "levels must be a list"),
        ({"columns": {"a": {"low": "0"}}}, ConfigError, "low must be a number"),
        ({"columns": {"a": {"label": 1}}}, ConfigError, "label must be a text"),
    ],
)
def test_a_faulty_mapping_is_refused(raw: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        checked_mapping(raw)


@pytest.mark.parametrize("pair", ["Q5", "=skip", " =skip"])
def test_a_pair_that_is_none_is_refused(pair: str) -> None:
    with pytest.raises(CrowdLLMError, match="write COLUMN=USE"):
        merged_mapping({}, [pair])


def test_a_pair_with_an_unknown_use_lists_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'profile'"):
        merged_mapping({}, ["Q5=profil"])


def test_a_mapping_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("a = [")
    with pytest.raises(ConfigError, match="no valid TOML"):
        read_mapping(tmp_path / "a.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_mapping(tmp_path / "b.toml")
