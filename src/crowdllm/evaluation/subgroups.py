"""Whether the crowd is right within groups, not only overall: `avg_wd` in each level of each profile column.

A group is the people at one level of a categorical or ordinal column, or in one third of a numeric one; groups of fewer
than 30 people are not scored. People whose value is missing belong to no group of that column. A smaller group has
fewer answers per problem and so a higher floor: compare a group with its own floor, and the worst group by its excess
over the floor, before reading a high value as bias. The worst of many groups is some way above its floor by chance
alone: `perfect_worst_excess` says how far.

Shapes: N participants, T problems, M levels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.profiles import ProfileColumn, Profiles, require_same_columns
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.evaluation.floor import floor_draws, human_floor
from crowdllm.evaluation.histograms import histograms, response_counts
from crowdllm.evaluation.metrics import histogram_metrics
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import Array
from crowdllm.rng import seed_words

MIN_PEOPLE = 30


@dataclass(frozen=True)
class Subgroup:
    """One level of one profile column.

    people: human participants in it who answered. problems: how many were scored. avg_wd: of the crowd's
    people in the group against the humans in it; NaN where the crowd has nobody there. floor: what a perfect
    crowd of the same size in this group would score.
    """

    column: str
    level: str
    people: int
    problems: int
    avg_wd: float
    floor: float

    @property
    def excess(self) -> float:
        """avg_wd beyond the floor."""
        return self.avg_wd - self.floor


@dataclass(frozen=True)
class SubgroupReport:
    """All groups in order of column and level, and how many levels were too small to score."""

    groups: tuple[Subgroup, ...]
    too_small: int

    @property
    def worst(self) -> Subgroup | None:
        """The group with the highest avg_wd; None where none was scored."""
        scored = [g for g in self.groups if not np.isnan(g.avg_wd)]
        return max(scored, key=lambda g: g.avg_wd) if scored else None

    @property
    def worst_excess(self) -> Subgroup | None:
        """The group furthest above its own floor; None where none was scored."""
        scored = [g for g in self.groups if not np.isnan(g.excess)]
        return max(scored, key=lambda g: g.excess) if scored else None


def subgroup_wd(
    human: Study, crowd: Study | Array, seed: int = 0, min_people: int = MIN_PEOPLE, draws: int = 20
) -> SubgroupReport:
    """Score a crowd within every group of the human study's profiles.

    human: the test people. crowd: simulated people with the same profile columns answering the same problems;
        or a (T, M) array, one distribution per problem for everybody (a prediction that knows no profiles).
    seed, draws: of the floors. Thirds of numeric columns are cut at the human participants' values.

    Raises MismatchError where the response type has no distance (choice, ballots, points, rankings), or where
    the crowd has other problems or profile columns.
    """
    _require_distance(human)
    if isinstance(crowd, Study):
        require_same_columns(human.profiles.columns, crowd.profiles.columns)
        if list(crowd.problems.ids) != list(human.problems.ids):
            raise MismatchError(
                f"the crowd's {len(crowd.problems)} problems are not the human study's {len(human.problems)};"
                " simulate the same problems in the same order"
            )
    answered = np.unique(human.responses.participant_R)
    groups, too_small = [], 0
    for c, column in enumerate(human.profiles.columns):
        levels, human_N, crowd_N = _groups(column, c, human.profiles, crowd)
        for code, level in enumerate(levels):
            people = int((human_N[answered] == code).sum())
            if people < min_people:
                too_small += 1
                continue
            inside = _only(human, human_N == code)
            target = crowd if crowd_N is None or not isinstance(crowd, Study) else _only(crowd, crowd_N == code)
            groups.append(_score(column.name, level, people, inside, target, seed, draws))
    return SubgroupReport(tuple(groups), too_small)


def perfect_worst_excess(
    human: Study, crowd_size: int, seed: int = 0, min_people: int = MIN_PEOPLE, draws: int = 20
) -> float:
    """The worst group's excess over its floor that a perfect crowd is expected to have, by chance; NaN without groups.

    Each group is given its share of a crowd of `crowd_size` per problem, and fresh humans and a crowd of the same truth
    are drawn `draws` times (see `crowdllm.evaluation.floor`), for one group independently of the others. Raises as
    `subgroup_wd`.
    """
    _require_distance(human)
    answered = np.unique(human.responses.participant_R)
    kind, count = human.response_type, len(human.problems)
    weight_N = None if human.weights_N is None else human.weights_N[answered] / human.weights_N[answered].sum()
    excess = []
    for c, column in enumerate(human.profiles.columns):
        levels, human_N, _ = _groups(column, c, human.profiles, np.zeros((0, 0)))
        for code, level in enumerate(levels):
            people = int((human_N[answered] == code).sum())
            if people < min_people:
                continue
            inside = _only(human, human_N == code)
            share = people / len(answered) if weight_N is None else weight_N[human_N[answered] == code].sum()
            size = max(1, round(crowd_size * share))
            group_seed = seed_words(seed, f"subgroup:{column.name}:{level}") % 2**31
            distance = [
                histogram_metrics(histograms(d.human, kind, count), histograms(d.crowd, kind, count), kind).avg_wd
                for d in floor_draws(inside, size, group_seed, draws)
                if d.crowd is not None
            ]
            excess.append(np.array(distance) - np.mean(distance))
    return float(np.max(excess, axis=0).mean()) if excess else np.nan


def _require_distance(human: Study) -> None:
    if not isinstance(human.response_type, Ordinal | Continuous):
        raise MismatchError(
            f"subgroup_wd needs a distance between responses; {human.response_type.kind!r} has none: "
            "it is defined for ordinal and continuous responses"
        )


def _groups(
    column: ProfileColumn, c: int, people: Profiles, crowd: Study | Array
) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64] | None]:
    """Names of the groups of one column; the group of each human and simulated person, -1 for none."""
    human_N = people.values_NC[:, c]
    crowd_N = crowd.profiles.values_NC[:, c] if isinstance(crowd, Study) else None
    levels = column.levels
    if column.kind == "numeric":
        seen = human_N[~np.isnan(human_N)]
        if not len(seen):
            return (), np.full(len(human_N), -1), None
        low, high = np.quantile(seen, [1 / 3, 2 / 3])
        levels = (f"up to {low:g}", f"above {low:g}, up to {high:g}", f"above {high:g}")
        human_N = _thirds(human_N, low, high)
        crowd_N = None if crowd_N is None else _thirds(crowd_N, low, high)
    codes = [None if v is None else np.where(np.isnan(v), -1, v).astype(np.int64) for v in (human_N, crowd_N)]
    assert codes[0] is not None
    return levels, codes[0], codes[1]


def _thirds(value_N: Array, low: float, high: float) -> Array:
    third_N = (value_N > low).astype(float) + (value_N > high)
    return np.where(np.isnan(value_N), np.nan, third_N)


def _only(study: Study, inside_N: NDArray[np.bool_]) -> Study:
    """The study with the responses of these people only; everything keeps its position."""
    keep = inside_N[study.responses.participant_R]
    return replace(study, responses=study.responses.take(keep))


def _score(column: str, level: str, people: int, human: Study, crowd: Study | Array, seed: int, draws: int) -> Subgroup:
    kind, count = human.response_type, len(human.problems)
    p_TM = histograms(human.responses, kind, count)
    size_T, q_TM = None, crowd
    if isinstance(crowd, Study):
        q_TM, size_T = histograms(crowd.responses, kind, count), response_counts(crowd.responses, count)
    assert isinstance(q_TM, np.ndarray)
    score = histogram_metrics(p_TM, q_TM, kind)
    if not score.problems:
        return Subgroup(column, level, people, 0, np.nan, np.nan)
    floor = human_floor(_scored(human, size_T), size_T, seed, draws).histogram.avg_wd
    return Subgroup(column, level, people, score.problems, score.avg_wd, floor)


def _scored(human: Study, size_T: NDArray[np.int64] | None) -> Study:
    """Without responses to problems that nobody simulated answered: the floor covers what the score does."""
    if size_T is None:
        return human
    answers: Responses = human.responses
    return replace(human, responses=answers.take(size_T[answers.problem_R] > 0))
