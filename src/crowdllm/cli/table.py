"""The comparison as tables: a row per method, a column per metric, mean with its 95 % interval over splits.

The first table has the metrics most people want; where decisions are aggregated in several ways, or answers of people
are known, a table for each follows. All other metrics are in metrics.csv.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    Column = tuple[str, str]

FIRST = (
    "mae", "rmse", "accuracy", "mae_seen", "mae_unseen", "cosine", "avg_wd", "wd_heights", "recall_at_5", "nll", "crps",
    "dispersion", "coherence", "alpha_difference", "subgroup_excess", "fit_seconds",
)  # fmt: skip
DECISIONS = ("mae", "accuracy")
KNOWN = "nll_known_"


def print_table(summary: pd.DataFrame, metrics: tuple[str, ...] = FIRST) -> None:
    """Tables per training fraction and crowd size; numbers that do not depend on the crowd stand in each."""
    from rich.console import Console
    from rich.text import Text

    from crowdllm.cli.check import visible

    # a file or a pipe has no width of its own; in a narrow terminal the last columns are cut, and metrics.csv has all
    console = Console() if sys.stdout.isatty() else Console(width=150)
    sizes = [s for s in summary["crowd_size"].unique() if s > 0]
    for fraction in summary["train_fraction"].unique():
        for size in sizes:
            part = summary[(summary["train_fraction"] == fraction) & summary["crowd_size"].isin([0, size])]
            first = part.iloc[0]
            splits = part["seeds"].max()
            title = (
                f"{first['dataset']}, split {first['split']}, references {first['references']}, "
                f"{fraction:.0%} of the training people, crowd of {size:,}, {splits} split{'s' if splits > 1 else ''}"
            )
            console.print(Text(visible(title, console.encoding), style="italic"), soft_wrap=True)
            aggregators = [a for a in dict.fromkeys(part["aggregator"].fillna("")) if a]
            _print(console, part, _columns(part, metrics, ["", *aggregators[:1]]))
            if len(aggregators) > 1:
                console.print(Text("the crowd's decisions, by aggregator", style="italic"))
                _print(console, part, _columns(part, DECISIONS, aggregators), named=True)
            known = [m for m in dict.fromkeys(part["metric"]) if m.startswith(KNOWN)]
            if known:
                console.print(
                    Text("log score of other answers, with so many of the person's answers known", style="italic")
                )
                _print(console, part, _columns(part, tuple(known), [""]))


def _print(console: Console, part: pd.DataFrame, columns: list[Column], named: bool = False) -> None:
    """One table; `named` puts the aggregator into the heading."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    plus_minus = "±" if console.encoding.lower().startswith("utf") else "+-"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("method", no_wrap=True)
    for metric, aggregator in columns:
        label = f"{metric}\n({aggregator.replace('_', ' ')})" if named else metric.replace("_", "\n")
        table.add_column(label, justify="right", no_wrap=True, min_width=6)
    for method in part["method"].unique():
        own = part[part["method"] == method]
        cells = [_cell(own, *column).replace("±", plus_minus) for column in columns]
        if any(cells):
            table.add_row(Text(str(method)), *cells)
    console.print(table)


def _columns(part: pd.DataFrame, metrics: tuple[str, ...], aggregators: list[str]) -> list[Column]:
    present = {(m, a) for m, a in zip(part["metric"], part["aggregator"].fillna(""), strict=True)}
    return [(metric, a) for metric in metrics for a in aggregators if (metric, a) in present]


def _cell(own: pd.DataFrame, metric: str, aggregator: str) -> str:
    rows = own[(own["metric"] == metric) & (own["aggregator"].fillna("") == aggregator)]
    if not len(rows):
        return ""
    row = rows.iloc[0]
    digits = 1 if metric == "fit_seconds" else 3
    if np.isnan(row["low"]):
        return f"{row['mean']:.{digits}f}"
    half = (row["high"] - row["low"]) / 2
    return f"{row['mean']:.{digits}f}\n±{half:.{digits}f}"
