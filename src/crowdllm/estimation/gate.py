"""Crowd or bare LLM: theorem 3's interval, the condition it should state, and a verdict for each group of problems.

Delta = Y* - y_ref is what the LLM is wrong by on a problem, mu and eps2 the mean and second moment of the crowd's
biases delta_i = E[y~_i] - y_ref, eta the randomness of one answer of the LLM, nu that of one simulated answer beyond
it, N the size of the crowd, kappa_alpha a bound that |Delta| exceeds with probability alpha at most (assumption 1 of
CrowdLLM, arXiv 2512.07890).

*As printed* (theorem 3): L <= L' where |mu - Delta| <= h, with S = (N - 2) eps2 + N eta and

    h = (sqrt(N^2 kappa^2 + 2 (N - 1) S) - (N - 2) kappa) / (2 (N - 1))     if kappa <= (N - 2) / N sqrt(S / 2),
    h = sqrt(2 S) / N                                                       otherwise.

*As derived.* Against the same Y*, the crowd's mean errs by (Delta - mu)^2 + (eta + nu) / N and one answer of the LLM by
Delta^2 + eta. So with slack = eta (1 - 1/N) - nu / N

    L <= L'   if and only if   (mu - Delta)^2 <= Delta^2 + slack,       h = sqrt(Delta^2 + slack).

The printed condition is not sufficient: an LLM that is right (Delta = 0, eta = 0) cannot be beaten, but the print lets
a crowd of diverse biases (eps2 > 0) pass with any mean bias up to h > 0. Where only |Delta| <= kappa is known, the
condition holds for every such Delta if |mu| <= sqrt(kappa^2 + slack) - kappa (`safe_half_width`): like the printed h
it falls with kappa, and it is 0 for an LLM without randomness.

*The verdict* rests on human answers that the model was not fitted on. advantage_t = (Y - y_ref)^2 - (Y - y~)^2 + eta is
linear in the people's mean Y, so the noise of few answers does not bias it; its mean over a group has an interval that
counts both problems and people as drawn (two-way clustered variance). Above 0: the crowd; below 0: not the crowd. With
survey weights Y is the people's weighted mean, and what a person's answers pull counts by weight.

Shapes: T problems, R responses, G groups, N simulated people per problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from crowdllm.errors import ConfigError, MismatchError
from crowdllm.estimation.small_sample import within

Array = NDArray[np.float64]
CROWD = "the crowd beats the bare LLM here"
OPEN = "no evidence"
LLM = "use the LLM / ask humans"
FEWEST = 5


@dataclass(frozen=True)
class GateInput:
    """What is compared on T problems, all in the scale's numbers.

    person_R, problem_R, human_R: human answers that the model has not seen. crowd_T: the crowd's mean; second_T: second
    moment of its biases around reference_T; noise_T: the variance nu of one simulated answer around its expectation;
    reference_T, randomness_T: the bare LLM's answer and eta; reference_noise_T: what is left of eta in an answer that
    is a mean of several. size: N, simulated people per problem. same_T: which problem each of these is, where one
    stands here several times (once per fold, with its own crowd and its own people); None where each is another.
    weight_R: survey weights of the human answers, on any scale within a problem; None where all count alike.
    """

    person_R: NDArray[np.int64]
    problem_R: NDArray[np.int64]
    human_R: Array
    crowd_T: Array
    second_T: Array
    noise_T: Array
    reference_T: Array
    randomness_T: Array
    reference_noise_T: Array
    size: int
    same_T: NDArray[np.int64] | None = None
    weight_R: Array | None = None

    def __post_init__(self) -> None:
        crowd, llm = (self.crowd_T, self.second_T, self.noise_T), (self.reference_T, self.randomness_T)
        lengths = {len(a) for a in (*crowd, *llm, self.reference_noise_T)}
        answers = {len(a) for a in (self.person_R, self.problem_R, self.human_R, self.survey_weight_R)}
        if len(lengths) != 1 or len(answers) != 1:
            raise MismatchError(
                "arrays of problems must have one entry per problem, those of responses one per response"
            )
        if self.size < 3:
            raise ConfigError(f"the gate needs a crowd of at least 3 people per problem, not {self.size}")

    @property
    def survey_weight_R(self) -> Array:
        """(R,) survey weights; ones where there are none."""
        return np.ones(len(self.human_R)) if self.weight_R is None else self.weight_R

    @property
    def cluster_T(self) -> NDArray[np.int64]:
        """(T,) which problem each of these is."""
        return np.arange(len(self.crowd_T)) if self.same_T is None else self.same_T

    @property
    def slack_T(self) -> Array:
        """eta (1 - 1/N) - nu / N: what averaging over the crowd spares, less its own noise."""
        return self.randomness_T * (1 - 1 / self.size) - self.noise_T / self.size


@dataclass(frozen=True)
class GateGroup:
    """One group of problems. answers: human answers the verdict rests on.

    llm_error, crowd_error: root mean squared distance from the people's mean, free of the people's sampling noise.
    advantage, low, high: mean of L' - L with its interval. kappa: bound on the LLM's error (of all problems).
    mean_delta, mean_bias: averages of Delta and mu. inside_derived, inside_printed: share of the problems whose mu lies
    in the interval around the estimated Delta, half widths derived and printed (their means beside).
    """

    group: str
    problems: int
    answers: int
    llm_error: float
    crowd_error: float
    advantage: float
    low: float
    high: float
    verdict: str
    kappa: float
    mean_delta: float
    mean_bias: float
    half_width_derived: float
    half_width_printed: float
    inside_derived: float
    inside_printed: float


@dataclass(frozen=True)
class GateReport:
    """Groups in the order given; alpha: of kappa_alpha; level: of the verdicts' intervals, each by itself."""

    groups: tuple[GateGroup, ...]
    kappa: float
    alpha: float
    level: float
    unanswered: int

    def frame(self) -> pd.DataFrame:
        """A row per group, for a CSV."""
        names = [field.name for field in fields(GateGroup)]
        return pd.DataFrame([[getattr(g, n) for n in names] for g in self.groups], columns=names)


