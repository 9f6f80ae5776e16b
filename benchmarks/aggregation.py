"""How long the aggregators take, beside crowd-kit's on the same labels, and how far the results differ.

    python benchmarks/aggregation.py [--full] [--json FILE]

The labels: R = 100,000 and 1,000,000 simulated answers on five levels, ten per problem and about 500 per
participant, who knows the right answer with a probability of .4 to .95 and answers anything otherwise; nobody
answers a problem twice. At a million labels crowd-kit's GLAD takes minutes and runs only with --full.
Ours: the best of three runs; crowd-kit: one run, without the time it takes to build its table.
Needs `pip install 'crowdllm[test]'`.

GLAD's probabilities may differ by some 1e-3: its M-steps stop before the optimum, and crowd-kit's own move by
as much when its table is reordered.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from crowdllm.aggregation import Aggregate, aggregate
from crowdllm.data.responses import Responses
from crowdllm.responses.ordinal import Ordinal
from crowdllm.rng import generator

SIZES = (100_000, 1_000_000)
LEVELS = 5
THEIRS = {"majority_vote": "MajorityVote", "dawid_skene": "DawidSkene", "glad": "GLAD"}
OURS_ONLY = ("mean", "median")


def simulated_labels(rows: int, seed: int = 0) -> tuple[Responses, int, int]:
    """`rows` responses, the number of problems and the number of participants."""
    rng = generator(seed, "benchmark labels")
    problems, people = rows // 10, rows // 500
    problem_R = np.repeat(np.arange(problems), 10)
    # Ten different people per problem: a random first one, then steps of a tenth of the crowd.
    first_T = rng.integers(0, people, problems)
    participant_R = (np.repeat(first_T, 10) + np.tile(np.arange(10) * (people // 10), problems)) % people
    truth_T = rng.integers(0, LEVELS, problems)
    accuracy_N = rng.uniform(0.4, 0.95, people)
    right_R = rng.random(rows) < accuracy_N[participant_R]
    level_R = np.where(right_R, truth_T[problem_R], rng.integers(0, LEVELS, rows))
    order = rng.permutation(rows)
    values_RD = level_R[order, None].astype(float)
    return Responses(participant_R[order], problem_R[order], values_RD), problems, people


def timed(work: Callable[[], Any], runs: int = 1) -> tuple[float, Any]:
    """Seconds of the quickest run, and what it returned."""
    seconds, result = [], None
    for _ in range(runs):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def crowd_kit(method: str, table: pd.DataFrame) -> tuple[float, Any]:
    """Seconds that crowd-kit takes, and its fitted aggregator."""
    import crowdkit.aggregation

    aggregator = getattr(crowdkit.aggregation, THEIRS[method])()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # thousands of deprecation warnings from pandas would count as its time
        return timed(lambda: aggregator.fit(table))


def differences(found: Aggregate, theirs: Any) -> dict[str, float]:
    """The largest difference of a probability, and how many problems are decided differently."""
    expected = theirs.probas_.reindex(columns=range(LEVELS)).sort_index()
    label_T = theirs.labels_.sort_index().to_numpy() + 1.0
    assert found.distribution_TM is not None
    return {
        "largest_difference": float(np.abs(found.distribution_TM[expected.index] - expected.to_numpy()).max()),
        "decided_differently": int((found.decision_TD[expected.index, 0] != label_T).sum()),
    }


def measure(rows: int, full: bool) -> list[dict[str, Any]]:
    """One record per method."""
    responses, problems, people = simulated_labels(rows)
    scale = Ordinal(tuple("12345"))
    columns = {"task": responses.problem_R, "worker": responses.participant_R}
    table = pd.DataFrame(columns | {"label": responses.values_RD[:, 0].astype(int)})
    table = table.sort_values("label")  # on a tie crowd-kit takes the level that stands first, ours the lowest
    records = []
    for method in (*OURS_ONLY, *THEIRS):

        def ours(method: str = method) -> Aggregate:
            return aggregate(responses, scale, problems, people, method)

        seconds, found = timed(ours, runs=3)
        record = {"labels": rows, "method": method, "iterations": found.iterations, "seconds": seconds}
        if method in THEIRS and (full or method != "glad" or rows <= SIZES[0]):
            their_seconds, theirs = crowd_kit(method, table)
            record |= {"crowd_kit_seconds": their_seconds, "ratio": their_seconds / seconds}
            record |= differences(found, theirs)
        records.append(record)
    return records


def show(records: list[dict[str, Any]]) -> None:
    """The records as a table."""
    title = "Seconds per aggregation (flips: problems decided differently)"
    table = Table(title=title, box=box.HORIZONTALS, padding=0)
    for heading in ("labels", "method", "rounds", "crowdllm", "crowd-kit", "ratio", "max diff", "flips"):
        table.add_column(heading, justify="left" if heading == "method" else "right", no_wrap=True)
    for r in records:
        beside = [""] * 4
        if "ratio" in r:
            beside = [f"{r['crowd_kit_seconds']:.2f}", f"{r['ratio']:.1f}"]
            beside += [f"{r['largest_difference']:.1e}", str(r["decided_differently"])]
        table.add_row(f"{r['labels']:,}", r["method"], str(r["iterations"]), f"{r['seconds']:.4f}", *beside)
    Console().print(table)


def main() -> None:
    """Measures, prints, and writes the JSON file where one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--full", action="store_true", help="run crowd-kit's GLAD at a million labels too (minutes)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements to this file")
    arguments = parser.parse_args()
    records = [record for rows in SIZES for record in measure(rows, arguments.full)]
    show(records)
    if arguments.json:
        packages = ("crowdllm", "crowd-kit", "numpy", "scipy", "pandas")
        versions = {name: importlib.metadata.version(name) for name in packages}
        result = {"machine": platform.machine(), "python": platform.python_version(), "versions": versions}
        arguments.json.write_text(json.dumps(result | {"measurements": records}, indent=2) + "\n")


if __name__ == "__main__":
    main()
