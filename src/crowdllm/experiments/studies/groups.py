"""Do simulated people of one group hang together, and do groups differ, as they do among humans?

The variance of answers around their problem's mean, y_it - mean_t, is taken apart for one profile column at a time:

    sigma_G^2 between groups,    sigma_P^2 between people of a group,    sigma_E^2 within a person,

by the unbiased method of moments for unbalanced nested groups (Henderson's first). Shares of their sum are compared:
that between groups is how far groups are told apart, that between people how far a group is of different people.
Simulated people have the very profiles of the humans and answer the same problems, so that the design is the same; a
share may come out a little below 0, as unbiased estimates do.

Shapes: R responses, G groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.profiles import ProfileColumn
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError
from crowdllm.evaluation.histograms import is_scale, numbers
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.fits import OWN, PAPER, QUICK_OWN, QUICK_PAPER, Given, fit_with
from crowdllm.experiments.studies.protocol import Data, Experiment, Findings, Picture, Piece, Settings, Tables, union
from crowdllm.experiments.studies.summary import (
    Claim,
    above,
    all_of,
    below,
    difference,
    interval,
    number,
    over_seeds,
    rows_where,
    sort_claims,
    summary_table,
)
from crowdllm.reference import References
from crowdllm.report.bars_figure import BarPanel, Points, bars_figure
from crowdllm.responses.protocol import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Numbers = tuple[float, ...]
HUMANS = "humans"
PROMPTS = {"base": 0, "male": 1, "female": 2, "white": 3, "black": 4, "asian": 5}
PERSONAS = {
    "gender": {"Man": "male", "Woman": "female"},
    "race": {"White": "white", "Black or African American": "black", "Asian": "asian"},
}
VALUES = ("between", "people", "within", "agreement")
ALIKE = 0.02
LIMITS = (
    "The recorded persona prompts name a gender or a race and nothing else: the other columns have no persona, and "
    "people whose level has no prompt are left out of its numbers.",
    "Tuned LLMs (arXiv 2403.20252) are not recorded, and are not run here.",
    "Groups are compared over all problems; that a group thinks otherwise of some of them only is not seen, since a "
    "problem has too few answers per group.",
    "crowdllm has seen other answers of the same people: the problems are unseen, the profiles are not.",
)


@dataclass(frozen=True)
class Config:
    """people: methods; personas: sources of persona prompts. columns: of the profiles."""

    seeds: tuple[int, ...]
    people: tuple[str, ...] = (OWN, PAPER)
    personas: tuple[str, ...] = ("gpt4-personas", "llama31-8b-personas")
    columns: tuple[str, ...] = ("gender", "race", "age", "occupation", "education")
    dataset: str = "offensiveness"
    references: str = "gpt4"
    test_fraction: float = 0.2
    own: Given = ()
    paper: Given = ()


def configure(settings: Settings) -> Experiment:
    """Groups: how alike people of a group are and how far groups differ, simulated and human."""
    config = Config(settings.seeds(10, 3))
    if settings.quick:
        config = replace(config, own=QUICK_OWN, paper=QUICK_PAPER)
    pieces = [
        Piece(f"{who}-{seed}", measure, (config, settings.embedding, who, seed), who)
        for seed in config.seeds
        for who in (HUMANS, *config.people)
    ]
    pieces += [
        Piece(f"{source}-{seed}", measure_personas, (config, source, seed), "personas")
        for seed in config.seeds
        for source in config.personas
    ]
    return Experiment(
        "groups",
        "Groups: within and between",
        "first open question",
        "How much of the differences between answers lies between groups of people, between people of a group, "
        "and within people, for every profile column? Among simulated people it should be as among humans.",
        config,
        tuple(pieces),
        lambda tables: report(config, tables),
        tuple(Data(config.dataset, source) for source in (config.references, *config.personas)),
        LIMITS,
    )


class Shares(NamedTuple):
    """Of the variance around the problems' means: between groups, between people of a group, within people."""

    between: float
    people: float
    within: float


def measure(config: Config, embedding: str, who: str, seed: int) -> pd.DataFrame:
    """A row per profile column: shares of the variance of these people's answers to unseen problems."""
    study, references = open_data(Data(config.dataset, config.references))
    split = study.split("problem", config.test_fraction, seed)
    test = split.test
    if not is_scale(test.response_type):
        raise ConfigError(f"responses of type {test.response_type.kind} have no variance: this study needs a scale")
    human_R = numbers(test.responses, test.response_type)
    value_R = human_R
    if who != HUMANS:
        fitted = fit_with(who, split.train, references, embedding, seed, config.own, config.paper, 1)
        values = fitted.simulator.simulate(
            test.problems,
            fitted.references,
            test.profiles,
            test.responses.participant_R,
            test.responses.problem_R,
            seed,
        )
        value_R = numbers(replace(test.responses, values_RD=values), test.response_type)
    return _rows(config.columns, test, human_R, dict.fromkeys(config.columns, value_R), who, seed)


