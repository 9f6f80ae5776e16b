"""`crowdllm-paper`: the method as published (Gaussian bias, squared error), and `vae`, the same without an LLM.

The modules and the loss are in `crowdllm.belief.paper`. This file trains them and turns decisions into legal
responses: rounded to the nearest level, the highest options picked, or points in proportion.

Shapes: T problems, N participants, R pairs, O observations (responses, times options where there are any), X
embedding width, V profile width, J draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.items import Items, item_texts, make_items, widest
from crowdllm.config import PaperConfig
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileEncoder, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.embedding import Embedder, fit_embedder
from crowdllm.errors import MismatchError
from crowdllm.methods.protocol import Array, Progress, log_given
from crowdllm.methods.shares import uniform_shares
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.reference import References
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import ResponseType
from crowdllm.responses.ranking import Ranking
from crowdllm.rng import generator, normals, seed_words, stable_keys

if TYPE_CHECKING:
    import torch

    from crowdllm.belief.paper import PaperBelief

CHUNK = 20_000


@dataclass(frozen=True)
class Scale:
    """The unit in which decisions are made: y = (number - center) / unit, clamped to low..high."""

    center: float
    unit: float
    low: float
    high: float


class _Prepared(NamedTuple):
    """What is computed once for many decisions: items, v_NV, y_ref_TU, and the keys of people and problems."""

    items: Items
    v_NV: NDArray[np.float32]
    y_ref_TU: Array
    people: NDArray[np.uint64]
    problems: NDArray[np.uint64]


@dataclass(frozen=True)
class PaperSimulator:
    """The fitted modules with everything needed to run them on new problems and people."""

    response_type: ResponseType
    config: PaperConfig
    embedder: Embedder
    encoder: ProfileEncoder
    belief: PaperBelief
    scale: Scale
    default_decision: Array
    generator: ProfileGenerator
    uses_references: bool
    several_problems: bool

    def simulate(
        self, problems: Problems, references: References | None, crowd: Profiles,
        participant_R: NDArray[np.int64], problem_R: NDArray[np.int64], seed: int,
    ) -> Array:  # fmt: skip
        return self._decide(self._prepare(problems, references, crowd), participant_R, problem_R, seed)

    def _prepare(self, problems: Problems, references: References | None, crowd: Profiles) -> _Prepared:
        given = references if self.uses_references else None
        items = make_items(problems, self.response_type, self.embedder, given, self.several_problems)
        y_ref_TU = _reference(items, self.scale, self.default_decision)
        keys = stable_keys(crowd.ids), stable_keys(problems.ids)
        return _Prepared(items, self.encoder.encode(crowd), y_ref_TU, *keys)

    def _decide(
        self, prepared: _Prepared, participant_R: NDArray[np.int64], problem_R: NDArray[np.int64], seed: int
    ) -> Array:
        from crowdllm.belief.threads import one_thread

        with one_thread():
            parts = [
                self._block(prepared, participant_R[s : s + CHUNK], problem_R[s : s + CHUNK], seed)
                for s in range(0, len(participant_R), CHUNK)
            ]
        none = np.zeros((0, self.response_type.width(prepared.items.item_TU.shape[1])))
        return np.concatenate(parts) if parts else none

    def _block(self, prepared: _Prepared, i: NDArray[np.int64], t: NDArray[np.int64], seed: int) -> Array:
        """(B, D) responses of these pairs."""
        import torch

        items, v_NV, y_ref_TU, people, keys = prepared
        draws, width = self.config.draws, self.config.belief_width
        decided = np.zeros((len(i), items.item_TU.shape[1]))
        for u in range(items.item_TU.shape[1]):
            noise = normals(seed, f"paper:{u}", people[i], keys[t], draws * (width + 1)).astype(np.float32)
            noise_JBW = torch.from_numpy(noise.reshape(len(i), draws, width + 1)).transpose(0, 1)
            x = torch.from_numpy(items.x_IX[np.maximum(items.item_TU[t, u], 0)])
            with torch.no_grad():
                mean, log_variance = self.belief.encode(x, torch.from_numpy(v_NV[i]))
                z = mean + torch.exp(0.5 * log_variance) * noise_JBW[..., :width]
                y_ref = torch.from_numpy(y_ref_TU[t, u].astype(np.float32))
                y = self.belief.decide(y_ref, z, noise_JBW[..., width], self.scale.low, self.scale.high)
            decided[:, u] = y.numpy() * self.scale.unit + self.scale.center
        return to_responses(self.response_type, decided, items.option_counts[t])

    def level_probabilities(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        """Shares of 64 repeated decisions of the same person, mixed with a hundredth of the uniform distribution."""
        if self.response_type.kind not in ("ordinal", "choice"):
            return None
        levels = self.response_type.summary_width(widest(problems, self.response_type))
        counts = np.zeros((len(responses), levels))
        prepared = self._prepare(problems, references, people)
        for repeat in range(64):
            repeated = seed + 7919 * (repeat + 1)
            values = self._decide(prepared, responses.participant_R, responses.problem_R, repeated)
            counts[np.arange(len(values)), values[:, 0].astype(int)] += 1
        uniform_TM = uniform_shares(problems.option_counts, levels)
        return 0.99 * counts / 64 + 0.01 * uniform_TM[responses.problem_R]

    def log_scores(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        return log_given(self.level_probabilities(problems, references, people, responses, seed), responses)


def fit(
    train: Study, references: References | None, embedding: str, seed: int, progress: Progress | None = None
) -> PaperSimulator:
    """`crowdllm-paper`; raises MismatchError when there are no references."""
    if references is None or not references.sources:
        raise MismatchError("the method 'crowdllm-paper' needs reference decisions; name some with --references")
    return fit_paper(train, references, PaperConfig(embedding=embedding), seed, progress)


def fit_without_llm(
    train: Study, references: References | None, embedding: str, seed: int, progress: Progress | None = None
) -> PaperSimulator:
    """`vae`: the reference is the middle of the training responses, the same for every problem."""
    return fit_paper(train, None, PaperConfig(embedding=embedding), seed, progress)


def fit_paper(
    train: Study,
    references: References | None,
    config: PaperConfig,
    seed: int,
    progress: Progress | None = None,
) -> PaperSimulator:
    """Train with Adam on eq. (4), stopping early on held-out problems (or responses where there are few problems)."""
    from crowdllm.belief.threads import one_thread

    with one_thread():
        return _fit_paper(train, references, config, seed, progress)


def _fit_paper(
    train: Study, references: References | None, config: PaperConfig, seed: int, progress: Progress | None
) -> PaperSimulator:
    import torch

    from crowdllm.belief.paper import PaperBelief

    kind = train.response_type
    embedder = fit_embedder(config.embedding, item_texts(train.problems, kind), seed)
    items = make_items(train.problems, kind, embedder, references)
    encoder = ProfileEncoder.fit(train.profiles)
    target_RU, scale = to_decisions(kind, train.responses, items)
    default = np.zeros(items.item_TU.shape[1])
    if len(target_RU):  # survey weights count here, in the loss and in the generator
        weight_R = train.responses.weight_R
        default = target_RU.mean(axis=0) if weight_R is None else np.average(target_RU, axis=0, weights=weight_R)
    rng = torch.Generator().manual_seed(seed_words(seed, "paper") % 2**63)
    belief = PaperBelief(items.x_IX.shape[1], len(encoder.names), config)
    belief.start(rng)
    data = _observations(
        train, items, encoder, target_RU, _reference(items, scale, default * scale.unit + scale.center)
    )
    _train(belief, data, config, scale, rng, seed, progress)
    learned = ProfileGenerator.fit(train.profiles, train.relative_weights_N, seed)
    return PaperSimulator(
        response_type=kind, config=config, embedder=embedder, encoder=encoder, belief=belief, scale=scale,
        default_decision=default * scale.unit + scale.center, generator=learned.independent(),
        uses_references=references is not None, several_problems=len(train.problems) > 1,
    )  # fmt: skip


@dataclass(frozen=True)
class _Observations:
    """One row per response and option: tensors x, v, y_ref, y, its weight, and the problem it belongs to."""

    x: torch.Tensor
    v: torch.Tensor
    y_ref: torch.Tensor
    y: torch.Tensor
    weight: torch.Tensor
    problem: NDArray[np.int64]


def _observations(
    train: Study, items: Items, encoder: ProfileEncoder, target_RU: Array, y_ref_TU: Array
) -> _Observations:
    import torch

    responses = train.responses
    item_RU = items.item_TU[responses.problem_R]
    row, u = np.nonzero(item_RU >= 0)
    # eq. (4): mean over participants of the mean over their own responses
    own = np.bincount(responses.participant_R, minlength=len(train.profiles))
    weight = 1.0 / own[responses.participant_R]
    weight = weight if responses.weight_R is None else weight * responses.weight_R
    weight = weight / weight.mean() if len(weight) else weight
    v_NV = encoder.encode(train.profiles)
    return _Observations(
        x=torch.from_numpy(items.x_IX[item_RU[row, u]]),
        v=torch.from_numpy(v_NV[responses.participant_R[row]]),
        y_ref=torch.from_numpy(y_ref_TU[responses.problem_R[row], u].astype(np.float32)),
        y=torch.from_numpy(target_RU[row, u].astype(np.float32)),
        weight=torch.from_numpy(weight[row].astype(np.float32)),
        problem=responses.problem_R[row],
    )


def _train(
    belief: PaperBelief, data: _Observations, config: PaperConfig, scale: Scale, rng: torch.Generator,
    seed: int, progress: Progress | None,
) -> None:  # fmt: skip
    import torch

    keep, held = _hold_out(data.problem, config, seed)
    optimiser = torch.optim.Adam(belief.parameters(), lr=config.learning_rate)
    best, best_state, wait = np.inf, None, 0

    def loss(rows: torch.Tensor) -> torch.Tensor:
        terms = belief.terms(data.x[rows], data.v[rows], data.y_ref[rows], data.y[rows], scale.low, scale.high, rng)
        total = terms.kl + terms.reconstruction + config.weight * terms.decision
        return (data.weight[rows] * total).mean()

    for epoch in range(config.max_epochs):
        order = keep[torch.randperm(len(keep), generator=rng)]
        for rows in order.split(config.batch_size):
            optimiser.zero_grad()
            loss(rows).backward()
            optimiser.step()
        if progress:
            progress("training crowdllm-paper", epoch + 1, config.max_epochs)
        if not len(held):
            continue
        with torch.no_grad():
            value = float(np.mean([float(loss(rows)) for rows in held.split(4096)]))
        if value < best - 1e-4:
            best, wait = value, 0
            best_state = {k: v.clone() for k, v in belief.state_dict().items()}
        else:
            wait += 1
            if wait >= config.patience:
                break
    if best_state is not None:
        belief.load_state_dict(best_state)


def _hold_out(problem_O: NDArray[np.int64], config: PaperConfig, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    rng = generator(seed, "paper:held-out")
    problems = np.unique(problem_O)
    if len(problems) >= 20:
        chosen = rng.permutation(problems)[: max(1, round(config.held_out * len(problems)))]
        held = np.isin(problem_O, chosen)
    else:
        held = rng.random(len(problem_O)) < (config.held_out if len(problem_O) >= 50 else 0)
    return torch.from_numpy(np.flatnonzero(~held)), torch.from_numpy(np.flatnonzero(held))


def _reference(items: Items, scale: Scale, default_U: Array) -> Array:
    """(T, U) y_ref in the model's unit; the default (training mean) where no reference parsed.

    An option beyond those of any training problem has the mean over options for its default.
    """
    decision = items.decision_TY
    lacking = max(decision.shape[1] - len(default_U), 0)
    default = np.pad(default_U, (0, lacking), constant_values=default_U.mean())[: decision.shape[1]]
    return (np.where(np.isnan(decision), default, decision) - scale.center) / scale.unit


def to_decisions(kind: ResponseType, responses: Responses, items: Items) -> tuple[Array, Scale]:
    """Responses as (R, U) numbers in the model's unit, and that unit: SDs of the scale, shares of the options."""
    values = responses.values_RD
    if isinstance(kind, Ordinal):
        points = np.asarray(kind.points)
        scale = Scale(points.mean(), points.std(), (points[0] - points.mean()) / points.std(),
                      (points[-1] - points.mean()) / points.std())  # fmt: skip
        return ((points[values[:, 0].astype(int)] - scale.center) / scale.unit)[:, None], scale
    if isinstance(kind, Continuous):
        center, unit = (float(values.mean()), float(values.std()) or 1.0) if len(values) else (0.0, 1.0)
        low = -np.inf if kind.low is None else (kind.low - center) / unit
        high = np.inf if kind.high is None else (kind.high - center) / unit
        return (values - center) / unit, Scale(center, unit, low, high)
    options = items.item_TU.shape[1]
    if kind.kind == "choice":
        shares = (values == np.arange(options)).astype(float)
    elif isinstance(kind, Ranking):
        depth = values.max(axis=1, keepdims=True)
        shares = np.where(values > 0, depth + 1 - values, 0) / np.maximum(depth * (depth + 1) / 2, 1)
    else:
        shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
    unit = float(shares.std()) or 1.0
    return shares / unit, Scale(0.0, unit, 0.0, 1.0 / unit)


