"""Adapters against peft itself and against plain arithmetic; 4-bit weights are what QLoRA says they are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from crowdllm.config import TuneConfig
from crowdllm.errors import ConfigError, CrowdLLMError, MissingExtraError
from crowdllm.survey_tuning.adapters import (
    LAYERS,
    WEIGHTS,
    attach,
    keyed_torch,
    put_back,
    save_peft_config,
    trainable,
    weights_to_save,
)
from crowdllm.survey_tuning.base_model import find_base, load_base, weights_dtype
from crowdllm.survey_tuning.scoring import answer_log_probabilities, answer_tree
from crowdllm.survey_tuning.tuning import tune

torch = pytest.importorskip("torch")
pytest.importorskip("peft", reason="for this test: pip install 'crowdllm[tune]'")

PROMPTS = [(40, 41, 42, 43, 44), (45, 46)]
TREE = answer_tree(((50, 9), (51, 52, 9)))


def made(base: str, adapter: str, **settings: Any) -> tuple[Any, TuneConfig]:
    """A model with an adapter that does something, in evaluation mode."""
    config = TuneConfig(**{"adapter": adapter, "rank": 4, "alpha": 8.0, "dropout": 0.0} | settings)
    model = load_base(find_base(base)[0], config, "cpu").lm.model
    attach(model, config, 0)
    with torch.no_grad(), keyed_torch(1, "test", model.device):
        for name, weight in trainable(model).items():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    return model.eval(), config


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3"])
def test_all_linear_layers_of_the_decoder_are_adapted_and_nothing_else_is_trained(family: str, tiny: Any) -> None:
    model, _ = made(tiny(family), "lora")
    names = trainable(model)
    layers = len(model.model.layers)
    assert len(names) == 2 * layers * len(LAYERS)
    assert all("lora_" in name and any(f".{layer}." in name for layer in LAYERS) for name in names)
    assert {weight.dtype for weight in names.values()} == {torch.float32}


def test_an_adapter_begins_by_changing_nothing(tiny: Any) -> None:
    config = TuneConfig(rank=4)
    plain = load_base(find_base(tiny("llama"))[0], config, "cpu").lm.model
    with torch.no_grad():
        before = answer_log_probabilities(plain, PROMPTS, TREE)
        attach(plain, config, 0)
        assert torch.equal(answer_log_probabilities(plain.eval(), PROMPTS, TREE), before)


def test_peft_itself_loads_the_files_and_computes_the_same(tiny: Any, tmp_path: Path) -> None:
    from peft import PeftModel
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    base = tiny("qwen3")
    model, config = made(base, "lora")
    save_file(weights_to_save(model, config), tmp_path / WEIGHTS)
    save_peft_config(tmp_path, config, base)
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(tmp_path)).eval()
    ids = torch.tensor([[40, 41, 42, 50]])
    with torch.no_grad():
        expected = theirs(input_ids=ids).logits
        assert torch.allclose(model(input_ids=ids).logits, expected, atol=1e-5)
        assert not torch.allclose(theirs.get_base_model()(input_ids=ids).logits * 0 + 1, expected)


def test_a_base_in_4_bits_is_nf4_with_double_quantisation_and_the_output_layer_is_whole(tiny: Any) -> None:
    model, _ = made(tiny("llama"), "qlora")
    layer = model.model.layers[0].mlp.up_proj.base_layer
    state = layer.weight.quant_state
    assert (state.quant_type, state.nested, layer.weight.dtype) == ("nf4", True, torch.uint8)
    assert model.get_output_embeddings().weight.dtype == torch.float32


def test_gradients_through_4_bit_layers_are_those_of_the_weights_they_stand_for_also_after_asking(tiny: Any) -> None:
    """The oracle has the same numbers as ordinary weights. Asking in between must not change the layers."""
    from bitsandbytes.functional import dequantize_4bit

    base = tiny("llama", width=64)  # layers that some processors would repack
    model, config = made(base, "qlora")
    oracle, _ = made(base, "lora")
    with torch.no_grad():
        for name, module in model.named_modules():
            if hasattr(getattr(module, "weight", None), "quant_state"):
                whole = dequantize_4bit(module.weight.data, module.weight.quant_state)
                oracle.get_submodule(name).weight.copy_(whole)
    put_back(oracle, weights_to_save(model, config), config)
    found = []
    for each in (model, oracle):
        with torch.inference_mode():
            answer_log_probabilities(each.eval(), PROMPTS, TREE)
        answer_log_probabilities(each.train(), PROMPTS, TREE).sum().backward()
        found.append({name: weight.grad.clone() for name, weight in trainable(each).items()})
    first = next(iter(found[1]))
    assert float(found[1][first].abs().max()) > 0
    for name, gradient in found[1].items():
        assert torch.allclose(found[0][name], gradient, rtol=1e-3, atol=1e-3 * float(gradient.abs().max())), name


@pytest.mark.parametrize("adapter", ["lora", "qlora", "full"])
def test_saved_weights_are_put_back(adapter: str, tiny: Any) -> None:
    model, config = made(tiny("gemma3"), adapter)
    with torch.no_grad():
        for weight in trainable(model).values():
            weight.add_(0.01)
        expected = answer_log_probabilities(model, PROMPTS, TREE)
    saved = weights_to_save(model, config)
    fresh = load_base(find_base(tiny("gemma3"))[0], config, "cpu").lm.model
    attach(fresh, config, 5)
    put_back(fresh, saved, config)
    with torch.no_grad():
        assert torch.allclose(answer_log_probabilities(fresh.eval(), PROMPTS, TREE), expected, atol=1e-5)


def test_weights_of_another_rank_are_refused(tiny: Any) -> None:
    model, config = made(tiny("llama"), "lora")
    other, _ = made(tiny("llama"), "lora", rank=2)
    with pytest.raises(CrowdLLMError, match="another model or rank"):
        put_back(other, weights_to_save(model, config), config)


def test_a_peft_that_does_not_load_is_told_with_what_to_install(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_base(find_base(tiny("llama"))[0], TuneConfig(), "cpu").lm.model
    monkeypatch.setitem(sys.modules, "peft", None)  # importing it raises ImportError
    with pytest.raises(MissingExtraError, match=r"package peft.*pip install 'crowdllm\[tune\]'"):
        attach(model, TuneConfig(), 0)


def test_a_model_without_the_layers_is_refused() -> None:
    class Bare(torch.nn.Module):
        config = type("Config", (dict,), {"model_type": "bare", "to_dict": dict})()
        device = torch.device("cpu")

        def __init__(self) -> None:
            super().__init__()
            self.only = torch.nn.Linear(2, 2)

    with pytest.raises(ConfigError, match="no adapter fits"):
        attach(Bare(), TuneConfig(), 0)


def test_of_a_model_that_also_sees_pictures_only_the_words_are_tuned(tiny: Any, two_groups: Any, short: Any) -> None:
    """The large Gemma 3 models are of this class."""
    from transformers import AutoModelForCausalLM, Gemma3Config, Gemma3TextConfig, SiglipVisionConfig

    folder = Path(tiny("gemma3", seed=9))
    text = Gemma3TextConfig.from_pretrained(folder)
    vision = SiglipVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    whole = Gemma3Config(text_config=text.to_dict(), vision_config=vision.to_dict(), mm_tokens_per_image=1)
    with keyed_torch(0, "test", torch.device("cpu")):
        AutoModelForCausalLM.from_config(whole).save_pretrained(folder)
    tuned = tune([two_groups(20)], str(folder), TuneConfig(rank=2, max_epochs=1), templates=short, device="cpu")
    names = list(trainable(tuned.model.lm.model))
    assert type(tuned.model.lm.model).__name__ == "Gemma3ForConditionalGeneration"
    assert len(names) == 2 * text.num_hidden_layers * len(LAYERS)
    assert all("language_model" in name for name in names)


def test_random_numbers_are_keyed_inside_and_as_before_afterwards() -> None:
    before = torch.random.get_rng_state()
    draws = []
    for seed, purpose in ((0, "a"), (0, "a"), (0, "b"), (1, "a")):
        with keyed_torch(seed, purpose, torch.device("cpu")):
            draws.append(torch.rand(3))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], draws[3])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_weights_are_float32_on_the_cpu_unless_asked_otherwise() -> None:
    assert weights_dtype("auto", "cpu") == "float32"
    assert weights_dtype("bfloat16", "cpu") == "bfloat16"


def test_a_base_in_bfloat16_is_tuned_with_an_adapter_in_float32(tiny: Any) -> None:
    model, _ = made(tiny("llama"), "lora", dtype="bfloat16")
    assert model.model.layers[0].mlp.up_proj.base_layer.weight.dtype == torch.bfloat16
    found = answer_log_probabilities(model.train(), PROMPTS, TREE)
    found.sum().backward()
    assert found.dtype == torch.float32
    assert {weight.grad.dtype for weight in trainable(model).values()} == {torch.float32}
