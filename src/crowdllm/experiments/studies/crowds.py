"""Crowds of a fitted method for the studies: so many simulated people per problem, in a random order.

Shapes: T problems, n people per problem, M levels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError
from crowdllm.evaluation.floor import floor_draws
from crowdllm.evaluation.histograms import is_scale, mean_decisions, numbers
from crowdllm.methods import get_method, references_for
from crowdllm.methods.protocol import Simulator
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.profiles.participation import n_per_problem
from crowdllm.reference import References
from crowdllm.responses.protocol import Array
from crowdllm.rng import generator, stable_keys

POOL = 1000


@dataclass(frozen=True)
class Fitted:
    """A fitted method with the references it was given, and people recruited for it."""

    simulator: Simulator
    references: References | None
    people: Profiles


def fit_method(
    method: str, train: Study, references: References | None, embedding: str, seed: int, recruits: int = POOL
) -> Fitted:
    """Fit a method on the training part, given those of the references that it is made for; raises as methods do."""
    given = references_for(method, references)
    simulator = get_method(method)(train, given, embedding, seed)
    recruiter = simulator.generator or ProfileGenerator.fit(train.profiles, train.relative_weights_N, seed)
    return Fitted(simulator, given, recruiter.recruit(recruits, seed))


def crowd_responses(fitted: Fitted, test: Study, size: int, seed: int) -> tuple[NDArray[np.int64], Responses]:
    """(T, size) which recruits answer each problem, in a random order, and the T * size responses in that order.

    A response that the method has no answer for is a row of NaN.
    """
    keys = stable_keys(fitted.people.ids), stable_keys(test.problems.ids)
    chosen_Tn = generator(seed, "studies:order").permuted(n_per_problem(size, *keys, seed), axis=1)
    problem_R = np.repeat(np.arange(len(test.problems)), size)
    person_R = chosen_Tn.reshape(-1)
    values_RD = fitted.simulator.simulate(
        test.problems, fitted.references, fitted.people, person_R, problem_R, seed
    )  # fmt: skip
    return chosen_Tn, Responses(person_R, problem_R, values_RD)


def crowd_numbers(fitted: Fitted, test: Study, size: int, seed: int) -> Array:
    """(T, size) the same as numbers on the scale; raises ConfigError where responses are no scale."""
    _, responses = crowd_responses(fitted, test, size, seed)
    return as_numbers(responses, test, size)


def as_numbers(responses: Responses, test: Study, size: int) -> Array:
    """(T, size) of T * size responses in the order of the problems; NaN where there is no answer."""
    if not is_scale(test.response_type):
        raise ConfigError(f"responses of type {test.response_type.kind} have no mean: this study needs a scale")
    answered = np.asarray(~np.isnan(responses.values_RD).any(axis=1))
    out = np.full(len(responses), np.nan)
    out[answered] = numbers(responses.take(answered), test.response_type)
    return out.reshape(-1, size)


def same_profile(people: Profiles, person: int) -> Profiles:
    """As many people, under their own ids, who all have this person's profile."""
    values_NC = np.tile(people.values_NC[person], (len(people), 1))
    return replace(people, values_NC=values_NC)


def running_means(values_Tn: Array) -> Array:
    """(T, n) the mean of each problem's first 1, 2, ... n answers that there are; NaN before the first."""
    there = ~np.isnan(values_Tn)
    count = there.cumsum(axis=1)
    total = np.where(there, values_Tn, 0.0).cumsum(axis=1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def human_means(test: Study) -> Array:
    """(T,) the mean human response to each problem; NaN where nobody answered."""
    return mean_decisions(test.responses, test.response_type, len(test.problems))


def perfect_crowds(test: Study, size: int, seed: int, draws: int) -> list[tuple[Array, Array]]:
    """Draws of ((T,) means of fresh humans, (T, size) answers of a perfect crowd); see `crowdllm.evaluation.floor`."""
    found = []
    for draw in floor_draws(test, size, seed, draws):
        assert draw.crowd is not None
        values = numbers(draw.crowd, test.response_type)
        answered = np.bincount(draw.crowd.problem_R, minlength=len(test.problems)) > 0
        crowd_Tn = np.full((len(test.problems), size), np.nan)
        crowd_Tn[answered] = values.reshape(-1, size)
        found.append((mean_decisions(draw.human, test.response_type, len(test.problems)), crowd_Tn))
    return found
