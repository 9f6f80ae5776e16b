"""Memory and time that tuning takes, computed from a model's configuration and a study before anything is loaded.

Bytes at the largest moment of a step, in the backward pass of the largest micro-batch:

- weights: `dtype` bytes each; under QLoRA those of linear layers (all but the output layer) have half a byte, one byte
  per block of 64, four bytes per 256 blocks, and two tables per layer;
- adapter: r (in + out) numbers of four bytes for each adapted layer; as many for gradients, twice that for Adam;
- kept: what the backward pass needs of the forward one (see `layer_bytes`), with gradient checkpointing one hidden
  state per layer and all of one layer;
- logits: of the answers' places only, four bytes and one copy for the gradient.

Gradients of weights that are not trained are not kept, and neither are inputs of layers for them. The allocator's
fragments, the CUDA context (about 0.6 GB) and kernels' scratch space come on top: `Estimate.total` adds a tenth.

Time: a token takes 2 operations per weight forward, 2 backward (4 where all weights are trained), and 2 more with
gradient checkpointing; attention is small beside that for prompts of some hundred tokens.

Shapes: B prompts of the largest micro-batch, K tokens of its rows, L layers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crowdllm.config import TuneConfig
from crowdllm.data.study import Study
from crowdllm.llm.local_model import LocalModel, Source, load_tokenizer
from crowdllm.survey_tuning.adapters import LAYERS, WITH_MATRICES
from crowdllm.survey_tuning.batches import epoch_steps
from crowdllm.survey_tuning.cells import Cells, make_cells
from crowdllm.survey_tuning.interview import make_interview
from crowdllm.survey_tuning.loss import needed, tree_of

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
BLOCK, SCALES = (
    64,
    256,
)  # weights per scale, and scales per scale of scales, in 4-bit NormalFloat with double quantisation
TABLES = 4 * 16 + 4 * 256 + 4  # of a quantised layer: values of the 4 and the 8 bits, the mean of the scales
RESERVE = 1.1


@dataclass(frozen=True)
class Needs:
    """What a study asks of a step and of an epoch.

    prompts, tokens: of the largest micro-batch, its rows padded, with the nodes of the answers; places: logits per
    prompt there. epoch_tokens: of all micro-batches. steps: per epoch.
    """

    prompts: int
    tokens: int
    places: int
    epoch_tokens: int
    steps: int


@dataclass(frozen=True)
class Estimate:
    """Bytes, and how long an epoch takes. total: with a reserve of a tenth."""

    weights: int
    adapter: int
    gradients: int
    optimiser: int
    kept: int
    logits: int
    trained_weights: int
    all_weights: int
    epoch_operations: float
    epoch_seconds: float

    @property
    def total(self) -> int:
        parts = self.weights + self.adapter + self.gradients + self.optimiser + self.kept + self.logits
        return round(RESERVE * parts)


def tuning_needs(cells: Cells, config: TuneConfig, seed: int = 0) -> Needs:
    """What these cells ask for, from the batches that the first epoch would really have."""
    largest, tokens, places, prompts, total = 0, 0, 0, 0, 0
    steps = epoch_steps(cells, config, seed, 0)
    for rows in (rows for step in steps for rows in step):
        answers = cells.sets[int(cells.set_C[rows[0]])]
        given = np.flatnonzero(cells.counts(rows, len(answers.tokens)).any(axis=0))
        nodes = len(tree_of(answers, needed(answers, given, config)).token_n)
        width = max(len(cells.prompts[c]) for c in rows.tolist()) + nodes
        total += len(rows) * width
        if len(rows) * width > largest:
            largest, tokens, places, prompts = len(rows) * width, width, 1 + nodes, len(rows)
    return Needs(prompts, tokens, places, total, len(steps))


def estimate_tuning(
    model_config: Any,
    needs: Needs,
    config: TuneConfig,
    dtype: str = "bfloat16",
    checkpointing: bool = True,
    operations_per_second: float = 100e12,
    gpu: bool = True,
) -> Estimate:
    """Memory and time of tuning a model of this configuration (of transformers). No weights are made.

    dtype: of the base's weights. operations_per_second: what the machine really does, a third to a half of its maker's
    number for that dtype: about 100e12 of an A100's 312e12, 300e12 of an H100's or H200's 990e12.
    """
    shapes = linear_shapes(model_config)
    everything = sum(count for count in parameter_counts(model_config).values())
    linear = sum(a * b for name, (a, b) in shapes.items() if not _is_output(name))
    width = BYTES[dtype]
    if config.adapter == "qlora":
        packed = sum(nf4_bytes(a * b) for name, (a, b) in shapes.items() if not _is_output(name))
        weights = packed + width * (everything - linear)
    else:
        weights = width * everything
    adapted = [shape for name, shape in shapes.items() if is_adapted(name)]
    trained = everything if config.adapter == "full" else config.rank * sum(a + b for a, b in adapted)
    trained_bytes = width if config.adapter == "full" else 4
    text = model_config.get_text_config()
    forward = 2.0 * (everything - _embedding_only(text))
    per_token = forward * (2 if config.adapter in WITH_MATRICES else 3) + (forward if checkpointing else 0)
    operations = per_token * needs.epoch_tokens
    return Estimate(
        weights=weights,
        adapter=trained * trained_bytes if config.adapter != "full" else 0,
        gradients=trained * trained_bytes,
        optimiser=2 * trained * trained_bytes,
        kept=kept_bytes(model_config, needs, config, dtype, checkpointing, gpu),
        logits=2 * 4 * needs.prompts * needs.places * text.vocab_size,
        trained_weights=trained,
        all_weights=everything,
        epoch_operations=operations,
        epoch_seconds=operations / operations_per_second,
    )


def kept_bytes(model_config: Any, needs: Needs, config: TuneConfig, dtype: str, checkpointing: bool, gpu: bool) -> int:
    """Bytes that the forward pass keeps for the backward one, and with checkpointing those of one layer more."""
    text = model_config.get_text_config()
    width, layers = BYTES[dtype], text.num_hidden_layers
    rows = needs.prompts * needs.tokens
    layer = rows * layer_bytes(text, config, dtype, gpu)
    masks = len(set(getattr(text, "layer_types", None) or [""])) * rows * needs.tokens * width
    ends = rows * 4 * text.hidden_size + masks  # the last normalisation, and the masks that all layers share
    return ends + (rows * layers * width * text.hidden_size + layer if checkpointing else layers * layer)


def layer_bytes(text: Any, config: TuneConfig, dtype: str, gpu: bool) -> int:
    """Bytes that one layer keeps of one token, with h the hidden, f the feed-forward, q and k the heads' widths.

    The inputs of the normalisations (4 h each, in float32; Gemma has four, Qwen and Gemma also those of queries and
    keys); queries, keys and values of all heads and what attention makes of them; gate, its activation, and up
    projection. LoRA: the input of each adapted layer in float32, the noise of dropout as large (a byte each on a GPU),
    and r numbers between A and B. All weights trained: normalised inputs and the inputs of the linear layers.
    """
    width = BYTES[dtype]
    h, f = text.hidden_size, text.intermediate_size
    head = getattr(text, "head_dim", None) or h // text.num_attention_heads
    q, k = text.num_attention_heads * head, text.num_key_value_heads * head
    gemma, normed_heads = text.model_type.startswith("gemma"), not text.model_type.startswith("llama")
    norms = 4 * h * (4 if gemma else 2) + (4 * (q + k) if normed_heads else 0)
    found = norms + width * (4 * q + 3 * f)
    if config.adapter in WITH_MATRICES:
        inputs = 5 * h + q + f
        shared = not config.dropout and width == 4  # one input serves several layers, and attention's output the next
        found += 4 * (2 * h + f if shared else inputs) + len(LAYERS) * 4 * config.rank
        found += (1 if gpu else 4) * inputs if config.dropout else 0
    elif config.adapter == "full":
        found += norms + width * (2 * h + f)
    return int(found)


def nf4_bytes(weights: int) -> int:
    """Bytes of a layer's weights in 4-bit NormalFloat with double quantisation."""
    blocks = math.ceil(weights / BLOCK)
    return math.ceil(weights / 2) + blocks + 4 * math.ceil(blocks / SCALES) + TABLES


