"""Print lines that may hold texts from a study: shown as they are, and never taken for commands by the terminal."""

from __future__ import annotations

import sys

import typer

from crowdllm.cli.check import visible


def say(text: str) -> None:
    """Print on standard output; line breaks are kept, all else that cannot be printed is escaped."""
    typer.echo(visible(text, sys.stdout.encoding or "utf-8", keep="\n"))
