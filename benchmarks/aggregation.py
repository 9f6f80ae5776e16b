"""How long the aggregators take and how much memory, beside crowd-kit's on the same labels, and how results differ.

    python benchmarks/aggregation.py [--sizes 100000 1000000 ...] [--theirs-most R] [--full] [--json FILE]

The labels: simulated answers on five levels, ten per problem and about 500 per participant, who knows the right
answer with a probability of .4 to .95 and answers anything otherwise; nobody answers a problem twice. Every
measurement is a process of its own on one thread. Seconds are those of the best of three runs for ours up to a million
labels, else of one run; crowd-kit's are without the time it takes to build its table. Memory is what the process ever
held more than when it held the labels (crowd-kit: its table) and nothing else; MB are 10^6 bytes.
At a million labels crowd-kit's GLAD takes minutes and runs only with --full. Needs `pip install 'crowdllm[test]'`.

GLAD's probabilities may differ by some 1e-3: its M-steps stop before the optimum, and crowd-kit's own move by
as much when its table is reordered.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from crowdllm.aggregation import aggregate
from crowdllm.data.responses import Responses
from crowdllm.responses.ordinal import Ordinal
from crowdllm.rng import generator

SIZES = (100_000, 1_000_000, 10_000_000)
LEVELS = 5
SCALE = Ordinal(tuple("12345"))
THEIRS = {"majority_vote": "MajorityVote", "dawid_skene": "DawidSkene", "glad": "GLAD"}
OURS_ONLY = ("mean", "median")
GLAD_MOST = 100_000  # labels for crowd-kit's GLAD unless --full
FIELDS = ("participant", "problem", "level")


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


def peak_mb() -> float:
    """The most memory this process ever held, in MB (10^6 bytes)."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6


def measure_ours(folder: Path, method: str, runs: int) -> dict[str, Any]:
    participant_R, problem_R, level_R = (np.load(folder / f"{field}.npy") for field in FIELDS)
    responses = Responses(participant_R, problem_R, level_R[:, None])
    problems, people = int(problem_R.max()) + 1, int(participant_R.max()) + 1
    aggregate(responses.take(np.arange(1000)), SCALE, problems, people, method)  # imports what it needs
    before = peak_mb()
    seconds, found = timed(lambda: aggregate(responses, SCALE, problems, people, method), runs)
    if method in THEIRS:
        np.savez(folder / f"{method}-ours.npz", shares=found.distribution_TM, decided=found.decision_TD[:, 0])
    return {"seconds": seconds, "mb": peak_mb() - before, "iterations": found.iterations}


def measure_theirs(folder: Path, method: str) -> dict[str, Any]:
    """crowd-kit's seconds and memory; its results go beside ours, in our order of problems and levels."""
    import crowdkit.aggregation
    import pandas as pd

    participant_R, problem_R, level_R = (np.load(folder / f"{field}.npy") for field in FIELDS)
    columns = {"task": problem_R, "worker": participant_R, "label": level_R.astype(int)}
    # on a tie crowd-kit takes the level that stands first, ours the lowest
    table = pd.DataFrame(columns).sort_values("label")
    aggregator = getattr(crowdkit.aggregation, THEIRS[method])
    problems = int(problem_R.max()) + 1
    del participant_R, problem_R, level_R, columns
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # thousands of deprecation warnings from pandas would count as its time
        aggregator().fit(table[:1000])
        before = peak_mb()
        seconds, fitted = timed(lambda: aggregator().fit(table))
    most = peak_mb() - before
    shares_TM = fitted.probas_.reindex(index=range(problems), columns=range(LEVELS)).to_numpy()
    label_T = fitted.labels_.reindex(range(problems)).to_numpy() + 1.0
    np.savez(folder / f"{method}-theirs.npz", shares=shares_TM, decided=label_T)
    return {"crowd_kit_seconds": seconds, "crowd_kit_mb": most}


