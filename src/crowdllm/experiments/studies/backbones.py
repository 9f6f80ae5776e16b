"""How far the LLM's quality limits the crowd's: one recorded LLM at a time as the backbone of `crowdllm`.

Every source is taken as one decision per comment, also where it gave more, so that only its quality differs. Quality is
the correlation of its decisions with the people's mean ratings on the unseen comments. Theorem 3 asks that the crowd's
mean bias mu lie within h of the right correction Delta = Y* - y_ref; h is computed as printed and as derived (see
`crowdllm.estimation.gate`), kappa_alpha from the training comments.

Shapes: T problems.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.estimation.bare_llm import bare_llm
from crowdllm.estimation.gate import derived_half_width, gate, kappa_alpha, printed_half_width
from crowdllm.estimation.gate_input import gate_input
from crowdllm.evaluation.histograms import histograms
from crowdllm.evaluation.intervals import Interval, mean_interval
from crowdllm.evaluation.metrics import histogram_metrics
from crowdllm.experiments.studies.crowds import Fitted, human_means
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.fits import OWN, QUICK_OWN, Given, fit_with
from crowdllm.experiments.studies.protocol import Data, Experiment, Findings, Picture, Piece, Settings, Tables, union
from crowdllm.experiments.studies.summary import Claim, above, all_of, below, difference, interval, number, sort_claims
from crowdllm.reference import References
from crowdllm.report.page import Cell, Table
from crowdllm.report.scatter_figure import Dots, Rods, ScatterPanel, scatter_figure
from crowdllm.responses.protocol import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NONE = "none"
NINE = (
    "gpt4", "gpt35", "flan-t5-xxl", "flan-ul2", "llama31-8b", "mistral-7b", "qwen25-7b", "tulu2-7b", "tulu2-13b",
)  # fmt: skip
VALUES = (
    "quality", "llm_mae", "crowd_mae", "crowd_wd", "crowd_cosine", "advantage", "distance", "derived", "printed",
    "inside_derived", "inside_printed", "kappa", "answered",
)  # fmt: skip
LIMITS = (
    "The paper's backbones (Gemma3-12B, DeepSeek-R1-Distill-Llama-8B, Llama3-8B, Qwen3-8B) are not recorded; "
    "these are nine others, and one hosted LLM's decisions recorded for this project (elicited), which had seen "
    "the overall shares of the ratings.",
    "One decision per comment: the LLM's randomness eta(t) is taken as 0, so theorem 3's derived h is |Delta| "
    "less the crowd's own noise.",
    "The people's mean rests on about 8.7 ratings, whose sampling noise is in Delta and in every error here.",
)


@dataclass(frozen=True)
class Config:
    """sources: one after the other the backbone; `none` is the model without any. train_fraction: share of the
    training people. size: of the crowd.
    """

    seeds: tuple[int, ...]
    sources: tuple[str, ...] = (*NINE, "elicited", NONE)
    dataset: str = "offensiveness"
    split: str = "problem"
    test_fraction: float = 0.2
    train_fraction: float = 1.0
    size: int = 200
    alpha: float = 0.05
    own: Given = ()


def configure(settings: Settings) -> Experiment:
    """LLM backbones: fidelity of crowdllm against the quality of its LLM, with theorem 3's interval."""
    config = Config(settings.seeds(10, 3))
    if settings.quick:
        config = replace(config, own=QUICK_OWN, size=100, train_fraction=0.25)
    pieces = tuple(
        Piece(f"{source}-{seed}", measure, (config, settings.embedding, source, seed), "fit")
        for seed in config.seeds
        for source in config.sources
    )
    return Experiment(
        "backbones",
        "LLM backbones: does a better LLM make a better crowd?",
        "second open question, theorem 3",
        "With one recorded LLM after the other as its backbone: how does the fidelity of the crowd depend on how "
        "well the LLM alone agrees with people, and is the crowd's correction where theorem 3 wants it? Unseen "
        "comments.",
        config,
        pieces,
        lambda tables: report(config, tables),
        tuple(Data(config.dataset, source) for source in config.sources),
        LIMITS,
    )


def measure(config: Config, embedding: str, source: str, seed: int) -> pd.DataFrame:
    """One row: quality of the LLM, fidelity of the crowd on it, and theorem 3's numbers (NaN without an LLM)."""
    study, references = open_data(Data(config.dataset, source))
    given = decisions_only(references)
    split = study.split(config.split, config.test_fraction, seed, config.train_fraction)
    fitted = fit_with(OWN, split.train, given, embedding, seed, config.own)
    row: dict[str, object] = dict.fromkeys(VALUES, np.nan)
    row |= {"source": source, "seed": seed} | fidelity(fitted, split.test, config.size, seed)
    if given is not None:
        row |= _theorem(config, fitted, split.train, split.test, given, seed)
    return pd.DataFrame([row])[["source", "seed", *VALUES]]


