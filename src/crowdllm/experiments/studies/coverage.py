"""How often does each interval cover the truth? Nominal against empirical coverage, and width beside humans alone.

Humans are drawn again and again from populations whose truth is known, every interval is computed from what they
answered, and it is counted how many hold the truth (see `coverage_population` and `coverage_replay`). A
*problem-draw* is one problem with one set of people drawn for it. Coverage is over problem-draws: over problems as
they come, not the same for each problem.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from crowdllm.experiments.studies.coverage_population import (
    people_population,
    problems_population,
    synthetic_population,
)
from crowdllm.experiments.studies.coverage_replay import replay
from crowdllm.experiments.studies.protocol import Data, Experiment, Findings, Picture, Piece, Settings, Tables, union
from crowdllm.report.coverage_figure import coverage_figure
from crowdllm.report.page import Cell, Table

LEVELS = (0.8, 0.9, 0.95)
COLUMNS = ("dataset", "estimand", "interval", "nominal", "empirical", "draws", "width_ratio")
REQUIRED = ("rectified", "conformal")
LOW, HIGH, WIDEST = 0.93, 0.97, 1.02
SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Source:
    """How one data set is replayed. design: "people" or "problems" (see `coverage_population`), or "synthetic".

    humans: the fewest and the most people asked per problem; calibration: the same on problems that conformal intervals
    are calibrated on. splits: how many random divisions into people (or
    problems) that crowds are fitted on and the others; draws: of every problem, per split. group: a profile column
    and two of its levels. train_people, most_people: sizes of the two parts. folds: of problems or options.
    """

    dataset: str
    references: str
    design: str
    humans: tuple[int, int]
    calibration: tuple[int, int]
    splits: int
    draws: int
    group: tuple[str, str, str]
    train_people: int = 0
    most_people: int = 1_000_000
    folds: int = 3


@dataclass(frozen=True)
class Config:
    """levels: nominal. problems, people, per_person, diversity, error: of the made-up crowds, a fresh one per split."""

    sources: tuple[Source, ...]
    levels: tuple[float, ...] = LEVELS
    problems: int = 100
    people: int = 150
    per_person: int = 16
    diversity: float = 1.0
    error: float = 0.5


ALL = (1_000_000, 1_000_000)
FULL = (
    Source("offensiveness", "gpt4", "problems", (4, 6), (4, 6), 1, 3, ("gender", "Man", "Woman")),
    Source("bfi", "elicited", "people", (8, 16), ALL, 2, 40, ("gender", "male", "female"), 700, folds=5),
    Source("beps", "none", "people", (8, 16), ALL, 3, 200, ("gender", "female", "male"), 500, folds=5),
    Source("voting", "gpt4-personas", "people", (20, 40), (20, 40), 2, 500, ("", "", ""), 80, folds=4),
    Source(SYNTHETIC, "none", "synthetic", (24, 24), (24, 24), 12, 1, ("region", "north", "south")),
)
QUICK = (
    replace(FULL[0], draws=1, folds=2),
    replace(FULL[1], splits=1, draws=12, train_people=300, folds=3),
    replace(FULL[2], splits=1, draws=60, train_people=200),
    replace(FULL[3], splits=1, draws=300, folds=3),
    replace(FULL[4], splits=3),
)


def configure(settings: Settings) -> Experiment:
    """Coverage: how often intervals hold the truth, and how wide they are beside humans alone."""
    config = Config(QUICK if settings.quick else FULL)
    pieces = tuple(
        Piece(f"{source.dataset}-{seed}", cover, (config, source, seed), source.dataset)
        for source in config.sources
        for seed in range(settings.seed, settings.seed + source.splits)
    )
    return Experiment(
        "coverage",
        "Coverage of the intervals",
        "",
        "An interval at 95 % should hold the truth in 95 of 100 cases, however few humans were asked and however good "
        "or bad the simulated crowd is. The truth is known where all answers to a problem are the population and "
        "only some of these people are asked, and in made-up crowds.",
        config,
        pieces,
        report,
        tuple(Data(source.dataset, source.references) for source in config.sources),
        LIMITS,
    )


LIMITS = (
    "On real data the truth is that of the people who answered, and intervals carry the finite-population correction; "
    "the made-up crowds are infinite.",
    "Where `conformal` is missing there are too few problems for it: 19 others are needed at 95 %, ten at any level. "
    "`beps` has five, so that only its shares can be calibrated, all 25 levels together. On `voting`, with a single "
    "problem, the options take the place of problems: an option without votes.",
    "The width ratio of `conformal` is to an interval for the same problem, also without humans on it, that is made in "
    "the same way from the humans on the other problems alone: around their mean. All others are to humans alone on "
    "the problem.",
    "`theorem5` is written for means; its eps0 is the root mean square of the problem's own residuals.",
    "The mean over options counts as one share per problem-draw.",
)


def cover(config: Config, source: Source, seed: int) -> pd.DataFrame:
    """Sums over the draws of one split: see `replay`."""
    data = Data(source.dataset, source.references)
    if source.design == "people":
        made = people_population(data, source.group, source.train_people, source.most_people, source.folds, seed)
    elif source.design == "problems":
        made = problems_population(data, source.group, source.folds, seed)
    else:
        options = (
            f"synthetic:participants={config.people},problems={config.problems},per_participant={config.per_person},"
            f"diversity={config.diversity:g},error={config.error:g},seed={seed}"
        )
        made = synthetic_population(Data(options), config.problems, config.diversity, config.error, seed, seed)
    table = replay(made, source.humans, source.calibration, source.draws, config.levels, seed)
    return table.assign(dataset=source.dataset, seed=seed)


def report(tables: Tables) -> Findings:
    """The table, its picture, and whether what is required holds."""
    coverage = summarise(union(tables))
    required = coverage[coverage["interval"].isin(REQUIRED) & np.isclose(coverage["nominal"], 0.95)]
    inside = required["empirical"].between(LOW, HIGH)
    rectified = coverage[coverage["interval"] == "rectified"]
    wide = rectified[rectified["width_ratio"] > WIDEST]
    shows = [
        f"At nominal 95 %, {int(inside.sum())} of {len(required)} rectified and conformal intervals cover the truth in "
        f"{LOW:.0%} to {HIGH:.0%} of problem-draws; all lie between {required['empirical'].min():.1%} and "
        f"{required['empirical'].max():.1%}.",
        f"Rectified intervals are {rectified['width_ratio'].min():.2f} to {rectified['width_ratio'].max():.2f} times "
        f"as wide as those of humans alone; {len(wide)} of {len(rectified)} are wider by more than 2 %.",
    ]
    for row in required[~inside].itertuples():
        shows.append(f"Outside: {row.dataset}, {row.estimand}, {row.interval}: {row.empirical:.1%}.")
    theorem = coverage[(coverage["interval"] == "theorem5") & np.isclose(coverage["nominal"], 0.95)]
    if len(theorem):
        shows.append(
            f"Theorem 5's interval covers {theorem['empirical'].min():.1%} to {theorem['empirical'].max():.1%} and is "
            f"{theorem['width_ratio'].min():.1f} to {theorem['width_ratio'].max():.1f} times as wide as that of humans "
            "alone: eps0 is added in full. It holds where eps0 bounds the crowd's error on the problem."
        )
    picture = Picture(
        "coverage",
        lambda: coverage_figure(coverage),
        "Nominal against empirical coverage per data set and estimand. A point above the dashed line: the interval "
        "holds the truth more often than it says.",
        "A panel per data set with the empirical coverage of each interval at nominal 80, 90 and 95 %.",
    )
    return Findings({"coverage": coverage}, (picture,), tuple(shows), blocks=(_table(coverage),))


def summarise(sums: pd.DataFrame) -> pd.DataFrame:
    """One row per data set, estimand, interval and level: the columns of `coverage.csv`."""
    total = sums.groupby(["dataset", "estimand", "interval", "nominal"], sort=False, as_index=False)[
        ["draws", "covered", "width", "human_width"]
    ].sum()
    total = total[total["draws"] > 0]
    total = total.assign(
        empirical=total["covered"] / total["draws"],
        width_ratio=total["width"] / total["human_width"],
        draws=total["draws"].astype(int),
    )
    return total[list(COLUMNS)].reset_index(drop=True)


def _table(coverage: pd.DataFrame) -> Table:
    rows = coverage[np.isclose(coverage["nominal"], 0.95)]
    cells = tuple(
        tuple(
            Cell(text)
            for text in (
                f"{row['dataset']}, {row['estimand']}, {row['interval']}",
                f"{row['empirical']:.3f}",
                f"{row['draws']:,}",
                f"{row['width_ratio']:.2f}",
            )
        )
        for row in rows.to_dict("records")
    )
    return Table(
        "Coverage at nominal 95 %", ("data set, estimand, interval", "empirical", "draws", "width ratio"), cells
    )
