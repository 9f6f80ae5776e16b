"""How the log-likelihood of people's answers bends in their noise: what the encoder needs, in closed form on scales.

On a scale, answer r of participant i to item t depends on eps_i through the shift delta_r = beta_t . c_i alone, so

    gradient_i = sum_r l'_r beta_t,      -Hessian_i = sum_r -l''_r beta_t beta_t',

l' and l'' the derivatives of log p(y_r) in the shift. Both sums are products of a sparse (N, I) matrix, which has one
entry per answer, with a small table of the items. All scales' likelihoods are concave in the shift, so -l'' >= 0.

Shapes: B answers, N participants, I items, T problems, M levels, Z belief width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from crowdllm.responses.ordinal import TINY, Ordinal
from crowdllm.responses.protocol import Array, ResponseType

FAR = 1e6  # a cut point beyond every shift


@dataclass(frozen=True)
class ByPerson:
    """The answers in order of their participants, to add numbers up per person.

    order_B: position of each answer in its batch. item_B: its item, in that order. starts_N1: where each of the N
    participants begins, then B.
    """

    order_B: torch.Tensor
    item_B: NDArray[np.int32]
    starts_N1: NDArray[np.int32]

    @staticmethod
    def of(participant_B: torch.Tensor, item_B: torch.Tensor, people: int) -> ByPerson:
        order = torch.argsort(participant_B, stable=True)
        counts = torch.bincount(participant_B, minlength=people)
        starts = np.concatenate([[0], np.cumsum(counts.numpy())]).astype(np.int32)
        return ByPerson(order, item_B[order].numpy().astype(np.int32), starts)

    def sum(self, weight_B: torch.Tensor, table_IK: Array) -> Array:
        """(N, K) sum over each person's answers of weight times the row of the answer's item."""
        return np.asarray(self._matrix(weight_B, len(table_IK)) @ table_IK)

    def both(self, weight_B: torch.Tensor, table_IK: Array, table_NK: Array) -> tuple[Array, Array]:
        """The same, and (I, K) the sum over each item's answers of weight times the row of the answer's person."""
        matrix = self._matrix(weight_B, len(table_IK))
        return np.asarray(matrix @ table_IK), np.asarray(matrix.T @ table_NK)

    def _matrix(self, weight_B: torch.Tensor, items: int) -> Any:
        """(N, I), one entry per answer."""
        shape = (len(self.starts_N1) - 1, items)
        return csr_array((weight_B[self.order_B].numpy(), self.item_B, self.starts_N1), shape=shape)


Slopes = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""(B,) shifts to (B,) first and second derivatives of log p in the shift; the second is at most 0."""