def decisions_only(references: References | None) -> References | None:
    """The sources with their decisions alone, without the distributions that some gave."""
    if references is None:
        return None
    if any(np.isnan(source.values_TKD).all() for source in references.sources):
        raise MismatchError("a source without decisions cannot be compared as a backbone")
    return References(tuple(replace(s, mode="decision", distribution_TM=None) for s in references.sources))


def fidelity(fitted: Fitted, test: Study, size: int, seed: int) -> dict[str, float]:
    """MAE of the mean, avg_wd and cosine of the histograms of the first `size` recruits on every problem."""
    people = fitted.people.take(np.arange(size))
    problems = len(test.problems)
    person_R, problem_R = np.tile(np.arange(size), problems), np.repeat(np.arange(problems), size)
    values = fitted.simulator.simulate(test.problems, fitted.references, people, person_R, problem_R, seed)
    crowd = histograms(Responses(person_R, problem_R, values), test.response_type, problems)
    human = histograms(test.responses, test.response_type, problems)
    found = histogram_metrics(human, crowd, test.response_type)
    error_T = crowd @ np.asarray(getattr(test.response_type, "points", ())) - human_means(test)
    return {
        "crowd_mae": float(np.nanmean(np.abs(error_T))), "crowd_wd": found.avg_wd, "crowd_cosine": found.cosine
    }  # fmt: skip


def _theorem(
    config: Config, fitted: Fitted, train: Study, test: Study, given: References, seed: int
) -> dict[str, float]:
    own = given.aligned(test.problems)
    data = gate_input(fitted.simulator, test, own, config.size, seed, fitted.people.take(np.arange(config.size)))
    kappa = kappa_alpha(human_means(train) - _answers(given, train), config.alpha)
    whole = gate(data, ["all"] * len(test.problems), config.alpha, kappa=kappa).groups[0]
    human_T, answer_T = human_means(test), data.reference_T
    known = ~np.isnan(human_T) & ~np.isnan(answer_T)
    delta_T = (human_T - answer_T)[known]
    derived_T = derived_half_width(delta_T, data.slack_T[known])
    printed_T = printed_half_width(kappa, data.size, data.second_T[known], data.randomness_T[known])
    return {
        "quality": float(np.corrcoef(answer_T[known], human_T[known])[0, 1]),
        "llm_mae": float(np.abs(delta_T).mean()),
        "advantage": whole.advantage,
        "distance": float(np.abs(data.crowd_T[known] - human_T[known]).mean()),
        "derived": float(np.nanmean(derived_T)),
        "printed": float(printed_T.mean()),
        "inside_derived": whole.inside_derived,
        "inside_printed": whole.inside_printed,
        "kappa": kappa,
        "answered": float(known.mean()),
    }


def _answers(given: References, part: Study) -> Array:
    return bare_llm(given, part.response_type, part.problems).answer_TD[:, 0]


def report(config: Config, tables: Tables) -> Findings:
    """Fidelity against quality in a picture, a table per LLM, and what the paper says of it."""
    table = union(tables)
    summary = per_source(table)
    found = sort_claims(claims(table))
    without = interval(table, "crowd_mae", {"source": NONE})
    shows = [
        f"{r['source']}: correlation with people {r['quality']:.2f}; MAE alone {r['llm_mae']:.3f}, of the crowd "
        f"{r['crowd_mae']:.3f}; bias inside theorem 3's interval on {r['inside_derived']:.0%} of the comments as "
        f"derived, {r['inside_printed']:.0%} as printed."
        for r in summary[summary["source"] != NONE].to_dict("records")
    ]
    if without is not None:
        shows.append(f"Without any LLM the crowd's MAE is {number(without)}.")
    tie = agreement(table)
    if tie is not None:
        shows.append(
            f"Over LLMs, the correlation of quality with the crowd's MAE is {number(tie, 2)} (mean of splits)."
        )
    means = summary[summary["source"] != NONE][["llm_mae", "crowd_mae"]].to_numpy(dtype=float)
    if len(means) > 1:
        alone, crowd = np.ptp(means, axis=0)
        shows.append(
            f"MAE differs by {alone:.3f} between the LLMs alone and by {crowd:.3f} between the crowds on them."
        )
    return Findings(
        {"backbones": table, "backbones-summary": summary},
        (_picture(config, summary, without),),
        tuple(shows), found.agrees, found.differs, (_table(table, summary),), found.undecided,
    )  # fmt: skip


