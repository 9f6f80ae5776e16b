"""Read, check and write `study.toml`: what a study folder says about itself.

    title = "Offensiveness of comments"      # what the study is called
    context = "You read comments on ..."     # the scenario put to the LLM; may be empty
    requirements = "How offensive is this?"  # the question, or what kind of answer is wanted
    source = ["Pei & Jurgens 2023, CC-BY"]   # optional: where the data came from, licence, what was changed
    simulated = false                        # optional: true when the "people" are simulated
    weight = "design_weight"                 # optional: the column of participants.csv that holds survey weights,
                                             #   a number above 0 for everybody, on any scale

    [response]
    type = "ordinal"                  # continuous, ordinal, choice, ballot, points or ranking
    levels = ["1", "2", "3", "4"]     # the type's settings; levels may be numbers without quotes
                                      #   continuous: low, high       ballot: min_picks, max_picks
                                      #   ordinal: levels, ends       points: budget, step
                                      #   choice: (none)              ranking: depth
    options = ["yes", "no"]           # choice, ballot, points, ranking: the options, if all problems have the
                                      #   same; else a column `options` in problems.csv: a | b | c, or a JSON
                                      #   list where an option contains |

    [files]                           # optional; CSV or Parquet, inside the folder
    problems = "problems.csv"         # left out: <name>.csv, or <name>.parquet when only that exists
    participants = "participants.csv"
    responses = "responses.csv"

    [columns]                         # optional: the names that the files use for
    participant = "user_id"           #   participant, problem, text, options, response;
    problem = ["item", "item_id"]     #   a list where the files differ. No mapping is needed for crowd-kit's
                                      #   task, worker, label, nor for id in problems.csv and participants.csv

    [profile.age]                     # one table per profile column; other columns are not loaded
    column = "Age group"              # optional: its name in participants.csv
    kind = "ordinal"                  # categorical, ordinal or numeric
    levels = ["18-24", "25-34"]       # ordinal: needed, from low to high; categorical: optional
    label = "age"                     # optional: the column in words, for prompts and reports

    [prices."gpt-4o-mini"]            # optional: what an LLM costs, per million tokens, in any currency
    input = 0.15                      # for `crowdllm references` to tell the cost, and to stop at --max-cost
    output = 0.60

In the tables an empty cell is a missing value, or a question not answered; an empty ballot is written `|`.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from numbers import Integral, Real
from pathlib import Path, PurePosixPath
from typing import Any, get_args

from crowdllm.data.profiles import KINDS, Kind, ProfileColumn
from crowdllm.data.tables import decode, number_text
from crowdllm.errors import ConfigError, CrowdLLMError, Finding, nearest
from crowdllm.registry import lookup
from crowdllm.responses import RESPONSE_TYPES, ResponseType, response_type_from_dict

STUDY_FILE = "study.toml"
FILES = ("problems", "participants", "responses")
ROLES = ("participant", "problem", "text", "options", "response")
TOP_KEYS = (
    "title",
    "context",
    "requirements",
    "source",
    "simulated",
    "weight",
    "response",
    "files",
    "columns",
    "profile",
    "prices",
)
PRICE_KEYS = ("input", "output")
PROFILE_KEYS = ("kind", "levels", "label", "column")
_WHOLE = ("min_picks", "max_picks", "budget", "step", "depth", "max_options")
_REAL = ("low", "high", "center", "scale")


@dataclass(frozen=True)
class ProfileSpec:
    """A declared profile column (no levels where the data give them) and its name in the file."""

    column: ProfileColumn
    source: str


@dataclass(frozen=True)
class StudySettings:
    """What `study.toml` says; `response_type` is None where it could not be told.

    options: the options of every problem, where they are the same for all.
    files: of FILES, the names that were given. columns: of ROLES, the names to look for.
    prices: per model what a million input and output tokens cost. weight: the column of survey weights, "" for none.
    """

    title: str = ""
    context: str = ""
    requirements: str = ""
    source: tuple[str, ...] = ()
    simulated: bool = False
    response_type: ResponseType | None = None
    options: tuple[str, ...] = ()
    files: Mapping[str, str] | None = None
    columns: Mapping[str, tuple[str, ...]] | None = None
    profile: tuple[ProfileSpec, ...] = ()
    prices: Mapping[str, tuple[float, float]] | None = None
    weight: str = ""


@dataclass(frozen=True)
class _Place:
    """Where findings on settings belong: the file, and its text to look up lines in."""

    findings: list[Finding]
    file: str = ""
    text: str = ""

    def error(
        self,
        message: str,
        table: str = "",
        key: str = "",
        value: Any = None,
        allowed: str = "",
        near: str = "",
    ) -> None:
        shown = "" if value is None else value if isinstance(value, str) else repr(value)
        column = f"{table}.{key}" if table and key else table or key
        row = toml_line(self.text, table, key)
        self.findings.append(Finding("error", message, self.file, row, column, shown, allowed, near))

    def unknown(self, what: str, key: str, table: str, valid: Iterable[str]) -> None:
        valid = list(valid)
        self.error(f"unknown {what}", table, key, key, ", ".join(valid), nearest(key, valid))


def read_study_toml(path: Path) -> tuple[StudySettings | None, list[Finding]]:
    """The settings in a `study.toml` (None where it is no TOML at all), and everything wrong with them."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return None, [Finding("error", f"cannot be read: {error.strerror or error}", file=path.name)]
    text, findings = decode(data, path.name)
    if text is None:
        return None, findings
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        line = re.search(r"at line (\d+)", str(error))
        row = int(line.group(1)) if line else text.count("\n") + 1
        hint = 'key = value lines, texts in "quotes", tables as [name]'
        return None, [*findings, Finding("error", f"is no valid TOML: {error}", path.name, row, allowed=hint)]
    settings, found = settings_from_dict(raw, path.name, text)
    return settings, findings + found


