"""Candidates for the population's prior and penalties, each believed by its score on held-out problems.

Weights are pseudo-Bayesian model averaging with the Bayesian bootstrap (Yao, Vehtari, Simpson, Gelman 2018): with many
held-out units one candidate takes all, with few nothing is staked on noise.

A handful of people tell little about a population whatever they agree on. Where few people were asked and there is a
reference, the held-out people are joined by imagined ones who answer as the reference's distribution says, worth
`IMAGINED` people in all: to leave the reference, the real ones must speak louder.

Shapes: C candidates, U held-out units (problems or people), Q imagined people, S bootstrap draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.counted import Answers
from crowdllm.belief.population_fit import FREE, Candidate, Parameters, PopulationFitter
from crowdllm.config import CrowdConfig
from crowdllm.data.responses import Responses
from crowdllm.responses.protocol import Array
from crowdllm.rng import generator

FEW_PEOPLE = 12  # below it, folds leave people out
SEARCH_ITERATIONS = 20  # scores settle long before the parameters do
IMAGINED, IMAGINED_DRAWS = 2.0, 24
PRIOR_INTERCEPT = 2.0  # precision of the crowd's mean around that of an LLM's bare decisions, in latent units
Progress = Callable[[str, int, int], None]


def held_out_weights(
    fitter: PopulationFitter, responses: Responses, config: CrowdConfig, seed: int, progress: Progress | None = None
) -> tuple[list[Candidate], Array, dict[str, float]]:
    """Candidates, their weights (C,), and their held-out log scores by name.

    With too few problems to hold any out, the candidate in the middle of the grid takes all.
    """
    folds = [_imagine(fitter, fold, seed + f) for f, fold in enumerate(_folds(fitter, responses, config, seed))]
    if not folds:
        middle = {
            name: (getattr(config, name)[len(getattr(config, name)) // 2],)
            for name in ("reference_penalties", "embedding_penalties")
        }
        return [make_candidates(fitter, config.model_copy(update=middle))[-1]], np.ones(1), {}
    candidates = make_candidates(fitter, config)
    steps = count(1)

    def weighed() -> None:
        if progress:
            progress("fitting the population's distribution", next(steps), len(folds) * len(candidates))

    scores_CU = np.sum([_held_out_scores(fitter, candidates, fold, weighed) for fold in folds], axis=0)
    mean = scores_CU[:, : folds[0].units].sum(axis=1) / sum(fold.held.count_B.sum() for fold in folds)
    named = {
        f"reference_prior={c.prior} penalties={c.reference:g},{c.embedding:g}": round(float(m), 6)
        for c, m in zip(candidates, mean, strict=True)
    }
    worth = np.ones(scores_CU.shape[1])
    worth[folds[0].units :] = IMAGINED / IMAGINED_DRAWS
    return candidates, average_weights(scores_CU, generator(seed, "population:bootstrap"), worth), named


def make_candidates(fitter: PopulationFitter, config: CrowdConfig) -> list[Candidate]:
    """Every prior alone, with its reference features, and with the embedding too; the last has all."""
    held = float("inf")
    candidates = []
    for prior in (None, fitter.prior) if fitter.prior else (None,):
        # without the reference as prior the intercept is the pooled histogram and needs hardly any penalty
        alone = FREE if prior is None else held if prior.soft else PRIOR_INTERCEPT
        candidates.append(Candidate(prior is not None, alone, held, held))
        for reference in sorted(config.reference_penalties, reverse=True):
            intercept = FREE if prior is None else reference if prior.soft else PRIOR_INTERCEPT
            for embedding in (held, *sorted(config.embedding_penalties, reverse=True)):
                candidates.append(Candidate(prior is not None, intercept, reference, embedding))
    return candidates


def describe(candidate: Candidate, weight: float) -> dict[str, Any]:
    """The candidate with the largest weight, for the record; JSON knows no infinity."""

    def finite(penalty: float) -> float | str:
        return penalty if np.isfinite(penalty) else "held at the prior"

    return {
        "reference_prior": candidate.prior,
        "reference_penalty": finite(candidate.reference),
        "embedding_penalty": finite(candidate.embedding),
        "weight": round(weight, 4),
    }


@dataclass(frozen=True)
class _Fold:
    """Answers to fit on, answers held out, and which unit (problem, or person) each of those belongs to."""

    inside: Answers
    held: Answers
    unit_H: NDArray[np.int64]
    units: int
    by_person: bool
    imagined: Answers | None = None
    groups: int = 1


def _folds(fitter: PopulationFitter, responses: Responses, config: CrowdConfig, seed: int) -> list[_Fold]:
    """Folds over problems; over problems crossed with people where few people answered.

    The answers of one person go together. Where three people gave all training responses, their strictness looks
    like the population's on any problem, and only a person who was left out tells otherwise.
    """
    answered, people = responses.answered, responses.people
    if len(answered) < config.min_problems_to_tune:
        return []
    order = generator(seed, "population:folds").permutation(answered)
    if len(people) >= FEW_PEOPLE or len(people) < 2:
        problem_folds = np.array_split(order, config.folds)
        people_folds = [np.zeros(0, dtype=np.int64)]
    else:
        problem_folds = np.array_split(order, 2)
        shuffled = generator(seed, "population:people").permutation(people)
        people_folds = np.array_split(shuffled, min(config.folds, len(people)))
    folds: list[_Fold] = []
    groups = len(people_folds)
    if groups == 1 and not fitter.by_person:
        whole = fitter.answers(responses)
        chosen = [np.isin(whole.problem_B, problems) for problems in problem_folds]
        parts = [(whole.take(~held), whole.take(held)) for held in chosen if held.any() and not held.all()]
        return [_Fold(i, h, np.searchsorted(answered, h.problem_B), len(answered), False) for i, h in parts]
    for problems, group in product(problem_folds, people_folds):
        problem, person = np.isin(responses.problem_R, problems), np.isin(responses.participant_R, group)
        by_person = len(group) > 0
        inside, held = (~problem & ~person, problem & person) if by_person else (~problem, problem)
        if not inside.any() or not held.any():
            continue
        out = responses.take(held)
        unit, units = (out.participant_R, people) if by_person else (out.problem_R, answered)
        answers = fitter.answers(responses.take(inside))
        kept_apart = Answers.of(out, by_person=True)
        folds.append(_Fold(answers, kept_apart, np.searchsorted(units, unit), len(units), by_person, None, groups))
    return folds


def _held_out_scores(
    fitter: PopulationFitter, candidates: list[Candidate], fold: _Fold, weighed: Callable[[], None]
) -> Array:
    """(C, U + Q) summed log score of the fold's held-out responses of each problem (or person), then of the imagined.

    Each candidate starts from the one before it, which differs in one penalty or in the prior.
    """
    import torch

    scores_CU = np.zeros((len(candidates), fold.units + (IMAGINED_DRAWS if fold.imagined else 0)))
    last: Parameters | None = None
    for c, candidate in enumerate(candidates):
        near = last is not None and candidate.prior == candidates[c - 1].prior
        last = fitter.fit(fold.inside, candidate, last if near else None, SEARCH_ITERATIONS)
        raw, extras = fitter.raw(last), torch.from_numpy(last.extras)
        if fold.by_person and fitter.by_person:
            scores_CU[c, np.unique(fold.unit_H)] = fitter.person_scores(raw, extras, fold.held)
        else:
            scores = fitter.answer_scores(raw, extras, fold.held).numpy()
            scores_CU[c, : fold.units] = np.bincount(fold.unit_H, scores, minlength=fold.units)
        if fold.imagined:  # each problem is held out once for every group of people
            scores_CU[c, fold.units :] = fitter.person_scores(raw, extras, fold.imagined) / fold.groups
        weighed()
    return scores_CU


def _imagine(fitter: PopulationFitter, fold: _Fold, seed: int) -> _Fold:
    """The fold with people who answer its problems as the reference says, as often as a held-out person does."""
    if not fold.by_person or not fitter.by_person or fitter.prior is None:
        return fold
    rng = generator(seed, "population:imagined")
    problems, people = np.unique(fold.held.problem_B), np.unique(fold.unit_H)
    each = max(1, round(len(fold.unit_H) / len(people)))
    problem_R = rng.choice(problems, size=(IMAGINED_DRAWS, each)).ravel()
    values_RD = fitter.drawn_from_prior(problem_R, rng)
    person_R = np.repeat(np.arange(IMAGINED_DRAWS), each)
    return replace(fold, imagined=Answers(problem_R, values_RD, np.ones(len(problem_R)), person_R))


def average_weights(
    scores_CU: Array, rng: np.random.Generator, worth_U: Array | None = None, draws: int = 500
) -> Array:
    """(C,) weights of the candidates, averaged over Bayesian-bootstrap weights of the held-out units.

    worth_U: how many units each unit counts for; 1 when None.
    """
    worth_U = np.ones(scores_CU.shape[1]) if worth_U is None else worth_U
    share_SU = rng.dirichlet(worth_U, size=draws) * worth_U.sum()
    total_SC = share_SU @ scores_CU.T
    weight_SC = np.exp(total_SC - total_SC.max(axis=1, keepdims=True))
    return np.asarray((weight_SC / weight_SC.sum(axis=1, keepdims=True)).mean(axis=0))
