"""`crowdllm demo`: the bundled example from human responses to a simulated crowd, in about a minute, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crowdllm.cli.say import say


def demo(
    out: Annotated[Path, typer.Option(help="Folder for what it writes.")] = Path("crowdllm-demo"),
) -> None:
    """Fit, simulate, aggregate and compare on the bundled example study. No network, no key, no download."""
    from crowdllm.cli.progress import progress_bar
    from crowdllm.cli.table import print_table
    from crowdllm.experiments.demo import run_demo

    say("The bundled example: ratings of statements about life in a city. Its humans are simulated from a known")
    say("truth, so that everybody can try this; `crowdllm datasets` lists data sets of real people.\n")
    with progress_bar() as progress:
        result = run_demo(out, progress)
    say(f"{result.study.title}: {result.study.describe()}\n")
    print_table(result.summary, ("mae", "rmse", "cosine", "avg_wd", "nll", "fit_seconds"))
    say("Errors of the mean answer (mae, rmse) and distance of the distributions (avg_wd): lower is better;")
    say("cosine: higher is better. The human floor is what a perfect model would still score, since the people")
    say("it is compared with are a finite sample. All on problems that the methods had not seen.\n")
    for path in result.written:
        say(f"wrote {path}")
    say("\nTry it on your own data:  crowdllm new my-study  &&  crowdllm check my-study")
