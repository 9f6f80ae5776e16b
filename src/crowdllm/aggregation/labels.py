"""Single answers out of a fixed set, as index arrays over what occurs: the input of the label aggregators.

Problems and participants without a response, and levels that nobody gave, are left out here and put back at
the end, so the algorithms meet neither empty sums nor classes without evidence. The responses are sorted, so
that the result does not depend, to the last bit, on the order in which they came. Positions are 32-bit numbers:
of ten million labels, every byte saved is ten megabytes.

Shapes: R responses. In `Labels`, T, N and M count the answered problems, the answering participants and the
levels that occur; in an `Aggregate` they count the study's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdllm.aggregation.result import Aggregate
from crowdllm.data.responses import Responses
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Positions = NDArray[np.int32]

TIE = 1e-9
KEY_LIMIT = 2**63
CHUNK = 1 << 18


@dataclass(frozen=True)
class Labels:
    """R labels sorted by problem, participant and level, or in the order of the responses.

    problem_R, participant_R, level_R: (R,) positions in the three arrays below.
    problem_T, participant_N, level_M: positions in the study, rising.
    present_TM: (T, M) whether the problem has that option.
    study_shape: the study's numbers of problems, participants and levels.
    """

    problem_R: Positions
    participant_R: Positions
    level_R: Positions
    problem_T: Ints
    participant_N: Ints
    level_M: Ints
    present_TM: NDArray[np.bool_]
    study_shape: tuple[int, int, int]

    def counts_TM(self) -> Ints:
        """(T, M) how many responses gave each level."""
        shape = len(self.problem_T), len(self.level_M)
        return np.bincount(self.cell_R(), minlength=shape[0] * shape[1]).reshape(shape)

    def weights_TM(self, weight_R: Floats) -> Floats:
        """(T, M) the survey weight of the responses that gave each level; the labels in the responses' order."""
        shape = len(self.problem_T), len(self.level_M)
        weights = np.bincount(self.cell_R(), weight_R, minlength=shape[0] * shape[1])
        return weights.reshape(shape).astype(float)

    def cell_R(self, part: slice = slice(None)) -> Ints:
        """Where each label of a part stands in a flat (T, M) table."""
        cell_R = self.problem_R[part].astype(np.int64)
        cell_R *= len(self.level_M)
        cell_R += self.level_R[part]
        return cell_R


def read_labels(
    responses: Responses,
    response_type: ResponseType,
    problem_count: int,
    participant_count: int,
    option_counts: Ints | None = None,
    in_order: bool = True,
) -> Labels:
    """Ordinal or choice responses as `Labels`; they must be legal and within range (see `aggregate`).

    in_order: sort them, for sums of fractions; counts do not depend on the order.
    """
    levels = level_count(responses, response_type, option_counts)
    level_M, level_R = compact(responses.values_RD[:, 0].astype(np.int32), levels)
    problem_T, problem_R = compact(responses.problem_R, problem_count)
    participant_N, participant_R = compact(responses.participant_R, participant_count)
    shape = (len(problem_T), len(participant_N), len(level_M))
    label_R = sort_labels(problem_R, participant_R, level_R, shape) if in_order else (problem_R, participant_R, level_R)
    present_TM = np.ones((len(problem_T), len(level_M)), dtype=bool)
    if response_type.has_options and option_counts is not None:
        present_TM = level_M < option_counts[problem_T, None]
    study_shape = (problem_count, participant_count, levels)
    return Labels(*label_R, problem_T, participant_N, level_M, present_TM, study_shape)


def level_count(responses: Responses, response_type: ResponseType, option_counts: Ints | None) -> int:
    """M: the levels of the scale, or the most options that a problem is known to have."""
    if not response_type.has_options:
        return response_type.summary_width()
    known = 0 if option_counts is None else int(option_counts.max(initial=0))
    return max(known, response_type.summary_width()) or int(responses.values_RD.max(initial=-1)) + 1


def compact(position_R: Ints | Positions, count: int) -> tuple[Ints, Positions]:
    """The positions in 0..count-1 that occur, rising, and (R,) where in them each response's own stands."""
    occurs = np.zeros(count, dtype=bool)
    occurs[position_R] = True
    if occurs.all():
        return np.arange(count), position_R.astype(np.int32, copy=False)
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1).astype(np.int32)[position_R]


def sort_labels(
    problem_R: Positions, participant_R: Positions, level_R: Positions, shape: tuple[int, int, int]
) -> tuple[Positions, Positions, Positions]:
    """The three arrays sorted by problem, then participant, then level; `shape`: their upper ends."""
    problems, participants, levels = shape
    if problems * participants * levels >= KEY_LIMIT:
        order = np.lexsort((level_R, participant_R, problem_R))
        return problem_R[order], participant_R[order], level_R[order]
    # Sorting one integer key and taking it apart again is many times faster than sorting by three columns.
    key_R = problem_R.astype(np.int64)
    for position_R, count in ((participant_R, participants), (level_R, levels)):
        key_R *= count
        key_R += position_R
    key_R.sort()
    out = tuple(np.empty(len(key_R), dtype=np.int32) for _ in range(3))
    for start in range(0, len(key_R), CHUNK):
        part = slice(start, start + CHUNK)
        rest, out[2][part] = np.divmod(key_R[part], levels)
        out[0][part], out[1][part] = np.divmod(rest, participants)
    return out[0], out[1], out[2]


def decide(distribution_TM: Floats) -> Ints:
    """(T,) the level of highest probability; the lowest one of a tie (probabilities less than 1e-9 apart)."""
    if not distribution_TM.size:
        return np.zeros(len(distribution_TM), dtype=np.int64)
    return (distribution_TM >= distribution_TM.max(axis=1, keepdims=True) - TIE).argmax(axis=1)


def label_aggregate(
    labels: Labels,
    response_type: ResponseType,
    method: str,
    distribution_TM: Floats,
    skill_N: Floats,
    iterations: int = 0,
    converged: bool = True,
) -> Aggregate:
    """The `Aggregate` over the whole study: unanswered problems NaN, levels that nobody gave 0."""
    problems, participants, levels = labels.study_shape
    points_M = np.array(response_type.points) if isinstance(response_type, Ordinal) else np.arange(levels, dtype=float)
    decision_TD = np.full((problems, 1), np.nan)
    decision_TD[labels.problem_T, 0] = points_M[labels.level_M[decide(distribution_TM)]]
    study_TM = np.full((problems, levels), np.nan)
    study_TM[labels.problem_T] = 0.0
    study_TM[np.ix_(labels.problem_T, labels.level_M)] = distribution_TM
    study_N = np.full(participants, np.nan)
    study_N[labels.participant_N] = skill_N
    return Aggregate(method, decision_TD, study_TM, study_N, iterations, converged)
