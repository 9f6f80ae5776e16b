"""Build a tiny language model with random weights on the spot: a folder that transformers loads like any other.

    python tests/llm/tiny_model.py llama FOLDER

Llama, Qwen3 and Gemma3 in a few thousand weights, with a byte-level tokenizer (a token per byte, but "Yes" and "No"
are tokens too), the special tokens of the family, and a short form of its chat template. Gemma3 has layers with a
sliding window of 8 tokens; its template has no system role. The weights are large enough for answers of very different
probability, and the end of a turn is a likely token now and then.

Tests load this file by its path (`load_tiny_model` in the test files), as tests are no package.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LLAMA = """{{- bos_token }}
{%- for message in messages %}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}"""
QWEN = """{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{% endif %}
{%- endif %}"""
GEMMA = """{{- bos_token }}
{%- for message in messages %}
{%- if message['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}
{{- '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<start_of_turn>model\n' }}
{%- endif %}"""


@dataclass(frozen=True)
class Family:
    """What tells the tokenizers of families apart. `added`: tokens in the vocabulary that are not declared special."""

    template: str
    bos: str
    eos: str
    end_of_turn: str
    special: tuple[str, ...]
    added: tuple[str, ...] = ()


FAMILIES = {
    "llama": Family(
        LLAMA,
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|eot_id|>",
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    ),
    "qwen3": Family(
        QWEN,
        "",
        "<|endoftext|>",
        "<|im_end|>",
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        ("<think>", "</think>", "<tool_call>", "</tool_call>"),
    ),
    "gemma3": Family(
        GEMMA,
        "<bos>",
        "<eos>",
        "<end_of_turn>",
        ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"),
        ("\n\n", "<b>", "</b>", "[multimodal]"),
    ),
}


def build_tokenizer(family: str, chat: bool = True) -> Any:
    """A byte-level tokenizer with the special tokens and, if asked for, the chat template of the family."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    merges = [("Y", "e"), ("Ye", "s"), ("N", "o")]
    vocabulary = sorted(pre_tokenizers.ByteLevel.alphabet()) + [a + b for a, b in merges]
    backend = Tokenizer(models.BPE({token: i for i, token in enumerate(vocabulary)}, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    about = FAMILIES[family]
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in about.special])
    backend.add_tokens([AddedToken(token, special=False, normalized=False) for token in about.added])
    if about.bos:
        bos = backend.token_to_id(about.bos)
        backend.post_processor = processors.TemplateProcessing(
            single=f"{about.bos} $A", pair=f"{about.bos} $A $B", special_tokens=[(about.bos, bos)]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=about.bos or None, eos_token=about.eos, pad_token=about.eos
    )
    tokenizer.chat_template = about.template if chat else None
    return tokenizer


def build_config(family: str, vocabulary: int, width: int, layers: int, context: int) -> Any:
    """The configuration of a small model of the family; `width` is a multiple of 8."""
    from transformers import Gemma3TextConfig, LlamaConfig, Qwen3Config

    shape = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": width // 4,
        "max_position_embeddings": context,
        "initializer_range": 0.3 * (32 / width) ** 0.5,
    }
    if family == "llama":
        return LlamaConfig(**shape)
    if family == "qwen3":
        return Qwen3Config(**shape)
    kinds = ["full_attention" if layer % 2 else "sliding_attention" for layer in range(layers)]
    return Gemma3TextConfig(**shape, sliding_window=8, layer_types=kinds, query_pre_attn_scalar=width // 4)


def build(
    folder: str | Path,
    family: str = "llama",
    seed: int = 2,
    chat: bool = True,
    width: int = 32,
    layers: int = 3,
    context: int = 2048,
) -> Path:
    """Write model, tokenizer and generation settings into the folder."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    tokenizer = build_tokenizer(family, chat)
    config = build_config(family, len(tokenizer), width, layers, context)
    about = FAMILIES[family]
    stop = [tokenizer.convert_tokens_to_ids(token) for token in (about.eos, about.end_of_turn)]
    config.eos_token_id, config.pad_token_id = stop[0], stop[0]
    config.bos_token_id = tokenizer.convert_tokens_to_ids(about.bos) if about.bos else None
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
        model.get_output_embeddings().weight[stop[1]] *= 2
    model.generation_config = GenerationConfig(
        eos_token_id=stop, pad_token_id=stop[0], bos_token_id=config.bos_token_id
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)


if __name__ == "__main__":
    build(sys.argv[2], sys.argv[1])
