"""What the columns (or questions) of a file mean: guessed, shown, saved as TOML, changed, and given back.

    title = "..."                    # optional, as in study.toml; context and requirements too
    layout = "wide"                  # tables only: wide (a row per person) or long (a row per answer)
    sheet = "Answers"                # workbooks only: which sheet
    participant = "user_id"          # the column that names people; "" where each row is another person
    problem = "item"                 # long tables: the column that names the problem,
    response = "rating"              #   the answer,
    text = "item_text"               #   and the problem's text, if there is one
    weight = "w"                     # the column of survey weights

    [columns.Q1]                     # one table per column or question
    use = "problem"                  # problem, profile, weight, text or skip
    type = "ordinal"                 # of a problem: ordinal, choice, ballot, ranking, points or continuous
    levels = ["never", "always"]     # ordinal, from low to high; an answer that is not among them counts as missing
    kind = "ordinal"                 # of a profile column: categorical, ordinal or numeric
    label = "..."                    # the question in other words

On the command line `--map Q1=profile` gives one column's use, `--map Q1=ordinal` also the type, and
`--map participant=user_id` one of the keys above.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from crowdllm.data.study_toml import read_toml, toml_key, toml_text
from crowdllm.errors import ConfigError, UnknownNameError
from crowdllm.responses import RESPONSE_TYPES

TOP = (
    "title",
    "context",
    "requirements",
    "layout",
    "sheet",
    "participant",
    "problem",
    "response",
    "text",
    "weight",
    "type",
)
USES = ("problem", "profile", "weight", "text", "skip")
COLUMN_KEYS = ("use", "type", "levels", "kind", "label", "low", "high", "options", "budget")
PROFILE_KINDS = ("categorical", "ordinal", "numeric")
LAYOUTS = ("wide", "long")
SHOWN_LEVELS = 7


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a TOML file; raises ConfigError, naming what is wrong."""
    return checked_mapping(read_toml(path), str(path))


def merged_mapping(mapping: Mapping[str, Any], pairs: Sequence[str]) -> dict[str, Any]:
    """The mapping with `COLUMN=USE` pairs of the command line added.

    Raises ConfigError for a pair that is none, UnknownNameError for an unknown use or type.
    """
    out = dict(mapping)
    columns = {name: dict(table) for name, table in mapping.get("columns", {}).items()}
    for pair in pairs:
        name, sign, value = pair.rpartition("=")
        if not sign or not name.strip():
            raise ConfigError(f"--map {pair!r}: write COLUMN=USE, such as Q5=profile")
        if name in TOP and not (name in ("text", "weight", "type") and value in USES):
            out[name] = value
        elif value in USES:
            columns[name] = {**columns.get(name, {}), "use": value}
        elif value in RESPONSE_TYPES:
            columns[name] = {**columns.get(name, {}), "use": "problem", "type": value}
        else:
            raise UnknownNameError("use", value, [*USES, *RESPONSE_TYPES], f"--map {pair}")
    if columns:
        out["columns"] = columns
    return checked_mapping(out, "--map")


def checked_mapping(raw: Mapping[str, Any], where: str = "mapping") -> dict[str, Any]:
    """The mapping, if all its keys and values are of the right sort.

    Raises UnknownNameError or ConfigError for the first that is not.
    """
    for key, value in raw.items():
        if key == "columns":
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where}: columns must be tables such as [columns.Q1], not {value!r}")
            for name, table in value.items():
                _check_column(name, table, where)
        elif key not in TOP:
            raise UnknownNameError("key", key, (*TOP, "columns"), where)
        elif not isinstance(value, str):
            raise ConfigError(f"{where}: {key} must be a text, not {value!r}")
    _one_of("layout", raw.get("layout"), LAYOUTS, where)
    _one_of("type", raw.get("type"), tuple(RESPONSE_TYPES), where)
    return dict(raw)


def _check_column(name: str, table: Any, where: str) -> None:
    place = f"{where}: columns.{name}"
    if not isinstance(table, Mapping):
        raise ConfigError(f'{place} must be a table with a line such as use = "profile", not {table!r}')
    for key in table:
        if key not in COLUMN_KEYS:
            raise UnknownNameError("key", str(key), COLUMN_KEYS, place)
    _one_of("use", table.get("use"), USES, place)
    _one_of("type", table.get("type"), tuple(RESPONSE_TYPES), place)
    _one_of("kind", table.get("kind"), PROFILE_KINDS, place)
    for key in ("levels", "options"):
        value = table.get(key, [])
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, (str, int, float)) for v in value):
            raise ConfigError(f"{place}: {key} must be a list of texts, not {value!r}")
    for key in ("low", "high", "budget"):
        value = table.get(key, 0)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise ConfigError(f"{place}: {key} must be a number, not {value!r}")
    if not isinstance(table.get("label", ""), str):
        raise ConfigError(f"{place}: label must be a text, not {table['label']!r}")


def _one_of(key: str, value: Any, valid: Sequence[str], where: str) -> None:
    if value is not None and value not in valid:
        raise UnknownNameError(key, str(value), valid, where)


def mapping_text(mapping: Mapping[str, Any]) -> str:
    """The mapping as TOML that `read_mapping` reads back."""
    top = {key: value for key, value in mapping.items() if key != "columns"}
    tables: dict[str, Mapping[str, Any]] = {"": top} if top else {}
    for name, table in mapping.get("columns", {}).items():
        tables[f"columns.{toml_key(name)}"] = table
    return toml_text(tables)


def mapping_lines(mapping: Mapping[str, Any]) -> Iterator[str]:
    """The mapping in words, one line per key and per run of columns that mean the same."""
    for key, value in mapping.items():
        if key != "columns":
            yield f"{key}: {value or '(none)'}"
    runs: list[tuple[list[str], str]] = []
    for name, table in mapping.get("columns", {}).items():
        words = _column_words(table)
        if runs and runs[-1][1] == words:
            runs[-1][0].append(name)
        else:
            runs.append(([name], words))
    for names, words in runs:
        shown = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]} ({len(names)} columns)"
        yield f"{shown}: {words}"


def _column_words(table: Mapping[str, Any]) -> str:
    words = [str(table[key]) for key in ("use", "type", "kind") if key in table]
    levels = [str(level) for level in table.get("levels", table.get("options", []))]
    if levels:
        extra = ["…"] if len(levels) > SHOWN_LEVELS else []
        words.append("(" + ", ".join([*levels[: SHOWN_LEVELS - 1], *extra, *levels[SHOWN_LEVELS - 1 :][-1:]]) + ")")
    return " ".join(words)
