"""Planned against random questions, by replay: how many human answers until intervals are as narrow as wanted.

The answers of people whom the model has not seen are the pool. A strategy draws answers from it in rounds, seeing only
those it has drawn: the planner (`crowdllm.estimation.planner`), random pairs of a person and a problem, and the same
number on every problem. All are measured by the same interval; a problem counts as reachable where its interval from
all of its answers in the pool is as narrow as wanted.

The planner stops where the interval is narrow enough, and an interval that is narrow by luck stops early. Whether that
costs coverage is measured: against the mean of all answers in the pool, with the correction for a finite pool.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.data.study import Study
from crowdllm.estimation.estimands import make_columns
from crowdllm.estimation.plan_study import simulated_moments, spread_ratio
from crowdllm.estimation.planner import allocate, choose_people
from crowdllm.estimation.small_sample import left_open, student
from crowdllm.estimation.width_model import WidthModel, sums_of_squares
from crowdllm.evaluation.histograms import numbers
from crowdllm.evaluation.intervals import mean_interval
from crowdllm.experiments.studies.crowds import fit_method
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.protocol import Data, Experiment, Findings, Picture, Piece, Settings, Tables, union
from crowdllm.methods.crowdllm import CrowdSimulator
from crowdllm.reference import References
from crowdllm.report.curves_figure import Curve, CurvePanel, curves_figure
from crowdllm.report.page import Cell, Table
from crowdllm.responses.protocol import Array
from crowdllm.rng import generator
from crowdllm.simulation.groups import Groups, subgroups

PLANNED, EQUAL, RANDOM = "planner", "equal numbers", "random pairs"
STRATEGIES = (PLANNED, EQUAL, RANDOM)


@dataclass(frozen=True)
class Pool:
    """One data set. target: width wanted, in points; split, fraction: what the model is not fitted on, and replayed."""

    dataset: str
    references: str
    split: str
    fraction: float
    target: float


@dataclass(frozen=True)
class Config:
    """Everything the numbers depend on, besides the data. rounds: in so many rounds a strategy draws the whole pool."""

    seeds: tuple[int, ...]
    pools: tuple[Pool, ...] = (
        Pool("offensiveness", "gpt4", "problem", 0.3, 2.0),
        Pool("bfi", "elicited", "participant", 0.7, 0.4),
    )
    rounds: int = 60
    level: float = 0.95


@dataclass(frozen=True)
class Replayed:
    """The pool as a strategy sees it. value_R, person_R, problem_R: its answers; widths: how intervals are measured."""

    study: Study
    value_R: Array
    widths: WidthModel
    groups: Groups
    mix_G: Array
    target: float

    @property
    def person_R(self) -> NDArray[np.int64]:
        return self.study.responses.participant_R

    @property
    def problem_R(self) -> NDArray[np.int64]:
        return self.study.responses.problem_R


def configure(settings: Settings) -> Experiment:
    """Planned against random questions: human answers needed until every interval is as narrow as wanted."""
    config = Config(settings.seeds(5, 1))
    if settings.quick:
        config = replace(config, rounds=30)
    pieces = [
        Piece(f"{pool.dataset}-{seed}", replay, (config, pool, settings.embedding, seed), pool.dataset)
        for pool in config.pools
        for seed in config.seeds
    ]
    return Experiment(
        "planner",
        "Planned against random questions",
        "",
        "People are asked until the 95 % interval of every problem's mean is as narrow as wanted. How many answers "
        "does that take if the next questions are chosen by expected width reduction, if every problem gets the same "
        "number, and if pairs of a person and a problem are drawn at random?",
        config,
        tuple(pieces),
        lambda tables: report(config, tables),
        tuple(Data(pool.dataset, pool.references) for pool in config.pools),
        (
            "A replay can only ask what was asked: offensiveness has about 8.7 answers per comment, so only comments "
            "whose interval from all of them is narrow enough count.",
            "The crowd's own interval and its predictions for single people are left out of all widths, so that the "
            "gain shown is that of choosing what to ask, and nothing else.",
        ),
    )


def replay(config: Config, pool: Pool, embedding: str, seed: int) -> pd.DataFrame:
    """A row per strategy and round."""
    study, references = open_data(Data(pool.dataset, pool.references))
    split = study.split(pool.split, pool.fraction, seed)
    fitted = fit_method("crowdllm", split.train, references, embedding, seed)
    assert isinstance(fitted.simulator, CrowdSimulator)
    seen = _replayed(fitted.simulator.model, split.train, split.test, fitted.references, pool, config, seed)
    parts = [_run(seen, name, config, seed) for name in STRATEGIES]
    return pd.concat(parts, ignore_index=True).assign(dataset=pool.dataset, seed=seed, target=pool.target)


def _replayed(
    model: CrowdModel, train: Study, test: Study, references: References | None, pool: Pool, config: Config, seed: int
) -> Replayed:
    columns = make_columns(model.response_type, train.problems, train.responses)
    spread = []
    for part in (train, test):
        mean_TC, square_TC = simulated_moments(model, model.make_items(part.problems, references), columns, seed)
        spread.append((square_TC - mean_TC**2)[:, 0])
    value = [numbers(part.responses, part.response_type) for part in (train, test)]
    counted = sums_of_squares(value[0], train.responses.problem_R, len(train.problems))
    prior_T = np.maximum(spread[1] * spread_ratio(spread[0], *counted), 1e-6)
    none_T = np.full(len(prior_T), np.inf)
    groups = subgroups(model.generator)
    mix_G = groups.members(test.profiles).mean(axis=1)
    return Replayed(test, value[1], WidthModel(prior_T, none_T, level=config.level), groups, mix_G, pool.target)


def _run(seen: Replayed, name: str, config: Config, seed: int) -> pd.DataFrame:
    """One strategy to the end of the pool, or until every reachable problem is narrow enough."""
    rows, drawn_R = [], np.zeros(len(seen.value_R), dtype=bool)
    reachable_T = _measure(seen, np.ones(len(drawn_R), dtype=bool)) <= seen.target
    expected = seen.widths.needed(seen.widths.prior_T, seen.target).sum()
    step = max(1, min(len(drawn_R), int(expected)) // config.rounds)
    draw = _strategy(seen, name, seed)
    while True:
        width_T = _measure(seen, drawn_R)
        held, error = _covered(seen, drawn_R)
        rows.append(
            {
                "strategy": name,
                "answers": int(drawn_R.sum()),
                "mean_width": float(np.where(np.isfinite(width_T), width_T, np.nan).mean()),
                "reached": float((width_T <= seen.target)[reachable_T].mean()),
                "coverage": held,
                "error": error,
                "mix_cost": _mix_cost(seen, drawn_R),
                "reachable": int(reachable_T.sum()),
                "pool": len(drawn_R),
            }
        )
        if (width_T <= seen.target)[reachable_T].all() or drawn_R.all():
            return pd.DataFrame(rows)
        chosen = draw(drawn_R, min(step, int((~drawn_R).sum())))
        if not len(chosen):
            return pd.DataFrame(rows)
        drawn_R[chosen] = True


def _measure(seen: Replayed, drawn_R: NDArray[np.bool_]) -> Array:
    """(T,) widths of the intervals from what was drawn."""
    count_T, square_T = sums_of_squares(seen.value_R[drawn_R], seen.problem_R[drawn_R], len(seen.study.problems))
    return seen.widths.width(count_T, seen.widths.variance(count_T, square_T))


def _covered(seen: Replayed, drawn_R: NDArray[np.bool_]) -> tuple[float, float]:
    """Share of intervals (for the finite pool) that hold the pool's mean, and the mean absolute error."""
    problems = len(seen.study.problems)
    all_T = np.bincount(seen.problem_R, minlength=problems)
    mean_T = np.bincount(seen.problem_R, weights=seen.value_R, minlength=problems) / np.maximum(all_T, 1)
    count_T, square_T = sums_of_squares(seen.value_R[drawn_R], seen.problem_R[drawn_R], problems)
    some = (count_T > 0) & (count_T < all_T)
    if not some.any():
        return np.nan, np.nan
    own_T = np.bincount(seen.problem_R[drawn_R], weights=seen.value_R[drawn_R], minlength=problems)
    error_T = np.abs(own_T[some] / count_T[some] - mean_T[some])
    open_T = left_open(count_T[some].astype(float), all_T[some])
    freedom_T = seen.widths.weight + count_T[some] - 1
    variance_T = seen.widths.variance(count_T, square_T)[some]
    half_T = student(freedom_T, seen.widths.level) * np.sqrt(variance_T * open_T)
    return float((error_T <= half_T + 1e-12).mean()), float(error_T.mean())


