"""Scores of a crowd as a set of people: whether each hangs together, and whether groups of them are right.

For crowds in which everybody answers every problem, on scales. Survey weights count in the groups' distributions; the
correlations and alphas are those of the people who answered, without weights. Metrics:

- `coherence`: see `crowdllm.evaluation.coherence`; over the problems that at least 30 humans answered;
- `alpha_difference:SCALE`: Cronbach's alpha, simulated less human, of each scale that the problems' column `scale`
  names (with `keying`); `alpha_difference`: the mean of their absolute values;
- `subgroup_wd:COLUMN=LEVEL` and, beside it, `subgroup_floor:COLUMN=LEVEL`: `avg_wd` within a group of people and what a
  perfect crowd would score there; `subgroup_wd`, `subgroup_floor`: of the group with the highest `avg_wd`;
- `subgroup_excess`: the most that any group's `avg_wd` is above its floor; `crowd_excess`: the same of the whole crowd;
  `subgroup_excess_ratio`: how many times the whole crowd's excess the worst group's is, where the crowd has any.

In the floor's row `subgroup_excess` is what the worst of the groups would be above its floor by chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.evaluation.coherence import (
    MIN_PAIRS,
    alpha_differences,
    alpha_floor,
    coherence,
    coherence_floor,
    mean_alpha_difference,
    scales_of,
)
from crowdllm.evaluation.floor import human_floor
from crowdllm.evaluation.histograms import histograms, response_counts, wide_matrix
from crowdllm.evaluation.metrics import histogram_metrics
from crowdllm.evaluation.subgroups import perfect_worst_excess, subgroup_wd
from crowdllm.experiments.score import Score
from crowdllm.responses.ordinal import Ordinal

Array = NDArray[np.float64]


def score_coherence(test: Study, simulated: Responses, people: int, size: int) -> Iterator[Score]:
    """Correlations between problems and alpha of scales, simulated against human."""
    often = _often_answered(test)
    if len(often) < 2:
        return
    human_NT = wide_matrix(test.responses, test.response_type, len(test.profiles), len(test.problems))[:, often]
    crowd_NT = wide_matrix(simulated, test.response_type, people, len(test.problems))[:, often]
    result = coherence(human_NT, crowd_NT)
    if result.pairs:
        yield Score(size, "", "coherence", result.rmse)
    scales = _scales(test, often)
    found = alpha_differences(human_NT, crowd_NT, *scales) if scales else ()
    for scale in found:
        if not np.isnan(scale.difference):
            yield Score(size, "", f"alpha_difference:{scale.scale}", scale.difference)
    if not np.isnan(mean_alpha_difference(found)):
        yield Score(size, "", "alpha_difference", mean_alpha_difference(found))


def coherence_floors(test: Study, size: int, seed: int) -> Iterator[Score]:
    """What a crowd exactly like the humans would score."""
    often = _often_answered(test)
    if len(often) < 2 or len(test.profiles) < 2:
        return
    human_NT = wide_matrix(test.responses, test.response_type, len(test.profiles), len(test.problems))[:, often]
    result = coherence_floor(human_NT, size, seed)
    if not np.isnan(result.rmse):
        yield Score(size, "", "coherence", result.rmse)
    scales = _scales(test, often)
    alpha = alpha_floor(human_NT, *scales, size, seed) if scales else np.nan
    if not np.isnan(alpha):
        yield Score(size, "", "alpha_difference", alpha)


def _often_answered(test: Study) -> NDArray[np.int64]:
    """The problems that enough people answered for correlations."""
    return np.flatnonzero(response_counts(test.responses, len(test.problems)) >= MIN_PAIRS)


def _scales(test: Study, often: NDArray[np.int64]) -> tuple[list[str | None], Array, float, float] | None:
    """Scale and keying of these problems, and the ends of the response scale (any, where it has none: alpha is the
    same)."""
    found = scales_of(test.problems)
    if found is None:
        return None
    names, keying = found
    points = test.response_type.points if isinstance(test.response_type, Ordinal) else (0.0,)
    return [names[t] for t in often], keying[often], points[0], points[-1]


def score_groups(test: Study, crowd: Profiles, simulated: Responses, size: int, seed: int) -> Iterator[Score]:
    """`avg_wd` within groups of people, beside its floor; nothing where no group has 30 people."""
    study = replace(test, profiles=crowd, responses=simulated, weights_N=None)
    report = subgroup_wd(test, study, seed)
    for group in report.groups:
        if not np.isnan(group.avg_wd):
            yield Score(size, "", f"subgroup_wd:{group.column}={group.level}", group.avg_wd)
            yield Score(size, "", f"subgroup_floor:{group.column}={group.level}", group.floor)
    worst, worst_excess = report.worst, report.worst_excess
    if worst is None or worst_excess is None:
        return
    yield Score(size, "", "subgroup_wd", worst.avg_wd)
    yield Score(size, "", "subgroup_floor", worst.floor)
    yield Score(size, "", "subgroup_excess", worst_excess.excess)
    whole = _crowd_excess(test, simulated, size, seed)
    yield Score(size, "", "crowd_excess", whole)
    if whole > 0:
        yield Score(size, "", "subgroup_excess_ratio", worst_excess.excess / whole)


def _crowd_excess(test: Study, simulated: Responses, size: int, seed: int) -> float:
    kind, count = test.response_type, len(test.problems)
    result = histogram_metrics(histograms(test.responses, kind, count), histograms(simulated, kind, count), kind)
    return result.avg_wd - human_floor(test, size, seed).histogram.avg_wd


def group_floors(test: Study, size: int, seed: int) -> Iterator[Score]:
    """How far the worst group of a perfect crowd would be above its floor by chance."""
    excess = perfect_worst_excess(test, size, seed)
    if not np.isnan(excess):
        yield Score(size, "", "subgroup_excess", excess)