def settings_from_dict(raw: Mapping[str, Any], file: str = "", text: str = "") -> tuple[StudySettings, list[Finding]]:
    """Settings from parsed TOML (or keyword arguments of the same form), and everything wrong with them."""
    place = _Place([], file, text)
    for key in raw:
        if key not in TOP_KEYS:
            place.unknown("key", key, "", TOP_KEYS)
    response_type, options = _response(raw.get("response"), place)
    settings = StudySettings(
        title=_text(raw, "title", place),
        context=_text(raw, "context", place),
        requirements=_text(raw, "requirements", place),
        source=_source(raw.get("source", ()), place),
        simulated=_simulated(raw.get("simulated", False), place),
        response_type=response_type,
        options=options,
        files=_files(_table(raw, "files", place), place),
        columns=_columns(_table(raw, "columns", place), place),
        profile=_profile(_table(raw, "profile", place), place),
        prices=_prices(_table(raw, "prices", place), place),
        weight=_text(raw, "weight", place),
    )
    return settings, place.findings


def toml_line(text: str, table: str, key: str) -> int | None:
    """The line on which a key (or a table's header) stands in a TOML text; None where it cannot be told."""
    blanks = r"[\"'\s]"
    wanted, current = re.sub(blanks, "", table), ""
    headings = (wanted, re.sub(blanks, "", f"{table}.{key}".strip(".")))
    assignment = rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]"
    heading_line = None
    for number, line in enumerate(text.split("\n"), start=1):
        heading = re.match(r"\s*\[([^\[\],]+)\]\s*(?:#.*)?$", line)
        if heading:
            current = re.sub(blanks, "", heading.group(1))
            heading_line = heading_line or (number if current in headings else None)
        elif key and current == wanted and re.match(assignment, line):
            return number
    return heading_line


def _text(raw: Mapping[str, Any], key: str, place: _Place) -> str:
    value = raw.get(key, "")
    if not isinstance(value, str):
        place.error("must be a text", "", key, value, 'a text in "quotes"')
        return ""
    return value


def _source(value: Any, place: _Place) -> tuple[str, ...]:
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, (list, tuple)) or not all(isinstance(line, str) for line in lines):
        place.error("must be a list of texts", "", "source", value, 'source = ["...", "..."]')
        return ()
    return tuple(lines)


def _simulated(value: Any, place: _Place) -> bool:
    if not isinstance(value, bool):
        place.error("must be true or false", "", "simulated", value, "true, false")
        return False
    return value


def _table(raw: Mapping[str, Any], key: str, place: _Place) -> Mapping[str, Any]:
    value = raw.get(key, {})
    if not isinstance(value, Mapping):
        place.error("must be a table", "", key, value, f"a line [{key}] with key = value lines below")
        return {}
    return value


def _files(raw: Mapping[str, Any], place: _Place) -> dict[str, str]:
    files: dict[str, str] = {}
    for key, value in raw.items():
        if key not in FILES:
            place.unknown("key", key, "files", FILES)
        elif not isinstance(value, str) or not value.strip():
            place.error("must be a file name", "files", key, value, 'such as "responses.csv"')
        elif _leaves_folder(value):
            place.error("must lie inside the study's folder", "files", key, value, "a name without / in front and ..")
        else:
            files[key] = value
    return files