def _mix_cost(seen: Replayed, drawn_R: NDArray[np.bool_]) -> float:
    """How many times more answers weighting to the pool's mix of people costs: mean over columns of sum_l W_l^2 / p_l.

    W_l, p_l: share of a level among the people and among the answers drawn (at least half an answer); 1 is the best.
    """
    if not drawn_R.any() or len(seen.groups) == 1:
        return np.nan
    answers_N = np.bincount(seen.person_R[drawn_R], minlength=len(seen.study.profiles)).astype(float)
    have_G = seen.groups.members(seen.study.profiles)[1:] @ answers_N
    present_G = np.maximum(have_G, 0.5) / answers_N.sum()
    columns = len({name for name, _ in seen.groups.names[1:]})
    return float((seen.mix_G[1:] ** 2 / present_G).sum() / columns)


def _strategy(seen: Replayed, name: str, seed: int) -> Callable[[NDArray[np.bool_], int], NDArray[np.int64]]:
    """From what was drawn and how many are wanted to the positions to draw."""
    rng = generator(seed, f"planner study:{name}")
    order_R = rng.permutation(len(seen.value_R))
    problems = len(seen.study.problems)
    if name == RANDOM:
        return lambda drawn_R, size: order_R[~drawn_R[order_R]][:size]
    if name == EQUAL:
        place_R = np.empty(len(order_R), dtype=np.int64)  # the how-manieth answer to its problem each would be
        for t in range(problems):
            own = order_R[seen.problem_R[order_R] == t]
            place_R[own] = np.arange(len(own))
        by_turn = order_R[np.argsort(place_R[order_R], kind="stable")]
        return lambda drawn_R, size: by_turn[~drawn_R[by_turn]][:size]
    where = {(int(i), int(t)): r for r, (i, t) in enumerate(zip(seen.person_R, seen.problem_R, strict=True))}
    all_T = np.bincount(seen.problem_R, minlength=problems)

    def planned(drawn_R: NDArray[np.bool_], size: int) -> NDArray[np.int64]:
        own = drawn_R
        count_T, square_T = sums_of_squares(seen.value_R[own], seen.problem_R[own], problems)
        found = allocate(seen.widths, count_T, square_T, seen.target, size, all_T - count_T)
        asked_NT, free_NT = (_pairs(seen, rows) for rows in (drawn_R, ~drawn_R))
        widths = (found.before_T, found.after_T)
        people, groups, mix_G = seen.study.profiles, seen.groups, seen.mix_G
        asks = choose_people(found.more_T, *widths, people, asked_NT, groups, mix_G, seed, free_NT)
        return np.array([where[ask.person, ask.problem] for ask in asks], dtype=np.int64)

    return planned


