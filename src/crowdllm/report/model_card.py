"""The card of a fitted crowd: what it is for, what it was fitted on, how good it is, and what it must not be used for.

After Mitchell et al. (2019), Model Cards for Model Reporting. `crowdllm fit` writes it as `card.html` and `card.md`
beside the model. Profile levels and their shares are named, since they say whom the crowd can stand for; no person,
response or problem is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.data.study import Study
from crowdllm.report.page import Block, Cell, Command, Lines, Page, Part, Table, Text, write_page

NOT_REAL = (
    "The people this model simulates do not exist. Never present their answers as those of real people: not in a "
    "publication, not to a client, not to a person who is asked to believe that others think so."
)
INTENDED = (
    "To foresee how a crowd like the people below would answer further problems of the same kind, before or beside "
    "asking real ones; to plan how many humans to ask and about what; to try out wordings, sample sizes and analyses.",
    "Estimates that matter are to be corrected with human responses: `crowdllm estimate` gives their intervals.",
)
NOT_INTENDED = (
    "Decisions about a single person: a simulated participant with somebody's profile is not that person.",
    "People, problems, languages or times unlike those below; the model cannot know that it does not know.",
    "Replacing the voice of a group, or of voters: simulated ballots are forecasts, not votes.",
)
MOST_LEVELS = 12


def write_model_card(model: CrowdModel, meta: Mapping[str, Any], study: Study, command: str, folder: Path) -> Path:
    """Write `folder/card.html` and `folder/card.md`; returns the first. meta: of the model's folder."""
    return write_page(model_card(model, meta, study, command), folder, "card")[0]


def model_card(model: CrowdModel, meta: Mapping[str, Any], study: Study, command: str) -> Page:
    """The card as a page."""
    lead: tuple[Block, ...] = (
        Text(f"A digital population fitted with crowdllm {meta['crowdllm']} to: {study.title} ({study.describe()})."),
        Text(NOT_REAL),
    )
    parts = (
        Part("Intended use", (Lines(INTENDED),)),
        Part("Not intended", (Lines(NOT_INTENDED),)),
        Part("Data", tuple(_data(model, study))),
        Part("Fidelity", tuple(_fidelity(meta))),
        Part("Limits", (Lines(tuple(_limits(model, study))),)),
        Part("How it was made", (Command(command), Lines(tuple(_made(model, meta))))),
    )
    return Page(f"Model card: {study.title}", lead, parts)


def _data(model: CrowdModel, study: Study) -> Iterator[Block]:
    kind = "simulated people, not humans" if study.simulated else "people"
    per_problem = np.bincount(study.responses.problem_R, minlength=len(study.problems))
    lines = [
        f"{len(study.profiles):,} {kind}, {len(study.problems):,} problems, {len(study.responses):,} "
        f"{study.response_type.kind} responses; {int(np.median(per_problem))} per problem (median).",
        *(f"Source: {line}" for line in study.source),
    ]
    if study.weights_N is not None:
        lines.append("Responses count by the survey weight of their person.")
    yield Lines(tuple(lines))
    rows = tuple(_profile_rows(study))
    if rows:
        yield Table("Who was asked: what simulated people may be like", ("column", "level", "share"), rows)
    else:
        yield Text("The study has no profile columns: nothing is known of who was asked.")


def _profile_rows(study: Study) -> Iterator[tuple[Cell, ...]]:
    weight_N = np.ones(len(study.profiles)) if study.weights_N is None else study.weights_N
    for c, column in enumerate(study.profiles.columns):
        value_N = study.profiles.values_NC[:, c]
        known = ~np.isnan(value_N)
        if column.kind == "numeric":
            if known.any():
                low, middle, high = np.quantile(value_N[known], [0.05, 0.5, 0.95])
                yield Cell(column.name), Cell(f"5 %: {low:g}, median: {middle:g}, 95 %: {high:g}"), Cell("")
        else:
            shares = np.bincount(value_N[known].astype(int), weight_N[known], minlength=len(column.levels))
            shares = shares / max(weight_N.sum(), 1e-300)
            for level in np.argsort(-shares, kind="stable")[:MOST_LEVELS]:
                yield Cell(column.name), Cell(str(column.levels[level])), Cell(f"{shares[level]:.0%}")
            if len(column.levels) > MOST_LEVELS:
                rest = len(column.levels) - MOST_LEVELS
                yield Cell(column.name), Cell(f"{rest} further levels"), Cell("")
        if not known.all():
            yield Cell(column.name), Cell("missing"), Cell(f"{weight_N[~known].sum() / weight_N.sum():.0%}")


def _fidelity(meta: Mapping[str, Any]) -> Iterator[Block]:
    tuned = meta["fit"]["population"]
    scores: Mapping[str, float] = tuned.get("held_out_log_score") or {}
    if scores:
        best = max(scores.values())
        pooled = next(
            (s for name, s in scores.items() if name.startswith("reference_prior=False penalties=inf,inf")), None
        )
        line = f"Log score per response on training problems that were held out: {best:.3f}"
        line += (
            f"; the pooled histogram, which knows no problem from another: {pooled:.3f}." if pooled is not None else "."
        )
        yield Text(line)
    else:
        yield Text("Too few problems to hold any out: nothing was measured during the fit.")
    yield Text(
        "That number chose the settings, so it flatters a little. Whether the crowd is better than the bare LLM, the "
        "pooled histogram and a ridge regression on held-out problems, beside the human floor, is told by:"
    )
    yield Command("crowdllm evaluate STUDY --split problem --references ... --seeds 10 --out results")


def _limits(model: CrowdModel, study: Study) -> Iterator[str]:
    if len(study.profiles) < 50:
        yield f"Only {len(study.profiles)} people answered: their common strictness may not be the population's."
    if len(study.problems) < 12:
        yield f"Only {len(study.problems)} problems: what is said of others rests on the LLM and little else."
    if not model.reference_sources:
        yield "No LLM reference: new problems are told apart by the words they share with the training problems."
    if study.simulated:
        yield "It was fitted on simulated responses, and is as good as what simulated them at best."
    yield "It reproduces the people who were asked, with their gaps: who is missing above is missing from the crowd."
    yield (
        "Its errors shrink with the crowd's size only down to the model's own error: a million simulated people know "
        "no more than a thousand."
    )


def _made(model: CrowdModel, meta: Mapping[str, Any]) -> Iterator[str]:
    yield f"Model hash: {meta['model_hash']}. Seed: {meta['seed']}. Method: {meta['method']}."
    yield f"Embedding: {model.config.embedding}. References: {', '.join(model.reference_sources) or 'none'}."
    yield "Every setting is in model.json and meta.json; the course of the training in training.csv."
