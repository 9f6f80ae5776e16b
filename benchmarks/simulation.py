"""How many decisions a second the simulation makes, beside plain torch and beside the noise alone.

    python benchmarks/simulation.py [--people N] [--ballots N] [--threads N] [--repeats N] [--crowd R] [--json FILE]

In every round each contestant runs once, so that whatever else the machine does slows all of them. Rates are medians
over the rounds, and so are the ratios to the noise, which depend on the machine far less; `per core` is what was made
per second of processor time, which other programs hardly disturb.

- noise: standard normals from the keyed generator, all four words of each block used. A response takes a block of its
  own, so nothing that draws one per response can be much quicker;
- ordinal: every person on every problem (`decide_grid`), one blender draw per response; pairs: the same responses
  asked for one by one, in any order (`decide_pairs`, one thread);
- torch: the same model the straightforward way: batches of pairs, gathered, shifted, cumulative probit probabilities,
  one draw each (float32);
- ballots: 5 of 24 options (made-up utilities);
- write: rows of a Parquet table of responses that are decided already; stream: rows of a whole simulated crowd on
  disk, made by one process; crowd: the same of a crowd large enough for one process per core, their start and the
  tables at the end included, as `crowdllm simulate` makes it. It runs once, in a round of its own with the noise.

The ordinal model is fitted on the data set `offensiveness` (1,500 problems) where it can be had, else on the bundled
demo study, with few epochs and fixed penalties: what is learned has no influence on the speed. Where torch finds a GPU,
noise, ordinal, torch and ballots are measured on it too, with the number of responses that differ from the processor's.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table

from crowdllm.api import fit
from crowdllm.belief.checkpoint import read_meta, save_model
from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.data.profiles import Profiles
from crowdllm.errors import DataUnavailableError
from crowdllm.experiments.demo import open_demo_study
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.ordinal import Ordinal
from crowdllm.rng import generator, normals, stable_keys
from crowdllm.simulation.device import decide_grid_on, words_on
from crowdllm.simulation.engines import Resources
from crowdllm.simulation.grid import GridTerms, PeopleTerms, decide_grid, decide_pairs, grid_terms, people_terms
from crowdllm.simulation.plan import Settings
from crowdllm.simulation.stream import stream_crowd
from crowdllm.simulation.tables import Stamp, column_names, parquet_bytes, response_schema, response_table

QUICK: dict[str, Any] = {"max_epochs": 2, "embedding_penalties": (60.0,), "reference_penalties": (100.0,)}
QUICK |= {"profile_penalties": (80.0,), "effect_variances": (0.3,)}
BATCH, OPTIONS, PICKS = 1 << 16, 24, 5
MADE = {"noise": "normals", "ordinal": "responses", "pairs": "responses", "torch": "responses", "ballots": "ballots"}
MADE |= {"write": "rows", "stream": "rows", "crowd": "rows"}
Contestant = Callable[[], int]
"""Does its work once and returns how many things it made."""


def fitted() -> tuple[str, CrowdModel]:
    """What the model is fitted on, and the model."""
    try:
        return "offensiveness", fit("offensiveness", references="none", **QUICK)
    except DataUnavailableError:
        return "the bundled demo study", fit(open_demo_study().study, "none", **QUICK)


def made_up_ballots(people: int, width: int) -> tuple[GridTerms, PeopleTerms]:
    """One problem of 24 options with random utilities and loadings, and people with random attitudes."""
    rng = generator(0, "benchmark ballots")
    terms = GridTerms(
        response_type=Ballot(PICKS, PICKS, OPTIONS),
        item_TU=np.arange(OPTIONS)[None],
        loadings_IZ=0.5 * rng.standard_normal((OPTIONS, width)),
        base_TP=rng.standard_normal((1, OPTIONS + 1)),
        spread_T=np.ones(1),
        count_T=np.full(1, OPTIONS),
        key_T=stable_keys(["the projects"]),
    )
    return terms, PeopleTerms(rng.standard_normal((people, width)), stable_keys(range(people)))


# --- contestants ------------------------------------------------------------------------------------------------


def noise(rows: int, threads: int) -> Contestant:
    """Standard normals of `rows` keys, four each."""
    problem, parts = stable_keys(["a problem"]), np.array_split(stable_keys(range(rows)), threads)

    def run() -> int:
        with ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(lambda part: normals(0, "noise", part, problem, 4).size, parts))

    return run


def torch_batches(
    terms: GridTerms, people: PeopleTerms, pairs: int, device: str = "cpu", batch: int = BATCH
) -> Iterator[torch.Tensor]:
    """Levels by plain torch: gather a batch of pairs, shift, probabilities of the levels, one draw each."""
    kind, single = terms.response_type, torch.float32
    assert isinstance(kind, Ordinal)
    loading_IZ, base_TP, spread_T, attitude_NZ = (
        torch.from_numpy(a).to(device, single)
        for a in (terms.loadings_IZ, terms.base_TP, terms.spread_T, people.attitude_NZ)
    )
    item_T, random = torch.from_numpy(terms.item_TU[:, 0]).to(device), torch.Generator(device).manual_seed(0)
    for pair_B in torch.arange(pairs, device=device).split(batch):
        i, t = pair_B % len(attitude_NZ), pair_B // len(attitude_NZ) % len(base_TP)
        shift_BU = (loading_IZ[item_T[t]] * attitude_NZ[i]).sum(-1, keepdim=True)
        shares_BM = kind.probabilities(kind.shifted(base_TP[t], shift_BU, spread_T[t]))
        uniform_B1 = torch.rand(len(pair_B), 1, generator=random, device=device)
        yield (uniform_B1 > shares_BM.cumsum(-1)[:, :-1]).sum(-1).to(torch.uint8)


def count_of(batches: Callable[[], Iterator[torch.Tensor]]) -> Contestant:
    """Makes all batches, and waits for them."""
    return lambda: len(torch.cat(list(batches())).cpu())


def written(model: CrowdModel, crowd: Profiles, terms: GridTerms, people: PeopleTerms, rows: int) -> Contestant:
    """A Parquet table of responses that are decided already, in row groups as those of `stream_crowd`."""
    kind, problems = model.response_type, model.items.problems
    step = max(1, min((1 << 20) // len(people), len(terms)))
    compact_TN = decide_grid(terms.take(slice(0, step)), people, 0).swapaxes(0, 1)
    problem_R, person_R = np.divmod(np.arange(compact_TN.size), len(people))
    schema = response_schema(kind, column_names(kind, problems, model.encoder.columns))
    stamp = Stamp("0" * 64, 0, "0" * 16)

    def run() -> int:
        groups = -(-rows // len(problem_R))
        tables = (
            response_table(kind, problems, crowd, person_R, problem_R, compact_TN.reshape(-1), stamp, schema)
            for _ in range(groups)
        )
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "responses.parquet").write_bytes(parquet_bytes(tables, schema, stamp.metadata(0)))
        return groups * len(problem_R)

    return run


def streamed(model: CrowdModel, people: int) -> Contestant:
    """A whole crowd on disk: recruited, decided, written, counted."""

    def run() -> int:
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings(participants=people)
            return stream_crowd(model, {"model_hash": "0" * 64}, model.items, settings, Path(folder) / "crowd").stored

    return run


def crowd_on_disk(model: CrowdModel, people: int, workers: int) -> Contestant:
    """A whole crowd on disk, made by several processes."""

    def run() -> int:
        with tempfile.TemporaryDirectory() as folder:
            home, out = Path(folder) / "model", Path(folder) / "crowd"
            save_model(model, home)
            settings, resources = Settings(participants=people), Resources(home, workers)
            return stream_crowd(model, read_meta(home), model.items, settings, out, resources=resources).stored

    return run


def on_the_gpu(terms: GridTerms, people: PeopleTerms, ballots: tuple[GridTerms, PeopleTerms]) -> dict[str, Contestant]:
    """The contestants that also run on a GPU; each waits until the GPU is done."""
    low = torch.arange(1 << 22, device="cuda")
    zero, key = torch.zeros_like(low), torch.ones(1, dtype=torch.int64, device="cuda")

    def gpu_noise() -> int:
        words = torch.stack(words_on((low, zero, zero), (key, key)))
        return int(torch.special.ndtri((words.double() + 0.5) * 2.0**-32).isfinite().sum())

    def decided(work: tuple[GridTerms, PeopleTerms]) -> Contestant:
        def run() -> int:
            out = decide_grid_on(*work, 0)
            torch.cuda.synchronize()
            return out.shape[0] * out.shape[1]

        return run

    return {
        "gpu noise": gpu_noise,
        "gpu ordinal": decided((terms, people)),
        "gpu torch": count_of(lambda: torch_batches(terms, people, 1 << 24, "cuda", 1 << 22)),
        "gpu ballots": decided(ballots),
    }


def mismatches(terms: GridTerms, people: PeopleTerms) -> int:
    """How many responses the GPU decides differently."""
    return int((decide_grid_on(terms, people, 0).cpu().numpy() != decide_grid(terms, people, 0)).sum())


# --- measuring --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One run of a contestant: how many things it made per second, and per second of processor time."""

    rate: float
    per_core: float


