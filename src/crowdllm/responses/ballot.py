"""Ballot responses: k of M options, exactly k or from a least to a most number of picks, in no order.

Likelihood: the number of picks has its own distribution; given it, the picks are the first k of a Plackett-Luce
ranking (Gumbel top-k). The probability of the unordered set S is exact and smooth for any k: in the race where
option j finishes after an Exp(w_j) time, S is chosen when all of it finishes before the first of the rest,

    P(S) = integral_0^inf  prod_{j in S} (1 - exp(-w_j x)) W exp(-W x) dx,   W = sum of w over the rest,

computed by the trapezoid rule in log x, which converges exponentially for this integrand.

Encoding: D = M, 1 for a pick and 0 elsewhere. P = M utilities, then one logit per possible number of picks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from crowdllm.errors import ConfigError, MismatchError, UnparsableAnswerError
from crowdllm.responses.answer_text import read_answer
from crowdllm.responses.options import (
    NEG,
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

STEP, LEFT, RIGHT = 0.25, -14.0, 5.0


@dataclass(frozen=True)
class Ballot:
    """Between `min_picks` and `max_picks` different options of the problem."""

    min_picks: int
    max_picks: int
    max_options: int = 0
    kind: ClassVar[str] = "ballot"
    has_options: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_whole(self.kind, min_picks=self.min_picks, max_picks=self.max_picks, max_options=self.max_options)
        if not 0 <= self.min_picks <= self.max_picks or self.max_picks < 1:
            raise ConfigError(f"a ballot needs 0 <= min_picks <= max_picks, not {self.min_picks} and {self.max_picks}")

    def to_dict(self) -> dict[str, Any]:
        out = {"type": self.kind, "min_picks": self.min_picks, "max_picks": self.max_picks}
        return out | ({"max_options": self.max_options} if self.max_options else {})

    def _how_many(self) -> str:
        if self.min_picks == self.max_picks:
            return f"exactly {self.max_picks}"
        return f"from {self.min_picks} to {self.max_picks}"

    def allowed(self, options: Sequence[str] = ()) -> str:
        none = "; | alone where none is picked" if self.min_picks == 0 else ""
        return f"{self._how_many()} different options of #1 to #{len(options)}, separated by |{none}"

    def _no_pick(self, options: Sequence[str]) -> str:
        """How an LLM says that it picks nothing."""
        return "|" if any(text.strip().casefold() == "none" for text in options) else "none"

    def instructions(self, options: Sequence[str] = ()) -> str:
        return (
            f"Choose {self._how_many()} different options:\n{listed(options)}\nDo not explain.\n"
            "Answer format: Picks: #[number], #[number], ..."
        ) + (f" (or, for no option, Picks: {self._no_pick(options)})" if self.min_picks == 0 else "")

    def crowd_question(self, options: Sequence[str] = ()) -> str:
        return (
            f"Each chooses {self._how_many()} different options:\n{listed(options)}\nOf every 100 choices that such "
            "people make, how many go to each option?"
        )

    def parse(self, text: str, options: Sequence[str] = ()) -> Array:
        def read(form: str) -> Array:
            nothing = self.min_picks == 0 and form.casefold() == self._no_pick(options)
            return self.read_cell("|" if nothing else form, options)

        return read_answer(text, "picks", read, self.allowed(options))

    def read_cell(self, cell: str, options: Sequence[str] = ()) -> Array:
        allowed = self.allowed(options)
        picks = positions(split_list(cell, options, allowed), options, allowed)
        if len(set(picks)) != len(picks) or not self.min_picks <= len(picks) <= self.max_picks:
            raise UnparsableAnswerError(cell, allowed)
        value_D = np.zeros(max(self.max_options, len(options)))
        value_D[picks] = 1
        return value_D

    def write_cell(self, value_D: Array, options: Sequence[str] = ()) -> str:
        return "|".join(f"#{i + 1}" for i in np.flatnonzero(value_D)) or "|"

    def width(self, max_options: int = 0) -> int:
        return max_options or self.max_options

    def legal(self, values_RD: Array, option_count_R: NDArray[np.int64]) -> NDArray[np.bool_]:
        picks = values_RD.sum(axis=1)
        binary = np.isin(values_RD, (0, 1)).all(axis=1)
        beyond = beyond_options(values_RD, option_count_R)
        return binary & ~beyond & (picks >= self.min_picks) & (picks <= self.max_picks)

    def summary_width(self, max_options: int = 0) -> int:
        return max_options or self.max_options

    def summarise(self, values_RD: Array) -> Array:
        total = values_RD.sum()
        return values_RD.sum(axis=0) / total if total else np.full(values_RD.shape[1], np.nan)

    def distance(self, p_M: Array, q_M: Array) -> float:
        return total_variation(p_M, q_M)

    def _sizes(self) -> int:
        return self.max_picks - self.min_picks + 1

    def raw_width(self, max_options: int = 0) -> int:
        return (max_options or self.max_options) + self._sizes()

    def utility_width(self, max_options: int = 0) -> int:
        return max_options or self.max_options

    def noise_width(self, max_options: int = 0) -> int:
        return (max_options or self.max_options) + (self._sizes() > 1)

    def base(self, raw_TW: torch.Tensor) -> torch.Tensor:
        return raw_TW

    def shifted(self, base_BP: torch.Tensor, shift_BU: torch.Tensor, spread_B: torch.Tensor) -> torch.Tensor:
        import torch

        options = shift_BU.shape[-1]
        return torch.cat([base_BP[..., :options] + shift_BU, base_BP[..., options:]], dim=-1)

    def log_prob(self, params_BP: torch.Tensor, values_BD: torch.Tensor, option_count_B: torch.Tensor) -> torch.Tensor:
        import torch

        options = values_BD.shape[-1]
        logits = mask_missing(params_BP[:, :options], option_count_B)
        sizes = torch.arange(self.min_picks, self.max_picks + 1, device=logits.device)
        size_logits = params_BP[:, options:].masked_fill(sizes > option_count_B.unsqueeze(-1), NEG)
        size = (values_BD.sum(-1).long() - self.min_picks).clamp_min(0).unsqueeze(-1)
        log_size = torch.log_softmax(size_logits, dim=-1).gather(1, size).squeeze(1)
        return log_size + log_set_probability(logits, values_BD > 0, option_count_B)

    def sample(self, params_BP: Array, uniforms_BW: Array, option_count_B: NDArray[np.int64]) -> Array:
        if len(option_count_B) and option_count_B.min() < self.min_picks:
            raise MismatchError(
                f"a ballot of {self._how_many()} picks cannot be cast on a problem with {option_count_B.min()} options"
            )
        options = params_BP.shape[1] - self._sizes()
        first = int(self._sizes() > 1)  # the size's noise comes first: its place depends on no other problem
        noise_BM = gumbel(uniforms_BW[:, first : first + options])
        utility = mask_missing_array(params_BP[:, :options], option_count_B) + noise_BM
        size = np.full(len(params_BP), self.max_picks)
        if self._sizes() > 1:
            cuts_BS = self.size_cuts(params_BP[:, options:], option_count_B)
            size = self.min_picks + (uniforms_BW[:, :1] > cuts_BS).sum(axis=1)
        size = np.minimum(size, option_count_B)
        rank = np.argsort(np.argsort(-utility, axis=1, kind="stable"), axis=1, kind="stable")
        return (rank < size[:, None]).astype(float)

    def size_cuts(self, size_logits_BS: Array, option_count_B: NDArray[np.int64]) -> Array:
        """(B, S - 1) a ballot has as many picks more than the least as cuts are below its first uniform."""
        sizes = np.arange(self.min_picks, self.max_picks + 1)
        logits = np.where(sizes <= option_count_B[:, None], size_logits_BS, NEG)
        share = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.cumsum(share / share.sum(axis=1, keepdims=True), axis=1)[:, :-1]


def log_set_probability(logits_BM: torch.Tensor, chosen_BM: torch.Tensor, option_count_B: torch.Tensor) -> torch.Tensor:
    """(B,) log-probability that the first k of a Plackett-Luce ranking are exactly the chosen options, in any order."""
    import torch

    columns = torch.arange(logits_BM.shape[-1], device=logits_BM.device)
    present = columns < option_count_B.unsqueeze(-1)
    rest = present & ~chosen_BM
    log_rest = torch.logsumexp(logits_BM.masked_fill(~rest, NEG), dim=-1)
    everything = ~rest.any(-1)
    most = int(chosen_BM.sum(-1).max()) if len(chosen_BM) else 0
    pick_BK = chosen_BM.to(torch.int8).argsort(dim=-1, descending=True, stable=True)[:, :most]  # the rest adds nothing
    picked_BK = chosen_BM.gather(-1, pick_BK)
    level_B = torch.where(everything, torch.zeros_like(log_rest), log_rest)
    rate_BK = (logits_BM.gather(-1, pick_BK) - level_B.unsqueeze(-1)).clamp(-30, 30)
    s_Q = torch.arange(LEFT, RIGHT, STEP, dtype=logits_BM.dtype, device=logits_BM.device)
    log_q = -torch.exp(rate_BK.unsqueeze(-1) + s_Q)
    log_done = torch.log(-torch.expm1(log_q.clamp(max=-1e-30)))
    log_done = torch.where(picked_BK.unsqueeze(-1), log_done, torch.zeros_like(log_done))
    log_terms = log_done.sum(-2) + s_Q - torch.exp(s_Q)
    log_integral = torch.logsumexp(log_terms, dim=-1) + float(np.log(STEP))
    none = ~chosen_BM.any(-1)
    return torch.where(everything | none, torch.zeros_like(log_integral), log_integral)
