"""Reading and writing references to a problem's options, and masking those that a problem does not have.

In tables and answers an option is named by its exact text or by its number: `#3`, or plain `3` where no option's
text is itself a number. Several are separated by `|`, `;` or `,` (only `|` where an option's text contains the others).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowdllm.errors import UnparsableAnswerError
from crowdllm.responses.protocol import Array

if TYPE_CHECKING:
    import torch

NEG = -1e9


def listed(options: Sequence[str]) -> str:
    """The options, numbered from 1, one per line."""
    return "\n".join(f"#{i + 1} {text}" for i, text in enumerate(options))


def strip_label(text: str, label: str) -> str:
    """An LLM's answer without the `Label:` in front and the brackets around."""
    body = re.sub(rf"^\s*(?:{label}|answer|response)\s*[:=]\s*", "", text.strip(), flags=re.IGNORECASE)
    body = body.strip().removesuffix(".").strip()
    if len(body) > 1 and body[0] + body[-1] in ("[]", "()", '""', "''"):
        body = body[1:-1].strip()
    return body


def pick(word: str, options: Sequence[str], allowed: str) -> int:
    """The position of the option that `word` names; raises UnparsableAnswerError."""
    word = word.strip()
    folded = {text.strip().casefold(): i for i, text in enumerate(options)}
    if word.casefold() in folded:
        return folded[word.casefold()]
    match = re.fullmatch(r"(#?)\s*(\d{1,6})(?:\.0)?", word)
    numeric_texts = any(re.fullmatch(r"[-+]?\d+(\.\d+)?", text.strip()) for text in options)
    if match and (match.group(1) or not numeric_texts) and 1 <= int(match.group(2)) <= len(options):
        return int(match.group(2)) - 1
    raise UnparsableAnswerError(word, allowed)


def split_list(cell: str, options: Sequence[str]) -> list[str]:
    """The parts of a list of options."""
    separators = "|" + "".join(s for s in ";,>" if not any(s in text for text in options))
    if cell.startswith("#"):
        separators = "|;,>"
    return [part.strip() for part in re.split(f"[{re.escape(separators)}]", cell) if part.strip()]


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
