"""The population's response distribution on each problem: reference decisions corrected by the human responses.

Raw parameters of a problem are linear in its reference features f_ref (with the text's length), its embedding x and
their products with the references' mean answer m,

    raw_t = b + a log p_ref,t + W_ref f_ref,t + W_x (x_t, m_t x_t) + r_t,

and become a response distribution through the response type. b is the pooled histogram; a in {0, 1} says whether the
prior is the pooled histogram or the LLM's own distribution (where it gave one); W_ref and W_x have normal priors.
Candidates for a and the precisions are averaged, weighted by their log score on held-out training problems; r_t is a
problem's own effect, normal with a variance chosen on held-out responses, and zero for problems nobody answered. The
fit is the penalised maximum likelihood, by L-BFGS: the same number every time, in place of the paper's problem-level
mean of delta_it, fitted by stochastic gradient with no penalty.

Shapes: T problems, I items, F features, W raw width, R responses.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.items import Items
from crowdllm.config import CrowdConfig
from crowdllm.data.responses import Responses
from crowdllm.responses.protocol import ResponseType
from crowdllm.rng import generator

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float64]
Candidate = tuple[bool, float, float]
"""Whether the prior is the reference distribution, penalty on reference weights, penalty on embedding weights."""
FEW_PEOPLE = 12


@dataclass(frozen=True)
class Answers:
    """Distinct (problem, response) pairs with their counts: all that the population's likelihood needs."""

    problem_B: NDArray[np.int64]
    values_BD: Array
    count_B: Array

    @staticmethod
    def of(responses: Responses) -> Answers:
        if not len(responses):
            return Answers(responses.problem_R, responses.values_RD, np.zeros(0))
        table = np.c_[responses.problem_R, responses.values_RD]
        rows, counts = np.unique(table, axis=0, return_counts=True)
        return Answers(rows[:, 0].astype(np.int64), rows[:, 1:], counts.astype(float))

    def where(self, mask_T: NDArray[np.bool_]) -> Answers:
        keep = mask_T[self.problem_B]
        return Answers(self.problem_B[keep], self.values_BD[keep], self.count_B[keep])


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


def assemble(raw_IW: torch.Tensor, extras: torch.Tensor, item_TU: torch.Tensor, has_options: bool) -> torch.Tensor:
    """(T, W) raw parameters per problem from those of its items."""
    import torch

    if not has_options:
        return raw_IW
    per_option = raw_IW[:, 0][item_TU.clamp_min(0)]
    return torch.cat([per_option, extras.expand(len(item_TU), -1)], dim=-1)


def fit_population(
    items: Items, responses: Responses, response_type: ResponseType, config: CrowdConfig, seed: int
) -> PopulationModel:
    """Choose the penalties on held-out problems, fit, then add the own effects of the problems that were answered."""
    fitter = _Fitter(items, response_type, has_soft_reference=_log_share_columns(items, response_type) is not None)
    answers = Answers.of(responses)
    candidates, share, scores = _tune(fitter, responses, config, seed)
    weights, intercept, extras = _averaged(fitter, answers, candidates, share)
    chosen = candidates[int(np.argmax(share))]
    variance, effect_scores = _tune_effects(fitter, responses, weights, intercept, extras, config, seed)
    effects = fitter.effects(answers, weights, intercept, extras, variance)
    tuned = {
        "reference_prior": bool(chosen[0]),
        "reference_penalty": chosen[1],
        "embedding_penalty": chosen[2],
        "weight": round(float(share.max()), 4),
        "effect_variance": variance,
        "held_out_log_score": scores,
        "effect_log_score": effect_scores,
    }
    return PopulationModel(fitter.center, weights, intercept, extras, effects, items.keys, tuned)


def _averaged(
    fitter: _Fitter, answers: Answers, candidates: list[Candidate], share: Array
) -> tuple[Array, Array, Array]:
    """Parameters averaged over candidates: raw parameters are linear in them, so this averages the predictions."""
    used = np.flatnonzero(share >= 0.01 * share.max())
    fits = [fitter.fit(answers, *candidates[c]) for c in used]
    weight = share[used] / share[used].sum()
    weights, intercept, extras = (sum(w * f[k] for w, f in zip(weight, fits, strict=True)) for k in range(3))
    return np.asarray(weights), np.asarray(intercept), np.asarray(extras)


def _log_share_columns(items: Items, response_type: ResponseType) -> list[NDArray[np.int64]] | None:
    """Per source that gave a distribution, which feature columns hold its log shares."""
    sources: dict[str, list[int]] = {}
    for column, name in enumerate(items.reference_names):
        source, _, label = name.rpartition(":")
        if label.startswith(("log share", "log relative share")):
            sources.setdefault(source, []).append(column)
    return [np.array(columns) for columns in sources.values()] or None