def measure_personas(config: Config, source: str, seed: int) -> pd.DataFrame:
    """The same for an LLM that answers in the persona of each person's group; NaN where there is no such prompt."""
    study, references = open_data(Data(config.dataset, source))
    assert references is not None
    test = study.split("problem", config.test_fraction, seed).test
    human_R = numbers(test.responses, test.response_type)
    columns = [c for c in config.columns if c in PERSONAS]
    spoken = {c: persona_answers(test, references, c) for c in columns}
    return _rows(tuple(columns), test, human_R, spoken, source, seed)


def persona_answers(test: Study, references: References, column: str) -> Array:
    """(R,) what the LLM answers in the persona of each person's level of this column."""
    values_TK = references.aligned(test.problems).sources[0].values_TKD[:, :, 0]
    c = test.profiles.position(column)
    prompts = PERSONAS[column]
    draw_L = np.array([PROMPTS.get(prompts.get(level, ""), -1) for level in test.profiles.columns[c].levels])
    level_N = test.profiles.values_NC[:, c]
    draw_N = np.where(np.isnan(level_N), -1, draw_L[np.nan_to_num(level_N).astype(np.int64)])
    draw_R = draw_N[test.responses.participant_R]
    level_R = np.where(draw_R >= 0, values_TK[test.responses.problem_R, np.maximum(draw_R, 0)], np.nan)
    points = np.asarray(getattr(test.response_type, "points", ()))
    known = ~np.isnan(level_R)
    out_R = np.full(len(level_R), np.nan)
    out_R[known] = points[level_R[known].astype(np.int64)]
    return out_R


