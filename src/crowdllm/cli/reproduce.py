"""`crowdllm reproduce`: the complete comparison on a published data set, and one page about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from crowdllm.cli.say import say


def reproduce(
    dataset: Annotated[
        str, typer.Argument(help="offensiveness, voting, bfi, ev_attitudes, amazon_beauty or amazon_music.")
    ],
    out: Annotated[
        Optional[Path],  # noqa: UP045 (typer reads the annotation)
        typer.Option(help="Folder for the page and all numbers; the same command continues there."),
    ] = None,
    seeds: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="How many random splits: ten, or three with --quick."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A run of minutes: few splits and fractions.")] = False,
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Processes of one thread each; as many as there are cores."),
    ] = None,
    embedding: Annotated[str, typer.Option(help="`tfidf`, or a sentence-transformers model or path.")] = "tfidf",
    references: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="LLM references in place of the data set's own: names by commas, FILE.csv, `all`, `none`."),
    ] = None,
) -> None:
    """Run every method on every split of a data set, beside the paper's own rows, and write a page.

    It can be stopped at any time (Ctrl-C); the same command continues.
    """
    import shlex

    from crowdllm.cli.progress import progress_bar
    from crowdllm.cli.table import print_table
    from crowdllm.experiments.comparison import summarise
    from crowdllm.experiments.reproduce import get_reproduction
    from crowdllm.experiments.reproduce.page import section_scores, write_results
    from crowdllm.experiments.reproduce.plan import Settings
    from crowdllm.experiments.reproduce.processes import cores
    from crowdllm.experiments.reproduce.run import reproduce as run

    settings = Settings(seeds or 0, quick, embedding, references)
    plan = get_reproduction(dataset, settings)
    folder = out or Path(f"reproduce-{dataset}{'-quick' if quick else ''}")
    words = ["crowdllm", "reproduce", dataset, "--out", str(folder), "--seeds", str(len(settings.seed_list))]
    words += ["--quick"] if quick else []
    words += ["--embedding", embedding] if embedding != "tfidf" else []
    words += ["--references", references] if references else []
    with progress_bar() as progress:
        results = run(plan, settings, folder, workers or cores(), shlex.join(words), progress, say)
    pages = write_results(results, folder)
    first = section_scores(results.plan.sections[0], results)
    if len(first):
        largest = first[
            first["crowd_size"].isin([0, first["crowd_size"].max()]) & first["aggregator"].isin(["", "mean"])
        ]
        distance = "avg_wd" if (first["metric"] == "avg_wd").any() else "wd_heights"  # never beside each other
        say(results.plan.sections[0].title)
        print_table(summarise(largest), ("mae", "rmse", "cosine", distance, "recall_at_5", "nll"))
    for path in (*pages, folder / "metrics.csv"):
        say(f"wrote {path}")
