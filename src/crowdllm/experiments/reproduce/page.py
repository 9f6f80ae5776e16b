"""Turn the results of a reproduction into its page: HTML and Markdown, with the pictures beside it."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pandas as pd

from crowdllm import __version__
from crowdllm.evaluation.intervals import mean_interval
from crowdllm.experiments.comparison import COLUMNS, FLOOR
from crowdllm.experiments.reproduce import pictures
from crowdllm.experiments.reproduce.measures import (
    CROWD,
    HEIGHTS,
    HEIGHTS_MEASURES,
    OPTIONS,
    PEOPLE,
    Column,
    aggregator_columns,
    columns_of,
    known_columns,
    measure_of,
    unknown_metrics,
)
from crowdllm.experiments.reproduce.plan import Section
from crowdllm.experiments.reproduce.remaining import in_words
from crowdllm.experiments.reproduce.rows import ROWS, label
from crowdllm.experiments.reproduce.run import Results
from crowdllm.experiments.reproduce.tables import (
    Line,
    Scores,
    at_size,
    fraction_table,
    present_columns,
    printed_table,
    result_table,
    side_by_side,
)
from crowdllm.report.fractions_figure import Curve, draw_fractions
from crowdllm.report.method_distributions import draw_methods
from crowdllm.report.page import Block, Command, Figure, Lines, Page, Part, Text, write_page
from crowdllm.report.rows_figure import Panel, draw_rows
from crowdllm.responses.ordinal import Ordinal

PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn", "torch", "catboost", "sentence-transformers")
READING = (
    "Each number is the mean over random splits ± half of its 95 % interval (Student t over splits; the splits share "
    "people and problems, so it says how much a result depends on the split). Dark: the best row of a column. Light: "
    "rows not told apart from it, their paired difference over the same splits covering 0. The human floor is what a "
    "perfect model would still score, since the people it is compared with are a finite sample; it does not compete. "
    "What each metric is: docs/fidelity.md."
)
OWN_REVIEWERS = "the products' own reviewers"
KNOWN_NOTE = (
    "Rows without numbers for known answers cannot use them. The same answers are predicted in every column; which are "
    "known is drawn at random."
)
KEPT_APART = (
    "Kept apart from avg_wd, because it is no distance on the scale: it compares the heights of the bars as two sorted "
    "lists, whichever answers they belong to, and is 0 for histograms that are rearrangements of one another."
)


def write_results(results: Results, out: Path) -> tuple[Path, Path]:
    """Draw the pictures into `out/figures` and write `out/index.html` and `out/index.md`."""
    plan = results.plan
    parts = [Part(section.title, tuple(_section(section, results, out))) for section in plan.sections]
    distributions = tuple(_distributions(results, out))
    if distributions:
        parts.insert(1, Part("Distributions", distributions))
    parts.append(Part("What is not comparable, and why", (Lines(plan.not_comparable),)))
    missing = results.left_out or ("Nothing.",)
    parts.append(Part("Notes of this run, and what was left out", (Lines(missing),)))
    parts.append(Part("What was run", tuple(_what_was_run(results))))
    lead = (Text(results.card.description + "."), Text(READING), *(Text(note) for note in plan.notes))
    return write_page(Page(f"Reproduction: {plan.title}", lead, tuple(parts)), out)


def section_scores(section: Section, results: Results) -> pd.DataFrame:
    """The scores of the section's runs, with the rows it borrows."""
    tables = [_named(results, run.key) for run in section.runs]
    if section.borrowed is not None:
        key, names = section.borrowed
        for other in results.plan.sections:
            if other.key == key:
                lent = pd.concat([_named(results, run.key) for run in other.runs], ignore_index=True)
                tables.append(lent[lent["method"].isin(names)])
    full = [table for table in tables if len(table)]
    return pd.concat(full, ignore_index=True) if full else pd.DataFrame(columns=COLUMNS)


def _named(results: Results, key: str) -> pd.DataFrame:
    """The run's scores with its references in a few words."""
    opened = results.opened[key]
    table = results.tables[key]
    few = table["references"].str.count(r"\+") <= 1
    return table.assign(references=table["references"].where(few, opened.run.references))


def _section(section: Section, results: Results, out: Path) -> Iterator[Block]:
    yield Text(section.words)
    table = section_scores(section, results)
    if not len(table):
        yield Text("No row of this section could be computed; see the notes below.")
        return
    first = section.runs[0].comparison
    splits = f"split {first.split!r}, {first.test_fraction:.0%} held out, {_count(len(first.seeds), 'random split')}"
    yield Text(f"{splits[0].upper()}{splits[1:]}. {_scored_problems(table)}")
    if section.by_fraction:
        yield from _fractions(section, table, results, out)
        return
    if section.printed is not None:
        columns = [(c.metric, c.aggregator) for c in section.printed.columns]
        size = section.printed.crowd_size
        crowd = f"crowd of {size}" if size else OWN_REVIEWERS
        caption = f"Measured here, in the columns of the paper's {section.printed.table}: {crowd}"
        yield result_table(at_size(table, size), columns, caption, names=[c.label for c in section.printed.columns])
        yield printed_table(section.printed)
    yield from _tables(table)
    yield from _picture_of_rows(section, table, results, out)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _scored_problems(table: pd.DataFrame) -> str:
    counts = table[table["metric"] == "problems"]["value"].astype(float)
    counts = counts[counts > 0]
    if not len(counts):
        return ""
    least, most = int(counts.min()), int(counts.max())
    how_many = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return f"Problems scored per split and row: {how_many}."