def per_source(table: pd.DataFrame) -> pd.DataFrame:
    """Per LLM, the best first: the mean of every value with the ends of its interval (NaN for one seed)."""
    rows = []
    for source, part in table.groupby("source", sort=False):
        row: dict[str, object] = {"source": source, "seeds": len(part)}
        for value in VALUES:
            known = part[value].dropna().to_numpy(dtype=float)
            found = mean_interval(known) if len(known) else Interval(np.nan, np.nan, np.nan, 0)
            row |= {value: found.mean, f"{value}_low": found.low, f"{value}_high": found.high}
        rows.append(row)
    return pd.DataFrame(rows).sort_values("quality", ascending=False, ignore_index=True)


def agreement(table: pd.DataFrame) -> Interval | None:
    """Correlation over LLMs of quality and the crowd's MAE, per split, and its mean; None for fewer than three."""
    found = []
    for _, part in table[table["source"] != NONE].groupby("seed"):
        if len(part) >= 3:
            found.append(float(np.corrcoef(part["quality"], part["crowd_mae"])[0, 1]))
    return mean_interval(found) if found else None


def claims(table: pd.DataFrame) -> Iterator[Claim]:
    """The crowd beats its LLM; a better LLM makes a better crowd; the theorem's condition tells where."""
    sources = [s for s in dict.fromkeys(table["source"]) if s != NONE]
    pairs = pd.concat(
        [table.assign(who="crowd", mae=table["crowd_mae"]), table.assign(who="llm", mae=table["llm_mae"])]
    )
    gains = {s: difference(pairs, "mae", {"source": s, "who": "llm"}, {"source": s, "who": "crowd"}) for s in sources}
    known = {s: gain for s, gain in gains.items() if gain is not None}
    if known:
        least = min(known, key=lambda s: known[s].mean)
        yield Claim(
            all_of(above(gain) for gain in known.values()),
            f"Paper: the crowd is nearer to people than its bare LLM, whichever it is. The gain in MAE is least with "
            f"{least}: {number(known[least])}.",
        )
    tie = agreement(table)
    if tie is not None:
        yield Claim(
            below(tie, 0.0),
            f"Paper: the LLM's quality limits the crowd's. Over {len(sources)} LLMs the correlation of quality "
            f"with the crowd's MAE is {number(tie, 2)} (below 0: a better LLM, a smaller error).",
        )


def _picture(config: Config, summary: pd.DataFrame, without: Interval | None) -> Picture:
    own = summary[summary["source"] != NONE]
    x = tuple(own["quality"])

    def dots(value: str, name: str, style: int, labels: bool = False) -> Dots:
        low, high = (tuple(own[f"{value}_{end}"]) for end in ("low", "high"))
        return Dots(name, x, tuple(own[value]), low, high, tuple(own["source"]) if labels else (), style)

    def rods(value: str, name: str, style: int) -> Rods:
        return Rods(name, x, tuple(0.0 for _ in x), tuple(own[value]), style)

    def draw() -> Figure:
        quality = "LLM's correlation with people's means"
        line = without.mean if without is not None else float("nan")
        first = (dots("llm_mae", "bare LLM", 1, True), dots("crowd_mae", "crowdllm", 0))
        third = (dots("distance", "mean |mu - Delta| of crowdllm", 0),)
        return scatter_figure(
            [
                ScatterPanel(quality, "MAE (scale points)", first, "fidelity", line=line, line_name="crowdllm, no LLM"),
                ScatterPanel(
                    quality, "scale points", third, "theorem 3: distance from the right correction",
                    (rods("printed", "h as printed", 4), rods("derived", "h as derived", 2)),
                ),
            ],
            width=4.6,
        )  # fmt: skip

    caption = (
        "Left: error of the bare LLM's decision and of the crowd on it, against the LLM's quality. Right: how far "
        "the crowd's bias is from the right correction, on average, and the half width h that theorem 3 allows. "
        f"95 % intervals over {len(config.seeds)} splits."
    )
    return Picture(
        "backbones", draw, caption, "MAE and theorem 3's interval against the correlation of LLM and people."
    )


def _table(table: pd.DataFrame, summary: pd.DataFrame) -> Table:
    columns = ("quality", "llm_mae", "crowd_mae", "crowd_wd", "crowd_cosine", "inside_derived", "inside_printed")
    rows = tuple(
        (
            Cell(str(source)),
            *(Cell(number(i) if (i := interval(table, c, {"source": source})) else "") for c in columns),
        )
        for source in summary["source"]
    )
    heads = ("LLM", "correlation", "MAE alone", "MAE", "avg_wd", "cosine", "inside h, derived", "inside h, printed")
    return Table("Backbones, the best first", heads, rows, "Mean ± half of the 95 % interval over splits.")
