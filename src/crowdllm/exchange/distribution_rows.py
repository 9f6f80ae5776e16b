"""A study's distributions as a table: a row per problem, for everybody or for each group of people.

The columns are those of a simulated crowd's distributions.csv: problem, text, responses, the decisions that make sense
for the response type (mean, median, majority_vote, or mean_1, mean_2, … per option), and share_LEVEL, share_1, … or
quantiles. Survey weights count in all but `responses`, which says how many people answered.

Shapes: T problems, M levels or options.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from crowdllm.aggregation import aggregate, applicable
from crowdllm.data.cell_values import write_options
from crowdllm.data.study import Study
from crowdllm.evaluation.histograms import histograms
from crowdllm.exchange.export_protocol import Marks
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import QUANTILES, Continuous
from crowdllm.responses.ordinal import Ordinal

LEAST_PEOPLE = 5
"""Groups of fewer people are not exported: their distribution would be that of single persons."""


def distribution_frame(study: Study, marks: Marks) -> pd.DataFrame:
    """A row per problem, for everybody."""
    count, kind = len(study.problems), study.response_type
    most = int(study.problems.option_counts.max(initial=0))
    columns: dict[str, object] = {"problem": study.problems.ids, "text": study.problems.texts}
    if kind.has_options:
        columns["options"] = [write_options(options) for options in study.problems.options]
    columns["responses"] = np.bincount(study.responses.problem_R, minlength=count)
    for method in ("mean", "median", "majority_vote"):
        if method in applicable(kind):
            columns |= _decisions(study, method)
    share_TM = histograms(study.responses, kind, count, most)
    if isinstance(kind, Continuous):
        at_M = (np.arange(QUANTILES) + 0.5) / QUANTILES
        columns |= {f"quantile_{at:.3f}": share_TM[:, m] for m, at in enumerate(at_M)}
    else:
        names = kind.levels if isinstance(kind, Ordinal) else range(1, share_TM.shape[1] + 1)
        columns |= {f"share_{name}": share_TM[:, m] for m, name in enumerate(names)}
    return pd.DataFrame(columns | marks.columns(count))


def _decisions(study: Study, method: str) -> dict[str, object]:
    counts = study.problems.option_counts
    result = aggregate(
        study.responses, study.response_type, len(study.problems), len(study.profiles), method, counts
    ).decision_TD
    if isinstance(study.response_type, Choice):
        chosen = [
            "" if np.isnan(p) else options[int(p)]
            for p, options in zip(result[:, 0], study.problems.options, strict=True)
        ]
        return {method: chosen}
    if study.response_type.has_options:
        return {f"{method}_{m + 1}": result[:, m] for m in range(result.shape[1])} if method == "mean" else {}
    return {method: result[:, 0]}


def subgroup_frame(study: Study, marks: Marks) -> pd.DataFrame:
    """A row per group and problem: `column` and `level` in front; groups of fewer than five people are left out."""
    frames = []
    for column, level, inside in groups_of(study):
        keep = inside[study.responses.participant_R]
        part = Study(
            study.title,
            study.response_type,
            study.problems,
            study.profiles,
            study.responses.take(keep),
            weights_N=study.weights_N,
        )
        frame = distribution_frame(part, marks)
        frame.insert(0, "column", column)
        frame.insert(1, "level", level)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame({"column": [], "level": []})


def groups_of(study: Study) -> list[tuple[str, str, np.ndarray]]:
    """Column, level and (N,) who is in it, of every level with at least five people who answered."""
    answered = np.bincount(study.responses.participant_R, minlength=len(study.profiles)) > 0
    out = []
    for c, column in enumerate(study.profiles.columns):
        for code, level in enumerate(column.levels):
            inside = study.profiles.values_NC[:, c] == code
            if (inside & answered).sum() >= LEAST_PEOPLE:
                out.append((column.name, level, inside))
    return out
