"""A small decoder trained from scratch on a survey's answers, beside methods that know profiles as numbers.

No pre-trained model takes part: the decoder (`crowdllm.survey_tuning.decoder`) begins with random weights and a
tokenizer made of the prompts, reads profile, question and possible answers, and learns which answer comes. All methods
give a distribution over the answers of each held-out person, and are scored by the same code
(`crowdllm.survey_tuning.calibration`): KL of the shares per question, RMSE of single answers, nll.

Shapes: R held-out answers, M levels.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crowdllm.config import TuneConfig, make_config
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError
from crowdllm.evaluation.intervals import Interval
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.fits import OWN, QUICK_OWN, Given, fit_with
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
from crowdllm.llm.prompts.template import DEFAULTS, Template
from crowdllm.report.temperature_figure import TemperatureLine, TemperaturePanel, temperature_figure
from crowdllm.responses.ordinal import Ordinal
from crowdllm.survey_tuning.answers import Shares, answer_shares
from crowdllm.survey_tuning.calibration import TEMPERATURES, temperature_curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from crowdllm.responses.protocol import Array

POOLED, SVR, CATBOOST, BY_QUESTION = "pooled", "svr", "catboost", "problem-histogram"
BASELINES = (BY_QUESTION, SVR, CATBOOST, OWN, POOLED)
CURVE, FOR_KL, FOR_RMSE = "curve", "kl", "rmse"
METRICS = ("kl", "rmse", "nll", "avg_wd")
WORDS = DEFAULTS | {
    "multi-persona": Template("multi-persona", "{instructions}\n{profile}\n{item}"),
    "zero-shot": Template("zero-shot", "{instructions}\n{item}"),
}
"""Few words around profile and question, and the question next to its answer: a decoder that begins with nothing has to
learn even that the question matters."""
LIMITS = (
    "The decoder has read nothing but this survey, so it says little about what a pre-trained LLM would do; the "
    "zero-shot and multi-persona rows, LoRA and QLoRA need one (`crowdllm evaluate`, methods prompted:MODEL and "
    "tuned:MODEL).",
    "A method that gives no temperature is scored at 1, its own distribution, for KL, and at 0, its likeliest answer, "
    "for RMSE; the decoder's two temperatures are chosen on people held out of its training part.",
)
TRAINED: Given = (
    ("adapter", "full"), ("learning_rate", 0.001), ("schedule", "cosine"), ("warmup", 0.05), ("weight_decay", 0.1),
    ("clip", 1.0), ("batch_size", 32), ("micro_batch", 8), ("max_epochs", 20), ("patience", 5), ("held_out", 0.15),
    ("without_profile", 1.0),
)  # fmt: skip
QUICK_TRAINED: Given = (("learning_rate", 0.003), ("max_epochs", 20), ("batch_size", 16), ("micro_batch", 16))


@dataclass(frozen=True)
class Config:
    """width, layers, heads, vocabulary: of the decoder (5.4 million weights). trained: settings of its training."""

    seeds: tuple[int, ...]
    datasets: tuple[str, ...] = ("ev_attitudes", "bfi", "beps")
    gammas: tuple[float, ...] = (0.0, 0.5)
    baselines: tuple[str, ...] = BASELINES
    width: int = 256
    layers: int = 6
    heads: int = 4
    vocabulary: int = 1024
    trained: Given = TRAINED
    own: Given = ()
    test_fraction: float = 0.2


def configure(settings: Settings) -> Experiment:
    """Tuning: a small decoder trained on survey answers from scratch, against SVR, CatBoost and crowdllm."""
    config = Config(settings.seeds(3, 1))
    if settings.quick:
        config = Config(
            config.seeds, ("ev_attitudes",), width=48, layers=2, heads=2, vocabulary=512,
            trained=tuple((dict(TRAINED) | dict(QUICK_TRAINED)).items()), own=QUICK_OWN,
        )  # fmt: skip
    pieces = [
        Piece(f"{dataset}.{method}.{seed}", measure_method, (config, settings.embedding, dataset, method, seed), method)
        for seed in config.seeds
        for dataset in config.datasets
        for method in config.baselines
    ]
    pieces += [
        Piece(
            f"{dataset}.{decoder(gamma)}.{seed}", measure_decoder, (config, dataset, gamma, seed, str(settings.out)),
            f"{dataset} decoder",
        )
        for seed in config.seeds
        for dataset in config.datasets
        for gamma in config.gammas
    ]  # fmt: skip
    return Experiment(
        "tuning",
        "A small decoder trained from scratch",
        "",
        "Can a language model learn a population's answers from the answers alone? A decoder of a few million random "
        "weights is trained on four fifths of the people, told each one's profile and one question, and gives a "
        "distribution over the possible answers of the others. KL and RMSE over temperatures, without and with the "
        "numerical penalty (weight gamma), beside methods that are given profiles as numbers.",
        config,
        tuple(pieces),
        lambda tables: report(config, tables),
        tuple(Data(dataset) for dataset in config.datasets),
        LIMITS,
    )


def decoder(gamma: float) -> str:
    """The row's name."""
    return f"decoder-{gamma:g}"