def kappa_alpha(deviation_T: Array, alpha: float) -> float:
    """kappa_alpha from |Y - y_ref| on problems with human answers: P(|Delta| <= kappa) >= 1 - alpha for a new one.

    The ceil((T + 1)(1 - alpha))-th smallest deviation, which holds for any distribution of exchangeable problems;
    infinite where T is too small for that. Y's own sampling noise makes it too large rather than too small, mostly.
    """
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha must lie between 0 and 1, not {alpha}")
    known = np.sort(np.abs(deviation_T[~np.isnan(deviation_T)]))
    rank = int(np.ceil((len(known) + 1) * (1 - alpha)))
    return float(known[rank - 1]) if rank <= len(known) else np.inf


def printed_half_width(kappa: float, size: int, second_T: Array, randomness_T: Array) -> Array:
    """(T,) h of theorem 3 as it is printed; see the module for why it is only reported."""
    s_T = (size - 2) * second_T + size * randomness_T
    if not np.isfinite(kappa):
        return np.asarray(np.sqrt(2 * s_T) / size)
    first_T = (np.sqrt(size**2 * kappa**2 + 2 * (size - 1) * s_T) - (size - 2) * kappa) / (2 * (size - 1))
    return np.asarray(np.where(kappa <= (size - 2) / size * np.sqrt(s_T / 2), first_T, np.sqrt(2 * s_T) / size))


def derived_half_width(delta_T: Array, slack_T: Array) -> Array:
    """(T,) h = sqrt(Delta^2 + slack): L <= L' exactly where |mu - Delta| <= h; NaN where no mu helps."""
    square_T = delta_T**2 + slack_T
    return np.where(square_T >= 0, np.sqrt(np.maximum(square_T, 0)), np.nan)


def safe_half_width(kappa: float, slack_T: Array) -> Array:
    """(T,) the largest |mu| with L <= L' whatever Delta in [-kappa, kappa]; 0 where there is none.

    What theorem 3 can promise on problems without any human answer, with probability 1 - alpha.
    """
    if not np.isfinite(kappa):
        return np.zeros_like(slack_T)
    return np.maximum(np.sqrt(np.maximum(kappa**2 + slack_T, 0)) - kappa, 0)


def gate(
    data: GateInput, group_T: Sequence[str], alpha: float = 0.05, level: float = 0.95, kappa: float | None = None
) -> GateReport:
    """A verdict for every group. group_T: the group of each problem. kappa: estimated from `data` when None.

    A group with fewer than 5 answered problems gets "no evidence". Raises MismatchError for wrong lengths, ConfigError
    for levels out of range.
    """
    if len(group_T) != len(data.crowd_T):
        raise MismatchError(f"{len(group_T)} groups were given for {len(data.crowd_T)} problems")
    if not 0 < level < 1:
        raise ConfigError(f"the level must lie between 0 and 1, not {level}")
    people = within(data.human_R, data.problem_R, len(data.crowd_T), data.survey_weight_R)
    mean_T, count_T = people.mean_T, people.n_T
    delta_T = mean_T - data.reference_T
    bound = kappa_alpha(delta_T, alpha) if kappa is None else kappa
    names = list(dict.fromkeys(str(g) for g in group_T))
    label_T = np.array([names.index(str(g)) for g in group_T])
    usable_T = (count_T > 0) & ~np.isnan(data.reference_T) & ~np.isnan(data.crowd_T)
    groups = tuple(_group(data, name, (label_T == g) & usable_T, mean_T, bound, level) for g, name in enumerate(names))
    return GateReport(groups, bound, alpha, level, int((~usable_T).sum()))


