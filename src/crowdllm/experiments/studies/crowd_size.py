"""How many simulated people a decision needs: error and resolution rate against crowd size (Figures 4 and 5).

Figure 4 is the MAE of the mean decision of the first 1, 2, ... 50 simulated people per problem, for a model trained on
1 to 100 % of the training people. Figure 5 is the resolution rate, the share of problems with an absolute error
below .5, for diverse people and for people who all have one profile (averaged over a few profiles).

One profile is not one belief in `crowdllm`: people of one profile still differ by their personal noise. So there is a
third condition, one belief: the same profile and the same noise, where only the chance in single responses is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.experiments.comparison import FLOOR
from crowdllm.experiments.studies.crowds import (
    Fitted,
    as_numbers,
    crowd_responses,
    fit_method,
    human_means,
    perfect_crowds,
    running_means,
    same_profile,
)
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.protocol import Data, Experiment, Findings, Picture, Piece, Settings, Tables, union
from crowdllm.experiments.studies.summary import (
    Claim,
    above,
    below,
    curve,
    difference,
    interval,
    number,
    over_seeds,
    present,
    sort_claims,
    summary_table,
)
from crowdllm.methods.crowdllm import CrowdSimulator
from crowdllm.report.curves_figure import Curve, CurvePanel, curves_figure
from crowdllm.responses.protocol import Array
from crowdllm.simulation.decide import simulate_pairs

DIVERSE, ONE_PROFILE, ONE_BELIEF = "diverse", "one profile", "one belief"
OWN, PAPER = "crowdllm", "crowdllm-paper"
SHOWN = (1, 2, 3, 5, 8, 12, 20, 30, 50)
COMPARABLE, MATERIAL = 0.1, 0.01
TICKS = tuple((float(n), str(n)) for n in (1, 2, 5, 10, 20, 50))
KEYS = ("method", "profiles", "train_fraction", "crowd_size")
LIMITS = (
    "The paper's LLM is Gemma3-12B; here it is GPT-4, one recorded decision per comment (six for multi-persona, of "
    "which a simulated person speaks for one). No answers at temperature 0.5 are recorded: no self-consistency.",
    "The paper prints curves and no numbers; what is compared is what its text says of them.",
    "The humans are about 8.7 per comment, and their mean is the gold, which is itself uncertain: so even 50 other "
    "humans would not come nearer to it than the grey area.",
    "QA difficulty, the other half of the paper's figures, is not drawn: this package has no loader for that data set.",
)


@dataclass(frozen=True)
class Config:
    """methods: at every share of the training people; baselines: with all of them. fixed: profiles averaged over."""

    seeds: tuple[int, ...]
    fractions: tuple[float, ...] = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
    methods: tuple[str, ...] = (OWN, PAPER)
    baselines: tuple[str, ...] = ("random", "pooled", "zero-shot", "multi-persona", "vae", "embedding-references-ridge")
    dataset: str = "offensiveness"
    references: str = "gpt4,gpt4-personas"
    split: str = "problem"
    test_fraction: float = 0.2
    largest: int = 50
    tolerance: float = 0.5
    fixed: int = 5
    floor_draws: int = 40


def configure(settings: Settings) -> Experiment:
    """Crowd size and resolution rate: how many simulated people a decision needs, trained on 1 to 100 % of people."""
    config = Config(settings.seeds(10, 3))
    if settings.quick:
        config = replace(config, fractions=(0.01, 0.1, 1.0), fixed=2, floor_draws=10)
    pieces = [
        Piece(f"{method}-{f:g}-{seed}", measure, (config, settings.embedding, method, f, seed), f"{method} {f:g}")
        for seed in config.seeds
        for method in (*config.methods, *config.baselines, FLOOR)
        for f in (config.fractions if method in config.methods else (1.0,))
    ]
    return Experiment(
        "crowd-size",
        "Crowd size and resolution rate",
        "Figures 4 and 5",
        "How does the error of the crowd's mean rating fall as simulated people are added, and does it matter whether "
        "they differ? Offensiveness ratings, 20 % of the comments unseen in training; the model is trained on a share "
        "of the people. Resolved means: the absolute error of the mean rating is below .5.",
        config,
        tuple(pieces),
        lambda tables: report(config, tables),
        (Data(config.dataset, config.references),),
        LIMITS,
    )


def measure(config: Config, embedding: str, method: str, fraction: float, seed: int) -> pd.DataFrame:
    """One row per crowd size and kind of people; `problems` is how many had an answer."""
    study, references = open_data(Data(config.dataset, config.references))
    split = study.split(config.split, config.test_fraction, seed, fraction)
    test, rows = split.test, []
    if method == FLOOR:
        pairs = perfect_crowds(test, config.largest, seed, config.floor_draws)
        rows.append((DIVERSE, [(human, running_means(crowd)) for human, crowd in pairs]))
    else:
        human = human_means(test)
        fitted = fit_method(method, split.train, references, embedding, seed)
        for profiles, crowds in _crowds(config, fitted, test, method, seed).items():
            rows.append((profiles, [(human, running_means(crowd)) for crowd in crowds]))
    return pd.concat([_scores(pairs, config).assign(profiles=name) for name, pairs in rows]).assign(
        method=method, train_fraction=fraction, seed=seed
    )[[*KEYS, "seed", "mae", "resolved", "problems"]]


def _crowds(config: Config, fitted: Fitted, test: Study, method: str, seed: int) -> dict[str, list[Array]]:
    """Per kind of people the (T, largest) answers, once for every fixed profile."""
    size = config.largest
    chosen_Tn, diverse = crowd_responses(fitted, test, size, seed)
    out = {DIVERSE: [as_numbers(diverse, test, size)]}
    if method not in config.methods:
        return out
    out[ONE_PROFILE] = []
    for person in range(config.fixed):
        alike = replace(fitted, people=same_profile(fitted.people, person))
        out[ONE_PROFILE].append(as_numbers(crowd_responses(alike, test, size, seed)[1], test, size))
        if isinstance(fitted.simulator, CrowdSimulator):
            out.setdefault(ONE_BELIEF, []).append(_one_belief(alike, person, test, chosen_Tn, seed))
    return out


def _one_belief(alike: Fitted, person: int, test: Study, chosen_Tn: NDArray[np.int64], seed: int) -> Array:
    """(T, n) answers of people who have one profile and one person's noise."""
    assert isinstance(alike.simulator, CrowdSimulator)
    model = alike.simulator.model
    items = model.make_items(test.problems, alike.references)
    noise_NZ = np.tile(model.participant_noise(alike.people, seed)[person], (len(alike.people), 1))
    person_R = chosen_Tn.reshape(-1)
    problem_R = np.repeat(np.arange(len(test.problems)), chosen_Tn.shape[1])
    values_RD = simulate_pairs(model, items, alike.people, person_R, problem_R, seed, noise_NZ)
    return as_numbers(Responses(person_R, problem_R, values_RD), test, chosen_Tn.shape[1])


