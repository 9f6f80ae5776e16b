"""Write what was imported as a study folder (or one per scale), with a report of all that was not carried over.

OUT/study.toml, problems.csv, participants.csv, responses.csv     one scale; else OUT/<part>/ for each part
OUT/IMPORT.md                                                     what was understood, changed and left out
OUT/free_text.csv                                                 open answers, where there are any
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from crowdllm.data.study_check import check_study
from crowdllm.data.study_folder import save_study
from crowdllm.data.tables import csv_bytes
from crowdllm.errors import ConfigError, StudyError
from crowdllm.exchange.protocol import Imported, Note

REPORT, FREE_TEXT = "IMPORT.md", "free_text.csv"


def write_imported(imported: Imported, out: str | Path, force: bool = False) -> list[Path]:
    """Write the studies and the report; the folders of the studies, each of which `crowdllm check` accepts.

    All is written beside its place, checked, and then moved there.

    Raises ConfigError when the folder is not empty (and not forced) or cannot be written, and StudyError when what was
    read makes no study.
    """
    out = Path(out)
    require_free(out, force)
    part = out.absolute().with_name(f".{out.absolute().name}.{secrets.token_hex(4)}.part")
    try:
        names = [""] if len(imported.parts) == 1 else [p.name for p in imported.parts]
        for name, piece in zip(names, imported.parts, strict=True):
            (part / name).mkdir(parents=True, exist_ok=True)
            save_study(piece.study, part / name)
            report = check_study(part / name)
            if not report.usable:
                raise StudyError(report.findings)
        (part / REPORT).write_text(report_text(imported), encoding="utf-8", newline="\n")
        if imported.free_text:
            rows = imported.free_text
            (part / FREE_TEXT).write_bytes(
                csv_bytes(
                    {
                        "participant": [row.participant for row in rows],
                        "question": [row.question for row in rows],
                        "text": [row.text for row in rows],
                    }
                )
            )
        _move(part, out)
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return [out / name for name in names]


def require_free(out: Path, force: bool = False) -> None:
    """Raise ConfigError where a folder cannot take the study: it is a file, or (unless forced) not empty."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; name a folder for the study")
    inside = sorted(path.name for path in out.iterdir()) if out.exists() else []
    if inside and not force:
        shown = ", ".join(inside[:3]) + (", …" if len(inside) > 3 else "")
        raise ConfigError(f"{out} is not empty (it has {shown}); name a new folder, or write into it with --force")


def _move(part: Path, out: Path) -> None:
    """Each file to its place, study.toml after the tables that it names."""
    files = sorted((p for p in part.rglob("*") if p.is_file()), key=lambda p: p.name == "study.toml")
    for file in files:
        place = out / file.relative_to(part)
        place.parent.mkdir(parents=True, exist_ok=True)
        file.replace(place)


def report_text(imported: Imported) -> str:
    """The report in Markdown; everything from the files is escaped."""
    return "\n".join(_report(imported)) + "\n"


def _report(imported: Imported) -> Iterator[str]:
    yield "# What was imported"
    yield ""
    yield f"Format: {imported.format}. Files: {', '.join(_plain(path.name) for path in imported.files)}."
    yield ""
    for name, (people, problems, responses) in imported.counts.items():
        kind = next(p.study.response_type for p in imported.parts if p.name == name)
        yield f"- {_plain(name)} ({kind.kind}): {people:,} people, {problems:,} problems, {responses:,} responses"
    yield from _section("Understood", [_plain(line) for line in imported.understood])
    left_out = [f"column {_plain(x.column)}: {x.what}, {x.count:,} cells ({x.how})" for x in imported.left_out]
    yield from _section("Personal data that was recognised and left out", left_out)
    yield from _section("Not carried over, or changed", [_plain(note_words(note)) for note in imported.notes])


def note_words(note: Note) -> str:
    """A note in one line."""
    count = f" ({note.count:,})" if note.count else ""
    about = f" {note.about}:" if note.about else ""
    return f"{note.kind}{count}:{about} {' '.join(note.text.split())}"


def _section(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield f"## {title}"
        yield ""
        yield from (f"- {line}" for line in lines)


def _plain(text: str) -> str:
    """Text from a file that Markdown takes for text: one line, with signs that have a meaning escaped."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", line)
