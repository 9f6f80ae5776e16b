"""`crowdllm import FILE... --out STUDY`: a study folder from a survey or labelling tool's own files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from crowdllm.exchange.protocol import Imported

SHOWN = 12


def import_(
    files: Annotated[list[Path], typer.Argument(help="The files of one survey.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The study folder to write.", show_default=False)],
    format: Annotated[
        str, typer.Option("--from", help="The format, such as qualtrics; found out where left out.", show_default=False)
    ] = "",
    mapping: Annotated[
        Path | None,
        typer.Option("--mapping", help="A TOML file that says what the columns mean.", show_default=False),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", help="What one column means, such as Q5=profile (repeatable).", show_default=False),
    ] = None,
    save_mapping: Annotated[
        Path | None,
        typer.Option("--save-mapping", help="Write the guessed meaning to this file, and stop.", show_default=False),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take the guessed meaning of the columns.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
    max_megabytes: Annotated[int, typer.Option(help="Refuse larger files.", min=1)] = 64,
) -> None:
    """Make a study of the files of Qualtrics, LimeSurvey, SPSS, Excel and other tools, and say what was left out."""
    from crowdllm.cli.say import say
    from crowdllm.exchange.importing import import_study
    from crowdllm.exchange.mapping import mapping_text, merged_mapping, read_mapping
    from crowdllm.exchange.writing import require_free, write_imported

    if save_mapping is None:
        require_free(out, force)
    given = merged_mapping(read_mapping(mapping) if mapping else {}, map_ or [])
    imported = import_study(files, format, given, max_megabytes=max_megabytes)
    show(imported)
    if save_mapping is not None:
        save_mapping.write_text(mapping_text(imported.mapping), encoding="utf-8", newline="\n")
        say(f"wrote {save_mapping}: edit it, then use it with --mapping {save_mapping}")
        return
    if imported.guessed and not (yes or given or _agreed()):
        say("Nothing is written, since the meaning of the columns is guessed. Take it with --yes, or change it:")
        say("  --map COLUMN=USE for one column, or --save-mapping FILE, edit the file, then --mapping FILE")
        raise typer.Exit(2)
    for folder in write_imported(imported, out, force):
        say(f"wrote {folder}; next: crowdllm check {folder}")


def _agreed() -> bool:
    """Whether somebody at a terminal says yes."""
    return sys.stdin.isatty() and typer.confirm("Is this right?")


def show(imported: Imported) -> None:
    """Print what was understood, what was left out and what could not be carried over."""
    from crowdllm.cli.say import say
    from crowdllm.exchange.mapping import mapping_lines
    from crowdllm.exchange.writing import note_words

    say(f"Read as {imported.format}.")
    for line in imported.understood:
        say(f"  {line}")
    if imported.guessed:
        say("Guessed:")
        for line in mapping_lines(imported.mapping):
            say(f"  {line}")
    if imported.left_out:
        say("Personal data recognised and left out:")
    for left in imported.left_out:
        say(f"  column {left.column!r}: {left.what}, {left.count:,} cells ({left.how})")
    if imported.notes:
        say("Not carried over, or changed (all in IMPORT.md):")
    for note in imported.notes[:SHOWN]:
        say(f"  {note_words(note)}")
    if len(imported.notes) > SHOWN:
        say(f"  … and {len(imported.notes) - SHOWN:,} more")
    several = len(imported.parts) > 1
    if several:
        say(f"The questions are answered in {len(imported.parts)} ways, and a study has one: a folder for each.")
    for part in imported.parts:
        people, problems, responses = imported.counts[part.name]
        say(
            f"  {part.name} ({part.study.response_type.kind}): {people:,} people, {problems:,} problems, "
            f"{responses:,} responses"
        )
