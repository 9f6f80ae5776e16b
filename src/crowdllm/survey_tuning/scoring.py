"""Log probabilities of all possible answers to a batch of prompts, in one pass, differentiable.

The answers' tokens make a tree: every beginning that answers have in common is one node. A prompt and the nodes of the
tree stand in one row of tokens, prompts padded on the left; a node sees its prompt and its own ancestors, and stands at
the position that it would have if its answer were typed alone. So nothing is computed twice, neither the prompt for
its answers nor a beginning for the answers that share it, and

    log p(a | x) = sum_s log p(a_s | x, a_1 .. a_{s-1})

is exact over all tokens of the answer, of which only the last is never run. Logits are computed for the prompt's last
token and the nodes alone.

Works with full and sliding-window attention (Llama, Qwen3, Gemma 3), with and without gradient checkpointing.

Shapes: B prompts, L longest prompt, n nodes, M answers, S tokens of the longest answer, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crowdllm.errors import ConfigError
from crowdllm.llm.option_scores import Tokens

if TYPE_CHECKING:
    import torch

FAMILIES = ("llama", "qwen3", "gemma3", "gemma3_text")
_FULL, _SLIDING = "full_attention", "sliding_attention"
Index = NDArray[np.int64]


@dataclass(frozen=True)
class AnswerTree:
    """M answers as a tree of n nodes.

    token_n: the node's token; depth_n: how many tokens stand before it in the answer; above_nn: whether a node (row)
    comes after, or is, another (column). row_MS, next_MS: after which row of logits (0: the prompt, 1 + j: node j)
    which token is looked up; here_MS: where the answer has so many tokens.
    """

    token_n: Index
    depth_n: Index
    above_nn: NDArray[np.bool_]
    row_MS: Index
    next_MS: Index
    here_MS: NDArray[np.bool_]


@lru_cache(maxsize=256)
def answer_tree(answers: tuple[Tokens, ...]) -> AnswerTree:
    """The tree of these answers (at least one token each)."""
    begun = sorted({answer[:k] for answer in answers for k in range(1, len(answer))}, key=lambda b: (len(b), b))
    place = {beginning: j for j, beginning in enumerate(begun)}
    above_nn = np.zeros((len(begun), len(begun)), dtype=bool)
    for j, beginning in enumerate(begun):
        above_nn[j, [place[beginning[:k]] for k in range(1, len(beginning) + 1)]] = True
    longest = max(len(answer) for answer in answers)
    row_MS, next_MS = np.zeros((2, len(answers), longest), dtype=np.int64)
    for m, answer in enumerate(answers):
        next_MS[m, : len(answer)] = answer
        row_MS[m, 1 : len(answer)] = [1 + place[answer[:k]] for k in range(1, len(answer))]
    here_MS = np.arange(longest) < np.array([len(answer) for answer in answers])[:, None]
    tokens = np.array([beginning[-1] for beginning in begun], dtype=np.int64)
    depths = np.array([len(beginning) - 1 for beginning in begun], dtype=np.int64)
    return AnswerTree(tokens, depths, above_nn, row_MS, next_MS, here_MS)


@dataclass(frozen=True)
class Packed:
    """B rows of L + n tokens: ids, positions, and which token (row) sees which (column)."""

    ids_BK: Index
    position_BK: Index
    sees_BKK: NDArray[np.bool_]


def pack(prompts: Sequence[Tokens], tree: AnswerTree) -> Packed:
    """Prompts, padded on the left, each followed by all nodes; padding sees itself alone."""
    length_B = np.array([len(prompt) for prompt in prompts])
    longest, n = int(length_B.max()), len(tree.token_n)
    ids_BK = np.zeros((len(prompts), longest + n), dtype=np.int64)
    for b, prompt in enumerate(prompts):
        ids_BK[b, longest - len(prompt) : longest] = prompt
    ids_BK[:, longest:] = tree.token_n
    position_BK = np.concatenate(
        [
            np.maximum(np.arange(longest) - (longest - length_B)[:, None], 0),
            length_B[:, None] + tree.depth_n,
        ],
        axis=1,
    )
    real_BL = np.arange(longest) >= (longest - length_B)[:, None]
    sees_BKK = np.zeros((len(prompts), longest + n, longest + n), dtype=bool)
    sees_BKK[:, :longest, :longest] = np.tri(longest, dtype=bool) & real_BL[:, None, :]
    sees_BKK[:, longest:, :longest] = real_BL[:, None, :]
    sees_BKK[:, longest:, longest:] = tree.above_nn
    sees_BKK |= np.eye(longest + n, dtype=bool)
    return Packed(ids_BK, position_BK, sees_BKK)


def answer_log_probabilities(model: Any, prompts: Sequence[Tokens], tree: AnswerTree) -> torch.Tensor:
    """(B, M) log p(a | x) in nats, in float32 or better. model: a causal language model of transformers.

    Raises ConfigError for a model of another family.
    """
    import torch

    packed = pack(prompts, tree)
    device = model.device
    out = model(
        input_ids=torch.from_numpy(packed.ids_BK).to(device),
        attention_mask=_masks(model, packed),
        position_ids=torch.from_numpy(packed.position_BK).to(device),
        use_cache=False,
        logits_to_keep=1 + len(tree.token_n),
    )
    logits_BnV = out.logits if out.logits.dtype == torch.float64 else out.logits.float()
    row_MS, next_MS = torch.from_numpy(tree.row_MS).to(device), torch.from_numpy(tree.next_MS).to(device)
    norm_Bn = logits_BnV.logsumexp(dim=-1)
    log_p_BMS = logits_BnV[:, row_MS, next_MS] - norm_Bn[:, row_MS]
    return log_p_BMS.masked_fill(~torch.from_numpy(tree.here_MS).to(device), 0.0).sum(dim=-1)


def require_family(config: Any) -> None:
    """Raise ConfigError for a model whose attention is not known to follow a mask that is given."""
    if config.model_type not in FAMILIES:
        raise ConfigError(
            f"models of the family {config.model_type!r} cannot be tuned into survey participants: take one of "
            "Llama, Qwen3 or Gemma 3"
        )


def _masks(model: Any, packed: Packed) -> Any:
    """The mask in the form that the model takes: one, or one for each kind of its layers."""
    import torch

    require_family(model.config)
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    if not kinds:
        return _mask(model, torch.from_numpy(packed.sees_BKK))
    if unknown := kinds - {_FULL, _SLIDING}:
        raise ConfigError(f"the model has layers of a kind that is not known: {', '.join(sorted(unknown))}")
    masks = {_FULL: _mask(model, torch.from_numpy(packed.sees_BKK))}
    if _SLIDING in kinds:
        back_BKK = packed.position_BK[:, :, None] - packed.position_BK[:, None, :]
        near = packed.sees_BKK & (back_BKK < config.sliding_window)
        masks[_SLIDING] = _mask(model, torch.from_numpy(near))
    return masks


def _mask(model: Any, sees_BKK: torch.Tensor) -> torch.Tensor:
    """(B, 1, K, K) 0 where a token is seen, else the lowest number: one for all layers, which truth values would not be
    (each layer makes numbers of them, and keeps those for the backward pass)."""
    import torch

    sees = sees_BKK[:, None].to(model.device)
    none = torch.finfo(model.dtype).min
    return torch.zeros(sees.shape, dtype=model.dtype, device=sees.device).masked_fill(~sees, none)
