"""`crowdllm new DIR`: write a small working study to edit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def new(
    folder: Annotated[Path, typer.Argument(help="The folder to make.", show_default=False)],
    force: Annotated[
        bool,
        typer.Option("--force", help="Write into a folder that is not empty, replacing files of the same names."),
    ] = False,
) -> None:
    """Write a small working study to edit: study.toml (every line explained) and three CSV tables."""
    from crowdllm.cli.check import visible
    from crowdllm.data.new_study import new_study

    for path in new_study(folder, force):
        typer.echo(f"wrote {visible(str(path))}")
    typer.echo(f"Edit these files, then run: crowdllm check {visible(str(folder))}")
