"""Choice responses: one of a problem's own options, which may differ from problem to problem.

Likelihood: softmax over option utilities (multinomial logit); sampled by the Gumbel-max trick.

Encoding: D = 1, the position of the option. P = U = raw width = M utilities.
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
    gumbel,
    listed,
    mask_missing,
    mask_missing_array,
    positions,
    require_whole,
    total_variation,
)
from crowdllm.responses.protocol import Array

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Choice:
    """One of the problem's options. `max_options`: the most that any problem has (0: not known yet)."""

    max_options: int = 0
    kind: ClassVar[str] = "choice"
    has_options: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_whole(self.kind, max_options=self.max_options)

    def to_dict(self) -> dict[str, Any]:
        return {"type": self.kind} | ({"max_options": self.max_options} if self.max_options else {})

    def allowed(self, options: Sequence[str] = ()) -> str:
        return "one of " + "; ".join(f"#{i + 1} {text}" for i, text in enumerate(options))

    def instructions(self, options: Sequence[str] = ()) -> str:
        return f"Choose exactly one option:\n{listed(options)}\nDo not explain.\nAnswer format: Answer: #[number]"

    def crowd_question(self, options: Sequence[str] = ()) -> str:
        return f"Each chooses exactly one option:\n{listed(options)}\nOf 100 such people, how many choose each option?"

    def parse(self, text: str, options: Sequence[str] = ()) -> Array:
        return read_answer(text, "choice", lambda form: self.read_cell(form, options), self.allowed(options))

    def read_cell(self, cell: str, options: Sequence[str] = ()) -> Array:
        return np.array([float(positions([cell], options, self.allowed(options))[0])])

    def write_cell(self, value_D: Array, options: Sequence[str] = ()) -> str:
        """The option's text, or its number where the text would be read as another option."""
        option, allowed = int(value_D[0]), self.allowed(options)
        try:
            misread = positions([options[option]], options, allowed) != [option]
        except UnparsableAnswerError:
            misread = True
        return f"#{option + 1}" if misread else options[option]

    def width(self, max_options: int = 0) -> int:
        return 1

    def legal(self, values_RD: Array, option_count_R: NDArray[np.int64]) -> NDArray[np.bool_]:
        option = values_RD[:, 0]
        return (option == np.floor(option)) & (option >= 0) & (option < option_count_R)

    def summary_width(self, max_options: int = 0) -> int:
        return max_options or self.max_options

    def summarise(self, values_RD: Array) -> Array:
        if not len(values_RD):
            return np.full(self.max_options, np.nan)
        return np.bincount(values_RD[:, 0].astype(int), minlength=self.max_options) / len(values_RD)

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
        return torch.log_softmax(logits, dim=-1).gather(1, values_BD[:, :1].long()).squeeze(1)

    def sample(self, params_BP: Array, uniforms_BW: Array, option_count_B: NDArray[np.int64]) -> Array:
        utility = mask_missing_array(params_BP, option_count_B) + gumbel(uniforms_BW)
        return utility.argmax(axis=1, keepdims=True).astype(float)
