"""The one flow: from a study and a fitted crowd to a table of intervals for every problem.

Cross-fit over people for the rectified intervals, over problems for the conformal and the combined ones; take what the
given model says of every problem; compute all intervals; say what each is worth in humans, and what could not be had.

Shapes: N participants, T problems, R responses, C columns, G groups of people.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.checkpoint import check_fits
from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.belief.items import Items
from crowdllm.data.study import Study
from crowdllm.data.study_weights import effective_number
from crowdllm.errors import ConfigError, MismatchError, UnknownNameError
from crowdllm.estimation.conformal import least_problems
from crowdllm.estimation.cross_fit import FOLDS, PeoplePredictions, cross_fit_people, cross_fit_problems
from crowdllm.estimation.estimands import Columns, make_columns
from crowdllm.estimation.fold_store import FoldStore
from crowdllm.estimation.predictions import crowd_columns
from crowdllm.estimation.rectified import Asked
from crowdllm.estimation.small_sample import check_level
from crowdllm.estimation.theorem5 import llm_variance
from crowdllm.reference import References
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import Array
from crowdllm.simulation.decide import simulate_pairs
from crowdllm.simulation.run import stand_ins

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str, int, int], None]
LEAST_ANSWERED = 4
MOST_COMPARED = 6


@dataclass(frozen=True)
class EstimateSettings:
    """level: of all intervals. folds: of the cross-fits. crowd_size: recruits whose mean is the crowd's.

    by: a profile column whose levels are estimated and compared; "" for none. compare: pairs of problem ids whose means
    (shares) are compared; where none are given and there are at most six problems, all pairs. new_people: the study's
    people took no part in fitting the model, so that nothing is fitted anew for them.
    """

    level: float = 0.95
    folds: int = FOLDS
    crowd_size: int = 1000
    seed: int = 0
    by: str = ""
    compare: tuple[tuple[str, str], ...] = ()
    new_people: bool = False


@dataclass(frozen=True)
class Group:
    """One level of the profile column `by`: its people, and the answers of these as if they were all."""

    level: str
    asked: Asked


@dataclass(frozen=True)
class Evidence:
    """Everything that intervals are made from.

    asked: human answers with cross-fitted predictions. held_out_TC: the crowd's means by crowds that saw no answer to
    the problem, NaN where there are none. crowd_TC, between_TC: means of the given model's crowd, and the variance of
    its people's expected answers. twin_R: one simulated answer of everybody's twin (scales only). llm_T: eta(t).
    pairs: positions of the problems compared.
    """

    study: Study
    columns: Columns
    asked: Asked
    held_out_TC: Array
    crowd_TC: Array
    between_TC: Array
    crowd_size: int
    twin_R: Array
    llm_T: Array
    groups: tuple[Group, ...]
    pairs: tuple[tuple[int, int], ...]
    settings: EstimateSettings
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Estimates:
    """table: one row per problem, estimand and interval; worth: per problem and overall; see `estimate_table`.

    notes: what could not be had, or should be known. evidence: what they were made from.
    """

    table: pd.DataFrame
    worth: pd.DataFrame
    notes: tuple[str, ...]
    evidence: Evidence


def estimate_study(
    study: Study,
    model: CrowdModel,
    references: References | None = None,
    settings: EstimateSettings | None = None,
    progress: Progress | None = None,
    store: FoldStore | None = None,
) -> Estimates:
    """Intervals for every problem of a study, from its human responses and a fitted crowd.

    references: for the study's problems, from the sources that the model was fitted with; not needed where these are
    exactly the problems it was fitted on and `new_people` is set. store: keeps what folds gave, so that a stopped run
    goes on.

    Raises MismatchError where model, study and references do not fit together, UnknownNameError for a problem or
    profile column that is not there, ConfigError for settings out of range.
    """
    from crowdllm.estimation.estimate_table import interval_table, worth_table

    evidence = gather(study, model, references, settings or EstimateSettings(), progress, store)
    table = interval_table(evidence)
    return Estimates(table, worth_table(evidence, table), evidence.notes, evidence)


def gather(
    study: Study,
    model: CrowdModel,
    references: References | None,
    settings: EstimateSettings,
    progress: Progress | None,
    store: FoldStore | None = None,
) -> Evidence:
    """Fit what has to be fitted and collect what intervals are made from; raises as `estimate_study`."""
    check_level(settings.level)
    check_fits(model, study)
    pairs = _pairs(study, settings.compare)
    if study.simulated and not len(study.responses):
        raise MismatchError("the study has no response at all; estimates need the problems' human responses, or some")
    columns = make_columns(study.response_type, study.problems, study.responses)
    weight_N = study.relative_weights_N
    notes = ["the study's survey weights are used"] if weight_N is not None else []
    if study.simulated:
        notes.append("the study is marked as simulated: its 'humans' are simulated people")
    people_T = np.bincount(study.responses.problem_R)
    if people_T.max(initial=0) == 1:
        notes.append(
            "no problem was answered by two people: nothing is known of how people differ, so that means and shares of "
            "humans have no interval"
        )
    names, members_GN = _groups(study, settings.by)
    items = _items(study, model, references)
    people = _over_people(study, model, references, settings, columns, members_GN, weight_N, notes, progress, store)
    held_out_TC = _over_problems(study, model, references, settings, columns, notes, progress, store)
    crowd = model.recruit(settings.crowd_size, settings.seed)
    crowd_weight = None
    if weight_N is not None:
        crowd, crowd_weight = study.profiles, weight_N
    crowd_TC, between_TC = crowd_columns(model, items, crowd, columns, settings.seed, crowd_weight)
    asked = _asked(study, columns, people, 0, np.ones(len(study.profiles), dtype=bool), weight_N)
    groups = tuple(
        Group(name, _asked(study, columns, people, g + 1, members_GN[g + 1], weight_N)) for g, name in enumerate(names)
    )
    points = np.asarray(study.response_type.points) if isinstance(study.response_type, Ordinal) else None
    scale = not study.response_type.has_options
    return Evidence(
        study=study,
        columns=columns,
        asked=asked,
        held_out_TC=held_out_TC,
        crowd_TC=crowd_TC,
        between_TC=between_TC,
        crowd_size=len(crowd),
        twin_R=_twins(study, model, items, columns, settings.seed) if scale else np.zeros(0),
        llm_T=llm_variance(references, points, len(study.problems)) if scale else np.zeros(len(study.problems)),
        groups=groups,
        pairs=pairs,
        settings=settings,
        notes=tuple(notes),
    )


def _items(study: Study, model: CrowdModel, references: References | None) -> Items:
    same = model.items.problems.ids.tolist() == study.problems.ids.tolist()
    same = same and model.items.problems.texts.tolist() == study.problems.texts.tolist()
    return model.items if same and references is None else model.make_items(study.problems, references)


def _groups(study: Study, by: str) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """Names of the groups, and who belongs to everybody and to each group."""
    everybody = np.ones((1, len(study.profiles)), dtype=bool)
    if not by:
        return (), everybody
    c = study.profiles.position(by)
    levels = study.profiles.columns[c].levels
    if not levels:
        raise ConfigError(f"the profile column {by!r} is numeric: subgroups need a column with levels")
    code_N = study.profiles.values_NC[:, c]
    members = np.stack([code_N == m for m in range(len(levels))])
    some = members.any(axis=1)
    return tuple(np.array(levels, dtype=object)[some]), np.concatenate([everybody, members[some]])


def _over_people(
    study: Study, model: CrowdModel, references: References | None, settings: EstimateSettings, columns: Columns,
    members_GN: NDArray[np.bool_], weight_N: Array | None, notes: list[str], progress: Progress | None,
    store: FoldStore | None,
) -> PeoplePredictions | None:  # fmt: skip
    answered = len(study.responses.people)
    if answered < 2 * settings.folds and not settings.new_people:
        notes.append(
            f"{answered} people answered: too few for cross-fitting in {settings.folds} folds, so rectified intervals "
            "are those of humans alone"
        )
        return None
    fresh = model if settings.new_people else None
    return cross_fit_people(
        study,
        references,
        model.config,
        columns,
        settings.folds,
        settings.seed,
        members_GN,
        weight_N,
        fresh,
        progress,
        store,
    )


def _over_problems(
    study: Study, model: CrowdModel, references: References | None, settings: EstimateSettings, columns: Columns,
    notes: list[str], progress: Progress | None, store: FoldStore | None,
) -> Array:  # fmt: skip
    """(T, C) what crowds say of problems they have seen no answer to; NaN where that cannot be had."""
    answered = len(study.responses.answered)
    least = least_problems(settings.level)
    if answered < least:
        notes.append(
            f"conformal intervals at {settings.level:.0%} need {least} problems with human responses, and there are "
            f"{answered}: problems without human responses get the whole scale"
        )
    if answered < max(LEAST_ANSWERED, settings.folds):
        return np.full((len(study.problems), len(columns)), np.nan)
    return cross_fit_problems(
        study, references, model.config, columns, settings.folds, settings.seed, progress=progress, store=store
    )


def _asked(
    study: Study, columns: Columns, people: PeoplePredictions | None, group: int, member_N: NDArray[np.bool_],
    weight_N: Array | None,
) -> Asked:  # fmt: skip
    """The answers of the people of a group, with how far their predictions lie above the group's."""
    responses, count = study.responses, len(study.problems)
    inside = member_N[responses.participant_R]
    answer_RC = columns.encode(responses.values_RD[inside])
    above_RC = np.zeros(answer_RC.shape) if people is None else people.above(responses, group)[inside]
    weight_R = np.ones(len(answer_RC)) if weight_N is None else weight_N[responses.participant_R[inside]]
    return Asked(
        columns=columns,
        problem_R=responses.problem_R[inside],
        weight_R=weight_R,
        answer_RC=answer_RC,
        above_RC=above_RC,
        count=count,
        frame_T=np.full(count, float(member_N.sum()) if weight_N is None else effective_number(weight_N[member_N])),
        participant_R=responses.participant_R[inside],
    )


def _twins(study: Study, model: CrowdModel, items: Items, columns: Columns, seed: int) -> Array:
    """(R,) one simulated answer of the twin (by profile) of whoever gave each human response."""
    answers = study.responses
    values = simulate_pairs(model, items, stand_ins(study.profiles), answers.participant_R, answers.problem_R, seed)
    return columns.encode(values)[:, 0]


def _pairs(study: Study, compare: tuple[tuple[str, str], ...]) -> tuple[tuple[int, int], ...]:
    """Positions of the problems to compare; all pairs of a few problems where none are named."""
    position = {str(i): t for t, i in enumerate(study.problems.ids)}
    for name in (name for pair in compare for name in pair):
        if name not in position:
            raise UnknownNameError("problem", name, position, "the study")
    if compare:
        return tuple((position[a], position[b]) for a, b in compare)
    count = len(study.problems)
    if study.response_type.has_options or count > MOST_COMPARED:
        return ()
    return tuple((a, b) for a in range(count) for b in range(a + 1, count))


def with_level(evidence: Evidence, level: float) -> Evidence:
    """The same evidence for intervals at another level."""
    check_level(level)
    return replace(evidence, settings=replace(evidence.settings, level=level))
