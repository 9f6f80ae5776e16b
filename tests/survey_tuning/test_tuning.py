"""The training loop: what a step is, that it learns, that it stops in time, and that a killed run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from crowdllm.config import TuneConfig
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError, CrowdLLMError, MismatchError, MissingExtraError
from crowdllm.llm.prompts.template import DEFAULTS, Template
from crowdllm.responses.continuous import Continuous
from crowdllm.survey_tuning.answers import answer_shares
from crowdllm.survey_tuning.base_model import find_base, require_packages
from crowdllm.survey_tuning.batches import epoch_steps, learning_rate
from crowdllm.survey_tuning.decoder import small_decoder
from crowdllm.survey_tuning.interview import make_interview
from crowdllm.survey_tuning.tuned import Tuned
from crowdllm.survey_tuning.tuning import _prepare, _step, hold_out, tune

torch = pytest.importorskip("torch")
pytest.importorskip("transformers", reason="for this test: pip install 'crowdllm[tune]'")

QUICK = {"max_epochs": 2, "batch_size": 4, "micro_batch": 4, "rank": 4, "learning_rate": 1e-3}
CELLS = (("left", 0), ("left", 1), ("right", 0), ("right", 1))
KILLED = """
import os, runpy, signal, sys
from crowdllm.config import TuneConfig
from crowdllm.survey_tuning.tuning import tune
exact = runpy.run_path(sys.argv[1])

def progress(what, done, total):
    if done == int(sys.argv[5]):
        os.kill(os.getpid(), signal.SIGKILL)

config = TuneConfig.model_validate_json(sys.argv[4])
tune([exact["exact_study"](20)], sys.argv[2], config, 3, sys.argv[3], exact["SHORT"], "cpu", progress)
"""


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small decoder from scratch, which needs no adapter."""
    texts = ["- leaning: left\\n- age in years: 40 Is tea good? Is coffee good? Which one do you choose?"]
    return str(small_decoder(tmp_path_factory.mktemp("decoder"), texts, width=32, layers=2, vocabulary=300))


def cell_shares(tuned: Tuned, study: Study) -> NDArray[np.float64]:
    """(4, 4) what the model answers in each cell, in the order of CELLS."""
    count = len(study.profiles) // 2
    i, t = np.array([0, 0, count, count]), np.array([0, 1, 0, 1])
    return answer_shares(tuned, tuned.interview(study), study.problems, study.profiles, i, t).at(1.0)


def divergence(p_CM: NDArray[np.float64], q_CM: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((p_CM * np.log(p_CM / q_CM)).sum(axis=1))


def run_of(study: Study, base: str, short: Any, **settings: Any) -> Any:
    config = TuneConfig(**{"adapter": "full", "dropout": 0.0, "warmup": 0.0} | settings)
    source, identity = find_base(base)
    kept, held = hold_out(study, config, 0)
    return _prepare(source, identity, [(kept, held)], [make_interview(kept, config, short)], config, 0, "cpu", None)


def test_accumulated_gradients_are_those_of_the_whole_batch(decoder: str, two_groups: Any, short: Any) -> None:
    after = []
    for micro in (1, 2, 6):
        run = run_of(two_groups(20), decoder, short, batch_size=6, micro_batch=micro, learning_rate=1e-2)
        batches = [rows for step in epoch_steps(run.cells, run.config, 0, 0) for rows in step]
        assert len(batches) == 6 // micro
        terms, _, _ = _step(run, batches, 0)
        after.append((terms, run.model.lm.model.model.layers[0].mlp.up_proj.weight.detach().clone()))
    for terms, weight in after[1:]:
        assert terms == pytest.approx(after[0][0], rel=1e-5)
        assert torch.allclose(weight, after[0][1], atol=1e-5)


def test_checkpointing_activations_changes_no_gradient(decoder: str, two_groups: Any, short: Any) -> None:
    weights = []
    for on in (False, True):
        run = run_of(two_groups(20), decoder, short, gradient_checkpointing=on, gamma=0.5)
        _step(run, epoch_steps(run.cells, run.config, 0, 0)[0], 0)
        weights.append(run.model.lm.model.model.layers[1].self_attn.q_proj.weight.detach().clone())
    assert torch.allclose(weights[0], weights[1], atol=1e-6)


def test_an_epoch_has_every_cell_once_and_one_answer_set_per_micro_batch(decoder: str, of_kind: Any) -> None:
    run = run_of(of_kind("continuous"), decoder, DEFAULTS, batch_size=4, micro_batch=2, most_candidates=3)
    steps = epoch_steps(run.cells, run.config, 5, 1)
    batches = [rows for step in steps for rows in step]
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(run.cells)))
    assert all(len(set(run.cells.set_C[rows])) == 1 for rows in batches)
    again = [rows.tolist() for step in epoch_steps(run.cells, run.config, 5, 1) for rows in step]
    other = [rows.tolist() for step in epoch_steps(run.cells, run.config, 5, 2) for rows in step]
    assert again == [rows.tolist() for rows in batches]
    assert other != again


