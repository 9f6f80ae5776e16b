"""`crowdllm tune`: fine-tune a language model into survey participants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from crowdllm.cli.say import say

if TYPE_CHECKING:
    from crowdllm.config import TuneConfig
    from crowdllm.data.study import Study
    from crowdllm.survey_tuning.held_out import HeldOut
    from crowdllm.survey_tuning.tuned import Tuned

GB = 1e9


def tune(
    studies: Annotated[list[str], typer.Argument(help="Study folders, or names of data sets; several are mixed.")],
    model: Annotated[str, typer.Option(help="Language model: a name on the Hugging Face Hub, or a folder.")],
    out: Annotated[
        Optional[Path],  # noqa: UP045 (typer reads the annotation)
        typer.Option(help="Folder for the adapter; the same command continues there."),
    ] = None,
    adapter: Annotated[str, typer.Option(help="lora, qlora (base in 4 bits), or full (small models only).")] = "lora",
    gamma: Annotated[float, typer.Option(help="Weight of the penalty for numbers far from the answer.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    set_: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", help="Another setting as NAME=VALUE, such as --set rank=32 (several times)."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    audit: Annotated[
        bool, typer.Option("--audit", help="Also compare subgroups before and after tuning, on held-out people.")
    ] = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Say how much memory and time it would take, and stop.")
    ] = False,
) -> None:
    """Tune a language model on the answers of a study, person by person and question by question."""
    from crowdllm.cli.progress import progress_bar
    from crowdllm.errors import ConfigError
    from crowdllm.experiments.sources import open_study
    from crowdllm.llm.prompts import read_templates
    from crowdllm.responses.continuous import Continuous
    from crowdllm.survey_tuning.base_model import require_packages
    from crowdllm.survey_tuning.candidates import require_askable
    from crowdllm.survey_tuning.tuning import tune as run

    config = _config(adapter, gamma, set_ or [])
    require_packages(config.adapter)
    opened = [open_study(name) for name in studies]
    for one in opened:
        require_askable(one.study.response_type)
        say(f"{one.study.title}: {one.study.describe()}")
    each = [one.study for one in opened]
    if estimate:
        _estimate(each, model, config, seed)
        return
    if out is None:
        raise ConfigError("say where the adapter goes: --out FOLDER (or --estimate to see what it would take)")
    with progress_bar() as progress:
        tuned = run(each, model, config, seed, out, read_templates(opened[0].folder), device, progress)
    for line in _report(tuned):
        say(line)
    say(f"wrote {out}")
    held = _curves(tuned, each, out)
    if audit:
        settings, temperature = tuned.config, tuned.temperature_kl
        del tuned  # so that there is room for its base model
        _audit(held, model, settings, temperature, seed, out, device)
    mode = "samples" if isinstance(each[0].response_type, Continuous) else "options"
    say(f"next: crowdllm references {studies[0]} --backend tuned --model {out} --mode {mode}")


def _config(adapter: str, gamma: float, settings: list[str]) -> TuneConfig:
    from crowdllm.config import TuneConfig, make_config
    from crowdllm.errors import ConfigError

    given: dict[str, object] = {"adapter": adapter, "gamma": gamma}
    seen: set[str] = set()
    for text in settings:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise ConfigError(f"--set {text!r} is not of the form NAME=VALUE")
        if name in given:
            raise ConfigError(f"--set {text!r}: " + (f"{name} is set twice" if name in seen else f"use --{name}"))
        seen.add(name)
        given[name] = tuple(filter(None, value.split("|"))) if name == "profile_columns" else value.strip()
    made: TuneConfig = make_config(TuneConfig, given)
    if made.adapter == "none":
        raise ConfigError("there is nothing to tune with --adapter none: choose lora, qlora or full")
    return made


def _report(tuned: Tuned) -> list[str]:
    """What came of it, in a few lines."""
    best = tuned.history[tuned.best_epoch - 1] if tuned.history and tuned.best_epoch else None
    lines = []
    if best is not None:
        lines.append(
            f"best of {len(tuned.history)} epochs: {best.epoch}, cross-entropy {best.cross_entropy:.3f} in training, "
            f"loss {best.held_out:.3f} on held-out people"
        )
        tokens, seconds = (sum(getattr(row, name) for row in tuned.history) for name in ("tokens", "seconds"))
        lines.append(
            f"{tokens:,.0f} tokens in {seconds:,.0f} s of training: {tokens / max(seconds, 1e-9):,.0f} a second"
        )
    lines.append(
        f"temperature with the lowest KL on held-out people: {tuned.temperature_kl:.2f}; with the lowest RMSE: "
        f"{tuned.temperature_rmse:.2f}"
    )
    return lines


def _curves(tuned: Tuned, studies: list[Study], out: Path) -> list[HeldOut]:
    """Write the curve of temperatures; returns what the model says of held-out people."""
    from crowdllm.experiments.tuning_folder import write_temperatures
    from crowdllm.survey_tuning.held_out import held_out_shares

    held = held_out_shares(tuned, studies)
    for path in write_temperatures(held, out):
        say(f"wrote {path}")
    if not held:
        say("too few people to hold any out: no curve of temperatures")
    return held


def _audit(
    held: list[HeldOut], model: str, config: TuneConfig, temperature: float, seed: int, out: Path, device: str
) -> None:
    """Write the audit, and say what became of the differences between groups."""
    from crowdllm.experiments.tuning_folder import write_audit
    from crowdllm.survey_tuning.held_out import base_shares

    found, files = write_audit(held, base_shares(model, config, held, device), temperature, out, seed)
    for one, audit in zip(held, found, strict=True):
        groups = audit.groups
        closer = sum(g.kl_after < g.kl_before for g in groups)
        say(
            f"{one.study.title}: tuning brought {closer} of {len(groups)} groups closer to their humans "
            f"({audit.people} held-out people; {audit.too_small} groups too small)"
        )
        for column in audit.columns:
            say(f"differences by {column.column}: before tuning {column.before.verdict}, after {column.after.verdict}")
    for path in files:
        say(f"wrote {path}")


def _estimate(studies: list[Study], model: str, config: TuneConfig, seed: int) -> None:
    from crowdllm.survey_tuning.base_model import find_base
    from crowdllm.survey_tuning.memory import estimate_tuning, plan_needs

    source, identity = find_base(model)
    model_config, needs = plan_needs(source, studies, config, seed)
    dtype = "bfloat16" if config.dtype == "auto" else config.dtype
    checkpointing = config.gradient_checkpointing is not False
    found = estimate_tuning(model_config, needs, config, dtype, checkpointing)
    say(
        f"{identity.name}: {found.all_weights:,} weights, {found.trained_weights:,} of them trained ({config.adapter}, "
        f"rank {config.rank}, base in {dtype})"
    )
    say(
        f"an epoch: {needs.steps:,} steps, {needs.epoch_tokens:,} tokens; the largest micro-batch {needs.prompts} x "
        f"{needs.tokens} tokens"
    )
    parts = ("weights", "adapter", "gradients", "optimiser", "kept", "logits")
    say("memory: " + ", ".join(f"{name} {getattr(found, name) / GB:.2f} GB" for name in parts))
    say(f"together with a reserve of a tenth: {found.total / GB:.1f} GB")
    say(
        f"time: {found.epoch_seconds / 60:.1f} minutes an epoch at 100 TFLOP/s (about an A100; a third of that on an "
        f"H100), at most {config.max_epochs} epochs"
    )
