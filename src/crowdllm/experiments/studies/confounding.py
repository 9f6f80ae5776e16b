"""Training data in which harsh problems went to people who are easily offended: how each method's error grows.

Synthetic people (`crowdllm.datasets.synthetic`) all answer all problems, and their true means are known. Of these
answers a method sees those to `per_person` of the training problems, drawn without replacement with weights

    exp(strength a_i b_t),      a_i the standardised profile ("leaning"), b_t the standardised true mean of the problem,

so that who answers what is random at strength 0 and correlated above. It is then asked for a crowd of people recruited
from the same profiles, who answer every problem: profile and problem are uncorrelated. Errors are against the true
mean, on unseen problems and on those of the training part.

Shapes: N people, T problems.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.profiles import Profiles
from crowdllm.data.study import Study
from crowdllm.datasets import load_dataset
from crowdllm.datasets.synthetic import true_mean
from crowdllm.evaluation.intervals import Interval
from crowdllm.experiments.studies.crowds import Fitted, crowd_numbers
from crowdllm.experiments.studies.fits import OWN, PAPER, QUICK_PAPER, VAE, Given, fit_with
from crowdllm.experiments.studies.protocol import Data, Experiment, Findings, Picture, Piece, Settings, Tables, union
from crowdllm.experiments.studies.summary import (
    Claim,
    above,
    below,
    curve,
    difference,
    interval,
    number,
    over_seeds,
    present,
    rows_where,
    sort_claims,
    summary_table,
)
from crowdllm.reference import Reference, References
from crowdllm.report.curves_figure import CurvePanel, curves_figure
from crowdllm.responses.protocol import Array
from crowdllm.rng import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WITHOUT = "crowdllm without profiles"
RIDGE, POOLED, HISTOGRAM = "embedding-references-ridge", "pooled", "problem-histogram"
UNSEEN, SEEN = "unseen problems", "training problems"
COLUMN = "leaning"
MATERIAL = 0.02
LIMITS = (
    "The paper names the question and has no numbers for it; the population, and the LLM (the true mean pressed "
    "to the middle and raised a little, with an error of SD 0.8), are made up.",
    "What decides who answers is in the profile. Where it is something that no profile tells, no method can know.",
)


@dataclass(frozen=True)
class Config:
    """participants, problems, per_person: of the study. strengths: of the selection. crowd: people per problem."""

    seeds: tuple[int, ...]
    methods: tuple[str, ...] = (OWN, WITHOUT, PAPER, VAE, RIDGE, POOLED, HISTOGRAM)
    strengths: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0)
    participants: int = 200
    problems: int = 150
    per_person: int = 20
    test_fraction: float = 0.2
    crowd: int = 100
    own: Given = ()
    paper: Given = ()


def configure(settings: Settings) -> Experiment:
    """Confounding: profile and problem correlated in training and not in testing, and how errors grow."""
    config = Config(settings.seeds(10, 3))
    if settings.quick:
        config = replace(
            config, strengths=(0.0, 1.0, 4.0), participants=100, problems=80, per_person=12, own=(("max_epochs", 12),),
            paper=QUICK_PAPER,
        )  # fmt: skip
    pieces = tuple(
        Piece(
            f"{method.replace(' ', '-')}-{strength:g}-{seed}",
            measure, (config, settings.embedding, method, strength, seed), method,
        )
        for seed in config.seeds
        for method in config.methods
        for strength in config.strengths
    )  # fmt: skip
    name = f"synthetic:participants={config.participants},problems={config.problems},per_participant={config.problems}"
    return Experiment(
        "confounding",
        "Confounding: who answers what is no accident",
        "third open question",
        "People who are easily offended get the harsh problems in training, and everybody gets everything in "
        "testing. How does each method's error grow with the correlation of profile and problem, and does the "
        "model keep apart what is due to people and what to problems?",
        config,
        pieces,
        lambda tables: report(config, tables),
        (Data(name),),
        LIMITS,
    )


def measure(config: Config, embedding: str, method: str, strength: float, seed: int) -> pd.DataFrame:
    """Two rows, for unseen problems and those of the training part."""
    whole = load_dataset(
        "synthetic", participants=config.participants, problems=config.problems,
        per_participant=config.problems, seed=seed,
    )  # fmt: skip
    mean_T = true_mean(config.problems, seed=seed)
    order = generator(seed, "confounding:split").permutation(config.problems)
    held = round(config.test_fraction * config.problems)
    unseen, train = np.sort(order[:held]), np.sort(order[held:])
    chosen = confounded(whole, mean_T, train, config.per_person, strength, seed)
    part = replace(whole, responses=whole.responses.take(chosen))
    references = References((made_up_llm(whole, mean_T, seed),))
    if method == WITHOUT:
        part = replace(part, profiles=_bare(part.profiles))
    seen = np.unique(part.responses.problem_R)
    training = part.subset(seen, np.arange(config.participants))
    own = OWN if method == WITHOUT else method
    fitted = fit_with(own, training, references, embedding, seed, config.own, config.paper)
    correlation = _correlation(whole, mean_T, chosen)
    rows = []
    for where, problems in ((UNSEEN, unseen), (SEEN, seen)):
        asked = part.subset(problems, np.arange(config.participants))
        crowd_T = crowd_numbers(fitted, asked, config.crowd, seed).mean(axis=1)
        error_T = crowd_T - mean_T[problems]
        known = error_T[~np.isnan(error_T)]
        gap = profile_gap(fitted, asked, config.crowd, seed) if method in (OWN, PAPER, VAE) else np.nan
        mae, slope = np.nan, np.nan
        if len(known):
            mae = float(np.abs(known).mean())
            slope = float(np.polyfit(mean_T[problems][~np.isnan(error_T)], known, 1)[0])
        true = true_gap(whole, problems)
        rows.append((method, strength, where, seed, correlation, mae, slope, gap, true))
    columns = ["method", "strength", "where", "seed", "correlation", "mae", "slope", "gap", "true_gap"]
    return pd.DataFrame(rows, columns=columns)


def confounded(
    whole: Study, mean_T: Array, train: NDArray[np.int64], per_person: int, strength: float, seed: int
) -> NDArray[np.int64]:
    """Rows of the responses that are seen: `per_person` of the training problems for everybody."""
    a_N = standardised(whole.profiles.values_NC[:, whole.profiles.position(COLUMN)])
    b_T = standardised(mean_T)
    noise_NT = generator(seed, "confounding:who answers what").gumbel(size=(len(a_N), len(b_T)))
    weight_NT = np.full(noise_NT.shape, -np.inf)
    weight_NT[:, train] = (strength * a_N[:, None] * b_T + noise_NT)[:, train]
    asked_NK = np.argsort(-weight_NT, axis=1)[:, :per_person]
    asked_NT = np.zeros(noise_NT.shape, dtype=bool)
    np.put_along_axis(asked_NT, asked_NK, True, axis=1)
    return np.flatnonzero(asked_NT[whole.responses.participant_R, whole.responses.problem_R])


def standardised(value_A: Array) -> Array:
    """Less the mean, over the SD."""
    return np.asarray((value_A - value_A.mean()) / value_A.std())


def _correlation(whole: Study, mean_T: Array, chosen: NDArray[np.int64]) -> float:
    seen = whole.responses.take(chosen)
    leaning_N = whole.profiles.values_NC[:, whole.profiles.position(COLUMN)]
    return float(np.corrcoef(leaning_N[seen.participant_R], mean_T[seen.problem_R])[0, 1])


def made_up_llm(whole: Study, mean_T: Array, seed: int) -> Reference:
    """One decision per problem of an LLM that leans to the middle, a little high, with an error."""
    felt_T = 3.3 + 0.7 * (mean_T - 3) + 0.8 * generator(seed, "confounding:llm").standard_normal(len(mean_T))
    level_T = np.clip(np.rint(felt_T - 1), 0, 4)
    return Reference("made-up LLM", "decision", whole.problems.ids, level_T[:, None, None], asked=len(mean_T))


def _bare(profiles: Profiles) -> Profiles:
    return Profiles((), profiles.ids, np.zeros((len(profiles), 0)))


def true_gap(whole: Study, problems: NDArray[np.int64]) -> float:
    """Mean answer of the people of the highest level less that of the lowest, everybody answering these problems."""
    part = whole.subset(problems, np.arange(len(whole.profiles)))
    level_R = part.profiles.values_NC[part.responses.participant_R, part.profiles.position(COLUMN)]
    value_R = part.responses.values_RD[:, 0]
    return float(value_R[level_R == level_R.max()].mean() - value_R[level_R == level_R.min()].mean())


def profile_gap(fitted: Fitted, asked: Study, size: int, seed: int) -> float:
    """The same among simulated people, who differ in this column alone."""
    column = fitted.people.position(COLUMN)
    means = []
    for level in (0, len(fitted.people.columns[column].levels) - 1):
        values_NC = fitted.people.values_NC.copy()
        values_NC[:, column] = level
        alike = replace(fitted, people=replace(fitted.people, values_NC=values_NC))
        means.append(float(np.nanmean(crowd_numbers(alike, asked, size, seed))))
    return means[1] - means[0]


def report(config: Config, tables: Tables) -> Findings:
    """Error and profile effect against the strength of the selection."""
    table = union(tables)
    summary = over_seeds(table, ("method", "where", "strength"), ("mae", "slope", "gap", "correlation"))
    found = sort_claims(claims(config, table))
    blocks = []
    for where in (UNSEEN, SEEN):
        part = rows_where(summary, {"where": where})
        named = part.assign(selection=part["strength"].map("strength {:g}".format))
        blocks.append(
            summary_table(named, "method", "selection", "mae", f"MAE on {where}, by strength of the selection")
        )
    seen = table[table["where"] == SEEN].drop_duplicates(["strength", "seed"])
    related = ", ".join(
        f"{number(interval(seen, 'correlation', {'strength': s}), 2)} at strength {s:g}" for s in config.strengths
    )
    shows = [f"Correlation of profile and problem among the training answers: {related}.", *_shows(config, table)]
    return Findings(
        {"confounding": table, "confounding-summary": summary},
        (_picture(config, summary, table),),
        tuple(shows), found.agrees, found.differs, tuple(blocks), found.undecided,
    )  # fmt: skip


def growth(config: Config, table: pd.DataFrame, method: str, where: str) -> Interval | None:
    """MAE at the strongest selection less that without any, over seeds; None where one is missing."""
    ends = [{"method": method, "where": where, "strength": s} for s in (config.strengths[-1], config.strengths[0])]
    return difference(table, "mae", ends[0], ends[1])


def _shows(config: Config, table: pd.DataFrame) -> Iterator[str]:
    for method in config.methods:
        parts = [
            f"{number(found)} on {where}"
            for where in (UNSEEN, SEEN)
            if (found := growth(config, table, method, where)) is not None
        ]
        if parts:
            words = ", ".join(parts)
            yield f"{method}: from no selection to strength {config.strengths[-1]:g} the MAE grows by {words}."
    true = float(table["true_gap"].mean())
    for method in (OWN, PAPER):
        gaps = [
            f"{number(found, 2)} at strength {s:g}"
            for s in config.strengths
            if (found := interval(table, "gap", {"method": method, "where": SEEN, "strength": s})) is not None
        ]
        if gaps:
            words = ", ".join(gaps)
            yield f"{method}: the highest leaning answers above the lowest by {words}; in truth {true:.2f}."


def claims(config: Config, table: pd.DataFrame) -> Iterator[Claim]:
    """What one would hope for: errors do not grow, and less than those of methods that know no profiles."""
    for where in (UNSEEN, SEEN):
        for method in (OWN, PAPER):
            found = growth(config, table, method, where)
            if found is not None:
                yield Claim(
                    below(found, MATERIAL),
                    f"Hoped for: selection does not mislead it (taken as: at most {MATERIAL:g} more MAE). {method}, "
                    f"{where}: {number(found)}.",
                )
        strongest = {"where": where, "strength": config.strengths[-1]}
        gain = difference(table, "mae", strongest | {"method": WITHOUT}, strongest | {"method": OWN})
        if gain is not None:
            yield Claim(
                above(gain),
                f"Hoped for: knowing profiles helps under selection. On {where} crowdllm without profiles has "
                f"{number(gain)} more MAE than with them.",
            )


def _picture(config: Config, summary: pd.DataFrame, table: pd.DataFrame) -> Picture:
    shown = {UNSEEN: (OWN, WITHOUT, PAPER, VAE, RIDGE, POOLED), SEEN: (OWN, WITHOUT, PAPER, VAE, RIDGE, HISTOGRAM)}
    ticks = tuple((float(s), f"{s:g}") for s in config.strengths)
    label = "strength of the selection (0: at random)"

    def draw() -> Figure:
        panels = [
            CurvePanel(
                label, "MAE (scale points)",
                present(
                    curve(summary, m, "strength", {"metric": "mae", "method": m, "where": where}, style=_style(m))
                    for m in names
                ),
                where, ticks=ticks, bounds=(0.0, np.inf),
            )
            for where, names in shown.items()
        ]  # fmt: skip
        truth = over_seeds(table.assign(method="truth"), ("method", "strength"), ("true_gap",))
        gaps = [
            curve(summary, m, "strength", {"metric": "gap", "method": m, "where": SEEN}, style=_style(m))
            for m in (OWN, PAPER, VAE)
        ]
        known = curve(truth, "truth", "strength", {"metric": "true_gap"})
        lines = present([*gaps, replace(known, human=True) if known else None])
        panels.append(
            CurvePanel(label, "highest - lowest leaning (points)", lines, "effect of the profile", ticks=ticks)
        )
        return curves_figure(panels, columns=3, width=3.7)

    caption = (
        "Error of the crowd's mean against the true mean, by how strongly harsh problems went to people who are "
        f"easily offended; right: what the profile does to simulated people. Bands: 95 % intervals over "
        f"{len(config.seeds)} repetitions."
    )
    return Picture("confounding", draw, caption, "MAE against strength of selection by method, and profile effects.")


def _style(method: str) -> int:
    return {OWN: 0, WITHOUT: 5, PAPER: 1, VAE: 2, RIDGE: 3, POOLED: 4, HISTOGRAM: 6}[method]
