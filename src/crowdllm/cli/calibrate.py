"""`crowdllm calibrate`: correct the answers of an LLM panel made elsewhere with human responses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crowdllm.cli.say import say

if TYPE_CHECKING:
    import pandas as pd

    from crowdllm.experiments.calibration import Calibration

SHOWN = ("mae", "accuracy", "avg_wd", "kl", "nll")


def calibrate(
    study: Annotated[str, typer.Argument(help="A study folder with human responses, or the name of a data set.")],
    answers: Annotated[
        list[Path],
        typer.Option(
            "--answers",
            help="Answers of an LLM panel: EDSL results, a SynthPanel run, QSTN results, or a plain table with many "
            "answers per problem. Give it again for further panels.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results; the same command continues there.")],
    problem: Annotated[str, typer.Option(help="The column that names the problem; left out: found.")] = "",
    answer: Annotated[str, typer.Option(help="The column of answers; left out: found.")] = "",
    model_column: Annotated[str, typer.Option(help="The column that names the LLM; left out: found.")] = "",
    splits: Annotated[int, typer.Option(min=2, help="On how many random splits the fidelity is measured.")] = 5,
    embedding: Annotated[str, typer.Option(help="`tfidf`, or a sentence-transformers model or path.")] = "tfidf",
    seed: Annotated[int, typer.Option(help="Seed of the final fit.")] = 0,
) -> None:
    """Use a panel's answers as references, correct them with the humans', and say what that gains on new problems."""
    from crowdllm.cli.progress import progress_bar
    from crowdllm.exchange.panel_answers import Columns
    from crowdllm.experiments.calibration import calibrate as run
    from crowdllm.experiments.sources import open_study

    opened = open_study(study)
    say(f"{opened.study.title}: {opened.study.describe()}")
    columns = Columns(problem, answer, model_column)
    with progress_bar() as progress:
        found = run(opened.study, answers, out, columns, splits, embedding, seed, progress, say)
    for note in found.notes:
        say(note)
    say("\n".join(_lines(found)))
    say(
        f"wrote {out / 'distributions.csv'}, fidelity.csv, improvement.csv\n"
        f"next: crowdllm simulate {out / 'model'} --participants 1000 --out {out / 'crowd'}"
    )


def _lines(found: Calibration) -> list[str]:
    """The table of fidelity, and the gain over the panel as it is in words."""
    fidelity = found.fidelity
    metrics = [m for m in SHOWN if (fidelity["metric"] == m).any()]
    splits = int(fidelity["splits"].max())
    lines = [f"on held-out problems, mean and 95 % interval over {splits} splits:"]
    lines.append(f"{'':22}" + "".join(f"{m:>22}" for m in metrics))
    for label in dict.fromkeys(fidelity["label"]):
        own = fidelity[fidelity["label"] == label].set_index("metric")
        cells = [_cell(own, m) for m in metrics]
        lines.append(f"{label:22}" + "".join(f"{c:>22}" for c in cells))
    for _, row in found.improvement.iterrows():
        if row["metric"] in ("mae", "accuracy", "avg_wd", "kl") and row["against"] != "human-floor":
            low, high = row["low"], row["high"]
            sure = "" if low > 0 or high < 0 else " (the interval includes no difference)"
            lines.append(
                f"{row['metric']}, calibrated against {row['label']}: {row['difference']:+.3f} "
                f"[{low:+.3f}, {high:+.3f}]{sure}"
            )
    return lines


def _cell(own: pd.DataFrame, metric: str) -> str:
    if metric not in own.index:
        return ""
    row = own.loc[metric]
    return f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
