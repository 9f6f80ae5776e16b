"""The population's response distribution on each problem: reference decisions corrected by the human responses.

Raw parameters of a problem are linear in its reference features f_ref (with the text's length), its embedding x and
their products with the references' mean answer m,

    raw_t = b + a log p_ref,t + W_ref f_ref,t + W_x (x_t, m_t x_t) + r_t,

and become a response distribution through the response type. b is the pooled histogram; a in {0, 1} says whether the
prior is the pooled histogram or the LLM's own distribution (`reference_prior`); W_ref and W_x have normal priors. The
pooled histogram alone and the LLM's distribution alone are among the candidates, so that with few responses, or with a
reference that needs no correction, the result is no worse than these. Candidates are averaged, weighted by their log
score on held-out training problems (`averaging`); r_t is a problem's own effect, normal with a variance chosen on
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

from crowdllm.belief.averaging import held_out_weights
from crowdllm.belief.items import Items
from crowdllm.belief.population_fit import Answers, Candidate, Parameters, PopulationFitter
from crowdllm.config import CrowdConfig
from crowdllm.data.responses import Responses
from crowdllm.responses.protocol import ResponseType
from crowdllm.rng import generator

Array = NDArray[np.float64]
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
    items: Items, responses: Responses, response_type: ResponseType, config: CrowdConfig, seed: int
) -> PopulationModel:
    """Weigh the candidates on held-out problems, fit, then add the own effects of the problems that were answered."""
    fitter = PopulationFitter(items, response_type, len(np.unique(responses.participant_R)))
    answers = fitter.answers(responses)
    candidates, share, scores = held_out_weights(fitter, responses, config, seed)
    parameters = _averaged(fitter, answers, candidates, share)
    chosen = candidates[int(np.argmax(share))]
    variance, effect_scores = _tune_effects(fitter, responses, parameters, config, seed)
    effects = fitter.effects(answers, parameters, variance)
    tuned = {
        "reference_prior": chosen.prior,
        "reference_penalty": _finite(chosen.reference),
        "embedding_penalty": _finite(chosen.embedding),
        "weight": round(float(share.max()), 4),
        "effect_variance": variance,
        "held_out_log_score": scores,
        "effect_log_score": effect_scores,
    }
    return PopulationModel(fitter.center, *parameters, effects, items.keys, tuned)


def _finite(penalty: float) -> float | str:
    """JSON knows no infinity."""
    return penalty if np.isfinite(penalty) else "held at the prior"


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
    fold_R = generator(seed, "population:responses").integers(0, 3, len(responses))
    raw, extras = fitter.raw(parameters), torch.from_numpy(parameters.extras)
    scores = {}
    for variance in config.effect_variances:
        total = 0.0
        for fold in range(3):
            effects = fitter.effects(fitter.answers(responses.take(fold_R != fold)), parameters, variance)
            outside = responses.take(fold_R == fold)
            total += float(fitter.response_scores(raw + torch.from_numpy(effects), extras, outside).sum())
        scores[variance] = total / len(responses)
    best = max(scores, key=lambda v: scores[v])
    return best, {f"{v:g}": round(s, 6) for v, s in scores.items()}
