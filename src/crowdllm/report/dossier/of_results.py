"""A comparison with held-out humans (`crowdllm evaluate`): the methods, and whether the crowd is any better."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from crowdllm.evaluation.intervals import mean_interval
from crowdllm.report.dossier.answers import Contribution, Section
from crowdllm.report.dossier.charts import chart_of
from crowdllm.report.dossier.found import Found
from crowdllm.report.page import Cell, Table
from crowdllm.report.rows_figure import Panel, rows_figure

OURS, FLOOR = "crowdllm", "human-floor"
RIDGES = ("embedding-references-ridge", "tfidf-ridge", "embedding-ridge")
BARE = ("zero-shot", "multi-persona", "self-consistency")
COLUMNS = ("mae", "rmse", "cosine", "avg_wd", "wd_heights", "recall_at_5", "nll", "crps", "dispersion", "coherence")
ERRORS = ("mae", "avg_wd", "wd_heights", "nll")
MORE_IS_BETTER = ("cosine", "recall_at_5")


def contribute(found: Found) -> Contribution:
    """Answers and sections of the largest crowd and the largest share of training people."""
    table = pd.read_csv(found.folder / "metrics.csv", keep_default_na=False, na_values=[""], dtype={"references": str})
    whole = table[table["train_fraction"] == table["train_fraction"].max()]
    largest = int(whole["crowd_size"].max())
    shown = whole[whole["crowd_size"].isin((0, largest)) & whole["aggregator"].fillna("").isin(("", "mean"))]
    where = f"{found.about.get('study', 'the study')}, unseen {shown['split'].iloc[0]}s, crowd of {largest:,}"
    means = {key: mean_interval(group["value"].to_numpy()) for key, group in shown.groupby(["method", "metric"])}
    metrics = [m for m in COLUMNS if any(metric == m for _, metric in means)]
    methods = list(dict.fromkeys(shown["method"]))
    sections = [
        Section(
            "The methods, compared on humans they had not seen",
            (_table(means, methods, metrics, where), _chart(means, methods, metrics, where)),
        )
    ]
    groups = _subgroups(shown)
    if groups is not None:
        sections.append(groups)
    made = [f"Comparison: {key}: {value}." for key, value in found.about.items() if key != "data"]
    return Contribution({"better": " ".join(_better(shown, where))}, tuple(sections), made=tuple(made))


def _better(shown: pd.DataFrame, where: str) -> Iterator[str]:
    """One sentence per rival and error: better, worse, or not told apart, paired by split."""
    metric = next((m for m in ERRORS if m in set(shown["metric"])), None)
    wide = shown[shown["metric"] == metric].pivot_table(index="seed", columns="method", values="value")
    if metric is None or OURS not in wide:
        yield f"The results on {where} have no row for crowdllm."
        return
    for title, names in (("the bare LLM", BARE), ("ridge regression", RIDGES)):
        rivals = [name for name in names if name in wide]
        if not rivals:
            yield f"No comparison with {title} here."
            continue
        rival = str(wide[rivals].mean().idxmin())
        gap = (wide[OURS] - wide[rival]).dropna().to_numpy()
        interval = mean_interval(gap)
        mine, theirs = wide[OURS].to_numpy().mean(), wide[rival].to_numpy().mean()
        numbers = f"({metric} {mine:.3f} against {theirs:.3f} of {rival}, {len(gap)} splits, {where})"
        if len(gap) < 2 or np.isnan(interval.low) or interval.low <= 0 <= interval.high:
            yield f"Not told apart from {title} {numbers}."
        else:
            yield f"{'Better' if interval.mean < 0 else 'WORSE'} than {title} {numbers}."


def _table(means: dict[Any, Any], methods: list[str], metrics: list[str], where: str) -> Table:
    rows = []
    for method in methods:
        cells = [Cell(method)]
        for metric in metrics:
            interval = means.get((method, metric))
            if interval is None or np.isnan(interval.mean):
                cells.append(Cell(""))
                continue
            half = (interval.high - interval.low) / 2
            text = f"{interval.mean:.3f}" + ("" if np.isnan(half) else f" ±{half:.3f}")
            rivals = [means[m, metric].mean for m in methods if m != FLOOR and (m, metric) in means]
            best = max(rivals) if metric in MORE_IS_BETTER else min(rivals) if rivals else np.nan
            cells.append(Cell(text, best=method != FLOOR and metric not in ("dispersion",) and interval.mean == best))
        rows.append(tuple(cells))
    apart = frozenset(i for i, method in enumerate(methods) if method == FLOOR)
    note = "Mean over splits ± half of its 95 % interval. The human floor is what a perfect model would still score."
    return Table(where, ("method", *metrics), tuple(rows), note, apart=apart)


def _chart(means: dict[Any, Any], methods: list[str], metrics: list[str], where: str) -> Any:
    panels, rows = [], []
    for metric in metrics[:3]:
        own = [(m, means[m, metric]) for m in methods if m != FLOOR and (m, metric) in means]
        floor = means.get((FLOOR, metric))
        panels.append(
            Panel(metric, tuple((m, i.mean, i.low, i.high) for m, i in own), floor.mean if floor else float("nan"))
        )
        rows += [{"metric": metric, "method": m, "mean": i.mean, "low": i.low, "high": i.high} for m, i in own]
    words = f"Methods by {', '.join(metrics[:3])} with 95 % intervals: {where}"
    return chart_of("methods", rows_figure(panels), f"{words}. Dotted: the human floor.", words, pd.DataFrame(rows))


def _subgroups(shown: pd.DataFrame) -> Section | None:
    """Distance of each profile column's worst group, beside its floor, where the comparison has it."""
    own = shown[(shown["method"] == OURS) & shown["metric"].str.startswith("subgroup_")]
    if own.empty:
        return None
    rows = []
    for metric, group in own.groupby("metric", sort=True):
        interval = mean_interval(group["value"].to_numpy())
        rows.append((Cell(str(metric)), Cell(f"{interval.mean:.3f}")))
    note = "Wasserstein distance of simulated to human answers in each column's groups, its floor, and the excess."
    return Section(
        "Subgroups", (Table("crowdllm, by profile column", ("measure", "mean over splits"), tuple(rows), note),)
    )