def _tables(table: pd.DataFrame) -> Iterator[Block]:
    """All metrics at each crowd size, then people, known answers, aggregators, and wd_heights on their own."""
    sizes = sorted(int(s) for s in table["crowd_size"].unique() if s > 0) or [0]
    parts = [(at_size(table, size), f"crowd of {size:,}" if size else OWN_REVIEWERS) for size in sizes]
    for part, crowd in parts:
        present = present_columns(part)
        yield result_table(part, columns_of([*CROWD, *OPTIONS], present), f"All rows, {crowd}")
    for part, crowd in parts:
        columns = columns_of(PEOPLE, present_columns(part))
        if [c for c in columns if c[0] != "dispersion"] or (columns and part is parts[-1][0]):
            yield result_table(part, columns, f"Simulated people and groups of them, {crowd}")
    columns = known_columns(present_columns(table))
    if columns:
        yield result_table(
            at_size(table, 0), columns, "Held-out people of whom some other answers are known", KNOWN_NOTE
        )
    for part, crowd in parts:
        columns = aggregator_columns(present_columns(part))
        if columns:
            yield result_table(part, columns, f"Errors of the decision by aggregator, {crowd}")
    for metric, measure in HEIGHTS_MEASURES.items():
        found = {crowd: part for part, crowd in parts if (metric, "") in present_columns(part)}
        if found:
            note = KEPT_APART if metric == HEIGHTS else ""
            yield side_by_side(found, (metric, ""), f"{metric}: {measure.words}", note)


def _fractions(section: Section, table: pd.DataFrame, results: Results, out: Path) -> Iterator[Block]:
    present = present_columns(table)
    columns = [c for c in [*_compared(results, table), ("nll", "")] if c in present]
    for column in dict.fromkeys(columns):
        yield fraction_table(table, column)
    shares = sorted(float(f) for f in table["train_fraction"].unique())
    by_share = {share: Scores.of(table[table["train_fraction"] == share]) for share in shares}
    panels = []
    for column in dict.fromkeys(columns):
        curves = [_curve(by_share, line, column) for line in Scores.of(table).lines if line.method != FLOOR]
        panels.append((column[0], [curve for curve in curves if curve.share]))
    if panels and panels[0][1]:
        path = draw_fractions(panels, out / "figures" / f"{section.key}.svg")
        words = (
            "Lines of each metric against the share of training people, one per method; the numbers are in the tables."
        )
        yield Figure(path, "Less human data to learn from: mean over splits, with 95 % intervals.", words)


def _curve(by_share: dict[float, Scores], line: Line, column: Column) -> Curve:
    found = []
    for share, scores in by_share.items():
        values = scores.known(line, column)
        if values:
            interval = mean_interval(values)
            found.append((share, interval.mean, interval.low, interval.high))
    share_F, mean_F, low_F, high_F = zip(*found, strict=True) if found else ((), (), (), ())
    return Curve(line.method, share_F, mean_F, low_F, high_F)


def _compared(results: Results, table: pd.DataFrame) -> list[Column]:
    """The plan's metrics, with the aggregator they have here."""
    present = present_columns(table)
    return [(m, a) for m in results.plan.compare_by for a in ("mean", "") if (m, a) in present]


def _picture_of_rows(section: Section, table: pd.DataFrame, results: Results, out: Path) -> Iterator[Block]:
    size = max(int(s) for s in table["crowd_size"].unique())
    part = at_size(table, size)
    scores = Scores.of(part)
    panels = []
    for column in _compared(results, part):
        rows, floor = [], float("nan")
        for line in scores.lines:
            values = scores.known(line, column)
            if line.method == FLOOR:
                floor = float(np.mean(values)) if values else floor
            elif values:
                interval = mean_interval(values)
                rows.append((line.name, interval.mean, interval.low, interval.high))
        if rows:
            measure = measure_of(column[0])
            aim = {"low": "lower is better", "high": "higher is better", "at": ""}[measure.aim] if measure else ""
            panels.append(Panel(f"{column[0]}\n({aim})" if aim else column[0], tuple(rows), floor))
    if panels:
        path = draw_rows(panels, out / "figures" / f"{section.key}.svg")
        crowd = f"crowd of {size:,}" if size else OWN_REVIEWERS
        shown = ", ".join(panel.title.partition("\n")[0] for panel in panels)
        words = f"Points with intervals for {shown}; the numbers are in the tables above."
        yield Figure(
            path, f"Rows with their 95 % intervals, {crowd}; dotted: the human floor, where there is one.", words
        )


