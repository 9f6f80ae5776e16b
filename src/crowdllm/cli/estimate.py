"""`crowdllm estimate`: intervals for every problem, what they are worth in humans, and how far to trust the crowd."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from crowdllm.cli.say import say


def estimate(
    study: Annotated[str, typer.Argument(help="A study folder, or the name of a data set.")],
    model: Annotated[Path, typer.Argument(help="Folder of a fitted model (see `crowdllm fit`).")],
    out: Annotated[Path, typer.Option(help="Folder for estimates.csv, further tables and pictures.")],
    level: Annotated[float, typer.Option(help="Level of the intervals.")] = 0.95,
    by: Annotated[str, typer.Option(help="A profile column: estimate and compare its levels as subgroups.")] = "",
    compare: Annotated[
        Optional[list[str]],  # noqa: UP045 (typer reads the annotation)
        typer.Option(help="Two problem ids separated by a comma, whose difference is estimated; may be repeated."),
    ] = None,
    references: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="LLM references of the study's problems, as in the fit; found by name when left out."),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Folds of the cross-fits; each is one fit.")] = 3,
    new_people: Annotated[
        bool,
        typer.Option("--new-people", help="The study's people took no part in fitting the model: fit nothing anew."),
    ] = False,
    limit: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Widest interval of a subgroup shown without a warning; a quarter of the scale, or .2."),
    ] = None,
    trust: Annotated[
        bool, typer.Option(help="Also decompose the error, judge the gate and test subgroups (two more fits).")
    ] = True,
    reliability: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Test-retest reliability of single answers, if known: tells human noise from opinion."),
    ] = None,
    repeated: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Two problem ids separated by a comma that are one question asked twice; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
) -> None:
    """Estimate means, shares, medians and differences with honest intervals, from humans and a simulated crowd.

    Crowds are fitted anew without the people (and without the problems) they are judged by; the model gives the
    settings, and speaks for problems that no human has answered. A stopped run goes on, and one at another level needs
    no new fit.
    """
    from crowdllm.belief.checkpoint import load_model, read_meta
    from crowdllm.cli.estimate_tables import print_estimates
    from crowdllm.cli.progress import progress_bar
    from crowdllm.errors import ConfigError
    from crowdllm.estimation.estimate import EstimateSettings, estimate_study
    from crowdllm.estimation.human_noise import human_noise
    from crowdllm.estimation.subgroup_trust import check_limit
    from crowdllm.estimation.trust import TrustSettings, check_trust
    from crowdllm.experiments.estimate_folder import flag_groups, fold_store, require_free, write_estimates
    from crowdllm.experiments.own_coverage import own_coverage
    from crowdllm.experiments.sources import open_references, open_study

    require_free(out)
    check_limit(limit)
    opened, fitted, meta = open_study(study), load_model(model), read_meta(model)
    sources = open_references(opened, references or ",".join(fitted.reference_sources) or "none")
    pairs = tuple(_pair(text) for text in compare or ())
    settings = EstimateSettings(level=level, folds=folds, seed=seed, by=by, compare=pairs, new_people=new_people)
    noise = human_noise(opened.study, reliability, [_pair(text, "--repeated") for text in repeated or ()])
    store = fold_store(out, opened.study, sources, meta["model_hash"], settings)
    say(f"{opened.study.title}: {opened.study.describe()}")
    judged, reason = None, ""
    with progress_bar() as progress:
        found = estimate_study(opened.study, fitted, sources, settings, progress, store)
        coverage = own_coverage(found.evidence, seed)
        if trust:
            try:
                chosen = TrustSettings(seed=seed, level=level, noise=noise, new_people=new_people)
                judged = check_trust(opened.study, fitted, sources, chosen, progress)
            except ConfigError as error:  # too few people to judge by: the intervals stand all the same
                reason = f"no check of the crowd's error: {error}"
    found, warnings = flag_groups(found, opened.study.response_type, limit)
    print_estimates(found)
    for line in (*found.notes, *warnings, *((reason,) if reason else ()), *(judged.notes if judged else ())):
        say(f"note: {line}")
    about = {"study": opened.name, "model_hash": meta["model_hash"], "seed": seed, "warnings": list(warnings)}
    for path in write_estimates(out, found, coverage, judged, about):
        say(f"wrote {path}")


def _pair(text: str, option: str = "--compare") -> tuple[str, str]:
    from crowdllm.errors import ConfigError

    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(parts):
        raise ConfigError(f"{option} needs two problem ids separated by a comma, such as q1,q2, not {text!r}")
    return parts[0], parts[1]
