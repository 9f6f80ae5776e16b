"""Answers as the model writes them, small decoders, and the tuned model as a source of references."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crowdllm.config import TuneConfig
from crowdllm.elicitation.modes import Elicitation
from crowdllm.llm.local_model import find_model, load_model
from crowdllm.llm.prompts import option_score_prompts
from crowdllm.llm.protocol import Request, Sampling
from crowdllm.survey_tuning.answers import answer_shares
from crowdllm.survey_tuning.backend import TunedBackend
from crowdllm.survey_tuning.decoder import byte_level_tokenizer, small_decoder
from crowdllm.survey_tuning.free_text import _read, free_texts
from crowdllm.survey_tuning.interview import make_interview
from crowdllm.survey_tuning.tuned import Tuned, untuned
from crowdllm.survey_tuning.tuning import tune

pytest.importorskip("transformers", reason="for this test: pip install 'crowdllm[tune]'")
torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def trained(two_groups: Any, short: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tuned, Path]:
    """A small decoder that has learned to answer and to stop."""
    place = tmp_path_factory.mktemp("trained")
    base = small_decoder(place / "base", ["Is tea good? Is coffee good? Which one do you choose?"], 32, 2, 4, 300)
    config = TuneConfig(
        adapter="full", max_epochs=60, patience=60, learning_rate=1e-2, batch_size=6, micro_batch=6, clip=1.0,
        without_profile=0.5,
    )  # fmt: skip
    return tune([two_groups(40)], str(base), config, 0, place / "out", short, "cpu"), place / "out"


def test_a_tuned_model_writes_answers_that_can_be_read(trained: tuple[Tuned, Path], two_groups: Any) -> None:
    tuned, study = trained[0], two_groups(40)
    i, t = np.repeat(np.arange(80), 2), np.tile(np.arange(2), 80)
    found = free_texts(tuned, tuned.interview(study), study.problems, study.profiles, i, t, seed=1)
    assert found.failure_rate < 0.1
    assert found.failure_rate == np.mean([text not in ("1", "2", "3", "4") for text in found.texts])
    again = free_texts(tuned, tuned.interview(study), study.problems, study.profiles, i[:9], t[:9], seed=1)
    assert again.texts == found.texts[:9]
    shares = answer_shares(tuned, tuned.interview(study), study.problems, study.profiles, i, t).at(1.0).mean(axis=0)
    written = np.bincount(found.values_R1[:, 0][~np.isnan(found.values_R1[:, 0])].astype(int), minlength=4) / len(i)
    assert written == pytest.approx(shares, abs=0.15)


def test_greedy_texts_are_the_likeliest_candidates(trained: tuple[Tuned, Path], two_groups: Any) -> None:
    tuned, study = trained[0], two_groups(40)
    i, t = np.array([0, 0, 40, 40]), np.array([0, 1, 0, 1])
    found = free_texts(tuned, tuned.interview(study), study.problems, study.profiles, i, t, temperature=0.0)
    best = answer_shares(tuned, tuned.interview(study), study.problems, study.profiles, i, t).at(0.0).argmax(axis=1)
    assert found.values_R1[:, 0].tolist() == best.tolist()


def test_texts_of_a_model_that_never_learned_fail_and_are_counted(tiny: Any, two_groups: Any, short: Any) -> None:
    study = two_groups(20)
    plain = untuned(tiny("llama"), TuneConfig(), [study], "cpu")
    i, t = np.arange(20), np.zeros(20, dtype=np.int64)
    found = free_texts(plain, plain.interview(study), study.problems, study.profiles, i, t)
    assert found.failure_rate > 0.5
    assert len(found.texts) == 20


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("ordinal", "3", 2),
        ("ordinal", "Rating: 3.", 2),
        ("ordinal", "3 or 4", np.nan),
        ("choice", "B", 1),
        ("choice", "b.", 1),
        ("choice", "Answer: #2", 1),
        ("choice", "blue", 1),
        ("choice", "I would say B because it is nice", np.nan),
        ("continuous", "1250", 1250),
        ("continuous", "about 12", np.nan),
    ],
)
def test_labels_and_all_that_the_response_type_reads_are_read(
    kind: str, text: str, expected: float, of_kind: Any
) -> None:
    study = of_kind(kind)
    interview = make_interview(study, TuneConfig())
    found = _read(interview, text, interview.candidates(study.problems, 0), study.problems.options[0])
    assert found == pytest.approx(expected, nan_ok=True)


def test_references_of_a_tuned_model_are_the_answers_of_the_whole_crowd(
    trained: tuple[Tuned, Path], two_groups: Any, shares_of: Any
) -> None:
    study = two_groups(40)
    backend = TunedBackend(str(trained[1]), device="cpu")
    prompts = option_score_prompts(study.problems, study.response_type)
    answers = {a.prompt.problem_id: a for a in backend.ask([Request(p) for p in prompts], Sampling(scores=True))}
    for t, identity in enumerate(("tea", "coffee")):
        crowd = (np.array(shares_of["left", t]) + np.array(shares_of["right", t])) / 2
        found = answers[identity]
        assert found.failure == ""
        assert 0.5 * np.abs(np.array(found.shares) - crowd).sum() < 0.15
        assert found.unseen < 0.2
    assert backend.identity.startswith("tuned:base@")
    assert backend.name == "out"
    assert backend.scores
    assert Elicitation().mode == "samples"


def test_a_small_decoder_is_a_model_like_any_other_and_is_keyed_by_its_seed(tmp_path: Path) -> None:
    texts = ["How much do you agree?", "I agree.", "How much?"]
    folders = [
        small_decoder(tmp_path / name, texts, 32, 2, 4, 280, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    weights = [(folder / "model.safetensors").read_bytes() for folder in folders]
    assert weights[0] == weights[1] != weights[2]
    model = load_model(find_model(str(folders[0])), "cpu")
    assert model.stop == {model.prompt.tokenizer.eos_token_id}
    assert model.prompt.template == ""


def test_merges_shorten_known_words_and_every_byte_stays_possible() -> None:
    tokenizer = byte_level_tokenizer(["How much do you agree? " * 3], 300)
    known = tokenizer("agree?", add_special_tokens=False)["input_ids"]
    assert len(known) < len("agree?")
    strange = "日本 \x00 é"
    assert tokenizer.decode(tokenizer(strange, add_special_tokens=False)["input_ids"]) == strange


PROMPT = (
    "Choose.\n1\n2\nAnswer with 1 or 2.\n- job: cook\n- age in years: 45\n- income: $20,000\n<<<>>>\nIs 7 up?\n<<<>>>\n"
)


def test_merged_lines_are_one_token_each_but_for_the_digits_of_a_number(tmp_path: Path) -> None:
    texts = [PROMPT, PROMPT.replace("- age in years: 45\n", "")]
    base = small_decoder(tmp_path / "base", texts, 32, 1, 4, 600, merges="lines")
    model = load_model(find_model(str(base)), "cpu")  # as it is read back
    tokenizer = model.prompt.tokenizer

    def pieces(text: str) -> list[str]:
        return [tokenizer.decode([i]) for i in tokenizer(text, add_special_tokens=False)["input_ids"]]

    profile = ["\n- job: cook", "\n- age in years: ", "4", "5", "\n- income: $20,000"]
    assert pieces(PROMPT) == ["Choose.\n1\n2\nAnswer with 1 or 2.", *profile, "\n<<<>>>\nIs 7 up?\n<<<>>>\n"]
    other = PROMPT.replace("45", "64").replace("cook", "日本")
    assert pieces(other)[-5:] == ["\n- age in years: ", "6", "4", *pieces(PROMPT)[-2:]]
    assert tokenizer.decode(tokenizer(other, add_special_tokens=False)["input_ids"]) == other
    assert model.prompt.answer_ids("1") == [tokenizer.convert_tokens_to_ids("1")]