class _Fitter:
    """The likelihood of one training set as a function of weights, intercept, extras and own effects."""

    def __init__(self, items: Items, response_type: ResponseType, has_soft_reference: bool) -> None:
        import torch

        self.type, self.items = response_type, items
        raw = items.design()
        self.center = raw.mean(axis=0) if len(raw) else np.zeros(raw.shape[1])
        if has_soft_reference:  # log shares keep their own zero, so that weight 1 reproduces the LLM's distribution
            for columns in _log_share_columns(items, response_type) or []:
                self.center[columns] = 0.0
        self.features = torch.from_numpy(raw - self.center)
        self.few_width = items.few_width
        self.has_soft_reference = has_soft_reference
        self.item_TU = torch.from_numpy(items.item_TU)
        self.counts = torch.from_numpy(items.option_counts)
        most = int(items.option_counts.max(initial=0))
        width = response_type.raw_width(most)
        self.item_width = 1 if response_type.has_options else width
        self.extra_width = width - most if response_type.has_options else 0

    def prior(self, use_reference: bool) -> torch.Tensor:
        """(F, Wi) prior mean of the weights: zero, or the mean of the sources' own log shares."""
        import torch

        mean = torch.zeros(self.features.shape[1], self.item_width, dtype=torch.float64)
        if use_reference:
            sources = _log_share_columns(self.items, self.type) or []
            for columns in sources:
                for out, column in enumerate(columns[: self.item_width]):
                    mean[int(column), out] = 1.0 / len(sources)
        return mean

    def log_lik(self, raw_IW: torch.Tensor, extras: torch.Tensor, answers: Answers) -> torch.Tensor:
        """Log-likelihood of all answers."""
        import torch

        log_prob = self._log_prob(raw_IW, extras, answers.problem_B, answers.values_BD)
        return (log_prob * torch.from_numpy(answers.count_B)).sum()

    def response_scores(self, raw_IW: torch.Tensor, extras: torch.Tensor, responses: Responses) -> torch.Tensor:
        """(R,) log probability of each response."""
        return self._log_prob(raw_IW, extras, responses.problem_R, responses.values_RD)

    def _log_prob(
        self, raw_IW: torch.Tensor, extras: torch.Tensor, problem_B: NDArray[np.int64], values_BD: Array
    ) -> torch.Tensor:
        import torch

        raw_TW = assemble(raw_IW, extras, self.item_TU, self.type.has_options)
        where = torch.from_numpy(problem_B)
        return self.type.log_prob(self.type.base(raw_TW)[where], torch.from_numpy(values_BD), self.counts[where])

    def fit(
        self, answers: Answers, use_reference: bool, reference_penalty: float, embedding_penalty: float
    ) -> tuple[Array, Array, Array]:
        """Weights, intercept and extras that maximise the penalised likelihood of these answers."""
        import torch

        mean = self.prior(use_reference)
        penalty = torch.full((self.features.shape[1], 1), embedding_penalty, dtype=torch.float64)
        penalty[: self.few_width] = reference_penalty
        delta = torch.zeros_like(mean, requires_grad=True)
        intercept = torch.zeros(self.item_width, dtype=torch.float64, requires_grad=True)
        extras = torch.zeros(self.extra_width, dtype=torch.float64, requires_grad=True)
        # without the reference as prior the intercept is the pooled histogram and needs hardly any penalty
        free = reference_penalty if use_reference else 0.01

        def loss() -> torch.Tensor:
            raw = self.features @ (mean + delta) + intercept
            prior = 0.5 * ((penalty * delta**2).sum() + free * (intercept**2).sum() + 0.01 * (extras**2).sum())
            return prior - self.log_lik(raw, extras, answers)

        _minimise(loss, [delta, intercept, extras])
        return (mean + delta).detach().numpy(), intercept.detach().numpy(), extras.detach().numpy()

    def effects(self, answers: Answers, weights: Array, intercept: Array, extras: Array, variance: float) -> Array:
        """(I, Wi) own effects given the rest: the posterior mode under a normal prior of this variance."""
        import torch

        raw = self.features @ torch.from_numpy(weights) + torch.from_numpy(intercept)
        effects = torch.zeros_like(raw, requires_grad=True)
        if variance == 0 or not len(answers.problem_B):
            return effects.detach().numpy()
        shared = torch.from_numpy(extras)

        def loss() -> torch.Tensor:
            return 0.5 * (effects**2).sum() / variance - self.log_lik(raw + effects, shared, answers)

        _minimise(loss, [effects])
        return effects.detach().numpy()


def _minimise(loss: Any, parameters: list[torch.Tensor], iterations: int = 80) -> None:
    import torch

    used = [p for p in parameters if p.numel()]
    optimiser = torch.optim.LBFGS(used, max_iter=iterations, line_search_fn="strong_wolfe", tolerance_change=1e-7)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    optimiser.step(closure)


