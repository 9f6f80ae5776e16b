"""What a crowd needs in training: people, problems per person, response error and belief diversity (Figure 9).

A `crowdllm` fitted on the offensiveness ratings is the true population. Its person i feels about problem t

    y*_it = m_t + diversity b_it + error e_it,

m_t the fitted mean rating, b_it the fitted belief beta_t . c_i in units in which its SD is 1 over people (on average
over problems), e_it standard normal, both in points of the scale; the answer is the nearest level. Methods are
trained on the answers of some of these people to some of 80 % of the problems. On the other 20 % the mean of 20 people
simulated by them is compared with the mean of the true population without response error.

Shapes: N people, T problems, Z belief width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.config import CrowdConfig, make_config
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError
from crowdllm.experiments.studies.crowds import crowd_numbers
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.fits import OWN, PAPER, QUICK_OWN, Given, fit_with
from crowdllm.experiments.studies.protocol import Data, Experiment, Findings, Picture, Piece, Settings, Tables, union
from crowdllm.experiments.studies.summary import (
    Claim,
    above,
    all_of,
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
from crowdllm.reference import References
from crowdllm.report.curves_figure import CurvePanel, curves_figure
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import Array
from crowdllm.rng import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEYS = ("method", "error", "diversity", "people", "per_person", "annotations")
NEAR = 0.1
BUDGET = 800
LIMITS = (
    "The paper's true population is its own model with Gemma3-12B; here it is crowdllm fitted with GPT-4's decisions, "
    "which the methods under test are given as well.",
    "The paper can be read as setting the diversity of the population or of the model that is tested; here it is that "
    "of the population, and the model finds out by itself.",
    "The paper gives curves without numbers. 'Settled' means here: with this budget and all larger ones the MAE is "
    f"within {NEAR:.0%} of that of the largest.",
    "Answers are whole levels of the scale, so an error of SD 2 also pulls the mean answer to the middle.",
)


@dataclass(frozen=True)
class Truth:
    """The true population: a fit with these settings on this data; problems: so many of its comments are used."""

    data: Data
    embedding: str
    settings: Given = ()
    problems: int = 500
    people: int = 2000


@dataclass(frozen=True)
class Config:
    """errors, diversities: SDs in points. people, per_person: in training. crowd: simulated people per problem."""

    seeds: tuple[int, ...]
    truth: Truth
    methods: tuple[str, ...] = (OWN, PAPER)
    errors: tuple[float, ...] = (0.0, 1.0, 2.0)
    diversities: tuple[float, ...] = (0.0, 1.0, 2.0)
    people: tuple[int, ...] = (5, 10, 20, 40, 80)
    per_person: tuple[int, ...] = (5, 10, 20, 40)
    crowd: int = 20
    test_fraction: float = 0.2
    own: Given = ()


def configure(settings: Settings) -> Experiment:
    """Simulation study: people, problems per person, response error and belief diversity, with a known truth."""
    config = Config(settings.seeds(10, 3), Truth(Data("offensiveness", "gpt4"), settings.embedding))
    if settings.quick:
        truth = replace(config.truth, settings=QUICK_OWN, problems=150, people=500)
        config = replace(
            config, truth=truth, methods=(OWN,), errors=(0.0, 2.0), people=(10, 40), per_person=(5, 20), own=QUICK_OWN
        )
    pieces = tuple(
        Piece(
            f"{m}-{error:g}-{diversity:g}-{seed}", measure, (config, settings.embedding, m, error, diversity, seed), m
        )
        for seed in config.seeds
        for m in config.methods
        for error in config.errors
        for diversity in config.diversities
    )
    return Experiment(
        "simulation",
        "Simulation study: what a crowd needs in training",
        "Section 5.5 and Figure 9",
        "With a population whose mean answers are known: how does the error on unseen problems depend on how many "
        "people answered, how many problems each, with what error, and on how different they are? The paper draws five "
        "conclusions, which are tested one by one.",
        config,
        pieces,
        lambda tables: report(config, tables),
        (config.truth.data,),
        LIMITS,
    )


@dataclass(frozen=True)
class Population:
    """A fitted model as the truth. location_T: m_t; loadings_TZ: beta_t, scaled so that the beliefs' SD is 1."""

    model: CrowdModel
    problems: Problems
    references: References | None
    kind: Ordinal
    location_T: Array
    loadings_TZ: Array

    def beliefs(self, people: Profiles, seed: int) -> Array:
        """(N, T) b_it."""
        return self.model.attitudes(people, self.model.participant_noise(people, seed)) @ self.loadings_TZ.T

    def levels(self, felt_NT: Array) -> Array:
        """The nearest level to what is felt, as its position 0..M-1."""
        return np.clip(np.rint(felt_NT - self.kind.points[0]), 0, len(self.kind.levels) - 1)

    def mean_answers(self, people: Profiles, diversity: float, seed: int) -> Array:
        """(T,) the mean answer without response error."""
        felt_NT = self.location_T + diversity * self.beliefs(people, seed)
        return np.asarray(self.levels(felt_NT).mean(axis=0) + self.kind.points[0])