def _pairs(seen: Replayed, rows_R: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N, T) which pairs of a person and a problem are among these answers."""
    out_NT = np.zeros((len(seen.study.profiles), len(seen.study.problems)), dtype=bool)
    out_NT[seen.person_R[rows_R], seen.problem_R[rows_R]] = True
    return out_NT


def report(config: Config, tables: Tables) -> Findings:
    """The answers needed by each strategy, the widths on the way, and whether stopping early cost coverage."""
    table = union(tables)
    needed = needed_answers(table)
    summary = _summary(needed)
    lines = []
    for pool in config.pools:
        own = summary[summary["dataset"] == pool.dataset].set_index("strategy")
        if PLANNED not in own.index:
            continue
        p, e, r = (own.loc[name] for name in STRATEGIES)
        lines.append(
            f"{pool.dataset}, intervals at most {pool.target:g} points wide on every reachable problem: "
            f"{p['answers']:,.0f} answers with the planner, {e['answers']:,.0f} with equal numbers, "
            f"{r['answers']:,.0f} with random pairs: {1 - p['ratio_to_random']:.0%} (95 % interval "
            f"{1 - p['ratio_high']:.0%} to {1 - p['ratio_low']:.0%}) fewer than random. On nine in ten of them: "
            f"{p['answers_90']:,.0f}, {e['answers_90']:,.0f} and {r['answers_90']:,.0f}."
        )
        lines.append(
            f"{pool.dataset}: at the end {p['coverage']:.1%} of the planner's intervals hold the pool's mean "
            f"(equal numbers: {e['coverage']:.1%}, random pairs: {r['coverage']:.1%}; nominal {config.level:.0%})."
        )
    return Findings(
        {"planner": table, "planner-needed": needed, "planner-summary": summary},
        (
            Picture(
                "planner",
                lambda: curves_figure(_panels(config, table)),
                f"Share of the reachable problems whose 95 % interval is as narrow as wanted. Means of "
                f"{len(config.seeds)} random splits.",
                "Share of problems with a narrow enough interval against the number of human answers, by strategy.",
            ),
        ),
        tuple(lines),
        blocks=(_page_table(summary),),
    )


def needed_answers(table: pd.DataFrame) -> pd.DataFrame:
    """Per data set, seed and strategy: answers when every reachable problem was narrow enough (else the whole pool)."""
    rows = []
    for (dataset, seed, strategy), part in table.groupby(["dataset", "seed", "strategy"], sort=False):
        done = part[part["reached"] >= 1]
        most = part[part["reached"] >= 0.9]
        last = (done if len(done) else part.tail(1)).iloc[0]
        before = part[part["coverage"].notna()].tail(1)
        ninety = (most if len(most) else part.tail(1)).iloc[0]
        rows.append(
            {
                "dataset": dataset, "seed": seed, "strategy": strategy, "answers": int(last["answers"]),
                "reached_all": bool(len(done)), "answers_90": int(ninety["answers"]),
                "coverage": float(before["coverage"].iloc[0]) if len(before) else np.nan,
                "mix_cost": float(last["mix_cost"]), "reachable": int(last["reachable"]), "pool": int(last["pool"]),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _summary(needed: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, and the answers needed over those of random pairs (of the same seed) with their interval."""
    rows = []
    for dataset, part in needed.groupby("dataset", sort=False):
        random = part[part["strategy"] == RANDOM].set_index("seed")
        for strategy in STRATEGIES:
            own = part[part["strategy"] == strategy].set_index("seed")
            ratio = mean_interval((own["answers"] / random["answers"]).to_numpy(dtype=float))
            ratio_90 = float((own["answers_90"] / random["answers_90"]).mean())
            means = own[["answers", "answers_90", "coverage", "mix_cost", "reachable", "pool"]].mean()
            rows.append(
                {"dataset": dataset, "strategy": strategy, **means, "ratio_to_random": ratio.mean}
                | {"ratio_low": ratio.low, "ratio_high": ratio.high, "ratio_90": ratio_90, "seeds": ratio.count}
            )
    return pd.DataFrame(rows)


