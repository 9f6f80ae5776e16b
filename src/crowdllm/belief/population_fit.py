"""Penalised maximum likelihood of the population's parameters, given one set of answers and one choice of penalties.

Where few people were asked, their common strictness would pass for the population's. Then each person gets a shift
c_i ~ N(0, s^2) beside the population's parameters (on scales), and the fit is the joint mode of both.

Shapes: T problems, I items, F features, Wi raw width per item, B answers, U utilities.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.counted import Answers
from crowdllm.belief.items import Items
from crowdllm.belief.reference_prior import reference_prior
from crowdllm.data.responses import Responses
from crowdllm.responses.protocol import Array, ResponseType

if TYPE_CHECKING:
    import torch

MANY_PEOPLE = 50  # from here on, people's strictness averages out
STRICTNESS = 0.7  # SD of c_i in latent units, where few people were asked
FREE = 0.01  # precision of what is hardly penalised
NODES = 9  # of the quadrature over a left-out person's strictness


class Candidate(NamedTuple):
    """Whether the prior is the reference distribution, and the precisions around it; infinite: held at the prior."""

    prior: bool
    intercept: float
    reference: float
    embedding: float


class Parameters(NamedTuple):
    """Weights (F, Wi), intercept (Wi,) and extras: raw parameters are linear in them, so they can be averaged."""

    weights_FW: Array
    intercept_W: Array
    extras: Array


class PopulationFitter:
    """The likelihood of one training set as a function of weights, intercept, extras and own effects."""

    def __init__(self, items: Items, response_type: ResponseType, people: int) -> None:
        import torch

        self.type = response_type
        self.item_TU = items.item_TU
        self.counts = torch.from_numpy(items.option_counts)
        most = int(items.option_counts.max(initial=0))
        width = response_type.raw_width(most)
        self.item_width = 1 if response_type.has_options else width
        self.extra_width = width - most if response_type.has_options else 0
        self.by_person = not response_type.has_options and people < MANY_PEOPLE
        raw = items.design()
        self.center = raw.mean(axis=0) if len(raw) else np.zeros(raw.shape[1])
        self.prior = reference_prior(items, response_type, raw.shape[1], self.item_width)
        if self.prior is not None:  # shares keep their own zero, so that the prior weights reproduce the distribution
            self.center[self.prior.columns] = 0.0
        self.features = torch.from_numpy(raw - self.center)
        self.few_width = items.few_width

    def answers(self, responses: Responses) -> Answers:
        return Answers.of(responses, self.by_person, self.type)

    def raw(self, parameters: Parameters) -> torch.Tensor:
        """(I, Wi) raw parameters of every item, without own effects."""
        import torch

        return self.features @ torch.from_numpy(parameters.weights_FW) + torch.from_numpy(parameters.intercept_W)

    def answer_scores(self, raw_IW: torch.Tensor, extras: torch.Tensor, answers: Answers) -> torch.Tensor:
        """(B,) log probability of each of these answers times its count, given nothing of its person."""
        import torch

        params = self.type.base(assemble(raw_IW, extras, torch.from_numpy(self.item_TU), self.type.has_options))
        where = torch.from_numpy(answers.problem_B)
        each = self.type.log_prob(params[where], torch.from_numpy(answers.values_BD), self.counts[where])
        return each * torch.from_numpy(answers.count_B)

    def person_scores(self, raw_IW: torch.Tensor, extras: torch.Tensor, answers: Answers) -> Array:
        """(people,) log probability of all that each left-out person answered, in the order of `person_B`.

        Integrated over the person's strictness: being lenient throughout costs a person's predictions only once. Times
        the person's survey weight where there are weights.
        """
        import torch

        nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
        params = self.type.base(assemble(raw_IW, extras, torch.from_numpy(self.item_TU), self.type.has_options))
        where = torch.from_numpy(answers.problem_B)
        values, counts = torch.from_numpy(answers.values_BD), self.counts[where]
        assert answers.person_B is not None
        total = []
        for node in nodes:
            shift = torch.full((len(values), 1), STRICTNESS * node, dtype=torch.float64)
            shifted = self.type.shifted(params[where], shift, _spread(len(values)))
            total.append(np.bincount(answers.person_B, self.type.log_prob(shifted, values, counts).numpy()))
        stacked = np.stack(total) + np.log(weights / weights.sum())[:, None]
        top = stacked.max(axis=0)
        return np.asarray(_person_weights(answers) * (top + np.log(np.exp(stacked - top).sum(axis=0))))

    def drawn_from_prior(self, problem_R: NDArray[np.int64], rng: np.random.Generator) -> Array:
        """(R, D) answers to these problems from the reference's own distribution; there must be a prior."""
        import torch

        assert self.prior is not None
        raw = self.features @ torch.from_numpy(self.prior.weights_FW)
        params_RP = self.type.base(raw)[torch.from_numpy(problem_R)].numpy()
        noise = rng.random((len(problem_R), self.type.noise_width(0)))
        return self.type.sample(params_RP, noise, np.zeros(len(problem_R), dtype=np.int64))

    def fit(
        self, answers: Answers, candidate: Candidate, start: Parameters | None = None, iterations: int = 80
    ) -> Parameters:
        """The parameters that maximise the penalised likelihood of these answers.

        start: parameters of a similar candidate, from which fewer iterations are needed.
        """
        import torch

        mean = np.zeros((self.features.shape[1], self.item_width))
        if candidate.prior and self.prior is not None:
            mean = self.prior.weights_FW
        few = np.arange(len(mean)) < self.few_width
        precision = np.where(few, candidate.reference, candidate.embedding)
        free = np.flatnonzero(np.isfinite(precision))
        rows, log_lik = self.on(answers)
        features = self.features[rows][:, torch.from_numpy(free)]
        fixed = self.features[rows] @ torch.from_numpy(mean)
        penalty = torch.from_numpy(precision[free])[:, None]
        delta, intercept, extras = _zeros(len(free), self.item_width), _zeros(self.item_width), _zeros(self.extra_width)
        weight_G = torch.from_numpy(_person_weights(answers))
        strictness = _zeros(len(weight_G))
        held = not np.isfinite(candidate.intercept)
        own = 0.0 if held else candidate.intercept
        if start is not None:
            with torch.no_grad():
                delta += torch.from_numpy((start.weights_FW - mean)[free])
                intercept += 0.0 if held else torch.from_numpy(start.intercept_W)
                extras += torch.from_numpy(start.extras)

        def loss() -> torch.Tensor:
            raw = fixed + features @ delta + intercept
            prior = (penalty * delta**2).sum() + own * (intercept**2).sum() + FREE * (extras**2).sum()
            return 0.5 * (prior + (weight_G * strictness**2).sum()) - log_lik(raw, extras, strictness)

        _minimise(loss, [delta, *([] if held else [intercept]), extras, strictness], iterations)
        weights = mean.copy()
        weights[free] += delta.detach().numpy()
        return Parameters(weights, intercept.detach().numpy(), extras.detach().numpy())

    def effects(
        self, answers: Answers, parameters: Parameters, variance: float, shape_WW: Array | None = None
    ) -> Array:
        """(I, Wi) own effects given the rest: the posterior mode under a normal prior.

        The prior's covariance is the variance times the shape, or times the identity where None is given.
        """
        import torch

        raw = self.raw(parameters)
        out = np.zeros(raw.shape)
        if variance == 0 or not len(answers.problem_B):
            return out
        rows, log_lik = self.on(answers)
        standard, extras = _zeros(len(rows), self.item_width), torch.from_numpy(parameters.extras)
        shape = np.eye(self.item_width) if shape_WW is None else shape_WW
        root = torch.from_numpy(np.linalg.cholesky(variance * shape).T.copy())
        weight_G = torch.from_numpy(_person_weights(answers))
        strictness = _zeros(len(weight_G))

        def loss() -> torch.Tensor:
            prior = (standard**2).sum() + (weight_G * strictness**2).sum()
            return 0.5 * prior - log_lik(raw[rows] + standard @ root, extras, strictness)

        _minimise(loss, [standard, strictness])
        out[rows.numpy()] = (standard @ root).detach().numpy()
        return out

    def on(
        self, answers: Answers
    ) -> tuple[torch.Tensor, Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]]:
        """The rows of the answered items, and the log-likelihood of these answers as a function of those rows.

        Folds and small studies leave most items out; they cost nothing. The third argument is the people's strictness
        in SDs, empty where people are many.
        """
        import torch

        from crowdllm.belief.counted_log_lik import counted_log_lik

        problems, problem_B = np.unique(answers.problem_B, return_inverse=True)
        item_TU = self.item_TU[problems]
        rows = np.unique(item_TU[item_TU >= 0])
        part_TU = torch.from_numpy(np.where(item_TU >= 0, np.searchsorted(rows, item_TU), -1))
        options_T = self.counts[torch.from_numpy(problems)]
        alone = counted_log_lik(self.type, answers, problem_B, options_T, item_TU.shape[1])
        if answers.person_B is None:
            return torch.from_numpy(rows), lambda raw_IW, extras, _: alone(
                assemble(raw_IW, extras, part_TU, self.type.has_options)
            )
        counts_B = self.counts[torch.from_numpy(answers.problem_B)]
        where, values = torch.from_numpy(problem_B), torch.from_numpy(answers.values_BD)
        person, spread = torch.from_numpy(answers.person_B), _spread(len(answers.values_BD))
        count_B = torch.from_numpy(answers.count_B)

        def log_lik(raw_IW: torch.Tensor, extras: torch.Tensor, strictness: torch.Tensor) -> torch.Tensor:
            params = self.type.base(assemble(raw_IW, extras, part_TU, self.type.has_options))[where]
            params = self.type.shifted(params, STRICTNESS * strictness[person].unsqueeze(-1), spread)
            return (self.type.log_prob(params, values, counts_B) * count_B).sum()

        return torch.from_numpy(rows), log_lik


