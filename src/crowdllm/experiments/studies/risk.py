"""Where the crowd's error comes from: theorem 2's terms on people the crowd has not seen, and on a known truth.

*Real data.* The crowd is fitted on 70 % of the problems (offensiveness) or of the people (the surveys), and the terms
are those of the others. One answer per person leaves human noise bounded, and with it L1 and L3; beside the bounds
stand the values for a test-retest reliability of .8, which is an assumption, not a finding.

*Known truth.* A crowd is fitted on a population that is written down: person i's expected answer m_it to each question,
noise, and questions asked twice of some people. The terms are computed from the truth and estimated from the answers.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from crowdllm.belief.crowd_model import fit_crowd
from crowdllm.config import CrowdConfig
from crowdllm.data.study import Study
from crowdllm.estimation.bare_llm import bare_llm
from crowdllm.estimation.human_noise import HumanNoise, noise_from_reliability, noise_from_repeats
from crowdllm.estimation.known_answers import errors_from_others
from crowdllm.estimation.known_people import KnownPeople, known_people
from crowdllm.estimation.risk import LABELS, RiskReport, decompose_risk
from crowdllm.estimation.twin_pairs import TwinPairs, twin_pairs
from crowdllm.experiments.studies.crowds import fit_method
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.protocol import Data, Experiment, Findings, Picture, Piece, Settings, Tables, union
from crowdllm.methods.crowdllm import CrowdSimulator
from crowdllm.report.page import Cell, Table
from crowdllm.report.risk_figure import RiskBar, risk_figure

KNOWN = "known truth"
BOUNDED, RELIABLE, REPEATED = "one answer per person", "reliability .8 assumed", "some asked twice"


@dataclass(frozen=True)
class Part:
    """A data set and what the crowd is not fitted on; over: what is drawn anew for the intervals."""

    dataset: str
    references: str
    split: str
    over: str


@dataclass(frozen=True)
class Config:
    """Everything the numbers depend on, besides the data. draws: of the bootstrap; asks: of each twin."""

    seeds: tuple[int, ...]
    parts: tuple[Part, ...] = (
        Part("offensiveness", "gpt4", "problem", "both"),
        Part("bfi", "elicited", "participant", "people"),
        Part("ev_attitudes", "elicited", "participant", "people"),
        Part("beps", "none", "participant", "people"),
    )
    fraction: float = 0.3
    reliability: float = 0.8
    draws: int = 300
    asks: int = 8
    people: int = 240
    problems: int = 60


def configure(settings: Settings) -> Experiment:
    """Risk decomposition: theorem 2's five terms and the remainder, on real people and on a known truth."""
    config = Config(settings.seeds(6, 2))
    if settings.quick:
        config = replace(config, parts=(config.parts[0], config.parts[2]), draws=100)
    pieces = [
        Piece(f"{part.dataset}-{seed}", measure, (config, part, settings.embedding, seed), part.dataset)
        for part in config.parts
        for seed in config.seeds[: 3 if part.dataset == "ev_attitudes" else 1]
    ]
    pieces += [Piece(f"known-{seed}", measure_known, (config, seed), KNOWN) for seed in config.seeds]
    return Experiment(
        "risk",
        "Where the crowd's error comes from",
        "Theorem 2 and proposition 1",
        "How much of the squared error of the crowd's mean is due to people's differing opinions, to their noise, to "
        "twins unlike their person, to the twins' own uncertainty, and how much does the crowd's diversity take away? "
        "Do the five terms add up to the error as the theorem says, and are they found where the truth is known?",
        config,
        tuple(pieces),
        lambda tables: report(config, tables),
        tuple(Data(part.dataset, part.references) for part in config.parts),
        (
            "Twins are simulated people with the profiles of those who answered; the crowd of the theorem is made of "
            "them, so it is as small as the group of people. A larger crowd has less error of its own sampling.",
            "The data sets have one answer per person and question: human noise can only be bounded there.",
        ),
    )


def measure(config: Config, part: Part, embedding: str, seed: int) -> pd.DataFrame:
    """A row per term, without and with an assumed reliability."""
    study, references = open_data(Data(part.dataset, part.references))
    split = study.split(part.split, config.fraction, seed)
    fitted = fit_method("crowdllm", split.train, references, embedding, seed)
    own = None if fitted.references is None else fitted.references.aligned(split.test.problems)
    pairs = twin_pairs(fitted.simulator, split.test, own, config.asks, seed)
    bare = None if own is None else bare_llm(own, split.test.response_type, split.test.problems)
    tables = []
    assert isinstance(fitted.simulator, CrowdSimulator)
    bound = float(errors_from_others(fitted.simulator.model, split.test, own, seed).mean())
    for noise, name in ((HumanNoise(at_most=bound), BOUNDED), (noise_from_reliability(config.reliability), RELIABLE)):
        found = decompose_risk(pairs, bare, noise, part.over, config.draws, seed=seed)
        tables.append(_table(found, name))
    return pd.concat(tables, ignore_index=True).assign(dataset=part.dataset, seed=seed)


def _table(found: RiskReport, noise: str) -> pd.DataFrame:
    frame = found.frame().drop(columns="meaning").assign(noise=noise, truth=np.nan)
    return frame.assign(people=found.people, problems=found.problems, responses=found.responses)


