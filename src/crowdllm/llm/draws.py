"""Sample texts from a language model, each with its own noise: draw k of a prompt is the same in any company.

Token s of draw k is found where the s-th uniform number of (model, prompt, draw) falls in the model's distribution at
that temperature (inverse distribution function in the vocabulary's order, in double precision), up to the end of the
turn or `max_tokens`. The whole distribution is used: no top-k, top-p or repetition penalty, whatever the model's own
settings for generation say. Temperature 0 takes the most probable token.

A uniform number is a function of model, prompt, draw and position alone. The model's own numbers are not quite: other
rows beside it change them in the last digits (about 1e-6 in float32, 1e-2 in bfloat16). So draws of another batch size
differ where a uniform number falls that close to a border: about once in a hundred thousand tokens in float32, once in
a hundred in bfloat16. The same requests with the same batch size give the same texts on the same machine.

Shapes: R rows (prompt and draw), S tokens at most, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowdllm.llm.causal_lm import Prefilled, advance, branch, log_probabilities
from crowdllm.rng import stable_keys, uniforms

if TYPE_CHECKING:
    import torch

BROKEN = -1  # in place of a token


def draw_noise(identity: str, prompts: Sequence[str], draws: Sequence[int], tokens: int) -> NDArray[np.float64]:
    """(R, S) uniform numbers, keyed by the model, the prompt's text and the number of the draw."""
    draw_R = np.asarray(draws, dtype=np.uint64)
    return uniforms(0, f"draws of {identity}", draw_R, stable_keys(list(prompts)), n=tokens)


def write_texts(
    prefilled: Prefilled,
    rows: Sequence[int],
    noise_RS: NDArray[np.float64],
    temperature: float,
    stop: frozenset[int],
) -> list[tuple[int, ...] | None]:
    """The tokens of R texts, the one that ends the turn included; at most S each.

    None for a row where the model's numbers are no probabilities (not finite).
    """
    current = branch(prefilled, rows)
    last_RV = prefilled.last_BV[list(rows)]
    texts: list[list[int]] = [[] for _ in rows]
    ended, broken = [False] * len(rows), [False] * len(rows)
    for step in range(noise_RS.shape[1]):
        token_R = choose(last_RV, noise_RS[:, step], temperature)
        for r, token in enumerate(token_R):
            if not ended[r]:
                broken[r] = token == BROKEN
                texts[r].append(token)
                ended[r] = broken[r] or token in stop
        if all(ended) or step + 1 == noise_RS.shape[1]:
            break
        current, logits_RnV = advance(current, [[max(token, 0)] for token in token_R])
        last_RV = logits_RnV[:, -1]
    return [None if broken[r] else tuple(text) for r, text in enumerate(texts)]


def choose(logits_RV: torch.Tensor, uniform_R: NDArray[np.float64], temperature: float) -> list[int]:
    """The next token of each row: the most probable one at temperature 0, else where its uniform number falls.

    BROKEN for a row whose numbers are no probabilities.
    """
    import torch

    below_RV = log_probabilities(logits_RV, temperature or 1.0).exp().cumsum(dim=-1)
    total_R = below_RV[:, -1:]
    if temperature == 0:
        token_R = logits_RV.argmax(dim=-1).to(total_R.device)
    else:
        point_R = torch.from_numpy(uniform_R).to(below_RV)[:, None] * total_R
        token_R = torch.searchsorted(below_RV, point_R, right=True).squeeze(1)
    chosen: list[int] = torch.where(total_R.squeeze(1).isfinite(), token_R, BROKEN).tolist()
    return chosen
