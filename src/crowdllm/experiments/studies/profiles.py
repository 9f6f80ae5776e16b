"""Are recruited people like real ones? Margins of one and of two profile columns (Figure 3, and what it does not show).

People are halved at random. Generators learn from the first half and recruit so many people that the chance in
recruiting does not count; these are compared with the second half. The first half itself, compared in the same way, are
other humans: a generator that repeats exactly what it was shown scores what they do, and one that only keeps what
is not chance may score less. Distances are total variation, 0 for the same shares and 1 for nothing in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.protocol import Data, Experiment, Findings, Picture, Piece, Settings, Tables, union
from crowdllm.experiments.studies.summary import (
    Claim,
    below,
    difference,
    interval,
    number,
    over_seeds,
    rows_where,
    sort_claims,
    summary_table,
)
from crowdllm.profiles.fidelity import copy_share, margin_distances, profile_wasserstein
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.report.bars_figure import BarPanel, Points, bars_figure
from crowdllm.rng import generator

JOINT, INDEPENDENT, HUMANS = "crowdllm", "independent columns (paper)", "other humans"
MISSING = "(missing)"
LONGEST = 18
TOLERATED = 0.01
Numbers = tuple[float, ...]
LIMITS = (
    "The paper's Figure 3 is an example: it shows the recruited people's margins, without the humans' and without "
    "numbers. The independent columns are those of the code that the paper publishes.",
    "Numeric columns are cut at the deciles of both crowds together.",
)


@dataclass(frozen=True)
class Config:
    """pictured: the data set whose margins are drawn. recruits: how many people each generator makes."""

    seeds: tuple[int, ...]
    datasets: tuple[str, ...] = ("offensiveness", "voting", "bfi", "beps")
    pictured: str = "offensiveness"
    recruits: int = 20_000


def configure(settings: Settings) -> Experiment:
    """Profiles: recruited people against human ones, one column at a time and two at a time."""
    config = Config(settings.seeds(40, 10))
    if settings.quick:
        config = replace(config, datasets=("offensiveness", "bfi"))
    pieces = tuple(
        Piece(f"{dataset}-{seed}", measure, (config, dataset, seed), dataset)
        for seed in config.seeds
        for dataset in config.datasets
    )
    return Experiment(
        "profiles",
        "Profiles of recruited people",
        "Figure 3",
        "Recruited participants stand for a population only if their profiles are distributed like its own: in each "
        "column, and also jointly, since it is combinations of columns that beliefs go with. Half of the people teach "
        "the generator; the others are what it is compared with.",
        config,
        pieces,
        lambda tables: report(config, tables),
        tuple(Data(dataset) for dataset in config.datasets),
        LIMITS,
    )


def measure(config: Config, dataset: str, seed: int) -> pd.DataFrame:
    """Distances of each kind of people to the second half, and the shares of the levels; `kind` says which row it is.

    distance: `columns` (one or two, by `ways`) or, with ways 0, the Wasserstein distance of whole profiles and the
    share of people who equal somebody of the first half in every column.
    """
    study, _ = open_data(Data(dataset))
    order = generator(seed, "studies:halves").permutation(len(study.profiles))
    half = len(order) // 2
    learned, other = study.profiles.take(np.sort(order[:half])), study.profiles.take(np.sort(order[half : 2 * half]))
    joint = ProfileGenerator.fit(learned, seed=seed)
    made = {
        JOINT: joint.recruit(config.recruits, seed),
        INDEPENDENT: joint.independent().recruit(config.recruits, seed),
        HUMANS: learned,
    }
    parts = []
    for name, people in made.items():
        distances = margin_distances(other, people).rename(columns={"distance": "value"})
        whole = [
            (0, "whole profile", profile_wasserstein(other, people, min(half, 600))),
            (0, "copies", copy_share(learned, people) if name != HUMANS else copy_share(other, people)),
        ]
        table = pd.concat([distances, pd.DataFrame(whole, columns=["ways", "columns", "value"])])
        parts.append(table.assign(kind="distance", level="", people=name))
        parts.append(_shares(people).assign(kind="share", ways=1, people=name))
    parts.append(_shares(other).assign(kind="share", ways=1, people="held-out humans"))
    keys = ["kind", "people", "ways", "columns", "level", "value"]
    return pd.concat(parts, ignore_index=True)[keys].assign(dataset=dataset, seed=seed)


def _shares(people: Profiles) -> pd.DataFrame:
    """The share of every level of every column with levels, missing values included."""
    rows = []
    for c, column in enumerate(people.columns):
        if not column.levels:
            continue
        code_N = people.values_NC[:, c]
        for position, level in enumerate(column.levels):
            rows.append((column.name, level, float((code_N == position).mean())))
        rows.append((column.name, MISSING, float(np.isnan(code_N).mean())))
    return pd.DataFrame(rows, columns=["columns", "level", "value"])


def report(config: Config, tables: Tables) -> Findings:
    """Pictures, tables, and what the paper says against what was found."""
    table = union(tables)
    distances = table[table["kind"] == "distance"].drop(columns=["kind", "level"])
    shares = table[table["kind"] == "share"].drop(columns=["kind", "ways"])
    by_way = distances.groupby(["dataset", "people", "ways", "seed"], sort=False, as_index=False)["value"].mean()
    by_way = by_way[by_way["ways"] > 0]
    summary = over_seeds(by_way, ("dataset", "people", "ways"), ("value",))
    blocks = [
        summary_table(
            summary[summary["ways"] == ways],
            "people",
            "dataset",
            "value",
            f"Mean total variation to held-out people, {words}",
            "Mean ± half of the 95 % interval over random halves.",
        )
        for ways, words in ((1, "one column at a time"), (2, "pairs of columns"))
    ]
    whole = over_seeds(distances[distances["ways"] == 0], ("dataset", "people", "columns"), ("value",))
    for what, caption in (
        ("whole profile", "Wasserstein-1 distance of whole profiles to held-out people (adds up over columns)"),
        ("copies", "Share of people who equal somebody they were learned from in every column (humans: of the others)"),
    ):
        blocks.append(summary_table(whole[whole["columns"] == what], "people", "dataset", "value", caption))
    found = sort_claims(_claims(config, by_way))
    return Findings(
        {"distances": distances, "shares": shares},
        (_margins_picture(config, shares), _pairs_picture(config, distances)),
        tuple(_shows(config, by_way)),
        found.agrees,
        found.differs,
        tuple(blocks),
        found.undecided,
    )


def _margins_picture(config: Config, shares: pd.DataFrame) -> Picture:
    study, _ = open_data(Data(config.pictured))
    mine = over_seeds(shares[shares["dataset"] == config.pictured], ("people", "columns", "level"), ("value",))
    panels = [_margin_panel(mine, column) for column in study.profiles.columns if column.levels]
    return Picture(
        "margins",
        lambda: bars_figure(panels, 3, height=3.0),
        f"Shares of each level in {config.pictured}: bars, people who were held out; points, recruited people. Means "
        f"and 95 % intervals over {len(config.seeds)} random halves.",
        "Shares of profile levels among held-out humans and among people recruited by two generators.",
    )


def _margin_panel(mine: pd.DataFrame, column: ProfileColumn) -> BarPanel:
    part = mine[mine["columns"] == column.name].set_index(["people", "level"])
    levels = [*column.levels, MISSING]
    if not (part.loc[:, "mean"].xs(MISSING, level="level") > 0).any():
        levels.remove(MISSING)

    def series(people: str, which: str) -> Numbers:
        return tuple(100 * float(v) for v in part[which].loc[[(people, level) for level in levels]])

    points = tuple(
        Points(name, series(name, "mean"), series(name, "low"), series(name, "high")) for name in (JOINT, INDEPENDENT)
    )
    labels = tuple(level if len(level) <= LONGEST else level[: LONGEST - 1] + "…" for level in levels)
    return BarPanel(column.name, "share of people (%)", labels, series("held-out humans", "mean"), points)


def _pairs_picture(config: Config, distances: pd.DataFrame) -> Picture:
    mine = rows_where(distances, {"dataset": config.pictured})
    found = over_seeds(mine[mine["ways"] > 0], ("people", "ways", "columns"), ("value",))
    panels = []
    for ways, label in ((1, "profile column"), (2, "pair of profile columns")):
        part = found[found["ways"] == ways].set_index(["people", "columns"])
        names = tuple(dict.fromkeys(part.index.get_level_values("columns")))

        def series(people: str, which: str, part: pd.DataFrame = part, names: tuple[str, ...] = names) -> Numbers:
            return tuple(float(v) for v in part[which].loc[[(people, n) for n in names]])

        points = tuple(Points(p, series(p, "mean"), series(p, "low"), series(p, "high")) for p in (JOINT, INDEPENDENT))
        labels = tuple(name.replace(" x ", " × ") for name in names)
        humans = series(HUMANS, "mean")
        panels.append(BarPanel(label, "total variation (0 to 1)", labels, humans, points, bar_name=HUMANS))
    return Picture(
        "pairs",
        lambda: bars_figure(panels, 2, width=4.2, height=3.6),
        f"How far recruited people are from held-out ones in {config.pictured}. Bars: other humans, the ones that "
        "the generators learned from. Means and 95 % intervals over random halves.",
        "Total variation distances per profile column and per pair of columns for two generators and other humans.",
    )


def _rows(dataset: str, people: str, ways: int) -> dict[str, object]:
    return {"dataset": dataset, "people": people, "ways": ways}


def _shows(config: Config, by_way: pd.DataFrame) -> Iterator[str]:
    for dataset in config.datasets:
        for ways, words in ((1, "one column"), (2, "two columns")):
            found = [interval(by_way, "value", _rows(dataset, p, ways)) for p in (JOINT, INDEPENDENT, HUMANS)]
            if found[0] is not None:
                joint, alone, humans = map(number, found)
                yield (
                    f"{dataset}, {words}: total variation {joint} for people recruited by crowdllm, {alone} for "
                    f"columns drawn independently, {humans} for other humans."
                )


def _claims(config: Config, by_way: pd.DataFrame) -> Iterator[Claim]:
    """Figure 3 shows margins; the rest is what it does not say."""
    for dataset in config.datasets:
        for name in (JOINT, INDEPENDENT):
            worse = difference(by_way, "value", _rows(dataset, name, 1), _rows(dataset, HUMANS, 1))
            if worse is not None:
                yield Claim(
                    below(worse, TOLERATED),
                    f"Paper: recruited people have the humans' margins (taken as: at most {TOLERATED:g} further "
                    f"from held-out people than other humans are). {dataset}, {name}: {number(worse)} more total "
                    "variation than other humans have.",
                )
            worse = difference(by_way, "value", _rows(dataset, name, 2), _rows(dataset, HUMANS, 2))
            if worse is not None:
                yield Claim(
                    below(worse, TOLERATED),
                    f"Not shown in the paper: they have the humans' pairs of columns. {dataset}, {name}: "
                    f"{number(worse)} more than other humans.",
                )