def to_responses(kind: ResponseType, decided_RU: Array, counts_R: NDArray[np.int64]) -> Array:
    """Legal responses nearest to the decisions."""
    if isinstance(kind, Ordinal):
        return np.abs(decided_RU - np.asarray(kind.points)).argmin(axis=1).astype(float)[:, None]
    if isinstance(kind, Continuous):
        return decided_RU
    present = np.arange(decided_RU.shape[1]) < counts_R[:, None]
    masked = np.where(present, decided_RU, -np.inf)
    if kind.kind == "choice":
        return masked.argmax(axis=1, keepdims=True).astype(float)
    rank = np.argsort(np.argsort(-masked, axis=1, kind="stable"), axis=1, kind="stable")
    if isinstance(kind, Ballot):
        # decisions are shares of a ballot: options above an even share of the most picks are picked
        wanted = ((masked > 1 / (2 * kind.max_picks)) & present).sum(axis=1)
        size = np.minimum(np.clip(wanted, kind.min_picks, kind.max_picks), counts_R)
        return (rank < size[:, None]).astype(float)
    if isinstance(kind, Ranking):
        depth = np.minimum(kind.depth, counts_R) if kind.depth else counts_R
        return np.where(rank < depth[:, None], rank + 1, 0).astype(float)
    assert isinstance(kind, Points)
    share = np.where(present, np.maximum(decided_RU, 0), 0)
    share = np.where(share.sum(axis=1, keepdims=True) > 0, share, present)
    units = share / share.sum(axis=1, keepdims=True) * (kind.budget // kind.step)
    whole = np.floor(units)
    short = (kind.budget // kind.step - whole.sum(axis=1)).astype(int)
    order = np.argsort(np.argsort(-(units - whole), axis=1, kind="stable"), axis=1, kind="stable")
    return (whole + (order < short[:, None])) * kind.step
