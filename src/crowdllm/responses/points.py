"""Points responses: a budget of whole points spread over M options (constant sum, cumulative voting).

Likelihood: Dirichlet-multinomial over the budget's units, P = M utilities (the expected shares through a softmax) and
the log concentration. Sampled as its Polya urn, unit by unit, so points are whole, never negative, and add up.

Encoding: D = M, the points of each option. U = M, raw width M + 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from crowdllm.errors import ConfigError, UnparsableAnswerError
from crowdllm.responses.answer_text import read_answer
from crowdllm.responses.options import (
    beyond_options,
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

_POINTS = re.compile(r"([0-9]{1,9})(?:\.0)?")


@dataclass(frozen=True)
class Points:
    """`budget` points spread over the problem's options, in multiples of `step`."""

    budget: int
    step: int = 1
    max_options: int = 0
    kind: ClassVar[str] = "points"
    has_options: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_whole(self.kind, budget=self.budget, step=self.step, max_options=self.max_options)
        if self.budget < 1 or self.step < 1 or self.budget % self.step:
            raise ConfigError(f"the budget must be a positive multiple of the step, not {self.budget} and {self.step}")

    def to_dict(self) -> dict[str, Any]:
        out = {"type": self.kind, "budget": self.budget, "step": self.step}
        return out | ({"max_options": self.max_options} if self.max_options else {})

    def allowed(self, options: Sequence[str] = ()) -> str:
        step = f" in multiples of {self.step}" if self.step > 1 else ""
        return f"{self.budget} points in all{step}, written #option=points and separated by |"

    def instructions(self, options: Sequence[str] = ()) -> str:
        step = f" in multiples of {self.step}" if self.step > 1 else ""
        return (
            f"Spread {self.budget} points over these options{step}:\n{listed(options)}\nThe points must add up to "
            f"{self.budget}. Do not explain.\nAnswer format: Points: #[number]=[points], #[number]=[points], ..."
        )

    def crowd_question(self, options: Sequence[str] = ()) -> str:
        return (
            f"Each spreads {self.budget} points over these options:\n{listed(options)}\nOf every 100 points that such "
            "people give, how many go to each option?"
        )

    def parse(self, text: str, options: Sequence[str] = ()) -> Array:
        return read_answer(text, "points", lambda form: self.read_cell(form, options), self.allowed(options))

    def read_cell(self, cell: str, options: Sequence[str] = ()) -> Array:
        allowed = self.allowed(options)
        names, points = [], []
        for part in split_list(cell, options, allowed):
            at = max(part.rfind("="), part.rfind(":"))
            number = _POINTS.fullmatch(part[at + 1 :].strip())
            if at < 1 or not number:
                raise UnparsableAnswerError(part, allowed)
            names.append(part[:at])
            points.append(float(number.group(1)))
        chosen = positions(names, options, allowed)
        if len(set(chosen)) != len(chosen):
            raise UnparsableAnswerError(cell, allowed)
        value_D = np.zeros(max(self.max_options, len(options)))
        value_D[chosen] = points
        if not self.legal(value_D[None], np.array([len(options)]))[0]:
            raise UnparsableAnswerError(cell, allowed)
        return value_D

    def write_cell(self, value_D: Array, options: Sequence[str] = ()) -> str:
        return "|".join(f"#{i + 1}={int(value_D[i])}" for i in np.flatnonzero(value_D))

    def width(self, max_options: int = 0) -> int:
        return max_options or self.max_options

    def legal(self, values_RD: Array, option_count_R: NDArray[np.int64]) -> NDArray[np.bool_]:
        with np.errstate(invalid="ignore"):  # infinity has no remainder
            whole = (values_RD % self.step == 0).all(axis=1) & (values_RD >= 0).all(axis=1)
        beyond = beyond_options(values_RD, option_count_R)
        return whole & ~beyond & (values_RD.sum(axis=1) == self.budget)

    def summary_width(self, max_options: int = 0) -> int:
        return max_options or self.max_options

    def summarise(self, values_RD: Array) -> Array:
        total = values_RD.sum()
        return values_RD.sum(axis=0) / total if total else np.full(values_RD.shape[1], np.nan)

    def distance(self, p_M: Array, q_M: Array) -> float:
        return total_variation(p_M, q_M)

    def raw_width(self, max_options: int = 0) -> int:
        return (max_options or self.max_options) + 1

    def utility_width(self, max_options: int = 0) -> int:
        return max_options or self.max_options

    def noise_width(self, max_options: int = 0) -> int:
        return self.budget // self.step

    def base(self, raw_TW: torch.Tensor) -> torch.Tensor:
        return raw_TW

    def shifted(self, base_BP: torch.Tensor, shift_BU: torch.Tensor, spread_B: torch.Tensor) -> torch.Tensor:
        import torch

        return torch.cat([base_BP[..., :-1] + shift_BU, base_BP[..., -1:]], dim=-1)

    def log_prob(self, params_BP: torch.Tensor, values_BD: torch.Tensor, option_count_B: torch.Tensor) -> torch.Tensor:
        import torch

        present = torch.arange(values_BD.shape[-1], device=values_BD.device) < option_count_B.unsqueeze(-1)
        share = torch.softmax(mask_missing(params_BP[:, :-1], option_count_B), dim=-1)
        total = torch.exp(params_BP[:, -1].clamp(-6, 12))
        alpha = (share * total.unsqueeze(-1)).clamp_min(1e-12)
        units = values_BD / self.step
        count = units.sum(-1)
        per_option = torch.lgamma(units + alpha) - torch.lgamma(alpha) - torch.lgamma(units + 1)
        whole = torch.lgamma(total) - torch.lgamma(count + total) + torch.lgamma(count + 1)
        return whole + torch.where(present, per_option, torch.zeros_like(per_option)).sum(-1)

    def sample(self, params_BP: Array, uniforms_BW: Array, option_count_B: NDArray[np.int64]) -> Array:
        logits = mask_missing_array(params_BP[:, :-1], option_count_B)
        share = np.exp(logits - logits.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        urn_BM = share * np.exp(np.clip(params_BP[:, -1:], -6, 12))
        drawn_BM = np.zeros_like(urn_BM)
        rows = np.arange(len(urn_BM))
        for unit in range(self.budget // self.step):
            below = np.cumsum(urn_BM + drawn_BM, axis=1)
            # a uniform below 1 times the total never exceeds it, so that no option beyond the last is drawn
            option = (uniforms_BW[:, unit : unit + 1] * below[:, -1:] > below).sum(axis=1, keepdims=True)
            drawn_BM[rows, option[:, 0]] += 1
        return drawn_BM * self.step