def _tune(
    fitter: _Fitter, responses: Responses, config: CrowdConfig, seed: int
) -> tuple[list[Candidate], Array, dict[str, float]]:
    """Candidates and their weights, from the log scores of what each fold holds out.

    Weights are pseudo-Bayesian model averaging with the Bayesian bootstrap (Yao, Vehtari, Simpson, Gelman 2018): with
    many held-out units one candidate takes all, with few nothing is staked on noise. With too few problems to hold
    any out, the middle of the grid is taken.
    """
    priors = [False, True] if fitter.has_soft_reference else [False]
    references = config.reference_penalties
    folds = _folds(responses, config, seed)
    if not folds:
        return (
            [
                (
                    priors[-1],
                    references[len(references) // 2],
                    config.embedding_penalties[len(config.embedding_penalties) // 2],
                )
            ],
            np.ones(1),
            {},
        )
    candidates = list(product(priors, references, config.embedding_penalties))
    scores_CU = np.array([_held_out_scores(fitter, candidate, folds) for candidate in candidates])
    weights = average_weights(scores_CU, generator(seed, "population:bootstrap"))
    mean = scores_CU.sum(axis=1) / sum(len(fold.held) for fold in folds)
    named = {
        f"reference_prior={c[0]} penalties={c[1]:g},{c[2]:g}": round(float(m), 6)
        for c, m in zip(candidates, mean, strict=True)
    }
    return candidates, weights, named


@dataclass(frozen=True)
class _Fold:
    """Responses to fit on, responses held out, and which unit (problem, or person) each of those belongs to."""

    inside: Answers
    held: Responses
    unit_H: NDArray[np.int64]
    units: int


def _folds(responses: Responses, config: CrowdConfig, seed: int) -> list[_Fold]:
    """Folds over problems; over problems crossed with people where few people answered.

    The answers of one person go together. Where three people gave all training responses, their strictness looks
    like the population's on any problem, and only a person who was left out tells otherwise.
    """
    answered, people = np.unique(responses.problem_R), np.unique(responses.participant_R)
    if len(answered) < config.min_problems_to_tune:
        return []
    order = generator(seed, "population:folds").permutation(answered)
    problem_folds = np.array_split(order, config.folds)
    if len(people) >= FEW_PEOPLE or len(people) < 2:
        people_folds = [np.zeros(0, dtype=np.int64)]
    else:
        shuffled = generator(seed, "population:people").permutation(people)
        people_folds = np.array_split(shuffled, min(config.folds, len(people)))
    folds = []
    for problems, group in product(problem_folds, people_folds):
        problem, person = np.isin(responses.problem_R, problems), np.isin(responses.participant_R, group)
        inside, held = (~problem & ~person, problem & person) if len(group) else (~problem, problem)
        if not inside.any() or not held.any():
            continue
        out = responses.take(held)
        unit, units = (out.participant_R, people) if len(group) else (out.problem_R, answered)
        folds.append(_Fold(Answers.of(responses.take(inside)), out, np.searchsorted(units, unit), len(units)))
    return folds


def _held_out_scores(fitter: _Fitter, candidate: Candidate, folds: list[_Fold]) -> Array:
    """(units,) summed log score of the held-out responses of each problem (or person)."""
    import torch

    total = np.zeros(folds[0].units)
    for fold in folds:
        weights, intercept, extras = fitter.fit(fold.inside, *candidate)
        raw = fitter.features @ torch.from_numpy(weights) + torch.from_numpy(intercept)
        scores = fitter.response_scores(raw, torch.from_numpy(extras), fold.held).numpy()
        total += np.bincount(fold.unit_H, scores, minlength=fold.units)
    return total


def average_weights(scores_CU: Array, rng: np.random.Generator, draws: int = 500) -> Array:
    """(C,) weights of the candidates, averaged over Bayesian-bootstrap weights of the held-out units."""
    units = scores_CU.shape[1]
    share_SU = rng.dirichlet(np.ones(units), size=draws) * units
    total_SC = share_SU @ scores_CU.T
    weight_SC = np.exp(total_SC - total_SC.max(axis=1, keepdims=True))
    return (weight_SC / weight_SC.sum(axis=1, keepdims=True)).mean(axis=0)


def _score(
    fitter: _Fitter,
    weights: Array,
    intercept: Array,
    extras: Array,
    answers: Answers,
    effects: Array | None = None,
) -> float:
    import torch

    raw = fitter.features @ torch.from_numpy(weights) + torch.from_numpy(intercept)
    if effects is not None:
        raw = raw + torch.from_numpy(effects)
    return float(fitter.log_lik(raw, torch.from_numpy(extras), answers))


def _tune_effects(
    fitter: _Fitter,
    responses: Responses,
    weights: Array,
    intercept: Array,
    extras: Array,
    config: CrowdConfig,
    seed: int,
) -> tuple[float, dict[str, float]]:
    """The variance of problems' own effects with the best log score on held-out responses."""
    if len(responses) < 10:
        return 0.1, {}
    fold_R = generator(seed, "population:responses").integers(0, 3, len(responses))
    scores = {}
    for variance in config.effect_variances:
        total = 0.0
        for fold in range(3):
            inside, outside = (
                Answers.of(responses.take(fold_R != fold)),
                Answers.of(responses.take(fold_R == fold)),
            )
            effects = fitter.effects(inside, weights, intercept, extras, variance)
            total += _score(fitter, weights, intercept, extras, outside, effects)
        scores[variance] = total / len(responses)
    best = max(scores, key=lambda v: scores[v])
    return best, {f"{v:g}": round(s, 6) for v, s in scores.items()}
