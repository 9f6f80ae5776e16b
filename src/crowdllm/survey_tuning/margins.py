"""Calibrate a model's answers to the known shares of each question's answers, as survey weights are raked to margins.

A model that reads a profile may be right about how people differ, and still a little off in how many give each answer.
For a question t with people i whose answers are known, q the model's distributions and s_m the share of answer m,

    q'_im ~ q_im exp(b_m),      b such that mean over i of q'_im = s_m

(the offsets that change the distributions least, in the sense of KL). The same offsets then go to people whose answers
are not known. s is shrunk to the model's own mean by PRIOR answers, so that an answer that nobody gave stays possible.
Questions that nobody answered stay as they are.

Shapes: R answers, M candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.problems import Problems
from crowdllm.data.responses import Responses
from crowdllm.survey_tuning.answers import Shares
from crowdllm.survey_tuning.calibration import given_candidates

Array = NDArray[np.float64]
Index = NDArray[np.int64]
PRIOR = 5.0  # answers that are as the model says
ROUNDS, CLOSE = 500, 1e-9


@dataclass(frozen=True)
class Margins:
    """offsets: by problem id, b of each of its candidates."""

    offsets: Mapping[str, Array]

    def known(self, problems: Problems, problem_R: Index) -> NDArray[np.bool_]:
        """(R,) whether there are offsets for the problem."""
        known_T = np.array([str(identity) in self.offsets for identity in problems.ids], dtype=bool)
        return known_T[problem_R]

    def apply(self, shares: Shares, problems: Problems, problem_R: Index) -> Shares:
        """The shares of these pairs with their problems' offsets; at temperature 1 they have the margins."""
        log_p_RM = shares.log_p_RM.copy()
        for t in np.unique(problem_R).tolist():
            found = self.offsets.get(str(problems.ids[t]))
            if found is not None:
                rows = np.flatnonzero(problem_R == t)
                log_p_RM[rows, : len(found)] = _moved(log_p_RM[rows, : len(found)], found)
        return replace(shares, log_p_RM=log_p_RM)


def fit_margins(shares: Shares, problems: Problems, responses: Responses) -> Margins:
    """The offsets of every problem that was answered.

    shares: of each response's own person and problem, such as the training part's. People count by their survey weights
    where they have any.
    """
    given_R = given_candidates(shares, responses)
    weight_R = np.ones(len(responses)) if responses.weight_R is None else responses.weight_R
    found = {}
    for t in np.unique(responses.problem_R).tolist():
        rows = np.flatnonzero(responses.problem_R == t)
        count = int((~np.isnan(shares.values_RM[rows[0]])).sum())
        given_M = np.bincount(given_R[rows], weight_R[rows], minlength=count).astype(float)
        found[str(problems.ids[t])] = _offsets(shares.log_p_RM[rows, :count], weight_R[rows], given_M)
    return Margins(found)


def _offsets(log_p_RM: Array, weight_R: Array, given_M: Array) -> Array:
    """(M,) b of one question, by iterative proportional fitting."""
    share_R = weight_R / weight_R.sum()
    own_M = share_R @ np.exp(log_p_RM)
    # Weights that add up to something other than people still stand for this many answers.
    target_M = (len(weight_R) * given_M / given_M.sum() + PRIOR * own_M) / (len(weight_R) + PRIOR)
    possible = (own_M > 0) & (target_M > 0)
    offset_M = np.zeros(len(own_M))
    for _ in range(ROUNDS):
        mean_M = share_R @ np.exp(_moved(log_p_RM, offset_M))
        step_M = np.log(target_M[possible] / mean_M[possible])
        offset_M[possible] += step_M
        if np.abs(step_M).max(initial=0.0) < CLOSE:
            break
    return offset_M


def _moved(log_p_RM: Array, offset_M: Array) -> Array:
    moved_RM = log_p_RM + offset_M
    return np.asarray(moved_RM - np.logaddexp.reduce(moved_RM, axis=1, keepdims=True))
