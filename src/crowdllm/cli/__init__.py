"""The command line: `crowdllm COMMAND`. Each command is one file; nothing heavy loads before a command runs."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence

import typer

from crowdllm import __version__
from crowdllm.errors import CrowdLLMError, StudyError
from crowdllm.registry import lookup

COMMANDS = {
    "new": "crowdllm.cli.new:new",
    "check": "crowdllm.cli.check:check",
    "import": "crowdllm.cli.import_:import_",
    "datasets": "crowdllm.cli.datasets:datasets",
    "references": "crowdllm.cli.references:references",
    "fit": "crowdllm.cli.fit:fit",
    "simulate": "crowdllm.cli.simulate:simulate",
    "merge": "crowdllm.cli.merge:merge",
    "aggregate": "crowdllm.cli.aggregate:aggregate_command",
    "export": "crowdllm.cli.export:export_command",
    "estimate": "crowdllm.cli.estimate:estimate",
    "evaluate": "crowdllm.cli.evaluate:evaluate",
    "tune": "crowdllm.cli.tune:tune",
    "calibrate": "crowdllm.cli.calibrate:calibrate",
    "plan": "crowdllm.cli.plan:plan",
    "reproduce": "crowdllm.cli.reproduce:reproduce",
    "report": "crowdllm.cli.report:report",
    "study": "crowdllm.cli.study:study",
    "studio": "crowdllm.cli.studio:studio",
    "mcp": "crowdllm.cli.mcp:mcp",
    "demo": "crowdllm.cli.demo:demo",
}

FAULTY_INPUT, INTERRUPTED = 2, 130
# the parent of all errors in how a command was typed; typer carries its own copy of click in some versions
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
# what the file system refuses for reasons that the user can mend; a file that is not there is handled where it is read
REFUSALS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}


def make_app() -> typer.Typer:
    """The application with all its commands; the modules of the commands import what they need when they run."""
    app = typer.Typer(
        help="Digital populations: synthetic crowds whose answers are distributed like those of real people.",
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name in COMMANDS:
        app.command(name)(lookup(COMMANDS, name, "command"))
    app.callback(invoke_without_command=True)(_without_command)
    return app


def _without_command(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if version:
        typer.echo(f"crowdllm {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: errors that the user can mend are one line each and exit status 2; the rest is a bug.

    arguments: the words after `crowdllm`; those of the process when None. Always raises SystemExit.
    """
    try:
        status = make_app()(args=arguments, prog_name="crowdllm", standalone_mode=False) or 0
    except CrowdLLMError as error:
        status = _complain(error_lines(error))
    except UsageError as error:
        status = _complain([usage_line(error)])
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        status = _complain([f"{error.filename or 'a file'}: {error.strerror}; choose another place"])
    except KeyboardInterrupt:
        status = INTERRUPTED
    if status == INTERRUPTED:
        typer.echo("crowdllm: stopped; the same command continues where it can", err=True)
    sys.exit(status)


def error_lines(error: CrowdLLMError) -> list[str]:
    """What to show of an error: its lines, and of a study's findings a few of each sort."""
    from crowdllm.data.study_check import finding_lines

    if isinstance(error, StudyError):
        errors = [finding for finding in error.findings if finding.severity == "error"]
        return finding_lines(errors) or ["the study cannot be read"]
    return str(error).splitlines() or [type(error).__name__]


def usage_line(error: Exception) -> str:
    """A mistyped command in one line, with the nearest name where there is one."""
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "crowdllm"
    return f"{' '.join(message.split()).rstrip('.')} (see {command} -h)"


def _complain(lines: list[str]) -> int:
    from crowdllm.cli.check import visible

    for line in lines:
        typer.echo(f"crowdllm: {visible(line, sys.stderr.encoding or 'utf-8')}", err=True)
    return FAULTY_INPUT
