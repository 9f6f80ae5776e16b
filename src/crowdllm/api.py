"""The Python interface: fit, simulate and evaluate, with the same meaning as the commands of those names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from crowdllm.belief.checkpoint import check_fits
from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.config import CrowdConfig, make_config
from crowdllm.data.problems import Problems
from crowdllm.data.study import Study
from crowdllm.embedding import TFIDF
from crowdllm.errors import MismatchError, UnknownNameError
from crowdllm.experiments.comparison import Comparison, run_comparison
from crowdllm.experiments.sources import Opened, open_references, open_study
from crowdllm.reference import References
from crowdllm.simulation.run import as_study, simulate_crowd

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str, int, int], None]


def load_references(study: str | Path, names: str | None = None) -> References | None:
    """The recorded LLM references of a study folder or data set; see --references of the command line for `names`."""
    return open_references(open_study(str(study)), names)


def fit(
    study: Study | str | Path,
    references: References | str | None = None,
    embedding: str = TFIDF,
    seed: int = 0,
    progress: Progress | None = None,
    **settings: object,
) -> CrowdModel:
    """Learn a crowd from a study's human responses.

    study: a `Study`, a study folder, or the name of a data set.
    references: `References`, or names of sources (for folders and data sets; their default when None, none when
        "none"). settings: fields of `crowdllm.config.CrowdConfig`.

    Raises CrowdLLMError, in words, for whatever does not fit together.
    """
    opened = _opened(study)
    config = make_config(CrowdConfig, {"embedding": embedding, **settings})
    return fit_crowd(opened.study, _references(opened, references), config, seed, progress)


def simulate(
    model: CrowdModel,
    participants: int | Study = 1000,
    problems: Problems | None = None,
    references: References | None = None,
    seed: int = 0,
    where: Sequence[str] = (),
    participation: float = 1.0,
    progress: Progress | None = None,
) -> Study:
    """Recruit people and let them answer; a `Study` with `simulated = True`.

    participants: how many to recruit, or a study whose people (their profiles) are simulated instead; its profile
    columns and scale must be the model's (MismatchError says which differ).

    problems: new ones, or None for those the model was fitted on; references: for new problems, from the same sources
    as in the fit. where: filters such as "age=25-29,30-34". One seed gives the same bytes every time.
    """
    items = model.items if problems is None else model.make_items(problems, references)
    if isinstance(participants, Study):
        check_fits(model, participants)
    who = participants.profiles if isinstance(participants, Study) else participants
    crowd = simulate_crowd(model, items, who, seed, where, participation, progress)
    return as_study(crowd, model)


def evaluate(
    study: Study | str | Path,
    methods: Sequence[str],
    references: References | str | None = None,
    out: str | Path | None = None,
    seeds: int = 3,
    progress: Progress | None = None,
    **settings: object,
) -> pd.DataFrame:
    """Compare methods with held-out humans: the long table of metrics.csv.

    settings: other fields of `crowdllm.experiments.comparison.Comparison`, such as split, crowd_sizes and
    train_fractions. out: folder in which a stopped run goes on; a temporary one when None.
    """
    opened = _opened(study)
    known = [field.name for field in fields(Comparison) if field.name not in ("methods", "seeds")]
    for name in settings:
        if name not in known:
            raise UnknownNameError("setting", name, known, "evaluate")
    # any settings of the right names: Comparison.check finds wrong values
    comparison = replace(Comparison(tuple(methods), seeds=tuple(range(seeds))), **settings)  # type: ignore[arg-type]
    sources = _references(opened, references)
    if out is not None:
        return run_comparison(opened.study, opened.name, sources, comparison, Path(out), progress)
    with TemporaryDirectory() as folder:
        return run_comparison(opened.study, opened.name, sources, comparison, Path(folder), progress)


def _opened(study: Study | str | Path) -> Opened:
    return Opened(study, study.title or "study") if isinstance(study, Study) else open_study(str(study))


def _references(opened: Opened, references: References | str | None) -> References | None:
    if isinstance(references, References):
        return references
    if opened.dataset or opened.folder:
        return open_references(opened, references)
    if references not in (None, "none"):
        raise MismatchError("a Study object has no named references: pass References, or name a folder or data set")
    return None
