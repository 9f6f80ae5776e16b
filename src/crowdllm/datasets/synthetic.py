"""Simulated people whose true answer distribution is known: the design of the paper's simulation study (5.5).

The paper takes its own fitted model as the true population; here the population is written down, so that
nothing has to be fitted first and the truth is a formula. Person i feels about problem t

    y*_it = m_t + diversity * b_it + error * e_it,      b_it = sqrt(1/2) u_i + sqrt(1/2) eta_it,

with u_i, eta_it, e_it standard normal, and answers the nearest of 1..5. So b_it has variance 1: the crowd's
distribution on problem t is that of round(N(m_t, diversity^2 + error^2)), clamped to 1..5, and one person's
answers hang together through u_i. The profile shows a part of u_i (its quintile, "leaning") and one thing
that has nothing to do with the answers ("region"). m_t comes from the words of the problem's text plus a
small part that no text tells.

The factors are those of Figure 9: participants, problems per participant, the SD of beliefs (diversity) and
that of responses (error).

Shapes: N people, T problems, M = 5 levels.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.datasets.card import DatasetCard
from crowdllm.datasets.tables import Array, running_ids
from crowdllm.errors import ConfigError
from crowdllm.responses.ordinal import Ordinal
from crowdllm.rng import generator

SCALE = Ordinal(("1", "2", "3", "4", "5"), ends=("not offensive at all", "very offensive"))
TONES = {"kind": 1.2, "plain": 1.9, "blunt": 2.7, "harsh": 3.5, "cruel": 4.3}
TOPICS = {"sports": -0.3, "food": -0.2, "music": -0.1, "work": 0.1, "money": 0.2, "politics": 0.3}
TOLD_BY_NO_TEXT = 0.25
PERSON_SHARE = 0.5
PROFILE = (
    ProfileColumn("leaning", "ordinal", ("lowest", "low", "middle", "high", "highest"), "how easily offended"),
    ProfileColumn("region", "categorical", ("north", "south", "east", "west")),
)
CARD = DatasetCard(
    name="synthetic",
    description="Simulated people with a known true answer distribution (the design of the paper's section 5.5)",
    url="made by crowdllm itself; nothing is downloaded",
    licence="Apache-2.0, as the package",
    participants=200,
    problems=100,
    responses=4000,
    options={
        "participants": "number of people, default 200",
        "problems": "number of problems, default 100",
        "per_participant": "problems that each person answers, default 20",
        "diversity": "SD of beliefs between people, default 1.0 (the paper: 0, 1, 2)",
        "error": "SD of the error of a response, default 0.0 (the paper: 0, 1, 2)",
        "seed": "default 0; the problems and their truth depend on it and on `problems` only",
    },
    notes=(
        "Every study is marked as simulated.",
        "crowdllm.datasets.synthetic.true_distribution gives the truth, with or without the response error.",
    ),
)


def load(
    participants: int = 200,
    problems: int = 100,
    per_participant: int = 20,
    diversity: float = 1.0,
    error: float = 0.0,
    seed: int = 0,
) -> Study:
    """The simulated study; raises ConfigError for numbers out of range."""
    _require_ranges(participants, problems, per_participant, diversity, error)
    texts, location_T = _problems(problems, seed)
    rng = generator(seed, "synthetic:people")
    trait_N = rng.standard_normal(participants)
    region_N = rng.integers(len(PROFILE[1].levels), size=participants)
    asked_NK = np.argsort(rng.random((participants, problems)), axis=1)[:, :per_participant]
    person_R, problem_R = (
        np.repeat(np.arange(participants), per_participant),
        np.sort(asked_NK, axis=1).reshape(-1),
    )
    own_R, error_R = rng.standard_normal((2, len(person_R)))
    belief_R = np.sqrt(PERSON_SHARE) * trait_N[person_R] + np.sqrt(1 - PERSON_SHARE) * own_R
    felt_R = location_T[problem_R] + diversity * belief_R + error * error_R
    position_R = np.clip(np.ceil(felt_R - 0.5), 1, len(SCALE.levels)) - 1
    quintile_N = np.searchsorted(ndtri(np.arange(1, 5) / 5), trait_N)
    return Study(
        title="Synthetic crowd with known truth",
        response_type=SCALE,
        problems=Problems(("t" + pd.Series(np.arange(1, problems + 1)).astype(str)).to_numpy(dtype=object), texts),
        profiles=Profiles(PROFILE, running_ids(participants), np.stack([quintile_N, region_N], axis=1).astype(float)),
        responses=Responses(person_R, problem_R, position_R[:, None]),
        context="The comments are made up.",
        requirements="How offensive is this comment?",
        source=(
            *CARD.source_lines(),
            f"Participants {participants}, problems {problems}, {per_participant} per participant, "
            f"diversity {diversity:g}, error {error:g}, seed {seed}.",
        ),
        simulated=True,
    )


def true_distribution(
    problems: int = 100, diversity: float = 1.0, error: float = 0.0, seed: int = 0
) -> NDArray[np.float64]:
    """(T, M) the probability of each level on each problem in the whole, infinite crowd.

    error: 0 for what people would answer without error; the study's own error for what is observed.
    """
    _require_ranges(1, problems, 1, diversity, error)
    _, location_T = _problems(problems, seed)
    spread = float(np.hypot(diversity, error))
    upper_M = np.arange(1, len(SCALE.levels)) + 0.5
    gap = upper_M - location_T[:, None]
    below = ndtr(gap / spread) if spread > 0 else (gap >= 0).astype(float)
    return np.diff(below, axis=1, prepend=0.0, append=1.0)


def true_mean(problems: int = 100, diversity: float = 1.0, error: float = 0.0, seed: int = 0) -> Array:
    """(T,) the mean answer (1..5) on each problem in the whole crowd."""
    return true_distribution(problems, diversity, error, seed) @ np.array(SCALE.points)


def _problems(count: int, seed: int) -> tuple[NDArray[np.object_], Array]:
    """(T,) texts and (T,) locations m_t."""
    rng = generator(seed, "synthetic:problems")
    tone, topic = rng.integers(len(TONES), size=count), rng.integers(len(TOPICS), size=count)
    untold = TOLD_BY_NO_TEXT * rng.standard_normal(count)
    location_T = np.array(list(TONES.values()))[tone] + np.array(list(TOPICS.values()))[topic] + untold
    words = "A " + pd.Series(np.array(list(TONES))[tone]) + " comment about " + pd.Series(np.array(list(TOPICS))[topic])
    return (words + " (no. " + pd.Series(np.arange(1, count + 1)).astype(str) + ").").to_numpy(dtype=object), location_T


def _require_ranges(participants: int, problems: int, per_participant: int, diversity: float, error: float) -> None:
    if participants < 1 or problems < 1:
        raise ConfigError(
            f"a synthetic crowd needs at least one person and one problem, not {participants} and {problems}"
        )
    if not 1 <= per_participant <= problems:
        raise ConfigError(f"per_participant must lie between 1 and the {problems} problems, not {per_participant}")
    for name, value in (("diversity", diversity), ("error", error)):
        if not 0 <= value < float("inf"):
            raise ConfigError(f"{name} is a standard deviation: 0 or more, not {value}")
