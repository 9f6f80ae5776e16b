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

Shapes: R responses, T problems, N participants, M levels. Memory: a handful of (R,) arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from crowdllm.aggregation.labels import Floats, Ints, Labels, label_aggregate, read_labels
from crowdllm.aggregation.result import Aggregate
from crowdllm.data.responses import Responses
from crowdllm.responses.protocol import ResponseType

PRIOR_MEAN = 1.0


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
    problems, participants, levels = len(labels.problem_T), len(labels.participant_N), len(labels.level_M)
    present_T = labels.present_TM.sum(axis=1)
    others_R = np.log(np.maximum(present_T - 1, 1))[labels.problem_R]
    telling_R = (present_T > 1)[labels.problem_R]
    cell_R = labels.problem_R * levels + labels.level_R
    objective = negative_q(labels.problem_R[telling_R], labels.participant_R[telling_R], problems, participants)
    cells = float(present_T[labels.problem_R].sum())
    theta = np.full(participants + problems, PRIOR_MEAN)
    posterior_TM = e_step(theta, labels, cell_R, others_R)
    bound, iteration, converged = -np.inf, 0, not telling_R.any()
    while iteration < max_iterations and not converged:
        iteration += 1
        posterior_TM = e_step(theta, labels, cell_R, others_R)
        wrong_R = 1.0 - posterior_TM.reshape(-1)[cell_R][telling_R]
        constant = float((wrong_R * others_R[telling_R]).sum())
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


def e_step(theta: Floats, labels: Labels, cell_R: Ints, others_R: Floats) -> Floats:
    """(T, M) posterior of the true level."""
    participants, shape = len(labels.participant_N), labels.present_TM.shape
    vote_R = theta[:participants][labels.participant_R]
    vote_R *= np.exp(theta[participants:])[labels.problem_R]
    vote_R += others_R
    logit_TM = np.bincount(cell_R, vote_R, shape[0] * shape[1]).astype(np.float64).reshape(shape)
    logit_TM[~labels.present_TM] = -np.inf
    logit_TM -= logit_TM.max(axis=1, keepdims=True, initial=-np.inf)
    posterior_TM = np.exp(logit_TM, out=logit_TM)
    posterior_TM /= posterior_TM.sum(axis=1, keepdims=True)
    return posterior_TM


def negative_q(
    problem_R: Ints, participant_R: Ints, problems: int, participants: int
) -> Callable[[Floats, Floats, float], tuple[float, Floats]]:
    """The function (theta, wrong_R = 1 - w, constant) -> (-Q, its gradient), theta = (alpha_N, b_T).

    constant: sum of (1 - w) log(M_t - 1). The work arrays are made once and reused at every call: at a
    million responses, fetching fresh memory costs more than the arithmetic.
    """
    alpha_R, beta_R, x_R, log_s_R, spare_R = (np.empty(len(problem_R)) for _ in range(5))
    log_prior = -0.5 * math.log(2 * math.pi) * (problems + participants)

    # A line search may try a step far too long, whose Q is no number; infinity refuses it.
    @np.errstate(over="ignore", invalid="ignore")
    def objective(theta: Floats, wrong_R: Floats, constant: float) -> tuple[float, Floats]:
        beta_T = np.exp(theta[participants:])
        # mode "raise" would write into `out` through a copy
        np.take(theta[:participants], participant_R, out=alpha_R, mode="clip")
        np.take(beta_T, problem_R, out=beta_R, mode="clip")
        np.multiply(alpha_R, beta_R, out=x_R)
        log_sigmoid(x_R, log_s_R, spare_R)
        # w log s(x) + (1 - w) log s(-x) = log s(x) - (1 - w) x
        np.multiply(x_R, wrong_R, out=x_R)
        q = float(log_s_R.sum()) - float(x_R.sum()) - constant + log_prior
        away = theta - PRIOR_MEAN
        q -= 0.5 * float((away * away).sum())
        residual_R = np.exp(log_s_R, out=log_s_R)
        residual_R += wrong_R
        np.subtract(1.0, residual_R, out=residual_R)  # w - s(x)
        np.multiply(alpha_R, residual_R, out=alpha_R)
        np.multiply(beta_R, residual_R, out=beta_R)
        gradient = away
        gradient[:participants] -= np.bincount(participant_R, weights=beta_R, minlength=participants)
        gradient[participants:] -= beta_T * np.bincount(problem_R, weights=alpha_R, minlength=problems)
        return (math.inf if math.isnan(q) else -q), gradient

    return objective


def log_sigmoid(x_R: Floats, out: Floats, spare_R: Floats) -> None:
    """log(1 / (1 + exp(-x))) = min(x, 0) - log(1 + exp(-|x|)), written into `out`."""
    np.abs(x_R, out=spare_R)
    np.negative(spare_R, out=spare_R)
    np.exp(spare_R, out=spare_R)
    np.log1p(spare_R, out=spare_R)
    np.minimum(x_R, 0.0, out=out)
    np.subtract(out, spare_R, out=out)
