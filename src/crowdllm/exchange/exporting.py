"""Export a folder that this project wrote (or a study) to another tool's format: find the writer, write, move there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crowdllm.data.study import Study
from crowdllm.errors import ConfigError, CrowdLLMError, UnknownNameError
from crowdllm.exchange import WRITERS
from crowdllm.exchange.export_protocol import TABLES, Marks, Progress, WriteOptions, Writer
from crowdllm.exchange.export_source import Source, open_source
from crowdllm.registry import lookup


@dataclass(frozen=True)
class Exported:
    """What was written. files: the one that was asked for first. rows: how many rows, tasks or ballots.

    notes: what the format could not carry or was changed.
    """

    format: str
    table: str
    files: tuple[Path, ...]
    rows: int
    marks: Marks
    notes: tuple[str, ...]


def export(
    source: str | Path | Study,
    to: str = "",
    out: str | Path = "",
    table: str = "",
    slim: bool = False,
    settings: Mapping[str, str] | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write a study, a simulated crowd or an estimate as a file of another tool.

    source: a folder, or a `Study`. to: a name in WRITERS; "" to go by the end of `out`. table: "responses",
    "distributions", "subgroups" or "estimates"; "" for the first of these that there is and the format holds.
    slim: rows of responses without texts and profiles. settings: what a format needs and a study does not say.
    force: replace a file that is there.

    Raises CrowdLLMError, in words, for a source that is none, a format or table that is unknown or does not hold it,
    and a file that is there or cannot be written.
    """
    if not str(out):
        raise ConfigError("name the file to write, with --out FILE")
    out = Path(out)
    writer = find_writer(to, out)
    _require_settings(writer, settings or {})
    _require_free(out, force)
    opened = open_source(source)
    options = WriteOptions(_table(table, writer, opened), slim, dict(settings or {}), progress)
    part = out.absolute().with_name(f".{out.name}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True)
        written = writer.write(opened, part, out.name, options)
        places = [out.with_name(name) for name in written.names]
        for place in places[1:]:
            _require_free(place, force)
        for name, place in zip(written.names, places, strict=True):
            (part / name).replace(place)
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Exported(
        writer.name, options.table, tuple(places), written.rows, opened.marks, (*opened.notes, *written.notes)
    )


def find_writer(to: str, out: Path) -> Writer:
    """The writer of a name or, without one, the first whose files end like this one.

    Raises UnknownNameError for an unknown name, ConfigError for an end that no writer has.
    """
    if to:
        named: Writer = lookup(WRITERS, to, "format")
        return named
    for name in WRITERS:
        writer: Writer = lookup(WRITERS, name, "format")
        if out.suffix.lower() in writer.suffixes:
            return writer
    raise ConfigError(f"{out.name}: no format ends so; name one with --to: {', '.join(WRITERS)}")


def _table(table: str, writer: Writer, source: Source) -> str:
    if table and table not in TABLES:
        raise UnknownNameError("table", table, TABLES)
    if table and table not in writer.tables:
        raise CrowdLLMError(f"{writer.title} holds no {table}, only {' or '.join(writer.tables)}")
    if table and table not in source.tables:
        raise CrowdLLMError(f"{source.place} has no {table}, only {', '.join(source.tables) or 'nothing to export'}")
    chosen = table or next((name for name in writer.tables if name in source.tables), "")
    if not chosen:
        raise CrowdLLMError(
            f"{source.place} has {', '.join(source.tables) or 'nothing to export'}, and {writer.title} holds "
            f"{' or '.join(writer.tables)}"
        )
    return chosen


def _require_settings(writer: Writer, settings: Mapping[str, str]) -> None:
    for name in settings:
        if name not in writer.settings:
            raise UnknownNameError("setting", name, writer.settings, f"format {writer.name!r}")


def _require_free(out: Path, force: bool) -> None:
    if out.is_dir():
        raise ConfigError(f"{out} is a folder; name a file")
    if out.exists() and not force:
        raise ConfigError(f"{out} is there already; name another file, or replace it with --force")