def _group(data: GateInput, name: str, in_T: NDArray[np.bool_], mean_T: Array, kappa: float, level: float) -> GateGroup:
    inside = np.flatnonzero(in_T)
    take_R = in_T[data.problem_R]
    if not len(inside):
        none = (np.nan,) * 10
        return GateGroup(name, 0, 0, np.nan, np.nan, np.nan, np.nan, np.nan, OPEN, kappa, *none[:6])
    advantage, half = advantage_interval(data, in_T, mean_T, level)
    delta_T, mu_T = (mean_T - data.reference_T)[inside], (data.crowd_T - data.reference_T)[inside]
    slack_T = data.slack_T[inside]
    derived = derived_half_width(delta_T, slack_T)
    printed = printed_half_width(kappa, data.size, data.second_T[inside], data.randomness_T[inside])
    low, high = advantage - half, advantage + half
    noise = _sampling_noise(data, in_T)
    llm_T = delta_T**2 + (data.randomness_T - data.reference_noise_T)[inside]
    return GateGroup(
        group=name,
        problems=(problems := len(np.unique(data.cluster_T[inside]))),
        answers=int(take_R.sum()),
        llm_error=float(np.sqrt(max(float(llm_T.mean()) - noise, 0.0))),
        crowd_error=float(np.sqrt(max(float(((delta_T - mu_T) ** 2).mean()) - noise, 0.0))),
        advantage=advantage,
        low=low,
        high=high,
        verdict=verdict_of(low, high, problems),
        kappa=kappa,
        mean_delta=float(delta_T.mean()),
        mean_bias=float(mu_T.mean()),
        half_width_derived=float(np.nanmean(derived)) if not np.isnan(derived).all() else np.nan,
        half_width_printed=float(printed.mean()),
        inside_derived=float((np.abs(mu_T - delta_T) <= np.nan_to_num(derived, nan=-1.0)).mean()),
        inside_printed=float((np.abs(mu_T - delta_T) <= printed).mean()),
    )


def verdict_of(low: float, high: float, problems: int) -> str:
    """In words: which of the two is better, if the interval says so and there are enough problems."""
    if problems < FEWEST or np.isnan(low) or np.isnan(high):
        return OPEN
    return CROWD if low > 0 else LLM if high < 0 else OPEN


def advantage_interval(data: GateInput, in_T: NDArray[np.bool_], mean_T: Array, level: float) -> tuple[float, float]:
    """Mean of L' - L over these problems, and the half width of its interval (Student's t, two-way clustered).

    The variance is that over problems, plus that over people, minus that of single answers, which is in both.
    """
    inside = np.flatnonzero(in_T)
    mu_T = data.crowd_T - data.reference_T
    delta_T = mean_T - data.reference_T
    # y~ is the mean that was simulated: its own sampling noise is in mu already, so only eta is added to the LLM's side
    advantage_T = 2 * mu_T * delta_T - mu_T**2 + data.randomness_T - data.reference_noise_T
    _, cluster_I, size_C = np.unique(data.cluster_T[inside], return_inverse=True, return_counts=True)
    weight_T = np.zeros(len(mu_T))
    weight_T[inside] = 1 / size_C[cluster_I] / len(size_C)
    mean_C = np.bincount(cluster_I, weights=advantage_T[inside]) / size_C
    advantage = float(mean_C.mean())
    if len(size_C) < 2:
        return advantage, np.inf
    rows = np.flatnonzero(in_T[data.problem_R])
    t_R, survey_R = data.problem_R[rows], data.survey_weight_R
    share_R = survey_R[rows] / np.bincount(data.problem_R, survey_R, minlength=len(mu_T))[t_R]
    pull_R = 2 * mu_T[t_R] * (data.human_R[rows] - mean_T[t_R]) * share_R * weight_T[t_R]
    by_person = np.bincount(data.person_R[rows], weights=pull_R)
    over_problems = float(mean_C.var(ddof=1)) / len(size_C)
    variance = over_problems + max(float((by_person**2).sum() - (pull_R**2).sum()), 0.0)
    return advantage, float(stdtrit(len(size_C) - 1, 0.5 + level / 2)) * float(np.sqrt(variance))


def _sampling_noise(data: GateInput, in_T: NDArray[np.bool_]) -> float:
    """Mean over problems of the variance of the people's mean; the spread within problems is pooled."""
    rows = in_T[data.problem_R]
    people = within(data.human_R[rows], data.problem_R[rows], len(in_T), data.survey_weight_R[rows])
    if np.isnan(people.pooled):
        return 0.0
    return people.pooled * float((1 / people.kish_T[people.kish_T > 0]).mean())
