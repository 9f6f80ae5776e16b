"""How often the gate is right: its verdict on some problems against the truth on others of the same group.

The problems are dealt into three: the crowd is fitted on the first, the gate sees the human answers of the second, and
the third, which neither has seen, says who was better. Groups are made of what is known before anybody is asked: the
LLM's own answer. To see verdicts of every kind there are single decisions of good and bad LLMs, the mean of an elicited
distribution, and crowds fitted on all training people, on very few, and the pooled histogram, which knows nothing.

The truth is the mean of L' - L over a group's held-out problems, free of bias however few answers they have, but not of
noise; a verdict is called right or wrong where its sign is known (its interval leaves out 0), else the truth is open.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from crowdllm.data.study import Study
from crowdllm.estimation.gate import CROWD, LLM, OPEN, GateInput, GateReport, gate, kappa_alpha, safe_half_width
from crowdllm.estimation.gate_input import answer_groups, gate_input
from crowdllm.experiments.studies.crowds import Fitted, fit_method
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.protocol import Data, Experiment, Findings, Picture, Piece, Settings, Tables, union
from crowdllm.reference import References
from crowdllm.report.gate_figure import GateRow, gate_figure
from crowdllm.report.page import Cell, Table
from crowdllm.rng import generator

DATASET = "offensiveness"
SIDE = {CROWD: "crowd", LLM: "llm", OPEN: ""}


@dataclass(frozen=True)
class Config:
    """Everything the numbers depend on, besides the data. size: of the crowd.

    crowds: methods with the share of the people that they are fitted on; `pooled` knows neither problem nor LLM.
    calibration, test: shares of the problems. alpha: of kappa_alpha; level: of the intervals.
    """

    seeds: tuple[int, ...]
    sources: tuple[str, ...] = ("gpt4", "llama31-8b", "elicited")
    crowds: tuple[tuple[str, float], ...] = (
        ("crowdllm", 0.02),
        ("crowdllm", 1.0),
        ("crowdllm-paper", 1.0),
        ("pooled", 1.0),
    )
    calibration: float = 0.3
    test: float = 0.3
    size: int = 200
    alpha: float = 0.05
    level: float = 0.95


def configure(settings: Settings) -> Experiment:
    """Crowd or bare LLM: how often the gate's verdict on a group of problems is right on problems it has not seen."""
    config = Config(settings.seeds(3, 1))
    if settings.quick:
        config = replace(config, sources=("gpt4", "elicited"), crowds=(("crowdllm", 0.02), ("pooled", 1.0)))
    pieces = [
        _piece(config, source, method, fraction, settings.embedding, seed)
        for seed in config.seeds
        for source in config.sources
        for method, fraction in config.crowds
    ]
    return Experiment(
        "gate",
        "Crowd or bare LLM: is the gate right?",
        "Theorem 3",
        "On problems with human answers the gate says where the crowd's mean is closer to the people's than the bare "
        "LLM's answer. Is that so on other problems of the same group? And does the interval of theorem 3, as printed "
        "and as derived, tell single problems apart?",
        config,
        tuple(pieces),
        lambda tables: report(config, tables),
        tuple(Data(DATASET, source) for source in config.sources),
        (
            "The recorded LLMs gave one decision per comment, so their randomness eta(t) is taken as 0: theorem 3's "
            "safe width, which needs no human answer, is then 0, and no crowd is guaranteed to be better.",
            "Groups are the LLM's own answers 1 to 5; other groups may be easier or harder to judge.",
        ),
    )


def _piece(config: Config, source: str, method: str, fraction: float, embedding: str, seed: int) -> Piece:
    key = f"{source}-{method}-{fraction:g}-{seed}"
    return Piece(key, measure, (config, source, method, fraction, embedding, seed), method)


def measure(config: Config, source: str, method: str, fraction: float, embedding: str, seed: int) -> pd.DataFrame:
    """A row per group: the gate's verdict on calibration problems, and what is true on the test problems."""
    study, references = open_data(Data(DATASET, source))
    assert references is not None
    train, calibration, test = _three_parts(study, config, seed)
    people = np.arange(len(study.profiles))
    if fraction < 1:
        order = generator(seed, "gate study:people").permutation(people)
        people = np.sort(order[: max(5, round(fraction * len(people)))])
    fitted = fit_method(method, study.subset(train, people), references, embedding, seed)
    seen_data, seen_groups = _compared(study, calibration, references, fitted, config, seed)
    data, groups = _compared(study, test, references, fitted, config, seed)
    seen = gate(seen_data, seen_groups, config.alpha, config.level)
    truth = gate(data, groups, config.alpha, config.level, seen.kappa)
    table = _joined(seen, truth).assign(source=source, method=method, fraction=fraction, seed=seed)
    delta_T = _deltas(data)
    mu_T = data.crowd_T - data.reference_T
    safe_T = safe_half_width(seen.kappa, data.slack_T)
    table["kappa_held"] = float((np.abs(delta_T) <= seen.kappa).mean())
    table["kappa_test"] = kappa_alpha(delta_T, config.alpha)
    table["safe_share"] = float((np.abs(mu_T) <= safe_T).mean())
    return table.reset_index(drop=True)


