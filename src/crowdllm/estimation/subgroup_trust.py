"""Which subgroup estimates to show, and which subgroups the crowd is too sure of.

*Too wide.* An interval wider than a stated limit is not hidden, but it never stands without saying so: its text begins
with "too uncertain", and a table has a column that says it.

*Over-confident.* A crowd of thousands gives every subgroup a narrow interval, since nothing in it knows how well the
subgroup was learned. Each subgroup's simulated means are held against the humans in it: with d_t the difference of the
means on problem t, and v_t the variance that both sides' sampling allows, Q = mean_t d_t^2 / v_t is about 1 for honest
intervals. Its null distribution keeps that the same people answer many problems: every person's deviations are
multiplied by one random sign (wild bootstrap), so that Q* varies as it would if the crowd were right. p-values are
corrected for the number of subgroups (Holm). `widen` is how many times wider the simulated intervals had to be. With
survey weights the humans' means are weighted, and their number is Kish's effective one.

Shapes: G groups, T problems, N people, R responses, B draws.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.profiles import require_same_columns
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError, MismatchError
from crowdllm.estimation.small_sample import within
from crowdllm.evaluation.histograms import is_scale, numbers
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType
from crowdllm.rng import generator
from crowdllm.simulation.groups import Groups

Array = NDArray[np.float64]
LIMIT_SHARE = 0.2
LIMIT_OF_SCALE = 0.25
FEWEST = 10
DRAWS = 999


@dataclass(frozen=True)
class SubgroupTrust:
    """One subgroup. people: humans in it who answered; problems: those with two of their answers at least.

    simulated_width, human_width: mean width of the 95 % intervals of its means. misfit: Q over its expectation under
    honest intervals; widen: its root where that is above 1, else 1. p: as it is; p_holm: corrected for all subgroups.
    verdict: "over-confident", "no evidence against it", or "too few people".
    """

    column: str
    level: str
    people: int
    problems: int
    simulated_width: float
    human_width: float
    misfit: float
    widen: float
    p: float
    p_holm: float
    verdict: str


def default_limit(kind: ResponseType) -> float:
    """The widest interval shown without a warning: a quarter of an ordinal scale, 20 points of a share.

    Raises ConfigError for a continuous scale without bounds, where the user must say.
    """
    if isinstance(kind, Ordinal):
        return LIMIT_OF_SCALE * (kind.points[-1] - kind.points[0])
    if is_scale(kind):
        low, high = getattr(kind, "low", None), getattr(kind, "high", None)
        if low is None or high is None:
            raise ConfigError("a scale without both bounds has no natural limit: state the widest interval to show")
        return LIMIT_OF_SCALE * float(high - low)
    return LIMIT_SHARE


def shown(estimate: float, low: float, high: float, limit: float, digits: int = 2) -> str:
    """An estimate in words: the number with its interval, or "too uncertain" with the interval first."""
    ends = f"[{low:.{digits}f}, {high:.{digits}f}]"
    if not np.isfinite([estimate, low, high]).all():
        return "no estimate"
    if high - low > limit:
        return f"too uncertain: somewhere in {ends}, wider than the limit of {limit:g} (middle {estimate:.{digits}f})"
    return f"{estimate:.{digits}f} {ends}"


def check_limit(limit: float | None) -> None:
    """Raise ConfigError for a limit that is none; None stands for the default."""
    if limit is not None and not limit > 0:
        raise ConfigError(f"the limit of an interval's width must be above 0, not {limit}")


def flag_wide(frame: pd.DataFrame, limit: float, low: str = "low", high: str = "high") -> pd.DataFrame:
    """The table with columns `limit` and `too_wide`; raises ConfigError for a limit that is none."""
    check_limit(limit)
    width = frame[high].to_numpy(dtype=float) - frame[low].to_numpy(dtype=float)
    return frame.assign(limit=limit, too_wide=~(width <= limit))


def overconfident(
    human: Study, crowd: Study, groups: Groups, alpha: float = 0.05, draws: int = DRAWS, seed: int = 0
) -> tuple[SubgroupTrust, ...]:
    """A test of every subgroup, everybody first (column and level empty).

    human: people that the model was not fitted on. crowd: simulated people, answering the same problems. groups: as
    `crowdllm.simulation.groups.subgroups(model.generator)` gives. Subgroups with fewer than 10 humans are not tested.

    Raises MismatchError for other problems, profile columns, or responses that are no numbers.
    """
    if not is_scale(human.response_type):
        raise MismatchError(f"the test compares means on a scale; {human.response_type.kind!r} responses have none")
    require_same_columns(human.profiles.columns, crowd.profiles.columns)
    if human.problems.ids.tolist() != crowd.problems.ids.tolist():
        raise MismatchError("the crowd answers other problems than the people; simulate the same, in the same order")
    if not 0 < alpha < 1 or draws < 19:
        raise ConfigError(f"the test needs alpha between 0 and 1 and at least 19 draws, not {alpha} and {draws}")
    sides = [(s, groups.members(s.profiles), numbers(s.responses, s.response_type)) for s in (human, crowd)]
    sign_BN = np.where(generator(seed, "overconfident").random((draws, len(human.profiles))) < 0.5, -1.0, 1.0)
    noise_rng = generator(seed, "overconfident:crowd")
    rows = []
    for g, name in enumerate(groups.names):
        (h, c) = (_within(s, in_GN[g], value_R) for s, in_GN, value_R in sides)
        rows.append(_test(name, h, c, len(human.problems), sign_BN, noise_rng))
    return _holm(rows, alpha)


@dataclass(frozen=True)
class _Within:
    """The answers of one group's people."""

    person_R: NDArray[np.int64]
    problem_R: NDArray[np.int64]
    value_R: Array
    weight_R: Array