def test_the_learning_rate_rises_and_then_follows_its_schedule() -> None:
    config = TuneConfig(learning_rate=1.0, warmup=0.2, schedule="linear")
    assert [learning_rate(config, s, 10) for s in (0, 1, 2, 6)] == pytest.approx([0.5, 1.0, 1.0, 1 - 0.9 / 2])
    cosine = TuneConfig(learning_rate=1.0, warmup=0.0, schedule="cosine")
    assert [learning_rate(cosine, s, 10) for s in (0, 5, 10)] == pytest.approx([1.0, 0.55, 0.1])
    assert learning_rate(TuneConfig(learning_rate=0.5, warmup=0.0), 9, 10) == 0.5


def test_people_are_held_out_whole(two_groups: Any) -> None:
    study = two_groups(20)
    kept, held = hold_out(study, TuneConfig(held_out=0.25), 0)
    assert (len(kept.profiles), len(held.profiles)) == (30, 10)
    assert not set(kept.profiles.ids) & set(held.profiles.ids)
    assert len(kept.responses) + len(held.responses) == len(study.responses)
    few = study.subset(np.arange(2), np.arange(3))
    assert len(hold_out(few, TuneConfig(), 0)[1].responses) == 0


def test_tuning_moves_towards_the_answers(decoder: str, two_groups: Any, short: Any, shares_of: Any) -> None:
    """The quick sibling of the proof below."""
    study = two_groups(40)
    truth = np.array([shares_of[cell] for cell in CELLS])
    config = TuneConfig(adapter="full", max_epochs=40, patience=40, learning_rate=3e-3, batch_size=6, micro_batch=6)
    tuned = tune([study], decoder, config, templates=short, device="cpu")
    first, last = tuned.history[0], tuned.history[-1]
    uniform = divergence(truth, np.full((4, 4), 0.25)).mean()
    assert last.cross_entropy < 0.5 * first.cross_entropy
    assert divergence(truth, cell_shares(tuned, study)).mean() < uniform
    assert 0 < last.penalty < 1
    assert last.tokens > 0


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["lora", "qlora"])
def test_an_adapter_learns_the_distribution_of_each_group(
    adapter: str, tiny: Any, two_groups: Any, short: Any, shares_of: Any
) -> None:
    """KL below .02, and below that of the pooled answers, where groups differ; gamma 0, 200 people per group."""
    study = two_groups(200)
    truth = np.array([shares_of[cell] for cell in CELLS])
    pooled = np.tile((truth[:2] + truth[2:]) / 2, (2, 1))
    config = TuneConfig(
        adapter=adapter, rank=32, alpha=32, dropout=0.0, learning_rate=1e-2, schedule="linear", clip=1.0,
        max_epochs=90, patience=90, batch_size=2, micro_batch=2,
    )  # fmt: skip
    tuned = tune([study], tiny("qwen3", width=96, layers=2), config, templates=short, device="cpu")
    found = divergence(truth, cell_shares(tuned, study))
    assert found.mean() < 0.02
    assert (found < divergence(truth, pooled)).all()
    assert divergence(truth, pooled).min() > 0.1


