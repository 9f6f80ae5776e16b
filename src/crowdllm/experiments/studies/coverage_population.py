"""Populations whose truth is known, for counting how often an interval covers it: all human answers, or a made-up
crowd.

On real data the *population* of a problem is everybody who answered it (of the people set aside for this); the truth is
their mean, share or median. Then a few of them are drawn without replacement and count as the humans who were asked;
intervals carry the finite-population correction. The crowd that predicts them has never seen an answer of theirs to
that problem:

- `people`: crowds are fitted on other people (`bfi`, `beps`, `voting`), and for conformal intervals once more
  without the problems (for `voting`: the options) of one fold;
- `problems`: with eight raters per problem nobody can be spared, so crowds are fitted on other problems
  (`offensiveness`).

A made-up crowd (`synthetic`) is infinite and its truth a formula; there the whole of `crowdllm estimate` is run,
cross-fitting included, on every fresh draw of people.

Shapes: N participants, T problems, R responses, C columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.config import CrowdConfig
from crowdllm.data.responses import Responses
from crowdllm.data.splits import Split, reordered
from crowdllm.data.study import Study
from crowdllm.datasets.synthetic import SCALE, true_distribution
from crowdllm.estimation.cross_fit import PeoplePredictions, cross_fit_people, cross_fit_problems, fold_of
from crowdllm.estimation.estimands import Columns, grouped_median, make_columns
from crowdllm.estimation.predictions import crowd_columns, expected_columns
from crowdllm.estimation.theorem5 import llm_variance
from crowdllm.experiments.split_references import split_references
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.protocol import Data
from crowdllm.reference import References
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import Array
from crowdllm.rng import generator
from crowdllm.simulation.decide import simulate_pairs
from crowdllm.simulation.run import stand_ins

CROWD = 500


@dataclass(frozen=True)
class Population:
    """All answers that may be drawn from, what crowds that have not seen them say, and the truth.

    finite: whether the truth is that of exactly these answers. answer_RC, expected_RC: columns and their predictions;
    above_RC: how far a prediction lies above the mean over the population (or the fold). truth_TC, median_T: the truth.
    crowd_TC: the crowd's means by crowds that saw no answer to the problem (NaN where there are none). group_R: the
    subgroup of whoever answered, 0 or 1, -1 for neither; group_truth_T: second mean less first.
    frame, group_above_RC, group_frame: of an infinite population, the people whose predictions are known, the same
    within the subgroups, and how many a subgroup has. weight_R: survey weights of the answers; None where all count
    alike.
    twin_R, bias_T, llm_T: for Theorem 5, one simulated answer of everybody's twin, and the variances of biases and LLM.
    """

    columns: Columns
    finite: bool
    count: int
    participant_R: NDArray[np.int64]
    problem_R: NDArray[np.int64]
    answer_RC: Array
    expected_RC: Array
    truth_TC: Array
    median_T: Array
    crowd_TC: Array
    group_R: NDArray[np.int64]
    group_truth_T: Array
    twin_R: Array
    crowd_mean_T: Array
    bias_T: Array
    llm_T: Array
    frame: int = 0
    group_above_RC: Array = field(default_factory=lambda: np.zeros((0, 0)))
    group_frame: int = 0
    weight_R: Array | None = None

    @property
    def survey_weight_R(self) -> Array:
        """(R,) survey weights; ones where there are none."""
        return np.ones(len(self.problem_R)) if self.weight_R is None else self.weight_R


def finite_population(study: Study, columns: Columns, group: tuple[str, str, str]) -> Population:
    """Everybody who answered, with the truth; what crowds say is still missing. group: profile column and two
    levels."""
    answer_RC = columns.encode(study.responses.values_RD)
    problem_R, count = study.responses.problem_R, len(study.problems)
    truth_TC = means(answer_RC, problem_R, count)
    group_R = groups_of(study, *group)[study.responses.participant_R]
    both = [means(answer_RC[group_R == g], problem_R[group_R == g], count)[:, 0] for g in (0, 1)]
    nothing = np.full(count, np.nan)
    return Population(
        columns=columns,
        finite=True,
        count=count,
        participant_R=study.responses.participant_R,
        problem_R=problem_R,
        answer_RC=answer_RC,
        expected_RC=np.full(answer_RC.shape, np.nan),
        truth_TC=truth_TC,
        median_T=medians(truth_TC, columns),
        crowd_TC=np.full(truth_TC.shape, np.nan),
        group_R=group_R,
        group_truth_T=both[1] - both[0],
        twin_R=np.full(len(problem_R), np.nan),
        crowd_mean_T=nothing,
        bias_T=nothing,
        llm_T=np.zeros(count),
    )


def means(value_RC: Array, problem_R: NDArray[np.int64], count: int, weight_R: Array | None = None) -> Array:
    """(T, C) means per problem, by survey weight if given, NaN where there is none."""
    weight_R = np.ones(len(problem_R)) if weight_R is None else weight_R
    total = np.stack([np.bincount(problem_R, weight_R * column, count) for column in value_RC.T], axis=1)
    people = np.bincount(problem_R, weight_R, count)[:, None]
    return np.divide(total, people, out=np.full(total.shape, np.nan), where=people > 0)


def medians(mean_TC: Array, columns: Columns) -> Array:
    """(T,) grouped medians; NaN where the scale has none."""
    return grouped_median(mean_TC[:, columns.stretch], columns) if columns.stretch else np.full(len(mean_TC), np.nan)


def groups_of(study: Study, column: str, first: str, second: str) -> NDArray[np.int64]:
    """(N,) 0 and 1 for people at the two levels of a profile column, -1 for others; -1 for all where column is ""."""
    if not column:
        return np.full(len(study.profiles), -1)
    c = study.profiles.position(column)
    levels = study.profiles.columns[c].levels
    code_N = study.profiles.values_NC[:, c]
    return np.where(code_N == levels.index(first), 0, np.where(code_N == levels.index(second), 1, -1))


def people_population(
    data: Data, group: tuple[str, str, str], train_people: int, most_people: int, folds: int, seed: int
) -> Population:
    """Crowds fitted on `train_people` random people, the others (at most `most_people`) as the population."""
    study, references = open_data(data)
    order = generator(seed, "coverage:people").permutation(len(study.profiles))
    everything = np.arange(len(study.problems))
    train = study.subset(everything, np.sort(order[:train_people]))
    pool = study.subset(everything, np.sort(order[train_people : train_people + most_people]))
    columns = make_columns(study.response_type, study.problems, study.responses)
    model = fit_crowd(train, references, CrowdConfig(), seed)
    made = predicted(finite_population(pool, columns, group), pool, model, references, everything, seed)
    if len(everything) > 1:
        crowd_TC = cross_fit_problems(train, references, CrowdConfig(), columns, min(folds, len(everything)), seed)
    else:
        crowd_TC = _held_out_options(train, references, columns, folds, seed)
    return replace(made, crowd_TC=crowd_TC)


def problems_population(data: Data, group: tuple[str, str, str], folds: int, seed: int) -> Population:
    """Crowds fitted on the problems of other folds; everybody who answered is the population."""
    study, references = open_data(data)
    columns = make_columns(study.response_type, study.problems, study.responses)
    made = finite_population(study, columns, group)
    fold_T = fold_of(len(study.problems), folds, seed, "problems")
    everyone = np.arange(len(study.profiles))
    for k in range(folds):
        seen, held = np.flatnonzero(fold_T != k), np.flatnonzero(fold_T == k)
        train = study.subset(seen, everyone)
        aligned = None if references is None else references.aligned(train.problems)
        model = fit_crowd(train, aligned, CrowdConfig(), seed)
        made = predicted(made, study, model, references, held, seed)
    return replace(made, crowd_TC=np.where(np.isnan(made.crowd_mean_T)[:, None], np.nan, made.crowd_TC))


def predicted(
    made: Population, study: Study, model: CrowdModel, references: References | None, held: NDArray[np.int64], seed: int
) -> Population:
    """The population with what this crowd says of the problems `held`; it has seen no answer of these people to them.

    Where it has not seen the problems either (`held` are some of them only), people's answers to the other problems are
    known and `crowd_TC` is filled in; else their answers to other blocks of problems are.
    """
    items = model.make_items(study.problems, references)
    rows_R = np.isin(study.responses.problem_R, held)
    block_T = None if len(held) == len(study.problems) else np.isin(np.arange(len(study.problems)), held).astype(int)
    expected_RC = made.expected_RC.copy()
    where = np.full((len(study.profiles), len(study.problems)), -1)
    where[study.responses.participant_R, study.responses.problem_R] = np.arange(len(study.responses))
    for rows, problems, expected in expected_columns(
        model, items, study.profiles, study.responses, made.columns, seed, block_T
    ):
        own = np.isin(problems, held)
        response = where[np.ix_(rows, problems[own])]
        expected_RC[response[response >= 0]] = expected[:, own][response >= 0]
    mean_TC, variance_TC = crowd_columns(model, items, model.recruit(CROWD, seed), made.columns, seed)
    crowd_TC, crowd_mean_T, bias_T = made.crowd_TC.copy(), made.crowd_mean_T.copy(), made.bias_T.copy()
    crowd_TC[held], crowd_mean_T[held], bias_T[held] = mean_TC[held], mean_TC[held, 0], variance_TC[held, 0]
    twin_R, answers = made.twin_R.copy(), study.responses.take(rows_R)
    who = (answers.participant_R, answers.problem_R)
    twins = simulate_pairs(model, items, stand_ins(study.profiles), *who, seed)
    twin_R[rows_R] = made.columns.encode(twins)[:, 0]
    points = np.asarray(study.response_type.points) if isinstance(study.response_type, Ordinal) else None
    llm_T = llm_variance(references, points, made.count) if points is not None else np.zeros(made.count)
    return replace(
        made,
        expected_RC=expected_RC,
        crowd_TC=crowd_TC,
        crowd_mean_T=crowd_mean_T,
        bias_T=bias_T,
        twin_R=twin_R,
        llm_T=llm_T,
    )


def _held_out_options(train: Study, references: References | None, columns: Columns, folds: int, seed: int) -> Array:
    """(T, C) for a study with one problem: shares of its options, each by a crowd that saw no vote on it."""
    fold_M = fold_of(len(columns), folds, seed, "options")
    out_TC = np.full((1, len(columns)), np.nan)
    for k in range(folds):
        split = without_options(train, np.flatnonzero(fold_M == k))
        for_train, for_test = split_references(references, split)
        model = fit_crowd(split.train, for_train, CrowdConfig(), seed)
        items = model.make_items(split.test.problems, for_test)
        share_TC, _ = crowd_columns(model, items, model.recruit(CROWD, seed), columns, seed)
        assert split.option_order_TM is not None
        out_TC[0, split.option_order_TM[0, -int((fold_M == k).sum()) :]] = share_TC[0, -int((fold_M == k).sum()) :]
    return out_TC


def without_options(study: Study, held: NDArray[np.int64]) -> Split:
    """A study of one problem as a split by option: these options are unseen in training (see
    `crowdllm.data.splits`)."""
    count = int(study.problems.option_counts[0])
    seen = np.setdiff1d(np.arange(count), held)
    order_TM = np.r_[seen, held][None]
    options = tuple(study.problems.options[0][m] for m in order_TM[0])
    values = reordered(study.responses.values_RD, order_TM[study.responses.problem_R])
    scale = replace(study.response_type, max_options=count)  # type: ignore[type-var]
    people, problems = study.responses.participant_R, study.responses.problem_R
    test = replace(
        study, response_type=scale, problems=replace(study.problems, options=(options,)),
        responses=Responses(people, problems, values),
    )  # fmt: skip
    hidden = values * (np.arange(count) < len(seen))
    train = replace(
        test, problems=replace(study.problems, options=(options[: len(seen)],)),
        responses=Responses(people, problems, hidden),
    )  # fmt: skip
    everyone, only = np.arange(len(study.profiles)), np.arange(1)
    return Split("option", train, test, only, only, everyone, everyone, order_TM, np.array([len(seen)]))


def synthetic_population(
    data: Data, problems: int, diversity: float, error: float, truth_seed: int, seed: int
) -> Population:
    """A fresh made-up crowd with the predictions of a whole cross-fit, and its true, infinite population."""
    study, references = open_data(data)
    columns = make_columns(study.response_type, study.problems, study.responses)
    group = ("region", "north", "south")
    made = finite_population(study, columns, group)
    share_TM = true_distribution(problems, diversity, error, truth_seed)
    truth_TC = np.c_[share_TM @ np.asarray(SCALE.points), share_TM]
    group_N = groups_of(study, *group)
    groups = np.stack([group_N >= -1, group_N == 0, group_N == 1])
    fitted = cross_fit_people(study, references, CrowdConfig(), columns, seed=seed, groups_GN=groups)
    crowd_TC = cross_fit_problems(study, references, CrowdConfig(), columns, seed=seed)
    model = fit_crowd(study, references, CrowdConfig(), seed)
    whole = predicted(made, study, model, references, np.arange(len(study.problems)), seed)
    return replace(
        whole,
        finite=False,
        truth_TC=truth_TC,
        median_T=medians(truth_TC, columns),
        group_truth_T=np.zeros(len(study.problems)),  # the region has nothing to do with the answers
        expected_RC=fitted.above(study.responses),
        crowd_TC=crowd_TC,
        frame=len(study.profiles),
        group_above_RC=within_groups(fitted, study, made.group_R),
        group_frame=int((group_N >= 0).sum()) // 2,
    )


def within_groups(fitted: PeoplePredictions, study: Study, group_R: NDArray[np.int64]) -> Array:
    """(R, C) how far each prediction lies above the mean of the person's own group, NaN for people of neither."""
    above = [fitted.above(study.responses, group) for group in (1, 2)]
    return np.where((group_R == 0)[:, None], above[0], np.where((group_R == 1)[:, None], above[1], np.nan))
