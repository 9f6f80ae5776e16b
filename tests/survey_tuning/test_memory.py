"""The memory estimate against the bytes that tensors of small models really have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crowdllm.config import TuneConfig
from crowdllm.llm.local_model import find_model, load_model
from crowdllm.survey_tuning.adapters import attach, trainable
from crowdllm.survey_tuning.base_model import find_base, load_base
from crowdllm.survey_tuning.batches import epoch_steps
from crowdllm.survey_tuning.cells import make_cells
from crowdllm.survey_tuning.interview import make_interview
from crowdllm.survey_tuning.memory import Needs, estimate_tuning, kept_bytes, layer_bytes, plan_needs, tuning_needs
from crowdllm.survey_tuning.scoring import answer_log_probabilities, answer_tree
from crowdllm.survey_tuning.tuning import score_cells

torch = pytest.importorskip("torch")
pytest.importorskip("peft", reason="for this test: pip install 'crowdllm[tune]'")

TREE = answer_tree(((1, 9), (2, 9), (3, 9)))


def tensors_of(model: Any) -> int:
    """Bytes of all weights that are not trained, with everything that 4-bit layers keep beside them."""
    total = 0
    for weight in model.parameters():
        if not weight.requires_grad:
            total += weight.numel() * weight.element_size()
            state = getattr(weight, "quant_state", None)
            parts = (
                []
                if state is None
                else [state.absmax, state.code, state.offset, state.state2.absmax, state.state2.code]
            )
            total += sum(part.numel() * part.element_size() for part in parts)
    return total


def loaded(base: str, config: TuneConfig) -> Any:
    model = load_base(find_base(base)[0], config, "cpu").lm.model
    attach(model, config, 0)
    return model


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3"])
@pytest.mark.parametrize("adapter", ["lora", "qlora"])
def test_weights_adapter_gradients_and_moments_are_those_of_the_tensors(family: str, adapter: str, tiny: Any) -> None:
    config = TuneConfig(adapter=adapter, rank=4)
    model = loaded(tiny(family, width=64), config)
    found = estimate_tuning(model.config, Needs(2, 50, 4, 1000, 5), config, "float32", gpu=False)
    assert found.weights == tensors_of(model)
    trained = trainable(model)
    assert found.trained_weights == sum(weight.numel() for weight in trained.values())
    assert found.adapter == sum(weight.numel() * weight.element_size() for weight in trained.values())
    answer_log_probabilities(model.train(), [(40, 41)], TREE).sum().backward()
    assert found.gradients == sum(weight.grad.numel() * weight.grad.element_size() for weight in trained.values())
    optimiser = torch.optim.AdamW(list(trained.values()))
    optimiser.step()
    moments = [state[m] for state in optimiser.state.values() for m in ("exp_avg", "exp_avg_sq")]
    assert found.optimiser == sum(moment.numel() * moment.element_size() for moment in moments)


def kept_by(model: Any, prompts: list[tuple[int, ...]]) -> int:
    """Bytes of all different tensors that the forward pass keeps for the backward one, weights aside."""
    own = {weight.untyped_storage().data_ptr() for weight in [*model.parameters(), *model.buffers()]}
    kept: dict[int, Any] = {}

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage  # held, so that no other takes its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        found = answer_log_probabilities(model.train(), prompts, TREE)
    assert found.requires_grad
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3"])
@pytest.mark.parametrize(("adapter", "dropout"), [("lora", 0.05), ("lora", 0.0), ("qlora", 0.05), ("full", 0.0)])
def test_what_the_layers_keep_is_within_a_tenth_of_the_estimate(
    family: str, adapter: str, dropout: float, tiny: Any
) -> None:
    config = TuneConfig(adapter=adapter, rank=8, dropout=dropout)
    model = loaded(tiny(family, width=64, layers=4), config)
    prompts = [tuple(range(40, 240)), tuple(range(40, 240))]
    needs = Needs(2, 200 + len(TREE.token_n), 1 + len(TREE.token_n), 0, 1)
    estimate = kept_bytes(model.config, needs, config, "float32", checkpointing=False, gpu=False)
    assert estimate == pytest.approx(kept_by(model, prompts), rel=0.1)


def test_with_checkpointing_one_hidden_state_per_layer_is_kept(tiny: Any) -> None:
    """The masks are arguments of the layers here, and hidden from this count."""
    config = TuneConfig(rank=8)
    model = loaded(tiny("llama", width=64, layers=4), config)
    model.activation_checkpointing_enable({"use_reentrant": False})
    needs = Needs(2, 200 + len(TREE.token_n), 1 + len(TREE.token_n), 0, 1)
    rows = needs.prompts * needs.tokens
    estimate = kept_bytes(model.config, needs, config, "float32", checkpointing=True, gpu=False)
    estimate -= rows * layer_bytes(model.config, config, "float32", gpu=False) + rows * needs.tokens * 4
    assert estimate == pytest.approx(kept_by(model, [tuple(range(40, 240))] * 2), rel=0.1)


def test_the_needs_are_those_of_the_batches_that_training_has(tiny: Any, two_groups: Any) -> None:
    config = TuneConfig(batch_size=4, micro_batch=2, gamma=0.1)
    model = load_model(find_model(tiny("llama")), "cpu")
    study = two_groups(20)
    cells = make_cells([(study, make_interview(study, config))], model, config)
    needs = tuning_needs(cells, config)
    ran = [
        score_cells(model.lm.model, cells, rows, config)[1]
        for step in epoch_steps(cells, config, 0, 0)
        for rows in step
    ]
    assert needs.epoch_tokens == sum(ran)
    assert needs.prompts * needs.tokens == max(ran)
    assert needs.steps == len(epoch_steps(cells, config, 0, 0)) == 2
    assert needs.places == 5  # after the prompt and after each of four levels, before the end of the turn


def test_a_plan_needs_no_weights(tiny: Any, two_groups: Any, tmp_path: Any) -> None:
    import shutil

    folder = tmp_path / "outline"
    shutil.copytree(tiny("qwen3"), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    config = TuneConfig()
    model_config, needs = plan_needs(find_model(str(folder)), [two_groups(20)], config)
    found = estimate_tuning(model_config, needs, config)
    assert found.total > found.weights > 0
    assert found.epoch_seconds == pytest.approx(found.epoch_operations / 100e12)


def test_a_real_8b_model_takes_the_memory_that_its_configuration_says() -> None:
    """Llama 3 8B: 8.03 G weights, 6.98 G of them in the linear layers of the decoder; LoRA of rank 16 is 41.9 M."""
    from transformers import LlamaConfig

    config = LlamaConfig(
        vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=8, tie_word_embeddings=False,
    )  # fmt: skip
    needs = Needs(4, 300, 6, 1_000_000, 100)
    lora = estimate_tuning(config, needs, TuneConfig(rank=16))
    qlora = estimate_tuning(config, needs, TuneConfig(adapter="qlora", rank=16))
    linear = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336)
    assert lora.all_weights == 2 * 128256 * 4096 + linear + 65 * 4096
    assert lora.weights == 2 * lora.all_weights
    adapter = 16 * 32 * (2 * 8192 + 2 * 5120 + 3 * 18432)
    assert lora.trained_weights == adapter
    assert (lora.adapter, lora.gradients, lora.optimiser) == (4 * adapter, 4 * adapter, 8 * adapter)
    assert qlora.weights == pytest.approx(
        2 * (lora.all_weights - linear) + linear * (0.5 + 1 / 64 + 4 / 64 / 256), rel=1e-4
    )
    multiplied = lora.all_weights - 128256 * 4096
    assert lora.epoch_operations == pytest.approx(6 * multiplied * 1e6)
    assert np.isclose(qlora.total, 1.1 * (qlora.weights + 16 * adapter + qlora.kept + qlora.logits), rtol=1e-6)