def linear_shapes(model_config: Any) -> dict[str, tuple[int, int]]:
    """(out, in) of every linear layer by name, from the model's outline, without any weight in memory."""
    import torch

    return {
        name: (module.out_features, module.in_features)
        for name, module in _outline(model_config).named_modules()
        if isinstance(module, torch.nn.Linear)
    }


def parameter_counts(model_config: Any) -> dict[str, int]:
    """How many numbers every weight has; shared ones once."""
    return {name: weight.numel() for name, weight in _outline(model_config).named_parameters()}


def is_adapted(name: str) -> bool:
    """Whether LoRA goes beside the layer of this name."""
    return bool(re.fullmatch(rf"(?!.*(vision|multi_modal)).*\.({'|'.join(LAYERS)})", name))


def _is_output(name: str) -> bool:
    return name.split(".")[-1] == "lm_head"


def _embedding_only(text: Any) -> int:
    """Weights that are looked up and not multiplied with; none where they are the output layer too."""
    return 0 if getattr(text, "tie_word_embeddings", False) else int(text.vocab_size * text.hidden_size)


def _outline(model_config: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(model_config)
    model.tie_weights()
    return model


def plan_needs(source: Source, studies: Sequence[Study], config: TuneConfig, seed: int = 0) -> tuple[Any, Needs]:
    """A model's configuration, and what tuning it on these studies asks for: only its tokenizer is loaded."""
    model_config, prompt, context = load_tokenizer(source)
    without_weights: Any = None
    model = LocalModel(without_weights, prompt, frozenset(), context)
    cells = make_cells([(study, make_interview(study, config)) for study in studies], model, config)
    return model_config, tuning_needs(cells, config, seed)
