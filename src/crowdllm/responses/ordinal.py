"""Ordinal responses: one of M ordered levels, such as 1..5, -3..3, or words from "never" to "always".

Likelihood: cumulative probit with the problem's own cut points, P(y <= m) = Phi(tau_m - shift). The cut points
come from M unconstrained logits through the population's level shares q: tau_m = Phi^{-1}(q_1 + ... + q_m), so the
marginal distribution over a population whose shifts are standardised is q exactly, and the shift only says where
in it a person stands (a Gaussian copula across problems).

Encoding: D = 1, the position 0..M-1 of the level. P = M - 1 cut points, U = 1, raw width M.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from crowdllm.data.tables import plain_number
from crowdllm.errors import ConfigError, UnparsableAnswerError
from crowdllm.responses.answer_text import read_answer
from crowdllm.responses.protocol import Array

if TYPE_CHECKING:
    import torch

TINY = 1e-6


@dataclass(frozen=True)
class Ordinal:
    """M ordered levels.

    levels: their labels in order, as they stand in the data.
    points: the number each level counts as in means and distances; read off numeric labels, else 1..M.
    ends: what the lowest and highest level mean, in words, for the question; may be empty.
    """

    levels: tuple[str, ...]
    points: tuple[float, ...] = ()
    ends: tuple[str, str] = ("", "")
    kind: ClassVar[str] = "ordinal"
    has_options: ClassVar[bool] = False

    def __post_init__(self) -> None:
        texts = not isinstance(self.levels, str) and all(isinstance(level, str) for level in self.levels)
        distinct = len({_key(level) for level in self.levels}) if texts else 0
        if distinct < max(2, len(self.levels)) or not all(level.strip() for level in self.levels):
            raise ConfigError(
                "an ordinal scale needs at least two different levels, as texts (blanks, upper case and ways to write "
                f"a number make no difference), not {self.levels!r}"
            )
        if not self.points:
            numbers = [plain_number(level) for level in self.levels]
            points = [float(i + 1) for i in range(len(self.levels))] if None in numbers else numbers
            object.__setattr__(self, "points", tuple(points))
        rising = len(self.points) == len(self.levels) and bool(np.all(np.diff(self.points) > 0))
        if not rising or not np.isfinite(self.points).all():
            raise ConfigError(f"the points of an ordinal scale must rise level by level, not {list(self.points)}")
        if len(self.ends) != 2:
            raise ConfigError(f"the ends of an ordinal scale are two texts, not {list(self.ends)}")

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"type": self.kind, "levels": list(self.levels), "points": list(self.points)}
        return out | ({"ends": list(self.ends)} if any(self.ends) else {})

    def allowed(self, options: Sequence[str] = ()) -> str:
        return ", ".join(self.levels)

    def instructions(self, options: Sequence[str] = ()) -> str:
        numbers = all(plain_number(level) is not None for level in self.levels)
        place = f"{self.levels[0]}-{self.levels[-1]}" if numbers else "one of these"
        return f"Answer with one of: {self._scale_in_words()}. Do not explain.\nAnswer format: Rating: [{place}]"

    def _scale_in_words(self) -> str:
        low, high = self.ends
        ends = f", where {self.levels[0]} means {low!r} and {self.levels[-1]} means {high!r}" if low and high else ""
        return ", ".join(self.levels) + ends

    def crowd_question(self, options: Sequence[str] = ()) -> str:
        return f"Each answers with one of: {self._scale_in_words()}.\nOf 100 such people, how many give each answer?"

    def parse(self, text: str, options: Sequence[str] = ()) -> Array:
        return read_answer(text, "rating", self.read_cell, self.allowed())

    def read_cell(self, cell: str, options: Sequence[str] = ()) -> Array:
        position = {_key(level): i for i, level in enumerate(self.levels)}.get(_key(cell))
        if position is None:
            raise UnparsableAnswerError(cell, self.allowed())
        return np.array([float(position)])

    def write_cell(self, value_D: Array, options: Sequence[str] = ()) -> str:
        return self.levels[int(value_D[0])]

    def width(self, max_options: int = 0) -> int:
        return 1

    def legal(self, values_RD: Array, option_count_R: NDArray[np.int64]) -> NDArray[np.bool_]:
        level = values_RD[:, 0]
        return (level == np.floor(level)) & (level >= 0) & (level < len(self.levels))

    def summary_width(self, max_options: int = 0) -> int:
        return len(self.levels)

    def summarise(self, values_RD: Array) -> Array:
        if not len(values_RD):
            return np.full(len(self.levels), np.nan)
        return np.bincount(values_RD[:, 0].astype(int), minlength=len(self.levels)) / len(values_RD)

    def distance(self, p_M: Array, q_M: Array) -> float:
        return float(np.abs(np.cumsum(p_M - q_M)[:-1]) @ np.diff(self.points))

    def raw_width(self, max_options: int = 0) -> int:
        return len(self.levels)

    def utility_width(self, max_options: int = 0) -> int:
        return 1

    def noise_width(self, max_options: int = 0) -> int:
        return 1

    def base(self, raw_TW: torch.Tensor) -> torch.Tensor:
        import torch

        shares = torch.softmax(raw_TW, dim=-1) * (1 - len(self.levels) * TINY) + TINY
        return torch.special.ndtri(torch.cumsum(shares, dim=-1)[..., :-1])

    def shifted(self, base_BP: torch.Tensor, shift_BU: torch.Tensor, spread_B: torch.Tensor) -> torch.Tensor:
        return base_BP * spread_B.unsqueeze(-1) - shift_BU

    def probabilities(self, params_BP: torch.Tensor) -> torch.Tensor:
        """(B, M) level probabilities."""
        import torch

        below = torch.special.ndtr(params_BP)
        zero = torch.zeros_like(below[..., :1])
        return torch.diff(torch.cat([zero, below, zero + 1], dim=-1), dim=-1)

    def log_prob(self, params_BP: torch.Tensor, values_BD: torch.Tensor, option_count_B: torch.Tensor) -> torch.Tensor:
        level = values_BD[:, :1].long()
        return self.probabilities(params_BP).gather(1, level).squeeze(1).clamp_min(TINY**2).log()

    def sample(self, params_BP: Array, uniforms_BW: Array, option_count_B: NDArray[np.int64]) -> Array:
        noise = ndtri(uniforms_BW[:, :1])
        return (noise > params_BP).sum(axis=1, keepdims=True).astype(float)


def _key(text: str) -> str | float:
    """What makes two ways to write a level the same: the number, or the word in lower case."""
    number = plain_number(text)
    return text.strip().casefold() if number is None else number
