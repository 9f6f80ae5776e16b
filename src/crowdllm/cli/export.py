"""`crowdllm export DIR --to FORMAT --out FILE`: responses, distributions or estimates for another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export_command(
    folder: Annotated[
        Path, typer.Argument(help="A study, a simulated crowd or an estimate: any folder crowdllm wrote.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.", show_default=False)],
    to: Annotated[
        str,
        typer.Option("--to", help="The format, such as spss; by the file's end where left out.", show_default=False),
    ] = "",
    table: Annotated[
        str,
        typer.Option(help="responses, distributions, subgroups or estimates; the first there is.", show_default=False),
    ] = "",
    slim: Annotated[bool, typer.Option("--slim", help="Rows of ids and answers only, no texts and profiles.")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="What the format needs to know, such as budget=60000 (repeatable).", show_default=False
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write responses, distributions or estimates as CSV, Parquet, Excel, SPSS, Stata and other tools' files."""
    from crowdllm.cli.progress import progress_bar
    from crowdllm.cli.say import say
    from crowdllm.exchange.exporting import export

    with progress_bar() as progress:
        done = export(folder, to, out, table, slim, _settings(set_ or []), force, progress)
    say(f"wrote {', '.join(str(path) for path in done.files)}: {done.table}, {done.rows:,} rows ({done.format})")
    say(done.marks.words)
    for note in done.notes:
        say(f"  note: {note}")


def _settings(pairs: list[str]) -> dict[str, str]:
    from crowdllm.errors import ConfigError

    settings = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name.strip():
            raise ConfigError(f"--set {pair!r}: write NAME=VALUE, such as budget=60000")
        settings[name.strip()] = value.strip()
    return settings