def measure_method(config: Config, embedding: str, dataset: str, method: str, seed: int) -> pd.DataFrame:
    """KL and RMSE of one method on unseen people: its curve, and the rows that are compared."""
    train, test = _parts(config, dataset, seed)
    simulator = fit_with(method, train, None, embedding, seed, config.own).simulator
    p_RM = simulator.level_probabilities(test.problems, None, test.profiles, test.responses, seed)
    if p_RM is None:
        raise ConfigError(f"the method {method!r} gives no distribution over the answers of {dataset}")
    return _rows(shares_of_levels(p_RM, test), test, 1.0, 0.0).assign(dataset=dataset, method=method, seed=seed)


def measure_decoder(config: Config, dataset: str, gamma: float, seed: int, out: str) -> pd.DataFrame:
    """The same of a decoder trained on the training part. out: the study's folder, where a killed training continues;
    what is there is removed at the end."""
    from crowdllm.survey_tuning.decoder import small_decoder
    from crowdllm.survey_tuning.interview import make_interview
    from crowdllm.survey_tuning.tuning import tune

    train, test = _parts(config, dataset, seed)
    place = Path(out) / "models" / f"{dataset}-{gamma:g}-{seed}"
    settings: TuneConfig = make_config(TuneConfig, dict(config.trained) | {"gamma": gamma})
    asked = make_interview(train, settings, WORDS)
    answers = train.responses
    prompts, _ = asked.prompts(train.problems, train.profiles, answers.participant_R, answers.problem_R)
    base = small_decoder(
        place / "base", [prompt.text for prompt in prompts], config.width, config.layers, config.heads,
        config.vocabulary, seed=seed,
    )  # fmt: skip
    tuned = tune([train], str(base), settings, seed, place / "tuned", WORDS)
    answers = test.responses
    shares = answer_shares(
        tuned, tuned.interview(train), test.problems, test.profiles, answers.participant_R, answers.problem_R
    )
    rows = _rows(shares, test, tuned.temperature_kl, tuned.temperature_rmse)
    weights = sum(weight.numel() for weight in tuned.model.lm.model.parameters())
    shutil.rmtree(place)
    with suppress(OSError):  # other decoders are still there
        place.parent.rmdir()
    return rows.assign(dataset=dataset, method=decoder(gamma), seed=seed, weights=weights)


def _parts(config: Config, dataset: str, seed: int) -> tuple[Study, Study]:
    study, _ = open_data(Data(dataset))
    split = study.split("participant", config.test_fraction, seed)
    return split.train, split.test


def shares_of_levels(p_RM: Array, test: Study) -> Shares:
    """The distributions of any method over levels as those of a language model; ConfigError for other responses."""
    kind = test.response_type
    if not isinstance(kind, Ordinal):
        raise ConfigError(f"this study compares answers on levels, not {kind.kind} responses")
    shape = (len(p_RM), len(kind.levels))
    with np.errstate(divide="ignore"):
        log_p_RM = np.log(p_RM)
    points = np.asarray(kind.points, dtype=float)
    return Shares(log_p_RM, np.tile(np.arange(shape[1], dtype=float), (shape[0], 1)), np.tile(points, (shape[0], 1)),
                  np.zeros(shape[0]))  # fmt: skip


def _rows(shares: Shares, test: Study, for_kl: float, for_rmse: float) -> pd.DataFrame:
    """role, temperature and METRICS: the curve, and the method at the temperatures at which it is compared."""
    frames = [
        temperature_curve(shares, test.responses, test.response_type, at).to_frame().assign(role=role)
        for role, at in ((CURVE, TEMPERATURES), (FOR_KL, (for_kl,)), (FOR_RMSE, (for_rmse,)))
    ]
    return pd.concat(frames, ignore_index=True)


