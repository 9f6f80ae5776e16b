"""`crowdllm study`: list the experiments of the project, and run one of them.

Those are the studies, and the tables of `crowdllm reproduce` under the name `tables-DATASET`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from crowdllm.cli.say import say

LIST, RUN = "list", "run"
TABLES = "tables-"


def study(
    action: Annotated[str, typer.Argument(help="`list`, or `run`.")],
    name: Annotated[str, typer.Argument(help="What is to be run; see `crowdllm study list`.")] = "",
    out: Annotated[
        Optional[Path],  # noqa: UP045 (typer reads the annotation)
        typer.Option(help="Folder for the page, pictures and numbers; the same command continues there."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A run of minutes on two cores: small settings.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="The first of the study's seeds.")] = 0,
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Processes of one thread each; as many as there are cores."),
    ] = None,
    embedding: Annotated[str, typer.Option(help="`tfidf`, or a sentence-transformers model or path.")] = "tfidf",
    tuned: Annotated[str, typer.Option(help="For `groups`: your tuned LLM, such as adapter:FOLDER.")] = "",
) -> None:
    """List the project's studies (`study list`), or run one (`study run NAME --out DIR`): page, pictures, CSV.

    A run can be stopped at any time (Ctrl-C); the same command continues.
    """
    from crowdllm.errors import ConfigError, UnknownNameError

    if action == LIST:
        if name:
            raise ConfigError(f"`crowdllm study list` takes no name, such as {name!r}; did you mean `study run`?")
        _list()
    elif action == RUN:
        if not name:
            raise ConfigError("name the study, as in `crowdllm study run crowd-size --out DIR`; see `study list`")
        out = out or Path(f"study-{name}{'-quick' if quick else ''}")
        _run(name, out, quick, seed, workers, embedding, tuned)
    else:
        raise UnknownNameError("action", action, (LIST, RUN), "crowdllm study")


def _list() -> None:
    from crowdllm.experiments.reproduce import REPRODUCTIONS
    from crowdllm.experiments.studies import STUDIES, study_title

    titles = {name: study_title(name) for name in STUDIES}
    titles |= {
        f"{TABLES}{d}": f"All methods on {d}, beside the paper's tables (`reproduce {d}`)" for d in REPRODUCTIONS
    }
    width = max(map(len, titles), default=0)
    for name, title in titles.items():
        say(f"{name:<{width}}  {title}")
    say("\nRun one:  crowdllm study run NAME --out DIR [--quick]")


def _tables(dataset: str, out: Path, quick: bool, seed: int, workers: int | None, embedding: str) -> None:
    from crowdllm.cli.reproduce import reproduce
    from crowdllm.errors import ConfigError

    if seed:
        raise ConfigError("the tables are over fixed random splits, the first of them 0: leave --seed out")
    reproduce(dataset, out, None, quick, workers, embedding, None)


def _run(name: str, out: Path, quick: bool, seed: int, workers: int | None, embedding: str, tuned: str) -> None:
    import shlex

    from crowdllm.cli.progress import progress_bar
    from crowdllm.errors import ConfigError, UnknownNameError
    from crowdllm.experiments.reproduce import REPRODUCTIONS
    from crowdllm.experiments.reproduce.processes import cores
    from crowdllm.experiments.studies import STUDIES, TAKES_TUNED, get_study
    from crowdllm.experiments.studies.protocol import Settings
    from crowdllm.experiments.studies.run import run_study

    tables = [f"{TABLES}{dataset}" for dataset in REPRODUCTIONS]
    if tuned and name in [*STUDIES, *tables] and name not in TAKES_TUNED:
        raise ConfigError(f"no tuned LLM takes part in {name}; --tuned is for {', '.join(TAKES_TUNED)}")
    if name in tables:
        _tables(name.removeprefix(TABLES), out, quick, seed, workers, embedding)
        return
    if name not in STUDIES:
        raise UnknownNameError("study", name, [*STUDIES, *tables])
    settings = Settings(out, quick, seed, embedding, workers or cores(), tuned)
    experiment = get_study(name)(settings)
    words = ["crowdllm", "study", "run", name, "--out", str(out)]
    words += ["--quick"] if quick else []
    words += ["--seed", str(seed)] if seed else []
    words += ["--embedding", embedding] if embedding != "tfidf" else []
    words += ["--tuned", tuned] if tuned else []
    with progress_bar() as progress:
        ran = run_study(experiment, settings, shlex.join(words), progress, say)
    say(experiment.title)
    for line in ran.findings.shows:
        say(f"- {line}")
    for path in ran.written:
        say(f"wrote {path}")
