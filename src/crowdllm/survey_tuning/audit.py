"""Bias audit: distance to the humans in each subgroup before and after tuning, and what becomes of group differences.

Distance: per subgroup (a level of a profile column, or a third of a numeric one) the mean over questions of the KL
divergence and of Wasserstein-1 between the shares of its people's answers and the model's mean shares for the same
people, as in `crowdllm.survey_tuning.calibration`. Few people make any distance larger, the same before and after.

Differences: per column, the variance between its groups' mean answers (options: of each option's share), summed over
questions: V = sum_g w_g (m_g - m)^2, w_g the group's share of the answers, less what V would be by chance alone,
sum_g w_g (1 - w_g) s_g^2 / n_g. The same for humans (answers) and the model (its expected answers). The ratio of
simulated to human V is below 1 where tuning flattens differences and above 1 where it exaggerates them. Its 95 %
interval is that of a jackknife over blocks of people.

Shapes: R answers, D numbers of an answer (1, or one per option), G groups of a column, T problems, B blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.evaluation.histograms import numbers
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.rng import generator
from crowdllm.simulation.groups import subgroups
from crowdllm.survey_tuning.answers import Shares
from crowdllm.survey_tuning.calibration import given_candidates, temperature_curve

Array = NDArray[np.float64]
Index = NDArray[np.int64]
MIN_PEOPLE = 10  # in a group; fewer than for the distances of a crowd, since few people are held out
BLOCKS = 20
KEPT = (0.5, 2.0)  # an interval that covers 1 and leaves these ends says nothing
FLATTENED, EXAGGERATED, KEPT_AS_IS, OPEN, NONE = (
    "flattened",
    "exaggerated",
    "kept",
    "open",
    "no clear human differences",
)


@dataclass(frozen=True)
class GroupDistance:
    """One subgroup: KL in nats, and Wasserstein-1 on the scale (NaN for options), before and after tuning."""

    column: str
    level: str
    people: int
    kl_before: float
    kl_after: float
    wd_before: float
    wd_after: float


@dataclass(frozen=True)
class Differences:
    """Simulated over human variance between groups, with its 95 % interval, and what that means.

    verdict: "flattened" (all of the interval below 1), "exaggerated" (above), "kept" (it covers 1, and lies between 1/2
    and 2), "open", or "no clear human differences" (none that can be told from chance; no ratio then).
    """

    ratio: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True)
class ColumnDifferences:
    """One profile column. human: the variance between its groups, per question, in squared points."""

    column: str
    groups: int
    human: float
    before: Differences
    after: Differences


@dataclass(frozen=True)
class BiasAudit:
    """too_small: groups with fewer people than were asked for, which are in neither list."""

    groups: tuple[GroupDistance, ...]
    columns: tuple[ColumnDifferences, ...]
    people: int
    too_small: int

    def to_frame(self) -> pd.DataFrame:
        """Tidy: column, level ("" for the whole column), people, measure (kl, avg_wd, between_ratio), when (before,
        after), value, low, high, verdict."""
        rows: list[tuple[object, ...]] = []
        nan = float("nan")
        for g in self.groups:
            for measure, values in (("kl", (g.kl_before, g.kl_after)), ("avg_wd", (g.wd_before, g.wd_after))):
                for when, value in zip(("before", "after"), values, strict=True):
                    if not np.isnan(value):
                        rows.append((g.column, g.level, g.people, measure, when, value, nan, nan, ""))
        for c in self.columns:
            for when, d in (("before", c.before), ("after", c.after)):
                rows.append((c.column, "", self.people, "between_ratio", when, d.ratio, d.low, d.high, d.verdict))
        names = ["column", "level", "people", "measure", "when", "value", "low", "high", "verdict"]
        return pd.DataFrame(rows, columns=names)


def audit(
    held: Study,
    before: Shares,
    after: Shares,
    temperature_before: float = 1.0,
    temperature_after: float = 1.0,
    min_people: int = MIN_PEOPLE,
    seed: int = 0,
) -> BiasAudit:
    """Compare a model before and after tuning on people whom it has not seen.

    held: these people's answers. before, after: of each answer's own person and problem. seed: of the jackknife's
    blocks. Raises MismatchError without answers, and where no group has `min_people` people.
    """
    answers = held.responses
    if not len(answers) or not len(before.log_p_RM) == len(after.log_p_RM) == len(answers):
        raise MismatchError(
            f"an audit needs one distribution per answer, before and after: {len(before.log_p_RM)} and "
            f"{len(after.log_p_RM)} for {len(answers)} answers"
        )
    found = subgroups(ProfileGenerator.fit(held.profiles, held.relative_weights_N, seed))
    members_GN = found.members(held.profiles)
    answered = np.unique(answers.participant_R)
    size_G = members_GN[:, answered].sum(axis=1)
    places = [g for g in range(1, len(found)) if size_G[g] >= min_people]
    if not places:
        raise MismatchError(
            f"no group has {min_people} of the {len(answered)} held-out people: hold out more people for an audit "
            "(setting held_out)"
        )
    asked = ((before, temperature_before), (after, temperature_after))
    groups = [
        _distance(held, asked, members_GN[g, answers.participant_R], found.names[g], int(size_G[g])) for g in places
    ]
    columns = []
    for name in dict.fromkeys(found.names[g][0] for g in places):
        own = [g for g in places if found.names[g][0] == name]
        if len(own) > 1:
            group_N = np.where(members_GN[own].any(axis=0), members_GN[own].argmax(axis=0), -1)
            columns.append(_differences(held, asked, group_N, name, seed))
    too_small = sum(0 < int(size) < min_people for size in size_G[1:])
    return BiasAudit(tuple(groups), tuple(columns), len(answered), too_small)


def _distance(
    held: Study,
    asked: tuple[tuple[Shares, float], ...],
    inside_R: NDArray[np.bool_],
    name: tuple[str, str],
    people: int,
) -> GroupDistance:
    rows, kind = np.flatnonzero(inside_R), held.response_type
    curves = [temperature_curve(shares.take(rows), held.responses.take(rows), kind, (t,)) for shares, t in asked]
    kl, wd = [float(c.kl_G[0]) for c in curves], [float(c.avg_wd_G[0]) for c in curves]
    return GroupDistance(*name, people, *kl, *wd)


def _differences(
    held: Study, asked: tuple[tuple[Shares, float], ...], group_N: Index, name: str, seed: int
) -> ColumnDifferences:
    answers, kind = held.responses, held.response_type
    shares = asked[0][0]
    if kind.has_options:
        human_RD = np.eye(shares.log_p_RM.shape[1])[given_candidates(shares, answers)]
        simulated = [s.at(t) for s, t in asked]
    else:
        human_RD = numbers(answers, kind)[:, None]
        simulated = [(s.at(t) * np.nan_to_num(s.points_RM)).sum(axis=1, keepdims=True) for s, t in asked]
    human, (before, after) = compare_between(human_RD, simulated, answers, group_N, seed)
    problems = len(np.unique(answers.problem_R))
    return ColumnDifferences(name, int(group_N.max()) + 1, human / problems, before, after)


def compare_between(
    human_RD: Array, simulated: list[Array], answers: Responses, group_N: Index, seed: int = 0
) -> tuple[float, list[Differences]]:
    """The human variance between groups, summed over problems, and each simulation's ratio to it.

    human_RD: answers; simulated: (R, D) expected answers. group_N: 0.. per person, -1 for those who do not count.
    """
    group_R, weight_R = group_N[answers.participant_R], answers.weight_R
    weight_R = np.ones(len(answers)) if weight_R is None else weight_R
    people = np.unique(answers.participant_R)
    blocks = min(BLOCKS, len(people))
    block_N = np.zeros(len(group_N), dtype=np.int64)
    block_N[generator(seed, "audit:blocks").permutation(people)] = np.arange(len(people)) % blocks
    block_R = block_N[answers.participant_R]

    def measured(keep_R: NDArray[np.bool_]) -> list[float]:
        rows = np.flatnonzero(keep_R)
        places = weight_R[rows], answers.problem_R[rows], group_R[rows]
        return [between_variance(x_RD[rows], *places) for x_RD in (human_RD, *simulated)]

    whole = measured(np.ones(len(answers), dtype=bool))
    parts_BS = np.array([measured(block_R != b) for b in range(blocks)])
    clear = whole[0] > _half(parts_BS[:, 0]) and bool((parts_BS[:, 0] > 0).all())
    found = [_verdict(whole[0], s, parts_BS[:, 0], parts_BS[:, k], clear) for k, s in enumerate(whole[1:], 1)]
    return whole[0], found


def _verdict(human: float, simulated: float, human_B: Array, simulated_B: Array, clear: bool) -> Differences:
    if not clear:
        return Differences(float("nan"), float("nan"), float("nan"), NONE)
    ratio, half = simulated / human, _half(simulated_B / human_B)
    low, high = max(ratio - half, 0.0), max(ratio + half, 0.0)
    words = OPEN
    if high < 1:
        words = FLATTENED
    elif low > 1:
        words = EXAGGERATED
    elif KEPT[0] <= low and high <= KEPT[1]:
        words = KEPT_AS_IS
    return Differences(max(ratio, 0.0), low, high, words)


def _half(part_B: Array) -> float:
    """Half of a jackknife's 95 % interval."""
    count = len(part_B)
    return float(stdtrit(count - 1, 0.975) * np.sqrt((count - 1) * part_B.var())) if count > 1 else float("inf")


