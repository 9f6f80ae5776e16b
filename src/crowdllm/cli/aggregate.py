"""`crowdllm aggregate`: the crowd's decision on every problem, from human or simulated responses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from crowdllm.cli.say import say


def aggregate_command(
    source: Annotated[str, typer.Argument(help="A folder of simulated responses, a study folder, or a data set.")],
    method: Annotated[str, typer.Option(help="mean, median, majority_vote, dawid_skene or glad.")] = "mean",
    out: Annotated[Optional[Path], typer.Option(help="CSV file for decisions and distributions.")] = None,  # noqa: UP045
) -> None:
    """Aggregate responses into one decision per problem (and, where the method has them, people's skills)."""
    from crowdllm.experiments.decisions import decision_table, open_responses, skill_table
    from crowdllm.simulation.decisions import counted_decisions

    decisions, skills = counted_decisions(source, method), None
    if decisions is None:
        study = open_responses(source)
        decisions, skills = decision_table(study, method), skill_table(study, method)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        decisions.to_csv(out, index=False)
        say(f"wrote {out}")
        if skills is not None:
            path = out.with_name(f"{out.stem}-skills.csv")
            skills.to_csv(path, index=False)
            say(f"wrote {path}")
        return
    say(decisions.to_string(index=False, max_rows=40, max_colwidth=50))
