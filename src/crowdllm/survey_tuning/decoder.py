"""A small decoder made from nothing, for experiments without pre-trained weights: a byte-level tokenizer and a model.

The tokenizer is byte-level BPE: it knows every byte, and learns merges from the texts given (such as a study's
prompts), so that a prompt that repeats the same words thousands of times becomes short. With merges over whole `lines`
a line of a profile, a question or the instructions becomes one token where the vocabulary suffices, and a prompt of 100
tokens one of ten; a number that ends a line of a profile stays apart, digit by digit, so that 45 is like 46. The model
is a Llama with tied embeddings and random weights, keyed by the seed; 5-20 M weights suffice for a survey. Tune it with
adapter "full".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from crowdllm.survey_tuning.adapters import keyed_torch
from crowdllm.survey_tuning.base_model import require_packages

END = "<|end|>"
Merges = Literal["words", "lines"]
LINE = r"\n(?=- |<<<[^\n]*\n[^\n])"
"""Where a line of a profile begins, or the fence before a question; what stands between them is one piece."""
NUMBER = r"(?<=: )-?\d+(?:\.\d+)?\z"
DIGIT = r"\A\d(?=\d*\z)"


def small_decoder(
    folder: str | Path,
    texts: Sequence[str],
    width: int = 256,
    layers: int = 6,
    heads: int = 4,
    vocabulary: int = 1024,
    context: int = 2048,
    seed: int = 0,
    merges: Merges = "words",
) -> Path:
    """Write model and tokenizer into the folder, which then is a base model like any other.

    texts: what merges are learned from. vocabulary: tokens at most; 257 for bytes alone. width: a multiple of heads.
    merges: within words, or over whole lines (see the module).
    Raises MissingExtraError without transformers.
    """
    require_packages("full", "a small decoder")
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, LlamaConfig

    tokenizer = byte_level_tokenizer(texts, vocabulary, merges)
    settings = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    with keyed_torch(seed, "decoder", torch.device("cpu")):
        model = AutoModelForCausalLM.from_config(settings)
    Path(folder).mkdir(parents=True, exist_ok=True)
    settings.architectures = ["LlamaForCausalLM"]
    settings.save_pretrained(folder)
    weights = {name: weight for name, weight in model.state_dict().items() if name != "lm_head.weight"}  # tied
    save_file(weights, Path(folder) / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(folder)
    return Path(folder)


def byte_level_tokenizer(texts: Sequence[str], vocabulary: int = 1024, merges: Merges = "words") -> Any:
    """A byte-level BPE tokenizer with merges learned from these texts, and one special token that ends an answer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = _lines() if merges == "lines" else pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=END, pad_token=END)


def _lines() -> Any:
    """What splits a text into the pieces within which bytes are merged, where these are lines."""
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import ByteLevel, Split
    from tokenizers.pre_tokenizers import Sequence as Steps

    splits = [
        Split(Regex(LINE), "merged_with_next"),
        Split(Regex(NUMBER), "isolated"),
        Split(Regex(DIGIT), "isolated"),
    ]
    return Steps([*splits, ByteLevel(add_prefix_space=False, use_regex=False)])
