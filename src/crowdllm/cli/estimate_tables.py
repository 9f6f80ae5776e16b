"""The estimates on the screen: a row per problem with its intervals side by side, then what they are worth."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from crowdllm.estimation.estimate import Estimates

MOST_ROWS = 25
LONGEST = 36
KINDS = ("human", "rectified", "combined", "conformal")
TITLES = {"human": "humans alone", "rectified": "rectified", "combined": "combined", "conformal": "no humans"}


def print_estimates(estimates: Estimates) -> None:
    """Means of every problem (shares, where there are no means), then the differences, then worth; cut at 25 rows."""
    from rich.console import Console
    from rich.text import Text

    from crowdllm.cli.check import visible

    console = Console() if sys.stdout.isatty() else Console(width=150)
    table, level = estimates.table, estimates.evidence.settings.level
    if not len(table):
        console.print(Text("nothing could be estimated: no problem has a human response"))
        return
    whole = table[table["group"] == ""]
    for estimand in ("mean", "share", "difference", "subgroup"):
        part = whole[(whole["estimand"] == estimand) & whole["interval"].isin(KINDS)]
        if not len(part) or (estimand == "share" and (whole["estimand"] == "mean").any()):
            continue
        console.print(Text(visible(f"{estimand} per problem, {level:.0%} intervals", console.encoding), style="italic"))
        _print(console, part)
    for row in estimates.worth[estimates.worth["problem"] == "(overall)"].to_dict("records"):
        used, value = row["humans"], row["worth"]
        text = f"{row['interval']}: the problems without humans are worth {value:,.0f} human answers"
        if used > 0:
            text = f"{row['interval']}: {used:,.0f} human answers are worth {value:,.0f} ({row['ratio']:.2f} times)"
        console.print(Text(text))


def _print(console: object, part: pd.DataFrame) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from crowdllm.cli.check import visible

    assert isinstance(console, Console)
    kinds = [k for k in KINDS if (part["interval"] == k).any()]
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("problem", no_wrap=True, max_width=LONGEST)
    shown.add_column("humans", justify="right")
    for kind in kinds:
        shown.add_column(TITLES[kind], justify="right", no_wrap=True)
    shown.add_column("worth", justify="right")
    keys = list(dict.fromkeys(zip(part["problem"], part["of"], strict=True)))
    cells = {(r["problem"], r["of"], r["interval"]): r for r in part.to_dict("records")}
    for problem, of in keys[:MOST_ROWS]:
        rows = [cells.get((problem, of, kind)) for kind in kinds]
        known = [row for row in rows if row is not None]
        name = visible(f"{problem}: {of}" if of else str(problem), console.encoding)
        name = name if len(name) <= LONGEST else name[: LONGEST - 3] + "..."
        worth = known[-1]["worth"]
        texts = ["" if row is None else _interval(row) for row in rows]
        number = "" if np.isnan(worth) else f"{worth:.1f}"
        shown.add_row(Text(name), f"{known[0]['humans']:.0f}", *(Text(text) for text in texts), number)
    console.print(shown)
    if len(keys) > MOST_ROWS:
        console.print(Text(f"... and {len(keys) - MOST_ROWS:,} more rows in estimates.csv"))


def _interval(row: dict[object, object]) -> str:
    estimate, low, high = (float(str(row[key])) for key in ("estimate", "low", "high"))
    if row.get("too_wide"):  # wider than the stated limit: never printed without saying so
        return f"too uncertain [{low:.2f}, {high:.2f}]"
    return f"{estimate:.2f} [{low:.2f}, {high:.2f}]"
