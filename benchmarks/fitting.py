"""How long it takes to load and fit a study, and how much memory, as the number of responses grows.

    python benchmarks/fitting.py [--sizes 10000 100000 ...] [--problems T] [--each N] [--format parquet|csv]
                                 [--paper-most R] [--json FILE]
    python benchmarks/fitting.py --offensiveness [--json FILE]

Every size is a study folder of simulated people (the population of `crowdllm.datasets.synthetic`: five levels, two
profile columns) who answer `--each` of the problems, and is measured in a process of its own on one thread:

- load: `load_study`; fit: `fit_crowd` with default settings and the TF-IDF embedding; peak: the most memory that the
  process ever held until then, with `start` what it held before it opened the folder;
- ridge: the row `tfidf-ridge` of the comparisons, fitted on the same study;
- paper: the training loop of `crowdllm-paper` in its variant without an LLM, batches of 256 responses gathered row by
  row; one epoch of the at most 40 it makes. Beyond `--paper-most` responses it is left out, since it holds a row of
  features for each.

`ratio` is the time over that of the size before; proportional growth from 100,000 to 1,000,000 would be 10. With
--offensiveness: the three fits on the data set `offensiveness` (needs the data), the paper's loop to its end.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from crowdllm.data.study import Study
from crowdllm.rng import generator

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
PROBLEMS, EACH, CHUNK = 2_000, 100, 5_000
PERSON_SHARE = 0.5
STUDY_TOML = """title = "Simulated people, {responses} responses"
requirements = "How offensive is this comment?"
simulated = true

[response]
type = "ordinal"
levels = ["1", "2", "3", "4", "5"]

[files]
problems = "problems.csv"
participants = "participants.csv"
responses = "responses.{format}"

[profile.leaning]
kind = "ordinal"
levels = ["lowest", "low", "middle", "high", "highest"]

[profile.region]
kind = "categorical"
levels = ["north", "south", "east", "west"]
"""


def write_study(folder: Path, responses: int, problems: int, each: int, form: str) -> None:
    """A study of `responses` // `each` people, written some thousand people at a time."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq
    from scipy.special import ndtri

    from crowdllm.data.tables import csv_bytes
    from crowdllm.datasets import synthetic

    people = responses // each
    base = synthetic.load(participants=1, problems=problems, per_participant=1)
    below_TM = np.cumsum(synthetic.true_distribution(problems), axis=1)[:, :-1]
    cuts_TM = ndtri(np.clip(below_TM, 1e-12, 1 - 1e-12))
    schema = pa.schema([("participant", pa.string()), ("problem", pa.string()), ("response", pa.string())])
    target = folder / f"responses.{form}"
    writer = pq.ParquetWriter(target, schema) if form == "parquet" else pa_csv.CSVWriter(target, schema)
    ids, leaning, region = [], [], []
    with writer:
        for start in range(0, people, CHUNK):
            rng = generator(start, "benchmark people")
            some = min(CHUNK, people - start)
            trait_N = rng.standard_normal(some)
            asked_NK = np.argpartition(rng.random((some, problems)), each - 1, axis=1)[:, :each]
            own_NK = rng.standard_normal((some, each))
            belief_NK = np.sqrt(PERSON_SHARE) * trait_N[:, None] + np.sqrt(1 - PERSON_SHARE) * own_NK
            level_NK = (belief_NK[..., None] > cuts_TM[asked_NK]).sum(axis=2)
            names = [f"p{start + i:08d}" for i in range(some)]
            columns = [
                pa.array(np.repeat(np.array(names, dtype=object), each), pa.string()),
                pa.array(base.problems.ids[asked_NK.ravel()], pa.string()),
                pa.array(np.array(list("12345"), dtype=object)[level_NK.ravel()], pa.string()),
            ]
            writer.write_table(pa.table(columns, schema=schema))
            ids += names
            leaning.append(np.searchsorted(ndtri(np.arange(1, 5) / 5), trait_N))
            region.append(rng.integers(0, 4, some))
    levels = np.array(["lowest", "low", "middle", "high", "highest"], dtype=object)
    regions = np.array(["north", "south", "east", "west"], dtype=object)
    profiles: dict[str, Any] = {"leaning": levels[np.concatenate(leaning)], "region": regions[np.concatenate(region)]}
    (folder / "participants.csv").write_bytes(csv_bytes({"participant": ids} | profiles))
    (folder / "problems.csv").write_bytes(csv_bytes({"problem": base.problems.ids, "text": base.problems.texts}))
    (folder / "study.toml").write_text(STUDY_TOML.format(responses=responses, format=form), encoding="utf-8")


