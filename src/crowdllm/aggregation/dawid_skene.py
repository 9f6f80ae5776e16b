"""Dawid-Skene: each participant has their own confusion matrix; EM finds them and the true levels.

With the true level z_t of problem t, Pr(z_t = c) = p_c and Pr(y_it = m | z_t = c) = e_i[m, c]:
    E-step  q_t(c)   proportional to  p_c prod_i e_i[y_it, c]
    M-step  p_c      = mean_t q_t(c)
            e_i[m,c] proportional to  sum_{t: y_it = m} q_t(c), over the levels m that i ever gave.
EM starts from the shares of the crowd and stops when the bound, per response, rises by less than `tolerance`.

Source: A. P. Dawid and A. M. Skene, "Maximum likelihood estimation of observer error-rates using the EM
algorithm", Applied Statistics 28 (1979). Start, floor and stopping rule are those of crowd-kit 1.4.2, so that
the results are equal; its bound counts log p_c once per response, not once per problem, and so does this one.

Shapes: R responses, T problems, M levels that occur, P pairs (participant, level) that occur. Confusion is
kept only for those P <= R pairs, as (P, M), and both steps are products with a sparse (T, P) matrix of ones.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from crowdllm.aggregation.labels import Floats, Ints, Labels, compact, label_aggregate, read_labels
from crowdllm.aggregation.result import Aggregate
from crowdllm.data.responses import Responses
from crowdllm.responses.protocol import ResponseType

FLOOR = 1e-10


def dawid_skene(
    responses: Responses,
    response_type: ResponseType,
    problem_count: int,
    participant_count: int,
    option_counts: Ints | None = None,
    *,
    max_iterations: int = 100,
    tolerance: float = 1e-5,
) -> Aggregate:
    """Dawid-Skene over ordinal or choice responses; arguments, shapes and errors as in `aggregate`.

    The skill of a participant is their expected accuracy under the class prior, sum_c p_c e_i[c, c]. Options
    that a problem does not have are ruled out in the E-step.
    """
    labels = read_labels(responses, response_type, problem_count, participant_count, option_counts)
    counts_TM = labels.counts_TM()
    answers_T1 = counts_TM.sum(axis=1, keepdims=True)
    posterior_TM = counts_TM / answers_T1
    if not len(responses):
        return label_aggregate(labels, response_type, "dawid_skene", posterior_TM, np.zeros(0))
    pair_P, gave_TP = pairs(labels)
    starts_N = np.searchsorted(pair_P, np.arange(len(labels.participant_N)) * len(labels.level_M))
    prior_M = posterior_TM.mean(axis=0)
    confusion_PM = confusion(gave_TP, posterior_TM, starts_N)
    evidence_TM = gave_TP @ np.log(confusion_PM)
    bound, iteration, converged = -np.inf, 0, False
    while iteration < max_iterations and not converged:
        iteration += 1
        posterior_TM = e_step(evidence_TM, prior_M, labels)
        prior_M = posterior_TM.mean(axis=0)
        confusion_PM = confusion(gave_TP, posterior_TM, starts_N)
        evidence_TM = gave_TP @ np.log(confusion_PM)  # also what the next E-step needs
        log_joint_TM = evidence_TM + answers_T1 * np.log(np.maximum(prior_M, FLOOR))
        new_bound = (float((posterior_TM * log_joint_TM).sum()) + entropy(posterior_TM)) / len(responses)
        converged = new_bound - bound < tolerance
        bound = new_bound
    skill_N = expected_accuracy(confusion_PM, prior_M, pair_P, len(labels.participant_N))
    return label_aggregate(labels, response_type, "dawid_skene", posterior_TM, skill_N, iteration, converged)


def pairs(labels: Labels) -> tuple[Ints, csr_array]:
    """(P,) keys participant * M + level of the pairs that occur, and the (T, P) matrix of who gave what."""
    problems, levels = len(labels.problem_T), len(labels.level_M)
    key_R = labels.participant_R.astype(np.int64)
    key_R *= levels
    key_R += labels.level_R
    pair_P, pair_R = compact(key_R, len(labels.participant_N) * levels)
    starts_T = np.searchsorted(labels.problem_R, np.arange(problems + 1, dtype=np.int32)).astype(np.int32)
    return pair_P, csr_array((np.ones(len(pair_R)), pair_R, starts_T), shape=(problems, len(pair_P)))


def e_step(evidence_TM: Floats, prior_M: Floats, labels: Labels) -> Floats:
    """(T, M) posterior of the true level."""
    logit_TM = evidence_TM + np.log(np.maximum(prior_M, FLOOR))
    logit_TM[~labels.present_TM] = -np.inf
    logit_TM -= logit_TM.max(axis=1, keepdims=True)
    posterior_TM = np.exp(logit_TM, out=logit_TM)
    posterior_TM /= posterior_TM.sum(axis=1, keepdims=True)
    return posterior_TM


def confusion(gave_TP: csr_array, posterior_TM: Floats, starts_N: Ints) -> Floats:
    """(P, M) probability that the pair's participant gives the pair's level, by true level."""
    confusion_PM = np.maximum(gave_TP.T @ posterior_TM, FLOOR)
    total_NM = np.add.reduceat(confusion_PM, starts_N, axis=0)
    confusion_PM /= np.repeat(total_NM, np.diff(starts_N, append=len(confusion_PM)), axis=0)
    return confusion_PM


def entropy(posterior_TM: Floats) -> float:
    """Of the posteriors together, in nats, each probability taken as at least FLOOR."""
    floored_TM = np.maximum(posterior_TM, FLOOR)
    return -float((floored_TM * np.log(floored_TM)).sum())


def expected_accuracy(confusion_PM: Floats, prior_M: Floats, pair_P: Ints, participants: int) -> Floats:
    """(N,) sum_c p_c e_i[c, c]."""
    level_P = pair_P % len(prior_M)
    right_P = prior_M[level_P] * confusion_PM[np.arange(len(pair_P)), level_P]
    return np.bincount(pair_P // len(prior_M), right_P, participants).astype(np.float64)
