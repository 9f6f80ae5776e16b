"""Smaller training parts of a study: fewer problems, fewer people, fewer responses, or fewer people per problem.

Nested: what a smaller part has, a larger one of the same seed has too. Problems and people that are left without a
response stay out, since nothing is known of them.

Shapes: T problems, N participants, R responses.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.study import Study
from crowdllm.errors import ConfigError, UnknownNameError
from crowdllm.rng import generator

PROBLEMS, PEOPLE, RESPONSES, PER_PROBLEM = "problems", "people", "responses", "people per problem"
FACTORS = (PROBLEMS, PEOPLE, RESPONSES, PER_PROBLEM)


def smaller_part(train: Study, factor: str, count: int, seed: int) -> Study:
    """The training part with so many problems, people, responses, or (at most) people per problem.

    Raises UnknownNameError for another factor, ConfigError where the study has fewer than `count`.
    """
    if factor not in FACTORS:
        raise UnknownNameError("factor", factor, FACTORS)
    answers = train.responses
    rng = generator(seed, f"studies:{factor}")
    if factor == PROBLEMS:
        kept_R = np.isin(answers.problem_R, _first(rng, answers.answered, count, factor))
    elif factor == PEOPLE:
        kept_R = np.isin(answers.participant_R, _first(rng, answers.people, count, factor))
    elif factor == RESPONSES:
        kept_R = np.isin(np.arange(len(answers)), _first(rng, np.arange(len(answers)), count, factor))
    else:
        kept_R = place_in_problem(answers.problem_R, rng) < count
    kept = answers.take(kept_R)
    return replace(train, responses=kept).subset(kept.answered, kept.people)


def place_in_problem(problem_R: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """(R,) place 0, 1, ... of each response among those to its problem, in a random order."""
    order = np.lexsort((rng.random(len(problem_R)), problem_R))
    place_R = np.empty(len(order), dtype=np.int64)
    ordered = problem_R[order]
    place_R[order] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return place_R


def _first(rng: np.random.Generator, rows: NDArray[np.int64], count: int, what: str) -> NDArray[np.int64]:
    if not 1 <= count <= len(rows):
        raise ConfigError(f"{count} {what} of {len(rows)} cannot be kept")
    return rng.permutation(rows)[:count]
