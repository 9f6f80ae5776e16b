"""What decisions cost: LLM workers needed to come near the truth (Figures 24-26), and calls, tokens and money.

Workers needed: the least n at which the mean of a problem's first n answers lies within a tolerance of the mean human
rating, up to eight, as the paper counts. Without the generator, workers are answers of an LLM (one LLM again and again,
one in personas, or different LLMs); with it they are simulated people. A mean that wanders comes near the truth
by luck at some n, so the share of problems that are within the tolerance with eight workers is counted as well.

What the answers cost is counted in `crowdllm.experiments.studies.money`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.experiments.comparison import FLOOR
from crowdllm.experiments.studies.crowds import (
    as_numbers,
    crowd_numbers,
    fit_method,
    human_means,
    perfect_crowds,
    running_means,
)
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.money import Prices, calls_table, costs, money_lines, money_picture, money_table
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
from crowdllm.experiments.studies.training_part import RESPONSES, smaller_part
from crowdllm.reference import References
from crowdllm.report.curves_figure import Curve, CurvePanel, curves_figure
from crowdllm.responses.protocol import Array
from crowdllm.rng import generator

OWN, PAPER = "crowdllm", "crowdllm-paper"
ONE_LLM, PERSONAS, MANY_LLMS = "zero-shot", "multi-persona", "nine LLMs"
SAME, OTHER, FEW, NONE = "all, same problems", "all, other problems", "nine responses", "no generator"
PAPER_SHARE = 1337 / 1500
LIMITS = (
    "The paper's LLM workers are Gemma3-12B, and it does not say how their answers differ. Here they are recorded "
    "answers of GPT-4: one decision, repeated (temperature 0); six prompts, five of them in persona, drawn at random; "
    "and, as different LLMs, the decisions of nine.",
    "The paper trains on more than 13,000 responses and counts all 1,500 comments, those it was trained on. That is "
    "the row 'all, same problems'; the row 'all, other problems' is what a user gets who has new problems.",
    "Tokens are estimated from the length of the prompts that this package sends, on the high side. Prices are "
    "examples in the config, not any provider's; without human data break-even sizes depend on the tokens alone.",
    "Figure 26, on QA difficulty, is not drawn: this package has no loader for that data set.",
)


@dataclass(frozen=True)
class Config:
    """few: responses in the smallest training part. most: workers looked at. llms: the different LLMs."""

    seeds: tuple[int, ...]
    tolerances: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4)
    most: int = 8
    few: int = 9
    trained: tuple[str, ...] = (SAME, OTHER, FEW)
    floor_draws: int = 40
    dataset: str = "offensiveness"
    references: str = "gpt4,gpt4-personas"
    llms: str = "gpt4,gpt35,flan-t5-xxl,flan-ul2,llama31-8b,mistral-7b,qwen25-7b,tulu2-7b,tulu2-13b"
    test_fraction: float = 0.2
    prices: Prices = field(default_factory=Prices)


def configure(settings: Settings) -> Experiment:
    """Cost: LLM workers needed to come near the truth, and money per decision with the break-even crowd size."""
    config = Config(settings.seeds(10, 3))
    if settings.quick:
        config = replace(config, trained=(OTHER, FEW), floor_draws=10)
    pieces = [
        Piece(
            f"workers-{method}-{trained.replace(', ', '-').replace(' ', '-')}-{seed}",
            workers,
            (config, settings.embedding, method, trained, seed),
            f"{method} {trained}",
        )
        for seed in config.seeds
        for method in (OWN, PAPER)
        for trained in config.trained
    ]
    pieces += [
        Piece(
            f"workers-{method.replace(' ', '-')}-{seed}",
            workers,
            (config, settings.embedding, method, NONE, seed),
            method,
        )
        for seed in config.seeds
        for method in (ONE_LLM, PERSONAS, MANY_LLMS, "random", FLOOR)
    ]
    pieces.append(Piece("money", calls_table, (Data(config.dataset), config.prices), "money"))
    return Experiment(
        "cost",
        "What decisions cost",
        "Figures 24-26",
        "How many LLM workers does it take to come within a tolerance of the mean human rating, with and without the "
        "generator? And what do 1,000 decisions cost, if every simulated person is a prompt of its own, and if the LLM "
        "is asked for references once per problem?",
        config,
        tuple(pieces),
        lambda tables: report(config, tables),
        (Data(config.dataset, config.references), Data(config.dataset, config.llms)),
        LIMITS,
    )


def workers(config: Config, embedding: str, method: str, trained: str, seed: int) -> pd.DataFrame:
    """Per tolerance and number of workers: the share of problems `reached` by then, and of those `within` it then."""
    study, references = open_data(Data(config.dataset, config.references))
    split = study.split("problem", config.test_fraction, seed)
    train, test = (study, study) if trained == SAME else (split.train, split.test)
    if method == FLOOR:
        pairs = perfect_crowds(test, config.most, seed, config.floor_draws)
    elif method == MANY_LLMS:
        _, llms = open_data(Data(config.dataset, config.llms))
        pairs = [(human_means(test), different_llms(llms, test, config.most, seed))]
    else:
        if trained == FEW:
            train = smaller_part(train, RESPONSES, config.few, seed)
        fitted = fit_method(method, train, references, embedding, seed)
        pairs = [(human_means(test), crowd_numbers(fitted, test, config.most, seed))]
    parts = [reached_within(human, crowd, tolerance) for tolerance in config.tolerances for human, crowd in pairs]
    table = pd.concat(parts, ignore_index=True).groupby(["tolerance", "workers"], as_index=False).mean()
    return table.assign(method=method, trained=trained, seed=seed)


def reached_within(human_T: Array, crowd_Tn: Array, tolerance: float) -> pd.DataFrame:
    """workers, tolerance, reached, within: shares of the problems that have a human mean, for 1 ... n workers.

    A problem without any answer yet is neither.
    """
    known_T = ~np.isnan(human_T)
    error_Tn = np.abs(running_means(crowd_Tn) - human_T[:, None])[known_T]
    within_Tn = error_Tn <= tolerance  # False for NaN
    reached_Tn = np.maximum.accumulate(within_Tn, axis=1)
    return pd.DataFrame(
        {
            "tolerance": tolerance,
            "workers": np.arange(1, crowd_Tn.shape[1] + 1),
            "reached": reached_Tn.mean(axis=0),
            "within": within_Tn.mean(axis=0),
        }
    )


def different_llms(llms: References | None, test: Study, most: int, seed: int) -> Array:
    """(T, most) decisions of different LLMs, each problem's in a random order; NaN where one did not parse.

    Raises MismatchError where there are fewer LLMs than that.
    """
    sources = llms.aligned(test.problems).sources if llms is not None else ()
    if len(sources) < most:
        raise MismatchError(f"{most} LLM workers need as many recorded LLMs, and there are {len(sources)}")
    values_TK = np.stack([source.values_TKD[:, 0, 0] for source in sources], axis=1)
    chosen_Tn = generator(seed, "studies:llms").permuted(values_TK, axis=1)[:, :most]
    count = len(test.problems)
    flat = Responses(np.tile(np.arange(most), count), np.repeat(np.arange(count), most), chosen_Tn.reshape(-1, 1))
    return as_numbers(flat, test, most)


def report(config: Config, tables: Tables) -> Findings:
    """Pictures, tables, and what the paper says against what was found."""
    table = union(tables, "workers-")
    calls = tables["money"]
    cost = costs(config.prices, calls)
    pictures = [money_picture(config.prices, cost)]
    blocks = [money_table(cost)]
    shows = list(money_lines(calls, cost))
    found = {"cost-per-call": calls, "cost": cost}
    claims = sort_claims(())
    if len(table):
        table = table.assign(row=table["method"] + ", " + table["trained"])
        summary = over_seeds(table, ("row", "tolerance", "workers"), ("reached", "within"))
        pictures.insert(0, _workers_picture(config, summary))
        last = summary[summary["workers"] == config.most]
        for metric, words in (("reached", "at some number of workers up to"), ("within", "with")):
            caption = f"Share of comments within the tolerance {words} {config.most}"
            blocks.append(summary_table(last, "row", "tolerance", metric, caption, digits=2))
        shows = [*_workers_shown(config, table), *shows]
        claims = sort_claims(_claims(config, table))
        found |= {"workers": table.drop(columns="row"), "workers-summary": summary}
    return Findings(
        found,
        tuple(pictures),
        tuple(shows),
        claims.agrees,
        claims.differs,
        tuple(blocks),
        claims.undecided,
    )


def _workers_picture(config: Config, summary: pd.DataFrame) -> Picture:
    shown = [(f"{method}, {trained}", name) for method, trained, name in (
        (OWN, OTHER, f"{OWN}, trained on all"),
        (PAPER, OTHER, f"{PAPER}, trained on all"),
        (OWN, FEW, f"{OWN}, on {config.few} responses"),
        (PAPER, FEW, f"{PAPER}, on {config.few} responses"),
        (ONE_LLM, NONE, "no generator: GPT-4 repeated"),
        (PERSONAS, NONE, "no generator: GPT-4 in personas"),
    )]  # fmt: skip

    def panel(tolerance: float) -> CurvePanel:
        def line(row: str, name: str) -> Curve | None:
            where = {"metric": "reached", "row": row, "tolerance": tolerance}
            return curve(summary, name, "workers", where)

        return CurvePanel(
            "LLM workers",
            "share of comments reached (0 to 1)",
            present(line(row, name) for row, name in shown),
            f"within ±{tolerance:g} of the mean human rating",
            ticks=tuple((float(n), str(n)) for n in range(1, config.most + 1)),
            floor=line(f"{FLOOR}, {NONE}", "more than as many humans"),
            floor_above=True,
            bounds=(0.0, 1.0),
        )

    return Picture(
        "workers",
        lambda: curves_figure([panel(t) for t in config.tolerances], 2, share_y=True, width=3.8),
        "Share of unseen comments for which the mean of so many workers, or fewer, came within the tolerance of the "
        f"mean human rating. Bands: 95 % intervals over {len(config.seeds)} random splits. Grey: more than as many "
        "humans would reach. One worker of crowdllm-paper is a mean of ten decisions, so a few can do that.",
        "Share of comments reached against the number of LLM workers, with and without the generator, per tolerance.",
    )


def _at(config: Config, row: str, tolerance: float) -> dict[str, object]:
    return {"row": row, "tolerance": tolerance, "workers": config.most}


def _workers_shown(config: Config, table: pd.DataFrame) -> Iterator[str]:
    """The main rows in sentences; all of them are in the tables."""
    rows = {
        f"{OWN}, {OTHER}": f"{OWN} {{}}",
        f"{OWN}, {FEW}": f"{{}} when trained on {config.few} responses",
        f"{PAPER}, {OTHER}": f"{PAPER} {{}}",
        f"{PAPER}, {FEW}": f"{{}} on {config.few}",
        f"{PERSONAS}, {NONE}": "GPT-4 in personas without the generator {}",
        f"{FLOOR}, {NONE}": "as many humans {}",
    }
    for tolerance in config.tolerances:
        found = {row: interval(table, "reached", _at(config, row, tolerance)) for row in rows}
        texts = [words.format(number(found[row], 2)) for row, words in rows.items() if found[row] is not None]
        yield f"Share of comments that {config.most} workers or fewer bring within ±{tolerance:g}: {', '.join(texts)}."


def _claims(config: Config, table: pd.DataFrame) -> Iterator[Claim]:
    """What appendix B.5 says, one by one."""
    without = [f"{m}, {NONE}" for m in (ONE_LLM, PERSONAS, MANY_LLMS)]
    for method in (OWN, PAPER):
        for trained in config.trained:
            row = f"{method}, {trained}"
            for bare in without:
                gaps = [
                    difference(table, "reached", _at(config, row, t), _at(config, bare, t)) for t in config.tolerances
                ]
                known = [gap for gap in gaps if gap is not None]
                if known:
                    yield Claim(
                        all_of(above(gap) for gap in known),
                        f"Paper: the generator reduces the LLM workers needed. {row}: reaches more comments than "
                        f"{bare.partition(',')[0]} alone by {', '.join(number(gap, 2) for gap in known)} at the "
                        "tolerances from low to high.",
                    )
        row = f"{method}, {FEW}"
        found = interval(table, "reached", _at(config, row, config.tolerances[0]))
        if found is not None:
            yield Claim(
                abs((1 - found.mean) - PAPER_SHARE) <= 0.1,
                f"Paper: with nine responses 1,337 of 1,500 comments ({PAPER_SHARE:.2f}) need more than 8 LLMs at ±.1. "
                f"{method}: {1 - found.mean:.2f} (taken as the same within .1).",
            )
        loose = rows_where(table, {"row": row, "tolerance": config.tolerances[-1], "workers": min(6, config.most)})
        if len(loose):
            share = interval(loose, "reached", {})
            yield Claim(
                None if share is None else above(share, 0.5),
                "Paper: as tolerance loosens, many comments are met by 2-6 LLMs with nine responses (taken as: over "
                f"half). {method}: {number(share, 2)} by at most {min(6, config.most)} at "
                f"±{config.tolerances[-1]:g}.",
            )
