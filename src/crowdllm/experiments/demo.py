"""The demonstration: the bundled example study, from human responses to a simulated crowd on unseen problems.

The "humans" of this study are simulated from a known truth, and it says so; real data sets are in `crowdllm.datasets`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from crowdllm.aggregation import aggregate
from crowdllm.belief.checkpoint import read_meta, save_model
from crowdllm.belief.crowd_model import fit_crowd
from crowdllm.data.study import Study
from crowdllm.evaluation.histograms import histograms
from crowdllm.experiments.comparison import Comparison, run_comparison, summarise
from crowdllm.experiments.sources import Opened, open_references, open_study
from crowdllm.report.distributions import draw_distributions
from crowdllm.responses.ordinal import Ordinal
from crowdllm.simulation.plan import Settings
from crowdllm.simulation.run import SimulatedCrowd, simulate_crowd
from crowdllm.simulation.stream import stream_crowd

METHODS = ("random", "pooled", "tfidf-ridge", "embedding-references-ridge", "zero-shot", "crowdllm")
SEEDS = (0, 1, 2)
PEOPLE = 1000
SHOWN = 6
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Demonstration:
    """What the demonstration found and wrote."""

    study: Study
    summary: pd.DataFrame
    decisions: pd.DataFrame
    written: tuple[Path, ...]


def open_demo_study() -> Opened:
    """The bundled example study."""
    return open_study(str(files("crowdllm") / "demo_study"))


def run_demo(out: Path, progress: Progress | None = None) -> Demonstration:
    """Compare methods over three splits, then fit on the first and simulate 1,000 people on its unseen problems."""
    opened = open_demo_study()
    references = open_references(opened, None)
    comparison = Comparison(METHODS, seeds=SEEDS, crowd_sizes=(PEOPLE,))
    table = run_comparison(opened.study, opened.name, references, comparison, out / "comparison", progress)
    split = opened.study.split("problem", 0.2, 0)
    model = fit_crowd(split.train, references, seed=0, progress=progress)
    folder = save_model(model, out / "model", split.train)
    items = model.make_items(split.test.problems, references)
    crowd = simulate_crowd(model, items, PEOPLE, seed=0, progress=progress)
    report = stream_crowd(model, read_meta(folder), items, Settings(PEOPLE), out / "crowd", progress=progress)
    decisions = _decisions(split.test, crowd)
    decisions.to_csv(out / "decisions.csv", index=False)
    picture = _picture(split.test, crowd, out / "distributions")
    tables = [path for path in report.files if path.name in ("responses.csv", "distributions.csv")]
    paths = (out / "comparison" / "metrics.csv", folder, *tables, out / "decisions.csv", *picture)
    return Demonstration(opened.study, summarise(table), decisions, paths)


def _decisions(test: Study, crowd: SimulatedCrowd) -> pd.DataFrame:
    """The crowd's mean and majority decision on each unseen problem beside the mean of its humans."""
    count = len(test.problems)
    table = pd.DataFrame({"problem": test.problems.ids, "text": test.problems.texts})
    for name in ("mean", "majority_vote"):
        result = aggregate(crowd.responses, test.response_type, count, len(crowd.people), name)
        table[f"simulated_{name}"] = result.decision_TD[:, 0]
    human = aggregate(test.responses, test.response_type, count, len(test.profiles), "mean")
    table["human_mean"] = human.decision_TD[:, 0]
    return table


def _picture(test: Study, crowd: SimulatedCrowd, path: Path) -> list[Path]:
    scale = test.response_type
    assert isinstance(scale, Ordinal)
    shown = np.arange(min(SHOWN, len(test.problems)))
    return draw_distributions(
        histograms(test.responses, scale, len(test.problems))[shown],
        histograms(crowd.responses, scale, len(test.problems))[shown],
        scale.levels,
        [str(text) for text in test.problems.texts[shown]],
        path,
        note="Problems that the model has not seen. The humans of this example are themselves simulated.",
        human_label="“humans” of the example",
    )
