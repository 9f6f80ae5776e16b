"""`crowdllm simulate`: recruit participants from a fitted crowd and let them answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from crowdllm.cli.say import say


def simulate(
    model: Annotated[Path, typer.Argument(help="Folder of a fitted model.")],
    out: Annotated[Path, typer.Option(help="Folder for the simulated responses.")],
    participants: Annotated[int, typer.Option(min=1, help="How many simulated people to recruit.")] = 1000,
    like: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="A study or data set whose people (their profiles) are simulated instead of recruits."),
    ] = None,
    problems: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="CSV or Parquet of new problems (problem, text, options); else those it was fitted on."),
    ] = None,
    references: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="For new problems: recorded references, FILE.csv per source the model was fitted with."),
    ] = None,
    where: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Recruit only from these, such as `age=25-29,30-34`; may be repeated."),
    ] = None,
    participation: Annotated[float, typer.Option(help="Probability that a person answers a problem.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the crowd and of its responses.")] = 0,
) -> None:
    """Simulate a crowd's responses, and write them as Parquet and CSV."""
    from crowdllm.belief.checkpoint import check_fits, load_model, read_meta
    from crowdllm.cli.progress import progress_bar
    from crowdllm.errors import ConfigError
    from crowdllm.experiments.new_problems import items_for_file
    from crowdllm.experiments.sources import open_study
    from crowdllm.simulation.run import require_free, simulate_crowd, write_crowd

    if references is not None and problems is None:
        raise ConfigError("--references goes with --problems: those of the problems it was fitted on are in the model")
    require_free(out)
    fitted = load_model(model)
    items = fitted.items if problems is None else items_for_file(fitted, problems, references)
    if like is not None and where:
        raise ConfigError("--where filters recruits, and --like names the people: give one of the two")
    people = None if like is None else open_study(like).study
    if people is not None:
        check_fits(fitted, people)
    with progress_bar() as progress:
        who = participants if people is None else people.profiles
        crowd = simulate_crowd(fitted, items, who, seed, where or [], participation, progress)
    files = write_crowd(crowd, fitted, read_meta(model), out)
    say(f"{len(crowd.people):,} simulated people, {len(items.problems):,} problems, {len(crowd.responses):,} responses")
    for path in files:
        say(f"wrote {path}")
    say(f"next: crowdllm aggregate {out} --method mean --out {out / 'decisions.csv'}")