def _panels(config: Config, table: pd.DataFrame) -> list[CurvePanel]:
    panels = []
    for pool in config.pools:
        own = table[table["dataset"] == pool.dataset]
        if not len(own):
            continue
        curves = []
        for strategy in STRATEGIES:
            part = own[own["strategy"] == strategy]
            at = np.linspace(0, float(own["answers"].max()), 40)
            lines = [
                np.interp(at, one["answers"].to_numpy(dtype=float), one["reached"].to_numpy(dtype=float))
                for _, one in part.groupby("seed")
            ]
            mean = np.mean(lines, axis=0)
            curves.append(Curve(strategy, tuple(at), tuple(mean)))
        title = f"{pool.dataset}, width {pool.target:g}"
        panels.append(
            CurvePanel("human answers", "share of problems reached", tuple(curves), title, bounds=(0.0, 1.02))
        )
    return panels


def _page_table(summary: pd.DataFrame) -> Table:
    header = ("data, strategy", "answers", "for 90 %", "of random", "coverage", "cost of weighting")
    rows = []
    for row in summary.to_dict("records"):
        texts = (
            f"{row['answers']:,.0f}", f"{row['answers_90']:,.0f}", f"{row['ratio_to_random']:.2f}",
            f"{row['coverage']:.1%}", f"{row['mix_cost']:.3f}",
        )  # fmt: skip
        rows.append((Cell(f"{row['dataset']}, {row['strategy']}"), *(Cell(text) for text in texts)))
    return Table("Human answers until every reachable interval is narrow enough", header, tuple(rows))
