"""Continuous responses: a number, with or without bounds.

Likelihood: normal with the problem's own location and scale; with bounds it is censored there (people who would
go further answer the bound), so a simulated response never leaves the scale: it is clamped, and the log-likelihood
of an answer at a bound is the probability of everything beyond it.

Encoding: D = 1, the number. P = 2 (location, log scale), U = 1 (in units of that scale), raw width 2. Raw numbers
are on the unit of `center` and `scale`, which a fit sets from the training responses.
"""

from __future__ import annotations

import math
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

QUANTILES = 33


@dataclass(frozen=True)
class Continuous:
    """A number between `low` and `high`; None leaves that side open.

    center, scale: the unit in which the model works, such as mean and SD of the training responses.
    """

    low: float | None = None
    high: float | None = None
    center: float = 0.0
    scale: float = 1.0
    kind: ClassVar[str] = "continuous"
    has_options: ClassVar[bool] = False

    def __post_init__(self) -> None:
        named = {"low": self.low, "high": self.high, "center": self.center, "scale": self.scale}
        for name, value in named.items():
            if (name in ("center", "scale") or value is not None) and not _finite(value):
                raise ConfigError(f"{name} of a continuous scale must be a finite number, not {value!r}")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ConfigError(f"a continuous scale needs low < high, not {self.low} and {self.high}")
        if self.scale <= 0:
            raise ConfigError(f"a continuous scale needs a positive unit, not {self.scale}")

    def to_dict(self) -> dict[str, Any]:
        bounds = {"low": self.low, "high": self.high}
        unit = {} if (self.center, self.scale) == (0.0, 1.0) else {"center": self.center, "scale": self.scale}
        return {"type": self.kind} | {k: v for k, v in bounds.items() if v is not None} | unit

    def allowed(self, options: Sequence[str] = ()) -> str:
        low = "" if self.low is None else f" of at least {self.low:g}"
        high = "" if self.high is None else f" of at most {self.high:g}"
        return "a number" + low + (" and" if low and high else "") + high

    def instructions(self, options: Sequence[str] = ()) -> str:
        return f"Answer with {self.allowed()}. Do not explain.\nAnswer format: Answer: [number]"

    def crowd_question(self, options: Sequence[str] = ()) -> str:
        return (
            f"Each answers with {self.allowed()}.\nPut 100 such people in the order of their answers, from the lowest "
            "to the highest. What do the 10th, 20th, 30th, 40th, 50th, 60th, 70th, 80th and 90th of them answer?"
        )

    def parse(self, text: str, options: Sequence[str] = ()) -> Array:
        return read_answer(text, "rating|number", self.read_cell, self.allowed())

    def read_cell(self, cell: str, options: Sequence[str] = ()) -> Array:
        value = plain_number(cell)
        value_RD = np.array([[np.nan if value is None else value]])
        if not self.legal(value_RD, np.zeros(1, dtype=np.int64))[0]:
            raise UnparsableAnswerError(cell, self.allowed())
        return value_RD[0]

    def write_cell(self, value_D: Array, options: Sequence[str] = ()) -> str:
        return repr(float(value_D[0]))

    def width(self, max_options: int = 0) -> int:
        return 1

    def _bounds(self) -> tuple[float, float]:
        return (-math.inf if self.low is None else self.low, math.inf if self.high is None else self.high)

    def legal(self, values_RD: Array, option_count_R: NDArray[np.int64]) -> NDArray[np.bool_]:
        low, high = self._bounds()
        value = values_RD[:, 0]
        return np.isfinite(value) & (value >= low) & (value <= high)

    def summary_width(self, max_options: int = 0) -> int:
        return QUANTILES

    def summarise(self, values_RD: Array) -> Array:
        if not len(values_RD):
            return np.full(QUANTILES, np.nan)
        return np.quantile(values_RD[:, 0], (np.arange(QUANTILES) + 0.5) / QUANTILES)

    def distance(self, p_M: Array, q_M: Array) -> float:
        return float(np.mean(np.abs(p_M - q_M)))

    def raw_width(self, max_options: int = 0) -> int:
        return 2

    def utility_width(self, max_options: int = 0) -> int:
        return 1

    def noise_width(self, max_options: int = 0) -> int:
        return 1

    def base(self, raw_TW: torch.Tensor) -> torch.Tensor:
        import torch

        location = self.center + self.scale * raw_TW[..., :1]
        return torch.cat([location, math.log(self.scale) + raw_TW[..., 1:].clamp(-6, 6)], dim=-1)

    def shifted(self, base_BP: torch.Tensor, shift_BU: torch.Tensor, spread_B: torch.Tensor) -> torch.Tensor:
        import torch

        log_scale = base_BP[..., 1:] - torch.log(spread_B).unsqueeze(-1)
        return torch.cat([base_BP[..., :1] + log_scale.exp() * shift_BU, log_scale], dim=-1)

    def log_prob(self, params_BP: torch.Tensor, values_BD: torch.Tensor, option_count_B: torch.Tensor) -> torch.Tensor:
        import torch

        location, log_scale = params_BP[:, 0], params_BP[:, 1]
        value = values_BD[:, 0]
        low, high = self._bounds()
        z = (value - location) * torch.exp(-log_scale)
        inside = -0.5 * z**2 - log_scale - 0.5 * math.log(2 * math.pi)
        at_low, at_high = torch.special.log_ndtr(z), torch.special.log_ndtr(-z)
        return torch.where(value <= low, at_low, torch.where(value >= high, at_high, inside))

    def sample(self, params_BP: Array, uniforms_BW: Array, option_count_B: NDArray[np.int64]) -> Array:
        low, high = self._bounds()
        value = params_BP[:, :1] + np.exp(params_BP[:, 1:2]) * ndtri(uniforms_BW[:, :1])
        return np.clip(value, low, high)


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
