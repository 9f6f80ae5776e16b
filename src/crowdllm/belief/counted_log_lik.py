"""The log-likelihood of counted answers as a function of the problems' raw parameters.

It is summed answer by answer. Where there are many, answers on a scale of levels and choices become a table of counts
times the log shares, which is the same up to rounding and several times faster, and other types go in blocks, so that
memory is that of a block.

Shapes: T answered problems, W raw width, M levels or options, B distinct answers, P parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crowdllm.belief.counted import MANY, Answers, burden
from crowdllm.responses.options import mask_missing
from crowdllm.responses.ordinal import TINY
from crowdllm.responses.protocol import ResponseType

LogProb = Callable[[torch.Tensor], torch.Tensor]


def counted_log_lik(
    response_type: ResponseType,
    answers: Answers,
    row_B: NDArray[np.int64],
    option_counts_T: torch.Tensor,
    most_options: int,
) -> LogProb:
    """The function from (T, W) raw parameters to () log-likelihood.

    row_B: which of the T problems each answer is to. most_options: that any problem has.
    """
    if response_type.kind in ("ordinal", "choice") and answers.count_B.sum() > MANY:
        table_TM = np.zeros((len(option_counts_T), response_type.summary_width(most_options)))
        np.add.at(table_TM, (row_B, answers.values_BD[:, 0].astype(np.int64)), answers.count_B)
        return _from_table(response_type, torch.from_numpy(table_TM), option_counts_T)
    row, count_B = torch.from_numpy(row_B), torch.from_numpy(answers.count_B)
    values_BD = torch.from_numpy(answers.values_BD)
    options_B = option_counts_T[row]

    def score(params_TP: torch.Tensor, part: slice) -> torch.Tensor:
        each = response_type.log_prob(params_TP[row[part]], values_BD[part], options_B[part])
        return (each * count_B[part]).sum()

    size = max(1, MANY // burden(response_type, most_options))
    blocks = [slice(start, start + size) for start in range(0, len(row), size)]
    if len(blocks) <= 1:
        return lambda raw_TW: score(response_type.base(raw_TW), slice(None))
    return lambda raw_TW: _InBlocks.apply(response_type.base(raw_TW), score, blocks)


def _from_table(response_type: ResponseType, count_TM: torch.Tensor, option_counts_T: torch.Tensor) -> LogProb:
    """Counts times log shares, which for levels are those that `Ordinal.base` cuts the latent scale by."""

    def of_levels(raw_TW: torch.Tensor) -> torch.Tensor:
        shares = torch.softmax(raw_TW, dim=-1) * (1 - count_TM.shape[1] * TINY) + TINY
        return (shares.log() * count_TM).sum()

    def of_options(raw_TW: torch.Tensor) -> torch.Tensor:
        return (torch.log_softmax(mask_missing(raw_TW, option_counts_T), dim=-1) * count_TM).sum()

    return of_options if response_type.has_options else of_levels


class _InBlocks(torch.autograd.Function):
    """A sum over blocks of answers, differentiated block by block, so that no two blocks are in memory at once."""

    @staticmethod
    def forward(
        ctx: Any, params_TP: torch.Tensor, score: Callable[[torch.Tensor, slice], torch.Tensor], blocks: list[slice]
    ) -> torch.Tensor:
        total = torch.zeros((), dtype=params_TP.dtype)
        with torch.enable_grad():
            leaf = params_TP.detach().requires_grad_()
            for block in blocks:
                part = score(leaf, block)
                part.backward()
                total += part.detach()
        ctx.save_for_backward(leaf.grad)
        return total

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (of_params,) = ctx.saved_tensors
        return grad * of_params, None, None
