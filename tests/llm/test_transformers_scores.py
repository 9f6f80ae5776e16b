"""Scores of answers: equal to full forward passes of every prompt with every answer, for models of several kinds."""

from __future__ import annotations

import math
import re
import runpy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crowdllm.llm.causal_lm import advance, branch, causal_lm, log_probabilities, prefill
from crowdllm.llm.option_scores import plan, score_answers, shares
from crowdllm.llm.protocol import Prompt, Request, Sampling
from crowdllm.llm.transformers import TransformersBackend

transformers = pytest.importorskip("transformers", reason="for this test: pip install 'crowdllm[local]'")
torch = pytest.importorskip("torch")
build = runpy.run_path(str(Path(__file__).with_name("tiny_model.py")))["build"]

SCORES = Sampling(scores=True)
KINDS = (("llama", True), ("qwen3", True), ("gemma3", True), ("llama", False))  # with a chat template or without
ANSWERS = ("1", "10", "100", "2", "Yes", "No", "No opinion", "strongly agree", "strongly disagree", "é")
BEGIN_OTHERS = {"1": ["10"], "10": ["100"], "No": ["No opinion"]}
TEXTS = ("Short?", "Is it so? " * 5, "A longer question about many things.", "?")


@dataclass(frozen=True)
class Expected:
    """A model's folder, and per prompt the shares, the rest and the number of tokens, computed naively."""

    folder: Path
    by_prompt: dict[str, tuple[list[float], float, int]]


