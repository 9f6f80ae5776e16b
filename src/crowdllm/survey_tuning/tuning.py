"""Tune a model on the answers of one or several studies: the training loop.

A share of the people is held out of training. After every epoch their answers' loss is computed; where it has not
fallen for `patience` epochs, training ends, and the best epoch's weights are kept. The same people then choose the
temperatures (`crowdllm.survey_tuning.calibration`).

The loop is deterministic by its seed on one machine: batches, the adapter's first weights and dropout are keyed. It
writes checkpoints (`run_state`); the same call goes on from the last one, to the same result.

Shapes: C cells, B cells of a micro-batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crowdllm.config import TuneConfig
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError, CrowdLLMError
from crowdllm.llm.local_model import LocalModel, Source
from crowdllm.llm.prompts.template import DEFAULTS, Template
from crowdllm.rng import generator
from crowdllm.survey_tuning.adapters import attach, keyed_torch, put_back, trainable, weights_to_save
from crowdllm.survey_tuning.answers import answer_shares, asked_shares
from crowdllm.survey_tuning.base_model import Identity, find_base, load_base, require_packages
from crowdllm.survey_tuning.batches import epoch_steps, learning_rate, sequential, steps_per_epoch
from crowdllm.survey_tuning.calibration import calibrate, choose_profile_weight
from crowdllm.survey_tuning.cells import Cells, Index, make_cells
from crowdllm.survey_tuning.interview import Interview, make_interview
from crowdllm.survey_tuning.loss import Terms, batch_terms, cell_weights, needed, tree_of
from crowdllm.survey_tuning.run_state import (
    META,
    Progressed,
    claim,
    load_checkpoint,
    optimiser_tensors,
    restore_optimiser,
    run_card,
    save_checkpoint,
)
from crowdllm.survey_tuning.scoring import answer_log_probabilities
from crowdllm.survey_tuning.tuned import EpochTerms, Tuned

if TYPE_CHECKING:
    import torch

Progress = Callable[[str, int, int], None]
FEWEST = 4  # people of a study below which nobody is held out
SHOWN = 8  # times per epoch that progress shows new terms


def tune(
    studies: Sequence[Study],
    base: str,
    config: TuneConfig,
    seed: int = 0,
    out: str | Path | None = None,
    templates: Mapping[str, Template] = DEFAULTS,
    device: str = "auto",
    progress: Progress | None = None,
) -> Tuned:
    """Tune the model `base` (a name on the Hub, or a folder) on all answers of these studies.

    out: folder for checkpoints and the result; None keeps nothing. Where it holds a finished run of just this, that is
    returned; where it holds an unfinished one, it is continued.

    Raises MissingExtraError without the packages, DataUnavailableError and ConfigError for the model, MismatchError for
    responses that cannot be asked for or prompts that are too long, CrowdLLMError for a folder of another run.
    """
    from crowdllm.survey_tuning.artifact import load_tuned, save_tuned

    if config.adapter == "none":
        raise ConfigError("there is nothing to tune with adapter='none': choose lora, qlora or full")
    if not studies:
        raise ConfigError("tuning needs at least one study")
    require_packages(config.adapter)
    source, identity = find_base(base)
    parts = [hold_out(study, config, seed) for study in studies]
    asked = [make_interview(kept, config, templates) for kept, _ in parts]
    if out is not None:
        claim(Path(out), run_card(studies, [interview.to_dict() for interview in asked], identity, config, seed))
        if (Path(out) / META).is_file():
            return load_tuned(out, base, device)
    run = _prepare(source, identity, parts, asked, config, seed, device, None if out is None else Path(out))
    state = _train(run, progress)
    tuned = _calibrated(run, state, parts, asked)
    if out is not None:
        save_tuned(tuned, out, studies)
    return tuned


def hold_out(study: Study, config: TuneConfig, seed: int) -> tuple[Study, Study]:
    """The study without the people who are held out, and with these alone; nobody where there are hardly any."""
    people = np.unique(study.responses.participant_R)
    count = round(config.held_out * len(people)) if len(people) >= FEWEST else 0
    count = min(max(count, 1), len(people) - 1) if len(people) >= FEWEST else 0
    held = generator(seed, "tuning:held-out").permutation(people)[:count]
    everything = np.arange(len(study.problems))
    rest = np.setdiff1d(np.arange(len(study.profiles)), held)
    return study.subset(everything, rest), study.subset(everything, np.sort(held))


@dataclass(frozen=True)
class _Run:
    """Everything a run needs; what changes while it goes on are the model's trained weights, and `optimiser`."""

    model: LocalModel
    identity: Identity
    config: TuneConfig
    seed: int
    cells: Cells
    held: Cells | None
    optimiser: torch.optim.Optimizer
    names: list[str]
    steps: int
    out: Path | None


