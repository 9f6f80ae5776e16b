"""The command line: `crowdllm COMMAND`. Each command is one file; nothing heavy loads before a command runs."""

from __future__ import annotations

import sys

import typer

from crowdllm import __version__
from crowdllm.errors import CrowdLLMError
from crowdllm.registry import lookup

COMMANDS = {
    "new": "crowdllm.cli.new:new",
    "check": "crowdllm.cli.check:check",
    "datasets": "crowdllm.cli.datasets:datasets",
    "fit": "crowdllm.cli.fit:fit",
    "simulate": "crowdllm.cli.simulate:simulate",
    "aggregate": "crowdllm.cli.aggregate:aggregate_command",
    "evaluate": "crowdllm.cli.evaluate:evaluate",
    "demo": "crowdllm.cli.demo:demo",
}


def make_app() -> typer.Typer:
    """The application with all its commands; the modules of the commands import what they need when they run."""
    app = typer.Typer(
        help="Digital populations: synthetic crowds whose answers are distributed like those of real people.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name in COMMANDS:
        app.command(name)(lookup(COMMANDS, name, "command"))
    app.callback()(_version_option)
    return app


def _version_option(
    version: bool = typer.Option(False, "--version", is_eager=True, help="Print the version and stop."),
) -> None:
    if version:
        typer.echo(f"crowdllm {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point: errors that the user can mend are one line each and exit status 2; the rest is a bug."""
    try:
        make_app()(standalone_mode=True)
    except CrowdLLMError as error:
        for line in str(error).splitlines() or [type(error).__name__]:
            typer.echo(f"crowdllm: {line}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("crowdllm: stopped; the same command continues where it can", err=True)
        sys.exit(130)
