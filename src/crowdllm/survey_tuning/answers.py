"""Answers of virtual participants: the model's distribution over the possible answers, then an answer drawn from it.

Every candidate is scored over all of its tokens; q(a) = P(a) / sum P is the distribution at temperature 1, and
q_t(a) ~ q(a)^(1/t) at temperature t. Temperature 0 is greedy: the likeliest candidate. So an answer is always legal.
With a `profile_weight` w below 1 the distribution is w times the person's and 1 - w times that of the
question asked without a profile: a model that learned from few people says too much about a person, and less is closer
to people it has not seen.

Draws take one uniform number each, keyed by (seed, participant, problem) by who asks for them.

Shapes: R pairs, P different prompts, M candidates (the most of any problem).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.errors import ConfigError
from crowdllm.survey_tuning.cells import AnswerSet, answer_set, ended, prompt_tokens, require_room
from crowdllm.survey_tuning.interview import Interview
from crowdllm.survey_tuning.scoring import answer_log_probabilities, answer_tree
from crowdllm.survey_tuning.tuned import Tuned

Array = NDArray[np.float64]
Index = NDArray[np.int64]
TOKENS_AT_ONCE = {"cpu": 4096, "cuda": 65536}


@dataclass(frozen=True)
class Shares:
    """What the model would answer in R places.

    log_p_RM: logarithms of the candidates' shares, -inf where a problem has fewer. values_RM: the responses that the
    candidates stand for; points_RM: what they count as (NaN for options). stray_R: the probability of no candidate.
    """

    log_p_RM: Array
    values_RM: Array
    points_RM: Array
    stray_R: Array

    def at(self, temperature: float = 1.0) -> Array:
        """(R, M) probabilities at this temperature; raises ConfigError for one below 0."""
        return at_temperature(self.log_p_RM, temperature)

    def tempered(self, temperature: float) -> Shares:
        """The distributions at this temperature in the place of those at 1; raises as `at`."""
        with np.errstate(divide="ignore"):
            return replace(self, log_p_RM=np.log(self.at(temperature)))

    def take(self, rows: Index) -> Shares:
        return Shares(self.log_p_RM[rows], self.values_RM[rows], self.points_RM[rows], self.stray_R[rows])


def at_temperature(log_p_RM: Array, temperature: float) -> Array:
    """(R, M) probabilities ~ exp(log_p / t); at 0 all on the likeliest (the first of equals)."""
    if not np.isfinite(temperature) or temperature < 0:
        raise ConfigError(f"a temperature is a number of at least 0, not {temperature!r}")
    if not log_p_RM.size:
        return np.zeros(log_p_RM.shape)
    top_R1 = log_p_RM.max(axis=1, keepdims=True)
    if temperature == 0:
        return np.asarray(np.arange(log_p_RM.shape[1]) == log_p_RM.argmax(axis=1)[:, None], dtype=float)
    with np.errstate(over="ignore"):  # a tiny temperature: the others' weight is exp(-inf) = 0
        weight_RM = np.exp((log_p_RM - top_R1) / temperature)
    return np.asarray(weight_RM / weight_RM.sum(axis=1, keepdims=True))


def mixed(told: Shares, untold: Shares, weight: float) -> Shares:
    """Shares of which `weight` (0 to 1) goes by the profile (`told`), and the rest by the question alone."""
    if weight == 1:
        return told
    with np.errstate(divide="ignore"):
        parts = np.log([weight, 1 - weight])
    log_p_RM = np.logaddexp(parts[0] + told.log_p_RM, parts[1] + untold.log_p_RM)
    stray_R = weight * told.stray_R + (1 - weight) * untold.stray_R
    return Shares(log_p_RM, told.values_RM, told.points_RM, stray_R)


def answer_shares(
    tuned: Tuned, interview: Interview, problems: Problems, people: Profiles | None, person_R: Index, problem_R: Index
) -> Shares:
    """The distribution over candidates of each pair. people: None to ask without a profile.

    Raises MismatchError for prompts that are too long or forge markers, UnknownNameError where a column is missing.
    """
    told = asked_shares(tuned, interview, problems, people, person_R, problem_R)
    if people is None or tuned.profile_weight == 1:
        return told
    return mixed(told, asked_shares(tuned, interview, problems, None, person_R, problem_R), tuned.profile_weight)


def asked_shares(
    tuned: Tuned, interview: Interview, problems: Problems, people: Profiles | None, person_R: Index, problem_R: Index
) -> Shares:
    """As `answer_shares`, of these prompts alone: with a profile nothing is mixed in."""
    prompts, prompt_R = interview.prompts(problems, people, person_R, problem_R)
    asked = np.unique(problem_R).tolist()
    possible = {t: interview.candidates(problems, t) for t in asked}
    most = max((len(found) for found in possible.values()), default=0)
    values_TM = np.full((len(problems), most), np.nan)
    points_TM = np.full((len(problems), most), np.nan)
    sets: dict[int, AnswerSet] = {}
    for t, found in possible.items():
        sets[t] = answer_set(tuned.model, found, ended=ended(interview, tuned.config))
        values_TM[t, : len(found)] = found.values
        points_TM[t, : len(found.points)] = found.points
    problem_P = np.zeros(len(prompts), dtype=np.int64)
    problem_P[prompt_R] = problem_R
    tokens = [prompt_tokens(tuned.model, prompt) for prompt in prompts]
    for prompt, ids, t in zip(prompts, tokens, problem_P.tolist(), strict=True):
        require_room(tuned.model, prompt, len(ids), sets[t])
    log_P_PM = _score(tuned, tokens, [sets[t] for t in problem_P.tolist()], most)
    norm_P1 = np.logaddexp.reduce(log_P_PM, axis=1, keepdims=True) if most else np.zeros((len(prompts), 0))
    stray_P = np.clip(1 - np.exp(norm_P1[:, 0]), 0, 1) if most else np.zeros(len(prompts))
    shares_PM = log_P_PM - norm_P1 if most else log_P_PM
    return Shares(shares_PM[prompt_R], values_TM[problem_R], points_TM[problem_R], stray_P[prompt_R])


def _score(tuned: Tuned, prompts: list[tuple[int, ...]], sets: list[AnswerSet], most: int) -> Array:
    """(P, M) log probabilities of all candidates, -inf for those a problem does not have; longest prompts first."""
    import torch

    model = tuned.model.lm.model.eval()
    budget = TOKENS_AT_ONCE["cuda" if model.device.type == "cuda" else "cpu"]
    out = np.full((len(prompts), most), -np.inf)
    by_set: dict[AnswerSet, list[int]] = {}
    for p, answers in enumerate(sets):
        by_set.setdefault(answers, []).append(p)
    with torch.inference_mode():
        for answers, rows in by_set.items():
            tree = answer_tree(answers.tokens[: answers.candidates])
            rows = sorted(rows, key=lambda p: -len(prompts[p]))
            start = 0
            while start < len(rows):
                size = max(1, budget // (len(prompts[rows[start]]) + len(tree.token_n)))
                some = rows[start : start + size]
                log_p = answer_log_probabilities(model, [prompts[p] for p in some], tree)
                out[some, : answers.candidates] = log_p.double().cpu().numpy()
                start += size
    return out


def draw_answers(shares: Shares, temperature: float, uniform_R: Array) -> Array:
    """(R, 1) responses, each where its uniform number falls in its distribution; greedy at temperature 0."""
    if not len(shares.log_p_RM):
        return np.zeros((0, 1))
    below_RM = shares.at(temperature).cumsum(axis=1)
    chosen_R = (below_RM <= (uniform_R * below_RM[:, -1])[:, None]).sum(axis=1)
    return shares.values_RM[np.arange(len(chosen_R)), chosen_R][:, None]