def slopes(
    response_type: ResponseType, base_BP: torch.Tensor, spread_B: torch.Tensor, values_BD: torch.Tensor
) -> Slopes:
    """The derivatives for these answers on a scale, whose population parameters and spreads stay as they are."""
    if isinstance(response_type, Ordinal):
        return _ordinal(base_BP, spread_B, values_BD)

    def by_autograd(shift_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.enable_grad():
            shift = shift_B.detach().requires_grad_()
            params = response_type.shifted(base_BP, shift.unsqueeze(-1), spread_B)
            total = response_type.log_prob(params, values_BD, torch.zeros(len(shift), dtype=torch.int64)).sum()
            (first,) = torch.autograd.grad(total, shift, create_graph=True)
            (second,) = torch.autograd.grad(first.sum(), shift)
        return torch.nan_to_num(first.detach()), torch.nan_to_num(second).clamp_max(0)

    return by_autograd


@dataclass(frozen=True)
class Cells:
    """The two cut points between which each ordinal answer lies, before widening and shifting; `FAR` at the ends."""

    low_B: torch.Tensor
    high_B: torch.Tensor

    @staticmethod
    def of(base_BP: torch.Tensor, values_BD: torch.Tensor) -> Cells:
        level = values_BD[:, :1].long()
        edge = torch.full_like(base_BP[:, :1], FAR)
        cuts = torch.cat([-edge, base_BP, edge], dim=1)
        return Cells(cuts.gather(1, level).squeeze(1), cuts.gather(1, level + 1).squeeze(1))

    def at(self, shift_B: torch.Tensor, spread_B: torch.Tensor) -> _At:
        low, high = self.low_B * spread_B - shift_B, self.high_B * spread_B - shift_B
        p = _phi_below(high) - _phi_below(low)
        flat = p < TINY**2  # as in `Ordinal.log_prob`
        return _At(low, high, _phi(low), _phi(high), p.clamp_min(TINY**2), flat)


class _At(NamedTuple):
    """a and b, the cut points seen by the person; phi there; p = Phi(b) - Phi(a); where p is cut off.

    In the shift, l' = (phi(a) - phi(b)) / p and l'' = (a phi(a) - b phi(b)) / p - l'^2.
    """

    low: torch.Tensor
    high: torch.Tensor
    at_low: torch.Tensor
    at_high: torch.Tensor
    p: torch.Tensor
    flat: torch.Tensor

    def first(self) -> torch.Tensor:
        return ((self.at_low - self.at_high) / self.p).masked_fill_(self.flat, 0.0)

    def second(self) -> torch.Tensor:
        bend = (self.low * self.at_low - self.high * self.at_high) / self.p
        return (bend - self.first().square()).clamp_max_(0).masked_fill_(self.flat, 0.0)


def _ordinal(base_BP: torch.Tensor, spread_B: torch.Tensor, values_BD: torch.Tensor) -> Slopes:
    cells = Cells.of(base_BP, values_BD)

    def closed_form(shift_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        at = cells.at(shift_B, spread_B)
        return at.first(), at.second()

    return closed_form


class OrdinalTotal(torch.autograd.Function):
    """The log-likelihood of ordinal answers, as a function of loadings (I, Z), attitudes (N, Z) and spreads (I,).

    weight_B: what each answer counts for, None where all count alike.

    Its gradients come in closed form with its value, at a third of the time that differentiating takes.
    """

    @staticmethod
    def forward(
        ctx: Any, loadings_IZ: torch.Tensor, attitude_NZ: torch.Tensor, spread_I: torch.Tensor, cells: Cells,
        by_person: ByPerson, participant_B: torch.Tensor, item_B: torch.Tensor, weight_B: torch.Tensor | None,
    ) -> torch.Tensor:  # fmt: skip
        shift_B = torch.einsum("bz,bz->b", loadings_IZ[item_B], attitude_NZ[participant_B])
        at = cells.at(shift_B, spread_I[item_B])
        in_shift = at.first()
        in_spread = ((cells.high_B * at.at_high - cells.low_B * at.at_low) / at.p).masked_fill_(at.flat, 0.0)
        log_p = at.p.log()
        if weight_B is not None:
            in_shift, in_spread, log_p = in_shift * weight_B, in_spread * weight_B, log_p * weight_B
        of_attitude, of_loadings = by_person.both(in_shift, loadings_IZ.numpy(), attitude_NZ.numpy())
        of_spread = torch.zeros_like(spread_I).index_add_(0, item_B, in_spread)
        ctx.save_for_backward(torch.from_numpy(of_loadings), torch.from_numpy(of_attitude), of_spread)
        return log_p.sum()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        loadings, attitude, spread = ctx.saved_tensors
        return grad * loadings, grad * attitude, grad * spread, None, None, None, None, None


def _phi(x: torch.Tensor) -> torch.Tensor:
    return torch.exp(-0.5 * x.square()) * (1 / math.sqrt(2 * math.pi))


def _phi_below(x: torch.Tensor) -> torch.Tensor:
    """The normal distribution function, several times faster than torch.special.ndtr."""
    return 0.5 * torch.erfc(x * -math.sqrt(0.5))


def derivatives(
    slopes_of: Slopes, by_person: ByPerson, loadings_IZ: torch.Tensor, shift_B: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, Z) gradient of the log-likelihood in each person's noise, and (N, Z, Z) posterior precision I - Hessian."""
    first, second = slopes_of(shift_B)
    beta_IZ = loadings_IZ.numpy()
    width = beta_IZ.shape[1]
    row, column = np.triu_indices(width)
    half = by_person.sum(-second, beta_IZ[:, row] * beta_IZ[:, column])
    precision = np.empty((len(half), width, width))
    precision[:, row, column] = half
    precision[:, column, row] = half
    precision += np.eye(width)
    return torch.from_numpy(by_person.sum(first, beta_IZ)), torch.from_numpy(precision)