@pytest.mark.slow
def test_numbers_of_several_tokens_on_their_own_scale_are_learned(
    decoder: str, two_groups: Any, short: Any, shares_of: Any
) -> None:
    """Amounts of one to four characters: the groups' shares of them, and with a penalty amounts nearer together."""
    study, amounts = two_groups(40), np.array([5.0, 75.0, 750.0, 1250.5])
    numbers = replace(study.responses, values_RD=amounts[study.responses.values_RD.astype(int)])
    study = replace(study, response_type=Continuous(0.0), responses=numbers)
    found = []
    for gamma in (0.0, 10.0):
        config = TuneConfig(
            adapter="full", gamma=gamma, max_epochs=300, patience=300, learning_rate=1e-2, batch_size=6, micro_batch=6,
            schedule="linear", clip=1.0, without_profile=0.0,
        )  # fmt: skip
        found.append(cell_shares(tune([study], decoder, config, templates=short, device="cpu"), study))
    truth = np.array([shares_of[cell] for cell in CELLS])
    assert divergence(truth, found[0]).mean() < 0.05
    variance = [p @ amounts**2 - (p @ amounts) ** 2 for p in (truth, found[1])]
    assert variance[1].mean() < 0.7 * variance[0].mean()


@pytest.mark.slow
@pytest.mark.parametrize(("target", "rate"), [("kl", 1e-2), ("wasserstein", 3e-3)])
def test_distributions_of_groups_are_learned_too(
    target: str, rate: float, decoder: str, two_groups: Any, short: Any, shares_of: Any
) -> None:
    """The KL of the pooled answers is 0.19 on average over the cells."""
    study = two_groups(40)
    truth = np.array([shares_of[cell] for cell in CELLS])
    config = TuneConfig(
        adapter="full", target=target, max_epochs=300, patience=300, learning_rate=rate, batch_size=6, micro_batch=6,
        schedule="linear", clip=1.0,
    )  # fmt: skip
    tuned = tune([study], decoder, config, templates=short, device="cpu")
    assert tuned.history[-1].divergence < 0.25 * tuned.history[0].divergence
    assert divergence(truth, cell_shares(tuned, study)).mean() < 0.1


def test_a_penalty_draws_answers_together(decoder: str, two_groups: Any, short: Any) -> None:
    spread = []
    for gamma in (0.0, 20.0):
        config = TuneConfig(
            adapter="full", gamma=gamma, max_epochs=20, patience=20, learning_rate=5e-3, batch_size=6, micro_batch=6
        )
        tuned = tune([two_groups(40)], decoder, config, templates=short, device="cpu")
        p_CM = cell_shares(tuned, two_groups(40))
        mean_C = p_CM @ np.arange(4)
        spread.append(float((p_CM * (np.arange(4) - mean_C[:, None]) ** 2).sum(axis=1).mean()))
    assert spread[1] < 0.7 * spread[0]


def test_training_ends_when_held_out_people_are_predicted_worse_and_keeps_the_best(
    decoder: str, two_groups: Any, short: Any
) -> None:
    config = TuneConfig(adapter="full", max_epochs=30, patience=2, learning_rate=0.3, held_out=0.5, batch_size=6)
    tuned = tune([two_groups(20)], decoder, config, templates=short, device="cpu")
    losses = [row.held_out for row in tuned.history]
    assert len(losses) == tuned.best_epoch + 2 < 30
    assert losses[tuned.best_epoch - 1] == min(losses)
    study = two_groups(20)
    _, held = hold_out(study, config, 0)
    answers = held.responses
    shares = answer_shares(
        tuned, tuned.interview(study), held.problems, held.profiles, answers.participant_R, answers.problem_R
    )
    log_p = shares.log_p_RM[np.arange(len(answers)), answers.values_RD[:, 0].astype(int)] + np.log1p(-shares.stray_R)
    assert -log_p.mean() == pytest.approx(min(losses), rel=1e-3)


