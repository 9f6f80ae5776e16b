"""The population's response distribution on each problem: reference decisions corrected by the human responses.

Raw parameters of a problem are linear in its reference features f_ref (with the text's length), its embedding x and
their products with the references' mean answer m,

    raw_t = b + a log p_ref,t + W_ref f_ref,t + W_x (x_t, m_t x_t) + r_t,

and become a response distribution through the response type. b is the pooled histogram; a in {0, 1} says whether the
prior is the pooled histogram or the LLM's own distribution (`reference_prior`); W_ref and W_x have normal priors. The
pooled histogram alone and the LLM's distribution alone are among the candidates, so that with few responses, or with a
reference that needs no correction, the result is no worse than these. Candidates are averaged, weighted by their log
score on held-out training problems (`averaging`), or options where there is but one ballot (`option_fit`); r_t is a
problem's own effect (`own_effects`), zero for problems nobody answered. The fit is the penalised maximum likelihood, by
L-BFGS: the same number every time, in place of the paper's problem-level mean of delta_it, fitted by stochastic
gradient with no penalty.

Shapes: T problems, I items, F features, Wi raw width per item, R responses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.averaging import Progress, describe, held_out_weights
from crowdllm.belief.counted import MANY, Answers, burden, some_people
from crowdllm.belief.items import Items
from crowdllm.belief.option_fit import applies, fit_by_options
from crowdllm.belief.own_effects import tune_effects
from crowdllm.belief.population_fit import Candidate, Parameters, PopulationFitter
from crowdllm.config import CrowdConfig
from crowdllm.data.responses import Responses
from crowdllm.responses.protocol import ResponseType

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
    fit: Callable[[Answers], Parameters]
    if applies(fitter, answers, config):
        parameters, tuned = fit_by_options(fitter, answers, config, seed)
        fit = lambda part: fit_by_options(fitter, part, config, seed)[0]  # noqa: E731
    else:
        candidates, share, scores = held_out_weights(fitter, some, config, seed, progress)
        fit = partial(_averaged, fitter, candidates=candidates, share=share)
        parameters = fit(answers)
        tuned = describe(candidates[int(np.argmax(share))], float(share.max())) | {"held_out_log_score": scores}
    own = tune_effects(fitter, some, fit, config, seed)
    effects = fitter.effects(answers, parameters, own.variance, own.shape_WW)
    tuned |= own.describe()
    if len(some) < len(responses):
        tuned |= {"responses_weighed": len(some), "responses_fitted": len(most)}
    return PopulationModel(fitter.center, *parameters, effects, items.keys, tuned)


def _averaged(fitter: PopulationFitter, answers: Answers, candidates: list[Candidate], share: Array) -> Parameters:
    """Parameters averaged over candidates: raw parameters are linear in them, so this averages the predictions."""
    used = np.flatnonzero(share >= LEAST * share.max())
    fits = [fitter.fit(answers, candidates[c]) for c in used]
    weight = share[used] / share[used].sum()
    return Parameters(*(np.asarray(sum(w * f[k] for w, f in zip(weight, fits, strict=True))) for k in range(3)))
