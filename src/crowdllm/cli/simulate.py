"""`crowdllm simulate`: recruit participants from a fitted crowd and let them answer, however many they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from crowdllm.cli.say import say

if TYPE_CHECKING:
    from crowdllm.simulation.folder import Report

RECRUITS = 1000
"""How many are recruited unless it is said."""


def simulate(
    model: Annotated[Path, typer.Argument(help="Folder of a fitted model.")],
    out: Annotated[Path, typer.Option(help="Folder for the simulated responses; a stopped run goes on in it.")],
    participants: Annotated[
        Optional[int],  # noqa: UP045 (typer reads the annotation)
        typer.Option(min=1, show_default=str(RECRUITS), help="How many simulated people to recruit."),
    ] = None,
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
    margins: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Recruit to these shares of groups: a TOML file with a table per profile column."),
    ] = None,
    participation: Annotated[float, typer.Option(help="Probability that a person answers a problem.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the crowd and of its responses.")] = 0,
    distribution_only: Annotated[
        bool, typer.Option("--distribution-only", help="Store distributions and decisions, no response.")
    ] = False,
    sample: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Store this share of the responses; distributions count all of them."),
    ] = None,
    engine: Annotated[str, typer.Option(help="Who simulates: `local`, or `dask` for a cluster.")] = "local",
    workers: Annotated[int, typer.Option(min=0, help="Processes on this machine; 0: as many as are worth while.")] = 0,
    scheduler: Annotated[str, typer.Option(help="Address of the dask scheduler, such as tcp://10.0.0.1:8786.")] = "",
    shard: Annotated[
        str, typer.Option(help="Make this share only, such as 3/8; join all with crowdllm merge.")
    ] = "1/1",
) -> None:
    """Simulate a crowd's responses into a folder. If it is stopped, the same command continues."""
    from crowdllm.belief.checkpoint import check_fits, load_model, read_meta
    from crowdllm.cli.progress import progress_bar
    from crowdllm.errors import ConfigError
    from crowdllm.experiments.new_problems import items_for_file
    from crowdllm.experiments.sources import open_study
    from crowdllm.profiles.margins_file import read_margins
    from crowdllm.simulation.engines import Resources
    from crowdllm.simulation.plan import Settings, parse_shard, target_margins
    from crowdllm.simulation.run import require_free
    from crowdllm.simulation.stream import stream_crowd

    if references is not None and problems is None:
        raise ConfigError("--references goes with --problems: those of the problems it was fitted on are in the model")
    if like is not None and where:
        raise ConfigError("--where filters recruits, and --like names the people: give one of the two")
    if like is not None and margins is not None:
        raise ConfigError("--margins goes with recruits, and --like names the people: give one of the two")
    if like is not None and participants is not None:
        raise ConfigError(
            f"--like simulates the people of {like}, as many as they are: leave out --participants {participants}, or "
            "leave out --like to recruit so many"
        )
    stored = _stored(distribution_only, sample)
    if scheduler and engine != "dask":
        raise ConfigError(f"--scheduler goes with --engine dask, and the engine is {engine}")
    if engine == "dask" and not scheduler:
        raise ConfigError("--engine dask needs the address of a scheduler: --scheduler tcp://HOST:8786")
    share = parse_shard(shard)
    require_free(out)
    fitted = load_model(model)
    items = fitted.items if problems is None else items_for_file(fitted, problems, references)
    people = None if like is None else open_study(like).study
    if people is not None:
        check_fits(fitted, people)
    target = target_margins({} if margins is None else read_margins(margins))
    settings = Settings(participants or RECRUITS, seed, tuple(where or ()), participation, stored, target)
    with progress_bar() as progress:
        report = stream_crowd(
            fitted,
            read_meta(model),
            items,
            settings,
            out,
            None if people is None else people.profiles,
            share,
            engine,
            Resources(model, workers, scheduler),
            progress,
        )
    people_count, problem_count = f"{report.people:,} simulated people", f"{len(items.problems):,} problems"
    say(f"{people_count}, {problem_count}, {report.simulated:,} responses{_share_stored(report)}")
    say_what_was_written(report, out)
    if share.of > 1:
        say(f"share {share} is complete; when all are: crowdllm merge DIR... --out DIR")


def _stored(distribution_only: bool, sample: float | None) -> float:
    """The share of responses to store."""
    from crowdllm.errors import ConfigError

    if distribution_only and sample is not None:
        raise ConfigError("--distribution-only stores no response, and --sample a share of them: give one of the two")
    if sample is not None and not 0 < sample <= 1:
        raise ConfigError(f"--sample must be a share above 0 and at most 1, such as 0.01, not {sample:g}")
    return 0.0 if distribution_only else 1.0 if sample is None else sample


def _share_stored(report: Report) -> str:
    return "" if report.stored == report.simulated else f", {report.stored:,} of them stored"


def say_what_was_written(report: Report, out: Path) -> None:
    """Which files there are, and what to do next."""
    parts = f"{report.parts:,} part{'' if report.parts == 1 else 's'}"
    if report.damaged:
        say(f"{report.damaged:,} of them were damaged or missing, and were made again")
    say(f"{parts} in {out / 'responses'}" if report.stored else f"{parts}, of counts only")
    for path in report.files:
        say(f"{'wrote' if report.new else 'there already:'} {path}")
    if report.stored and out / "distributions.csv" in report.files:
        say(f"next: crowdllm aggregate {out} --method mean --out {out / 'decisions.csv'}")
