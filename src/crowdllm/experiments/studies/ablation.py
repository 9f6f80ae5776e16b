"""What each piece of `crowdllm` contributes: the default with one piece taken away at a time, on the same splits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from crowdllm.evaluation.intervals import mean_interval
from crowdllm.experiments.studies.protocol import Data, Experiment, Findings, Picture, Piece, Settings, Tables, union
from crowdllm.experiments.studies.variants import Setup, Variant, score_variant
from crowdllm.report.page import Cell, Table
from crowdllm.report.rows_figure import Panel, rows_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

DEFAULT = "default"
HELD = 1e9  # a precision at which nothing moves
ONE_PENALTY = (("reference_penalties", (100.0,)), ("embedding_penalties", (60.0,)))
COMMON = (
    Variant(DEFAULT, "crowdllm as it is"),
    Variant("no-references", "without references", without="references"),
    Variant("no-embedding", "without embedding", settings=(("embedding_penalties", (HELD,)),)),
    Variant("no-profiles", "without profiles", without="profiles"),
    Variant("no-noise", "without participant noise (Z = 0)", settings=(("belief_width", 0),)),
    Variant("no-averaging", "one penalty of each kind", settings=ONE_PENALTY),
    Variant("no-own-effects", "without problems' own effects", settings=(("effect_variances", (0.0,)),)),
    Variant("j-1", "J = 1 in training", settings=(("training_draws", 1),)),
    Variant("j-8", "J = 8 in training", settings=(("training_draws", 8),)),
    Variant("paper", "the paper's loss and blender (crowdllm-paper)", method="crowdllm-paper"),
    Variant("paper-j-1", "crowdllm-paper with J = 1", method="crowdllm-paper", settings=(("draws", 1),)),
)  # fmt: skip
RATINGS = (Variant("gaussian", "normal, not ordinal, likelihood", gaussian=True),)
DRAWN = tuple(
    Variant(f"k-{k}", f"K = {k} decisions drawn from the elicited distribution", draws=k) for k in (1, 4, 8, 32)
)
OF_PEOPLE = ("no-references", "no-embedding", "no-profiles", "no-noise", "no-own-effects", "paper")
PEOPLE = tuple(variant for variant in COMMON if variant.name in (DEFAULT, *OF_PEOPLE))
METRICS = {
    "offensiveness": ("mae", "avg_wd", "nll", "dispersion"),
    "people": ("mae", "avg_wd", "nll", "crps"),
    "elicited": ("mae", "avg_wd", "nll", "dispersion"),
    "voting": ("mae", "wd_heights", "nll", "recall_at_5"),
}
MORE_IS_BETTER = ("recall_at_5",)


@dataclass(frozen=True)
class Config:
    """Everything the numbers depend on: setups by name, their variants, seeds."""

    setups: tuple[tuple[str, Setup, tuple[Variant, ...]], ...]
    seeds: tuple[int, ...]


def configure(settings: Settings) -> Experiment:
    """Ablation: what each piece of crowdllm contributes."""
    crowd = 1000
    ratings = Setup(Data("offensiveness", "gpt4"), "problem", crowd, settings.embedding)
    people = replace(ratings, split="participant")
    elicited = Setup(Data("offensiveness", "elicited"), "problem", crowd, settings.embedding)
    votes = Setup(Data("voting", "gpt4-personas"), "participant", crowd, settings.embedding)
    setups = (
        ("offensiveness", ratings, COMMON + RATINGS),
        ("people", people, PEOPLE),
        ("elicited", elicited, (COMMON[0], *DRAWN)),
        ("voting", votes, COMMON),
    )
    config = Config(setups, settings.seeds(5, 2))
    pieces = tuple(
        Piece(f"{name}.{variant.name}.{seed}", score_variant, (setup, variant, seed), kind=f"{name} {variant.method}")
        for seed in config.seeds
        for name, setup, variants in setups
        for variant in variants
    )
    return Experiment(
        name="ablation",
        title="What each piece contributes",
        paper="",
        question=(
            "The default model with one piece taken away, or one setting changed, on the same random splits: unseen "
            "problems for ratings (`people`: unseen people on problems that others rated), unseen voters for ballots. "
            "Differences are paired by split; below zero (above, for recall) means better than the default."
        ),
        config=config,
        pieces=pieces,
        report=lambda tables: report(config, tables),
        data=(ratings.data, elicited.data, votes.data),
        limits=(
            "Ballots have no normal likelihood here: it could give other than five projects. The row of the paper's "
            "method is the nearest there is.",
        ),
    )


def report(config: Config, tables: Tables) -> Findings:
    """Differences to the default, their table and picture, and what helps in words."""
    import pandas as pd

    frames, pictures, blocks, shows = [], [], [], []
    for name, _, variants in config.setups:
        scores = union(tables, f"{name}.")
        if not len(scores):
            continue
        found = pd.DataFrame(_differences(scores, variants, METRICS[name])).assign(setup=name)
        frames.append(found)
        pictures.append(_picture(name, found, variants))
        blocks.append(_table(name, found, variants))
        shows += list(_words(name, found, variants))
    return Findings(
        {"ablation": pd.concat(frames, ignore_index=True)}, tuple(pictures), tuple(shows), blocks=tuple(blocks)
    )


def _differences(
    scores: pd.DataFrame, variants: tuple[Variant, ...], metrics: tuple[str, ...]
) -> Iterator[dict[str, object]]:
    """Per variant and metric: its mean, and the mean difference to the default over the seeds both have."""
    wide = scores.pivot_table(index="seed", columns=["metric", "variant"], values="value")
    for metric in metrics:
        for variant in variants:
            if (metric, variant.name) not in wide or (metric, DEFAULT) not in wide:
                continue
            value = wide[metric, variant.name]
            paired = (value - wide[metric, DEFAULT]).dropna().to_numpy()
            interval = mean_interval(paired)
            yield {
                "variant": variant.name, "metric": metric, "mean": float(value.mean()),
                "difference": interval.mean, "low": interval.low, "high": interval.high, "seeds": len(paired),
            }  # fmt: skip


def _picture(name: str, found: pd.DataFrame, variants: tuple[Variant, ...]) -> Picture:
    words = {variant.name: variant.words for variant in variants}

    def draw() -> Figure:
        panels = []
        for metric in dict.fromkeys(found["metric"]):
            rows = found[(found["metric"] == metric) & (found["variant"] != DEFAULT)]
            numbers = rows[["difference", "low", "high"]].to_numpy()
            named = zip((words[v] for v in rows["variant"]), *numbers.T, strict=True)
            panels.append(
                Panel(
                    f"difference in {metric}", tuple((str(w), float(m), float(lo), float(hi)) for w, m, lo, hi in named)
                )
            )
        return rows_figure(panels)

    caption = (
        f"{name}: what changes when a piece is taken away; points with 95 % intervals over splits, zero is the default."
    )
    return Picture(f"ablation-{name}", draw, caption, caption)


def _table(name: str, found: pd.DataFrame, variants: tuple[Variant, ...]) -> Table:
    metrics = tuple(dict.fromkeys(found["metric"]))
    rows = []
    for variant in variants:
        own = found[found["variant"] == variant.name].set_index("metric")
        cells = [Cell(variant.words)]
        for metric in metrics:
            if metric not in own.index:
                cells.append(Cell(""))
                continue
            r = own.loc[metric]
            change = "" if variant.name == DEFAULT else f" ({r['difference']:+.3f} ±{(r['high'] - r['low']) / 2:.3f})"
            cells.append(Cell(f"{r['mean']:.3f}{change}"))
        rows.append(tuple(cells))
    return Table(
        name,
        ("variant", *metrics),
        tuple(rows),
        "In brackets: difference to the default, paired by split, ± half of its 95 % interval.",
    )


def _words(name: str, found: pd.DataFrame, variants: tuple[Variant, ...]) -> Iterator[str]:
    """A sentence per variant and setup: what taking the piece away does, as far as the interval tells."""
    for variant in variants[1:]:
        worse: list[str] = []
        better: list[str] = []
        for _, r in found[found["variant"] == variant.name].iterrows():
            if r["metric"] == "dispersion" or np.isnan(r["low"]) or r["low"] <= 0 <= r["high"]:
                continue
            gain = (r["difference"] > 0) == (r["metric"] in MORE_IS_BETTER)
            (better if gain else worse).append(f"{r['metric']} {r['difference']:+.3f}")
        if worse or better:
            said = [f"{word}: {', '.join(items)}" for word, items in (("worse", worse), ("better", better)) if items]
            yield f"{name}, {variant.words}: {'; '.join(said)}."
        else:
            yield f"{name}, {variant.words}: no difference that {int(found['seeds'].max())} splits could tell."
