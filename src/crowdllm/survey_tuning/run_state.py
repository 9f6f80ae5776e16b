"""What is on disk while a model is tuned, so that a run that was killed at any moment continues to the same result.

    run.json                    what the run is for: settings, seed, base model, a hash of the studies
    checkpoints/step-00000050/  weights.safetensors (trained weights, the best so far, Adam's two moments), state.json

A checkpoint is written beside its place and renamed into it; the one before is deleted afterwards. Nothing else is
needed to go on: the order of batches and the noise of dropout are keyed by seed and step.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crowdllm import __version__
from crowdllm.config import TuneConfig
from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError
from crowdllm.survey_tuning.base_model import Identity
from crowdllm.survey_tuning.tuned import EpochTerms

if TYPE_CHECKING:
    import torch

RUN, META, CHECKPOINTS, STATE, TENSORS = "run.json", "meta.json", "checkpoints", "state.json", "weights.safetensors"
FREQUENCY = "checkpoint_every"  # a setting that changes nothing in the result
Tensors = dict[str, "torch.Tensor"]


@dataclass(frozen=True)
class Progressed:
    """How far a run is. step: optimiser steps done. done: steps done in the epoch that is under way, `sums` its terms
    so far (loss, cross_entropy, penalty, divergence, stray, weight, tokens, seconds)."""

    step: int = 0
    epoch: int = 0
    done: int = 0
    sums: tuple[float, ...] = (0.0,) * 8
    best: float = float("inf")
    best_epoch: int = 0
    history: tuple[EpochTerms, ...] = ()


def study_digest(studies: Sequence[Study]) -> str:
    """A hash of everything that tuning depends on in these studies."""
    digest = hashlib.sha256()
    for study in studies:
        problems, people, responses = study.problems, study.profiles, study.responses
        texts: list[Any] = [study.response_type.to_dict(), [(c.name, c.to_dict()) for c in people.columns]]
        texts += [people.ids.tolist(), problems.ids.tolist(), problems.texts.tolist(), problems.options]
        texts += [study.context, study.requirements]
        digest.update(json.dumps(texts, default=str).encode("utf-8", "surrogatepass"))
        arrays = [people.values_NC, responses.participant_R, responses.problem_R, responses.values_RD]
        for array in (*arrays, *([] if study.weights_N is None else [study.weights_N])):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def run_card(
    studies: Sequence[Study], asked: Sequence[dict[str, Any]], base: Identity, config: TuneConfig, seed: int
) -> dict[str, Any]:
    """What makes two runs the same; asked: the interviews as dicts."""
    words = hashlib.sha256(json.dumps(list(asked), sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()
    settings = config.model_dump(exclude={FREQUENCY})
    return {
        "crowdllm": __version__,
        "base": base.to_dict()["version"],
        "config": settings,
        "seed": seed,
        "data": study_digest(studies),
        "asked": words,
    }


def claim(out: Path, card: dict[str, Any]) -> None:
    """Make the folder for this run, or check that it is for it.

    Raises CrowdLLMError where it holds another run, or something else.
    """
    if out.exists() and not out.is_dir():
        raise CrowdLLMError(f"{out} is a file; choose another folder")
    path = out / RUN
    if path.is_file():
        try:
            held = dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise CrowdLLMError(f"{path} is damaged; choose another folder, or delete this one") from None
        card = json.loads(json.dumps(card))
        held = _with_newer_settings(held)
        if not (out / META).is_file() and not (out / CHECKPOINTS).is_dir():
            held = card  # that run never made its first step, and may be forgotten
            write_json(path, card)
        differ = sorted(key for key in {*card, *held} if held.get(key) != card.get(key))
        if differ:
            detail = ", ".join(_difference(key, held.get(key), card.get(key)) for key in differ)
            raise CrowdLLMError(f"{out} holds another run ({detail}); choose another folder, or delete that one")
        return
    if out.exists() and any(out.iterdir()):
        raise CrowdLLMError(f"{out} exists and holds something other than a tuned model; choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, card)


def _with_newer_settings(held: dict[str, Any]) -> dict[str, Any]:
    """The card of a run that may be older than some settings: it did what their defaults stand for."""
    settings = held.get("config")
    defaults = json.loads(TuneConfig().model_dump_json(exclude={FREQUENCY}))
    return held | {"config": defaults | settings} if isinstance(settings, dict) else held


def _difference(key: str, held: Any, given: Any) -> str:
    if isinstance(held, dict) and isinstance(given, dict):
        names = [name for name in {**given, **held} if held.get(name) != given.get(name)]
        return ", ".join(f"{name} {held.get(name)}, now {given.get(name)}" for name in names)
    return f"{key} differs" if key in ("data", "asked") else f"{key} {held}, now {given}"


def save_checkpoint(out: Path, state: Progressed, tensors: Tensors) -> None:
    """Write a checkpoint and delete the earlier ones."""
    from safetensors.torch import save_file

    place = out / CHECKPOINTS / f"step-{state.step:08d}"
    fresh = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    save_file(tensors, fresh / TENSORS)
    write_json(fresh / STATE, asdict(state))
    if place.exists():
        shutil.rmtree(place)
    fresh.rename(place)
    for other in (out / CHECKPOINTS).iterdir():
        if other != place:
            shutil.rmtree(other, ignore_errors=True)


def load_checkpoint(out: Path) -> tuple[Progressed, Tensors] | None:
    """The latest checkpoint; None where there is none."""
    from safetensors.torch import load_file

    whole = sorted((out / CHECKPOINTS).glob(f"step-*/{STATE}"))
    if not whole:
        return None
    held = json.loads(whole[-1].read_text(encoding="utf-8"))
    history = tuple(EpochTerms(**row) for row in held.pop("history"))
    state = Progressed(**held | {"sums": tuple(held["sums"]), "history": history})
    return state, load_file(whole[-1].with_name(TENSORS))


def forget_checkpoints(out: Path) -> None:
    shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)


def optimiser_tensors(optimiser: torch.optim.Optimizer, names: Sequence[str]) -> Tensors:
    """Adam's moments by the name of their weight, on the CPU; empty before the first step."""
    states = [optimiser.state.get(weight, {}) for group in optimiser.param_groups for weight in group["params"]]
    return {
        f"{moment}.{name}": held[moment].detach().to("cpu", copy=True)
        for name, held in zip(names, states, strict=True)
        for moment in ("exp_avg", "exp_avg_sq")
        if moment in held
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, names: Sequence[str], tensors: Tensors, step: int) -> None:
    """Put the moments of `optimiser_tensors` back, after `step` steps."""
    import torch

    state = {
        i: {
            "step": torch.tensor(float(step)),
            **{moment: tensors[f"{moment}.{name}"] for moment in ("exp_avg", "exp_avg_sq")},
        }
        for i, name in enumerate(names)
        if f"exp_avg.{name}" in tensors
    }
    optimiser.load_state_dict(optimiser.state_dict() | {"state": state})


def write_json(path: Path, content: Any) -> None:
    """Write beside the place, then rename into it."""
    fresh = path.with_name(path.name + ".tmp")
    text = json.dumps(content, indent=1, ensure_ascii=True, sort_keys=True)
    fresh.write_text(text + "\n", encoding="utf-8")
    fresh.replace(path)
