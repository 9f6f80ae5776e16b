"""Reading and writing references to a problem's options, and masking those that a problem does not have.

In tables and answers an option is named by its number `#3`, by its text, or by plain `3` where no option's text is
itself a number. Several are separated by `|`, `;`, `,` or `>` (only `|` where an option's text contains the others).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.tables import plain_number
from crowdllm.errors import ConfigError, UnparsableAnswerError
from crowdllm.responses.protocol import Array

if TYPE_CHECKING:
    import torch

NEG = -1e9
_NUMBERED = re.compile(r"#([1-9][0-9]{0,5})")
_LOOSELY_NUMBERED = re.compile(r"(#?)\s*([0-9]{1,6})(?:\.0)?")
_ALL_NUMBERED = re.compile(r"#\s*[0-9]+\s*(?:[=:].*)?")


def require_whole(kind: str, **settings: object) -> None:
    """Raise ConfigError unless each of these settings is a whole number of at least 0."""
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ConfigError(f"{name} of a {kind} must be a whole number of at least 0, not {value!r}")


def listed(options: Sequence[str]) -> str:
    """The options, numbered from 1, one per line, whatever line breaks stand in their texts."""
    return "\n".join(f"#{i + 1} {' '.join(text.split())}" for i, text in enumerate(options))


def positions(words: Sequence[str], options: Sequence[str], allowed: str) -> list[int]:
    """The position of the option that each word names; raises UnparsableAnswerError for one that names none.

    `#n` is always the n-th option where there are so many. Then come an option's own text, the same but for upper
    case (where only one option is), and a number without `#` (where no option is itself a number).
    """
    exact = {text.strip(): i for i, text in enumerate(options)}
    folded: dict[str, list[int]] = {}
    for i, text in enumerate(options):
        folded.setdefault(text.strip().casefold(), []).append(i)
    bare = not any(plain_number(text) is not None for text in options)
    return [_position(word.strip(), exact, folded, bare, len(options), allowed) for word in words]


def _position(
    word: str, exact: dict[str, int], folded: dict[str, list[int]], bare: bool, count: int, allowed: str
) -> int:
    numbered = _NUMBERED.fullmatch(word)
    if numbered and int(numbered.group(1)) <= count:
        return int(numbered.group(1)) - 1
    if word in exact:
        return exact[word]
    alike = folded.get(word.casefold(), [])
    if len(alike) == 1:
        return alike[0]
    loosely = _LOOSELY_NUMBERED.fullmatch(word)
    if loosely and (loosely.group(1) or bare) and 1 <= int(loosely.group(2)) <= count and not alike:
        return int(loosely.group(2)) - 1
    raise UnparsableAnswerError(word, allowed)


def split_list(cell: str, options: Sequence[str], allowed: str) -> list[str]:
    """The parts of a list that names each option at most once; `|` alone is the empty list.

    Raises UnparsableAnswerError for an empty part, and for more parts than there are options.
    """
    cell = cell.strip()
    if cell == "|":
        return []
    parts = [part.strip() for part in re.split("[|;,>]", cell)]
    if not all(_ALL_NUMBERED.fullmatch(part) for part in parts if part):
        separators = "|" + "".join(s for s in ";,>" if not any(s in text for text in options))
        parts = [part.strip() for part in re.split(f"[{re.escape(separators)}]", cell)]
    if len(parts) > 1 and not parts[-1]:
        parts.pop()
    if not all(parts) or len(parts) > len(options):
        raise UnparsableAnswerError(cell, allowed)
    return parts


def beyond_options(values_RD: Array, option_count_R: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(R,) whether a response says anything about an option that its problem does not have."""
    return ((values_RD != 0) & (np.arange(values_RD.shape[1]) >= option_count_R[:, None])).any(axis=1)


def mask_missing(logits_BM: torch.Tensor, option_count_B: torch.Tensor) -> torch.Tensor:
    """Logits with the options a problem does not have set to an impossible value."""
    import torch

    columns = torch.arange(logits_BM.shape[-1], device=logits_BM.device)
    return logits_BM.masked_fill(columns >= option_count_B.unsqueeze(-1), NEG)


def mask_missing_array(logits_BM: Array, option_count_B: NDArray[np.int64]) -> Array:
    """`mask_missing` for NumPy arrays."""
    return np.where(np.arange(logits_BM.shape[1]) < option_count_B[:, None], logits_BM, NEG)


def gumbel(uniforms: Array) -> Array:
    """Standard Gumbel noise; logits + Gumbel noise, sorted downwards, is a Plackett-Luce ranking."""
    return -np.log(-np.log(uniforms))


def total_variation(p_M: Array, q_M: Array) -> float:
    """Half the summed absolute difference of two distributions."""
    return 0.5 * float(np.abs(p_M - q_M).sum())