def _within(study: Study, in_N: NDArray[np.bool_], value_R: Array) -> _Within:
    keep = in_N[study.responses.participant_R]
    answers = study.responses
    weight_R = np.ones(len(answers)) if answers.weight_R is None else answers.weight_R
    return _Within(answers.participant_R[keep], answers.problem_R[keep], value_R[keep], weight_R[keep])


def _means(answers: _Within, problems: int) -> tuple[Array, Array, Array]:
    """(T,) effective number of people, mean, and variance of the mean from the spread pooled over the problems."""
    people = within(answers.value_R, answers.problem_R, problems, answers.weight_R)
    variance_T = np.divide(people.pooled, people.kish_T, out=np.full(problems, np.nan), where=people.kish_T > 0)
    return people.kish_T, people.mean_T, variance_T


def _test(
    name: tuple[str, str], human: _Within, crowd: _Within, problems: int, sign_BN: Array, rng: np.random.Generator
) -> SubgroupTrust:
    people = len(np.unique(human.person_R))
    count_T, mean_T, variance_T = _means(human, problems)
    _, crowd_T, crowd_variance_T = _means(crowd, problems)
    use_T = (np.bincount(human.problem_R, minlength=problems) >= 2) & ~np.isnan(crowd_variance_T)
    none = (np.nan,) * 6
    if people < FEWEST or not use_T.any() or not np.nansum(variance_T[use_T]) > 0:
        return SubgroupTrust(*name, people, int(use_T.sum()), *none, "too few people")
    allowed_T = variance_T + crowd_variance_T
    q = float((((mean_T - crowd_T) ** 2 / allowed_T)[use_T]).mean())
    keep = use_T[human.problem_R]
    t_R, n_R = human.problem_R[keep], count_T[human.problem_R[keep]]
    share_R = human.weight_R[keep] / np.bincount(human.problem_R, human.weight_R, minlength=problems)[t_R]
    pull_R = (human.value_R[keep] - mean_T[t_R]) * share_R * np.sqrt(n_R / (n_R - 1))
    null = np.empty(len(sign_BN))
    for b, sign_N in enumerate(sign_BN):
        people_T = np.bincount(t_R, weights=sign_N[human.person_R[keep]] * pull_R, minlength=problems)
        d_T = people_T + np.sqrt(np.nan_to_num(crowd_variance_T)) * rng.standard_normal(problems)
        null[b] = (d_T**2 / allowed_T)[use_T].mean()
    expected = float(null.mean())
    return SubgroupTrust(
        column=name[0],
        level=name[1],
        people=people,
        problems=int(use_T.sum()),
        simulated_width=float(2 * 1.96 * np.sqrt(crowd_variance_T[use_T]).mean()),
        human_width=float(2 * 1.96 * np.sqrt(variance_T[use_T]).mean()),
        misfit=q / expected,
        widen=_widening(mean_T[use_T] - crowd_T[use_T], variance_T[use_T], crowd_variance_T[use_T]),
        p=float((1 + (null >= q).sum()) / (1 + len(null))),
        p_holm=np.nan,
        verdict="",
    )


def _widening(difference_T: Array, human_T: Array, crowd_T: Array) -> float:
    """How many times wider simulated intervals had to be to account for what the humans' sampling does not."""
    unexplained = float((difference_T**2).mean() - human_T.mean())
    return float(np.sqrt(max(unexplained / float(crowd_T.mean()), 1.0)))


def _holm(rows: list[SubgroupTrust], alpha: float) -> tuple[SubgroupTrust, ...]:
    """The p-values corrected for how many there are, smallest first, and the verdicts."""
    tested = sorted((i for i, row in enumerate(rows) if not np.isnan(row.p)), key=lambda i: rows[i].p)
    out, highest = list(rows), 0.0
    for rank, i in enumerate(tested):
        highest = max(highest, min(1.0, rows[i].p * (len(tested) - rank)))
        verdict = "over-confident" if highest <= alpha else "no evidence against it"
        out[i] = replace(rows[i], p_holm=highest, verdict=verdict)
    return tuple(out)


def trust_frame(rows: tuple[SubgroupTrust, ...]) -> pd.DataFrame:
    """A row per subgroup, for a CSV."""
    names = [field.name for field in fields(SubgroupTrust)]
    named = [r if r.column else replace(r, column="everybody") for r in rows]
    return pd.DataFrame([[getattr(r, n) for n in names] for r in named], columns=names)
