"""What every response type can do: be asked, read, checked, scored, sampled, summarised and compared.

A response is a row of D numbers. The model reaches a response type through three things only:

- `raw_width` numbers per problem, unconstrained, turned by `base` into the parameters of the *population's*
  response distribution on that problem (reference + mean bias, in the paper's words);
- a shift of U utilities per (participant, problem), the personal part of the bias delta_it, added by `shifted`;
- `log_prob` (torch, differentiable) and `sample` (NumPy, legal by construction) of the shifted parameters: the
  blender y ~ F(y_ref + delta, sigma^2) of CrowdLLM eq. (2), with F the response type's own likelihood.

Shapes: B a batch of (participant, problem) pairs, D response width, M levels or options, P parameters, U utilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float64]


class ResponseType(Protocol):
    """One way of answering. Implementations are frozen dataclasses, one per file."""

    kind: ClassVar[str]
    has_options: ClassVar[bool]
    """True where the problem's own options are what is answered with; False for scales."""

    def to_dict(self) -> dict[str, Any]:
        """The scale as TOML/JSON; `response_type_from_dict` reads it back."""
        ...

    def allowed(self, options: Sequence[str] = ()) -> str:
        """In words, what a legal response is."""
        ...

    # --- text -----------------------------------------------------------------------------------------------

    def instructions(self, options: Sequence[str] = ()) -> str:
        """How a person or an LLM is asked: the scale or the options, and the answer format."""
        ...

    def crowd_question(self, options: Sequence[str] = ()) -> str:
        """How an LLM is asked for a crowd's distribution: what, in a hundred, the numbers of `summarise` count.

        For `continuous`: which numbers of the people who stand at 10 %, 20 %, ..., 90 % are wanted.
        """
        ...

    def parse(self, text: str, options: Sequence[str] = ()) -> Array:
        """(D,) response from an LLM's answer in that format; raises UnparsableAnswerError, never guesses."""
        ...

    def read_cell(self, cell: str, options: Sequence[str] = ()) -> Array:
        """(D,) response from a table cell; raises UnparsableAnswerError."""
        ...

    def write_cell(self, value_D: Array, options: Sequence[str] = ()) -> str:
        """The table cell that `read_cell` turns back into the same response."""
        ...

    # --- numbers --------------------------------------------------------------------------------------------

    def width(self, max_options: int = 0) -> int:
        """D, where a problem has at most `max_options` options."""
        ...

    def legal(self, values_RD: Array, option_count_R: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(R,) whether each response keeps to the scale, the number of picks, or the budget."""
        ...

    def summary_width(self, max_options: int = 0) -> int:
        """M: how many numbers `summarise` gives."""
        ...

    def summarise(self, values_RD: Array) -> Array:
        """(M,) distribution of a crowd's responses to one problem; NaN for no response.

        Level or option shares that add up to 1; for `continuous`, quantiles at evenly spaced probabilities.
        """
        ...

    def distance(self, p_M: Array, q_M: Array) -> float:
        """Between two summaries: Wasserstein-1 on the scale; total variation between option shares."""
        ...

    # --- the model's side -----------------------------------------------------------------------------------

    def raw_width(self, max_options: int = 0) -> int:
        """How many unconstrained numbers per problem `base` takes."""
        ...

    def utility_width(self, max_options: int = 0) -> int:
        """U: 1 for scales, one per option otherwise."""
        ...

    def noise_width(self, max_options: int = 0) -> int:
        """How many uniforms `sample` takes per response."""
        ...

    def base(self, raw_TW: torch.Tensor) -> torch.Tensor:
        """(T, P) parameters of the population's response distribution."""
        ...

    def shifted(self, base_BP: torch.Tensor, shift_BU: torch.Tensor, spread_B: torch.Tensor) -> torch.Tensor:
        """(B, P) parameters of one person's distribution.

        `spread_B` = sqrt(1 + variance of the shift in the population): scales widen the base by it so that the
        population's distribution stays the one that `base` describes.
        """
        ...

    def log_prob(self, params_BP: torch.Tensor, values_BD: torch.Tensor, option_count_B: torch.Tensor) -> torch.Tensor:
        """(B,) log-likelihood; its negative mean is the training loss (a proper score, the log score)."""
        ...

    def sample(self, params_BP: Array, uniforms_BW: Array, option_count_B: NDArray[np.int64]) -> Array:
        """(B, D) legal responses from the parameters and uniforms in (0, 1)."""
        ...


def as_torch(array: Array) -> torch.Tensor:
    """A float64 tensor for `log_prob` and friends, for callers that hold NumPy arrays."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(array))
