"""The comparison as a table: a row per method, a column per metric, mean with its 95 % interval over splits."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

FIRST = (
    "mae", "rmse", "cosine", "avg_wd", "wd_heights", "recall_at_5", "nll", "crps", "dispersion", "coherence",
    "fit_seconds",
)  # fmt: skip


def print_table(summary: pd.DataFrame, metrics: tuple[str, ...] = FIRST) -> None:
    """One table per training fraction and crowd size; numbers that do not depend on the crowd stand in each."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from crowdllm.cli.check import visible

    # a file or a pipe has no width of its own; in a narrow terminal the last columns are cut, and metrics.csv has all
    console = Console() if sys.stdout.isatty() else Console(width=150)
    plus_minus = "±" if console.encoding.lower().startswith("utf") else "+-"
    sizes = [s for s in summary["crowd_size"].unique() if s > 0]
    for fraction in summary["train_fraction"].unique():
        for size in sizes:
            part = summary[(summary["train_fraction"] == fraction) & summary["crowd_size"].isin([0, size])]
            columns = _columns(part, metrics)
            first = part.iloc[0]
            title = (
                f"{first['dataset']}, split {first['split']}, references {first['references']}, "
                f"{fraction:.0%} of the training people, crowd of {size:,}, {part['seeds'].max()} splits"
            )
            console.print(Text(visible(title, console.encoding), style="italic"), soft_wrap=True)
            table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
            table.add_column("method", no_wrap=True)
            for metric, aggregator in columns:
                label = f"{metric}\n({aggregator})" if aggregator not in ("", "mean") else metric.replace("_", "\n")
                table.add_column(label, justify="right", no_wrap=True, min_width=6)
            for method in part["method"].unique():
                own = part[part["method"] == method]
                cells = [_cell(own, *column).replace("±", plus_minus) for column in columns]
                table.add_row(Text(str(method)), *cells)
            console.print(table)


def _columns(part: pd.DataFrame, metrics: tuple[str, ...]) -> list[tuple[str, str]]:
    present = {(m, a) for m, a in zip(part["metric"], part["aggregator"].fillna(""), strict=True)}
    aggregators = list(dict.fromkeys(part["aggregator"].fillna("")))
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
