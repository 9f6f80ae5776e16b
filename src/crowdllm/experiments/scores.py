"""Score one fitted method on one test set: whole crowds, single people, and the human floor.

Crowds are judged by their response distributions and aggregated decisions (or votes per option), people by the
probability the method gave to each held-out human response. Definitions: `crowdllm.evaluation`. Where everybody answers
every problem (the crowd of all recruits) also by their coherence and within groups of people:
`crowdllm.experiments.people_scores`.

Names of metrics are those of the functions that compute them. `answered`: share of the crowd's responses that the
method had an answer for. `accuracy`: share of problems on which the crowd's decision is the humans' (choice).
`mae_unseen` and the like: over the options that no training problem had, and over the others (split by option).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from crowdllm.aggregation import aggregate, applicable
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.evaluation.coherence import dispersion
from crowdllm.evaluation.floor import floor_draws, human_floor, vote_floor
from crowdllm.evaluation.histograms import histograms, is_scale
from crowdllm.evaluation.metrics import (
    HistogramMetrics,
    crps,
    crps_ensemble,
    decision_metrics,
    histogram_metrics,
)
from crowdllm.evaluation.votes import VoteMetrics, recall_at_k, vote_counts, vote_metrics
from crowdllm.experiments.people_scores import coherence_floors, group_floors, score_coherence, score_groups
from crowdllm.experiments.score import Score
from crowdllm.methods.protocol import Simulator
from crowdllm.profiles.participation import n_per_problem
from crowdllm.reference import References
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.rng import seed_words, stable_keys

VOTES = ("ballot", "points", "ranking")
SHAPES = ("cosine", "avg_wd", "wd_heights", "kl", "js")
VOTE_SHAPES = ("kl", "js")
FLOOR_DRAWS = 20
Array = NDArray[np.float64]
Decide = Callable[[Responses], Array]


def score_crowd(
    simulator: Simulator, test: Study, references: References | None, crowd: Profiles, size: int,
    aggregators: tuple[str, ...], seed: int, unseen_TM: NDArray[np.bool_] | None = None,
) -> Iterator[Score]:  # fmt: skip
    """A simulated crowd of `size` people per test problem against the humans who answered it.

    unseen_TM: which options no training problem had (split by option).

    Raises MismatchError where the method has no answer to any test problem.
    """
    people, problems = stable_keys(crowd.ids), stable_keys(test.problems.ids)
    chosen_Tn = n_per_problem(size, people, problems, seed)
    problem_R = np.repeat(np.arange(len(problems)), size)
    participant_R = chosen_Tn.reshape(-1)
    values = simulator.simulate(test.problems, references, crowd, participant_R, problem_R, seed)
    answered = np.asarray(~np.isnan(values).any(axis=1))
    if not answered.any():
        raise MismatchError("it has no answer to any of the test problems")
    yield Score(size, "", "answered", float(answered.mean()))
    simulated = Responses(participant_R, problem_R, values).take(answered)
    if test.response_type.kind in VOTES:
        yield from _votes(test, simulated, size, unseen_TM)
        return
    yield from _shapes(test, simulated, size, SHAPES)
    for name in aggregators:
        if name in applicable(test.response_type):
            human = _decide(test, len(test.profiles), name)(test.responses)
            yield from _decision_scores(human, _decide(test, len(crowd), name)(simulated), test, size, name)
    if is_scale(test.response_type):
        spread = dispersion(test.responses, simulated, test.response_type, len(test.problems))
        yield Score(size, "", "dispersion", spread)
        if size == len(crowd):
            yield from score_coherence(test, simulated, len(crowd), size)
            yield from score_groups(test, crowd, simulated, size, seed)


def _shapes(test: Study, simulated: Responses, size: int, metrics: tuple[str, ...]) -> Iterator[Score]:
    most = int(test.problems.option_counts.max(initial=0))
    human_TM = histograms(test.responses, test.response_type, len(test.problems), most)
    crowd_TM = histograms(simulated, test.response_type, len(test.problems), most)
    result = histogram_metrics(human_TM, crowd_TM, test.response_type, test.problems.option_counts)
    yield from _histogram_scores(result, size, metrics)


def _histogram_scores(result: HistogramMetrics, size: int, metrics: tuple[str, ...]) -> Iterator[Score]:
    for metric in metrics:
        value = getattr(result, metric)
        if not np.isnan(value):
            yield Score(size, "", metric, value)
    yield Score(size, "", "problems", float(result.problems))


def _decision_scores(human_T: Array, crowd_T: Array, test: Study, size: int, name: str) -> Iterator[Score]:
    for metric, value in _errors(human_T, crowd_T, test).items():
        yield Score(size, name, metric, value)


def _errors(human_T: Array, crowd_T: Array, test: Study) -> dict[str, float]:
    """mae and rmse in the scale's points; for options, which are no numbers, accuracy."""
    if not isinstance(test.response_type, Choice):
        result = decision_metrics(human_T, crowd_T)
        return {"mae": result.mae, "rmse": result.rmse}
    both = ~np.isnan(human_T) & ~np.isnan(crowd_T)
    return {"accuracy": float((human_T == crowd_T)[both].mean()) if both.any() else float("nan")}


def _decide(test: Study, people: int, name: str) -> Decide:
    def decide(responses: Responses) -> Array:
        counts = test.problems.option_counts
        most = max(people, int(responses.participant_R.max(initial=-1)) + 1)
        result = aggregate(responses, test.response_type, len(test.problems), most, name, counts)
        return result.decision_TD[:, 0]

    return decide