def _three_parts(study: Study, config: Config, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of the problems for the fit, for the gate, and for the truth."""
    order = generator(seed, "gate study:problems").permutation(len(study.problems))
    first, second = round(config.calibration * len(order)), round((config.calibration + config.test) * len(order))
    return np.sort(order[second:]), np.sort(order[:first]), np.sort(order[first:second])


def _compared(
    study: Study, rows: np.ndarray, references: References, fitted: Fitted, config: Config, seed: int
) -> tuple[GateInput, list[str]]:
    """What the gate compares on these problems, all people's answers, and the problems' groups."""
    part = study.subset(rows, np.arange(len(study.profiles)))
    own = references.aligned(part.problems)
    return gate_input(
        fitted.simulator, part, own, config.size, seed, fitted.people.take(np.arange(config.size))
    ), answer_groups(own, part)


def _deltas(data: GateInput) -> np.ndarray:
    """(T,) the people's mean less the LLM's answer."""
    count_T = np.bincount(data.problem_R, minlength=len(data.crowd_T))
    total_T = np.bincount(data.problem_R, weights=data.human_R, minlength=len(data.crowd_T))
    return np.asarray(total_T / np.maximum(count_T, 1) - data.reference_T)


def _joined(seen: GateReport, truth: GateReport) -> pd.DataFrame:
    """The verdicts with the test problems' advantage beside them; groups that the test part lacks are left out."""
    names = [
        "group",
        "problems",
        "advantage",
        "low",
        "high",
        "inside_printed",
        "inside_derived",
        "mean_delta",
        "mean_bias",
    ]
    names += ["llm_error", "crowd_error", "verdict", "half_width_derived", "half_width_printed", "kappa"]
    test = truth.frame()[["group", "problems", "advantage", "low", "high"]]
    test.columns = pd.Index(["group", *(f"test_{name}" for name in test.columns[1:])])
    joined = seen.frame()[names].merge(test, on="group")
    joined["outcome"] = [
        outcome(v, a, low, high)
        for v, a, low, high in joined[["verdict", "test_advantage", "test_low", "test_high"]].itertuples(index=False)
    ]
    joined["sign_right"] = np.where(
        joined["verdict"] == OPEN, np.nan, (joined["verdict"] == CROWD) == (joined["test_advantage"] > 0)
    ).astype(float)
    return joined


def outcome(verdict: str, advantage: float, low: float, high: float) -> str:
    """What became of a verdict: "right", "wrong", "truth open", or, for "no evidence", what there was to find."""
    known = low > 0 or high < 0
    if verdict == OPEN:
        return "nothing said, truth open" if not known else "nothing said, truth known"
    if not known:
        return "truth open"
    return "right" if (verdict == CROWD) == (advantage > 0) else "wrong"


def report(config: Config, tables: Tables) -> Findings:
    """How often verdicts were right, kappa held, and the printed interval let crowds pass that lose."""
    table = union(tables)
    counts = verdict_counts(table)
    lines = []
    for verdict in (CROWD, LLM):
        own = table[table["verdict"] == verdict]
        if not len(own):
            continue
        right, wrong, open_ = ((own["outcome"] == o).sum() for o in ("right", "wrong", "truth open"))
        lines.append(
            f"'{verdict}' was said of {len(own)} groups: right {right}, wrong {wrong}, and for {open_} the held-out "
            f"problems do not tell; their sign agrees in {own['sign_right'].mean():.0%}."
        )
    silent = table[table["verdict"] == OPEN]
    missed = int((silent["outcome"] == "nothing said, truth known").sum())
    lines.append(f"'{OPEN}' was said of {len(silent)} groups; in {missed} of them the held-out problems do tell.")
    per_fit = table.drop_duplicates(["source", "method", "fraction", "seed"])
    lines.append(
        f"kappa at alpha = {config.alpha:g} held for {per_fit['kappa_held'].mean():.1%} of the held-out problems "
        f"(promised: at least {1 - config.alpha:.0%})."
    )
    losing = table[(table["test_high"] < 0) & (table["problems"] > 0)]
    if len(losing):
        lines.append(
            f"In the {len(losing)} groups where the crowd is shown to lose, theorem 3's interval as printed holds the "
            f"crowd's bias on {losing['inside_printed'].mean():.0%} of the problems, the derived one on "
            f"{losing['inside_derived'].mean():.0%}."
        )
    first = table[(table["seed"] == config.seeds[0])]
    return Findings(
        {"gate": table, "gate-verdicts": counts},
        (
            Picture(
                "gate",
                lambda: gate_figure(_picture_rows(first, config)),
                "The gate on the calibration problems of the first split. Left: mean of L' - L with its 95 % interval. "
                "Right: the crowd's mean bias less what would be right, and theorem 3's intervals.",
                "Advantage of the crowd over the bare LLM per LLM and group of problems, with intervals.",
            ),
        ),
        tuple(lines),
        blocks=(_page_table(counts),),
    )


def verdict_counts(table: pd.DataFrame) -> pd.DataFrame:
    """How many groups had each verdict and outcome, by share of the people in training."""
    return table.groupby(["method", "fraction", "verdict", "outcome"], sort=True).size().rename("groups").reset_index()


def _picture_rows(first: pd.DataFrame, config: Config) -> list[GateRow]:
    rows = []
    shown = first[first["source"].isin((config.sources[0], config.sources[-1])) & (first["problems"] > 0)]
    for row in shown.sort_values(["source", "method", "fraction", "group"]).to_dict("records"):
        name = f"{row['source']}, {row['method']} ({row['fraction']:.0%}): {row['group']}"
        rows.append(
            GateRow(
                name, row["advantage"], row["low"], row["high"], SIDE[row["verdict"]],
                row["mean_bias"] - row["mean_delta"], row["half_width_derived"], row["half_width_printed"],
            )
        )  # fmt: skip
    return rows


def _page_table(counts: pd.DataFrame) -> Table:
    rows = [
        (
            Cell(f"{row['method']} ({row['fraction']:.0%} of the people), {row['verdict']}"),
            Cell(row["outcome"]),
            Cell(str(row["groups"])),
        )
        for row in counts.to_dict("records")
    ]
    return Table(
        "Verdicts on groups of problems, and what held-out problems say", ("verdict", "outcome", "groups"), tuple(rows)
    )
