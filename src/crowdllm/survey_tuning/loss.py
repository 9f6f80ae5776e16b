"""The loss of a batch in named terms: cross-entropy, numerical penalty, distance of distributions, stray probability.

With P(a | x) the model's probability of all tokens of answer a, q(a) = P(a) / sum over candidates its distribution over
the candidates, and v(a) the number that an answer counts as, in units of the scale's width:

- cross_entropy: - log P(y | x), the sum over the answer's tokens, the full vocabulary in the denominator;
- penalty: sum_a q(a) |v(a) - v(y)|, the expected distance of a drawn answer from the given one (numbers and ordinal
  levels; options have none);
- divergence: KL(p || q), or Wasserstein-1 on the scale, p the shares of the answers that people with the same profile
  gave to the same question;
- stray: - log sum_a P(a), what the model would rather say than any candidate.

target "answers": cross_entropy + gamma * penalty, a mean over answers: with gamma = 0 exactly the plain cross-entropy.
target "kl" and "wasserstein": divergence + stray + gamma * penalty, a mean over cells, so that every group of people
counts once, however many answered. A cell of one single answer, and one of options for "wasserstein", has the
cross-entropy instead. (KL + stray is the cross-entropy less the entropy of p: against single answers it weighs groups,
not people; Wasserstein also weighs how far apart answers are.)

arXiv 2403.20252 has the penalty for answers of a single token only, on scaled numbers.

Shapes: B cells, M answers of which the first are the candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowdllm.config import TuneConfig
from crowdllm.survey_tuning.cells import AnswerSet, Array, Cells, Index
from crowdllm.survey_tuning.scoring import AnswerTree, answer_tree

if TYPE_CHECKING:
    import torch

SHARED = 2  # answers from which a cell's shares are a distribution


@dataclass(frozen=True)
class Terms:
    """Sums over a batch; `weight` is what they are divided by, and `loss` their combination."""

    loss: torch.Tensor
    cross_entropy: float
    penalty: float
    divergence: float
    stray: float
    weight: float


def needed(answers: AnswerSet, given: Index, config: TuneConfig) -> Index:
    """Which answers must be scored: those given, and all candidates where a term is about their distribution."""
    if config.gamma == 0 and config.target == "answers":
        return np.unique(given)
    return np.union1d(np.arange(answers.candidates), given)


def tree_of(answers: AnswerSet, which: Index) -> AnswerTree:
    return answer_tree(tuple(answers.tokens[m] for m in which.tolist()))


def cell_weights(cells: Cells, config: TuneConfig) -> Array:
    """(C,) what each cell adds to the divisor of a mean: its answers, or 1 where cells are the units."""
    if config.target != "answers":
        return np.ones(len(cells))
    return np.bincount(cells.cell_A, weights=cells.weight_A, minlength=len(cells)).astype(float)


def batch_terms(
    log_p_BM: torch.Tensor, counts_BM: Array, people_B: Index, which: Index, answers: AnswerSet, config: TuneConfig
) -> Terms:
    """The terms of one batch of cells of one answer set.

    log_p_BM: of the answers `which`. counts_BM: weights of all answers of the set. people_B: how many gave them. Under
    "kl" and "wasserstein" the weights of a cell are made to add up to 1 first.
    """
    import torch

    device, dtype = log_p_BM.device, log_p_BM.dtype
    if config.target != "answers":
        counts_BM = counts_BM / np.maximum(counts_BM.sum(axis=1, keepdims=True), 1e-300)
    count = torch.as_tensor(counts_BM[:, which], dtype=dtype, device=device)
    ce_B = -(count * log_p_BM).sum(dim=1)
    zero_B = torch.zeros_like(ce_B)
    penalty_B, divergence_B, stray_B = zero_B, zero_B, zero_B
    if which[: answers.candidates].tolist() == list(range(answers.candidates)):
        log_c = log_p_BM[:, : answers.candidates]
        log_q = log_c.log_softmax(dim=1)
        stray_B = -log_c.logsumexp(dim=1).clamp_max(0.0)
        if answers.on_scale:
            penalty_B = (count * (log_q.exp() @ _gaps(answers, which, log_p_BM))).sum(dim=1)
        if config.target != "answers":
            divergence_B = _divergence(log_q, _shares(counts_BM, answers, log_p_BM), answers, config)
    fitted_B = fits_distribution(people_B, answers, config)
    main_B = ce_B
    if fitted_B.any():
        use = torch.as_tensor(fitted_B, device=device)
        main_B = torch.where(use, divergence_B + stray_B, ce_B)
    loss = (main_B + config.gamma * penalty_B if config.gamma else main_B).sum()
    weight = float(counts_BM.sum())
    ce, penalty, divergence, stray = (float(x.detach().sum()) for x in (ce_B, penalty_B, divergence_B, stray_B))
    return Terms(loss, ce, penalty, divergence, stray, weight)


def fits_distribution(people: Index, answers: AnswerSet, config: TuneConfig) -> NDArray[np.bool_]:
    """Which cells have their distribution fitted, and not their answers one by one."""
    possible = config.target == "kl" or (config.target == "wasserstein" and answers.on_scale)
    return (people >= SHARED) & possible


def _gaps(answers: AnswerSet, which: Index, like: torch.Tensor) -> torch.Tensor:
    """(candidates, answers) distances in units of the scale's width."""
    import torch

    points = np.array(answers.points)
    gap = np.abs(points[: answers.candidates, None] - points[which]) / answers.span
    return torch.as_tensor(gap, dtype=like.dtype, device=like.device)


def _shares(counts_BM: Array, answers: AnswerSet, like: torch.Tensor) -> torch.Tensor:
    """(B, candidates) the empirical distribution; numbers that are no candidates count as the nearest one."""
    import torch

    shares = np.zeros((len(counts_BM), answers.candidates))
    np.add.at(shares.T, answers.nearest, counts_BM.T)
    return torch.as_tensor(shares, dtype=like.dtype, device=like.device)


def _divergence(log_q: torch.Tensor, p: torch.Tensor, answers: AnswerSet, config: TuneConfig) -> torch.Tensor:
    """(B,) KL(p || q) in nats, or Wasserstein-1 in units of the scale's width (0 for options)."""
    import torch

    if config.target == "kl":
        return (torch.xlogy(p, p) - p * log_q).sum(dim=1)
    if not answers.on_scale:
        return torch.zeros_like(p[:, 0])
    order = np.argsort(np.array(answers.points[: answers.candidates]))
    step = np.diff(np.array(answers.points)[order]) / answers.span
    gap = (log_q.exp() - p)[:, torch.as_tensor(order, device=p.device)].cumsum(dim=1)[:, :-1].abs()
    return gap @ torch.as_tensor(step, dtype=p.dtype, device=p.device)
