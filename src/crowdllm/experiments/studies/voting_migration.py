"""Votes per project as a crowd is given its parts one by one: fixed belief, relaxed belief, full model (Figure 8).

Ballots for exactly five of 24 projects. Of both models three conditions are shown: everybody has one belief and the
blender adds nothing of its own; beliefs differ, the blender still adds nothing; both. In `crowdllm` one belief is that
of the mean person, and a fixed blender takes the five projects with the highest utilities. In `crowdllm-paper` one
belief is one person's profile and noise, and a fixed blender has sigma = 0. Beside them are the recorded LLMs' ballots.

Shapes: n simulated voters, M projects, Z belief width.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crowdllm.data.profiles import Profiles
from crowdllm.data.study import Study
from crowdllm.evaluation.votes import vote_counts, vote_metrics
from crowdllm.experiments.studies.crowds import Fitted
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.fits import OWN, PAPER, QUICK_OWN, QUICK_PAPER, Given, fit_with
from crowdllm.experiments.studies.protocol import Data, Experiment, Findings, Picture, Piece, Settings, Tables, union
from crowdllm.experiments.studies.summary import (
    Claim,
    above,
    difference,
    interval,
    number,
    over_seeds,
    rows_where,
    sort_claims,
    summary_table,
)
from crowdllm.methods.crowdllm import CrowdSimulator
from crowdllm.methods.crowdllm_paper import PaperSimulator
from crowdllm.report.bars_figure import BarPanel, Points, bars_figure
from crowdllm.responses.protocol import Array
from crowdllm.rng import generator
from crowdllm.simulation.exact import shifted_parameters

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIXED, RELAXED, FULL = "fixed belief and blender", "relaxed belief, fixed blender", "full model"
CONDITIONS = (FIXED, RELAXED, FULL)
LLMS = ("gpt4-temp0", "gpt4-temp1", "gpt4-temp2", "llama2-70b-temp0", "llama2-70b-temp1")
LIMITS = (
    "LLaMA-2-70B is recorded at temperatures 0 and 1, not at 2. The paper's own LLM is Gemma3-12B; the references "
    "here are GPT-4's ballots in the personas of the voters.",
    "The paper holds the randomness fixed at one draw; here a fixed blender adds nothing (crowdllm: the five highest "
    "utilities; crowdllm-paper: sigma 0).",
    "The recorded LLMs were told a budget of 50,000 CHF, the students 60,000.",
)


@dataclass(frozen=True)
class Config:
    """voters: simulated ones, whose votes are scaled to the held-out voters. rare: fewer votes are very few."""

    seeds: tuple[int, ...]
    methods: tuple[str, ...] = (OWN, PAPER)
    llms: tuple[str, ...] = LLMS
    dataset: str = "voting"
    references: str = "gpt4-personas"
    test_fraction: float = 0.2
    voters: int = 1000
    rare: float = 1.0
    own: Given = ()
    paper: Given = ()


def configure(settings: Settings) -> Experiment:
    """Voting migration: votes per project with fixed belief, relaxed belief, and the full model, beside LLMs."""
    config = Config(settings.seeds(10, 3))
    if settings.quick:
        config = replace(config, voters=300, own=QUICK_OWN, paper=QUICK_PAPER)
    models = [
        Piece(f"{method}-{seed}", measure, (config, settings.embedding, method, seed), method)
        for seed in config.seeds
        for method in config.methods
    ]
    llms = [
        Piece(f"{source}-{seed}", measure_llm, (config, source, seed), "LLM")
        for seed in config.seeds
        for source in config.llms
    ]
    return Experiment(
        "voting-migration",
        "Voting migration: what beliefs and blender add",
        "Figure 8",
        "Students voted for five of 24 city projects each. Where do a crowd's votes go when all have one belief, "
        "when beliefs differ, and when the blender adds its part, and where do LLMs' votes go? A fifth of the "
        "voters is unseen in training; votes are scaled to their number.",
        config,
        (*models, *llms),
        lambda tables: report(config, tables),
        tuple(Data(config.dataset, source) for source in (config.references, *config.llms)),
        LIMITS,
    )


def measure(config: Config, embedding: str, method: str, seed: int) -> pd.DataFrame:
    """A row per condition and project: votes of the simulated voters beside those of the held-out ones."""
    study, references = open_data(Data(config.dataset, config.references))
    split = study.split("participant", config.test_fraction, seed)
    fitted = fit_with(method, split.train, references, embedding, seed, config.own, config.paper, config.voters)
    cast = own_ballots if method == OWN else paper_ballots
    return pd.concat(
        [
            counted(config, split.test, cast(fitted, split.test, condition, seed), method, condition, seed)
            for condition in CONDITIONS
        ],
        ignore_index=True,
    )


def measure_llm(config: Config, source: str, seed: int) -> pd.DataFrame:
    """The same for the recorded ballots of one LLM; those that were no legal ballot are left out."""
    study, references = open_data(Data(config.dataset, source))
    assert references is not None
    test = study.split("participant", config.test_fraction, seed).test
    ballots_KM = references.aligned(study.problems).sources[0].values_TKD[0]
    legal_KM = ballots_KM[~np.isnan(ballots_KM).any(axis=1)]
    return counted(config, test, legal_KM, source, "", seed)


def own_ballots(fitted: Fitted, test: Study, condition: str, seed: int) -> Array:
    """(n, M) ballots of `crowdllm`."""
    assert isinstance(fitted.simulator, CrowdSimulator)
    model, people = fitted.simulator.model, fitted.people
    items = model.make_items(test.problems, fitted.references)
    loadings_IZ, base_TP, spread_T = model.item_terms(items)
    attitude_NZ = model.attitudes(people, model.participant_noise(people, seed))
    if condition == FIXED:
        attitude_NZ = np.zeros_like(attitude_NZ)
    one = np.zeros(len(people), dtype=np.int64)
    kind = model.response_type
    params = shifted_parameters(kind, loadings_IZ, base_TP[one], spread_T[one], items.item_TU[one], attitude_NZ)
    shape = (len(people), kind.noise_width(items.item_TU.shape[1]))
    noise = generator(seed, "voting migration").random(shape) if condition == FULL else np.full(shape, 0.5)
    return np.asarray(kind.sample(params, noise, test.problems.option_counts[one]))


def paper_ballots(fitted: Fitted, test: Study, condition: str, seed: int) -> Array:
    """(n, M) ballots of `crowdllm-paper`; people of one id and one profile have one belief."""
    simulator, people = fitted.simulator, fitted.people
    assert isinstance(simulator, PaperSimulator)
    if condition != FULL:
        quiet = deepcopy(simulator.belief)
        quiet.config = simulator.config.model_copy(update={"noise": 0.0})
        simulator = replace(simulator, belief=quiet)
    if condition == FIXED:
        first = np.zeros(len(people), dtype=np.int64)
        people = Profiles(people.columns, people.ids[first], people.values_NC[first])
    everybody, one = np.arange(len(people)), np.zeros(len(people), dtype=np.int64)
    return simulator.simulate(test.problems, fitted.references, people, everybody, one, seed)


def counted(config: Config, test: Study, ballots_NM: Array, who: str, condition: str, seed: int) -> pd.DataFrame:
    """A row per project; the crowd's own numbers (mae, rare, different) are the same in each of them."""
    human_M = vote_counts(test.responses.values_RD)
    votes_M = vote_counts(ballots_NM, len(test.responses))
    return pd.DataFrame(
        {
            "who": who, "condition": condition, "seed": seed, "project": np.arange(1, len(votes_M) + 1),
            "humans": human_M, "votes": votes_M, "mae": vote_metrics(human_M, votes_M).mae,
            "rare": int((votes_M < config.rare).sum()), "humans_rare": int((human_M < config.rare).sum()),
            "different": len(np.unique(ballots_NM, axis=0)) / len(ballots_NM),
        }
    )  # fmt: skip


