"""What is trained of a model: LoRA matrices beside its linear layers, or all weights of a small one.

LoRA (arXiv 2106.09685): W x + (alpha / rank) B A x, A and B trained, B zero at first, beside all linear layers of the
decoder (attention and feed-forward; not the vision part of a multimodal model, nor the output layer). QLoRA is the same
beside weights in 4-bit NormalFloat (`crowdllm.survey_tuning.base_model`). Adapter weights are float32, whatever the
base's precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crowdllm.config import TuneConfig
from crowdllm.errors import ConfigError, CrowdLLMError, MissingExtraError
from crowdllm.rng import seed_words
from crowdllm.survey_tuning.base_model import few_log_lines

if TYPE_CHECKING:
    import torch

LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
WITH_MATRICES = ("lora", "qlora")
WEIGHTS = "adapter_model.safetensors"


def attach(model: Any, config: TuneConfig, seed: int) -> None:
    """Give the model its trainable weights, in place; all others are frozen already.

    Raises ConfigError for a model without any of the layers that are adapted, MissingExtraError without peft.
    """
    import torch

    if config.adapter == "full":
        model.requires_grad_(True)
    if config.adapter not in WITH_MATRICES:
        return
    try:
        with few_log_lines():
            from peft import inject_adapter_in_model
    except ImportError as error:  # it is installed, and does not load: too old for torch or transformers, say
        raise MissingExtraError(f"an adapter (package peft, which does not load: {error})", "tune") from None
    with keyed_torch(seed, "adapter", model.device):
        try:
            inject_adapter_in_model(_settings(config), model)
        except ValueError as error:
            raise ConfigError(f"no adapter fits this model: {error}") from None
    for weight in trainable(model).values():
        weight.data = weight.data.to(torch.float32)


def _settings(config: TuneConfig) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]  # declared int, and a factor only
        lora_dropout=config.dropout,
        target_modules=rf"(?!.*(vision|multi_modal)).*\.({'|'.join(LAYERS)})",
        bias="none",
        task_type="CAUSAL_LM",
    )


def trainable(model: Any) -> dict[str, torch.Tensor]:
    """The trained weights by name, in the order of the model."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def weights_to_save(model: Any, config: TuneConfig) -> dict[str, torch.Tensor]:
    """A copy of the trained weights on the CPU, named as in peft's own files (LoRA, QLoRA)."""
    return {
        _saved_name(name, config): weight.detach().to("cpu", copy=True).contiguous()
        for name, weight in trainable(model).items()
    }


def put_back(model: Any, weights: dict[str, torch.Tensor], config: TuneConfig) -> None:
    """Set the trained weights to those of `weights_to_save`; raises CrowdLLMError where they do not fit."""
    import torch

    own = {_saved_name(name, config): weight for name, weight in trainable(model).items()}
    shapes = [{name: tuple(weight.shape) for name, weight in each.items()} for each in (own, weights)]
    if shapes[0] != shapes[1]:
        raise CrowdLLMError(
            f"the saved weights ({len(weights)} tensors) do not fit what is trained of the model ({len(own)} tensors): "
            "they are of another model or rank"
        )
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(weights[name])


def _saved_name(name: str, config: TuneConfig) -> str:
    return f"base_model.model.{name.replace('.default.', '.')}" if config.adapter in WITH_MATRICES else name


def save_peft_config(folder: Path, config: TuneConfig, base: str) -> None:
    """Write adapter_config.json, with which other tools of the peft kind can load the adapter too."""
    if config.adapter not in WITH_MATRICES:
        return
    settings = _settings(config)
    settings.base_model_name_or_path = base
    settings.inference_mode = True
    settings.save_pretrained(str(folder))


@contextmanager
def keyed_torch(seed: int, purpose: str, device: torch.device) -> Iterator[None]:
    """torch's own random numbers (dropout, first weights) keyed by seed and purpose inside, as before afterwards.

    Layers draw from torch's global generator and take no other one; here it is set, and put back at the end.
    """
    import torch

    gpus = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        key = seed_words(seed, f"tuning:{purpose}") >> 1
        torch.default_generator.manual_seed(key)
        for gpu in gpus:
            torch.cuda.default_generators[gpu].manual_seed(key)
        yield
