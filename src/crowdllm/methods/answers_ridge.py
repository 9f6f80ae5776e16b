"""`answers-ridge`: ridge regression of each answer on a person's other answers and the profile.

With a_i the person's known answers and profile, and y_it the indicators of the levels of problem t,

    E[y_it | a_i] = mean y_t + C_ta (C_aa + penalty D)^-1 (a_i - mean a),

C the covariances over training people and D the variances on its diagonal: the ridge regression for whichever answers
happen to be known, from one set of moments. Covariances are over the people who answered both, each divided by their
number + 10, so that pairs few people answered count little, and made positive by cutting negative eigenvalues. The
penalty is the one with the best log score on held-out training people who are given as many answers. Predictions are
cut at 0.001 and normalised.

Shapes: N participants, A inputs (known answers and profile), T problems, M levels or options, R pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.items import widest
from crowdllm.data.profiles import ProfileEncoder, Profiles
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.methods.answers import AnswerInputs, AnswersSimulator
from crowdllm.methods.protocol import Progress
from crowdllm.methods.shares import uniform_shares
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.reference import References
from crowdllm.responses.protocol import Array
from crowdllm.rng import generator

PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
FEW_PAIRS = 10
PEOPLE_TO_HOLD_OUT = 20
MOST_NUMBERS = 40_000_000
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Moments:
    """Means and covariances of inputs and of level indicators over some people."""

    mean_A: Array
    inputs_AA: Array
    mean_TM: Array
    levels_ATM: Array


def fit(
    train: Study, references: References | None, embedding: str, seed: int, progress: Progress | None = None
) -> AnswersSimulator:
    """Raises MismatchError as `AnswerInputs.of`, or for so many problems that their covariances do not fit in
    memory."""
    inputs = AnswerInputs.of(train, "answers-ridge")
    levels = train.response_type.summary_width(widest(train.problems, train.response_type))
    if len(inputs.problem_G) * len(train.problems) * levels > MOST_NUMBERS:
        raise MismatchError(
            f"the method 'answers-ridge' relates every problem to every other: {len(train.problems):,} problems are "
            "too many; leave it out for this study"
        )
    encoder = ProfileEncoder.fit(train.profiles)
    answers_NG = inputs.encode(train.problems, train.responses, len(train.profiles))
    a_NA = np.c_[answers_NG, encoder.encode(train.profiles).astype(np.float64)]
    y_NTM = _indicators(train, levels)
    group_A = np.r_[inputs.problem_G, np.full(a_NA.shape[1] - len(inputs.problem_G), -1)]
    moments = _moments(a_NA, y_NTM, train)
    rng = generator(seed, "answers-ridge:people")
    held = rng.permutation(len(a_NA))[: len(a_NA) // 5]
    inside = np.setdiff1d(np.arange(len(a_NA)), held)
    trial = _moments(a_NA[inside], y_NTM[inside], train) if len(held) >= PEOPLE_TO_HOLD_OUT else None
    order_NT = rng.random((len(a_NA), len(train.problems)))

    def predict(people: Profiles, given_NG: Array, participant_R: Index, problem_R: Index) -> Array:
        given_NA = np.c_[given_NG, encoder.encode(people).astype(np.float64)]
        known = _typical_count(given_NG, inputs.problem_G)
        penalty = _choose(trial, a_NA[held], y_NTM[held], group_A, order_NT[held], known) if trial else 1.0
        shares = np.empty((len(participant_R), levels))
        for i in np.unique(participant_R):
            rows = np.flatnonzero(participant_R == i)
            shares[rows] = _given(moments, given_NA[i], penalty)[problem_R[rows]]
        present = uniform_shares(train.problems.option_counts, levels)[problem_R] > 0
        return _positive(shares, present)

    return AnswersSimulator(inputs, predict, ProfileGenerator.fit(train.profiles, train.relative_weights_N, seed))


def _indicators(train: Study, levels: int) -> Array:
    """(N, T, M) 1 for the level given, NaN where there is no answer."""
    y_NTM = np.full((len(train.profiles), len(train.problems), levels), np.nan)
    i, t = train.responses.participant_R, train.responses.problem_R
    y_NTM[i, t] = train.responses.values_RD[:, :1] == np.arange(levels)
    return y_NTM


def _moments(a_NA: Array, y_NTM: Array, train: Study) -> Moments:
    """Over these people; a problem none of them answered has the pooled (choice: uniform) shares for its mean."""
    seen_NA = (~np.isnan(a_NA)).astype(float)
    count_A = seen_NA.sum(axis=0)
    mean_A = np.where(seen_NA > 0, a_NA, 0).sum(axis=0) / np.maximum(count_A, 1)
    centred_NA = np.where(seen_NA > 0, a_NA - mean_A, 0.0)
    pairs_AA = seen_NA.T @ seen_NA
    inputs_AA = centred_NA.T @ centred_NA / (pairs_AA + FEW_PAIRS)
    values, vectors = np.linalg.eigh(inputs_AA)
    inputs_AA = (vectors * np.maximum(values, 0)) @ vectors.T
    people, problems, levels = y_NTM.shape
    answered_NT = (~np.isnan(y_NTM[:, :, 0])).astype(float)
    y_NTM = np.nan_to_num(y_NTM)
    prior_TM = uniform_shares(train.problems.option_counts, levels)
    if not train.response_type.has_options:
        total = y_NTM.sum(axis=(0, 1))
        prior_TM = np.tile(total / max(total.sum(), 1), (problems, 1))
    mean_TM = (y_NTM.sum(axis=0) + prior_TM) / (answered_NT.sum(axis=0) + 1)[:, None]
    centred_NTM = (y_NTM - mean_TM) * answered_NT[:, :, None]
    pairs_AT = seen_NA.T @ answered_NT
    levels_ATM = (centred_NA.T @ centred_NTM.reshape(people, -1)).reshape(-1, problems, levels)
    return Moments(mean_A, inputs_AA, mean_TM, levels_ATM / (pairs_AT + FEW_PAIRS)[:, :, None])


def _given(moments: Moments, a_A: Array, penalty: float) -> Array:
    """(T, M) expected level indicators given the inputs that are not NaN."""
    spread = np.diag(moments.inputs_AA)
    known = np.flatnonzero(~np.isnan(a_A) & (spread > 1e-12))
    if not len(known):
        return moments.mean_TM
    system = moments.inputs_AA[np.ix_(known, known)] + penalty * np.diag(spread[known])
    weight = np.linalg.solve(system, a_A[known] - moments.mean_A[known])
    return moments.mean_TM + np.einsum("a,atm->tm", weight, moments.levels_ATM[known])


def _positive(shares_RM: Array, present_RM: NDArray[np.bool_]) -> Array:
    kept = np.where(present_RM, np.maximum(shares_RM, 1e-3), 0.0)
    return kept / kept.sum(axis=1, keepdims=True)


def _typical_count(given_NG: Array, problem_G: Index) -> int:
    """The median number of known answers of a person."""
    if not given_NG.size:
        return 0
    first_G = np.r_[True, np.diff(problem_G) > 0]  # a choice has several columns, known together
    return int(np.median((~np.isnan(given_NG[:, first_G])).sum(axis=1)))


def _choose(trial: Moments, a_NA: Array, y_NTM: Array, group_A: Index, order_NT: Array, known: int) -> float:
    """The penalty under which people who were left out, given `known` of their answers, are predicted best."""
    losses = np.zeros(len(PENALTIES))
    for a_A, y_TM, order_T in zip(a_NA, y_NTM, order_NT, strict=True):
        answered = np.flatnonzero(~np.isnan(y_TM[:, 0]))
        told = answered[np.argsort(order_T[answered])][:known]
        asked = np.setdiff1d(answered, told)
        if not len(asked):
            continue
        given_A = np.where((group_A < 0) | np.isin(group_A, told), a_A, np.nan)
        for p, penalty in enumerate(PENALTIES):
            shares = _positive(_given(trial, given_A, penalty)[asked], np.ones_like(y_TM[asked], dtype=bool))
            losses[p] -= np.log((shares * y_TM[asked]).sum(axis=1)).sum()
    return PENALTIES[int(np.argmin(losses))]
