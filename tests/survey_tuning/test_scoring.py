"""All answers scored in one pass: equal to full forward passes of every prompt with every answer."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from crowdllm.errors import ConfigError
from crowdllm.llm.local_model import LocalModel, find_model, load_model
from crowdllm.survey_tuning.scoring import answer_log_probabilities, answer_tree, pack, require_family

pytest.importorskip("transformers", reason="for this test: pip install 'crowdllm[tune]'")
torch = pytest.importorskip("torch")

FAMILIES = ("llama", "qwen3", "gemma3")  # Gemma 3 has layers that see 8 tokens back
TEXTS = ("Short?", "Is it so? " * 5, "?")
ANSWERS = ("1", "10", "100", "2", "-3", "1250.5", "No opinion")


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, tiny: Callable[..., str]) -> LocalModel:
    return load_model(find_model(tiny(request.param)), "cpu")


def in_tokens(model: LocalModel) -> tuple[list[tuple[int, ...]], tuple[tuple[int, ...], ...]]:
    end = tuple(model.prompt.end_of_turn)
    prompts = [tuple(model.prompt.ids("", text)) for text in TEXTS]
    return prompts, tuple((*model.prompt.answer_ids(a), *end) for a in ANSWERS)


def alone(model: LocalModel, prompt: tuple[int, ...], answer: tuple[int, ...]) -> torch.Tensor:
    """log p(answer | prompt) by one forward pass over nothing else, as anybody would compute it."""
    logits = model.lm.model(input_ids=torch.tensor([[*prompt, *answer]]), use_cache=False).logits[0]
    log_p = logits.double().log_softmax(-1)
    return sum(log_p[len(prompt) - 1 + i, token] for i, token in enumerate(answer))


def test_log_probabilities_are_those_of_separate_forward_passes(model: LocalModel) -> None:
    prompts, answers = in_tokens(model)
    with torch.no_grad():
        found = answer_log_probabilities(model.lm.model, prompts, answer_tree(answers))
        expected = torch.tensor([[alone(model, p, a) for a in answers] for p in prompts])
    assert torch.allclose(found.double(), expected.double(), atol=1e-4)
    assert float(expected.max() - expected.min()) > 5  # a model that prefers something


def test_gradients_are_those_of_separate_forward_passes(model: LocalModel) -> None:
    prompts, answers = in_tokens(model)
    weight = model.lm.model.get_input_embeddings().weight.requires_grad_(True)
    together = answer_log_probabilities(model.lm.model, prompts[:2], answer_tree(answers))[:, [2, 5]].sum()
    (found,) = torch.autograd.grad(together, weight)
    separate = sum(alone(model, p, answers[m]) for p in prompts[:2] for m in (2, 5))
    (expected,) = torch.autograd.grad(separate, weight)
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_a_prompt_scores_the_same_alone_and_beside_longer_ones(model: LocalModel) -> None:
    prompts, answers = in_tokens(model)
    tree = answer_tree(answers)
    with torch.no_grad():
        together = answer_log_probabilities(model.lm.model, prompts, tree)
        single = torch.cat([answer_log_probabilities(model.lm.model, [p], tree) for p in prompts])
    assert torch.allclose(together, single, atol=1e-4)


def test_every_common_beginning_is_one_node() -> None:
    """ "1", "10" and "100" with an end: beginnings 1, 10, 100; "2": 2. The last token of an answer is never run."""
    end = 9
    tree = answer_tree(((1, end), (1, 0, end), (1, 0, 0, end), (2, end)))
    assert tree.token_n.tolist() == [1, 2, 0, 0]
    assert tree.depth_n.tolist() == [0, 0, 1, 2]
    assert tree.above_nn.tolist() == [
        [True, False, False, False],
        [False, True, False, False],
        [True, False, True, False],
        [True, False, True, True],
    ]


def test_answers_of_one_token_need_no_node() -> None:
    tree = answer_tree(((1,), (2,), (3,)))
    assert len(tree.token_n) == 0
    assert tree.row_MS.tolist() == [[0], [0], [0]]


def test_a_row_holds_the_prompt_once_and_its_nodes_where_they_would_stand_alone() -> None:
    packed = pack([(5, 6, 7), (8,)], answer_tree(((1, 2), (1, 3), (4, 2))))
    assert packed.ids_BK.tolist() == [[5, 6, 7, 1, 4], [0, 0, 8, 1, 4]]
    assert packed.position_BK.tolist() == [[0, 1, 2, 3, 3], [0, 0, 0, 1, 1]]
    seen = packed.sees_BKK[1].astype(int).tolist()
    assert seen[2:] == [[0, 0, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 1, 0, 1]]  # no padding, no other answer


def test_a_family_with_unknown_attention_is_refused() -> None:
    with pytest.raises(ConfigError, match="'mamba'.*Llama, Qwen3 or Gemma 3"):
        require_family(SimpleNamespace(model_type="mamba"))
