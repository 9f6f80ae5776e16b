"""Train the belief generator: alternate the encoder (posterior of each person's noise) with gradient steps.

The objective is CrowdLLM's eq. (4) with the response type's log score as decision loss: per epoch, L1 is
KL(q(eps_i | answers) || N(0, I)) and L2 the mean negative log-likelihood of the answers under draws from q. Departures
from the paper: terms are summed over responses rather than averaged per participant (a person with forty answers
carries more information than one with one); the encoder solves for its answer instead of learning to guess it; x_t
is not reconstructed, since what the belief must carry is the response.

Early stopping is on held-out *problems* where there are enough of them (their answers predicted for people known by
their other answers), else on held-out responses. The final fit uses all responses for the best number of epochs.

Where there are more responses than `counted.MANY`, an epoch sees one random group of people instead of all, its
sums scaled up; what is held out is predicted for one group, and a last sweep, with a learning rate that falls to 0,
takes in every group once. `EpochTerms.responses` says how many responses each epoch saw.

Shapes: R responses, B responses of a batch, N people, G people of a batch, I items, Z belief width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from crowdllm.belief.batches import Batch, Groups
from crowdllm.belief.counted import burden
from crowdllm.belief.items import Items
from crowdllm.belief.likelihood import Likelihood
from crowdllm.belief.personal import PersonalModel
from crowdllm.belief.population import PopulationModel
from crowdllm.belief.posterior import Posterior
from crowdllm.config import CrowdConfig
from crowdllm.data.responses import Responses
from crowdllm.responses.protocol import ResponseType
from crowdllm.rng import generator, seed_words

PENALTY_EPOCHS = 10
MIN_PEOPLE_TO_HOLD_OUT = 24
ENOUGH_HELD_OUT, SEARCHES = 200, 5
"""With fewer held-out responses the number of epochs is the median of so many searches, each holding out others."""
Progress = Callable[[str, int, int], None]
"""Called with (what is being done, steps done, steps in all)."""


@dataclass(frozen=True)
class EpochTerms:
    """The loss's terms after one epoch: `kl` per person, `decision_loss` and `held_out_loss` per response.

    stage: "search" for the number of epochs, "fit" on all responses, "sweep" over all groups of people where there are
    several. responses: how many of them the epoch saw.
    """

    stage: str
    epoch: int
    kl: float
    decision_loss: float
    penalty: float
    held_out_loss: float
    responses: int = 0


def train_personal(
    items: Items, responses: Responses, v_NV: torch.Tensor, response_type: ResponseType, population: PopulationModel,
    config: CrowdConfig, seed: int, progress: Progress | None = None, weight_N: NDArray[np.float64] | None = None,
) -> tuple[PersonalModel, list[EpochTerms]]:  # fmt: skip
    """The fitted personal part and the history of its loss terms.

    weight_N: survey weights of the people; their responses carry them too, and count by them.
    With fewer than 50 responses nothing can be held out to check it, and everybody answers like the population.
    """
    history: list[EpochTerms] = []
    kept_R, held_R, held_items = _hold_out(items, responses, config, seed)
    epochs, penalty = 0, config.profile_penalties[len(config.profile_penalties) // 2]

    def run(profile_penalty: float, held_items: NDArray[np.bool_] | None = None) -> _Run:
        return _Run(
            items, responses, v_NV, response_type, population, config, seed, profile_penalty, held_items, weight_N
        )

    if config.belief_width > 0 and len(held_R):
        epochs = run(config.profile_penalties[0], held_items).search(kept_R, held_R, history, progress)
        if len(held_R) < ENOUGH_HELD_OUT:  # a handful of responses would stop the training by chance
            found = [epochs]
            for again in range(1, SEARCHES):
                kept, held, rows = _hold_out(items, responses, config, seed, again)
                found.append(run(config.profile_penalties[0], rows).search(kept, held, [], progress))
            epochs = int(np.median(found))
        penalty = _choose_profile_penalty(run, responses, config, min(epochs, PENALTY_EPOCHS), seed, progress)
    final = run(penalty)
    if epochs == 0:  # without training everybody answers like the population, not like the random start
        final.model.clear()
    final.train(np.arange(len(responses)), epochs, history, progress)
    return final.model, history


def _choose_profile_penalty(
    run: Callable[[float], _Run], responses: Responses, config: CrowdConfig, epochs: int, seed: int,
    progress: Progress | None,
) -> float:  # fmt: skip
    """The largest penalty under which people who were left out, known by their profiles alone, are predicted well.

    Well: within one standard error, over people, of the penalty with the lowest loss (Breiman et al. 1984), so that
    profiles are believed where many people bear them out, and differences between a few people are not. Held-out
    problems cannot tell: people known by their other answers hardly need their profiles. The middle of the grid where
    there are too few people, or no epochs.
    """
    penalties = sorted(config.profile_penalties)
    people = responses.people
    if epochs == 0 or len(people) < MIN_PEOPLE_TO_HOLD_OUT or len(penalties) == 1:
        return config.profile_penalties[len(penalties) // 2]
    order = generator(seed, "belief:people").permutation(people)
    groups = np.array_split(order, 6)[: 3 if len(people) < 400 else 1]
    losses_GPN: list[NDArray[np.float64]] = []
    for g, group in enumerate(groups):
        held = np.isin(responses.participant_R, group)
        rows = np.flatnonzero(~held), np.flatnonzero(held)
        each = []
        for p, penalty in enumerate(penalties):
            if progress:
                progress("weighing profiles", g * len(penalties) + p, len(groups) * len(penalties))
            each.append(run(penalty).losses_of_people(*rows, epochs))
        losses_GPN.append(np.stack(each))
    return penalties[largest_within_error(np.concatenate(losses_GPN, axis=1))]


def largest_within_error(losses_PN: NDArray[np.float64]) -> int:
    """The last of P rising penalties whose summed loss is within one standard error of the lowest, over N people."""
    worse_PN = losses_PN - losses_PN[np.argmin(losses_PN.sum(axis=1))]
    error_P = worse_PN.std(axis=1) * np.sqrt(worse_PN.shape[1])
    return int(np.flatnonzero(worse_PN.sum(axis=1) <= error_P).max())


def _hold_out(
    items: Items, responses: Responses, config: CrowdConfig, seed: int, again: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_] | None]:
    """Kept and held-out responses, and which items are held out whole (None when responses are held out singly).

    again: another draw of what is held out.
    """
    rng = generator(seed, f"belief:held-out:{again}" if again else "belief:held-out")
    answered = responses.answered
    if len(answered) >= config.min_problems_to_hold_out and not len(items.problems) < len(answered):
        held = rng.permutation(answered)[: max(1, round(config.held_out * len(answered)))]
        mask_R = np.isin(responses.problem_R, held)
        held_items = np.zeros(len(items), dtype=bool)
        held_items[items.item_TU[held][items.item_TU[held] >= 0]] = True
        return np.flatnonzero(~mask_R), np.flatnonzero(mask_R), held_items
    order = rng.permutation(len(responses))
    cut = round(config.held_out * len(responses)) if len(responses) >= 50 else 0
    return np.sort(order[cut:]), np.sort(order[:cut]), None


class _Run:
    """One training run from a fixed start."""

    def __init__(
        self, items: Items, responses: Responses, v_NV: torch.Tensor, response_type: ResponseType,
        population: PopulationModel, config: CrowdConfig, seed: int, profile_penalty: float,
        held_items: NDArray[np.bool_] | None, weight_N: NDArray[np.float64] | None,
    ) -> None:  # fmt: skip
        self.config, self.responses, self.items, self.people, self.seed = config, responses, items, len(v_NV), seed
        self.noise = torch.Generator().manual_seed(seed_words(seed, "belief:noise") % 2**63)
        self.model = PersonalModel(
            len(items), len(population.center_F), v_NV.shape[1], response_type.has_options, config, profile_penalty
        )
        self.model.start(self.noise)
        own_row = np.arange(len(items))
        effects: bool | NDArray[np.bool_] = True
        if held_items is not None:  # held-out items are treated as new ones
            own_row, effects = np.where(held_items, -1, own_row), ~held_items
        self.likelihood = Likelihood(self.model, population, items, v_NV, response_type, own_row, effects, weight_N)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=config.learning_rate)
        self.eps = torch.zeros(self.people, config.belief_width, dtype=torch.float64)

    def groups(self, rows: NDArray[np.int64]) -> Groups:
        each = burden(self.likelihood.type, self.items.item_TU.shape[1])
        return Groups.of(self.responses, self.items, rows, self.people, each, self.seed)

    def encode(self, batch: Batch, steps: int) -> Posterior:
        """The posterior of the batch's people, from where it was last."""
        with torch.no_grad():
            self.likelihood.refresh(batch.people)
            posterior = self.likelihood.posterior(batch, self.eps[batch.people], steps)
        self.eps[batch.people] = posterior.mean_NZ
        return posterior

    def epoch(self, batch: Batch, rows: int, first: bool) -> tuple[float, float, float]:
        """One E-step and `steps_per_epoch` gradient steps on a batch out of so many rows.

        Returns kl, decision loss and penalty. first: whether the batch's people have no posterior yet.
        """
        posterior = self.encode(batch, 3 if first else 1)
        for _ in range(self.config.steps_per_epoch):
            self.optimiser.zero_grad()
            self.likelihood.refresh(batch.people)
            fit = torch.zeros((), dtype=torch.float64)
            for _ in range(self.config.training_draws):
                noise = torch.randn(posterior.mean_NZ.shape, generator=self.noise, dtype=torch.float64)
                fit = fit + self.likelihood.total(batch, posterior.draw(noise)) / self.config.training_draws
            penalty = self.model.penalty()
            (penalty / max(rows, 1) - fit / max(len(batch), 1)).backward()
            self.optimiser.step()
        return float(posterior.kl().mean()), -float(fit.detach()) / max(len(batch), 1), float(penalty.detach())

    def train(self, rows: NDArray[np.int64], epochs: int, history: list[EpochTerms], progress: Progress | None) -> None:
        """So many epochs; then, where these see a part of the rows each, one sweep over all of them."""
        groups = self.groups(rows)
        sweep = len(groups) if len(groups) > 1 and epochs else 0
        for epoch, batch in zip(range(epochs + sweep), groups.batches(), strict=False):
            if epoch >= epochs:
                self._slow_down((epochs + sweep - epoch) / sweep)
            terms = self.epoch(batch, len(rows), epoch < len(groups))
            stage = "fit" if epoch < epochs else "sweep"
            history.append(EpochTerms(stage, epoch + 1, *terms, float("nan"), len(batch)))
            if progress:
                progress("training", epoch + 1, epochs + sweep)

    def _slow_down(self, share: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * share

    def held_out_log_p(self, kept: Batch, held: Batch) -> torch.Tensor:
        """(B,) log predictive probability of held-out answers, given the same people's other answers."""
        posterior = self.encode(kept, 1)
        draws = []
        with torch.no_grad():
            fixed = torch.Generator().manual_seed(7)
            for _ in range(16):
                noise = torch.randn(posterior.mean_NZ.shape, generator=fixed, dtype=torch.float64)
                draws.append(self.likelihood(held, posterior.draw(noise)))
        return torch.logsumexp(torch.stack(draws), 0) - np.log(len(draws))

    def losses_of_people(
        self, kept_R: NDArray[np.int64], held_R: NDArray[np.int64], epochs: int
    ) -> NDArray[np.float64]:
        """(N,) summed negative log predictive probability of the answers of each person without any in training."""
        groups = self.groups(kept_R)
        for epoch, batch in zip(range(epochs), groups.batches(), strict=False):
            self.epoch(batch, len(kept_R), epoch < len(groups))
        left_out = self.groups(held_R)
        kept, held = groups.batch(0), left_out.batch(0)
        if len(groups) > 1:  # of those left out, nobody is in it
            kept = left_out.also(0, np.zeros(0, dtype=np.int64))
        loss_B = -self.held_out_log_p(kept, held).numpy()
        weights = None if held.weights is None else held.weights.numpy()
        _, person_B = np.unique(held.participant.numpy(), return_inverse=True)
        return np.bincount(person_B, loss_B if weights is None else loss_B * weights).astype(np.float64)

    def search(
        self, kept_R: NDArray[np.int64], held_R: NDArray[np.int64], history: list[EpochTerms],
        progress: Progress | None,
    ) -> int:  # fmt: skip
        """The number of epochs with the lowest held-out loss; 0 when the population alone predicts as well."""
        groups = self.groups(kept_R)
        watched, held = groups.batch(0), groups.also(0, held_R)
        alone = self.population_loss(held)
        best, best_epoch = np.inf, 0
        for epoch, batch in zip(range(self.config.max_epochs), groups.batches(), strict=False):
            terms = self.epoch(batch, len(kept_R), epoch < len(groups))
            loss = -held.mean(self.held_out_log_p(watched, held))
            history.append(EpochTerms("search", epoch + 1, *terms, loss, len(batch)))
            if progress:
                progress("searching the number of epochs", epoch + 1, self.config.max_epochs)
            if loss < best - 1e-4:
                best, best_epoch = loss, epoch + 1
            elif epoch + 1 - best_epoch >= self.config.patience:
                break
        return best_epoch if best < alone - 1e-4 else 0

    def population_loss(self, held: Batch) -> float:
        """The held-out loss when nobody differs from the population."""
        start = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.clear()
        with torch.no_grad():
            self.likelihood.refresh(held.people)
            loss = -held.mean(self.likelihood(held, self.eps[held.people]))
        self.model.load_state_dict(start)
        return loss
