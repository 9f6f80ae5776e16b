"""Problems' own effects: what neither the reference nor the text says, learned from the answers to the problem itself.

r_t ~ N(0, v S) in raw parameters. The variance v is chosen on held-out responses. The shape S is the identity or, where
problems are many, how problems really differ: on `offensiveness` mostly by whether anybody minds at all. It is
estimated from the effects of two disjoint parts of the answers, whose product has no share of either part's noise.
Both are chosen with the parameters fitted without the held-out responses: those that have seen them leave less to
explain, and a few much-answered problems would be drawn to what their texts or references say.

Shapes: I items, Wi raw width per item, B answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.counted import Answers, distinct_pairs
from crowdllm.belief.population_fit import Parameters, PopulationFitter
from crowdllm.config import CrowdConfig
from crowdllm.data.responses import Responses
from crowdllm.responses.protocol import Array
from crowdllm.rng import generator

FEWEST_TO_SHAPE = 50  # items from which the shape of their differences can be told
LEAST_SHARE = 0.03  # of the largest direction's variance: none is taken to be the same for all problems
FOLDS = 3


class EffectPrior(NamedTuple):
    """The prior of own effects: variance times shape (Wi, Wi), None for the identity; the scores are for the record."""

    variance: float
    shape_WW: Array | None = None
    scores: Mapping[str, float] = MappingProxyType({})

    def describe(self) -> dict[str, Any]:
        shape = "alike in all directions" if self.shape_WW is None else "as problems differ"
        return {"effect_variance": self.variance, "effect_shape": shape, "effect_log_score": dict(self.scores)}


def tune_effects(
    fitter: PopulationFitter,
    responses: Responses,
    fit: Callable[[Answers], Parameters],
    config: CrowdConfig,
    seed: int,
) -> EffectPrior:
    """The prior with the best log score on held-out responses. fit: the parameters given some of the answers."""
    import torch

    if len(responses) < 10:
        return EffectPrior(0.1)
    shaped = len(responses.answered) >= FEWEST_TO_SHAPE and fitter.item_width > 1 and not fitter.by_person
    scores = {(s, v): 0.0 for s in range(1 + shaped) for v in config.effect_variances if v or not s}
    shapes: list[Array] = []
    fold_R = generator(seed, "population:responses").integers(0, FOLDS, len(responses))
    for inside, outside, halves in _folds(fitter, responses, fold_R):
        parameters = fit(inside)
        raw, extras = fitter.raw(parameters), torch.from_numpy(parameters.extras)
        if shaped:
            shapes.append(shape_of(*(fitter.effects(half, parameters, 1.0) for half in halves)))
        for s, variance in scores:
            effects = fitter.effects(inside, parameters, variance, shapes[-1] if s else None)
            score = fitter.answer_scores(raw + torch.from_numpy(effects), extras, outside).sum()
            scores[s, variance] += float(score) / responses.amount
    best = max(scores, key=lambda key: scores[key])
    named = {f"{'shaped ' if s else ''}{v:g}": round(score, 6) for (s, v), score in scores.items()}
    return EffectPrior(best[1], np.mean(shapes, axis=0) if best[0] else None, named)


def shape_of(one_IW: Array, other_IW: Array) -> Array:
    """(Wi, Wi) the covariance of effects, of mean variance 1, from two estimates with independent errors."""
    product = one_IW.T @ other_IW
    values, vectors = np.linalg.eigh((product + product.T) / 2)
    if values[-1] <= 0:
        return np.eye(len(values))
    values = np.maximum(values, LEAST_SHARE * values[-1])
    return np.asarray((vectors * (values / values.mean())) @ vectors.T)


def _folds(
    fitter: PopulationFitter, responses: Responses, fold_R: NDArray[np.int64]
) -> list[tuple[Answers, Answers, list[Answers]]]:
    """Per fold: the answers of the other folds, its own, and those of each other fold by itself."""
    if fitter.by_person or fitter.type.kind == "continuous":
        parts = [fitter.answers(responses.take(fold_R == fold)) for fold in range(FOLDS)]
        inside = [fitter.answers(responses.take(fold_R != fold)) for fold in range(FOLDS)]
        return [(inside[fold], parts[fold], parts[:fold] + parts[fold + 1 :]) for fold in range(FOLDS)]
    problem_B, values_BD, pair_R = distinct_pairs(responses)
    weight_R = responses.weight_R
    counts = []
    for fold in range(FOLDS):
        weight = None if weight_R is None else weight_R[fold_R == fold]
        counts.append(np.bincount(pair_R[fold_R == fold], weight, len(problem_B)).astype(float))

    def counted(count_B: Array) -> Answers:
        return Answers(problem_B, values_BD, count_B).take(count_B > 0)

    apart = [counted(count_B) for count_B in counts]
    whole = [counted(np.sum(counts[:fold] + counts[fold + 1 :], axis=0)) for fold in range(FOLDS)]
    return [(whole[fold], apart[fold], apart[:fold] + apart[fold + 1 :]) for fold in range(FOLDS)]
