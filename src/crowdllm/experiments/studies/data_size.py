"""How much human data is needed, with and without the LLM (Appendix B of the paper, Figures 12-23).

Methods are trained on smaller parts of the training responses: fewer problems, fewer people, fewer responses, or fewer
people per problem, and scored on the same unseen problems with the same crowd size. What a smaller part has, a larger
one has too. The LLM is what two pairs of rows differ by: `crowdllm` with and without references, and
`crowdllm-paper` against `vae`, which the paper calls the pure generative model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from crowdllm.errors import MismatchError
from crowdllm.experiments.comparison import FLOOR
from crowdllm.experiments.scores import score_crowd, score_floor
from crowdllm.experiments.studies.crowds import fit_method
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.protocol import Data, Experiment, Findings, Picture, Piece, Settings, Tables, union
from crowdllm.experiments.studies.summary import (
    Claim,
    above,
    all_of,
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
from crowdllm.experiments.studies.training_part import FACTORS, PEOPLE, PER_PROBLEM, PROBLEMS, RESPONSES, smaller_part
from crowdllm.report.curves_figure import Curve, CurvePanel, curves_figure

OWN, OWN_ALONE, PAPER, VAE = "crowdllm", "crowdllm, no LLM", "crowdllm-paper", "vae"
PAIRS = ((OWN, OWN_ALONE), (PAPER, VAE))
ONLY_LLM = "zero-shot"
METRICS = {
    "avg_wd": "Avg. WD (scale points)",
    "mae": "MAE of the mean rating (scale points)",
    "rmse": "RMSE of the mean rating (scale points)",
}
LABELS = {
    PROBLEMS: "problems in training",
    PEOPLE: "people in training",
    RESPONSES: "responses in training",
    PER_PROBLEM: "people per problem in training",
}
FIGURES = {"avg_wd": "12, 15, 18 and 21", "mae": "13, 16, 19 and 22", "rmse": "14, 17, 20 and 23"}
LIMITS = (
    "The paper's LLM is Gemma3-12B; here it is GPT-4, one recorded decision per comment.",
    "The paper does not say which problems it tests on, nor with how many simulated workers. Here: 20 % of the "
    "comments, unseen in training, all humans on them, and one crowd size for all.",
    "The paper prints curves and no numbers; what is compared is what its text says of them.",
    "With fewer people or responses there are also fewer problems that have any: the four factors go together.",
    "QA difficulty, the other half of the paper's figures, is not drawn: this package has no loader for that data set.",
)


@dataclass(frozen=True)
class Config:
    """problems, people, responses, per_problem: how many are kept in training. crowd_size: simulated per problem."""

    seeds: tuple[int, ...]
    methods: tuple[str, ...] = (OWN, OWN_ALONE, PAPER, VAE, "embedding-references-ridge", "pooled")
    problems: tuple[int, ...] = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    people: tuple[int, ...] = (1, 2, 5, 10, 20, 50, 100, 200)
    responses: tuple[int, ...] = (1, 3, 10, 30, 100, 300, 1000, 3000, 10000)
    per_problem: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    crowd_size: int = 100
    dataset: str = "offensiveness"
    references: str = "gpt4"
    test_fraction: float = 0.2

    @property
    def counts(self) -> dict[str, tuple[int, ...]]:
        return dict(zip(FACTORS, (self.problems, self.people, self.responses, self.per_problem), strict=True))


def configure(settings: Settings) -> Experiment:
    """Data size: error against problems, people, responses and people per problem, with and without the LLM."""
    config = Config(settings.seeds(10, 3))
    if settings.quick:
        config = replace(
            config,
            problems=(5, 50, 500),
            people=(2, 10, 100),
            responses=(10, 100, 1000),
            per_problem=(1, 3),
        )
    pieces = [
        Piece(
            f"{factor.replace(' ', '-')}-{count}-{method.replace(', ', '-').replace(' ', '-')}-{seed}",
            measure,
            (config, settings.embedding, method, factor, count, seed),
            f"{method} {factor} {count}",
        )
        for seed in config.seeds
        for factor, counts in config.counts.items()
        for count in counts
        for method in config.methods
    ]
    pieces += [
        Piece(f"all-{method}-{seed}", measure, (config, settings.embedding, method, "", 0, seed), method)
        for seed in config.seeds
        for method in (ONLY_LLM, FLOOR)
    ]
    return Experiment(
        "data-size",
        "How much human data is needed",
        "Appendix B, Figures 12-23",
        "How do the errors fall with the number of problems, of people, of responses and of people per problem that "
        "the model learns from, and what does the LLM add at each? Offensiveness ratings, tested on unseen comments.",
        config,
        tuple(pieces),
        lambda tables: report(config, tables),
        (Data(config.dataset, config.references),),
        LIMITS,
    )


def measure(config: Config, embedding: str, method: str, factor: str, count: int, seed: int) -> pd.DataFrame:
    """One row: the scores of a method trained on a smaller part (on all of it when `factor` is "")."""
    study, references = open_data(Data(config.dataset, config.references))
    split = study.split("problem", config.test_fraction, seed)
    if method == FLOOR:
        scores = list(score_floor(split.test, (config.crowd_size,), ("mean",), seed))
        responses = 0
    else:
        train = smaller_part(split.train, factor, count, seed) if factor else split.train
        given = None if method == OWN_ALONE else references
        name = OWN if method == OWN_ALONE else method
        fitted = fit_method(name, train, given, embedding, seed, max(config.crowd_size, 1000))
        scores = list(
            score_crowd(
                fitted.simulator, split.test, fitted.references, fitted.people, config.crowd_size, ("mean",), seed
            )
        )
        responses = len(train.responses)
    found = {score.metric: score.value for score in scores if score.metric in METRICS}
    if len(found) < len(METRICS):
        raise MismatchError(f"{method} gives no {', '.join(set(METRICS) - set(found))} on this data set")
    row = {"method": method, "factor": factor, "count": count, "seed": seed, "responses": responses, **found}
    return pd.DataFrame([row])


def report(config: Config, tables: Tables) -> Findings:
    """A picture per metric, with a panel per factor; tables; and what the paper says against what was found."""
    table = union(tables)
    table["factor"] = table["factor"].astype(str)
    summary = over_seeds(table, ("method", "factor", "count"), tuple(METRICS))
    blocks = [
        summary_table(
            rows_where(summary, {"factor": factor}), "method", "count", metric,
            f"{metric} by number of {LABELS[factor]}", "Mean ± half of the 95 % interval over random splits.",
        )
        for metric in METRICS
        for factor in config.counts
    ]  # fmt: skip
    pictures = tuple(_picture(config, summary, metric) for metric in METRICS)
    found = sort_claims(_claims(config, table))
    return Findings(
        {"data-size": table, "data-size-summary": summary},
        pictures,
        tuple(_shows(config, table)),
        found.agrees,
        found.differs,
        tuple(blocks),
        found.undecided,
    )


def _picture(config: Config, summary: pd.DataFrame, metric: str) -> Picture:
    return Picture(
        metric.replace("_", "-"),
        lambda: curves_figure([_panel(config, summary, metric, f) for f in config.counts], 2, share_y=True, width=3.9),
        f"{metric} on unseen comments with {config.crowd_size} simulated people per comment, by what the model learned "
        f"from (Figures {FIGURES[metric]} of the paper). Bands: 95 % intervals over {len(config.seeds)} random splits; "
        "grey: closer than as many other humans would come.",
        f"{metric} against the number of problems, people, responses and people per problem, by method.",
    )


def _panel(config: Config, summary: pd.DataFrame, metric: str, factor: str) -> CurvePanel:
    counts = config.counts[factor]
    shown = (OWN, PAPER, OWN_ALONE, VAE, "embedding-references-ridge")
    curves = [
        curve(summary, name, "count", {"metric": metric, "method": name, "factor": factor}, style=place)
        for place, name in enumerate(shown)
    ]
    bare = _flat(summary, metric, ONLY_LLM, counts)
    ticks = tuple((float(count), f"{count:,}") for count in counts)
    few = ticks if len(ticks) <= 8 else ticks[::2]
    return CurvePanel(
        LABELS[factor],
        METRICS[metric].replace(" of the mean rating", ""),
        present([*curves, bare]),
        log_x=factor != PER_PROBLEM,
        ticks=few,
        floor=_flat(summary, metric, FLOOR, counts, "closer than as many humans"),
        bounds=(0.0, np.inf),
    )


def _flat(summary: pd.DataFrame, metric: str, method: str, counts: tuple[int, ...], name: str = "") -> Curve | None:
    """A row that does not depend on the training data, as a level line."""
    rows = rows_where(summary, {"metric": metric, "method": method})
    if not len(rows):
        return None
    mean, low, high = (float(rows[column].iloc[0]) for column in ("mean", "low", "high"))
    ends = (float(min(counts)), float(max(counts)))
    return Curve(name or method, ends, (mean, mean), (low, low), (high, high), style=5)


def _rows(method: str, factor: str, count: int) -> dict[str, object]:
    return {"method": method, "factor": factor, "count": count}


def _shows(config: Config, table: pd.DataFrame) -> Iterator[str]:
    """For each factor the errors at both ends; and the level of what needs no data."""
    for factor, counts in config.counts.items():
        parts = []
        for method in (OWN, OWN_ALONE, PAPER, VAE):
            ends = [interval(table, "mae", _rows(method, factor, c)) for c in (counts[0], counts[-1])]
            if ends[0] is not None or ends[1] is not None:
                parts.append(f"{method} {number(ends[0])} to {number(ends[1])}")
        yield f"MAE from {counts[0]:,} to {counts[-1]:,} {LABELS[factor]}: {'; '.join(parts)}."
    for method, words in ((ONLY_LLM, "the bare LLM"), (FLOOR, "as many other humans")):
        found = interval(table, "mae", {"method": method})
        if found is not None:
            yield f"MAE of {words}, without any of these data: {number(found)}."


def _claims(config: Config, table: pd.DataFrame) -> Iterator[Claim]:
    """What Appendix B.1-B.4 says, for this project's method and for the paper's."""
    for factor, counts in config.counts.items():
        for with_llm, without in PAIRS:
            gaps = [
                (count, difference(table, "mae", _rows(without, factor, count), _rows(with_llm, factor, count)))
                for count in counts
            ]
            known = [(count, gap) for count, gap in gaps if gap is not None]
            if not known:
                continue
            ahead = [count for count, gap in known if gap.mean > 0]
            yield Claim(
                all_of(above(gap) for _, gap in known),
                f"Paper: with the LLM errors are lower at every number of {LABELS[factor]}. {with_llm} has a lower MAE "
                f"than {without} at {len(ahead)} of {len(known)} numbers, by {number(known[0][1])} at {known[0][0]:,} "
                f"and {number(known[-1][1])} at {known[-1][0]:,}.",
            )
            gain = difference(table, "mae", _rows(with_llm, factor, counts[0]), _rows(with_llm, factor, counts[-1]))
            if gain is not None:
                yield Claim(
                    above(gain),
                    f"Paper: errors fall with more {LABELS[factor]}. {with_llm}: MAE by {number(gain)} from "
                    f"{counts[0]:,} to {counts[-1]:,}.",
                )
