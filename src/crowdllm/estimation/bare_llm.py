"""The bare LLM: its answer to each problem as numbers, and how much that answer varies when it is asked again.

With K draws y'_k of a problem, y_ref = mean_k y'_k and eta(t) = their variance (ddof 1). One decision at temperature 0
has no randomness to show: eta(t) is taken as 0, which is right for a deterministic server and too small for others. A
source that gives a distribution is taken as one that answers with its mean: eta(t) = 0. Of several sources the answers
are averaged, and eta(t) is the mean of theirs.

Shapes: T problems, K draws, D numbers of a response.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.problems import Problems, widest
from crowdllm.errors import MismatchError
from crowdllm.estimation.twin_pairs import as_numbers
from crowdllm.reference import Reference, References
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BareLLM:
    """answer_TD: y_ref, NaN rows where it said nothing.

    randomness_T: eta(t), the variance of one answer, summed over D.
    answer_variance_T: the variance of y_ref itself, eta(t) / K.
    """

    answer_TD: Array
    randomness_T: Array
    answer_variance_T: Array


def bare_llm(references: References | None, kind: ResponseType, problems: Problems) -> BareLLM:
    """The sources' answers to these problems; raises MismatchError where there is no source."""
    if references is None or not references.sources:
        raise MismatchError("there is no bare LLM to compare with: name a source of references")
    parts = [_of_source(source, kind, widest(problems, kind)) for source in references.aligned(problems).sources]
    answer, randomness, variance = (np.stack(part) for part in zip(*parts, strict=True))
    said = ~np.isnan(answer).any(axis=2)
    count = np.maximum(said.sum(axis=0), 1)
    mean_TD = np.where(said[:, :, None], answer, 0).sum(axis=0) / count[:, None]
    mean_TD[~said.any(axis=0)] = np.nan
    randomness_T = np.where(said, randomness, 0).sum(axis=0) / count
    return BareLLM(mean_TD, randomness_T, np.where(said, variance, 0).sum(axis=0) / count**2)


def _of_source(source: Reference, kind: ResponseType, options: int) -> tuple[Array, Array, Array]:
    """(T, D) answer, (T,) variance of one answer, (T,) variance of the mean answer."""
    draws = source.values_TKD.shape[1]
    value_TKD = np.stack([as_numbers(source.values_TKD[:, k], kind, options) for k in range(draws)], axis=1)
    said = np.asarray(~np.isnan(value_TKD).any(axis=2))
    count = said.sum(axis=1)
    total = np.where(said[:, :, None], value_TKD, 0).sum(axis=1)
    answer = np.divide(total, count[:, None], out=np.full(total.shape, np.nan), where=count[:, None] > 0)
    square = np.where(said[:, :, None], (value_TKD - answer[:, None]) ** 2, 0).sum(axis=(1, 2))
    randomness = np.where(count > 1, square / np.maximum(count - 1, 1), 0.0)
    if source.distribution_TM is not None:
        share_TM = source.distribution_TM
        given = np.flatnonzero(np.asarray(~np.isnan(share_TM).any(axis=1)))
        points = np.asarray(kind.points)[:, None] if isinstance(kind, Ordinal) else np.eye(share_TM.shape[1])
        answer[given] = (share_TM[given] @ points)[:, : answer.shape[1]]
        randomness[given] = 0.0
    return answer, randomness, randomness / np.maximum(count, 1)