def _distributions(results: Results, out: Path) -> Iterator[Block]:
    plan = results.plan
    if plan.pictured_run not in results.opened:
        return
    opened = results.opened[plan.pictured_run]
    shares = {method: pictures.read_shares(opened, method) for method in plan.pictured}
    drawn = {method: s for method, s in shares.items() if s is not None}
    if not drawn:
        return
    human_TM, ids, texts = pictures.human_shares(opened)
    kind = opened.study.response_type
    width = human_TM.shape[1]
    labels = list(kind.levels) if isinstance(kind, Ordinal) else [str(m + 1) for m in range(width)]
    titles = texts if plan.show_texts else [f"problem {i}" for i in ids]
    path = draw_methods(human_TM, drawn, labels, titles, out / "figures" / "distributions.svg")
    caption = (
        f"Grey bars: the held-out humans of the first split. Blue: {pictures.PEOPLE:,} simulated people of each "
        "method, on problems chosen by how the humans answered (low, middle, high), not by how well a method does. "
        f"Problems {', '.join(ids)}."
        if isinstance(kind, Ordinal)
        else "Grey bars: the held-out humans of the first split, options in the order of their votes, by number. "
        f"Blue: {pictures.PEOPLE:,} simulated people of each method."
    )
    words = f"Histograms of human and simulated responses for {', '.join(drawn)}."
    yield Figure(path, caption, words)
    options = opened.study.problems.options[0] if len(ids) == 1 and plan.show_texts else ()
    if options:
        yield Lines(tuple(f"{m}: {option}" for m, option in enumerate(options, start=1)))


def _what_was_run(results: Results) -> Iterator[Block]:
    plan, settings = results.plan, results.settings
    if results.command:
        yield Command(results.command)
    study = next(iter(results.opened.values())).study
    card = results.card
    references = dict.fromkeys(run.references for run in plan.runs)
    lines = [
        f"Data: {card.description}; {card.url}. Licence: {card.licence}. Checksums: {card.checksums}.",
        f"Study: {study.title}, {study.describe()} (N people, T problems, R responses).",
        f"Seeds: {', '.join(map(str, settings.seed_list))}. Embedding: {settings.embedding}. Reference sets: "
        f"{', '.join(references)}.",
        *(f"Note on the data: {note}" for note in card.notes),
        f"Versions: crowdllm {__version__}, Python {platform.python_version()}, {', '.join(_versions())}, on "
        f"{platform.system()} {platform.machine()}.",
        _time_taken(results),
        "metrics.csv holds every number of this page in long form: one row per run, split, method, crowd size, "
        "aggregator, seed and metric.",
    ]
    if settings.quick:
        lines.insert(0, "This is a quick run: few splits and training fractions, to see that it works. Not for citing.")
    extra = sorted({m for table in results.tables.values() for m in unknown_metrics(present_columns(table))})
    if extra:
        lines.append(f"In metrics.csv only: {', '.join(extra)}.")
    yield Lines(tuple(lines))
    present = dict.fromkeys(str(m) for table in results.tables.values() for m in table["method"])
    shown = [*(m for m in ROWS if m in present), *(m for m in present if m not in ROWS)]
    yield Text("The rows:")
    yield Lines(tuple(f"{m}: {label(m)}" if label(m) else str(m) for m in shown))
    yield Text("The metrics:")
    metrics = {m for table in results.tables.values() for m in table["metric"]}
    order = [*CROWD, *OPTIONS, *PEOPLE, *HEIGHTS_MEASURES]
    known = sorted((m for m in metrics if m not in order and measure_of(m)), key=str)
    yield Lines(tuple(_explained(m) for m in [*order, *known] if m in metrics))


def _explained(metric: str) -> str:
    measure = measure_of(metric)
    assert measure is not None
    aim = {"low": "lower is better", "high": "higher is better", "at": f"{measure.target:g} is right"}[measure.aim]
    return f"{metric}: {measure.words} ({'not judged' if np.isnan(measure.target) else aim})"


def _time_taken(results: Results) -> str:
    units = sum(len(values) for values in results.seconds.values())
    work = sum(sum(values) for values in results.seconds.values())
    wall = sum(seconds for seconds, _ in results.sessions)
    most = max((workers for _, workers in results.sessions), default=1)
    return (
        f"Time: {in_words(work)} of work in {_count(units, 'unit')}, {in_words(wall)} by the clock with up to {most} "
        f"at once, on one thread each, in {_count(len(results.sessions), 'session')}."
    )


def _versions() -> Iterator[str]:
    for name in PACKAGES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
