"""Where a crowd's error comes from: theorem 2's five terms and the remainder, and proposition 1 for the bare LLM.

For one problem, n people answer y_i = m_i + noise (variance eta_i^2), their twins y~_i = m~_i + noise (eta~_i^2), and
the crowd's mean is held against the people's mean Y = mean_i y_i. With squared loss the terms of CrowdLLM (arXiv
2512.07890, theorem 2) are

    L1 = mean_i E (Y - m_i)^2        average human bias      = (1 - 1/n) V + eta^2 / n,  V the variance of the m_i
    L2 = mean_i eta_i^2              human noise
    L3 = mean_i (m_i - m~_i)^2       twin discrepancy
    L4 = mean_i eta~_i^2             allowed uncertainty
    L5 = mean_i E (y~ - y~_i)^2      digital diversity, y~ = mean_i y~_i

The print has L = L1 + L2 + L3 + L4 - L5. The ambiguity decomposition
(Y - y~)^2 = mean_i (Y - y~_i)^2 - mean_i (y~ - y~_i)^2 gives instead, for independent noise,

    E (Y - y~)^2 = L1 + L3 + L4 - L5 + C,      C = 2 mean_i E (Y - m_i)(m_i - m~_i),

since Y's own noise stands in L1 already, and C does not vanish: twins that know nothing of their person have
C = -2 (1 - 1/n) V. So the sum of the five misses the risk by the remainder C - L2, which is estimated and shown. For
the bare LLM's answer with randomness eta(t) (proposition 1), L' = L1 + L2 + mean_i (m_i - y_ref)^2 + eta(t) and a
remainder, which is -2 (1 - 1/n) V - L2. A crowd beats the bare LLM where L < L'; what concerns people alone cancels.

From one answer per person only L1 + L2 and L2 + L3 show (see `crowdllm.estimation.human_noise`). L4, L5, the risk and
L' need no such knowledge. Estimates come with bootstrap intervals over people and problems; bounded terms as the range
that is possible, widened by the same error at both ends.

With survey weights every mean over people is weighted, Y and the twins' mean too, and n is Kish's effective number of
people; the identities above hold as they stand.

Shapes: T problems, R pairs, D numbers of a response, B bootstrap draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from crowdllm.errors import ConfigError, UnknownNameError
from crowdllm.estimation.bare_llm import BareLLM
from crowdllm.estimation.human_noise import HumanNoise
from crowdllm.estimation.risk_moments import Moments, effective_people, moments, prepare
from crowdllm.estimation.twin_pairs import TwinPairs
from crowdllm.rng import generator

Array = NDArray[np.float64]
OVER = ("both", "people", "problems")
LABELS = {
    "L1": "L1 average human bias",
    "L2": "L2 human noise",
    "L3": "L3 twin discrepancy",
    "L4": "L4 allowed uncertainty",
    "L5": "L5 digital diversity (-)",
    "sum": "L1 + L2 + L3 + L4 - L5",
    "remainder": "remainder",
    "risk": "error, measured",
    "bare risk": "bare LLM's error, measured",
}
MEANINGS = {
    "L1": "average human bias: how far single people's opinions lie from their own average",
    "L2": "human noise: how much one person's answer varies when asked again",
    "L3": "twin discrepancy: how far a twin's expected answer lies from its person's",
    "L4": "allowed uncertainty: how much one twin's answer varies when asked again",
    "L5": "digital diversity: how far the twins' answers lie from their own average (lowers the error)",
    "remainder": "cross terms that the published sum leaves out",
    "sum": "L1 + L2 + L3 + L4 - L5",
    "risk": "squared error of the crowd's mean against the people's mean, measured directly",
    "bare L3": "distance of people's opinions from the bare LLM's answer",
    "bare randomness": "how much the bare LLM's answer varies when asked again",
    "bare remainder": "cross terms that proposition 1 leaves out",
    "bare sum": "L1 + L2 + bare L3 + bare randomness",
    "bare risk": "squared error of the bare LLM's answer against the people's mean, measured directly",
    "advantage": "bare risk - risk: above 0 where the crowd is the better of the two",
}


@dataclass(frozen=True)
class RiskTerm:
    """One term, in squared units of the scale. estimate: NaN where it is only bounded by low and high.

    how: "estimated", or "bounded" where single answers do not tell it from another term.
    """

    term: str
    estimate: float
    low: float
    high: float
    how: str
    meaning: str


@dataclass(frozen=True)
class RiskReport:
    """All terms in the order of MEANINGS, averaged over `problems` problems with at least two answers.

    left_out: problems with fewer than two answers. draws, over, level: of the intervals. noise: what was known.
    """

    terms: tuple[RiskTerm, ...]
    people: int
    problems: int
    responses: int
    left_out: int
    over: str
    draws: int
    level: float
    noise: HumanNoise

    def __getitem__(self, term: str) -> RiskTerm:
        by_name = {t.term: t for t in self.terms}
        if term not in by_name:
            raise UnknownNameError("term", term, by_name)
        return by_name[term]

    def frame(self) -> pd.DataFrame:
        """A row per term, for a CSV."""
        names = [field.name for field in fields(RiskTerm)]
        return pd.DataFrame([[getattr(t, n) for n in names] for t in self.terms], columns=names)


def decompose_risk(
    pairs: TwinPairs,
    bare: BareLLM | None = None,
    noise: HumanNoise | None = None,
    over: str = "both",
    draws: int = 300,
    level: float = 0.95,
    seed: int = 0,
) -> RiskReport:
    """The terms of the crowd's error and, with `bare`, of the bare LLM's.

    pairs: from people and problems that the model was not fitted on. over: what is drawn anew for the intervals:
    people, problems (few problems that are all there is: take "people"), or both, whose variances are added up (never
    too small; too large by at most the part of single answers).

    Raises ConfigError where no problem has two answers, and for settings out of range.
    """
    if over not in OVER:
        raise UnknownNameError("bootstrap", over, OVER)
    if draws < 2 or not 0 < level < 1:
        raise ConfigError(f"intervals need at least 2 draws and a level between 0 and 1, not {draws} and {level}")
    kept, left_out = _usable(pairs, bare)
    count_T = np.bincount(kept.problem_R, minlength=kept.problems)
    sums = prepare(kept, None if bare is None else bare.answer_TD)
    people_T = effective_people(sums, kept.problem_R, kept.problems)
    noise = noise or HumanNoise()
    randomness_T = np.full(kept.problems, np.nan) if bare is None else bare.answer_variance_T
    single_T = np.full(kept.problems, np.nan) if bare is None else bare.randomness_T

    def all_terms(weight_R: Array, weight_T: Array, shift: float) -> tuple[dict[str, float], dict[str, float]]:
        found = moments(sums, kept.problem_R, kept.problems, weight_R)
        average = _average(found, count_T, people_T, weight_T)
        average |= {"answer variance": _mean(randomness_T, weight_T, count_T)}
        average |= {"randomness": _mean(single_T, weight_T, count_T)}
        low, high = _noise_range(average, noise, shift)
        return _terms(average, low), _terms(average, high)

    ones_R, ones_T = np.ones(len(kept.person_R)), np.ones(kept.problems)
    low, high = all_terms(ones_R, ones_T, 0.0)
    error = _errors(kept, over, draws, seed, all_terms)
    z = float(ndtri(0.5 + level / 2))
    terms = [_term(name, low[name], high[name], z * error[name], noise) for name in MEANINGS if _shown(name, bare)]
    people = len(np.unique(kept.person_R))
    problems = int((count_T > 0).sum())
    return RiskReport(tuple(terms), people, problems, len(kept.person_R), left_out, over, draws, level, noise)


def _usable(pairs: TwinPairs, bare: BareLLM | None) -> tuple[TwinPairs, int]:
    """Problems with two answers at least and, where it is compared, an answer of the LLM."""
    count_T = np.bincount(pairs.problem_R, minlength=pairs.problems)
    fit_T = count_T >= 2
    if bare is not None:
        fit_T &= ~np.isnan(bare.answer_TD).any(axis=1)
    if not fit_T.any():
        raise ConfigError("no problem has two human answers (and an answer of the LLM); the error needs at least one")
    return pairs.take(fit_T[pairs.problem_R]), int(((count_T > 0) & ~fit_T).sum())


def _shown(name: str, bare: BareLLM | None) -> bool:
    return bare is not None or not (name.startswith("bare") or name == "advantage")


def _mean(value_T: Array, weight_T: Array, count_T: NDArray[np.int64]) -> float:
    known = (count_T >= 2) & ~np.isnan(value_T)
    total = weight_T[known].sum()
    return float((weight_T[known] * value_T[known]).sum() / total) if total > 0 else np.nan


def _average(m: Moments, count_T: NDArray[np.int64], people_T: Array, weight_T: Array) -> dict[str, float]:
    """Averages over problems of what does not need the noise; `1/n` is that of each problem as it was observed."""
    part = 1 / np.maximum(people_T, 1)
    both = {
        "spread": m.spread, "spread/n": m.spread * part, "1/n": np.where(np.isnan(m.spread), np.nan, part),
        "miss": m.miss, "together": m.together * (1 - part), "twin noise": m.twin_noise,
        "diversity": m.twin_spread * (1 - part), "risk": (1 - part) * m.gap[0] + part * m.gap[1],
        "bare miss": m.bare_miss, "bare risk": (1 - part) * m.bare_gap[0] + part * m.bare_gap[1],
    }  # fmt: skip
    return {name: _mean(value_T, weight_T, count_T) for name, value_T in both.items()}


def _noise_range(average: dict[str, float], noise: HumanNoise, shift: float) -> tuple[float, float]:
    """The least and greatest eta^2 that is possible. shift: standard errors by which repeats are moved in a draw."""
    if noise.how == "repeats":
        value = noise.variance + shift * noise.error
        return value, value
    if noise.how == "reliability":
        value = (1 - noise.reliability) * average["spread"]
        return value, value
    return 0.0, max(0.0, min(average["spread"], average["miss"], noise.at_most))


def _terms(a: dict[str, float], eta: float) -> dict[str, float]:
    """Every term for a human noise of eta (the same, on average, whatever a problem's number of people)."""
    scaled = a["spread"] - a["spread/n"]
    opinions = scaled - eta * (1 - a["1/n"])  # (1 - 1/n) V
    one = opinions + eta * a["1/n"]
    three = a["miss"] - eta
    four, five = a["twin noise"], a["diversity"]
    cross = 2 * (a["together"] - opinions)
    bare_three = a["bare miss"] - eta - a["answer variance"]
    out = {
        "L1": one, "L2": eta, "L3": three, "L4": four, "L5": five, "remainder": cross - eta,
        "sum": one + eta + three + four - five, "risk": a["risk"], "bare L3": bare_three,
        "bare randomness": a["randomness"], "bare remainder": -2 * opinions - eta,
        "bare sum": one + eta + bare_three + a["randomness"],
        "bare risk": a["bare risk"] - a["answer variance"] + a["randomness"],
    }  # fmt: skip
    return out | {"advantage": out["bare risk"] - out["risk"]}


def _errors(
    pairs: TwinPairs, over: str, draws: int, seed: int, all_terms: Callable[..., tuple[dict[str, float], ...]]
) -> dict[str, float]:
    """Standard error of every term: of people drawn anew, of problems drawn anew, or of both."""
    variance = dict.fromkeys(MEANINGS, 0.0)
    for what in ("people", "problems") if over == "both" else (over,):
        rng = generator(seed, f"risk:{what}")
        drawn: dict[str, list[float]] = {name: [] for name in MEANINGS}
        for _ in range(draws):
            weight_R, weight_T = np.ones(len(pairs.person_R)), np.ones(pairs.problems)
            if what == "people":
                weight_R = _redrawn(np.unique(pairs.person_R), pairs.people, rng)[pairs.person_R]
            else:
                weight_T = _redrawn(np.unique(pairs.problem_R), pairs.problems, rng)
            ends = all_terms(weight_R, weight_T, float(rng.standard_normal()))
            for name in MEANINGS:
                drawn[name].append((ends[0][name] + ends[1][name]) / 2)
        for name, values in drawn.items():
            known = np.array(values)[~np.isnan(values)]
            variance[name] += float(known.var(ddof=1)) if len(known) > 1 else np.nan
    return {name: float(np.sqrt(value)) for name, value in variance.items()}


def _redrawn(units: NDArray[np.int64], size: int, rng: np.random.Generator) -> Array:
    """How often each unit is drawn, of as many draws with replacement as there are units."""
    chosen = units[rng.integers(len(units), size=len(units))]
    return np.bincount(chosen, minlength=size).astype(float)


def _term(name: str, first: float, second: float, margin: float, noise: HumanNoise) -> RiskTerm:
    """A term from its values at both ends of what the noise may be."""
    low, high = min(first, second), max(first, second)
    bounded = noise.how == "bounded" and high - low > 1e-12 * max(1.0, abs(high))
    floor = 0.0 if name in ("L1", "L2", "L3", "L4", "L5") else -np.inf
    estimate = np.nan if bounded else first
    how = "bounded" if bounded else "estimated"
    return RiskTerm(name, estimate, max(low - margin, floor), high + margin, how, MEANINGS[name])
