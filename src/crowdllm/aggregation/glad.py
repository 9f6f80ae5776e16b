"""GLAD: a participant's ability and a problem's easiness decide together how likely a response is right.

With ability alpha_i, easiness exp(b_t), x_it = alpha_i exp(b_t), s(x) = 1 / (1 + exp(-x)) and M_t levels:
    Pr(y_it = c | z_t = c) = s(x_it),   Pr(y_it = m | z_t = c) = (1 - s(x_it)) / (M_t - 1) for m != c,
    Pr(z_t = c) = 1 / M_t,   alpha_i ~ N(1, 1),   b_t ~ N(1, 1).
In the E-step, q_t(c) is proportional to exp(sum_{i: y_it = c} (x_it + log(M_t - 1))), since what all levels
share cancels. The M-step needs of q only w_it = q_t(y_it), the probability that the response is right:
    Q = sum_it w log s(x) + (1 - w) (log s(-x) - log(M_t - 1)) + log priors,   dQ/dx = w - s(x),
so neither step costs more with more levels. M_t counts those levels of the problem that occur in the data.

Source: J. Whitehill, P. Ruvolo, T. Wu, J. Bergsma, J. Movellan, "Whose vote should count more", NeurIPS 2009.
Start, priors, M-step (at most 25 steps of SciPy's conjugate gradients) and stopping rule (on Q divided by the
number of responses times levels) are those of crowd-kit 1.4.2, so that the results are equal.

Shapes: R responses, T problems, N participants, M levels, B labels of a block. Memory: the labels, and one number each.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from crowdllm.aggregation.labels import Floats, Ints, Labels, Positions, label_aggregate, read_labels
from crowdllm.aggregation.result import Aggregate
from crowdllm.data.responses import Responses
from crowdllm.responses.protocol import ResponseType

PRIOR_MEAN = 1.0
BLOCK = 1 << 15


def glad(
    responses: Responses,
    response_type: ResponseType,
    problem_count: int,
    participant_count: int,
    option_counts: Ints | None = None,
    *,
    max_iterations: int = 100,
    tolerance: float = 1e-5,
    m_step_iterations: int = 25,
    m_step_tolerance: float = 1e-2,
) -> Aggregate:
    """GLAD over ordinal or choice responses; arguments, shapes and errors as in `aggregate`.

    The skill of a participant is the ability alpha. Where M_t = 1 a response tells nothing: the posterior is
    1, and abilities and easiness with no other responses stay at the prior mean of 1.
    """
    labels = read_labels(responses, response_type, problem_count, participant_count, option_counts)
    problems, participants = len(labels.problem_T), len(labels.participant_N)
    present_T = labels.present_TM.sum(axis=1)
    others_T = np.log(np.maximum(present_T - 1, 1))
    counts_TM = labels.counts_TM()
    answers_T = counts_TM.sum(axis=1)
    telling_R = None if (present_T > 1).all() else (present_T > 1)[labels.problem_R]
    told = labels.problem_R, labels.participant_R
    if telling_R is not None:
        told = told[0][telling_R], told[1][telling_R]
    objective = negative_q(*told, problems, participants)
    cells = float(present_T @ answers_T)
    theta = np.full(participants + problems, PRIOR_MEAN)
    posterior_TM = e_step(theta, labels, counts_TM * others_T[:, None])
    bound, iteration, converged = -np.inf, 0, not len(told[0])
    while iteration < max_iterations and not converged:
        iteration += 1
        if iteration > 1:
            posterior_TM = e_step(theta, labels, counts_TM * others_T[:, None])
        wrong_R = wrong(posterior_TM, labels)
        if telling_R is not None:
            wrong_R = wrong_R[telling_R]
        constant = float((others_T * (answers_T - (posterior_TM * counts_TM).sum(axis=1))).sum())  # 0 where M_t = 1
        found = minimize(
            objective,
            theta,
            args=(wrong_R, constant),
            jac=True,
            method="CG",
            tol=m_step_tolerance,
            options={"maxiter": m_step_iterations},
        )
        theta, new_bound = found.x, -found.fun / cells
        converged = new_bound - bound < tolerance
        bound = new_bound
    return label_aggregate(
        labels, response_type, "glad", posterior_TM, theta[:participants], iteration, bool(converged)
    )


def e_step(theta: Floats, labels: Labels, others_TM: Floats) -> Floats:
    """(T, M) posterior of the true level; others_TM: log(M_t - 1) for every label of a cell."""
    participants, shape = len(labels.participant_N), labels.present_TM.shape
    beta_T = np.exp(theta[participants:])
    logit_TM = others_TM.copy()
    flat = logit_TM.reshape(-1)
    for part, low, high in blocks(labels.problem_R, BLOCK):
        vote_B = theta[:participants][labels.participant_R[part]]
        vote_B *= beta_T[labels.problem_R[part]]
        cells = slice(low * shape[1], high * shape[1])
        flat[cells] += np.bincount(labels.cell_R(part) - cells.start, vote_B, cells.stop - cells.start)
    logit_TM[~labels.present_TM] = -np.inf
    logit_TM -= logit_TM.max(axis=1, keepdims=True, initial=-np.inf)
    posterior_TM = np.exp(logit_TM, out=logit_TM)
    posterior_TM /= posterior_TM.sum(axis=1, keepdims=True)
    return posterior_TM


def wrong(posterior_TM: Floats, labels: Labels) -> Floats:
    """(R,) 1 - w, the probability that each response is not right."""
    flat, wrong_R = posterior_TM.reshape(-1), np.empty(len(labels.problem_R))
    for start in range(0, len(wrong_R), BLOCK):
        part = slice(start, start + BLOCK)
        np.subtract(1.0, flat[labels.cell_R(part)], out=wrong_R[part])
    return wrong_R


def blocks(problem_R: Positions, size: int) -> list[tuple[slice, int, int]]:
    """Parts of the labels, and the problems low..high-1 that each is within; narrow where labels are sorted."""
    parts = [slice(start, min(start + size, len(problem_R))) for start in range(0, len(problem_R), size)]
    return [(part, int(problem_R[part].min()), int(problem_R[part].max()) + 1) for part in parts]


def negative_q(
    problem_R: Positions, participant_R: Positions, problems: int, participants: int
) -> Callable[[Floats, Floats, float], tuple[float, Floats]]:
    """The function (theta, wrong_R = 1 - w, constant) -> (-Q, its gradient), theta = (alpha_N, b_T).

    constant: sum of (1 - w) log(M_t - 1). Labels are seen in blocks that fit the processor's cache.
    """
    parts = blocks(problem_R, max(BLOCK, 2 * participants))
    log_prior = -0.5 * math.log(2 * math.pi) * (problems + participants)

    # A line search may try a step far too long, whose Q is no number; infinity refuses it.
    @np.errstate(over="ignore", invalid="ignore")
    def objective(theta: Floats, wrong_R: Floats, constant: float) -> tuple[float, Floats]:
        alpha_N, beta_T = theta[:participants], np.exp(theta[participants:])
        away = theta - PRIOR_MEAN
        q = log_prior - constant - 0.5 * float((away * away).sum())
        gradient = away
        for part, low, high in parts:
            i, t = participant_R[part].astype(np.int64), problem_R[part].astype(np.int64)  # looked up with faster
            t -= low
            wrong_B, alpha_B, beta_B = wrong_R[part], alpha_N[i], beta_T[low:high][t]
            x_B = alpha_B * beta_B
            log_s_B = log_sigmoid(x_B)
            # w log s(x) + (1 - w) log s(-x) = log s(x) - (1 - w) x
            x_B *= wrong_B
            q += float(log_s_B.sum()) - float(x_B.sum())
            rest_B = np.exp(log_s_B, out=log_s_B)
            rest_B += wrong_B
            np.subtract(1.0, rest_B, out=rest_B)  # w - s(x)
            alpha_B *= rest_B
            beta_B *= rest_B
            gradient[:participants] -= np.bincount(i, beta_B, participants)
            of_t = np.bincount(t, alpha_B, high - low)
            gradient[participants + low : participants + high] -= beta_T[low:high] * of_t
        return (math.inf if math.isnan(q) else -q), gradient

    return objective


def log_sigmoid(x_B: Floats) -> Floats:
    """log(1 / (1 + exp(-x))) = min(x, 0) - log(1 + exp(-|x|))."""
    tail_B = np.abs(x_B)
    np.negative(tail_B, out=tail_B)
    np.exp(tail_B, out=tail_B)
    tail_B += 1.0
    np.log(tail_B, out=tail_B)
    log_s_B = np.minimum(x_B, 0.0)
    log_s_B -= tail_B
    return log_s_B