def report(config: Config, tables: Tables) -> Findings:
    """Votes per project in a picture, errors and diversity in a table, and the paper's words on Figure 8."""
    table = union(tables)
    crowds = table.drop_duplicates(["who", "condition", "seed"])
    summary = over_seeds(table, ("who", "condition", "project"), ("votes", "humans"))
    numbers = over_seeds(crowds, ("who", "condition"), ("mae", "rare", "different"))
    named = numbers.assign(
        crowd=numbers["who"] + np.where(numbers["condition"] == "", "", ", " + numbers["condition"]),
        measure=numbers["metric"].map(
            {"mae": "MAE (votes)", "rare": "projects with hardly a vote", "different": "share of different ballots"}
        ),
        metric="all",
    )
    found = sort_claims(claims(config, crowds))
    humans = interval(crowds.drop_duplicates("seed"), "humans_rare", {})
    shows = [f"Projects with fewer than {config.rare:g} votes of the held-out voters: {number(humans, 1)}."]
    for who, condition in dict.fromkeys(zip(crowds["who"], crowds["condition"], strict=True)):
        where = {"who": who, "condition": condition}
        texts = [number(interval(crowds, v, where), 2) for v in ("mae", "rare", "different")]
        shows.append(
            f"{who}{', ' if condition else ''}{condition}: MAE {texts[0]} votes, {texts[1]} projects with hardly "
            f"a vote, share of different ballots {texts[2]}."
        )
    return Findings(
        {"voting-migration": table, "voting-migration-summary": pd.concat([summary, numbers], ignore_index=True)},
        (_picture(config, summary),),
        tuple(shows), found.agrees, found.differs,
        (summary_table(named, "crowd", "measure", "all", "Crowds of voters", digits=2),), found.undecided,
    )  # fmt: skip


