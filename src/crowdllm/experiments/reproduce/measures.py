"""What the metrics are called on a page, in which order they stand, and which direction is better.

Definitions are in `crowdllm.evaluation` and in docs/fidelity.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdllm.experiments.reproduce.plan import AGGREGATORS

Array = NDArray[np.float64]
NOT_JUDGED = float("nan")
SHORT = {"mean": "mean", "median": "median", "majority_vote": "MV", "dawid_skene": "DS", "glad": "GLAD"}


@dataclass(frozen=True)
class Measure:
    """aim: "low" or "high" is better, or "at" the number `target`."""

    words: str
    aim: str = "low"
    target: float = 0.0

    def distance(self, values: Array) -> Array:
        """How far from the best: lower is better for every measure."""
        if self.aim == "at":
            return np.abs(np.asarray(values, dtype=float) - self.target)
        return np.asarray(values, dtype=float) * (-1 if self.aim == "high" else 1)


COUNTS = {
    "mae": Measure("mean absolute error of the crowd's decision (of votes per option, for ballots)"),
    "rmse": Measure("root mean squared error of the same"),
    "cosine": Measure("cosine similarity of the response histograms (of votes per option)", "high"),
}
CROWD = {
    **COUNTS,
    "accuracy": Measure("share of problems on which the crowd decides as the humans do", "high"),
    "avg_wd": Measure("Wasserstein-1 distance of the response distributions on the scale"),
    "kl": Measure("Kullback-Leibler divergence of the human from the simulated histogram, nats"),
    "js": Measure("Jensen-Shannon divergence of the histograms, nats"),
    "nll": Measure("log score of single held-out responses, nats"),
    "crps": Measure("ranked probability score of single held-out responses"),
    "recall_at_5": Measure("share of a held-out voter's picks among the five simulated most often", "high"),
    "text_r2": Measure("share of the rating's variance that the review text explains", "at", NOT_JUDGED),
}
PEOPLE = {
    "dispersion": Measure("simulated SD / human SD", "at", 1.0),
    "coherence": Measure("RMSE between the correlations of problems"),
    "alpha_difference": Measure("mean absolute difference of Cronbach's alpha over scales"),
    "subgroup_wd": Measure("avg_wd within the group of people where it is highest"),
    "subgroup_floor": Measure("what a perfect crowd would score in that group", "at", NOT_JUDGED),
    "subgroup_excess": Measure("the most that any group's avg_wd is above its floor"),
    "crowd_excess": Measure("how far the whole crowd's avg_wd is above its floor", "at", 0.0),
    "subgroup_excess_ratio": Measure("subgroup_excess / crowd_excess", "at", NOT_JUDGED),
}
OPTION_SETS = {"_unseen": "options that no training ballot had", "_seen": "the other options"}
OPTIONS = {
    f"{name}{suffix}": Measure(f"{name} over {words}", measure.aim)
    for suffix, words in OPTION_SETS.items()
    for name, measure in COUNTS.items()
}
HEIGHTS = "wd_heights"
HEIGHTS_MEASURES = {
    HEIGHTS: Measure("Wasserstein-1 between the two histograms' heights taken as samples: blind to the scale"),
    **{f"{HEIGHTS}{suffix}": Measure(f"the same over {words}") for suffix, words in OPTION_SETS.items()},
}
KNOWN = ("nll_known_", "crps_known_")
BOOKKEEPING = ("problems", "answered", "fit_seconds", "known_scored", "recall_voters")
Column = tuple[str, str]


def measure_of(metric: str) -> Measure | None:
    """None for what is not judged: bookkeeping, and metrics that this page does not know."""
    for known in (CROWD, PEOPLE, OPTIONS, HEIGHTS_MEASURES):
        if metric in known:
            return known[metric]
    name, _, count = metric.rpartition("_")
    if metric.startswith(KNOWN) and count.isdecimal():
        return Measure(f"{name.removesuffix('_known')} where {count} other answers of the person are known")
    return None


def column_name(column: Column) -> str:
    """`mae` for the mean decision, `mae (GLAD)` for another aggregator's."""
    metric, aggregator = column
    return metric if aggregator in ("", "mean") else f"{metric} ({SHORT.get(aggregator, aggregator)})"


def columns_of(measures: Iterable[str], present: set[Column]) -> list[Column]:
    """The columns for these metrics, in this order; decisions by their mean."""
    return [(m, a) for m in measures for a in ("", "mean") if (m, a) in present]


def known_columns(present: set[Column]) -> list[Column]:
    """Scores where some answers of a person are known, by how many."""
    found = [m for m, _ in present if m.startswith(KNOWN)]
    return [(m, "") for m in sorted(found, key=lambda m: (not m.startswith("nll"), int(m.rpartition("_")[2])))]


def aggregator_columns(present: set[Column]) -> list[Column]:
    """Decision errors by aggregator, where there is more than the mean."""
    columns = [(m, a) for m in ("mae", "rmse", "accuracy") for a in AGGREGATORS if (m, a) in present]
    return columns if any(a != "mean" for _, a in columns) else []


def unknown_metrics(present: set[Column]) -> list[str]:
    """Metrics that are in metrics.csv, but in no table of the page; those of single groups and scales by their kind."""
    kinds = {f"{m.partition(':')[0]} of each group or scale" if ":" in m else m for m, _ in present}
    return sorted(m for m in kinds if measure_of(m) is None and m not in BOOKKEEPING)
