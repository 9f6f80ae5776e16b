"""Read untrusted files within bounds: their size, what an archive unpacks to, and no entities in XML.

A reader may meet a file that was made to exhaust the machine: an archive of a few kilobytes that unpacks to gigabytes,
or XML whose entities do the same. Nothing here reads more than `max_megabytes`.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

from crowdllm.data.tables import decode
from crowdllm.errors import CrowdLLMError, MissingExtraError, StudyError
from crowdllm.llm.whole_text import whole_text

MEGABYTE = 1_000_000
MAX_RATIO = 200
"""A sheet packs to a twentieth or a fiftieth at best; what packs better (and is large) was made to do harm."""
RATIO_FROM = 2 * MEGABYTE
MAX_MEMBERS, MAX_DEPTH = 10_000, 100
JSON_SHARE = 4
"""Parsed JSON may take tens of bytes per byte of text, so that of it only this fraction of the limit is allowed."""


class DamagedFileError(CrowdLLMError):
    """A file that is not what its name or its first bytes say, or is broken; names the file and what is wrong."""

    def __init__(self, path: Path | str, what: str, hint: str = "") -> None:
        name = path.name if isinstance(path, Path) else path
        super().__init__(f"{name}: {what}" + (f"; {hint}" if hint else ""))


def read_bytes(path: Path, max_megabytes: int = 64) -> bytes:
    """All of a file; raises DamagedFileError where it cannot be read or is larger than allowed."""
    require_size(path, max_megabytes)
    try:
        with path.open("rb") as file:
            data = file.read(max_megabytes * MEGABYTE + 1)
    except (OSError, ValueError) as error:
        raise DamagedFileError(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > max_megabytes * MEGABYTE:
        raise DamagedFileError(path, _too_large(max_megabytes))
    return data


def require_size(path: Path, max_megabytes: int = 64) -> None:
    """Raise DamagedFileError where a file is missing, no plain file, or larger than allowed."""
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise DamagedFileError(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not path.is_file():
        raise DamagedFileError(path, "is no file")
    if size > max_megabytes * MEGABYTE:
        raise DamagedFileError(path, _too_large(max_megabytes, size))


def _too_large(max_megabytes: int, size: int = 0) -> str:
    has = f"has {size / MEGABYTE:,.0f} MB; " if size else ""
    return f"{has}at most {max_megabytes:,} MB are read (raise it with --max-megabytes)"


def read_text(path: Path, max_megabytes: int = 64) -> str:
    """The text in a file, in any encoding that `crowdllm.data.tables.decode` knows; raises as `read_bytes` does."""
    text, findings = decode(read_bytes(path, max_megabytes), path.name)
    if text is None:
        raise StudyError(findings)
    return text


def read_json(path: Path, max_megabytes: int = 64) -> Any:
    """The JSON in a file; raises DamagedFileError where it is none, too large or nested too deeply."""
    text = read_text(path, max(max_megabytes // JSON_SHARE, 1))
    try:
        return whole_json(json.loads(text.lstrip("\ufeff"), parse_constant=_no_constant), text)
    except RecursionError:
        raise DamagedFileError(path, "is JSON nested too deeply") from None
    except ValueError as error:
        raise DamagedFileError(path, f"is no valid JSON: {error}") from None


def whole_json(value: Any, text: str) -> Any:
    """A JSON value read from a text, whose halves of surrogate pairs, which no file takes, are replaced."""
    return _whole(value) if "\\ud" in text.lower() else value


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {whole_text(key): _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return whole_text(value) if isinstance(value, str) else value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def open_archive(path: Path, max_megabytes: int = 64) -> zipfile.ZipFile:
    """A zip archive, after a look at what it would unpack to; close it after use.

    Raises DamagedFileError where it is none, or would unpack to more than four times `max_megabytes`.
    """
    require_size(path, max_megabytes)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DamagedFileError(path, f"is no archive that can be opened: {error}") from None
    try:
        members = archive.infolist()
        total = sum(m.file_size for m in members)
        if len(members) > MAX_MEMBERS or total > 4 * max_megabytes * MEGABYTE:
            raise DamagedFileError(path, f"would unpack to {total / MEGABYTE:,.0f} MB in {len(members):,} files")
        for member in members:
            if member.file_size > RATIO_FROM and member.file_size > MAX_RATIO * max(member.compress_size, 1):
                raise DamagedFileError(
                    path, f"{member.filename!r} in it unpacks to more than {MAX_RATIO} times its size"
                )
    except DamagedFileError:
        archive.close()
        raise
    return archive


def read_member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    """One file of an archive; raises DamagedFileError where it is missing, encrypted or broken."""
    try:
        return archive.read(name)
    except KeyError:
        raise DamagedFileError(path, f"has no {name!r} inside") from None
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, ValueError, EOFError, NotImplementedError) as error:
        raise DamagedFileError(path, f"{name!r} in it cannot be unpacked: {error}") from None


class XmlEvents:
    """What `parse_xml` calls: an element begins, text comes, an element ends. Names come without namespace."""

    def start(self, tag: str, attributes: dict[str, str]) -> None: ...

    def data(self, text: str) -> None: ...

    def end(self, tag: str) -> None: ...


def parse_xml(data: bytes, events: XmlEvents, path: Path) -> None:
    """Go through XML once, keeping no tree; entities and document types are refused.

    Raises DamagedFileError for XML that is broken or has entities, MissingExtraError without defusedxml.
    """
    try:
        from defusedxml import DefusedXmlException
        from defusedxml.ElementTree import DefusedXMLParser, ParseError
    except ImportError:
        raise MissingExtraError("reading XML", "formats") from None
    try:
        parser = DefusedXMLParser(target=_Target(events), forbid_dtd=True)
        parser.feed(data)
        parser.close()
    except DefusedXmlException:
        raise DamagedFileError(path, "is XML with a document type or entities, which are refused") from None
    except (ParseError, ValueError, LookupError) as error:
        raise DamagedFileError(path, f"is no valid XML: {error}") from None


class _Target:
    """A parser's target that hands on names without their namespace, and stops at elements in elements in elements."""

    def __init__(self, events: XmlEvents) -> None:
        self.events = events
        self.data = events.data
        self.depth = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError(f"its elements are nested more than {MAX_DEPTH} deep")
        self.events.start(bare_name(tag), {bare_name(key): value for key, value in attributes.items()})

    def end(self, tag: str) -> None:
        self.depth -= 1
        self.events.end(bare_name(tag))

    def close(self) -> None:
        return None


def bare_name(tag: str) -> str:
    """`c` for `{http://...}c`."""
    return tag.rpartition("}")[2]
