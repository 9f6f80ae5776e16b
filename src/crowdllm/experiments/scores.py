"""Score one fitted method on one test set: whole crowds, single people, and the human floor.

Crowds are judged by their response distributions and aggregated decisions (or votes per option), people by the
probability the method gave to each held-out human response. Definitions: `crowdllm.evaluation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from crowdllm.aggregation import aggregate, applicable
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.evaluation.coherence import coherence, dispersion
from crowdllm.evaluation.floor import human_floor, vote_floor
from crowdllm.evaluation.histograms import histograms, is_scale, wide_matrix
from crowdllm.evaluation.metrics import (
    DecisionMetrics,
    HistogramMetrics,
    crps,
    decision_metrics,
    histogram_metrics,
)
from crowdllm.evaluation.votes import VoteMetrics, recall_at_k, vote_counts, vote_metrics
from crowdllm.methods.protocol import Simulator
from crowdllm.profiles.participation import n_per_problem
from crowdllm.reference import References
from crowdllm.responses.ordinal import Ordinal
from crowdllm.rng import stable_keys

VOTES = ("ballot", "points", "ranking")
SHAPES = ("cosine", "avg_wd", "wd_heights", "kl", "js")
COHERENCE_PEOPLE = 50
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """One number. crowd_size 0: does not depend on a crowd; aggregator "": none involved."""

    crowd_size: int
    aggregator: str
    metric: str
    value: float


def score_crowd(
    simulator: Simulator, test: Study, references: References | None, crowd: Profiles, size: int,
    aggregators: tuple[str, ...], seed: int,
) -> Iterator[Score]:  # fmt: skip
    """A simulated crowd of `size` people per test problem against the humans who answered it.

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
    simulated = Responses(participant_R, problem_R, values).take(answered)
    if test.response_type.kind in VOTES:
        yield from _votes(test, simulated, size)
        return
    yield from _shapes(test, simulated, size)
    for name in aggregators:
        if name in applicable(test.response_type):
            yield from _decisions(test, simulated, len(crowd), size, name)
    if is_scale(test.response_type):
        spread = dispersion(test.responses, simulated, test.response_type, len(test.problems))
        yield Score(size, "", "dispersion", spread)
        if size == len(crowd) and np.bincount(test.responses.participant_R).mean() >= len(test.problems) / 2:
            yield from _coherence(test, simulated, len(crowd), size)


def _shapes(test: Study, simulated: Responses, size: int) -> Iterator[Score]:
    most = int(test.problems.option_counts.max(initial=0))
    human_TM = histograms(test.responses, test.response_type, len(test.problems), most)
    crowd_TM = histograms(simulated, test.response_type, len(test.problems), most)
    result = histogram_metrics(human_TM, crowd_TM, test.response_type, test.problems.option_counts)
    yield from _histogram_scores(result, size)


def _histogram_scores(result: HistogramMetrics, size: int) -> Iterator[Score]:
    for metric in SHAPES:
        value = getattr(result, metric)
        if not np.isnan(value):
            yield Score(size, "", metric, value)
    yield Score(size, "", "problems", float(result.problems))


def _decisions(test: Study, simulated: Responses, people: int, size: int, name: str) -> Iterator[Score]:
    human = _decide(test, len(test.profiles), name)(test.responses)
    result = decision_metrics(human, _decide(test, people, name)(simulated))
    yield from _decision_scores(result, size, name)


def _decision_scores(result: DecisionMetrics, size: int, name: str) -> Iterator[Score]:
    yield Score(size, name, "mae", result.mae)
    yield Score(size, name, "rmse", result.rmse)


def _decide(test: Study, people: int, name: str) -> Callable[[Responses], Array]:
    def decide(responses: Responses) -> Array:
        counts = test.problems.option_counts
        most = max(people, int(responses.participant_R.max(initial=-1)) + 1)
        result = aggregate(responses, test.response_type, len(test.problems), most, name, counts)
        return result.decision_TD[:, 0]

    return decide


def _votes(test: Study, simulated: Responses, size: int) -> Iterator[Score]:
    """Per problem, votes per option of as many simulated voters as there are test voters; averaged over problems."""
    rows: list[VoteMetrics] = []
    for t in range(len(test.problems)):
        human = test.responses.values_RD[test.responses.problem_R == t]
        crowd = simulated.values_RD[simulated.problem_R == t]
        if len(human) and len(crowd):
            rows.append(vote_metrics(vote_counts(human), vote_counts(crowd, len(human))))
    yield Score(size, "", "problems", float(len(rows)))
    for field in fields(VoteMetrics):
        if rows:
            yield Score(size, "", field.name, float(np.mean([getattr(row, field.name) for row in rows])))


def _coherence(test: Study, simulated: Responses, people: int, size: int) -> Iterator[Score]:
    human_NT = wide_matrix(test.responses, test.response_type, len(test.profiles), len(test.problems))
    crowd_NT = wide_matrix(simulated, test.response_type, people, len(test.problems))
    if len(test.profiles) >= COHERENCE_PEOPLE:
        yield Score(size, "", "coherence", coherence(human_NT, crowd_NT).rmse)


def score_people(simulator: Simulator, test: Study, references: References | None, seed: int) -> Iterator[Score]:
    """How probable the held-out human responses were, given each person's profile; ballots: recall of the picks."""
    arguments = (test.problems, references, test.profiles, test.responses, seed)
    log_scores = simulator.log_scores(*arguments)
    if log_scores is not None:
        yield Score(0, "", "nll", float(-log_scores.mean()))
    if isinstance(test.response_type, Ordinal):
        shares = simulator.level_probabilities(*arguments)
        if shares is not None:
            level = test.responses.values_RD[:, 0].astype(np.int64)
            yield Score(0, "", "crps", crps(shares, level, test.response_type.points))
    if test.response_type.kind == "ballot":
        yield Score(0, "", "recall_at_5", _recall(simulator, test, references, seed))


def _recall(simulator: Simulator, test: Study, references: References | None, seed: int, draws: int = 200) -> float:
    """Recall of each voter's own picks among the five options that voter is most often simulated to pick."""
    i, t = test.responses.participant_R, test.responses.problem_R
    total = np.zeros(test.responses.values_RD.shape)
    for draw in range(draws):
        renamed = replace(test.profiles, ids=np.array([f"{p}\x1f{draw}" for p in test.profiles.ids], dtype=object))
        total += simulator.simulate(test.problems, references, renamed, i, t, seed)
    return recall_at_k(total, test.responses.values_RD) if not np.isnan(total).any() else float("nan")


def score_floor(test: Study, sizes: tuple[int, ...], aggregators: tuple[str, ...], seed: int) -> Iterator[Score]:
    """What a perfect model would score at each crowd size; see `crowdllm.evaluation.floor`."""
    for size in sizes:
        if test.response_type.kind in VOTES:
            result = vote_floor(test, size, seed)
            for field in fields(VoteMetrics):
                yield Score(size, "", field.name, getattr(result, field.name))
            continue
        names = [a for a in aggregators if a in applicable(test.response_type) and a != "mean"]
        others = {name: _decide(test, len(test.profiles), name) for name in names}
        floor = human_floor(test, size, seed, aggregators=others)
        yield from _histogram_scores(floor.histogram, size)
        for name, decision in floor.decisions.items():
            yield from _decision_scores(decision, size, name)
        if size == sizes[0]:
            for metric in ("nll", "crps"):
                value = getattr(floor, metric)
                if not np.isnan(value):
                    yield Score(0, "", metric, value)
