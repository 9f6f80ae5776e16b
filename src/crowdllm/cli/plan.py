"""`crowdllm plan`: which human answers to collect next, of whom, and how narrow intervals get for the money."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from crowdllm.cli.say import say

if TYPE_CHECKING:
    from crowdllm.estimation.plan_study import Plan


def plan(
    study: Annotated[str, typer.Argument(help="A study folder, or the name of a data set.")],
    model: Annotated[Path, typer.Argument(help="Folder of a fitted model.")],
    out: Annotated[
        Path, typer.Option(help="Folder for the plan: problems.csv, batch.csv, mix.csv, curve.csv, plan.svg.")
    ],
    budget: Annotated[float, typer.Option(min=0, help="What may be spent, in the currency of the prices.")],
    price_human: Annotated[float, typer.Option(help="Price of one human answer to one problem.")],
    target_width: Annotated[
        float, typer.Option(help="Width wanted of each interval: points of the scale, or a share such as 0.1.")
    ],
    price_call: Annotated[
        float, typer.Option(min=0, help="Price of one LLM call, for problems without references.")
    ] = 0.0,
    calls: Annotated[int, typer.Option(min=1, help="LLM calls per problem and source (K).")] = 8,
    references: Annotated[
        Optional[str],  # noqa: UP045 (typer reads the annotation)
        typer.Option(
            help="LLM references of the study's problems: names separated by commas, FILE.csv, `all`, `none`."
        ),
    ] = None,
    folds: Annotated[
        int,
        typer.Option(min=0, help="Folds of the cross-fitting that says what the crowd is worth; 0 for none (quick)."),
    ] = 3,
    level: Annotated[float, typer.Option(help="Level of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
) -> None:
    """Plan the next human answers: how many, on which problems, from whom, for training or for rectification."""
    from crowdllm.belief.checkpoint import check_fits, load_model
    from crowdllm.cli.progress import progress_bar
    from crowdllm.estimation.plan_study import Prices, plan_study
    from crowdllm.estimation.plan_tables import plan_lines
    from crowdllm.experiments.sources import open_references, open_study

    require_free(out)
    opened, fitted = open_study(study), load_model(model)
    check_fits(fitted, opened.study)
    named = references or (",".join(fitted.reference_sources) or "none")
    sources = open_references(opened, named)
    say(f"{opened.study.title}: {opened.study.describe()}")
    prices = Prices(budget, price_human, price_call, calls)
    with progress_bar() as progress:
        found = plan_study(opened.study, fitted, sources, prices, target_width, folds, level, seed, progress)
    for line in plan_lines(found):
        say(line)
    for path in write_plan(found, out):
        say(f"wrote {path}")
    say("next: collect batch.csv, add the answers to the study, fit again, and plan again")


FILES = ("problems.csv", "batch.csv", "mix.csv", "curve.csv", "plan.svg")


def require_free(out: Path) -> None:
    """Raise CrowdLLMError where the folder holds something other than a plan, such as a study."""
    from crowdllm.errors import CrowdLLMError

    if out.exists() and not out.is_dir():
        raise CrowdLLMError(f"{out} is a file; choose another folder")
    there = {path.name for path in out.iterdir()} if out.exists() else set()
    ours = {"batch.csv", "curve.csv"} <= there and "study.toml" not in there
    if not ours and not all(name.removesuffix(".tmp") in FILES for name in there):
        raise CrowdLLMError(f"{out} exists and holds something other than a plan; choose another folder")


def write_plan(found: Plan, out: Path) -> list[Path]:
    """The plan's files in this folder, replacing those of an earlier plan."""
    from crowdllm.estimation.plan_tables import batch_table, curve_table, mix_table, problem_table
    from crowdllm.experiments.results_folder import write_csv
    from crowdllm.report.figure import save_figure
    from crowdllm.report.plan_figure import plan_figure

    tables = {
        "problems.csv": problem_table(found),
        "batch.csv": batch_table(found),
        "mix.csv": mix_table(found),
        "curve.csv": curve_table(found),
    }
    for name, table in tables.items():
        write_csv(table, out / name)
    picture = save_figure(plan_figure(tables["curve.csv"], found.target), out / "plan.svg")
    return [*(out / name for name in tables), picture]