def peak_mb() -> float:
    """The most memory this process ever held, in MB (10^6 bytes)."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6


def clock() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> dict[str, float]:
    """Seconds on the clock and of the processor."""
    now = clock()
    return {"seconds": round(now[0] - start[0], 3), "cpu_seconds": round(now[1] - start[1], 3)}


def warm_up() -> None:
    """Import what a fit imports, which no study changes."""
    import scipy.stats  # noqa: F401
    import sklearn.decomposition
    import sklearn.feature_extraction.text
    import sklearn.linear_model  # noqa: F401
    import torch

    import crowdllm.belief.training
    import crowdllm.methods.crowdllm_paper
    import crowdllm.methods.ridge  # noqa: F401

    torch.optim.Adam([torch.zeros(1, requires_grad=True)])


def measure(study: Study, paper_epochs: int, paper_most: int) -> dict[str, Any]:
    """The three fits; memory is that after the first, which runs alone."""
    from crowdllm.belief.crowd_model import describe_fit, fit_crowd
    from crowdllm.config import PaperConfig
    from crowdllm.methods.crowdllm_paper import fit_paper
    from crowdllm.methods.ridge import fit_tfidf

    start = clock()
    model = fit_crowd(study)
    found: dict[str, Any] = {"fit": since(start) | {"peak_mb": round(peak_mb())}}
    found["stages"] = {stage: sum(h.stage == stage for h in model.history) for stage in ("search", "fit", "sweep")}
    found["epochs"] = describe_fit(model)["epochs"]
    start = clock()
    fit_tfidf(study, None, "tfidf", 0)
    found["ridge"] = since(start)
    if len(study.responses) <= paper_most:
        done: list[int] = []
        start = clock()
        fit_paper(study, None, PaperConfig(max_epochs=paper_epochs), 0, lambda what, step, total: done.append(step))
        found["paper"] = since(start) | {"epochs": max(done)}
    return found


def child(folder: Path, paper_most: int) -> dict[str, Any]:
    """Load the study in this folder and fit it, in this process."""
    from crowdllm.data.study_folder import load_study

    warm_up()
    before = peak_mb()
    start = clock()
    study = load_study(folder)
    loaded = since(start) | {"peak_mb": round(peak_mb())}
    return {"start_mb": round(before), "load": loaded} | measure(study, 1, paper_most)


def in_child(*arguments: str) -> dict[str, Any]:
    """What this script prints when it is run with these arguments, on one thread."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def offensiveness() -> dict[str, Any]:
    """The data set `offensiveness`, in this process."""
    from crowdllm.experiments.sources import open_study

    warm_up()
    study = open_study("offensiveness").study
    return {"responses": len(study.responses)} | measure(study, 40, 10**9)


def show(records: list[dict[str, Any]]) -> None:
    table = Table(title="Seconds (peak memory in MB) of one process on one thread", box=box.HORIZONTALS, padding=0)
    headings = ("responses", "load", "fit", "µs/response", "ratio", "peak", "ridge", "fit/ridge", "paper epoch")
    for heading in (*headings, "paper µs/response"):
        table.add_column(heading, justify="right", no_wrap=True)
    before = None
    for r in records:
        fit, ridge, paper = r["fit"]["seconds"], r["ridge"]["seconds"], r.get("paper")
        epoch = paper["seconds"] / paper["epochs"] if paper else None
        table.add_row(
            f"{r['responses']:,}",
            f"{r['load']['seconds']:.1f}" if "load" in r else "",
            f"{fit:.1f}",
            f"{1e6 * fit / r['responses']:.1f}",
            f"{fit / before:.1f}" if before else "",
            f"{r['fit']['peak_mb']:,}",
            f"{ridge:.2f}",
            f"{fit / ridge:.0f}",
            f"{epoch:.1f}" if epoch else "",
            f"{1e6 * epoch / r['responses']:.1f}" if epoch else "",
        )
        before = fit
    Console(width=120).print(table)


def main() -> None:
    """Measures, prints, and writes the JSON file where one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of responses")
    parser.add_argument("--problems", type=int, default=PROBLEMS)
    parser.add_argument("--each", type=int, default=EACH, help="responses of a person")
    parser.add_argument("--format", choices=("parquet", "csv"), default="parquet", help="of the responses")
    parser.add_argument("--paper-most", type=int, default=1_000_000, help="most responses for the paper's loop")
    parser.add_argument("--offensiveness", action="store_true", help="measure the data set of this name instead")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements to this file")
    parser.add_argument("--child", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:  # apart, since a process starts with the most memory that its parent ever held
        write_study(arguments.write, arguments.sizes[0], arguments.problems, arguments.each, arguments.format)
        print("{}")
        return
    if arguments.child:
        found = offensiveness() if arguments.offensiveness else child(Path(arguments.child), arguments.paper_most)
        print(json.dumps(found))
        return
    if arguments.offensiveness:
        records = [in_child("--offensiveness", "--child", "none")]
    else:
        records = []
        for responses in arguments.sizes:
            with tempfile.TemporaryDirectory() as folder:
                shape = "--problems", str(arguments.problems), "--each", str(arguments.each)
                in_child("--write", folder, "--sizes", str(responses), *shape, "--format", arguments.format)
                found = in_child("--child", folder, "--paper-most", str(arguments.paper_most))
            records.append({"responses": responses} | found)
            show(records[-1:])
    show(records)
    if arguments.json:
        result = {"machine": platform.machine(), "python": platform.python_version(), "measurements": records}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
