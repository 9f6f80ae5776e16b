"""`crowdllm merge`: join the shares of a crowd that were simulated apart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crowdllm.cli.simulate import say_what_was_written


def merge(
    shares: Annotated[list[Path], typer.Argument(help="Folders that crowdllm simulate --shard wrote, in any order.")],
    out: Annotated[Path, typer.Option(help="Folder for the whole crowd.")],
) -> None:
    """Join all shares of a simulated crowd, after checking that none is missing, doubled, or of another run."""
    from crowdllm.cli.progress import progress_bar
    from crowdllm.simulation.merge import merge_crowds

    with progress_bar() as progress:
        report = merge_crowds(shares, out, progress)
    say_what_was_written(report, out)
