"""`crowdllm fit`: learn a crowd from a study's human responses, and keep it in a folder."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Optional

import typer

from crowdllm.cli.say import say


def fit(
    study: Annotated[str, typer.Argument(help="A study folder, or the name of a data set.")],
    out: Annotated[Path, typer.Option(help="Folder for the fitted model.")],
    references: Annotated[
        Optional[str],  # noqa: UP045 (typer reads the annotation)
        typer.Option(help="LLM references: names separated by commas, FILE.csv, `all`, or `none`."),
    ] = None,
    embedding: Annotated[str, typer.Option(help="`tfidf`, or a sentence-transformers model or path.")] = "tfidf",
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
) -> None:
    """Fit the model on all responses of a study."""
    from crowdllm.belief.checkpoint import read_meta, require_free, save_model
    from crowdllm.belief.crowd_model import describe_fit, fit_crowd
    from crowdllm.cli.progress import progress_bar
    from crowdllm.config import CrowdConfig, make_config
    from crowdllm.experiments.sources import open_references, open_study
    from crowdllm.report.model_card import write_model_card
    from crowdllm.report.training import draw_training

    require_free(out)
    opened = open_study(study)
    sources = open_references(opened, references)
    say(f"{opened.study.title}: {opened.study.describe()}")
    for line in sources.report() if sources else ["no LLM references are used"]:
        say(f"references: {line}")
    config = make_config(CrowdConfig, {"embedding": embedding})
    with progress_bar() as progress:
        model = fit_crowd(opened.study, sources, config, seed, progress)
    save_model(model, out, opened.study)
    draw_training(model.history, out / "training.svg")
    words = ["crowdllm", "fit", study, "--out", str(out), "--embedding", embedding, "--seed", str(seed)]
    words += ["--references", references] if references is not None else []
    write_model_card(model, read_meta(out), opened.study, shlex.join(words), out)
    chosen = describe_fit(model)
    tuned = chosen["population"]
    say(
        f"chosen on held-out training data: reference penalty {tuned['reference_penalty']}, embedding penalty "
        f"{tuned['embedding_penalty']}, variance of problems' own effects {tuned['effect_variance']:g}, "
        f"{chosen['epochs']} epochs"
    )
    say(f"wrote {out}, with a model card for whoever is given it: {out / 'card.html'}")
    say(f"next: crowdllm simulate {out} --participants 1000 --out {out}-crowd")