def _rows(
    columns: tuple[str, ...], test: Study, human_R: Array, values: dict[str, Array], who: str, seed: int
) -> pd.DataFrame:
    rows = []
    for column in columns:
        group_R = _groups(test, column)[test.responses.participant_R]
        keep = (group_R >= 0) & ~np.isnan(values[column])
        person_R, problem_R = test.responses.participant_R[keep], test.responses.problem_R[keep]
        rest_R = around_problems(values[column][keep], problem_R)
        shares = variance_shares(rest_R, person_R, group_R[keep])
        same_R = around_problems(human_R[keep], problem_R)
        rows.append(
            {
                "who": who, "column": column, "seed": seed, **shares._asdict(),
                "agreement": group_slope(rest_R, same_R, group_R[keep]),
                "sd": float(rest_R.std()), "groups": len(np.unique(group_R[keep])), "responses": int(keep.sum()),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _groups(test: Study, column: str, most: int = 5) -> NDArray[np.int64]:
    """(N,) the group of each person, -1 where unknown; numbers are cut into `most` ranges with as many people each."""
    c = test.profiles.position(column)
    kind: ProfileColumn = test.profiles.columns[c]
    value_N = test.profiles.values_NC[:, c]
    known = ~np.isnan(value_N)
    group_N = np.full(len(value_N), -1)
    if kind.kind == "numeric":
        cuts = np.unique(np.quantile(value_N[known], np.arange(1, most) / most))
        group_N[known] = np.searchsorted(cuts, value_N[known], side="right")
    else:
        group_N[known] = value_N[known].astype(np.int64)
    return group_N


def around_problems(value_R: Array, problem_R: NDArray[np.int64]) -> Array:
    """(R,) each answer less the mean answer to its problem."""
    count_T = np.bincount(problem_R)
    mean_T = np.bincount(problem_R, weights=value_R) / np.maximum(count_T, 1)
    return np.asarray(value_R - mean_T[problem_R])


def variance_shares(value_R: Array, person_R: NDArray[np.int64], group_R: NDArray[np.int64]) -> Shares:
    """Components of variance of people nested in groups, by Henderson's first method, as shares of their sum.

    Sums of squares between groups, between people of a group and within people are set to their expectations. NaN where
    there is a single group, nobody beside another in a group, nobody with two answers, or no variance at all.
    """
    total = len(value_R)
    _, p_R, count_P = np.unique(person_R, return_inverse=True, return_counts=True)
    _, g_R, count_G = np.unique(group_R, return_inverse=True, return_counts=True)
    g_P = np.zeros(len(count_P), dtype=np.int64)
    g_P[p_R] = g_R
    mean_P = np.bincount(p_R, weights=value_R) / count_P
    mean_G = np.bincount(g_R, weights=value_R) / count_G
    within = float(((value_R - mean_P[p_R]) ** 2).sum())
    people = float((count_P * (mean_P - mean_G[g_P]) ** 2).sum())
    between = float((count_G * (mean_G - value_R.mean()) ** 2).sum())
    free = (total - len(count_P), len(count_P) - len(count_G), len(count_G) - 1)
    if min(free) < 1:
        return Shares(np.nan, np.nan, np.nan)
    squares_G = np.bincount(g_P, weights=count_P.astype(float) ** 2)
    error = within / free[0]
    inside = float((squares_G / count_G).sum())
    person = (people - free[1] * error) / (total - inside)
    across = inside - float(squares_G.sum()) / total
    group = (between - free[2] * error - across * person) / (total - float((count_G**2).sum()) / total)
    whole = group + person + error
    return Shares(group / whole, person / whole, error / whole) if whole > 0 else Shares(np.nan, np.nan, np.nan)


def group_slope(value_R: Array, human_R: Array, group_R: NDArray[np.int64]) -> float:
    """Slope of the simulated groups' means on the human ones', by size: 1 is right, 0 nothing, above 1 a caricature."""
    count_G = np.bincount(group_R)
    means = [np.bincount(group_R, weights=v) / np.maximum(count_G, 1) for v in (value_R, human_R)]
    mean, human = (m - np.average(m, weights=count_G) for m in means)
    spread = float((count_G * human**2).sum())
    return float((count_G * mean * human).sum() / spread) if spread > 0 else np.nan


def report(config: Config, tables: Tables) -> Findings:
    """The shares by column and kind of people, and where simulated people are like humans."""
    table = union(tables)
    summary = over_seeds(table, ("who", "column"), VALUES)
    names = {
        "between": "Share of the variance between groups",
        "people": "Share of the variance between people of a group",
        "agreement": "Slope of the simulated groups' means on the humans'",
    }
    blocks = tuple(summary_table(summary, "who", "column", v, words) for v, words in names.items())
    found = sort_claims(claims(config, table))
    return Findings(
        {"groups": table, "groups-summary": summary},
        (_picture(config, summary),),
        tuple(_shows(config, table)), found.agrees, found.differs, blocks, found.undecided,
    )  # fmt: skip


def _average(table: pd.DataFrame) -> pd.DataFrame:
    """Per kind of people and seed the mean over columns, those that all kinds have being marked `shared`."""
    shared = table[table["column"].isin(tuple(PERSONAS))].assign(columns="shared")
    return (
        pd.concat([table.assign(columns="all"), shared])
        .groupby(["who", "columns", "seed"], as_index=False, sort=False)[list(VALUES)]
        .mean()
    )


def _shows(config: Config, table: pd.DataFrame) -> Iterator[str]:
    mean = _average(table)
    for who in (HUMANS, *config.people, *config.personas):
        columns = "shared" if who in config.personas else "all"
        where = {"who": who, "columns": columns}
        found = [number(interval(mean, v, where)) for v in ("between", "people", "within")]
        over = "gender and race" if columns == "shared" else "all columns"
        yield (
            f"{who}: of the variance, {found[0]} lies between groups, {found[1]} between people of a group, "
            f"{found[2]} within people (mean over {over})."
        )


def claims(config: Config, table: pd.DataFrame) -> Iterator[Claim]:
    """Whether groups are told apart, and are of different people, as among humans."""
    mean = _average(table)
    for who in (*config.people, *config.personas):
        columns = "shared" if who in config.personas else "all"
        for value, words in (("between", "between groups"), ("people", "between people of a group")):
            gap = difference(mean, value, {"who": who, "columns": columns}, {"who": HUMANS, "columns": columns})
            if gap is not None:
                yield Claim(
                    all_of((below(gap, ALIKE), above(gap, -ALIKE))),
                    f"Wanted: the share of the variance {words} is that of humans (taken as: within {ALIKE:g}). "
                    f"{who} has {number(gap)} more than humans.",
                )


def _picture(config: Config, summary: pd.DataFrame) -> Picture:
    def series(who: str, value: str) -> tuple[Numbers, Numbers, Numbers]:
        part = rows_where(summary, {"who": who, "metric": value}).set_index("column").reindex(list(config.columns))
        mean, low, high = (tuple(100 * part[end].to_numpy(dtype=float)) for end in ("mean", "low", "high"))
        return mean, low, high

    def draw() -> Figure:
        panels = []
        for value, title in (("between", "between groups"), ("people", "between people of a group")):
            bars, low, high = series(HUMANS, value)
            points = tuple(Points(who, *series(who, value)) for who in (*config.people, *config.personas))
            panels.append(
                BarPanel("profile column", "% of the variance", config.columns, bars, points, title, low, high)
            )
        return bars_figure(panels, columns=2, width=4.6, height=3.0)

    caption = (
        "Share of the variance of answers (around their problem's mean) that lies between the groups of a column, "
        "and between people of a group. Persona prompts name a gender or a race only; all who share one answer "
        f"alike. 95 % intervals over {len(config.seeds)} sets of unseen problems."
    )
    return Picture("groups", draw, caption, "Variance between and within groups, for humans, two models and personas.")
