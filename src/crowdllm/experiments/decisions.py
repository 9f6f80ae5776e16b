"""Aggregated decisions as tables: one row per problem, and one per person where the method gives skills."""

from __future__ import annotations

import numpy as np
import pandas as pd

from crowdllm.aggregation import aggregate
from crowdllm.aggregation.result import Aggregate
from crowdllm.data.study import Study
from crowdllm.experiments.sources import open_study
from crowdllm.responses.choice import Choice
from crowdllm.responses.ordinal import Ordinal


def open_responses(source: str) -> Study:
    """The study (human or simulated) whose responses are to be aggregated."""
    return open_study(source).study


def aggregate_study(study: Study, method: str = "mean") -> Aggregate:
    """The crowd's decision on every problem of a study, human or simulated; see `crowdllm.aggregation.aggregate`."""
    return aggregate(
        study.responses,
        study.response_type,
        len(study.problems),
        len(study.profiles),
        method,
        study.problems.option_counts,
    )


def decision_table(study: Study, method: str) -> pd.DataFrame:
    """problem, responses, decision (or one column per option), and the shares of the levels where there are any."""
    result = aggregate_study(study, method)
    table = pd.DataFrame({"problem": study.problems.ids})
    table["responses"] = np.bincount(study.responses.problem_R, minlength=len(study.problems))
    if isinstance(study.response_type, Choice):
        options = study.problems.options
        position = result.decision_TD[:, 0]
        table["decision"] = ["" if np.isnan(p) else options[t][int(p)] for t, p in enumerate(position)]
    elif result.decision_TD.shape[1] == 1:
        table["decision"] = result.decision_TD[:, 0]
    else:
        for d in range(result.decision_TD.shape[1]):
            table[f"decision_{d + 1}"] = result.decision_TD[:, d]
    if result.distribution_TM is not None:
        levels = study.response_type.levels if isinstance(study.response_type, Ordinal) else None
        for m in range(result.distribution_TM.shape[1]):
            table[f"share_{levels[m] if levels else m + 1}"] = result.distribution_TM[:, m]
    return table


def skill_table(study: Study, method: str) -> pd.DataFrame | None:
    """participant and skill, or None where the method has no such notion."""
    result = aggregate_study(study, method)
    if result.skill_N is None:
        return None
    return pd.DataFrame({"participant": study.profiles.ids, "skill": result.skill_N})