def differences(folder: Path, method: str) -> dict[str, float]:
    """The largest difference of a probability, and how many problems are decided differently."""
    ours, theirs = (np.load(folder / f"{method}-{whose}.npz") for whose in ("ours", "theirs"))
    known_T = ~np.isnan(theirs["decided"])
    gap_TM = np.abs(ours["shares"] - np.nan_to_num(theirs["shares"]))[known_T]
    flips = (ours["decided"] != theirs["decided"])[known_T]
    return {"largest_difference": float(gap_TM.max()), "decided_differently": int(flips.sum())}


def in_child(*arguments: str) -> dict[str, Any]:
    """What this script prints when it is run with these arguments, on one thread."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def child(task: str, folder: Path, method: str, rows: int) -> dict[str, Any]:
    """One measurement, or the labels for those to come."""
    if task == "write":
        responses, _, _ = simulated_labels(rows)
        arrays = responses.participant_R, responses.problem_R, responses.values_RD[:, 0]
        for field, array in zip(FIELDS, arrays, strict=True):
            np.save(folder / f"{field}.npy", array)
        return {}
    return measure_ours(folder, method, 3 if rows <= 10**6 else 1) if task == "ours" else measure_theirs(folder, method)


def measure(rows: int, theirs_most: int, full: bool) -> list[dict[str, Any]]:
    """One record per method."""
    records = []
    with tempfile.TemporaryDirectory() as place:
        in_child("--child", "write", place, "none", str(rows))
        for method in (*OURS_ONLY, *THEIRS):
            record: dict[str, Any] = {"labels": rows, "method": method} | in_child(
                "--child", "ours", place, method, str(rows)
            )
            most = GLAD_MOST if method == "glad" and not full else theirs_most
            if method in THEIRS and rows <= most:
                record |= in_child("--child", "theirs", place, method, str(rows))
                record["ratio"] = record["crowd_kit_seconds"] / record["seconds"]
                record |= differences(Path(place), method)
            records.append(record)
            show(records[-1:])
    return records


def show(records: list[dict[str, Any]]) -> None:
    """The records as a table."""
    title = "Seconds and MB per aggregation (flips: problems decided differently)"
    table = Table(title=title, box=box.HORIZONTALS, padding=0)
    headings = ("labels", "method", "rounds", "crowdllm", "MB", "crowd-kit", "MB", "ratio", "max diff", "flips")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "method" else "right", no_wrap=True)
    for r in records:
        beside = [""] * 5
        if "ratio" in r:
            beside = [f"{r['crowd_kit_seconds']:.2f}", f"{r['crowd_kit_mb']:,.0f}", f"{r['ratio']:.1f}"]
            beside += [f"{r['largest_difference']:.1e}", str(r["decided_differently"])]
        ours = [f"{r['seconds']:.3f}", f"{r['mb']:,.0f}"]
        table.add_row(f"{r['labels']:,}", r["method"], str(r["iterations"]), *ours, *beside)
    Console(width=110).print(table)


def main() -> None:
    """Measures, prints, and writes the JSON file where one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of labels")
    parser.add_argument("--theirs-most", type=int, default=SIZES[1], metavar="R", help="most labels for crowd-kit")
    parser.add_argument("--full", action="store_true", help="run crowd-kit's GLAD on more than 100,000 labels too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements to this file")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        task, folder, method, rows = arguments.child
        print(json.dumps(child(task, Path(folder), method, int(rows))))
        return
    records = [r for rows in arguments.sizes for r in measure(rows, arguments.theirs_most, arguments.full)]
    show(records)
    if arguments.json:
        packages = ("crowdllm", "crowd-kit", "numpy", "scipy", "pandas")
        versions = {name: importlib.metadata.version(name) for name in packages}
        result = {"machine": platform.machine(), "python": platform.python_version(), "versions": versions}
        arguments.json.write_text(json.dumps(result | {"measurements": records}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
