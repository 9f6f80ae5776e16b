"""The model that is tuned: which one it is, and how it is loaded (in 4 bits for QLoRA).

Its identity is the commit on the Hugging Face Hub, or, of a folder, the hash of configuration, weights and tokenizer
(`crowdllm.llm.local_model.folder_hash`). An adapter is for that very model and no other.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowdllm.config import TuneConfig
from crowdllm.errors import MismatchError, MissingExtraError
from crowdllm.llm.local_model import LocalModel, Source, find_model, load_model
from crowdllm.survey_tuning.scoring import require_family

PACKAGES = {"lora": ("transformers", "peft"), "qlora": ("transformers", "accelerate", "peft", "bitsandbytes")}


@dataclass(frozen=True)
class Identity:
    """Which base model: `version` is a commit or a hash of the files; `name` is for people, `place` where it was."""

    name: str
    version: str
    place: str = ""

    def to_dict(self) -> dict[str, str]:
        return {"name": self.name, "version": self.version}


def require_packages(adapter: str, purpose: str = "crowdllm tune") -> None:
    """Raise MissingExtraError, which says what to install, unless everything for this adapter is there."""
    for package in PACKAGES.get(adapter, ("transformers",)):
        if not _installed(package):
            raise MissingExtraError(f"{purpose} (package {package})", "tune")


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # a finder that forbids it, or a stand-in without a spec
        return False


def find_base(model: str) -> tuple[Source, Identity]:
    """Where the model is, and which one; raises DataUnavailableError where there is none."""
    source = find_model(model)
    return source, Identity(source.name, source.version, _place(source))


def _place(source: Source) -> str:
    """Its name on the Hub, or the whole path of its folder."""
    return source.place if source.commit else str(Path(source.place).resolve())


def load_base(source: Source, config: TuneConfig, device: str = "auto") -> LocalModel:
    """The model in memory, its weights frozen. Raises as `crowdllm.llm.local_model.load_model`, and ConfigError for a
    family whose attention is not known."""
    import torch

    dtype = weights_dtype(config.dtype, device)
    with few_log_lines(), torch.random.fork_rng(devices=[]):  # loading draws numbers that nobody needs
        quantization = nf4(dtype) if config.adapter == "qlora" else None
        model = load_model(source, device, dtype, quantization)
    require_family(model.lm.model.config)
    model.lm.model.requires_grad_(False)
    for module in model.lm.model.modules():
        # On some CPUs a 4-bit layer repacks its weights, with rounder scales, when it is first asked something outside
        # of training; from then on no gradient passes through it (bitsandbytes 0.50). Slower kernels serve as well.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def weights_dtype(wish: str, device: str = "auto") -> str:
    """The precision of the base model's weights: bfloat16 on GPUs that have it, float32 elsewhere ("auto")."""
    if wish != "auto":
        return wish
    import torch

    on_gpu = torch.cuda.is_available() and not device.startswith(("cpu", "mps"))
    return "bfloat16" if on_gpu and torch.cuda.is_bf16_supported() else "float32"


def nf4(dtype: str) -> Any:
    """4-bit NormalFloat weights whose scales are quantised once more (QLoRA), computed with in `dtype`."""
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )


@contextmanager
def few_log_lines() -> Iterator[None]:
    """Without lines below errors that packages log when they are imported, such as for a faster kernel not found."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def require_same_base(found: Identity, tuned_on: Identity) -> None:
    """Raise MismatchError where this is not the model that an adapter was tuned on."""
    if found.version != tuned_on.version:
        raise MismatchError(
            f"the adapter was tuned on the model {tuned_on.name!r} ({tuned_on.version}), and {found.name!r} is another "
            f"({found.version}): name the same model with the same weights, tokenizer and chat template"
        )