@lru_cache(maxsize=2)
def true_population(truth: Truth) -> Population:
    """Fit the truth; raises ConfigError where ratings are not 1, 2, 3, ... or the fitted people do not differ."""
    study, references = open_data(truth.data)
    kind = study.response_type
    if not isinstance(kind, Ordinal) or set(np.diff(kind.points)) != {1.0}:
        raise ConfigError("the simulation study needs a scale whose levels are one point apart")
    model = fit_crowd(
        study, references, make_config(CrowdConfig, {"embedding": truth.embedding} | dict(truth.settings))
    )
    order = generator(0, "simulation:problems").permutation(len(study.problems))
    problems = study.problems.take(np.sort(order[: truth.problems]))
    own = references.aligned(problems) if references else None
    return population_of(model, problems, own, kind)


def population_of(model: CrowdModel, problems: Problems, references: References | None, kind: Ordinal) -> Population:
    """Mean answers and scaled loadings of a fitted model; raises ConfigError where people do not differ."""
    from scipy.special import ndtr

    loadings_TZ, base_TP, _ = model.item_terms(model.make_items(problems, references))
    below_TP = ndtr(base_TP)
    share_TM = np.diff(below_TP, axis=1, prepend=0.0, append=1.0)
    variance = float(np.einsum("tz,zy,ty->t", loadings_TZ, model.covariance_ZZ, loadings_TZ).mean())
    if variance <= 0:
        raise ConfigError("in the fitted population people do not differ: there is no belief whose SD could be set")
    location_T = share_TM @ np.asarray(kind.points)
    return Population(model, problems, references, kind, location_T, loadings_TZ / np.sqrt(variance))


def measure(config: Config, embedding: str, method: str, error: float, diversity: float, seed: int) -> pd.DataFrame:
    """One row per number of people and of problems per person."""
    truth = true_population(config.truth)
    rng = generator(seed, "simulation:split")
    order = rng.permutation(len(truth.problems))
    held = round(config.test_fraction * len(order))
    test, train = np.sort(order[:held]), np.sort(order[held:])
    mean_T = truth.mean_answers(truth.model.recruit(config.truth.people, 10_000 + seed), diversity, 10_000 + seed)
    rows = []
    for people in config.people:
        for per_person in config.per_person:
            part = training_part(truth, train, people, per_person, error, diversity, seed)
            fitted = fit_with(method, part, truth.references, embedding, seed, config.own)
            unseen = replace(part, problems=truth.problems.take(test), responses=_none())
            crowd_Tn = crowd_numbers(fitted, unseen, config.crowd, seed)
            mae = float(np.abs(crowd_Tn.mean(axis=1) - mean_T[test]).mean())
            rows.append((method, error, diversity, people, per_person, people * per_person, seed, mae))
    return pd.DataFrame(rows, columns=[*KEYS, "seed", "mae"])