def _scores(pairs: list[tuple[Array, Array]], config: Config) -> pd.DataFrame:
    """Averages over the pairs of (human means, running means of a crowd), per crowd size."""
    error_PTn = np.stack([np.abs(means_Tn - human_T[:, None]) for human_T, means_Tn in pairs])
    known = ~np.isnan(error_PTn)
    count_Pn = known.sum(axis=1)

    def average(of_PTn: Array) -> Array:
        total_Pn = np.where(known, of_PTn, 0.0).sum(axis=1)
        return np.divide(total_Pn, count_Pn, out=np.full(total_Pn.shape, np.nan), where=count_Pn > 0).mean(axis=0)

    return pd.DataFrame(
        {
            "crowd_size": np.arange(1, config.largest + 1),
            "mae": average(error_PTn),
            "resolved": average((error_PTn < config.tolerance).astype(float)),
            "problems": count_Pn.mean(axis=0).round().astype(int),
        }
    )


def report(config: Config, tables: Tables) -> Findings:
    """Pictures, tables, and what the paper says against what was found."""
    table = union(tables)
    summary = over_seeds(table, KEYS, ("mae", "resolved"))
    at_end = summary[summary["crowd_size"] == config.largest]
    blocks = []
    for metric, words in (("mae", "Mean absolute error"), ("resolved", "Resolution rate")):
        named = at_end.assign(
            row=at_end["method"] + np.where(at_end["profiles"] == DIVERSE, "", ", " + at_end["profiles"]),
            trained_on=(100 * at_end["train_fraction"]).map("{:g} %".format),
        )
        caption = f"{words} with {config.largest} simulated people per problem, by share of people in training"
        blocks.append(summary_table(named, "row", "trained_on", metric, caption, "Mean ± half of the 95 % interval."))
    found = sort_claims(_claims(config, table))
    return Findings(
        {"crowd-size": table, "crowd-size-summary": summary},
        _pictures(config, summary),
        _shows(config, table),
        found.agrees,
        found.differs,
        tuple(blocks),
        found.undecided,
    )


