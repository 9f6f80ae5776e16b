"""Cross-fitting: what the crowd says of people whose answers it has not seen, and of problems it has not seen.

`cross_fit_people` deals the people into K folds and fits K crowds, each without the people of one fold; a person's
answers are predicted by the crowd that never saw that person. What is used is how far a prediction lies above the mean
prediction *of the same crowd for the people of the same fold*: the level of a crowd on a problem, which rests on
answers of people in other folds, cancels.

`cross_fit_problems` deals the problems into folds and fits crowds without any answer to those of one fold: their error
on these is the error to expect on a problem that no human has answered.

Shapes: N participants, T problems, R responses, C columns, K folds, G groups of people.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.belief.items import Items
from crowdllm.config import CrowdConfig
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError
from crowdllm.estimation.estimands import Columns
from crowdllm.estimation.fold_store import FoldStore
from crowdllm.estimation.predictions import BLOCKS, crowd_columns, expected_columns, problem_blocks
from crowdllm.reference import References
from crowdllm.responses.protocol import Array
from crowdllm.rng import generator

Progress = Callable[[str, int, int], None]
FOLDS = 3
CROWD = 500


@dataclass(frozen=True)
class PeoplePredictions:
    """fold_N: the fold of each person. expected_RC: prediction for every human response of the study.

    frame_KGTC: (weighted) mean prediction for the people of each fold and group, NaN where there is nobody; the first
    group is everybody. people_KG: how many these are.
    """

    fold_N: NDArray[np.int64]
    expected_RC: Array
    frame_KGTC: Array
    people_KG: NDArray[np.int64]

    def above(self, responses: Responses, group: int = 0) -> Array:
        """(R, C) how far each prediction lies above the mean of the person's fold and this group."""
        return np.asarray(
            self.expected_RC - self.frame_KGTC[self.fold_N[responses.participant_R], group, responses.problem_R]
        )


def fold_of(count: int, folds: int, seed: int, purpose: str) -> NDArray[np.int64]:
    """(count,) folds of nearly equal sizes, at random."""
    order = generator(seed, f"estimation:{purpose}").permutation(count)
    fold = np.empty(count, dtype=np.int64)
    fold[order] = np.arange(count) % folds
    return fold


def cross_fit_people(
    study: Study,
    references: References | None,
    config: CrowdConfig,
    columns: Columns,
    folds: int = FOLDS,
    seed: int = 0,
    groups_GN: NDArray[np.bool_] | None = None,
    weights_N: Array | None = None,
    model: CrowdModel | None = None,
    progress: Progress | None = None,
    store: FoldStore | None = None,
) -> PeoplePredictions:
    """Fit `folds` crowds and predict everybody's answers by one that has not seen that person.

    groups_GN: which people belong to each group, the first everybody; one group of all when None. model: a crowd that
    was fitted on other people altogether: nothing is fitted, and there is one fold. store: keeps what the folds gave.

    Raises ConfigError for fewer than two folds, or fewer than two people per fold.
    """
    people = len(study.profiles)
    groups_GN = np.ones((1, people), dtype=bool) if groups_GN is None else groups_GN
    weight_N = np.ones(people) if weights_N is None else weights_N
    if model is not None:
        folds = 1
    elif folds < 2 or people < 2 * folds:
        raise ConfigError(
            f"cross-fitting in {folds} folds needs at least two folds and two people in each, and there are {people}"
        )
    fold_N = fold_of(people, folds, seed, "people")
    block_T = problem_blocks(len(study.problems), BLOCKS, seed)
    expected_RC = np.full((len(study.responses), len(columns)), np.nan)
    frame = np.zeros((folds, len(groups_GN), len(study.problems), len(columns)))
    everything = np.arange(len(study.problems))
    for k in range(folds):
        own = np.flatnonzero(fold_N == k)
        if progress:
            progress("cross-fitting over people", k, folds)
        held = store.read(f"people-{k}") if store else None
        if held is None:
            fitted = model or fit_crowd(
                study.subset(everything, np.flatnonzero(fold_N != k)), references, config, seed, None
            )
            items = fitted.items if model is None else fitted.make_items(study.problems, references)
            held = _one_fold(fitted, items, study, own, columns, seed, block_T, groups_GN, weight_N)
            if store:
                store.write(f"people-{k}", held)
        expected_RC[np.flatnonzero(fold_N[study.responses.participant_R] == k)] = held["expected"]
        frame[k] = held["frame"]
    people_KG = np.stack([groups_GN[:, fold_N == k].sum(axis=1) for k in range(folds)])
    return PeoplePredictions(fold_N, expected_RC, frame, people_KG)