def test_the_profiles_weight_is_chosen_on_those_held_out(decoder: str, two_groups: Any, short: Any) -> None:
    settings = {"adapter": "full", "held_out": 0.2, "without_profile": 1.0, "profile_weight": "chosen", **QUICK}
    config, study = TuneConfig(**settings), two_groups(20)
    tuned = tune([study], decoder, config, templates=short, device="cpu")
    _, held = hold_out(study, config, 0)
    answers = held.responses
    rows, given = np.arange(len(answers)), answers.values_RD[:, 0].astype(int)

    def nll(weight: float) -> float:
        found = replace(tuned, profile_weight=weight)
        pairs = answers.participant_R, answers.problem_R
        log_p = answer_shares(found, found.interview(study), held.problems, held.profiles, *pairs).log_p_RM
        return float(-log_p[rows, given].mean())

    assert nll(tuned.profile_weight) <= min(nll(0.0), nll(0.5), nll(1.0)) + 1e-9


def test_several_studies_of_different_kinds_are_tuned_on_together(decoder: str, of_kind: Any, short: Any) -> None:
    studies = [of_kind(kind) for kind in ("ordinal", "choice", "continuous")]
    config = TuneConfig(adapter="full", gamma=0.5, target="wasserstein", max_epochs=1, batch_size=8)
    tuned = tune(studies, decoder, config, templates=short, device="cpu")
    for study in studies:
        interview = tuned.interview(study)
        assert interview in tuned.interviews
        assert interview.response_type == study.response_type
    assert tuned.history[0].divergence > 0


def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    decoder: str, two_groups: Any, short: Any, tmp_path: Path
) -> None:
    config = TuneConfig(adapter="full", **QUICK)
    before = torch.random.get_rng_state()
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        tune([two_groups(20)], decoder, config, seed, tmp_path / name, short, "cpu")
    assert torch.equal(torch.random.get_rng_state(), before)
    weights = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]