def measure_known(config: Config, seed: int) -> pd.DataFrame:
    """A row per term with its truth, from a crowd fitted on half of the problems of a made-up population."""
    world = known_people(config.people, config.problems, seed=seed)
    half = len(world.study.problems) // 2
    everybody = np.arange(len(world.study.profiles))
    train = world.study.subset(np.arange(half), everybody)
    test_rows = np.arange(half, len(world.study.problems))
    model = fit_crowd(train, None, CrowdConfig(max_epochs=20), seed)
    test = world.study.subset(test_rows, everybody)
    pairs = twin_pairs(model, test, None, config.asks, seed)
    noise = noise_from_repeats(*world.repeats)
    found = decompose_risk(pairs, None, noise, "both", config.draws, seed=seed)
    truth = true_terms(world, test, test_rows, twin_pairs(model, test, None, 200, seed + 1))
    frame = _table(found, REPEATED).assign(dataset=KNOWN, seed=seed)
    return frame.assign(truth=[truth.get(term, np.nan) for term in frame["term"]])


def true_terms(world: KnownPeople, test: Study, rows: np.ndarray, twins: TwinPairs) -> dict[str, float]:
    """The terms from the truth: people's expected answers and noise, and twins asked so often that they are known.

    They are averages over the very people and problems of the test part; only the noise is averaged out.
    """
    i, t = test.responses.participant_R, test.responses.problem_R
    m_R, eta_R = world.mean_NT[i, rows[t]], world.noise_NT[i, rows[t]]
    twin_R = twins.twin_JRD[:, :, 0].mean(axis=0)
    own_R = twins.twin_JRD[:, :, 0].var(axis=0, ddof=1)
    n_T = np.bincount(t).astype(float)

    def mean(value_R: np.ndarray) -> np.ndarray:
        return np.asarray(np.bincount(t, weights=value_R) / n_T)

    center_T, twin_center_T = mean(m_R), mean(twin_R)
    # mean_i E(Y - m_i)^2 with Y the mean of the same people's noisy answers
    one = mean((m_R - center_T[t]) ** 2) + mean(eta_R) / n_T
    two, three, four = mean(eta_R), mean((m_R - twin_R) ** 2), mean(own_R)
    five = mean((twin_R - twin_center_T[t]) ** 2) + (1 - 1 / n_T) * four
    risk = (center_T - twin_center_T) ** 2 + (two + four) / n_T
    total = one + two + three + four - five
    values = {"L1": one, "L2": two, "L3": three, "L4": four, "L5": five, "sum": total, "risk": risk}
    return {name: float(v.mean()) for name, v in values.items()} | {"remainder": float((risk - total).mean())}


def report(config: Config, tables: Tables) -> Findings:
    """Terms per data set, how far the sum is off, and how often the truth lies in the intervals."""
    table = union(tables)
    known = table[(table["dataset"] == KNOWN) & table["truth"].notna()]
    lines = []
    if len(known):
        held = known.assign(held=(known["low"] <= known["truth"]) & (known["truth"] <= known["high"]))
        by_term = held.groupby("term", sort=False)["held"].mean()
        shares = ", ".join(f"{term} {share:.0%}" for term, share in by_term.items())
        lines.append(
            f"Known truth, {known['seed'].nunique()} populations: {held['held'].mean():.1%} of the terms lie in their "
            f"95 % intervals ({shares})."
        )
    for part in config.parts:
        own = table[(table["dataset"] == part.dataset) & (table["noise"] == RELIABLE)]
        if not len(own):
            continue
        value = own.groupby("term")["estimate"].mean()
        lines.append(
            f"{part.dataset}: measured error {value['risk']:.3f}; with reliability .8 the five terms add up to "
            f"{value['sum']:.3f} (L1 {value['L1']:.3f}, L2 {value['L2']:.3f}, L3 {value['L3']:.3f}, "
            f"L4 {value['L4']:.3f}, L5 {value['L5']:.3f}), so the published sum is off by {-value['remainder']:.3f}"
            + (f"; the bare LLM's error is {value['bare risk']:.3f}." if "bare risk" in value else ".")
        )
    rows = [
        (
            Cell(f"{r['dataset']}, {r['noise']}, {r['term']}"),
            Cell(_shown(r)),
            Cell(f"{r['truth']:.3f}".replace("nan", "")),
        )
        for r in table[(table["seed"] == config.seeds[0]) & table["term"].isin(LABELS)].to_dict("records")
    ]
    return Findings(
        {"risk": table},
        (
            Picture(
                "risk",
                lambda: risk_figure(_panels(config, table)),
                "Terms of the squared error of the crowd's mean, first split. Bars with lines: estimates with 95 % "
                "intervals; hatched: only bounded, since each person answered once; diamonds: the truth.",
                "Bars of theorem 2's terms per data set.",
            ),
        ),
        tuple(lines),
        blocks=(
            Table("Terms of the error, first split", ("data, noise, term", "estimate or range", "truth"), tuple(rows)),
        ),
    )


def _shown(row: Mapping[Hashable, Any]) -> str:
    ends = f"[{row['low']:.3f}, {row['high']:.3f}]"
    return f"between {ends}" if np.isnan(row["estimate"]) else f"{row['estimate']:.3f} {ends}"


def _panels(config: Config, table: pd.DataFrame) -> list[tuple[str, list[RiskBar]]]:
    group = {
        **dict.fromkeys(("L1", "L2"), "people"),
        **dict.fromkeys(("L3", "L4", "L5"), "twins"),
        "risk": "measured",
        "bare risk": "measured",
    }
    panels = []
    for dataset, noise in ((KNOWN, REPEATED), *((part.dataset, BOUNDED) for part in config.parts[:2])):
        own = table[(table["dataset"] == dataset) & (table["noise"] == noise) & (table["seed"] == config.seeds[0])]
        own = own[own["term"].isin(LABELS)]
        bars = [
            RiskBar(LABELS[r["term"]], r["estimate"], r["low"], r["high"], group.get(r["term"], "sums"), r["truth"])
            for r in own.to_dict("records")
        ]
        if bars:
            panels.append((f"{dataset}: {noise}", bars))
    return panels