def _prepare(
    source: Source, identity: Identity, parts: Sequence[tuple[Study, Study]], asked: Sequence[Interview],
    config: TuneConfig, seed: int, device: str, out: Path | None,
) -> _Run:  # fmt: skip
    import torch

    model = load_base(source, config, device)
    cells = make_cells([(kept, how) for (kept, _), how in zip(parts, asked, strict=True)], model, config)
    left = [(held, how) for (_, held), how in zip(parts, asked, strict=True) if len(held.responses)]
    held = make_cells(left, model, config, nameless=False) if left else None
    causal = model.lm.model
    attach(causal, config, seed)
    wish = config.gradient_checkpointing
    if wish or (wish is None and causal.device.type == "cuda"):
        causal.activation_checkpointing_enable({"use_reentrant": False})
    weights = trainable(causal)
    optimiser = torch.optim.AdamW(
        list(weights.values()),
        lr=config.learning_rate,
        betas=(0.9, 0.999),
        weight_decay=config.weight_decay,
        fused=causal.device.type == "cpu",  # half the time of a step of small models there
    )
    steps = config.max_epochs * steps_per_epoch(cells, config)
    return _Run(model, identity, config, seed, cells, held, optimiser, list(weights), steps, out)


def _train(run: _Run, progress: Progress | None) -> Progressed:
    """Train to the end; afterwards the model has the best weights."""
    config = run.config
    state, best = _continue(run)
    while state.epoch < config.max_epochs and (
        run.held is None or state.epoch - state.best_epoch < config.patience or state.done
    ):
        steps = epoch_steps(run.cells, config, run.seed, state.epoch)
        for number in range(state.done, len(steps)):
            started = time.perf_counter()
            terms, rate, tokens = _step(run, steps[number], state.step)
            new = (*terms, float(tokens), time.perf_counter() - started)
            sums = tuple(a + b for a, b in zip(state.sums, new, strict=True))
            state = replace(state, step=state.step + 1, done=number + 1, sums=sums)
            if progress and (number % max(1, len(steps) // SHOWN) == 0 or state.step == run.steps):
                progress(_shown(state), state.step, run.steps)
            if run.out is not None and state.step % config.checkpoint_every == 0 and state.done < len(steps):
                save_checkpoint(run.out, state, _tensors(run, best))
        state, best = _end_of_epoch(run, state, best, rate)
        if run.out is not None:
            save_checkpoint(run.out, state, _tensors(run, best))
    if best:
        put_back(run.model.lm.model, best, config)
    return state


def _continue(run: _Run) -> tuple[Progressed, dict[str, torch.Tensor]]:
    """Where the run stands, and the best weights so far; the model and the optimiser are set to it."""
    found = load_checkpoint(run.out) if run.out is not None else None
    if found is None:
        return Progressed(), {}
    state, tensors = found
    put_back(run.model.lm.model, _part(tensors, "now."), run.config)
    restore_optimiser(run.optimiser, run.names, tensors, state.step)
    return state, _part(tensors, "best.")


def _tensors(run: _Run, best: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    now = weights_to_save(run.model.lm.model, run.config)
    named = {f"now.{name}": weight for name, weight in now.items()}
    named |= {f"best.{name}": weight for name, weight in best.items()}
    return named | optimiser_tensors(run.optimiser, run.names)


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): weight for name, weight in tensors.items() if name.startswith(prefix)}


def _step(run: _Run, batches: list[Index], step: int) -> tuple[tuple[float, ...], float, int]:
    """One step of the optimiser: its terms (loss, ..., weight; sums), the learning rate, and the tokens run.

    Raises CrowdLLMError where the loss is no number.
    """
    import torch

    rate = learning_rate(run.config, step, run.steps)
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    weight = float(cell_weights(run.cells, run.config)[np.concatenate(batches)].sum())
    model = run.model.lm.model.train()
    sums, tokens = np.zeros(6), 0
    with keyed_torch(run.seed, f"step {step}", model.device):
        for rows in batches:
            terms, ran = score_cells(model, run.cells, rows, run.config)
            (terms.loss / weight).backward()
            sums += [float(terms.loss.detach()), *_sums(terms)]
            tokens += ran
    if not np.isfinite(sums).all():
        raise CrowdLLMError(
            f"the loss is no number after {step} steps: lower learning_rate, or take dtype float32 or bfloat16"
        )
    torch.nn.utils.clip_grad_norm_([w for g in run.optimiser.param_groups for w in g["params"]], run.config.clip)
    run.optimiser.step()
    run.optimiser.zero_grad(set_to_none=True)
    return tuple(float(s) for s in sums), rate, tokens


def _sums(terms: Terms) -> tuple[float, ...]:
    return terms.cross_entropy, terms.penalty, terms.divergence, terms.stray, terms.weight


def score_cells(model: Any, cells: Cells, rows: Index, config: TuneConfig) -> tuple[Terms, int]:
    """The terms of these cells (of one answer set), and how many tokens were run, padding included."""
    answers = cells.sets[int(cells.set_C[rows[0]])]
    counts_BM = cells.counts(rows, len(answers.tokens))
    which = needed(answers, np.flatnonzero(counts_BM.any(axis=0)), config)
    tree = tree_of(answers, which)
    prompts = [cells.prompts[c] for c in rows.tolist()]
    log_p_BM = answer_log_probabilities(model, prompts, tree)
    terms = batch_terms(log_p_BM, counts_BM, cells.people_C[rows], which, answers, config)
    return terms, len(rows) * (max(map(len, prompts)) + len(tree.token_n))


def held_out_loss(run_model: Any, held: Cells, config: TuneConfig) -> float:
    """Cross-entropy + gamma * penalty per held-out answer."""
    import torch

    single = config.model_copy(update={"target": "answers"})
    model = run_model.eval()
    total, weight = 0.0, 0.0
    with torch.inference_mode():
        for rows in sequential(held, max(config.micro_batch, 8)):
            terms, _ = score_cells(model, held, rows, single)
            total, weight = total + float(terms.loss), weight + terms.weight
    return total / weight


def _end_of_epoch(
    run: _Run, state: Progressed, best: dict[str, torch.Tensor], rate: float
) -> tuple[Progressed, dict[str, torch.Tensor]]:
    """The state after an epoch, with its line in the history, and the best weights."""
    weight = max(state.sums[5], 1e-300)
    held = held_out_loss(run.model.lm.model, run.held, run.config) if run.held is not None else float("nan")
    loss, ce, penalty, divergence, stray = (s / weight for s in state.sums[:5])
    tokens, seconds = int(state.sums[6]), state.sums[7]
    terms = EpochTerms(state.epoch + 1, state.step, loss, ce, penalty, divergence, stray, held, rate, tokens, seconds)
    history = (*state.history, terms)
    better = run.held is None or held < state.best
    if better:
        best = weights_to_save(run.model.lm.model, run.config)
        state = replace(state, best=held, best_epoch=state.epoch + 1)
    return replace(state, epoch=state.epoch + 1, done=0, sums=(0.0,) * 8, history=history), best


def _shown(state: Progressed) -> str:
    loss, ce, penalty, divergence, stray, weight = (s / max(state.sums[5], 1e-300) for s in state.sums[:6])
    parts = [f"epoch {state.epoch + 1}: loss {loss:.3f}, cross-entropy {ce:.3f}"]
    named = (("penalty", penalty), ("divergence", divergence), ("stray", stray))
    parts += [f"{name} {value:.3f}" for name, value in named if value and weight]
    parts += [f"held out {state.history[-1].held_out:.3f}"] if state.history else []
    return ", ".join(parts)


def _calibrated(
    run: _Run, state: Progressed, parts: Sequence[tuple[Study, Study]], asked: Sequence[Interview]
) -> Tuned:
    """The result, with the weight of profiles and the temperatures that suit the held-out people of all studies
    together."""
    run.model.lm.model.eval()
    tuned = Tuned(
        run.model, run.config, run.identity, tuple(asked), seed=run.seed, history=state.history,
        best_epoch=state.best_epoch,
    )  # fmt: skip
    tuned = replace(tuned, profile_weight=_profile_weight(tuned, parts, asked))
    found = [
        calibrate(_shares_of(tuned, how, held), held.responses, held.response_type)[1]
        for (_, held), how in zip(parts, asked, strict=True)
        if len(held.responses)
    ]
    if not found:
        return tuned
    size = [len(held.responses) for _, held in parts if len(held.responses)]
    return replace(
        tuned,
        temperature_kl=float(np.average([best.temperature_kl for best in found], weights=size)),
        temperature_rmse=float(np.average([best.temperature_rmse for best in found], weights=size)),
    )


def _profile_weight(tuned: Tuned, parts: Sequence[tuple[Study, Study]], asked: Sequence[Interview]) -> float:
    if tuned.config.profile_weight != "chosen":
        return float(tuned.config.profile_weight)
    held = []
    for (_, study), how in zip(parts, asked, strict=True):
        answers = study.responses
        if len(answers):
            rows = answers.participant_R, answers.problem_R
            told = asked_shares(tuned, how, study.problems, study.profiles, *rows)
            held.append((told, asked_shares(tuned, how, study.problems, None, *rows), answers))
    return choose_profile_weight(held) if held else 1.0


def _shares_of(tuned: Tuned, how: Interview, study: Study) -> Any:
    answers = study.responses
    return answer_shares(tuned, how, study.problems, study.profiles, answers.participant_R, answers.problem_R)