def training_part(
    truth: Population,
    problems: NDArray[np.int64],
    people: int,
    per_person: int,
    error: float,
    diversity: float,
    seed: int,
) -> Study:
    """What so many true people answered to so many of these problems each; problems without answers stay out."""
    crowd = truth.model.recruit(people, seed)
    rng = generator(seed, f"simulation:{people} people, {per_person} each")
    count = min(per_person, len(problems))
    asked = problems[np.argsort(rng.random((people, len(problems))), axis=1)[:, :count]]
    felt_NT = truth.location_T + diversity * truth.beliefs(crowd, seed)
    person_R, problem_R = np.repeat(np.arange(people), count), np.sort(asked, axis=1).reshape(-1)
    felt_R = felt_NT[person_R, problem_R] + error * rng.standard_normal(len(person_R))
    whole = Study(
        "simulated people", truth.kind, truth.problems, crowd,
        Responses(person_R, problem_R, truth.levels(felt_R)[:, None]), simulated=True,
    )  # fmt: skip
    return whole.subset(np.unique(problem_R), np.arange(people))


def _none() -> Responses:
    nobody = np.zeros(0, dtype=np.int64)
    return Responses(nobody, nobody, np.zeros((0, 1)))


def report(config: Config, tables: Tables) -> Findings:
    """A picture per method, the MAE of every cell, and the paper's five conclusions."""
    table = union(tables)
    summary = over_seeds(table, KEYS, ("mae",))
    claims = [claim for method in config.methods for claim in insights(config, rows_where(table, {"method": method}))]
    found = sort_claims(claims)
    pictures, blocks, shows = [], [], []
    for method in config.methods:
        own = rows_where(summary, {"method": method})
        if not len(own):
            continue
        pictures.append(_picture(config, method, own))
        most = own[(own["people"] == config.people[-1]) & (own["per_person"] == config.per_person[-1])]
        named = most.assign(
            belief_diversity=most["diversity"].map("{:g}".format), response_error=most["error"].map("SD {:g}".format)
        )
        caption = f"{method}: MAE with {config.people[-1]} people and {config.per_person[-1]} problems each"
        blocks.append(summary_table(named, "belief_diversity", "response_error", "mae", caption))
        shows += list(_shows(config, method, own))
    return Findings(
        {"simulation": table, "simulation-summary": summary},
        tuple(pictures), tuple(shows), found.agrees, found.differs, tuple(blocks), found.undecided,
    )  # fmt: skip


def _shows(config: Config, method: str, own: pd.DataFrame) -> Iterator[str]:
    for diversity in config.diversities:
        best = settled(rows_where(own, {"diversity": diversity}))
        part = rows_where(own, {"diversity": diversity, "annotations": own["annotations"].max()})
        levels = ", ".join(f"{r['mean']:.3f} at error {r['error']:g}" for r in part.to_dict("records"))
        yield (
            f"{method}, belief diversity {diversity:g}: MAE with the largest training part {levels}; it has settled at "
            f"{best} annotations (mean over errors)."
        )


def settled(summary: pd.DataFrame) -> int:
    """The least number of annotations from which on the MAE is within a tenth of that of the largest number.

    summary: columns annotations and mean; several rows of one number are averaged.
    """
    mean = summary.groupby("annotations")["mean"].mean().sort_index()
    near = (mean <= (1 + NEAR) * mean.iloc[-1]).to_numpy()
    far = np.flatnonzero(~near)
    return int(mean.index[0 if not len(far) else far[-1] + 1])


def insights(config: Config, table: pd.DataFrame) -> Iterator[Claim]:
    """The paper's five conclusions about one method, in its order."""
    if not len(table):
        return
    method = str(table["method"].iloc[0])
    few, many = config.people[0], config.people[-1]
    each = table.groupby(["error", "diversity", "people", "seed"], as_index=False)[["mae"]].mean()
    for error in (e for e in config.errors if e > 0):
        where = {"error": error, "diversity": 0.0}
        rise = difference(each, "mae", where | {"people": many}, where | {"people": few})
        if rise is not None:
            yield Claim(
                above(rise),
                f"Paper, insight 1: with noisy data and belief diversity 0, more people make it worse. {method}, error "
                f"{error:g}: MAE changes by {number(rise)} from {few} to {many} people (below 0 is better).",
            )
    yield from _best_diversity(config, table, method)
    yield from _budgets(config, table, method)
    yield from _ceiling(config, table, method)


def _largest(config: Config, **where: float) -> dict[str, object]:
    return {"people": config.people[-1], "per_person": config.per_person[-1], **where}


