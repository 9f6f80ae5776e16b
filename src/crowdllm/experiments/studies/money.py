"""Calls, tokens and money per 1,000 decisions: a prompt per person against references that serve any crowd.

Per-person prompting asks the LLM once per decision. With references the LLM is asked K times per problem, whatever the
crowd's size. With c_p and c_r the money for one call of each, and h for each of H human responses that train
the model, over T problems the crowd size at which the two cost the same is n = (K c_r + H h / T) / c_p.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from crowdllm.elicitation.modes import Elicitation, make_plan, requests
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.protocol import Data, Picture
from crowdllm.llm.protocol import Sampling
from crowdllm.llm.usage import Price, expected_usage
from crowdllm.report.curves_figure import Curve, CurvePanel, curves_figure
from crowdllm.report.page import Cell, Table

PERSON, REFERENCE = "person", "reference"


@dataclass(frozen=True)
class Prices:
    """input, output: money per million tokens; human: money per human response. Examples, in whatever currency.

    answer_tokens: of one answer. draws: K, references per problem. few: a small number of human responses. people: the
    crowd sizes looked at.
    """

    input: float = 0.15
    output: float = 0.60
    human: float = 0.10
    answer_tokens: int = 5
    draws: tuple[int, ...] = (1, 8)
    few: int = 9
    people: tuple[int, ...] = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True)
class Call:
    """What one call takes, on average over the problems."""

    input_tokens: float
    output_tokens: float
    money: float


@dataclass(frozen=True)
class Way:
    """A way to get decisions. draws: references per problem; 0 for a prompt per person. human: responses trained on."""

    name: str
    draws: int
    human: int = 0


def calls_table(data: Data, prices: Prices) -> pd.DataFrame:
    """One row for a prompt in persona and one for a reference: tokens and money of a call, averaged over problems."""
    study, _ = open_data(data)
    price, rows = Price(prices.input, prices.output), []
    for what, wish in ((PERSON, Elicitation("persona", personas=8)), (REFERENCE, Elicitation("decision"))):
        plan = make_plan(
            study.problems, study.response_type, wish, study.context, study.requirements, study.profiles
        )  # fmt: skip
        usage = expected_usage(requests(plan.wanted), Sampling(max_tokens=prices.answer_tokens))
        rows.append(
            {
                "call": what,
                "input_tokens": usage.prompt_tokens / usage.calls,
                "output_tokens": usage.completion_tokens / usage.calls,
                "money": price.of(usage) / usage.calls,
                "problems": len(study.problems),
                "human_responses": len(study.responses),
            }
        )
    return pd.DataFrame(rows)


def read_calls(calls: pd.DataFrame) -> tuple[Call, Call]:
    """(a prompt in persona, a reference) of `calls_table`."""
    rows = {row["call"]: row for row in calls.to_dict("records")}
    found = [
        Call(*(float(rows[what][c]) for c in ("input_tokens", "output_tokens", "money")))
        for what in (PERSON, REFERENCE)
    ]
    return found[0], found[1]


def ways(prices: Prices, responses: int) -> tuple[Way, ...]:
    """Per-person prompting, K references per problem, and one reference with the human responses it learns from."""
    return (
        Way("a prompt per person", 0),
        *(Way(f"{k} reference{'s' if k > 1 else ''} per problem", k) for k in prices.draws),
        Way(f"1 reference, {prices.few} human responses", 1, prices.few),
        Way(f"1 reference, {responses:,} human responses", 1, responses),
    )


def costs(prices: Prices, calls: pd.DataFrame) -> pd.DataFrame:
    """Per way and crowd size: calls, tokens and money per 1,000 decisions, and the break-even crowd size of the way."""
    person, reference = read_calls(calls)
    problems, responses = int(calls["problems"].iloc[0]), int(calls["human_responses"].iloc[0])
    rows = []
    for way in ways(prices, responses):
        for size in prices.people:
            one, per_decision = (person, 1.0) if not way.draws else (reference, way.draws / size)
            human = way.human * prices.human / (problems * size)
            rows.append(
                {
                    "way": way.name,
                    "crowd_size": size,
                    "calls": 1000 * per_decision,
                    "input_tokens": 1000 * per_decision * one.input_tokens,
                    "output_tokens": 1000 * per_decision * one.output_tokens,
                    "money": 1000 * (per_decision * one.money + human),
                    "break_even": break_even(prices, way, person, reference, problems),
                }
            )
    return pd.DataFrame(rows)


def break_even(prices: Prices, way: Way, person: Call, reference: Call, problems: int) -> float:
    """People per problem at which a way costs as much as a prompt per person; NaN for that way itself."""
    if not way.draws:
        return math.nan
    return (way.draws * reference.money + way.human * prices.human / problems) / person.money


def money_picture(prices: Prices, cost: pd.DataFrame) -> Picture:
    """Calls and money per 1,000 decisions against the crowd's size."""

    def panel(column: str, label: str) -> CurvePanel:
        curves = []
        for place, name in enumerate(dict.fromkeys(cost["way"])):
            part = cost[cost["way"] == name]
            if column == "calls" and "human" in name:
                continue  # as many calls as without
            x, y = (tuple(part[c].astype(float)) for c in ("crowd_size", column))
            curves.append(Curve(name, x, y, style=place))
        ticks = tuple((float(n), f"{n:,}") for n in prices.people if str(n)[0] == "1")
        return CurvePanel("people per problem", label, tuple(curves), log_x=True, log_y=True, ticks=ticks)

    panels = [panel("calls", "calls per 1,000 decisions"), panel("money", "money per 1,000 decisions (currency units)")]
    return Picture(
        "money",
        lambda: curves_figure(panels, width=4.2),
        f"What 1,000 decisions take, by the size of the crowd. Example prices: {prices.input:g} and {prices.output:g} "
        f"per million input and output tokens, {prices.human:g} per human response.",
        "Calls and money per 1,000 decisions against crowd size, for a prompt per person and for references.",
    )


def money_table(cost: pd.DataFrame) -> Table:
    """What 1,000 decisions take with 100 people per problem (or the largest crowd there is), and break-even sizes."""
    sizes = set(cost["crowd_size"])
    size = 100 if 100 in sizes else max(sizes)
    rows = []
    for row in cost[cost["crowd_size"] == size].to_dict("records"):
        even = "" if math.isnan(row["break_even"]) else f"{row['break_even']:,.1f}"
        counts = [f"{row[column]:,.0f}" for column in ("calls", "input_tokens", "output_tokens")]
        rows.append(tuple(Cell(text) for text in (row["way"], *counts, f"{row['money']:.4f}", even)))
    header = ("way", "calls", "input tokens", "output tokens", "money", "break-even crowd size")
    note = "Break-even: people per problem from which the way costs less than a prompt per person."
    return Table(f"Per 1,000 decisions, with {size} people per problem", header, tuple(rows), note)


def money_lines(calls: pd.DataFrame, cost: pd.DataFrame) -> Iterator[str]:
    """The numbers in sentences."""
    person, reference = read_calls(calls)
    yield (
        f"One call takes about {person.input_tokens:.0f} input tokens in persona and {reference.input_tokens:.0f} "
        f"without, and {person.output_tokens:.0f} of answer."
    )
    for row in cost.drop_duplicates("way").to_dict("records"):
        if not math.isnan(row["break_even"]):
            first = math.floor(row["break_even"]) + 1
            yield f"{row['way']}: cheaper than a prompt per person from {first:,} people per problem on."