def killed_run(base: str, out: Path, config: TuneConfig, at: int) -> None:
    script = [sys.executable, "-c", KILLED, str(Path(__file__).with_name("conftest.py")), base, str(out)]
    done = subprocess.run(
        [*script, config.model_dump_json(), str(at)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def resumed_as_if_never_killed(base: str, two_groups: Any, short: Any, tmp_path: Path, **settings: Any) -> None:
    config = TuneConfig(
        **{"max_epochs": 3, "patience": 5, "batch_size": 2, "micro_batch": 1, "checkpoint_every": 2} | settings
    )
    killed_run(base, tmp_path / "killed", config, at=5)  # 3 steps an epoch: in the middle of the second one
    places = [path.name for path in (tmp_path / "killed" / "checkpoints").iterdir()]
    assert places == ["step-00000004"]
    steps: list[int] = []
    study = two_groups(20)
    again = tune(
        [study], base, config, 3, tmp_path / "killed", short, "cpu", lambda what, done, total: steps.append(done)
    )
    assert steps[0] == 5
    whole = tune([study], base, config, 3, tmp_path / "whole", short, "cpu")
    names = ("adapter_model.safetensors", "crowd.json")
    for name in names:
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert [row.loss for row in again.history] == [row.loss for row in whole.history]
    assert not (tmp_path / "killed" / "checkpoints").exists()


def test_a_killed_run_goes_on_to_the_same_result(decoder: str, two_groups: Any, short: Any, tmp_path: Path) -> None:
    resumed_as_if_never_killed(decoder, two_groups, short, tmp_path, adapter="full")


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["lora", "qlora"])
def test_a_killed_adapter_goes_on_to_the_same_result(
    adapter: str, tiny: Any, two_groups: Any, short: Any, tmp_path: Path
) -> None:
    """With dropout, whose noise is keyed by seed and step."""
    resumed_as_if_never_killed(tiny("gemma3"), two_groups, short, tmp_path, adapter=adapter, dropout=0.2)


def test_a_finished_run_is_not_done_again_and_another_is_refused(
    decoder: str, two_groups: Any, short: Any, tmp_path: Path
) -> None:
    config, study = TuneConfig(adapter="full", **QUICK), two_groups(20)
    first = tune([study], decoder, config, 0, tmp_path / "out", short, "cpu")
    steps: list[int] = []
    second = tune([study], decoder, config, 0, tmp_path / "out", short, "cpu", lambda *told: steps.append(1))
    assert not steps
    assert np.allclose(cell_shares(first, study), cell_shares(second, study))
    with pytest.raises(CrowdLLMError, match=r"another run \(.*gamma 0.0, now 1.0"):
        tune([study], decoder, config.model_copy(update={"gamma": 1.0}), 0, tmp_path / "out", short, "cpu")
    with pytest.raises(CrowdLLMError, match="data differs"):
        tune([two_groups(40)], decoder, config, 0, tmp_path / "out", short, "cpu")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(CrowdLLMError, match="something other than a tuned model"):
        tune([study], decoder, config, 0, tmp_path / "other", short, "cpu")


def test_a_folder_of_a_run_that_never_began_is_free(decoder: str, two_groups: Any, short: Any, tmp_path: Path) -> None:
    first = TuneConfig(adapter="full", **QUICK)
    wrong = {kind: Template(kind, template.text * 400) for kind, template in short.items()}
    with pytest.raises(MismatchError, match="context"):
        tune([two_groups(20)], decoder, first, 0, tmp_path / "out", wrong, "cpu")
    second = tune([two_groups(20)], decoder, first, 1, tmp_path / "out", short, "cpu")
    assert second.seed == 1


def test_a_loss_that_is_no_number_is_told(decoder: str, two_groups: Any, short: Any) -> None:
    run = run_of(two_groups(20), decoder, short)
    with torch.no_grad():
        run.model.lm.model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(CrowdLLMError, match="no number after 0 steps: lower learning_rate"):
        _step(run, epoch_steps(run.cells, run.config, 0, 0)[0], 0)


def test_without_the_packages_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, decoder: str, two_groups: Any
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "peft" else object())
    with pytest.raises(MissingExtraError, match=r"peft.*pip install 'crowdllm\[tune\]'"):
        tune([two_groups(20)], decoder, TuneConfig())
    require_packages("full")


def test_nothing_to_tune_is_refused(decoder: str, two_groups: Any) -> None:
    with pytest.raises(ConfigError, match="lora, qlora or full"):
        tune([two_groups(20)], decoder, TuneConfig(adapter="none"))
    with pytest.raises(ConfigError, match="at least one study"):
        tune([], decoder, TuneConfig())


def test_the_words_of_answers_do_not_reach_the_loss_of_other_people(decoder: str, two_groups: Any, short: Any) -> None:
    """Held-out people's answers change nothing that is trained."""
    study = two_groups(20)
    config = TuneConfig(adapter="full", **QUICK | {"max_epochs": 1})
    _, held = hold_out(study, config, 0)
    out = np.isin(study.profiles.ids[study.responses.participant_R], held.profiles.ids)
    values = np.where(out[:, None], 3 - study.responses.values_RD, study.responses.values_RD)
    changed = replace(study, responses=replace(study.responses, values_RD=values))
    found = [tune([s], decoder, config, templates=short, device="cpu") for s in (study, changed)]
    assert found[0].history[0].cross_entropy == found[1].history[0].cross_entropy
    assert found[0].history[0].held_out != found[1].history[0].held_out
    assert np.array_equal(cell_shares(found[0], study), cell_shares(found[1], study))
