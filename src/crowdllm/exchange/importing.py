"""Import files of any known format: find the reader, read, and write the study (or studies) to a folder."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from crowdllm.errors import CrowdLLMError, nearest
from crowdllm.exchange import READERS
from crowdllm.exchange.protocol import NO, Glance, Imported, Reader, ReadOptions
from crowdllm.registry import lookup

HEAD = 65_536
MOST_MEMBERS = 10_000


class UnrecognisedError(CrowdLLMError):
    """Files that no reader takes for its own."""


def import_study(
    files: str | Path | Sequence[str | Path],
    format: str = "",
    mapping: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    max_megabytes: int = 64,
    force: bool = False,
) -> Imported:
    """The studies in some files, all of one survey; written to `out` where that is given.

    format: a name in READERS; "" to find out. mapping: what the columns mean, see `crowdllm.exchange.mapping`.
    max_megabytes: larger files are refused. force: write into a folder that is not empty.

    Raises CrowdLLMError for files that cannot be read or understood, whatever is wrong with them.
    """
    paths = [Path(f) for f in ([files] if isinstance(files, (str, Path)) else files)]
    reader = find_reader(paths, format)
    options = ReadOptions(dict(mapping or {}), max_megabytes)
    imported = reader.read(paths, options)
    imported = replace(imported, format=reader.name, files=tuple(paths))
    if out is not None:
        from crowdllm.exchange.writing import write_imported

        write_imported(imported, out, force)
    return imported


def find_reader(paths: Sequence[Path], format: str = "") -> Reader:
    """The reader of a name or, without one, the surest of those that recognise the files.

    Raises CrowdLLMError where a file does not exist or the name is unknown, UnrecognisedError where nobody recognises
    the files.
    """
    if not paths:
        raise CrowdLLMError("name at least one file to import")
    glances = [glance(path) for path in paths]
    if format:
        reader: Reader = lookup(READERS, format, "format")
        return reader
    readers: list[Reader] = [lookup(READERS, name, "format") for name in READERS]
    scores = [reader.sniff(glances) for reader in readers]
    if max(scores) <= NO:
        names = ", ".join(str(path) for path in paths)
        together = "" if len(paths) == 1 else " (all files of one import belong to one survey)"
        hint = f"name it with --from, one of {', '.join(READERS)}"
        raise UnrecognisedError(f"{names}: not recognised as any format{together}; {hint}")
    return readers[scores.index(max(scores))]


def glance(path: Path) -> Glance:
    """The first bytes of a file, and what an archive or folder holds.

    Raises CrowdLLMError where it does not exist or cannot be read.
    """
    try:
        if path.is_dir():
            return Glance(path, members=tuple(sorted(p.name for p in path.iterdir())[:MOST_MEMBERS]), is_folder=True)
        with path.open("rb") as file:
            head = file.read(HEAD)
    except FileNotFoundError:
        siblings = [p.name for p in path.absolute().parent.glob("*")] if path.absolute().parent.is_dir() else []
        near = nearest(path.name, siblings)
        hint = f"; did you mean {near!r}?" if near else ""
        raise CrowdLLMError(f"{path}: there is no such file{hint}") from None
    except (OSError, ValueError) as error:
        raise CrowdLLMError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return Glance(path, head, *_inside(path, head))


def _inside(path: Path, head: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names in an archive, and those of the sheets where it is a workbook."""
    if head[:4] != b"PK\x03\x04":
        return (), ()
    members: tuple[str, ...] = ()
    try:
        with zipfile.ZipFile(path) as archive:
            members = tuple(archive.namelist()[:MOST_MEMBERS])
            if "xl/workbook.xml" not in members:
                return members, ()
            with archive.open("xl/workbook.xml") as file:
                book = file.read(HEAD).decode("utf-8", "replace")
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, RuntimeError, EOFError, LookupError):
        return members, ()
    return members, tuple(re.findall(r'<(?:\w+:)?sheet [^<>]{0,300}?name="([^"<>]{1,64})"', book))