def _one_fold(
    fitted: CrowdModel, items: Items, study: Study, own: NDArray[np.int64], columns: Columns, seed: int,
    block_T: NDArray[np.int64], groups_GN: NDArray[np.bool_], weight_N: Array,
) -> dict[str, Array]:  # fmt: skip
    """`expected`: predictions for the responses of these people; `frame`: (G, T, C) mean prediction for the groups."""
    count = len(study.problems)
    known = study.subset(np.arange(count), own).responses
    expected_RC = np.full((len(known), len(columns)), np.nan)
    frame = np.zeros((len(groups_GN), count, len(columns)))
    for rows, problems, expected in expected_columns(
        fitted, items, study.profiles.take(own), known, columns, seed, block_T
    ):
        share_GN = weight_N[own[rows]] * groups_GN[:, own[rows]]
        frame[:, problems] += np.einsum("gn,ntc->gtc", share_GN, expected)
        found, row, column = _locate(known, rows, problems, len(own), count)
        expected_RC[found] = expected[row, column]
    total_G = groups_GN[:, own] @ weight_N[own]
    return {"expected": expected_RC, "frame": frame / np.where(total_G > 0, total_G, np.nan)[:, None, None]}


def _locate(
    responses: Responses, rows: NDArray[np.int64], problems: NDArray[np.int64], people: int, count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Which responses are of these people to these problems, and the positions of both in these lists."""
    row_N, column_T = np.full(people, -1), np.full(count, -1)
    row_N[rows], column_T[problems] = np.arange(len(rows)), np.arange(len(problems))
    row_R, column_R = row_N[responses.participant_R], column_T[responses.problem_R]
    found = np.flatnonzero((row_R >= 0) & (column_R >= 0))
    return found, row_R[found], column_R[found]


def cross_fit_problems(
    study: Study,
    references: References | None,
    config: CrowdConfig,
    columns: Columns,
    folds: int = FOLDS,
    seed: int = 0,
    crowd_size: int = CROWD,
    progress: Progress | None = None,
    store: FoldStore | None = None,
) -> Array:
    """(T, C) the crowd's means on every problem with human responses, by crowds that saw none of these; else NaN.

    Raises ConfigError for fewer than two folds, or fewer answered problems than folds.
    """
    answered = study.responses.answered
    if folds < 2 or len(answered) < folds:
        raise ConfigError(
            f"leaving out problems in {folds} folds needs at least two folds and an answered problem in each; "
            f"{len(answered)} problems have answers"
        )
    fold_A = fold_of(len(answered), folds, seed, "problems")
    out_TC = np.full((len(study.problems), len(columns)), np.nan)
    people = np.arange(len(study.profiles))
    for k in range(folds):
        if progress:
            progress("cross-fitting over problems", k, folds)
        held = answered[fold_A == k]
        kept = store.read(f"problems-{k}") if store else None
        if kept is None:
            train = study.subset(answered[fold_A != k], people)
            aligned = None if references is None else references.aligned(train.problems)
            fitted = fit_crowd(train, aligned, config, seed, None)
            items = fitted.make_items(study.problems.take(held), references)
            crowd = fitted.recruit(crowd_size, seed)
            kept = {"crowd": crowd_columns(fitted, items, crowd, columns, seed)[0]}
            if store:
                store.write(f"problems-{k}", kept)
        out_TC[held] = kept["crowd"]
    return out_TC