def rounds(contestants: dict[str, Contestant], repeats: int, uncounted: int = 1) -> dict[str, list[Run]]:
    """Each contestant's runs; the rounds before the first `repeats` are not counted."""
    runs: dict[str, list[Run]] = {name: [] for name in contestants}
    for round_ in range(1 - uncounted, repeats + 1):
        for name, work in contestants.items():
            start, busy = time.perf_counter(), time.process_time()
            made = work()
            run = Run(made / (time.perf_counter() - start), made / (time.process_time() - busy))
            if round_ > 0:
                runs[name].append(run)
    return runs


def summary(runs: dict[str, list[Run]]) -> list[dict[str, Any]]:
    """Per contestant the median rates and the median of its ratios to the noise (of the same device)."""
    records = []
    for name, own in runs.items():
        limit = runs["gpu noise" if name.startswith("gpu") else "noise"]
        record = {
            "what": name,
            "per_second": statistics.median(run.rate for run in own),
            "per_core_second": statistics.median(run.per_core for run in own),
            "to_noise": statistics.median(a.rate / b.rate for a, b in zip(own, limit, strict=True)),
            "rounds": [run.rate for run in own],
        }
        records.append(record)
    return records


def show(records: list[dict[str, Any]], title: str) -> None:
    """The records as a table."""
    table = Table(title=title, box=box.HORIZONTALS, padding=0)
    for heading in ("what", "made", "million/s", "per core", "to noise"):
        table.add_column(heading, justify="left" if heading in ("what", "made") else "right", no_wrap=True)
    for r in records:
        rates = (f"{r[key] / 1e6:.2f}" if r[key] else "" for key in ("per_second", "per_core_second"))
        table.add_row(r["what"], MADE[r["what"].split()[-1]], *rates, f"{r['to_noise']:.2f}")
    Console().print(table)


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--people", type=int, default=8192, metavar="N", help="people who answer all problems")
    parser.add_argument("--ballots", type=int, default=100_000, metavar="N", help="people who cast a ballot")
    parser.add_argument("--pairs", type=int, default=1 << 20, metavar="N", help="pairs, and a quarter of the rows")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="rounds that are counted")
    parser.add_argument("--crowd", type=int, default=200_000_000, metavar="R", help="rows of the large crowd")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements to this file")
    return parser.parse_args()


