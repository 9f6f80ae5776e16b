"""`reproduce(plan)`: open the data, do what is not done yet in several processes, and write the page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from crowdllm.datasets import CARDS, load_dataset
from crowdllm.datasets.card import DatasetCard
from crowdllm.experiments.comparison import COLUMNS
from crowdllm.experiments.reproduce import pictures
from crowdllm.experiments.reproduce.amazon import require_files
from crowdllm.experiments.reproduce.plan import Reproduction, Settings
from crowdllm.experiments.reproduce.processes import Done, Task, work_through
from crowdllm.experiments.reproduce.remaining import Kind, status
from crowdllm.experiments.reproduce.rows import runnable
from crowdllm.experiments.reproduce.timings import keep_session, keep_timing, read_sessions, read_timings
from crowdllm.experiments.reproduce.units import OpenedRun, claim, collect, do_unit, is_done, reasons, units
from crowdllm.experiments.results_folder import write_csv
from crowdllm.experiments.sources import Opened, open_references
from crowdllm.registry import lookup

Progress = Callable[[str, int, int], None]
Note = Callable[[str], None]


@dataclass(frozen=True)
class Results:
    """Everything the page is made of.

    tables: per run its scores in long form. left_out: lines on what is not in them, and why. seconds: what every
    finished unit took. sessions: wall-clock seconds and number of workers of each time the command ran.
    """

    plan: Reproduction
    opened: dict[str, OpenedRun]
    tables: dict[str, pd.DataFrame]
    left_out: tuple[str, ...]
    seconds: dict[Kind, list[float]]
    sessions: tuple[tuple[float, int], ...]
    card: DatasetCard
    command: str
    settings: Settings


def reproduce(
    plan: Reproduction, settings: Settings, out: Path, workers: int, command: str = "",
    progress: Progress | None = None, note: Note | None = None,
) -> Results:  # fmt: skip
    """Run what is not done yet; `out` then holds `metrics.csv` (with a column `run`) and one folder per run.

    The same call continues what was stopped. Raises CrowdLLMError where `out` holds something else, the data are not
    there, or the embedding cannot be had.
    """
    lines: list[str] = []

    def say(line: str) -> None:
        if line not in lines:
            lines.append(line)
            if note:
                note(line)

    plan = runnable(plan, say)
    opened = open_runs(plan, settings, out, say)
    for run in opened.values():
        claim(run)
    tasks = _tasks(plan, opened)
    taken = read_timings(out)
    _do(tasks, taken, workers, out, progress, say)
    for run in opened.values():
        for method, found in reasons(run).items():
            total = sum(unit.method == method for unit in units(run.run.comparison, run.run.protocol))
            where = "" if len(found) == total else f" for {len(found)} of {total} splits"
            say(f"{method} left out of {run.run.key!r}{where}: {found[0][1]}")
    tables = {key: collect(run) for key, run in opened.items()}
    union = [table.assign(run=key)[["run", *COLUMNS]] for key, table in tables.items() if len(table)]
    write_csv(
        pd.concat(union, ignore_index=True) if union else pd.DataFrame(columns=["run", *COLUMNS]), out / "metrics.csv"
    )
    card: DatasetCard = lookup(CARDS, plan.dataset, "data set")
    return Results(plan, opened, tables, tuple(lines), read_timings(out), read_sessions(out), card, command, settings)


def open_runs(plan: Reproduction, settings: Settings, out: Path, say: Note) -> dict[str, OpenedRun]:
    """The data of every run; one study for all, and references once per name."""
    from crowdllm.datasets.amazon import amazon_review_texts
    from crowdllm.embedding import TFIDF, fit_embedder

    if plan.dataset.startswith("amazon_"):
        require_files(plan.dataset)
    if settings.embedding != TFIDF:
        fit_embedder(settings.embedding, ["a text"]).embed(["a text"])  # fails now rather than in an hour
    # the data set itself, also where a folder of that name lies here
    source = Opened(load_dataset(plan.dataset), plan.dataset, dataset=plan.dataset)
    known = {names: open_references(source, names) for names in dict.fromkeys(run.references for run in plan.runs)}
    for references in known.values():
        for line in references.report() if references else ():
            say(f"references: {line}")
    texts: tuple[str, ...] = ()
    if any(run.protocol == "reviewers" for run in plan.runs):
        texts = amazon_review_texts(plan.dataset)
    return {
        run.key: OpenedRun(
            run,
            plan.dataset,
            source.study,
            known[run.references],
            out / "runs" / run.key,
            texts if run.protocol == "reviewers" else (),
        )
        for run in plan.runs
    }


def _tasks(plan: Reproduction, opened: dict[str, OpenedRun]) -> list[Task]:
    """What is not done yet: whole splits of the first section first, pictures last."""
    tasks = []
    for key, run in opened.items():
        for unit in units(run.run.comparison, run.run.protocol):
            if not is_done(run, unit):
                fraction = "" if unit.fraction == 1 else f", {unit.fraction:.0%} of the people"
                name = f"{key}: {unit.method}, seed {unit.seed}{fraction}"
                tasks.append(Task((key, unit.method), name, do_unit, (run, unit)))
    for method in plan.pictured:
        run = opened[plan.pictured_run]
        if not pictures.shares_path(run, method).exists():
            name = f"picture: {method}"
            tasks.append(Task(("picture", method), name, pictures.write_shares, (run, method)))
    return tasks


def _do(
    tasks: Sequence[Task], taken: dict[Kind, list[float]], workers: int, out: Path, progress: Progress | None, say: Note
) -> None:
    """Work through the tasks; show what is left; keep how long each took, and the whole, even when stopped."""
    if not tasks:
        return
    started = time.perf_counter()
    left = [task.kind for task in tasks]
    if progress:
        progress(status("starting", left, taken, workers), 0, len(tasks))
    try:
        for count, done in enumerate(work_through(tasks, workers), start=1):
            left.remove(done.task.kind)
            if not done.said:
                taken.setdefault(done.task.kind, []).append(done.seconds)
                keep_timing(out, done.task.kind, done.seconds)
            _explain(done, say)
            if progress:
                progress(status(done.task.name, left, taken, workers), count, len(tasks))
    finally:
        keep_session(out, time.perf_counter() - started, workers)


def _explain(done: Done, say: Note) -> None:
    """Lines on what is written down as left out come from there; the rest is said here."""
    action_writes_it = done.task.action is do_unit and is_done(*done.task.arguments)
    if done.said and not action_writes_it:
        what = "the picture" if done.task.kind[0] == "picture" else repr(done.task.kind[0])
        say(f"{done.task.kind[1]} left out of {what}: {done.said}")
