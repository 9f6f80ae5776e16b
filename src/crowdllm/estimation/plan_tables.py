"""A plan as tables: what each problem gets, the batch of answers to collect, the mix of people, and the way there."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd

from crowdllm.estimation.plan_study import Plan
from crowdllm.exchange.spreadsheet_text import defused

NEW = "(new person {})"


def problem_table(plan: Plan) -> pd.DataFrame:
    """A row per problem: answers there are, wanted and planned, LLM calls, widths before and after."""
    a, ids = plan.allocation, plan.study.problems.ids
    column = [plan.columns.names[c] for c in plan.column_T]
    return pd.DataFrame(
        {
            "problem": ids,
            "planned_for": np.where(np.array(column) == "", "mean", column),
            "answers": a.count_T,
            "more_needed": a.needed_T,
            "more_planned": a.more_T,
            "llm_calls": plan.calls_T,
            "width_now": a.before_T,
            "width_after": a.after_T,
            "target": plan.target,
            "reached": a.after_T <= plan.target * (1 + 1e-9),
        }
    )


def batch_table(plan: Plan) -> pd.DataFrame:
    """A row per answer to collect, most worth first: participant, problem and its text, purpose, expected reduction.

    New people are numbered, so that each of them answers a problem once. Texts that a spreadsheet would take for a
    formula get an apostrophe in front; ids stay as they are, so that the answers can be put back.
    """
    people, problems = plan.study.profiles.ids, plan.study.problems
    new_T = np.zeros(len(problems), dtype=np.int64)
    names = []
    for ask in plan.asks:
        new_T[ask.problem] += ask.person < 0
        names.append(NEW.format(new_T[ask.problem]) if ask.person < 0 else people[ask.person])
    return pd.DataFrame(
        {
            "order": np.arange(1, len(plan.asks) + 1),
            "participant": names,
            "problem": [problems.ids[ask.problem] for ask in plan.asks],
            "text": [defused(str(problems.texts[ask.problem])) for ask in plan.asks],
            "purpose": list(plan.purpose),
            "expected_width_reduction": [ask.worth for ask in plan.asks],
        }
    )


def mix_table(plan: Plan) -> pd.DataFrame:
    """A row per level of a profile column: share wanted, among the answers there are, and with the plan's."""
    names = ["column", "level", "wanted", "answered", "planned"]
    return pd.DataFrame([asdict(m) for m in plan.mix], columns=names)


def curve_table(plan: Plan) -> pd.DataFrame:
    """Expected widths as answers are added: mean over problems, and the greatest."""
    frame = pd.DataFrame(plan.allocation.curve, columns=["answers", "mean_width", "greatest_width"])
    return frame.drop_duplicates("answers", keep="last").assign(cost=lambda f: f["answers"] * plan.prices.human)


def plan_lines(plan: Plan) -> list[str]:
    """The plan in sentences."""
    a = plan.allocation
    there, total = int((a.after_T <= plan.target * (1 + 1e-9)).sum()), len(a.after_T)
    people = len({ask.person for ask in plan.asks if ask.person >= 0})
    out = [
        f"to bring every interval to a width of {plan.target:g}: {int(a.needed_T.sum()):,} more human answers on "
        f"{int((a.needed_T > 0).sum()):,} of {total:,} problems",
        f"this plan: {len(plan.asks):,} answers on {int((a.more_T > 0).sum()):,} problems by {people:,} people of the "
        f"study, cost {plan.cost:g} of {plan.prices.budget:g}"
        + (f", of which {int(plan.calls_T.sum()):,} LLM calls" if plan.calls_T.any() else ""),
        f"then {there:,} of {total:,} intervals are as narrow as wanted"
        + ("" if a.enough else "; the budget does not reach for the others"),
    ]
    if plan.new_people:
        out.append(
            f"{plan.new_answers:,} answers are for people who are not in the study yet, since everybody in it has "
            f"answered those problems: recruit {plan.new_people:,} new people or more, by mix.csv"
        )
    silent = int((np.isinf(a.before_T) & (a.more_T == 0)).sum())
    if silent:
        out.append(f"{silent:,} problems have neither an answer nor an interval of the crowd, and get none")
    return out + _reasons(plan)


def _reasons(plan: Plan) -> list[str]:
    """What the crowd is worth for this plan."""
    out = []
    if plan.study.weights_N is not None:
        out.append(
            f"the study's survey weights are used: 100 answers tell as much as {100 * plan.effective:.0f} without "
            "weights, and new answers are taken to weigh as unequally"
        )
    if plan.curve is None:
        out.append("the crowd's worth for single people was not measured: humans are counted as if alone")
    else:
        out.append(
            f"the crowd predicts {1 - plan.left:.0%} of the differences between people whose answers it has not seen"
        )
        if plan.training:
            out.append(
                f"train on {plan.training:,} of the new answers and rectify with the others: "
                f"{1 - plan.training_gain:.1%} narrower than rectifying with all (with cross-fitting nothing is split)"
            )
        else:
            out.append("rectify with all new answers: more training would not make intervals narrower")
    if np.isfinite(plan.crowd_error):
        out.append(f"on problems without answers the crowd's error is {plan.crowd_error:.3g} (root mean square)")
    else:
        out.append("the crowd's own error on new problems was not measured: every problem needs human answers")
    return out
