"""Do simulated people of one group hang together, and do groups differ, as they do among humans?

The variance of answers around their problem's mean, y_it - mean_t, is taken apart for one profile column at a time:

    sigma_G^2 between groups,    sigma_P^2 between people of a group,    sigma_E^2 within a person,

by the unbiased method of moments for unbalanced nested groups (Henderson's first). Shares of their sum are compared:
that between groups is how far groups are told apart, that between people how far a group is of different people.
Simulated people have the very profiles of the humans and answer the same problems, so that the design is the same; a
share may come out a little below 0, as unbiased estimates do. Persona prompts are recorded for ratings of comments
(unseen comments, known people); a tuned language model takes part in a small survey (known questions, unseen people).

Shapes: R responses, G groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from crowdllm.experiments.studies.decoder_participants import DECODER, QUICK_TRAINED, TRAINED, decoder_participants
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
    "The tuned LLM of arXiv 2403.20252 is a pre-trained one; the decoder here was trained from nothing on the answers "
    "of the other half of the people. Your own takes its place: `--tuned adapter:FOLDER`, as `crowdllm tune` makes it.",
    "Groups are compared over all problems; that a group thinks otherwise of some of them only is not seen, since a "
    "problem has too few answers per group.",
    "Of comments, crowdllm has seen other answers of the same people: the problems are unseen, the profiles are not.",
)


@dataclass(frozen=True)
class Asked:
    """One data set. split, fraction: what is unseen. people: methods; personas: sources of persona prompts.

    columns: of the profiles. unseen: the same in words.
    """

    dataset: str
    references: str
    split: str
    fraction: float
    unseen: str
    people: tuple[str, ...]
    columns: tuple[str, ...]
    personas: tuple[str, ...] = ()


COMMENTS = Asked(
    "offensiveness", "gpt4", "problem", 0.2, "unseen comments", (OWN, PAPER),
    ("gender", "race", "age", "occupation", "education"), ("gpt4-personas", "llama31-8b-personas"),
)  # fmt: skip
SURVEY = Asked(
    "ev_attitudes", "elicited", "participant", 0.5, "unseen people", (OWN, PAPER, DECODER),
    ("gender", "age", "education", "household_income", "location_type"),
)  # fmt: skip


@dataclass(frozen=True)
class Config:
    """tuned: the method that is the tuned LLM, `DECODER` for one that is trained on the spot; decoder: its settings."""

    seeds: tuple[int, ...]
    asked: tuple[Asked, ...] = (COMMENTS, SURVEY)
    tuned: str = DECODER
    own: Given = ()
    paper: Given = ()
    decoder: Given = TRAINED

    def style(self, who: str) -> int:
        """The same colour and marker in every panel."""
        return list(dict.fromkeys(w for a in self.asked for w in (*a.people, *a.personas))).index(who)


def configure(settings: Settings) -> Experiment:
    """Groups: how alike people of a group are and how far groups differ, simulated and human."""
    config = Config(settings.seeds(10, 3))
    if settings.quick:
        config = replace(config, own=QUICK_OWN, paper=QUICK_PAPER, decoder=QUICK_TRAINED)
    if settings.tuned:
        comments, survey = COMMENTS, SURVEY
        asked = (replace(comments, people=(OWN, PAPER, settings.tuned)),
                 replace(survey, people=(OWN, PAPER, settings.tuned)))  # fmt: skip
        config = replace(config, tuned=settings.tuned, asked=asked)
    pieces = [
        Piece(
            f"{asked.dataset}-{'tuned' if who == config.tuned else who}-{seed}",
            measure, (config, asked, settings.embedding, who, seed), f"{asked.dataset} {who}",
        )
        for seed in config.seeds
        for asked in config.asked
        for who in (HUMANS, *asked.people)
    ]  # fmt: skip
    pieces += [
        Piece(f"{asked.dataset}-{source}-{seed}", measure_personas, (asked, source, seed), "personas")
        for seed in config.seeds
        for asked in config.asked
        for source in asked.personas
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
        tuple(Data(a.dataset, source) for a in config.asked for source in (a.references, *a.personas)),
        LIMITS,
    )


class Shares(NamedTuple):
    """Of the variance around the problems' means: between groups, between people of a group, within people."""

    between: float
    people: float
    within: float


def measure(config: Config, asked: Asked, embedding: str, who: str, seed: int) -> pd.DataFrame:
    """A row per profile column: shares of the variance of these people's answers to what is unseen."""
    study, references = open_data(Data(asked.dataset, asked.references))
    split = study.split(asked.split, asked.fraction, seed)
    test = split.test
    if not is_scale(test.response_type):
        raise ConfigError(f"responses of type {test.response_type.kind} have no variance: this study needs a scale")
    human_R = numbers(test.responses, test.response_type)
    value_R = human_R
    if who != HUMANS:
        if who == DECODER:
            simulator, given = decoder_participants(split.train, config.decoder, seed), None
        else:
            fitted = fit_with(who, split.train, references, embedding, seed, config.own, config.paper, 1)
            simulator, given = fitted.simulator, fitted.references
        values = simulator.simulate(
            test.problems, given, test.profiles, test.responses.participant_R, test.responses.problem_R, seed
        )
        value_R = numbers(replace(test.responses, values_RD=values), test.response_type)
    return _rows(asked, asked.columns, test, human_R, dict.fromkeys(asked.columns, value_R), who, seed)


