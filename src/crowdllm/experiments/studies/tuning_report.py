"""What the study of a small decoder found: its comparison with other methods, curves, subgroups and transfer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crowdllm.evaluation.intervals import Interval
from crowdllm.experiments.studies.protocol import Findings, Picture, Tables, union
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
from crowdllm.experiments.studies.tuning_rows import CURVE, FOR_KL, FOR_RMSE, GROUP, METRICS, MIN_PEOPLE, TRANSFER
from crowdllm.report.page import Cell, Table
from crowdllm.report.temperature_figure import TemperatureLine, TemperaturePanel, temperature_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from crowdllm.experiments.studies.tuning import Config

CATBOOST = "catboost"
KNOWN_NOTHING = ("pooled", "random")
"""Rows that are far off, in the tables only: everybody's answers to all questions, and any answer as likely."""


def decoder(gamma: float) -> str:
    """The row's name."""
    return f"decoder-{gamma:g}"


def raked(gamma: float) -> str:
    """The row of the same decoder with its answers calibrated to each question's shares among the training people."""
    return f"{decoder(gamma)}-margins"


def report(config: Config, tables: Tables) -> Findings:
    """The comparison, the curves, whether the decoder reaches CatBoost, subgroups and transfer."""
    table = union(tables)
    compared = table[table["role"].isin([FOR_KL, FOR_RMSE])]
    order = {name: place for place, name in enumerate(_methods(config))}
    compared = compared.sort_values("method", key=lambda names: names.map(order), kind="stable")
    summary = over_seeds(compared, ("dataset", "method", "role"), METRICS)
    groups = _group_summary(table)
    moved = _transfer(config, table)
    found = sort_claims(_claims(config, compared))
    captions = (
        (FOR_KL, "kl", "KL of the shares per question (nats), at each method's temperature for KL"),
        (FOR_KL, "nll", "nll of single answers (nats), at each method's temperature for KL"),
        (FOR_RMSE, "rmse", "RMSE of single answers (points), at each method's temperature for RMSE"),
    )
    blocks = [
        summary_table(rows_where(summary, {"role": role}), "method", "dataset", metric, caption, _splits(config))
        for role, metric, caption in captions
    ]
    blocks += [_gaps_table(config, compared, metric) for metric in ("kl", "nll")]
    tidy = {"tuning": table, "tuning-summary": summary}
    if len(groups):
        blocks += _group_tables(groups)
        tidy["tuning-groups"] = groups
    if len(moved):
        blocks += _transfer_tables(moved)
        tidy["tuning-transfer"] = moved
    return Findings(
        tidy,
        (_picture(config, table),),
        (*_shows(config, compared), *_reached(config, compared), *_groups_shown(config, groups)),
        blocks=tuple(blocks),
        agrees=found.agrees,
        differs=found.differs,
        undecided=found.undecided,
    )


def _splits(config: Config) -> str:
    fewer = min(config.penalised_seeds, len(config.seeds))
    said = f"{len(config.seeds)} splits" if len(config.seeds) > 1 else "One split, no interval"
    return f"{said}; decoders with gamma above 0: {fewer}." if fewer < len(config.seeds) else f"{said}."


def _methods(config: Config) -> list[str]:
    return [*_decoders(config), *config.baselines]


def _decoders(config: Config) -> list[str]:
    return [name(gamma) for gamma in config.gammas for name in (decoder, raked)]


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
                for method in _methods(config)
                if (found := _value(table, dataset, method, role, metric)) is not None
            ]
            if each:
                yield f"{dataset}, {metric.upper()}: {', '.join(each)}."


def _reached(config: Config, table: pd.DataFrame) -> Iterator[str]:
    """Whether the decoders reach CatBoost on KL and on nll, from the differences paired by split."""
    words = {True: "it does not reach", False: "it is better than", None: "it cannot be told apart from"}
    for dataset in config.datasets:
        for name in _decoders(config):
            for metric, said in (("kl", "KL"), ("nll", "nll")):
                found = _gap(table, dataset, name, CATBOOST, FOR_KL, metric)
                if found is not None and not np.isnan(found.mean):
                    yield (
                        f"{dataset}, {name}: {said} {found.mean:+.4f} against {CATBOOST}{_range(found)}: "
                        f"{words[above(found)]} {CATBOOST}."
                    )


