"""Ranking responses: the first `depth` of a problem's options in order, or all of them.

Likelihood: Plackett-Luce over option utilities, log P = sum_r (u_{j_r} - log sum_{j not yet ranked} exp u_j);
sampled by sorting utilities + Gumbel noise.

Encoding: D = M, the rank of each option (1 is best) and 0 where it is not ranked. P = U = raw width = M.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from crowdllm.errors import UnparsableAnswerError
from crowdllm.responses.answer_text import read_answer
from crowdllm.responses.options import (
    beyond_options,
    gumbel,
    listed,
    mask_missing,
    mask_missing_array,
    positions,
    require_whole,
    split_list,
    total_variation,
)
from crowdllm.responses.protocol import Array

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Ranking:
    """The best `depth` options in order; depth 0 means all options of the problem."""

    depth: int = 0
    max_options: int = 0
    kind: ClassVar[str] = "ranking"
    has_options: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_whole(self.kind, depth=self.depth, max_options=self.max_options)

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"type": self.kind, "depth": self.depth}
        return out | ({"max_options": self.max_options} if self.max_options else {})

    def _depth(self, option_count: int) -> int:
        return min(self.depth, option_count) if self.depth else option_count

    def allowed(self, options: Sequence[str] = ()) -> str:
        return f"the best {self._depth(len(options))} of #1 to #{len(options)}, best first, separated by |"

    def instructions(self, options: Sequence[str] = ()) -> str:
        return (
            f"Rank the {self._depth(len(options))} options you like best, best first:\n{listed(options)}\n"
            "Do not explain.\nAnswer format: Ranking: #[number], #[number], ..."
        )

    def crowd_question(self, options: Sequence[str] = ()) -> str:
        depth = self._depth(len(options))
        return (
            f"Each ranks the {depth} options they like best:\n{listed(options)}\nThe best gets {depth} points, the "
            "next one point fewer, and so on. Of every 100 points that such people give, how many go to each option?"
        )

    def parse(self, text: str, options: Sequence[str] = ()) -> Array:
        return read_answer(text, "ranking", lambda form: self.read_cell(form, options), self.allowed(options))

    def read_cell(self, cell: str, options: Sequence[str] = ()) -> Array:
        allowed = self.allowed(options)
        order = positions(split_list(cell, options, allowed), options, allowed)
        if len(set(order)) != len(order) or len(order) != self._depth(len(options)):
            raise UnparsableAnswerError(cell, allowed)
        value_D = np.zeros(max(self.max_options, len(options)))
        value_D[order] = np.arange(1, len(order) + 1)
        return value_D

    def write_cell(self, value_D: Array, options: Sequence[str] = ()) -> str:
        ranked = np.flatnonzero(value_D)
        return "|".join(f"#{i + 1}" for i in ranked[np.argsort(value_D[ranked])])

    def width(self, max_options: int = 0) -> int:
        return max_options or self.max_options

    def legal(self, values_RD: Array, option_count_R: NDArray[np.int64]) -> NDArray[np.bool_]:
        depth_R = np.minimum(self.depth, option_count_R) if self.depth else option_count_R
        beyond = beyond_options(values_RD, option_count_R)
        ordered = -np.sort(-values_RD, axis=1)
        expected = np.maximum(depth_R[:, None] - np.arange(values_RD.shape[1]), 0)
        return ~beyond & (ordered == expected).all(axis=1)

    def summary_width(self, max_options: int = 0) -> int:
        return max_options or self.max_options

    def summarise(self, values_RD: Array) -> Array:
        """Borda shares: an option ranked r-th of the ranked d gets d + 1 - r, an unranked one 0; adds up to 1."""
        depth = values_RD.max(axis=1, keepdims=True) if len(values_RD) else values_RD
        borda = np.where(values_RD > 0, depth + 1 - values_RD, 0).sum(axis=0)
        return borda / borda.sum() if borda.sum() else np.full(values_RD.shape[1], np.nan)

    def distance(self, p_M: Array, q_M: Array) -> float:
        return total_variation(p_M, q_M)

    def raw_width(self, max_options: int = 0) -> int:
        return max_options or self.max_options

    def utility_width(self, max_options: int = 0) -> int:
        return max_options or self.max_options

    def noise_width(self, max_options: int = 0) -> int:
        return max_options or self.max_options

    def base(self, raw_TW: torch.Tensor) -> torch.Tensor:
        return raw_TW

    def shifted(self, base_BP: torch.Tensor, shift_BU: torch.Tensor, spread_B: torch.Tensor) -> torch.Tensor:
        return base_BP + shift_BU

    def log_prob(self, params_BP: torch.Tensor, values_BD: torch.Tensor, option_count_B: torch.Tensor) -> torch.Tensor:
        import torch

        logits = mask_missing(params_BP, option_count_B)
        ranked = values_BD > 0
        place = torch.where(ranked, values_BD, torch.full_like(values_BD, 1e6))
        order = torch.argsort(place, dim=-1, stable=True)
        sorted_logits = logits.gather(1, order)
        remaining = torch.logcumsumexp(sorted_logits.flip(-1), dim=-1).flip(-1)
        counted = ranked.gather(1, order)
        return torch.where(counted, sorted_logits - remaining, torch.zeros_like(remaining)).sum(-1)

    def sample(self, params_BP: Array, uniforms_BW: Array, option_count_B: NDArray[np.int64]) -> Array:
        utility = mask_missing_array(params_BP, option_count_B) + gumbel(uniforms_BW)
        rank = np.argsort(np.argsort(-utility, axis=1, kind="stable"), axis=1, kind="stable") + 1
        depth_B = np.minimum(self.depth, option_count_B) if self.depth else option_count_B
        return np.where(rank <= depth_B[:, None], rank, 0).astype(float)
