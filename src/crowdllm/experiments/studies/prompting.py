"""Persona prompts against the belief generator at matched spread: is it the spread of the answers, or where they are?

Each way to make a crowd gives shares of the levels for every unseen problem. Shares p are brought to a wanted spread
as temperature does it to an LLM's answer probabilities,

    p'_m ~ (p_m + floor)^(1 / tau),

one tau for all problems, such that the SD of the answers to a problem is, on average over problems, the one wanted. tau
below 1 sharpens, above 1 flattens. At one spread the ways differ only in where they put the answers.

Shapes: T problems, M levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError
from crowdllm.evaluation.histograms import histograms, variances
from crowdllm.evaluation.metrics import histogram_metrics
from crowdllm.experiments.studies.crowds import crowd_responses
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.fits import OWN, PAPER, QUICK_OWN, QUICK_PAPER, Given, fit_with
from crowdllm.experiments.studies.protocol import Data, Experiment, Findings, Picture, Piece, Settings, Tables, union
from crowdllm.experiments.studies.summary import (
    Claim,
    above,
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
from crowdllm.report.curves_figure import CurvePanel, curves_figure
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GRID, AS_IS, AS_HUMANS, AS_PERSONAS = "grid", "as it is", "as humans", "as gpt4's personas"
NINE, PERSONAS = "nine LLMs, one prompt", "gpt4-personas"
FLOOR = 0.01
LABELS = {"avg_wd": "avg_wd (scale points)", "mae": "MAE (scale points)", "cosine": "cosine of the histograms (0 to 1)"}
LIMITS = (
    "The recorded persona prompts are six: none, male, female, white, black, Asian. Richer personas may do better.",
    "The LLMs answered at one temperature; other temperatures are imitated on the shares of their answers.",
    "A share of 0 cannot be flattened: each level has at least a hundredth before the temperature is applied.",
)


@dataclass(frozen=True)
class Config:
    """models: fitted with `references`; personas: sources; crowd: simulated people per problem; spreads: SDs."""

    seeds: tuple[int, ...]
    models: tuple[str, ...] = (OWN, PAPER)
    personas: tuple[str, ...] = (PERSONAS, "llama31-8b-personas", "qwen25-7b-personas")
    nine: tuple[str, ...] = (
        "gpt4", "gpt35", "flan-t5-xxl", "flan-ul2", "llama31-8b", "mistral-7b", "qwen25-7b", "tulu2-7b", "tulu2-13b",
    )  # fmt: skip
    dataset: str = "offensiveness"
    references: str = "gpt4"
    test_fraction: float = 0.2
    crowd: int = 200
    spreads: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2)
    own: Given = ()
    paper: Given = ()


def configure(settings: Settings) -> Experiment:
    """Prompting and temperature: persona prompts against the belief generator at matched spread."""
    config = Config(settings.seeds(10, 3))
    if settings.quick:
        config = replace(config, own=QUICK_OWN, paper=QUICK_PAPER)
    ways = (*config.models, *config.personas, NINE)
    pieces = tuple(
        Piece(f"{way.replace(' ', '-').replace(',', '')}-{seed}", measure, (config, settings.embedding, way, seed), way)
        for seed in config.seeds
        for way in ways
    )
    sources = (config.references, *config.personas, ",".join(config.nine))
    return Experiment(
        "prompting",
        "Prompting and temperature: personas against beliefs",
        "",
        "An LLM in personas, or at a higher temperature, gives answers that differ as well. When all ways to make "
        "a crowd have the same spread, which puts the answers where people put them? Unseen comments.",
        config,
        pieces,
        lambda tables: report(config, tables),
        tuple(Data(config.dataset, source) for source in sources),
        LIMITS,
    )


def measure(config: Config, embedding: str, way: str, seed: int) -> pd.DataFrame:
    """A row per wanted spread; `tau` is the temperature that gives it, NaN where none does."""
    study, _ = open_data(Data(config.dataset))
    kind = study.response_type
    if not isinstance(kind, Ordinal):
        raise ConfigError(f"spread on a scale needs ratings; these are {kind.kind} responses")
    split = study.split("problem", config.test_fraction, seed)
    points = np.asarray(kind.points)
    share_TM = shares(config, embedding, way, split.train, split.test, seed)
    personas_TM = share_TM if way == PERSONAS else shares(config, embedding, PERSONAS, split.train, split.test, seed)
    humans = float(np.sqrt(np.nanmean(variances(split.test.responses, kind, len(split.test.problems)))))
    own = spread(share_TM, points)
    wanted = [(AS_IS, own), (AS_HUMANS, humans), (AS_PERSONAS, spread(personas_TM, points))]
    wanted += [(GRID, value) for value in config.spreads]
    human_TM = histograms(split.test.responses, kind, len(split.test.problems))
    rows = []
    for name, target in wanted:
        tau = 1.0 if name == AS_IS else temperature_for(share_TM, points, target)
        made_TM = share_TM if name == AS_IS else tempered(share_TM, tau)
        found = histogram_metrics(human_TM, made_TM, kind)
        error_T = (made_TM - human_TM) @ points
        mae = float(np.nanmean(np.abs(error_T))) if not np.isnan(tau) else np.nan
        rows.append((way, name, target, tau, seed, mae, found.avg_wd, found.cosine, own, humans))
    columns = ["way", "matched", "spread", "tau", "seed", "mae", "avg_wd", "cosine", "own_spread", "human_spread"]
    return pd.DataFrame(rows, columns=columns)


def shares(config: Config, embedding: str, way: str, train: Study, test: Study, seed: int) -> Array:
    """(T, M) shares of the levels on the test problems; NaN where there is no answer."""
    if way in config.models:
        _, references = open_data(Data(config.dataset, config.references))
        fitted = fit_with(way, train, references, embedding, seed, config.own, config.paper)
        values: Responses = crowd_responses(fitted, test, config.crowd, seed)[1]
        return histograms(values, test.response_type, len(test.problems))
    _, references = open_data(Data(config.dataset, ",".join(config.nine) if way == NINE else way))
    assert references is not None
    own = references.aligned(test.problems)
    found = np.stack([source.summary(test.response_type, 0) for source in own.sources])
    known = ~np.isnan(found)
    total = np.where(known, found, 0.0).sum(axis=0)
    return np.divide(total, known.sum(axis=0), out=np.full(total.shape, np.nan), where=known.any(axis=0))


def spread(share_TM: Array, points: Array) -> float:
    """Root of the mean variance of the answers to a problem."""
    mean_T1 = (share_TM @ points)[:, None]
    return float(np.sqrt(np.nanmean((share_TM * (points - mean_T1) ** 2).sum(axis=1))))


def tempered(share_TM: Array, tau: float) -> Array:
    """Shares at temperature tau; NaN for a tau that is NaN."""
    raised_TM = np.log(share_TM + FLOOR) / tau
    raised_TM = np.exp(raised_TM - raised_TM.max(axis=1, keepdims=True))
    return np.asarray(raised_TM / raised_TM.sum(axis=1, keepdims=True))


def temperature_for(share_TM: Array, points: Array, target: float) -> float:
    """The tau at which the spread is the one wanted, by halving; NaN where it is not between those of 1/50 and 50."""
    low, high = np.log(0.02), np.log(50.0)
    if not spread(tempered(share_TM, 0.02), points) <= target <= spread(tempered(share_TM, 50.0), points):
        return np.nan
    for _ in range(60):
        middle = (low + high) / 2
        if spread(tempered(share_TM, float(np.exp(middle))), points) < target:
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))


def report(config: Config, tables: Tables) -> Findings:
    """Distance from the humans against spread, and the ways at three matched spreads."""
    table = union(tables)
    summary = over_seeds(table, ("way", "matched", "spread"), ("mae", "avg_wd", "cosine"))
    named = over_seeds(table[table["matched"] != GRID], ("way", "matched"), ("mae", "avg_wd", "cosine"))
    found = sort_claims(claims(config, table))
    blocks = tuple(
        summary_table(named, "way", "matched", metric, f"{metric}, by the spread that all are brought to")
        for metric in ("avg_wd", "mae", "cosine")
    )
    return Findings(
        {"prompting": table, "prompting-summary": named},
        (_picture(config, table, summary),),
        tuple(_shows(table)), found.agrees, found.differs, blocks, found.undecided,
    )  # fmt: skip


def _shows(table: pd.DataFrame) -> Iterator[str]:
    first = rows_where(table, {"matched": AS_IS})
    yield f"Spread of the humans' answers to a problem: SD {number(interval(first, 'human_spread', {}), 2)} points."
    for way in dict.fromkeys(table["way"]):
        own = interval(first, "own_spread", {"way": way})
        texts = [number(interval(table, "avg_wd", {"way": way, "matched": m})) for m in (AS_IS, AS_PERSONAS, AS_HUMANS)]
        yield (
            f"{way}: its own spread is SD {number(own, 2)}; avg_wd {texts[0]} as it is, {texts[1]} at the spread of "
            f"gpt4's personas, {texts[2]} at that of the humans."
        )


def claims(config: Config, table: pd.DataFrame) -> Iterator[Claim]:
    """The paper: persona prompts lack diversity, and the belief generator is nearer to people; also at one spread?"""
    first = rows_where(table, {"matched": AS_IS})
    for source in config.personas:
        lack = difference(
            first.assign(gap=first["human_spread"] - first["own_spread"]), "gap", {"way": source}, {"way": OWN}
        )
        if lack is not None:
            yield Claim(
                above(lack),
                f"Paper: persona prompts lack diversity. {source} is {number(lack, 2)} points of SD further below "
                f"the humans' spread than {OWN}.",
            )
        for model in config.models:
            for matched in (AS_PERSONAS, AS_HUMANS):
                gain = difference(
                    table, "avg_wd", {"way": source, "matched": matched}, {"way": model, "matched": matched}
                )
                if gain is not None:
                    yield Claim(
                        above(gain),
                        f"Paper: the belief generator is nearer to people than persona prompts. With a spread "
                        f"{matched}, {source} has {number(gain)} more avg_wd than {model}.",
                    )


def _picture(config: Config, table: pd.DataFrame, summary: pd.DataFrame) -> Picture:
    ways = (*config.models, *config.personas, NINE)
    human = float(table["human_spread"].mean())

    def draw() -> Figure:
        panels = []
        for metric, label in LABELS.items():
            where = {"metric": metric, "matched": GRID}
            lines = (curve(summary, way, "spread", where | {"way": way}) for way in ways)
            panels.append(
                CurvePanel(
                    "spread of the answers (SD, points)", label, present(lines), f"humans' spread: {human:.2f}",
                    bounds=(0.0, np.inf),
                )
            )  # fmt: skip
        return curves_figure(panels, columns=3, width=3.7)

    caption = (
        "Distance of simulated from human answers to unseen comments when every way to make a crowd is brought to "
        f"the same spread by one temperature; a line has no point where no temperature gives that spread. Bands: 95 % "
        f"intervals over {len(config.seeds)} splits."
    )
    return Picture("prompting", draw, caption, "avg_wd, MAE and cosine against the spread of the answers, by way.")
