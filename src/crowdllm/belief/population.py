"""The population's response distribution on each problem: reference decisions corrected by the human responses.

Raw parameters of a problem are linear in its reference features f_ref (with the text's length), its embedding x and
their products with the references' mean answer m,

    raw_t = b + a log p_ref,t + W_ref f_ref,t + W_x (x_t, m_t x_t) + r_t,

and become a response distribution through the response type. b is the pooled histogram; a in {0, 1} says whether the
prior is the pooled histogram or the LLM's own distribution (`reference_prior`); W_ref and W_x have normal priors. The
pooled histogram alone and the LLM's distribution alone are among the candidates, so that with few responses, or with a
reference that needs no correction, the result is no worse than these. Candidates are averaged, weighted by their log
score on held-out training problems (`averaging`), or options where there is but one ballot (`option_fit`); r_t is a
problem's own effect, normal with a variance chosen on
held-out responses, and zero for problems nobody answered. The fit is the penalised maximum likelihood, by L-BFGS: the
same number every time, in place of the paper's problem-level mean of delta_it, fitted by stochastic gradient with no
penalty.

Shapes: T problems, I items, F features, Wi raw width per item, R responses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.averaging import Progress, describe, held_out_weights
from crowdllm.belief.counted import MANY, Answers, burden, distinct_pairs, some_people
from crowdllm.belief.items import Items
from crowdllm.belief.option_fit import applies, fit_by_options
from crowdllm.belief.population_fit import Candidate, Parameters, PopulationFitter
from crowdllm.config import CrowdConfig
from crowdllm.data.responses import Responses
from crowdllm.responses.protocol import ResponseType
from crowdllm.rng import generator

Array = NDArray[np.float64]
COUNTED = ("ordinal", "choice", "continuous")  # types whose answers can be counted or put together
MOST_TO_FIT = 2_000_000  # burden of the responses of other types, beyond which not all of these are used
LEAST = 0.05  # of the best candidate's weight: the rest would cost fits and change nothing


@dataclass(frozen=True)
class PopulationModel:
    """The fitted map from items to raw parameters.

    weights_FW: (F, Wi) on features centred by center_F; intercept_Wi; extras: raw parameters shared by all problems
    of a type with options (number of picks, concentration). effects_IW: own effects of the items in `keys`.
    tuned: what was chosen, and the held-out log score of each candidate, for the record.
    """

    center_F: Array
    weights_FW: Array
    intercept_W: Array
    extras: Array
    effects_IW: Array
    keys: tuple[str, ...]
    tuned: dict[str, Any]

    def features(self, items: Items) -> Array:
        """(I, F) centred features."""
        return items.design() - self.center_F

    def seen(self, items: Items) -> NDArray[np.int64]:
        """(I,) position of each item among those the model was fitted on, -1 for new ones."""
        position = {key: i for i, key in enumerate(self.keys)}
        return np.array([position.get(key, -1) for key in items.keys], dtype=np.int64)

    def item_raw(self, items: Items, effects: bool = True) -> Array:
        """(I, Wi) raw parameters per item, with the own effects of the seen ones unless switched off."""
        raw = self.features(items) @ self.weights_FW + self.intercept_W
        seen = self.seen(items)
        return raw + np.where((seen >= 0)[:, None], self.effects_IW[seen], 0.0) if effects and len(self.keys) else raw


def fit_population(
    items: Items,
    responses: Responses,
    response_type: ResponseType,
    config: CrowdConfig,
    seed: int,
    progress: Progress | None = None,
) -> PopulationModel:
    """Weigh the candidates on held-out problems or options, fit, then add the own effects of what was answered.

    Answers on scales, and choices, are counted, so all of them are used however many they are. Of ballots, points and
    rankings, candidates are weighed on random people's responses with a burden of at most `MANY` in all, and the fit
    uses at most `MOST_TO_FIT`; `tuned` then says how many responses that were.
    """
    fitter = PopulationFitter(items, response_type, len(responses.people))
    some, most = responses, responses
    if response_type.kind not in COUNTED:
        each = burden(response_type, items.item_TU.shape[1])
        some, most = (some_people(responses, limit // each, seed) for limit in (MANY, MOST_TO_FIT))
    answers = fitter.answers(most)
    if applies(fitter, answers, config):
        parameters, tuned = fit_by_options(fitter, answers, config, seed)
    else:
        candidates, share, scores = held_out_weights(fitter, some, config, seed, progress)
        parameters = _averaged(fitter, answers, candidates, share)
        tuned = describe(candidates[int(np.argmax(share))], float(share.max())) | {"held_out_log_score": scores}
    variance, effect_scores = _tune_effects(fitter, some, parameters, config, seed)
    effects = fitter.effects(answers, parameters, variance)
    tuned |= {"effect_variance": variance, "effect_log_score": effect_scores}
    if len(some) < len(responses):
        tuned |= {"responses_weighed": len(some), "responses_fitted": len(most)}
    return PopulationModel(fitter.center, *parameters, effects, items.keys, tuned)


def _averaged(fitter: PopulationFitter, answers: Answers, candidates: list[Candidate], share: Array) -> Parameters:
    """Parameters averaged over candidates: raw parameters are linear in them, so this averages the predictions."""
    used = np.flatnonzero(share >= LEAST * share.max())
    fits = [fitter.fit(answers, candidates[c]) for c in used]
    weight = share[used] / share[used].sum()
    return Parameters(*(np.asarray(sum(w * f[k] for w, f in zip(weight, fits, strict=True))) for k in range(3)))


def _tune_effects(
    fitter: PopulationFitter, responses: Responses, parameters: Parameters, config: CrowdConfig, seed: int
) -> tuple[float, dict[str, float]]:
    """The variance of problems' own effects with the best log score on held-out responses."""
    import torch

    if len(responses) < 10:
        return 0.1, {}
    folds = _response_folds(fitter, responses, generator(seed, "population:responses").integers(0, 3, len(responses)))
    raw, extras = fitter.raw(parameters), torch.from_numpy(parameters.extras)
    scores = {}
    for variance in config.effect_variances:
        total = 0.0
        for inside, outside in folds:
            effects = torch.from_numpy(fitter.effects(inside, parameters, variance))
            total += float(fitter.answer_scores(raw + effects, extras, outside).sum())
        scores[variance] = total / responses.amount
    best = max(scores, key=lambda v: scores[v])
    return best, {f"{v:g}": round(s, 6) for v, s in scores.items()}


def _response_folds(
    fitter: PopulationFitter, responses: Responses, fold_R: NDArray[np.int64]
) -> list[tuple[Answers, Answers]]:
    """Per fold, the answers of the other folds and its own."""
    folds = range(3)
    if fitter.by_person or fitter.type.kind == "continuous":
        parts = [(responses.take(fold_R != fold), responses.take(fold_R == fold)) for fold in folds]
        return [(fitter.answers(inside), fitter.answers(outside)) for inside, outside in parts]
    problem_B, values_BD, pair_R = distinct_pairs(responses)
    weight_R = responses.weight_R
    held = []
    for fold in folds:
        weight = None if weight_R is None else weight_R[fold_R == fold]
        held.append(np.bincount(pair_R[fold_R == fold], weight, len(problem_B)).astype(float))

    def counted(count_B: Array) -> Answers:
        return Answers(problem_B, values_BD, count_B).take(count_B > 0)

    whole = [np.sum(held[:fold] + held[fold + 1 :], axis=0) for fold in folds]
    return [(counted(inside), counted(outside)) for inside, outside in zip(whole, held, strict=True)]