def _gaps_table(config: Config, table: pd.DataFrame, metric: str) -> Table:
    """Differences of the decoders without penalty to every other method, paired by split."""
    lines = []
    for name in (decoder(config.gammas[0]), raked(config.gammas[0])):
        for other in config.baselines:
            found = [_gap(table, dataset, name, other, FOR_KL, metric) for dataset in config.datasets]
            if any(gap is not None for gap in found):
                lines.append((f"{name} - {other}", *(number(gap, 4) if gap else "" for gap in found)))
    return Table(
        f"{metric.upper() if metric == 'kl' else metric}: decoder less other methods, paired by split (below 0: the "
        "decoder is better)",
        ("difference", *config.datasets),
        tuple(tuple(Cell(text) for text in line) for line in lines),
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


def _group_summary(table: pd.DataFrame) -> pd.DataFrame:
    """dataset, method, metric, mean, low, high, seeds: mean and worst over the subgroups of each split, over splits."""
    groups = table[table["role"] == GROUP]
    if not len(groups):
        return pd.DataFrame()
    each = groups.groupby(["dataset", "method", "seed"], sort=False)[["kl", "avg_wd"]]
    both = each.mean().add_suffix(" mean").join(each.max().add_suffix(" worst"))
    both["groups"] = each.size()
    return over_seeds(both.reset_index(), ("dataset", "method"), (*both.columns,))


def _group_tables(groups: pd.DataFrame) -> list[Table]:
    note = (
        f"Levels of all profile columns (thirds of numbers) with at least {MIN_PEOPLE} held-out people; the worst is "
        "that of each split. The smaller a group, the larger any distance, for all methods alike."
    )
    captions = {
        "kl mean": "Subgroups, KL (nats): mean over groups",
        "kl worst": "Subgroups, KL (nats): worst group",
        "avg_wd mean": "Subgroups, Wasserstein distance (points): mean over groups",
        "avg_wd worst": "Subgroups, Wasserstein distance (points): worst group",
    }
    return [summary_table(groups, "method", "dataset", metric, words, note) for metric, words in captions.items()]


def _groups_shown(config: Config, groups: pd.DataFrame) -> Iterator[str]:
    for dataset in config.datasets if len(groups) else ():
        own = rows_where(groups, {"dataset": dataset})
        each = [
            f"{method} {number(_of(own, method, 'kl mean'))} (worst {number(_of(own, method, 'kl worst'))})"
            for method in (
                decoder(config.gammas[0]),
                raked(config.gammas[0]),
                "problem-histogram",
                CATBOOST,
                "crowdllm",
            )
            if len(rows_where(own, {"method": method}))
        ]
        if each:
            count = own.loc[own["metric"] == "groups", "mean"].iloc[0]
            word = "subgroup" if count == 1 else "subgroups"
            yield f"{dataset}, KL in {count:.0f} {word}: {', '.join(each)}."


def _of(groups: pd.DataFrame, method: str, metric: str) -> Interval | None:
    found = rows_where(groups, {"method": method, "metric": metric})
    return Interval(*found.iloc[0][["mean", "low", "high", "seeds"]]) if len(found) else None


def _transfer(config: Config, table: pd.DataFrame) -> pd.DataFrame:
    """Decoders on the other data sets' people, beside their own and what needs no answers, or no profiles."""
    if not (table["role"] == TRANSFER).any():
        return pd.DataFrame()
    own = rows_where(table, {"role": FOR_KL, "method": decoder(config.gammas[0])})
    own = own.assign(method=[f"decoder of {dataset}" for dataset in own["dataset"]])
    plain = table[(table["role"] == FOR_KL) & table["method"].isin(KNOWN_NOTHING)]
    rows = pd.concat([own, table[table["role"] == TRANSFER], plain])
    return over_seeds(rows, ("dataset", "method"), ("kl", "nll"))


def _transfer_tables(moved: pd.DataFrame) -> list[Table]:
    note = (
        "A decoder asks another data set's people in the same words as its own. It has read nothing else, and knows "
        "neither the questions nor most lines of the profiles: where both have the answers 1 to 5 it repeats what is "
        "common among its own. `random` knows nothing, `pooled` all of that data set's answers, but no question apart."
    )
    names = {"kl": "KL of the shares per question (nats)", "nll": "nll of single answers (nats)"}
    return [
        summary_table(moved, "method", "dataset", metric, f"Transfer to another study: {words}", note)
        for metric, words in names.items()
    ]


def _picture(config: Config, table: pd.DataFrame) -> Picture:
    curves = table[table["role"] == CURVE]
    mean = curves.groupby(["dataset", "method", "temperature"], sort=False)[["kl", "rmse"]].mean().reset_index()
    plain = config.gammas[0]
    first = [*map(decoder, config.gammas), raked(plain)]
    drawn = [*first, *(name for name in config.baselines if name not in (*KNOWN_NOTHING, "svr"))][:6]

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
        "answers to all questions pooled, random ones and svr are in the tables alone."
    )
    return Picture("temperatures", draw, caption, caption)
