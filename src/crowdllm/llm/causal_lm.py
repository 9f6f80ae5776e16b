"""Run a causal language model on a batch of prompts, and on several continuations of each, sharing the prompts' work.

`prefill` runs B prompts, padded on the left, once, and keeps their keys and values. `branch` copies those for R rows
(continuations), `advance` runs further tokens of every row and gives the logits after each of them. Nothing of the
prompts is computed twice.

Models whose memory is more than keys and values of attention (Mamba, linear attention) cannot be padded on the left
and branched exactly. For them every row is computed from its first token, one at a time: slower, and as exact.

Shapes: B prompts, L longest prompt, R rows, n tokens of the longest continuation, V vocabulary.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PAD = 0  # stands under a mask: which token it is makes no difference


@dataclass(frozen=True)
class CausalLM:
    """A loaded model; `branches`: whether continuations can share a prompt's keys and values."""

    model: Any
    accepts: frozenset[str]
    branches: bool


@dataclass(frozen=True)
class Prefilled:
    """B prompts and what the model computed on them.

    last_BV: the logits after each prompt. cache: keys and values; None where rows are computed from the start.
    """

    lm: CausalLM
    ids: tuple[tuple[int, ...], ...]
    last_BV: torch.Tensor
    mask_BL: torch.Tensor
    cache: Any


@dataclass(frozen=True)
class Branch:
    """R continuations: row r continues prompt rows[r], and has the tokens written[r] so far."""

    prefilled: Prefilled
    rows: tuple[int, ...]
    written: tuple[tuple[int, ...], ...]
    mask_RL: torch.Tensor
    cache: Any


def causal_lm(model: Any) -> CausalLM:
    """Look at a transformers model: what its forward pass takes, and whether it branches."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    accepts = frozenset(inspect.signature(model.forward).parameters)
    layers = DynamicCache(config=model.config).layers
    attention = all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)
    return CausalLM(model, accepts, attention and {"past_key_values", "attention_mask"} <= accepts)


def prefill(lm: CausalLM, prompts: Sequence[Sequence[int]]) -> Prefilled:
    """Run B prompts (at least one token each) once."""
    import torch

    ids = tuple(tuple(prompt) for prompt in prompts)
    if not lm.branches:
        last_BV = torch.cat([_alone(lm, prompt, 1) for prompt in ids])
        return Prefilled(lm, ids, last_BV, torch.ones(len(ids), 0, dtype=torch.long), None)
    longest = max(len(prompt) for prompt in ids)
    padded = torch.tensor([(PAD,) * (longest - len(prompt)) + prompt for prompt in ids])
    mask_BL = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in ids])
    with torch.inference_mode():
        out = _forward(lm, padded, mask_BL, cache=None, keep=1)
        return Prefilled(lm, ids, out.logits[:, -1], mask_BL, out.past_key_values)


def branch(prefilled: Prefilled, rows: Sequence[int]) -> Branch:
    """R rows that continue these prompts (each may occur several times); the prompts themselves are kept."""
    import torch

    empty = tuple(() for _ in rows)
    if prefilled.cache is None:
        return Branch(prefilled, tuple(rows), empty, prefilled.mask_BL, None)
    index_R = torch.tensor(list(rows))
    cache = copy.copy(prefilled.cache)
    cache.layers = [copy.copy(layer) for layer in cache.layers]
    with torch.inference_mode():
        cache.reorder_cache(index_R)  # new tensors: those of the prompts stay
    return Branch(prefilled, tuple(rows), empty, prefilled.mask_BL[index_R], cache)


def advance(branch: Branch, tokens: Sequence[Sequence[int]]) -> tuple[Branch, torch.Tensor]:
    """Run further tokens of each row: the branch after them, and (R, n, V) logits after each token.

    Rows with fewer tokens than the longest have logits without meaning at the end, and can then not be advanced again.
    """
    import torch

    lm = branch.prefilled.lm
    written = tuple((*before, *new) for before, new in zip(branch.written, tokens, strict=True))
    n = max(len(new) for new in tokens)
    if branch.cache is None:
        logits = [
            _alone(lm, branch.prefilled.ids[b] + after, len(new))
            for b, after, new in zip(branch.rows, written, tokens, strict=True)
        ]
        padded = [torch.nn.functional.pad(one, (0, 0, 0, n - len(one))) for one in logits]
        return replace(branch, written=written), torch.stack(padded)
    ids_Rn = torch.tensor([[*new, *[PAD] * (n - len(new))] for new in tokens])
    new_Rn = torch.tensor([[1] * len(new) + [0] * (n - len(new)) for new in tokens])
    mask_RL = torch.cat([branch.mask_RL, new_Rn], dim=1)
    with torch.inference_mode():
        out = _forward(lm, ids_Rn, mask_RL, branch.cache, keep=n)
    return replace(branch, written=written, mask_RL=mask_RL, cache=out.past_key_values), out.logits[:, -n:]


def _forward(lm: CausalLM, ids_Rn: torch.Tensor, mask_RL: torch.Tensor, cache: Any, keep: int) -> Any:
    """One pass over n tokens, after what is in the cache; the mask covers both (L >= n)."""
    device = lm.model.device
    more: dict[str, Any] = {"logits_to_keep": keep} if "logits_to_keep" in lm.accepts else {}
    if "position_ids" in lm.accepts:
        positions = (mask_RL.cumsum(dim=1) - 1).clamp_min(0)[:, -ids_Rn.shape[1] :]
        more["position_ids"] = positions.to(device)
    if cache is not None:
        more["past_key_values"] = cache
    return lm.model(input_ids=ids_Rn.to(device), attention_mask=mask_RL.to(device), use_cache=True, **more)


def _alone(lm: CausalLM, ids: Sequence[int], last: int) -> torch.Tensor:
    """(last, V) logits after each of the last tokens of one sequence, without padding and memory."""
    import torch

    keep = {"logits_to_keep": last} if "logits_to_keep" in lm.accepts else {}
    with torch.inference_mode():
        out = lm.model(input_ids=torch.tensor([list(ids)], device=lm.model.device), use_cache=False, **keep)
        logits: torch.Tensor = out.logits[0, -last:]
    return logits


def log_probabilities(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """Logarithms of the next token's probabilities, in double precision; on the CPU where a device has none."""
    if logits.device.type == "mps":
        logits = logits.cpu()
    return (logits.double() / temperature).log_softmax(dim=-1)
