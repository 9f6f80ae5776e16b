"""`crowdllm report`: folders that other commands wrote, as one file to read, print and send."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Optional

import typer

from crowdllm.cli.say import say


def report(
    folders: Annotated[
        list[Path], typer.Argument(help="What `evaluate`, `simulate`, `estimate`, `reproduce` or `study run` wrote.")
    ],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("report.html"),
    study: Annotated[
        Optional[str],  # noqa: UP045 (typer reads the annotation)
        typer.Option(help="The humans that a crowd is held against: a study folder, or the name of a data set."),
    ] = None,
    margins: Annotated[
        Optional[Path],  # noqa: UP045 (typer reads the annotation)
        typer.Option(
            help="Target shares of groups, to hold the recruited people against: a TOML file with a table per profile "
            "column; else margins.toml in the crowd's folder.",
        ),
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Print it as a PDF beside it too, by Chromium or Chrome.")] = False,
    title: Annotated[str, typer.Option(help="Its title.")] = "A digital population: report",
) -> None:
    """Write one self-contained page of what these folders hold, with the questions a reader has answered first."""
    from crowdllm.errors import CrowdLLMError
    from crowdllm.experiments.sources import open_study
    from crowdllm.profiles.margins_file import read_margins
    from crowdllm.report.dossier import of_costs
    from crowdllm.report.dossier.make import contribution_of, write_report

    if out.suffix.lower() not in (".html", ".htm"):
        raise CrowdLLMError(f"--out {out}: a report is an .html file; name one such as report.html")
    opened = None if study is None else open_study(study)
    given = None if margins is None else read_margins(margins)
    contributions = [contribution_of(folder, opened.study if opened else None, given) for folder in folders]
    if opened is not None and opened.folder:
        contributions.append(of_costs.contribute(Path(opened.folder)))
    words = ["crowdllm", "report", *map(str, folders), "--out", str(out)]
    words += ["--study", study] if study is not None else []
    words += ["--margins", str(margins)] if margins is not None else []
    for path in write_report(title, contributions, shlex.join(words), out, pdf):
        say(f"wrote {path}")
