"""The page of a study: what it shows, where it agrees with the paper and where not, and what was run."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from crowdllm import __version__
from crowdllm.datasets import CARDS
from crowdllm.datasets.card import DatasetCard
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.protocol import Experiment, Findings, Settings
from crowdllm.registry import lookup
from crowdllm.report.figure import save_figure
from crowdllm.report.page import Block, Command, Figure, Lines, Page, Part, Text, write_page

FIGURES = "figures"
QUICK = "This is a quick run: small settings, to see that it works. Not for citing."


def draw_pictures(findings: Findings, out: Path) -> list[Path]:
    """Write every picture as `figures/<name>.svg` and `.png`."""
    written = []
    for picture in findings.pictures:
        figure = picture.draw()
        written += [save_figure(figure, out / FIGURES / f"{picture.name}{suffix}") for suffix in (".svg", ".png")]
    return written


def write_study_page(
    experiment: Experiment, findings: Findings, settings: Settings, command: str, left_out: Sequence[str], out: Path
) -> tuple[Path, Path]:
    """Write `out/index.html` and `out/index.md`; the pictures must be drawn already."""
    lead: list[Block] = [Text(experiment.question)]
    if settings.quick:
        lead.append(Text(QUICK))
    parts = [Part("What it shows", tuple(_shown(findings, out)))]
    for title, lines in (
        ("Where this agrees with the paper", findings.agrees),
        ("Where it does not", findings.differs),
        ("What this run leaves open: the intervals cover both", findings.undecided),
        ("What is not comparable, and why", experiment.limits),
        ("What was left out", tuple(left_out)),
    ):
        if lines:
            parts.append(Part(title, (Lines(lines),)))
    parts.append(Part("What was run", tuple(_what_was_run(experiment, settings, command))))
    where = f" ({experiment.paper} of arXiv 2512.07890)" if experiment.paper else ""
    return write_page(Page(f"{experiment.title}{where}", tuple(lead), tuple(parts)), out)


def _shown(findings: Findings, out: Path) -> Iterator[Block]:
    if findings.shows:
        yield Lines(findings.shows)
    for picture in findings.pictures:
        yield Figure(out / FIGURES / f"{picture.name}.svg", picture.caption, picture.words)
    yield from findings.blocks


def _what_was_run(experiment: Experiment, settings: Settings, command: str) -> Iterator[Block]:
    if command:
        yield Command(command)
    lines = []
    for data in experiment.data:
        card: DatasetCard = lookup(CARDS, data.dataset.partition(":")[0], "data set")
        study, references = open_data(data)
        lines.append(
            f"Data: {card.description}; {card.url}. Licence: {card.licence}. {study.title}, {study.describe()} "
            f"(N people, T problems, R responses). References: {data.references}."
        )
        lines += [f"Reference {line}" for line in (references.report() if references else ())]
        lines += [f"Note on the data: {note}" for note in card.notes]
    settings_line = json.dumps(asdict(experiment.config), separators=(", ", ": "))
    lines += [
        f"Config: {settings_line}.",
        f"First seed: {settings.seed}. Embedding: {settings.embedding}. crowdllm {__version__}, Python "
        f"{platform.python_version()}.",
        "The numbers are in the CSV files beside this page; how long each piece took is in timings.csv.",
    ]
    yield Lines(tuple(dict.fromkeys(lines)))
