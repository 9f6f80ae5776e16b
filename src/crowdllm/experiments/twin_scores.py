"""Score digital twins: people whose answers are predicted when some of their other answers are known.

Split by participant: of each test person's answers the first K in a keyed random order are known, and those beyond the
largest K are predicted; so the same answers are predicted for every K. Split by problem: the first K of each person's
answers to training problems are known, and all answers to the unseen problems are predicted.

The metrics are `nll_known_K` and, on ordinal scales, `crps_known_K`; `known_scored` is the number of answers predicted.
K = 0 (nothing known but the profile) is always among them, and is all there is for a method that cannot use answers.

Shapes: R responses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.responses import Responses
from crowdllm.data.splits import Split
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError
from crowdllm.evaluation.metrics import crps
from crowdllm.experiments.score import Score
from crowdllm.methods.protocol import KnowsAnswers, Simulator
from crowdllm.reference import References
from crowdllm.responses.ordinal import Ordinal
from crowdllm.rng import stable_keys, uniforms

KNOWN_SPLITS = ("participant", "problem")


@dataclass(frozen=True)
class Interview:
    """What may be known of the test people, and what is asked of them.

    told: their answers (people as in the test part) to the problems of `study`; rank_R: place in the person's order.
    asked: answers to the test part's problems.
    """

    study: Study
    told: Responses
    rank_R: NDArray[np.int64]
    asked: Responses


def interview(split: Split, known: tuple[int, ...], seed: int) -> Interview:
    """Who is told and asked what, where at most `max(known)` answers are known."""
    test, train = split.test, split.train
    if split.by == "participant":
        rank_R = known_rank(test.responses, test.profiles.ids, test.problems.ids, seed)
        return Interview(test, test.responses, rank_R, test.responses.take(rank_R >= max(known)))
    where_N = pd.Index(test.profiles.ids, dtype=object).get_indexer(pd.Index(train.profiles.ids, dtype=object))
    person_R = where_N[train.responses.participant_R]
    told = replace(train.responses, participant_R=person_R).take(person_R >= 0)
    rank_R = known_rank(told, test.profiles.ids, train.problems.ids, seed)
    return Interview(train, told, rank_R, test.responses)


def known_rank(
    answers: Responses, person_ids: NDArray[np.object_], problem_ids: NDArray[np.object_], seed: int
) -> NDArray[np.int64]:
    """(R,) place 0, 1, ... of each answer in its person's random order; keyed by (seed, person, problem)."""
    i, t = answers.participant_R, answers.problem_R
    noise_R = uniforms(seed, "known", stable_keys(person_ids)[i], stable_keys(problem_ids)[t])[:, 0]
    order = np.lexsort((noise_R, i))
    rank_R = np.empty(len(order), dtype=np.int64)
    rank_R[order] = np.arange(len(order)) - np.searchsorted(i[order], i[order])
    return rank_R


def require_answers(split: Split, known: tuple[int, ...]) -> None:
    """Raise ConfigError for a split that known answers mean nothing for, or where none would be left to predict."""
    if not known:
        return
    if split.by not in KNOWN_SPLITS:
        raise ConfigError(
            f"known answers go with the split by {' or by '.join(KNOWN_SPLITS)}, not by {split.by}: leave one of them "
            "out"
        )
    answers = split.test.responses
    most = int(np.bincount(answers.participant_R).max()) if len(answers) else 0
    if split.by == "participant" and most <= max(known):
        raise ConfigError(
            f"no test person has more than {most} answers: with {max(known)} of them known none is left to predict"
        )


def score_known(
    simulator: Simulator, split: Split, for_training: References | None, for_test: References | None,
    known: tuple[int, ...], seed: int,
) -> Iterator[Score]:  # fmt: skip
    """`known`: the numbers of known answers per person, of which some must be left over (`require_answers`)."""
    test, given = split.test, interview(split, known, seed)
    yield Score(0, "", "known_scored", float(len(given.asked)))
    for count in (0, *sorted(known)):
        informed = simulator
        if count:
            if not isinstance(simulator, KnowsAnswers):
                return
            answers = given.told.take(given.rank_R < count)
            references = for_test if given.study is test else for_training
            informed = simulator.knowing(given.study.problems, references, test.profiles, answers, seed)
        arguments = (test.problems, for_test, test.profiles, given.asked, seed)
        log_scores = informed.log_scores(*arguments)
        if log_scores is not None:
            yield Score(0, "", f"nll_known_{count}", float(-log_scores.mean()))
        shares = informed.level_probabilities(*arguments) if isinstance(test.response_type, Ordinal) else None
        if shares is not None and isinstance(test.response_type, Ordinal):
            level = given.asked.values_RD[:, 0].astype(np.int64)
            yield Score(0, "", f"crps_known_{count}", crps(shares, level, test.response_type.points))