def _pictures(config: Config, summary: pd.DataFrame) -> tuple[Picture, ...]:
    caption = (
        f"Bands: 95 % intervals over {len(config.seeds)} random splits. Grey: closer to the human mean than "
        "as many other humans would come. One person of crowdllm-paper is a mean of ten decisions, and so can do that."
    )
    return (
        Picture(
            "mae",
            lambda: curves_figure(_mae_panels(config, summary), width=3.8),
            f"Error of the mean rating against crowd size. {caption}",
            "Mean absolute error against the number of simulated people, by share of people in training and by method.",
        ),
        Picture(
            "resolution",
            lambda: curves_figure(_resolution_panels(config, summary), share_y=True, width=4.2),
            f"Problems with an absolute error below {config.tolerance:g}, for people drawn from the profile generator, "
            "for people who all have one profile, and (crowdllm) for people who also share one belief. "
            f"{caption}",
            "Resolution rate against the number of simulated people, with diverse and with fixed profiles.",
        ),
    )


def _rows(method: str, size: int, fraction: float = 1.0, profiles: str = DIVERSE) -> dict[str, object]:
    return {"method": method, "train_fraction": fraction, "profiles": profiles, "crowd_size": size}


def _where(metric: str, method: str, fraction: float = 1.0, profiles: str = DIVERSE) -> dict[str, object]:
    return {"metric": metric, "method": method, "train_fraction": fraction, "profiles": profiles}


def _floor(summary: pd.DataFrame, metric: str) -> Curve | None:
    return curve(summary, "closer than as many humans", "crowd_size", _where(metric, FLOOR), SHOWN)


def _mae_panels(config: Config, summary: pd.DataFrame) -> list[CurvePanel]:
    shown = [n for n in SHOWN if n <= config.largest]
    panels = []
    for method in config.methods:
        curves = [
            curve(summary, f"{100 * f:g} % of the people", "crowd_size", _where("mae", method, f), shown)
            for f in config.fractions
        ]
        panels.append((f"{method}, by people in training", curves))
    names = (OWN, PAPER, "zero-shot", "multi-persona", "vae", "embedding-references-ridge")
    curves = [curve(summary, name, "crowd_size", _where("mae", name), shown) for name in names]
    panels.append(("methods, all people in training", curves))
    return [
        CurvePanel(
            "simulated people per problem", "MAE (scale points)", present(found), title, True,
            ticks=TICKS, floor=_floor(summary, "mae"), bounds=(0.0, np.inf),
        )
        for title, found in panels
    ]  # fmt: skip


def _resolution_panels(config: Config, summary: pd.DataFrame) -> list[CurvePanel]:
    shown = [n for n in SHOWN if n <= config.largest]
    few, all_of_them = config.fractions[0], config.fractions[-1]
    panels = []
    for method in config.methods:
        curves = [
            curve(summary, f"{profiles}, {100 * f:g} %", "crowd_size", _where("resolved", method, f, profiles), shown)
            for profiles in (DIVERSE, ONE_PROFILE, ONE_BELIEF)
            for f in (all_of_them, few)
        ]
        panels.append(
            CurvePanel(
                "simulated people per problem", "share of problems resolved", present(curves), method, True,
                ticks=TICKS, floor=_floor(summary, "resolved"), floor_above=True, bounds=(0.0, 1.0),
            )
        )  # fmt: skip
    return panels


