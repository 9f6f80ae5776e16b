"""What of a simulation is done: parts on disk with their checksums, one line per finished part in `parts.jsonl`.

A part's files are written beside their places, synced and renamed, and only then is its line appended, in one write. So
whatever moment a run is killed at, every line speaks of whole files, and what has no line is made again. A line that
was cut short is cut away; a file that does not match its checksum is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crowdllm.errors import CrowdLLMError
from crowdllm.simulation.parts import Part

LEDGER = "parts.jsonl"
FRESH = ".fresh"


@dataclass(frozen=True)
class Entry:
    """One finished part. files: place in the folder -> SHA-256 and size in bytes."""

    part: int
    people: int
    simulated: int
    stored: int
    files: dict[str, dict[str, Any]]


def entry_of(part: Part) -> Entry:
    """The line that will speak of a part."""
    files = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in part.files.items()
    }
    return Entry(part.index, part.people, part.simulated, part.stored, files)


def keep_part(folder: Path, part: Part) -> Entry:
    """Write a part's files and then its line; raises OSError, and then nothing of the part counts as done."""
    entry = entry_of(part)
    for name, data in part.files.items():
        write_whole(folder / name, data)
    note(folder, entry)
    return entry


def note(folder: Path, entry: Entry) -> None:
    """Append the line of a part whose files are in place."""
    line = _line(entry)
    handle = os.open(folder / LEDGER, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        written = os.write(handle, line)
        if written < len(line):  # no space left in the middle of the line: the next try raises OSError and says so
            os.write(handle, line[written:])
        os.fsync(handle)
    finally:
        os.close(handle)


def read_ledger(folder: Path) -> dict[int, Entry]:
    """The finished parts by number; the later of two lines for one part counts, one that was cut short does not."""
    try:
        data = (folder / LEDGER).read_bytes()
    except FileNotFoundError:
        return {}
    entries = {}
    for line in data.split(b"\n")[:-1]:
        try:
            entry = Entry(**json.loads(line))
        except (ValueError, TypeError):
            continue
        entries[entry.part] = entry
    return entries


def mend_ledger(folder: Path) -> None:
    """Cut away a last line that was not written to its end, so that the next one does not grow onto it."""
    path = folder / LEDGER
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    if data and not data.endswith(b"\n"):
        os.truncate(path, data.rfind(b"\n") + 1)


def close_ledger(folder: Path, entries: Mapping[int, Entry]) -> None:
    """Write the ledger anew, one line per part in their order, which is the same however the run went."""
    write_whole(folder / LEDGER, b"".join(_line(entries[part]) for part in sorted(entries)))


def sound(folder: Path, entry: Entry) -> bool:
    """Whether every file of a part is there and matches its checksum."""
    for name, seal in entry.files.items():
        path = folder / name
        try:
            if path.stat().st_size != seal["bytes"] or file_hash(path) != seal["sha256"]:
                return False
        except OSError:
            return False
    return True


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that at any moment there is either the old one, or none, or all of the new one."""
    fresh = path.with_name(f".{path.name}{FRESH}")
    try:
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def make_room(folder: Path, tables: Iterable[str]) -> None:
    """The folders of these tables' parts, without what a killed run left half-written in them."""
    for place in (folder, *(folder / table for table in tables)):
        place.mkdir(exist_ok=True)
        for left_over in place.glob(f".*{FRESH}"):
            left_over.unlink(missing_ok=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder; raises CrowdLLMError where another process does. The system lets go when the process ends."""
    try:
        import fcntl
    except ImportError:  # no such lock on Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CrowdLLMError(f"another crowdllm writes to {folder}: wait for it, or choose another folder") from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)


def _line(entry: Entry) -> bytes:
    return json.dumps(asdict(entry), sort_keys=True).encode() + b"\n"