def report(config: Config, tables: Tables) -> Findings:
    """The comparison, the curves, and whether the decoder reaches CatBoost."""
    table = union(tables)
    compared = table[table["role"] != CURVE]
    summary = over_seeds(compared, ("dataset", "method", "role"), METRICS)
    found = sort_claims(_claims(config, compared))
    captions = (
        (FOR_KL, "kl", "KL of the shares per question (nats), at each method's temperature for KL"),
        (FOR_KL, "nll", "nll of single answers (nats), at each method's temperature for KL"),
        (FOR_RMSE, "rmse", "RMSE of single answers (points), at each method's temperature for RMSE"),
    )
    blocks = tuple(
        summary_table(rows_where(summary, {"role": role}), "method", "dataset", metric, caption)
        for role, metric, caption in captions
    )
    return Findings(
        {"tuning": table, "tuning-summary": summary},
        (_picture(config, table),),
        (*_shows(config, compared), *_reached(config, compared)),
        blocks=blocks,
        agrees=found.agrees,
        differs=found.differs,
        undecided=found.undecided,
    )


def _value(table: pd.DataFrame, dataset: str, method: str, role: str, metric: str) -> Interval | None:
    return interval(table, metric, {"dataset": dataset, "method": method, "role": role})


def _gap(table: pd.DataFrame, dataset: str, first: str, second: str, role: str, metric: str) -> Interval | None:
    one, other = ({"dataset": dataset, "method": method, "role": role} for method in (first, second))
    return difference(table, metric, one, other)


def _shows(config: Config, table: pd.DataFrame) -> Iterator[str]:
    for dataset in config.datasets:
        for role, metric in ((FOR_KL, "kl"), (FOR_RMSE, "rmse")):
            each = [
                f"{method} {number(found)}"
                for method in (*map(decoder, config.gammas), *config.baselines)
                if (found := _value(table, dataset, method, role, metric)) is not None
            ]
            if each:
                yield f"{dataset}, {metric.upper()}: {', '.join(each)}."


def _reached(config: Config, table: pd.DataFrame) -> Iterator[str]:
    """Whether the decoder reaches the other methods on KL, from the differences paired by split."""
    words = {True: "it does not reach", False: "it is better than", None: "it cannot be told apart from"}
    for dataset in config.datasets:
        for other in config.baselines:
            for gamma in config.gammas:
                found = _gap(table, dataset, decoder(gamma), other, FOR_KL, "kl")
                if found is not None:
                    verdict = above(found)
                    yield (
                        f"{dataset}, decoder with gamma {gamma:g}: KL {found.mean:+.4f} against {other}"
                        f"{_range(found)}: {words[verdict]} {other}."
                    )


def _range(found: Interval) -> str:
    return " (one split, no interval)" if np.isnan(found.low) else f" ({found.low:+.4f} to {found.high:+.4f})"


def _claims(config: Config, table: pd.DataFrame) -> Iterator[Claim]:
    """What arXiv 2403.20252 says of the penalty: lower RMSE. Only with several splits can it be told."""
    if len(config.gammas) < 2:
        return
    plain, penalised = config.gammas[0], config.gammas[-1]
    for dataset in config.datasets:
        found = _gap(table, dataset, decoder(penalised), decoder(plain), FOR_RMSE, "rmse")
        if found is not None and not np.isnan(found.low):
            verdict = above(found)
            yield Claim(
                None if verdict is None else not verdict,
                f"{dataset}: the numerical penalty lowers the RMSE: {number(found)} with gamma {penalised:g} against "
                f"{plain:g}.",
            )


def _picture(config: Config, table: pd.DataFrame) -> Picture:
    curves = table[table["role"] == CURVE]
    mean = curves.groupby(["dataset", "method", "temperature"], sort=False)[["kl", "rmse"]].mean().reset_index()
    drawn = [*map(decoder, config.gammas), *(name for name in config.baselines if name != POOLED)][:6]

    def draw() -> Figure:
        panels = []
        for dataset in config.datasets:
            lines = []
            for method in drawn:
                rows = rows_where(mean, {"dataset": dataset, "method": method})
                if not method.startswith("decoder"):
                    rows = rows_where(rows, {"temperature": 1.0})
                if len(rows):
                    columns = (tuple(rows[name].astype(float)) for name in ("temperature", "rmse", "kl"))
                    lines.append(TemperatureLine(method, *columns))
            if lines:
                panels.append(TemperaturePanel(dataset, tuple(lines)))
        return temperature_figure(panels)

    caption = (
        "KL of the shares per question against the RMSE of single answers on unseen people, means over splits: "
        "decoders over temperatures, other methods as they are (temperature 1). Better is lower and to the left. The "
        "answers to all questions pooled are in the tables alone."
    )
    return Picture("temperatures", draw, caption, caption)