def _leaves_folder(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or "\0" in name or re.match("[A-Za-z]:", name) is not None


def _columns(raw: Mapping[str, Any], place: _Place) -> dict[str, tuple[str, ...]]:
    columns: dict[str, tuple[str, ...]] = {}
    for key, value in raw.items():
        names = [value] if isinstance(value, str) else value
        if key not in ROLES:
            place.unknown("key", key, "columns", ROLES)
        elif (
            not isinstance(names, (list, tuple))
            or not names
            or not all(isinstance(n, str) and n.strip() for n in names)
        ):
            place.error("must be the name of a column", "columns", key, value, 'such as "user_id"')
        else:
            columns[key] = tuple(name.strip() for name in names)
    return columns


def _prices(raw: Mapping[str, Any], place: _Place) -> dict[str, tuple[float, float]]:
    prices: dict[str, tuple[float, float]] = {}
    for model, table in raw.items():
        if not isinstance(table, Mapping):
            place.error(
                "must be a table", "prices", model, table, f"a line [prices.{toml_key(model)}], below it input = ..."
            )
            continue
        before = len(place.findings)
        where = f"prices.{model}"
        for key in table:
            if key not in PRICE_KEYS:
                place.unknown("key", key, where, PRICE_KEYS)
        for key in PRICE_KEYS:
            value = table.get(key)
            if not _is_number(value) or float(str(value)) < 0:
                message = "the price is missing" if value is None else "must be a number of at least 0"
                place.error(message, where, key, value, "what a million tokens cost, such as 0.15")
        if len(place.findings) == before:
            prices[model] = (float(table["input"]), float(table["output"]))
    return prices


def _response(raw: Any, place: _Place) -> tuple[ResponseType | None, tuple[str, ...]]:
    kinds = ", ".join(RESPONSE_TYPES)
    if not isinstance(raw, Mapping):
        message = "says nothing about the response" if raw is None else "must be a table"
        place.error(message, "response", "", raw, f"a line [response], and below it type = one of {kinds}")
        return None, ()
    kind = raw.get("type")
    if not isinstance(kind, str) or kind not in RESPONSE_TYPES:
        message = "the response type is missing" if kind is None else "unknown response type"
        place.error(message, "response", "type", kind, kinds, nearest(str(kind), RESPONSE_TYPES))
        return None, ()
    before = len(place.findings)
    cls = lookup(RESPONSE_TYPES, kind, "response type")
    known = [field.name for field in fields(cls)]
    settings = {key: value for key, value in raw.items() if key in known}
    for key, value in raw.items():
        if key not in (*known, "type", "options"):
            place.unknown(f"setting of a response of type {kind!r}", key, "response", [*known, "type", "options"])
        elif key in known:
            _check_setting(key, value, place)
    options = _options(raw.get("options", []), cls.has_options, place)
    if len(place.findings) > before:
        return None, options
    try:
        return response_type_from_dict({"type": kind, **settings}), options
    except CrowdLLMError as error:
        place.error(str(error), "response")
        return None, options


def _check_setting(key: str, value: Any, place: _Place) -> None:
    if key == "levels":
        _levels(value, "response", place, fold=True)
    elif key == "ends":
        if not isinstance(value, (list, tuple)) or len(value) != 2 or not all(isinstance(v, str) for v in value):
            place.error("must be two texts", "response", key, value, '["what the lowest means", "the highest"]')
    elif key == "points":
        if not isinstance(value, (list, tuple)) or not all(_is_number(v) for v in value):
            place.error("must be a list of numbers, one per level", "response", key, value)
    elif key in _WHOLE:
        if not isinstance(value, Integral) or isinstance(value, bool) or not 0 <= int(value) < 10**9:
            place.error("must be a whole number", "response", key, value, "0, 1, 2, …")
    elif key in _REAL and not (_is_number(value) or (value is None and key in ("low", "high"))):
        place.error("must be a number", "response", key, value, "digits with a decimal point, such as 0.5")


def _is_number(value: Any) -> bool:
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


def _levels(value: Any, table: str, place: _Place, fold: bool) -> tuple[str, ...]:
    """The levels in a list of texts or numbers; () and a finding where they cannot serve.

    fold: refuse what differs only in case or blanks, since a response is read without regard to them.
    """
    hint = "a list of different texts or numbers, from low to high"
    if not isinstance(value, (list, tuple)) or not value:
        place.error("must be a list of levels", table, "levels", value, hint)
        return ()
    out: list[str] = []
    seen: set[str] = set()
    for level in value:
        word = str(level) if isinstance(level, str) or _is_number(level) else ""
        if not word.strip() or (fold and word != word.strip()):
            message = "a level must be a text or a number, neither empty nor with blanks at its ends"
            place.error(message, table, "levels", level, hint)
            return ()
        if (word.casefold() if fold else word) in seen:
            extra = " (upper and lower case count as the same)" if fold else ""
            place.error(f"this level comes twice{extra}", table, "levels", word, hint)
            return ()
        seen.add(word.casefold() if fold else word)
        out.append(word)
    return tuple(out)


def _options(value: Any, allowed: bool, place: _Place) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) or _is_number(v) for v in value):
        place.error("must be a list of options", "response", "options", value, '["first", "second"]')
        return ()
    options = tuple(v if isinstance(v, str) else number_text(float(v)) for v in value)
    if options and not allowed:
        message = "this response type has no options"
        place.error(message, "response", "options", value, "choice, ballot, points and ranking have options")
        return ()
    fault = option_fault(options)
    if fault:
        place.error(fault, "response", "options", value)
        return ()
    return options


