"""How noisy one person's answer is: known from repeated answers or a stated reliability, else only bounded.

If participant i were asked the same again, having forgotten the first time, the answers would vary by eta_i^2 around
m_i, the person's own expected answer. One answer per person does not say how much of the spread between people is
noise: only V + eta^2 shows, V the variance of the m_i. So either

- some people answered the same question twice: eta^2 = mean (y - y')^2 / 2;
- a test-retest reliability r is known (from a handbook, or another study): eta^2 = (1 - r) * variance of answers;
- nothing is known: 0 <= eta^2 <= what the best prediction of single answers leaves unexplained: at most the variance of
  answers, the mean squared error of the twins' expected answers, and that of predictions from a person's other answers.

A repeated answer must be a fresh one: who remembers the first answer repeats it, and the noise looks too small; who
changed his mind in between makes it too large.

Shapes: P people who answered twice, D numbers of a response.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.problems import widest
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError, MismatchError, UnknownNameError
from crowdllm.estimation.twin_pairs import as_numbers

Array = NDArray[np.float64]
How = Literal["bounded", "reliability", "repeats"]


@dataclass(frozen=True)
class HumanNoise:
    """What is known of eta^2. how: "bounded" (nothing), "reliability" or "repeats".

    reliability: r. variance: eta^2 of a repeated response, summed over its numbers; error: its standard error;
    pairs: how many repeated answers it rests on. at_most: where it is bounded, the mean squared error of a prediction
    from the person's other answers (see `crowdllm.estimation.known_answers`); infinite where there is none.
    """

    how: How = "bounded"
    reliability: float = float("nan")
    variance: float = float("nan")
    error: float = 0.0
    pairs: int = 0
    at_most: float = float("inf")

    def explain(self) -> str:
        """In a sentence, for reports."""
        if self.how == "repeats":
            return f"human noise from {self.pairs:,} answers given twice: {self.variance:.3g} +- {self.error:.2g}"
        if self.how == "reliability":
            return f"human noise from a stated reliability of {self.reliability:g}"
        return (
            "one answer per person: human noise is only bounded (from 0 to what no prediction explains), and with it "
            "human bias and twin discrepancy; ask some people a question twice to tell them apart"
        )


def noise_from_reliability(reliability: float) -> HumanNoise:
    """From a test-retest reliability between 0 and 1; raises ConfigError for another."""
    if not 0 <= reliability <= 1:
        raise ConfigError(f"a reliability lies between 0 and 1, not {reliability}")
    return HumanNoise("reliability", reliability=reliability)


def noise_from_repeats(first_PD: Array, second_PD: Array, weight_P: Array | None = None) -> HumanNoise:
    """From two answers of each of P people, by survey weight if given; raises ConfigError for fewer than two people."""
    first_PD, second_PD = np.asarray(first_PD, dtype=float), np.asarray(second_PD, dtype=float)
    if first_PD.shape != second_PD.shape:
        raise MismatchError(f"first and second answers must pair up, not {first_PD.shape} with {second_PD.shape}")
    if len(first_PD) < 2:
        raise ConfigError(f"noise can be told from at least two repeated answers, not {len(first_PD)}")
    half_P = ((first_PD - second_PD) ** 2).reshape(len(first_PD), -1).sum(axis=1) / 2
    share_P = np.ones(len(half_P)) if weight_P is None else weight_P
    share_P = share_P / share_P.sum()
    variance = float(share_P @ half_P)
    spread = float((share_P**2) @ (half_P - variance) ** 2) * len(half_P) / (len(half_P) - 1)
    return HumanNoise("repeats", variance=variance, error=float(np.sqrt(spread)), pairs=len(half_P))


def repeated_in_study(study: Study, repeats: Sequence[tuple[str, str]]) -> HumanNoise:
    """From questions that stand in the study twice, under two ids.

    repeats: pairs of problem ids that are the same question. Raises UnknownNameError for an id that is not there.
    """
    ids = [str(i) for i in study.problems.ids]
    value_RD = as_numbers(study.responses.values_RD, study.response_type, widest(study.problems, study.response_type))
    weight_R = study.responses.weight_R
    first, second, weights = [], [], []
    for pair in repeats:
        for name in pair:
            if name not in ids:
                raise UnknownNameError("problem", name, ids, "the repeated questions")
        rows = [np.flatnonzero(study.responses.problem_R == ids.index(name)) for name in pair]
        people = [study.responses.participant_R[r] for r in rows]
        _, a, b = np.intersect1d(people[0], people[1], return_indices=True)
        first.append(value_RD[rows[0][a]])
        second.append(value_RD[rows[1][b]])
        weights.append(np.ones(len(a)) if weight_R is None else weight_R[rows[0][a]])
    width = value_RD.shape[1]
    none = np.zeros((0, width))
    both = [np.concatenate([none, *part]) for part in (first, second)]
    return noise_from_repeats(both[0], both[1], np.concatenate([np.zeros(0), *weights]))


def human_noise(study: Study, reliability: float | None, repeats: Sequence[tuple[str, str]]) -> HumanNoise:
    """What is known: repeated questions, else a reliability, else nothing. Raises ConfigError where both are given."""
    if repeats and reliability is not None:
        raise ConfigError("human noise comes from repeated questions or from a stated reliability: give one of the two")
    if repeats:
        return repeated_in_study(study, repeats)
    return HumanNoise() if reliability is None else noise_from_reliability(reliability)
