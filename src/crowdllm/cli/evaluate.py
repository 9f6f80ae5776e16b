"""`crowdllm evaluate`: compare methods with humans who were held out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from crowdllm.cli.say import say

DEFAULT = "random,pooled,tfidf-ridge,embedding-references-ridge,zero-shot,crowdllm-paper,crowdllm"


def evaluate(
    study: Annotated[str, typer.Argument(help="A study folder, or the name of a data set.")],
    out: Annotated[Path, typer.Option(help="Folder for metrics.csv; the same command continues there.")],
    split: Annotated[
        str,
        typer.Option(help="What is held out: problem, participant, both, or option (people, and options of ballots)."),
    ] = "problem",
    methods: Annotated[str, typer.Option(help="Methods, separated by commas.")] = DEFAULT,
    references: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="LLM references: names separated by commas, FILE.csv, `all`, or `none`. Sources in persona go to "
            "multi-persona alone (to every method where no others are named); it finds NAME-personas beside NAME."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many random splits.")] = 3,
    crowd_size: Annotated[str, typer.Option(help="Simulated people per problem; several by commas.")] = "1000",
    train_fraction: Annotated[str, typer.Option(help="Share of the training people; several by commas.")] = "1",
    aggregators: Annotated[
        str, typer.Option(help="How decisions are aggregated; several by commas, or `all` that apply.")
    ] = "mean",
    known: Annotated[
        str,
        typer.Option(
            help="How many answers of each test person are known when others are predicted (digital twins), with "
            "--split participant or problem; several by commas."
        ),
    ] = "",
    embedding: Annotated[str, typer.Option(help="`tfidf`, or a sentence-transformers model or path.")] = "tfidf",
) -> None:
    """Print a table of methods with 95 % intervals over splits, beside the human floor."""
    from crowdllm.cli.numbers import numbers
    from crowdllm.cli.progress import progress_bar
    from crowdllm.cli.table import print_table
    from crowdllm.experiments.comparison import Comparison, run_comparison, summarise
    from crowdllm.experiments.personas import used_references, with_personas
    from crowdllm.experiments.sources import open_references, open_study

    opened = open_study(study)
    named = tuple(m.strip() for m in methods.split(",") if m.strip())
    sources = with_personas(opened, open_references(opened, references), named)
    comparison = Comparison(
        methods=named,
        split=split,
        seeds=tuple(range(seeds)),
        crowd_sizes=tuple(int(n) for n in numbers(crowd_size, "--crowd-size", whole=True)),
        train_fractions=tuple(numbers(train_fraction, "--train-fraction")),
        aggregators=tuple(a.strip() for a in aggregators.split(",") if a.strip()),
        embedding=embedding,
        known=tuple(int(n) for n in numbers(known, "--known", whole=True)) if known else (),
    )
    comparison.check()
    say(f"{opened.study.title}: {opened.study.describe()}")
    used = used_references(sources, named)
    for line in used.report() if used else ["none"]:
        say(f"references: {line}")
    with progress_bar() as progress:
        table = run_comparison(opened.study, opened.name, sources, comparison, out, progress, say)
    print_table(summarise(table))
    say(f"wrote {out / 'metrics.csv'}")