def between_variance(x_RD: Array, weight_R: Array, problem_R: Index, group_R: Index) -> float:
    """V of the module, summed over problems and over D; below 0 where groups differ less than by chance.

    A group counts in a problem with at least two answers, a problem with at least two such groups.
    """
    inside = group_R >= 0
    x_RD, weight_R, problem_R, group_R = x_RD[inside], weight_R[inside], problem_R[inside], group_R[inside]
    if not len(x_RD):
        return 0.0
    shape = (int(problem_R.max()) + 1, int(group_R.max()) + 1)
    cell_R = problem_R * shape[1] + group_R

    def total(value_R: Array) -> Array:
        return np.asarray(np.bincount(cell_R, value_R, minlength=shape[0] * shape[1]), dtype=float).reshape(shape)

    ok_TG = np.bincount(cell_R, minlength=shape[0] * shape[1]).reshape(shape) >= 2
    ok_TG &= (ok_TG.sum(axis=1) >= 2)[:, None]
    weight_TG = np.where(ok_TG, total(weight_R), 0.0)
    divisor_TG = np.where(ok_TG, weight_TG, 1.0)
    spread_TG = np.where(ok_TG, total(weight_R**2) / divisor_TG**2, 0.0)  # 1 / people, where all count alike
    share_TG = weight_TG / np.where(ok_TG.any(axis=1), weight_TG.sum(axis=1), 1.0)[:, None]
    found = 0.0
    for x_R in x_RD.T:
        mean_TG = np.where(ok_TG, total(weight_R * x_R) / divisor_TG, 0.0)
        square_TG = np.where(ok_TG, total(weight_R * (x_R - mean_TG[problem_R, group_R]) ** 2), 0.0)
        variance_TG = square_TG / divisor_TG / np.where(ok_TG, 1 - spread_TG, 1.0)
        middle_T1 = (share_TG * mean_TG).sum(axis=1, keepdims=True)
        raw = (share_TG * (mean_TG - middle_T1) ** 2).sum()
        found += float(raw - (share_TG * (1 - share_TG) * variance_TG * spread_TG).sum())
    return found