def _votes(test: Study, simulated: Responses, size: int, unseen_TM: NDArray[np.bool_] | None) -> Iterator[Score]:
    """Per problem, votes per option of as many simulated voters as there are test voters; averaged over problems."""
    yield from _shapes(test, simulated, size, VOTE_SHAPES)
    for suffix, only_TM in _option_sets(test, unseen_TM):
        rows: list[VoteMetrics] = []
        for t in range(len(test.problems)):
            mine = test.responses.take(test.responses.problem_R == t)
            human = mine.values_RD
            crowd = simulated.values_RD[simulated.problem_R == t]
            if len(human) and len(crowd) and only_TM[t].any():
                counts = vote_counts(human, None, mine.weight_R), vote_counts(crowd, len(human))
                rows.append(vote_metrics(*(c[only_TM[t]] for c in counts)))
        for field in fields(VoteMetrics):
            if rows:
                yield Score(size, "", field.name + suffix, float(np.mean([getattr(row, field.name) for row in rows])))


def _option_sets(test: Study, unseen_TM: NDArray[np.bool_] | None) -> list[tuple[str, NDArray[np.bool_]]]:
    """Which options are compared: all, and those unseen and seen in training where some were not."""
    counts_T1 = test.problems.option_counts[:, None]
    present_TM = np.arange(test.responses.values_RD.shape[1]) < counts_T1
    if unseen_TM is None:
        return [("", present_TM)]
    return [("", present_TM), ("_unseen", unseen_TM), ("_seen", present_TM & ~unseen_TM)]


def score_people(simulator: Simulator, test: Study, references: References | None, seed: int) -> Iterator[Score]:
    """How probable the held-out human responses were, given each person's profile; ballots: recall of the picks."""
    arguments = (test.problems, references, test.profiles, test.responses, seed)
    log_scores = simulator.log_scores(*arguments)
    if log_scores is not None:
        yield Score(0, "", "nll", -test.responses.mean(log_scores))
    if isinstance(test.response_type, Ordinal):
        shares = simulator.level_probabilities(*arguments)
        if shares is not None:
            level = test.responses.values_RD[:, 0].astype(np.int64)
            yield Score(0, "", "crps", crps(shares, level, test.response_type.points, test.responses.weight_R))
    if isinstance(test.response_type, Continuous):
        samples_RS = np.concatenate(list(_repeated(simulator, test, references, seed, 100)), axis=1)
        if not np.isnan(samples_RS).any():
            value_R, weight_R = test.responses.values_RD[:, 0], test.responses.weight_R
            yield Score(0, "", "crps", crps_ensemble(samples_RS, value_R, weight_R))
    if test.response_type.kind == "ballot":
        yield from _recall(simulator, test, references, seed)


def _repeated(
    simulator: Simulator, test: Study, references: References | None, seed: int, draws: int
) -> Iterator[Array]:
    """(R, D) responses of the test people to what they answered, with fresh noise in every draw."""
    i, t = test.responses.participant_R, test.responses.problem_R
    for draw in range(draws):
        fresh = seed_words(seed, f"repeat:{draw}") % 2**31
        yield simulator.simulate(test.problems, references, test.profiles, i, t, fresh)


def _recall(
    simulator: Simulator, test: Study, references: References | None, seed: int, draws: int = 200
) -> Iterator[Score]:
    """Recall of each voter's own picks among the five options that voter is most often simulated to pick.

    Over the voters for whom the method has an answer, whose number is `recall_voters`; NaN where there are none.
    """
    total = np.zeros(test.responses.values_RD.shape)
    for values in _repeated(simulator, test, references, seed, draws):
        total += values
    answered = np.asarray(~np.isnan(total).any(axis=1))
    told = test.responses.take(answered)
    recall = recall_at_k(total[answered], told.values_RD, weight_N=told.weight_R)
    yield Score(0, "", "recall_at_5", recall)
    yield Score(0, "", "recall_voters", float(answered.sum()))


def score_floor(
    test: Study, sizes: tuple[int, ...], aggregators: tuple[str, ...], seed: int,
    unseen_TM: NDArray[np.bool_] | None = None, recruits: int = 0,
) -> Iterator[Score]:  # fmt: skip
    """What a perfect model would score at each crowd size; see `crowdllm.evaluation.floor`.

    recruits: the crowd size at which everybody answers every problem, so that coherence and groups are scored.
    """
    for size in sizes:
        floor = human_floor(test, size, seed)
        if test.response_type.kind in VOTES:
            yield from _histogram_scores(floor.histogram, size, VOTE_SHAPES)
            for suffix, only_TM in _option_sets(test, unseen_TM):
                result = vote_floor(test, size, seed, only_TM=only_TM)
                for field in fields(VoteMetrics):
                    yield Score(size, "", field.name + suffix, getattr(result, field.name))
            continue
        yield from _histogram_scores(floor.histogram, size, SHAPES)
        for name in aggregators:
            if name in applicable(test.response_type):
                yield from _decision_floor(test, size, name, seed)
        if size == sizes[0]:
            for metric in ("nll", "crps"):
                value = getattr(floor, metric)
                if not np.isnan(value):
                    yield Score(0, "", metric, value)
        if size == recruits and is_scale(test.response_type):
            yield from coherence_floors(test, size, seed)
            yield from group_floors(test, size, seed)


def _decision_floor(test: Study, size: int, name: str, seed: int) -> Iterator[Score]:
    """The errors of a perfect crowd's decisions, averaged over draws."""
    decide = _decide(test, len(test.profiles), name)
    found = [
        _errors(decide(draw.human), decide(draw.crowd), test)
        for draw in floor_draws(test, size, seed, FLOOR_DRAWS)
        if draw.crowd is not None
    ]
    for metric in found[0]:
        yield Score(size, name, metric, float(np.mean([row[metric] for row in found])))