def option_fault(options: Iterable[str]) -> str:
    """What is wrong with the options of one problem, "" where nothing is."""
    words = [option.strip() for option in options]
    folded = [word.casefold() for word in words]
    if not all(words):
        return "an option is empty"
    twice = next((word for word, f in zip(words, folded, strict=True) if folded.count(f) > 1), "")
    if twice:
        return f"two options read {twice!r} (blanks and upper case aside)"
    numbers = {f"#{i + 1}": i for i in range(len(words))}
    astray = next((word for i, word in enumerate(words) if numbers.get(word, i) != i), "")
    return f"the option {astray!r} reads like the number of another option" if astray else ""


def _profile(raw: Mapping[str, Any], place: _Place) -> tuple[ProfileSpec, ...]:
    specs = [_profile_column(name, table, place) for name, table in raw.items()]
    return tuple(spec for spec in specs if spec is not None)


def _profile_column(name: str, raw: Any, place: _Place) -> ProfileSpec | None:
    table, before = f"profile.{name}", len(place.findings)
    if not isinstance(raw, Mapping):
        place.error("must be a table", "profile", name, raw, f'[profile.{name}] with a line kind = "categorical"')
        return None
    for key in raw:
        if key not in PROFILE_KEYS:
            place.unknown("key", key, table, PROFILE_KEYS)
    kind = raw.get("kind")
    if kind not in KINDS:
        message = "the kind is missing" if kind is None else "unknown kind of profile column"
        place.error(message, table, "kind", kind, ", ".join(KINDS), nearest(str(kind), KINDS))
    declared = _levels(raw["levels"], table, place, fold=False) if "levels" in raw and kind != "numeric" else ()
    if kind == "ordinal" and "levels" not in raw:
        place.error("an ordinal profile column must declare its levels, from low to high", table, "levels")
    if kind == "numeric" and "levels" in raw:
        place.error("a numeric profile column has no levels", table, "levels", raw["levels"])
    for key in ("label", "column"):
        if not isinstance(raw.get(key, ""), str):
            place.error("must be a text", table, key, raw[key], 'a text in "quotes"')
    if len(place.findings) > before:
        return None
    known: Kind = next(k for k in get_args(Kind) if k == kind)
    return ProfileSpec(ProfileColumn(name, known, declared, raw.get("label", "")), raw.get("column", "") or name)


def toml_value(value: Any) -> str:
    """A text, number, truth value or list in TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    return str(int(value)) if isinstance(value, Integral) else repr(float(value))


def toml_key(key: str) -> str:
    """A key, quoted where TOML needs it."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml_value(key)


def toml_text(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """TOML from tables by their heading, such as `profile.age`; "" heads the keys above the first heading."""
    blocks = []
    for name, table in tables.items():
        head = [f"[{name}]"] if name else []
        blocks.append("\n".join([*head, *(f"{toml_key(k)} = {toml_value(v)}" for k, v in table.items())]))
    return "\n\n".join(blocks) + "\n"


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file that is no study's; raises ConfigError for what cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is no valid TOML: {error}") from None
