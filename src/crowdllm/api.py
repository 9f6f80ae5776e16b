"""The Python interface: fit, simulate, estimate and evaluate, with the same meaning as the commands of those names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.checkpoint import check_fits
from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.config import CrowdConfig, make_config, make_settings
from crowdllm.data.problems import Problems
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.embedding import TFIDF
from crowdllm.errors import MismatchError
from crowdllm.estimation.estimate import Estimates, EstimateSettings, estimate_study
from crowdllm.experiments.comparison import Comparison, run_comparison
from crowdllm.experiments.personas import with_personas
from crowdllm.experiments.sources import Opened, open_references, open_study
from crowdllm.profiles.raking import Margins
from crowdllm.reference import References
from crowdllm.simulation.decide import simulate_pairs
from crowdllm.simulation.run import SimulatedCrowd, as_study, simulate_crowd, stand_ins

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
    margins: Margins | None = None,
) -> Study:
    """Recruit people and let them answer; a `Study` with `simulated = True`.

    participants: how many to recruit, or a study whose people (their profiles) are simulated instead; its profile
    columns and scale must be the model's (MismatchError says which differ).

    problems: new ones, or None for those the model was fitted on; references: for new problems, from the same sources
    as in the fit. where: filters such as "age=25-29,30-34". margins: target shares of groups among recruits, such as
    {"age": {"18-39": 0.45, "40+": 0.55}}. One seed gives the same bytes every time.
    """
    items = model.items if problems is None else model.make_items(problems, references)
    if isinstance(participants, Study):
        check_fits(model, participants)
    who = participants.profiles if isinstance(participants, Study) else participants
    crowd = simulate_crowd(model, items, who, seed, where, participation, progress, margins)
    return as_study(crowd, model)


def twins(
    model: CrowdModel,
    study: Study,
    problems: Problems | None = None,
    references: References | None = None,
    seed: int = 0,
) -> Study:
    """Digital twins: how the people of a study, given what they answered there, would answer other problems.

    study: people with answers to problems that the model was fitted on (by id and text; MismatchError names another).
    problems, references: as in `simulate`. One draw of each person's belief given the known answers, under ids that say
    so ("sim:..."); other seeds give other draws, and their spread says how little is known. A person without answers
    is drawn from the prior, given the profile.
    """
    from crowdllm.methods.twins import twin_noise

    check_fits(model, study)
    items = model.items if problems is None else model.make_items(problems, references)
    known = replace(study.responses, problem_R=_positions(model.items.problems, study)[study.responses.problem_R])
    noise_NZ = twin_noise(model, model.items, study.profiles, known, seed)
    people = stand_ins(study.profiles)
    participant_R = np.repeat(np.arange(len(people)), len(items.problems))
    problem_R = np.tile(np.arange(len(items.problems)), len(people))
    values_RD = simulate_pairs(model, items, people, participant_R, problem_R, seed, noise_NZ)
    responses = Responses(participant_R, problem_R, values_RD)
    return as_study(SimulatedCrowd(people, items, responses, seed), model)


def _positions(fitted: Problems, study: Study) -> NDArray[np.int64]:
    """(T,) where each problem of the study stands among the fitted ones; -1 for those nobody answered."""
    position = {(str(i), str(text)): t for t, (i, text) in enumerate(zip(fitted.ids, fitted.texts, strict=True))}
    pairs = zip(study.problems.ids, study.problems.texts, strict=True)
    where = np.array([position.get((str(i), str(text)), -1) for i, text in pairs], dtype=np.int64)
    answered = np.unique(study.responses.problem_R)
    strange = answered[where[answered] < 0]
    if len(strange):
        raise MismatchError(
            f"problem {study.problems.ids[strange[0]]!r} has answers, but the model was not fitted on a problem of "
            "that id and text: known answers must be to problems it was fitted on; leave the others out of the study"
        )
    return where


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
    own = {"methods": tuple(methods), "seeds": tuple(range(seeds))}
    comparison = make_settings(Comparison, {**settings, **own}, "evaluate", fixed=("methods", "seeds"))
    sources = with_personas(opened, _references(opened, references), methods)
    if out is not None:
        return run_comparison(opened.study, opened.name, sources, comparison, Path(out), progress)
    with TemporaryDirectory() as folder:
        return run_comparison(opened.study, opened.name, sources, comparison, Path(folder), progress)


def estimate(
    study: Study | str | Path,
    model: CrowdModel,
    references: References | str | None = None,
    progress: Progress | None = None,
    **settings: object,
) -> Estimates:
    """Intervals for every problem, from a study's human responses and a fitted crowd: `.table`, `.worth`, `.notes`.

    references: as in `fit`; for folders and data sets the model's own sources are found by name when None. settings:
    fields of `crowdllm.estimation.estimate.EstimateSettings`, such as level, by, compare, folds and new_people.
    Crowds are fitted anew without the people, and without the problems, that they are judged by, unless `new_people`
    is set.

    Raises CrowdLLMError, in words, for whatever does not fit together.
    """
    chosen = make_settings(EstimateSettings, settings, "estimate")
    opened = _opened(study)
    if references is None and (opened.dataset or opened.folder):
        references = ",".join(model.reference_sources) or "none"
    return estimate_study(opened.study, model, _references(opened, references), chosen, progress)


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