@pytest.fixture(scope="module", params=KINDS, ids=str)
def expected(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Expected:
    family, chat = request.param
    folder = build(tmp_path_factory.mktemp(family), family, chat=chat)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return Expected(folder, {prompt.problem_id: naive_shares(model, tokenizer, prompt) for prompt in prompts()})


def prompts(answers: tuple[str, ...] = ANSWERS) -> list[Prompt]:
    return [
        Prompt(f"p{i}", text, system="You are somebody." if i % 2 else "", answers=answers)
        for i, text in enumerate(TEXTS)
    ]


def each(asked: Sequence[Prompt]) -> list[Request]:
    return [Request(prompt) for prompt in asked]


def chat_ids(tokenizer: Any, prompt: Prompt) -> list[int]:
    """The prompt's tokens, written without the code under test."""
    if tokenizer.chat_template is None:
        text = f"{prompt.system}\n\n{prompt.text}\n" if prompt.system else f"{prompt.text}\n"
        return list(tokenizer(text)["input_ids"])
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    text = prompt.text
    if system and tokenizer.bos_token == "<bos>":  # Gemma has no system role
        system, text = [], f"{prompt.system}\n\n{prompt.text}"
    messages = [*system, {"role": "user", "content": text}]
    rendered = tokenizer.apply_chat_template(
        messages, tokenize=True, add_generation_prompt=True, enable_thinking=False, return_dict=False
    )
    return list(rendered)


def naive(model: Any, ids: Sequence[int], answer: Sequence[int]) -> float:
    """The logarithm of the probability of the answer's tokens, by one full forward pass."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*ids, *answer]]), use_cache=False).logits[0].double()
    log_p = logits.log_softmax(-1)
    return sum(float(log_p[len(ids) - 1 + i, token]) for i, token in enumerate(answer))


def naive_shares(model: Any, tokenizer: Any, prompt: Prompt) -> tuple[list[float], float, int]:
    ids = chat_ids(tokenizer, prompt)
    encoded = {a: tokenizer(a, add_special_tokens=False)["input_ids"] for a in prompt.answers}
    begins = {a: math.exp(naive(model, ids, tokens)) for a, tokens in encoded.items()}
    mass = [begins[a] - sum(begins[b] for b in BEGIN_OTHERS.get(a, [])) for a in prompt.answers]
    return [m / sum(mass) for m in mass], 1 - sum(mass), len(ids)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_shares_are_those_of_full_forward_passes_whatever_the_batch(expected: Expected, batch_size: int) -> None:
    backend = TransformersBackend(str(expected.folder), device="cpu", batch_size=batch_size)
    answers = list(backend.ask(each(prompts()), SCORES))
    assert sorted(answer.prompt.problem_id for answer in answers) == ["p0", "p1", "p2", "p3"]
    for answer in answers:
        found, unseen, length = expected.by_prompt[answer.prompt.problem_id]
        assert answer.shares == pytest.approx(found, abs=1e-5)
        assert answer.unseen == pytest.approx(unseen, abs=1e-5)
        assert (answer.draws, answer.texts, answer.failure) == ((), (), "")
        assert (answer.usage.calls, answer.usage.prompt_tokens) == (1, length)
        assert max(found) > 2 / len(found)  # a model that prefers something


def test_prompts_with_answers_of_their_own_are_scored_together(tmp_path: Path) -> None:
    folder = build(tmp_path, "qwen3")
    asked = [Prompt("a", "One?", answers=("1", "2")), Prompt("b", "Which?", answers=("red", "blue", "green"))]
    together = {a.prompt.problem_id: a for a in TransformersBackend(str(folder)).ask(each(asked), SCORES)}
    for prompt in asked:
        (alone,) = TransformersBackend(str(folder)).ask(each([prompt]), SCORES)
        assert together[prompt.problem_id].shares == pytest.approx(alone.shares, abs=1e-6)
        assert together[prompt.problem_id].usage == alone.usage


def test_only_different_beginnings_of_answers_are_run_and_counted(tmp_path: Path) -> None:
    """Byte by byte: "10" and "100" need "1" and "10" run, 2 tokens; "ab", "ac" and "ad" share "a"; "7" needs none."""
    backend = TransformersBackend(str(build(tmp_path, "llama")))
    cases = {("1", "10", "100"): 2, ("ab", "ac", "ad"): 1, ("1", "2", "7"): 0, ("abc", "xyz"): 4}
    for answers, run in cases.items():
        (answer,) = backend.ask([Request(Prompt("a", "Say.", answers=answers))], SCORES)
        assert answer.usage.completion_tokens == run


def test_a_plan_contains_every_beginning_once() -> None:
    found = plan(((1,), (1, 0), (1, 0, 0), (2,), (3, 4), (3, 5)))
    assert found.rows == ((1, 0), (3,))
    assert [sorted(asked) for asked in found.asked] == [[(0, 0, 1), (0, 0, 2), (1, 0, 2)], [(0, 4, 4), (0, 5, 5)]]
    assert found.longer == ((1,), (2,), (), (), (), ())


def test_an_answer_that_begins_another_counts_only_replies_that_stop_there() -> None:
    """p("1") = .5, then "0" with .4, then "0" again with .25; p("2") = .3."""
    answers = ((1,), (1, 0), (1, 0, 0), (2,))
    begins = np.log([0.5, 0.5 * 0.4, 0.5 * 0.4 * 0.25, 0.3])
    found, unseen = shares(begins, answers)
    assert found == pytest.approx([0.3 / 0.8, 0.15 / 0.8, 0.05 / 0.8, 0.3 / 0.8])
    assert unseen == pytest.approx(0.2)


def test_shares_of_single_tokens_are_the_softmax_of_their_logits() -> None:
    logits = np.array([2.0, -1.0, 0.5, 3.0, -20.0])
    log_p = logits - np.log(np.exp(logits).sum())
    found, unseen = shares(log_p[:3], ((0,), (1,), (2,)))
    assert found == pytest.approx(np.exp(logits[:3]) / np.exp(logits[:3]).sum())
    assert unseen == pytest.approx(np.exp(log_p[3:]).sum())


def test_answers_of_hardly_any_probability_keep_their_ratio() -> None:
    found, unseen = shares(np.array([-1000.0, -1000.0 + math.log(3)]), ((1, 2), (3, 4)))
    assert found == pytest.approx([0.25, 0.75])
    assert unseen == 1


def test_an_answer_that_is_always_continued_has_no_share() -> None:
    found, _ = shares(np.log([0.5, 0.5, 0.25]), ((1,), (1, 0), (2,)))
    assert found == pytest.approx([0, 2 / 3, 1 / 3])


@pytest.mark.parametrize("begins", [[math.nan, -1.0], [-math.inf, -math.inf]], ids=str)
def test_numbers_that_are_no_probabilities_are_refused(begins: list[float]) -> None:
    with pytest.raises(ValueError, match="no probabilities"):
        shares(np.array(begins), ((1,), (2,)))


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ((), "lists no answers"),
        (("1", ""), "an empty answer"),
        (("1", "2", "1"), "'1' and '1' are the same tokens"),
        (("a\x00", "a\x01"), r"'a\\x00' and 'a\\x01' are the same tokens"),
    ],
)
def test_answers_that_cannot_be_scored_fail_and_the_others_do_not(
    tmp_path: Path, answers: tuple[str, ...], words: str
) -> None:
    backend = TransformersBackend(str(build(tmp_path, "llama")))
    asked = [Prompt("bad", "Say.", answers=answers), Prompt("good", "Say.", answers=("1", "2"))]
    found = {a.prompt.problem_id: a for a in backend.ask(each(asked), SCORES)}
    assert found["bad"].shares == ()
    assert re.search(words, found["bad"].failure)
    assert sum(found["good"].shares) == pytest.approx(1)


ARCHITECTURES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "opt": {
        "hidden_size": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "word_embed_proj_dim": 32,
    },
    "mistral": {"sliding_window": 6},
    "gpt_oss": {"sliding_window": 6, "num_local_experts": 4, "num_experts_per_tok": 2},
    "mamba2": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "state_size": 8,
        "head_dim": 8,
        "num_heads": 8,
        "n_groups": 1,
    },
    "qwen3_next": {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
        "shared_expert_intermediate_size": 32,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    },
}
USUAL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
}


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_other_kinds_of_models_are_exact_too(kind: str) -> None:
    """Learned positions or none, sliding windows, experts; state spaces and linear attention, which do not branch."""
    own = ARCHITECTURES[kind]
    settings = own if "hidden_size" in own or "n_embd" in own else {**USUAL, **own}
    config = transformers.AutoConfig.for_model(kind, vocab_size=50, **settings)
    config.pad_token_id = 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
        asked = [torch.randint(1, 50, (length,)).tolist() for length in (3, 17, 9)]
    lm = causal_lm(model)
    assert lm.branches == (kind not in ("mamba2", "qwen3_next"))
    answers = ((7,), (7, 8), (7, 8, 9), (11, 12, 13, 14))
    for ids, found_M in zip(asked, score_answers(prefill(lm, asked), [answers] * 3, 2), strict=True):
        assert found_M == pytest.approx([naive(model, ids, answer) for answer in answers], abs=1e-5)


def test_two_branches_of_one_prompt_do_not_disturb_each_other(tmp_path: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(build(tmp_path, "gemma3"))
    done = prefill(causal_lm(model), [[5, 6, 7], [8] * 20])
    first, logits_a = advance(branch(done, [0, 1]), [[10, 11], [12, 13]])
    _, logits_b = advance(branch(done, [1, 1, 0]), [[12], [14], [10]])
    _, logits_c = advance(first, [[20], [21]])
    assert torch.allclose(logits_a[1, 0], logits_b[0, 0], atol=1e-5)
    assert torch.allclose(logits_a[0, 0], logits_b[2, 0], atol=1e-5)
    expected = naive(model, [8] * 20 + [12, 13, 21], [3])
    assert float(log_probabilities(logits_c[1, -1])[3]) == pytest.approx(expected, abs=1e-5)