def measure_personas(asked: Asked, source: str, seed: int) -> pd.DataFrame:
    """The same for an LLM that answers in the persona of each person's group; NaN where there is no such prompt."""
    study, references = open_data(Data(asked.dataset, source))
    assert references is not None
    test = study.split(asked.split, asked.fraction, seed).test
    human_R = numbers(test.responses, test.response_type)
    columns = [c for c in asked.columns if c in PERSONAS]
    spoken = {c: persona_answers(test, references, c) for c in columns}
    return _rows(asked, tuple(columns), test, human_R, spoken, source, seed)


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
    asked: Asked, columns: tuple[str, ...], test: Study, human_R: Array, values: dict[str, Array], who: str, seed: int,
) -> pd.DataFrame:  # fmt: skip
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
                "data": asked.dataset, "who": who, "column": column, "seed": seed, **shares._asdict(),
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
    summary = over_seeds(table, ("data", "who", "column"), VALUES)
    names = {
        "between": "share of the variance between groups",
        "people": "share of the variance between people of a group",
        "agreement": "slope of the simulated groups' means on the humans'",
    }
    asked = [a for a in config.asked if (table["data"] == a.dataset).any()]
    blocks = tuple(
        summary_table(rows_where(summary, {"data": a.dataset}), "who", "column", v, f"{a.dataset}: {words}")
        for a in asked
        for v, words in names.items()
    )
    found = sort_claims(claim for a in asked for claim in claims(a, rows_where(table, {"data": a.dataset})))
    return Findings(
        {"groups": table, "groups-summary": summary},
        (_picture(config, asked, summary),),
        tuple(line for a in asked for line in _shows(a, rows_where(table, {"data": a.dataset}))),
        found.agrees, found.differs, blocks, found.undecided,
    )  # fmt: skip


def _average(table: pd.DataFrame) -> pd.DataFrame:
    """Per kind of people and seed the mean over columns, those that all kinds have being marked `shared`."""
    shared = table[table["column"].isin(tuple(PERSONAS))].assign(columns="shared")
    return (
        pd.concat([table.assign(columns="all"), shared])
        .groupby(["who", "columns", "seed"], as_index=False, sort=False)[list(VALUES)]
        .mean()
    )


def _shows(asked: Asked, table: pd.DataFrame) -> Iterator[str]:
    mean = _average(table)
    for who in (HUMANS, *asked.people, *asked.personas):
        columns = "shared" if who in asked.personas else "all"
        where = {"who": who, "columns": columns}
        found = [number(interval(mean, v, where)) for v in ("between", "people", "within")]
        over = "gender and race" if columns == "shared" else "all columns"
        yield (
            f"{asked.dataset}, {who}: of the variance, {found[0]} lies between groups, {found[1]} between people of a "
            f"group, {found[2]} within people (mean over {over})."
        )


def claims(asked: Asked, table: pd.DataFrame) -> Iterator[Claim]:
    """Whether groups are told apart, and are of different people, as among humans."""
    mean = _average(table)
    for who in (*asked.people, *asked.personas):
        columns = "shared" if who in asked.personas else "all"
        for value, words in (("between", "between groups"), ("people", "between people of a group")):
            gap = difference(mean, value, {"who": who, "columns": columns}, {"who": HUMANS, "columns": columns})
            if gap is not None:
                yield Claim(
                    all_of((below(gap, ALIKE), above(gap, -ALIKE))),
                    f"Wanted: the share of the variance {words} is that of humans (taken as: within {ALIKE:g}). "
                    f"{asked.dataset}: {who} has {number(gap)} more than humans.",
                )


def _picture(config: Config, asked: Sequence[Asked], summary: pd.DataFrame) -> Picture:
    def series(a: Asked, who: str, value: str) -> tuple[Numbers, Numbers, Numbers]:
        part = rows_where(summary, {"data": a.dataset, "who": who, "metric": value})
        part = part.set_index("column").reindex(list(a.columns))
        mean, low, high = (tuple(100 * part[end].to_numpy(dtype=float)) for end in ("mean", "low", "high"))
        return mean, low, high

    def draw() -> Figure:
        panels = []
        for a in asked:
            for value, title in (("between", "between groups"), ("people", "between people of a group")):
                bars, low, high = series(a, HUMANS, value)
                points = tuple(
                    Points(who, *series(a, who, value), style=config.style(who)) for who in (*a.people, *a.personas)
                )
                labels = tuple(column.replace("_", " ") for column in a.columns)
                panels.append(
                    BarPanel(
                        "profile column", "% of the variance", labels, bars, points, f"{a.dataset}: {title}", low, high
                    )
                )
        return bars_figure(panels, columns=2, width=4.6, height=3.0)

    where = " and ".join(f"{len(config.seeds)} sets of {a.unseen} ({a.dataset})" for a in asked)
    caption = (
        "Share of the variance of answers (around their problem's mean) that lies between the groups of a column, "
        "and between people of a group. Persona prompts name a gender or a race only; all who share one answer "
        f"alike. 95 % intervals over {where}."
    )
    words = "Variance between and within groups, for humans, two models, personas and a tuned language model."
    return Picture("groups", draw, caption, words)