def assemble(raw_IW: torch.Tensor, extras: torch.Tensor, item_TU: torch.Tensor, has_options: bool) -> torch.Tensor:
    """(T, W) raw parameters per problem from those of its items."""
    import torch

    if not has_options:
        return raw_IW
    per_option = raw_IW[:, 0][item_TU.clamp_min(0)]
    return torch.cat([per_option, extras.expand(len(item_TU), -1)], dim=-1)


def _person_weights(answers: Answers) -> Array:
    """(people,) what each person counts for, in the order of `person_B`: 1 without survey weights; (0,) for counts.

    A person's own shift and the prior on it count as much as the person's answers do, or a heavy person would be
    believed to be typical rather than to stand for many.
    """
    if answers.person_B is None:
        return np.zeros(0)
    return np.asarray(np.bincount(answers.person_B, answers.count_B) / np.bincount(answers.person_B).clip(1))


def _spread(count: int) -> torch.Tensor:
    import torch

    return torch.full((count,), float(np.sqrt(1 + STRICTNESS**2)), dtype=torch.float64)


def _zeros(*shape: int) -> torch.Tensor:
    import torch

    return torch.zeros(*shape, dtype=torch.float64, requires_grad=True)


def _minimise(loss: Callable[[], Any], parameters: list[torch.Tensor], iterations: int = 80) -> None:
    import torch

    used = [p for p in parameters if p.numel()]
    if not used:
        return
    optimiser = torch.optim.LBFGS(used, max_iter=iterations, line_search_fn="strong_wolfe", tolerance_change=1e-7)

    def closure() -> Any:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    optimiser.step(closure)