def main() -> None:
    """Measures, prints, and writes the JSON file where one is asked for."""
    asked = arguments()
    data, model = fitted()
    torch.set_num_threads(asked.threads)
    crowd = model.recruit(asked.people, 0)
    terms, people = grid_terms(model, model.items), people_terms(model, crowd, 0)
    ballots = made_up_ballots(asked.ballots, len(terms.reach_Z))
    pair_R = generator(0, "benchmark pairs").integers(len(terms) * len(people), size=asked.pairs)
    person_R, problem_R = pair_R % len(people), pair_R // len(people)
    contestants: dict[str, Contestant] = {
        "noise": noise(asked.pairs, asked.threads),
        "ordinal": lambda: decide_grid(terms, people, 0, asked.threads).size,
        "pairs": lambda: decide_pairs(terms, people, person_R, problem_R, 0).size,
        "torch": count_of(lambda: torch_batches(terms, people, asked.pairs)),
        "ballots": lambda: len(decide_grid(*ballots, 0, asked.threads)),
        "write": written(model, crowd, terms, people, 4 * asked.pairs),
        "stream": streamed(model, max(1, 4 * asked.pairs // len(terms))),
    }
    gpu = torch.cuda.is_available()
    contestants |= on_the_gpu(terms, people, ballots) if gpu else {}
    runs = rounds(contestants, asked.repeats)
    large = crowd_on_disk(model, max(1, asked.crowd // len(terms)), asked.threads)
    alone = rounds({"noise": contestants["noise"], "crowd": large}, 1, uncounted=0)
    large_record = summary(alone)[1] | {"per_core_second": None}  # its work is that of other processes
    records = [*summary(runs), large_record]
    show(records, f"Fitted on {data}: {len(people):,} people x {len(terms):,} problems, {asked.threads} threads")
    differ = {"ordinal": mismatches(terms, people), "ballots": mismatches(*ballots)} if gpu else {}
    for name, wrong in differ.items():
        print(f"{name}: the GPU decides {wrong} responses differently")
    if asked.json:
        packages = ("crowdllm", "numpy", "scipy", "torch", "pyarrow")
        result: dict[str, Any] = {
            "machine": platform.machine(),
            "python": platform.python_version(),
            "versions": {name: importlib.metadata.version(name) for name in packages},
            "gpu": torch.cuda.get_device_name() if gpu else None,
            "gpu_mismatches": differ,
            "data": data,
            "sizes": {"people": len(people), "problems": len(terms)}
            | {name: getattr(asked, name) for name in ("ballots", "pairs", "crowd")},
            "threads": asked.threads,
            "measurements": records,
        }
        asked.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