def claims(config: Config, crowds: pd.DataFrame) -> Iterator[Claim]:
    """What the paper says of Figure 8, for both models."""
    for method in config.methods:
        at = {condition: {"who": method, "condition": condition} for condition in CONDITIONS}
        alike = interval(crowds, "different", at[FIXED])
        if alike is None:
            continue
        ballots = rows_where(crowds, at[FIXED])["different"] * config.voters
        yield Claim(
            bool((ballots < 1.5).all()),
            f"Paper: with fixed belief and blender everybody votes the same way. {method}: {ballots.mean():.1f} "
            f"different ballots among {config.voters}.",
        )
        for first, second, value, words in (
            (RELAXED, FIXED, "different", "relaxed beliefs are more diverse: the share of different ballots rises by"),
            (RELAXED, FULL, "rare", "the full model votes for projects that relaxed beliefs leave out: fewer by"),
            (FIXED, RELAXED, "mae", "relaxed beliefs are nearer to the humans' votes than fixed ones: MAE falls by"),
            (RELAXED, FULL, "mae", "the full model is nearer to the humans' votes than relaxed beliefs: MAE falls by"),
        ):
            gain = difference(crowds, value, at[first], at[second])
            if gain is not None:
                yield Claim(above(gain), f"Paper: {words} (expected above 0). {method}: {number(gain, 2)}.")
        for source in config.llms:
            lead = difference(crowds, "mae", {"who": source, "condition": ""}, at[FULL])
            if lead is not None:
                yield Claim(
                    above(lead),
                    f"Paper: LLMs concentrate on few projects, which the full model does not. {source} has "
                    f"{number(lead, 2)} votes more MAE than {method}.",
                )


def _picture(config: Config, summary: pd.DataFrame) -> Picture:
    humans = rows_where(summary, {"metric": "humans"}).drop_duplicates("project").sort_values("project")
    order = np.argsort(-humans["mean"].to_numpy(), kind="stable")
    votes = rows_where(summary, {"metric": "votes"})
    most = float(votes["mean"].max())  # nobody has more votes than there are voters: intervals are cut there

    def points(name: str, who: str, condition: str, style: int) -> Points | None:
        part = rows_where(votes, {"who": who, "condition": condition}).sort_values("project")
        if len(part) != len(order):
            return None
        mean, low, high = (np.clip(part[end].to_numpy()[order], 0, most) for end in ("mean", "low", "high"))
        return Points(name, tuple(mean), tuple(low) if condition else (), tuple(high) if condition else (), style)

    def draw() -> Figure:
        rows = [("recorded LLMs", [points(s, s, "", i + 3) for i, s in enumerate(config.llms)])]
        rows += [(m, [points(c, m, c, i) for i, c in enumerate(CONDITIONS)]) for m in config.methods]
        labels = tuple(str(p) for p in humans["project"].to_numpy()[order])
        panels = [
            BarPanel(
                "project, by the humans' votes", "votes", labels, tuple(humans["mean"].to_numpy()[order]),
                tuple(p for p in series if p is not None), title, bar_name="held-out humans",
            )
            for title, series in rows
        ]  # fmt: skip
        return bars_figure(panels, columns=1, width=9.0, height=2.5)

    caption = (
        "Votes per project, scaled to the held-out voters (grey bars: their own, mean of the splits). Lines on "
        f"the points of the models: 95 % intervals over {len(config.seeds)} splits."
    )
    return Picture("voting-migration", draw, caption, "Votes for each of 24 projects by humans, LLMs and two models.")