def _shows(config: Config, table: pd.DataFrame) -> tuple[str, ...]:
    """The main numbers in sentences."""
    last, lines = config.largest, []
    for method in (*config.methods, *config.baselines, FLOOR):
        found = [interval(table, "mae", _rows(method, n)) for n in (1, min(8, last), last)]
        if found[0] is not None:
            name = "as many other humans (the human floor)" if method == FLOOR else method
            texts = [number(f) for f in found]
            lines.append(
                f"MAE of {name}: {texts[0]} with one person, {texts[1]} with {min(8, last)}, {texts[2]} with {last}."
            )
    for method in config.methods:
        by_kind = [
            f"{profiles} {number(interval(table, 'resolved', _rows(method, last, profiles=profiles)), 2)}"
            for profiles in (DIVERSE, ONE_PROFILE, ONE_BELIEF)
            if interval(table, "resolved", _rows(method, last, profiles=profiles)) is not None
        ]
        if by_kind:
            lines.append(f"Problems resolved by {last} people of {method}: {', '.join(by_kind)}.")
    return tuple(lines)


def _claims(config: Config, table: pd.DataFrame) -> Iterator[Claim]:
    """What the paper's text says of Figures 4 and 5, one by one."""
    last, few, whole = config.largest, config.fractions[0], config.fractions[-1]
    for method in config.methods:
        gain = difference(table, "mae", _rows(method, 1), _rows(method, last))
        if gain is None:
            continue
        yield Claim(
            above(gain),
            f"Paper: error falls as simulated workers are added. {method}: by {number(gain)} from 1 to {last} people.",
        )
        lost = difference(table, "mae", _rows(method, last, few), _rows(method, last, whole))
        base = interval(table, "mae", _rows(method, last, whole))
        if lost is not None and base is not None:
            yield Claim(
                below(lost, COMPARABLE * base.mean),
                f"Paper: {100 * few:g} % of the people do about as well as all of them (taken as: at most "
                f"{COMPARABLE:.0%} more error). {method}: {number(lost)} more MAE than {number(base)}.",
            )
        for baseline in ("zero-shot", "multi-persona"):
            better = difference(table, "mae", _rows(baseline, last), _rows(method, last))
            if better is not None:
                yield Claim(
                    above(better),
                    f"Paper: the LLM alone does not reach it. With {last} people {baseline} has {number(better)} more "
                    f"MAE than {method}.",
                )
        yield from _diversity_claims(table, method, last)


def _diversity_claims(table: pd.DataFrame, method: str, last: int) -> Iterator[Claim]:
    rise = difference(table, "resolved", _rows(method, last), _rows(method, 1))
    if rise is not None:
        yield Claim(
            above(rise),
            f"Paper: the resolution rate rises with diverse people. {method}: by {number(rise, 2)} from 1 to {last}.",
        )
    for kind in (ONE_PROFILE, ONE_BELIEF):
        worse = difference(table, "resolved", _rows(method, last), _rows(method, last, profiles=kind))
        if worse is not None:
            yield Claim(
                above(worse, MATERIAL),
                f"Paper: fixed profiles, which means nearly identical beliefs, degrade it (taken as: by at least "
                f"{MATERIAL:g}). {method}: {last} people of {kind} resolve {number(worse)} less than diverse ones.",
            )
        flat = difference(table, "resolved", _rows(method, last, profiles=kind), _rows(method, 1, profiles=kind))
        if flat is not None and rise is not None:
            yield Claim(
                below(flat, rise.mean / 2),
                "Paper: with fixed profiles more workers do not help (taken as: at most half the rise of diverse "
                f"ones). {method}, {kind}: {number(flat, 2)} from 1 to {last}, against {number(rise, 2)}.",
            )