def _best_diversity(config: Config, table: pd.DataFrame, method: str) -> Iterator[Claim]:
    others = [d for d in config.diversities if d > 0]
    gaps = [
        difference(table, "mae", _largest(config, error=0.0, diversity=d), _largest(config, error=0.0, diversity=0.0))
        for d in others
    ]
    known = [(d, gap) for d, gap in zip(others, gaps, strict=True) if gap is not None]
    if known:
        words = ", ".join(f"{number(gap)} more at diversity {d:g}" for d, gap in known)
        yield Claim(
            all_of(above(gap) for _, gap in known),
            f"Paper, insight 2: with noise-free data belief diversity 0 is best. {method}, largest training part: MAE "
            f"is {words}.",
        )


def _budgets(config: Config, table: pd.DataFrame, method: str) -> Iterator[Claim]:
    at = {d: settled(over_seeds(rows_where(table, {"diversity": d}), ("annotations",), ("mae",)))
          for d in config.diversities if (table["diversity"] == d).any()}  # fmt: skip
    if 2.0 in at and 1.0 in at:
        yield Claim(
            at[2.0] >= BUDGET / 2 and at[2.0] > at[1.0],
            f"Paper, insight 3: belief diversity 2 needs a large budget, about {BUDGET} annotations, before it "
            f"settles (taken as: at least {BUDGET // 2}, and more than at diversity 1). {method}: settled at {at[2.0]} "
            f"annotations, at {at[1.0]} with diversity 1; the largest tried is {int(table['annotations'].max())}.",
        )
    small = [(10, each) for each in (5, 10) if each in config.per_person and 10 in config.people]
    each_error = table.groupby(["diversity", "people", "per_person", "seed"], as_index=False)[["mae"]].mean()
    for people, per_person in small:
        where: dict[str, object] = {"diversity": 1.0, "people": people, "per_person": per_person}
        lost = difference(each_error, "mae", where, _largest(config, diversity=1.0))
        base = interval(each_error, "mae", _largest(config, diversity=1.0))
        if lost is not None and base is not None:
            yield Claim(
                below(lost, NEAR * base.mean),
                f"Paper, insight 4: at belief diversity 1 about 10 people with 5 to 10 problems each suffice (taken "
                f"as: at most {NEAR:.0%} more error than the largest part). {method}: {people} x {per_person} has "
                f"{number(lost)} more MAE than {number(base)}.",
            )


def _ceiling(config: Config, table: pd.DataFrame, method: str) -> Iterator[Claim]:
    low, high = config.errors[0], config.errors[-1]
    gaps = [
        (
            d,
            difference(
                table, "mae", _largest(config, error=high, diversity=d), _largest(config, error=low, diversity=d)
            ),
        )
        for d in config.diversities
    ]
    known = [(d, gap) for d, gap in gaps if gap is not None]
    if known and low != high:
        words = ", ".join(f"{number(gap)} at diversity {d:g}" for d, gap in known)
        yield Claim(
            all_of(above(gap) for _, gap in known),
            f"Paper, insight 5: the quality of the data sets the ceiling. {method}, largest training part: an error of "
            f"{high:g} instead of {low:g} costs in MAE {words}.",
        )


def _picture(config: Config, method: str, own: pd.DataFrame) -> Picture:
    def draw() -> Figure:
        panels = []
        for error in config.errors:
            for diversity in config.diversities:
                where = {"error": error, "diversity": diversity, "metric": "mae"}
                lines = [
                    curve(own, f"{each} problems each", "people", where | {"per_person": each})
                    for each in config.per_person
                ]
                panels.append(
                    CurvePanel(
                        "people in training", "MAE (scale points)", present(lines),
                        f"response error {error:g}, belief diversity {diversity:g}", True,
                        ticks=tuple((float(n), str(n)) for n in config.people), bounds=(0.0, np.inf),
                    )
                )  # fmt: skip
        return curves_figure(panels, columns=len(config.diversities), share_y=True)

    caption = (
        f"{method}: error of the mean of {config.crowd} simulated people on unseen problems against the true mean; "
        f"rows: SD of the response error, columns: SD of beliefs. Bands: 95 % intervals over "
        f"{len(config.seeds)} repetitions."
    )
    words = "MAE against people in training, by problems per person, response error and belief diversity."
    return Picture(f"simulation-{method}", draw, caption, words)
