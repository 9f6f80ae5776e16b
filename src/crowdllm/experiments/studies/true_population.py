"""The true population of the simulation study: a fitted `crowdllm` whose people answer with a known belief and error.

Person i feels m_t + diversity b_it + error e_it about problem t, see `crowdllm.experiments.studies.simulation`.

Shapes: N people, T problems, M levels, R responses, Z belief width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.config import CrowdConfig, make_config
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.fits import Given
from crowdllm.experiments.studies.protocol import Data
from crowdllm.reference import References
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import Array
from crowdllm.rng import generator


@dataclass(frozen=True)
class Truth:
    """The true population: a fit with these settings on this data; problems: so many of its comments are used."""

    data: Data
    embedding: str
    settings: Given = ()
    problems: int = 500
    people: int = 2000


@dataclass(frozen=True)
class Population:
    """A fitted model as the truth. location_T: m_t; loadings_TZ: beta_t, scaled so that the beliefs' SD is 1."""

    model: CrowdModel
    problems: Problems
    references: References | None
    kind: Ordinal
    location_T: Array
    loadings_TZ: Array

    def beliefs(self, people: Profiles, seed: int) -> Array:
        """(N, T) b_it."""
        return self.model.attitudes(people, self.model.participant_noise(people, seed)) @ self.loadings_TZ.T

    def levels(self, felt_NT: Array) -> Array:
        """The nearest level to what is felt, as its position 0..M-1."""
        return np.clip(np.rint(felt_NT - self.kind.points[0]), 0, len(self.kind.levels) - 1)

    def mean_answers(self, people: Profiles, diversity: float, seed: int) -> Array:
        """(T,) the mean answer without response error."""
        felt_NT = self.location_T + diversity * self.beliefs(people, seed)
        return np.asarray(self.levels(felt_NT).mean(axis=0) + self.kind.points[0])


@lru_cache(maxsize=2)
def true_population(truth: Truth) -> Population:
    """Fit the truth; raises ConfigError where ratings are not 1, 2, 3, ... or the fitted people do not differ."""
    study, references = open_data(truth.data)
    kind = study.response_type
    if not isinstance(kind, Ordinal) or set(np.diff(kind.points)) != {1.0}:
        raise ConfigError("the simulation study needs a scale whose levels are one point apart")
    model = fit_crowd(
        study, references, make_config(CrowdConfig, {"embedding": truth.embedding} | dict(truth.settings))
    )
    order = generator(0, "simulation:problems").permutation(len(study.problems))
    problems = study.problems.take(np.sort(order[: truth.problems]))
    own = references.aligned(problems) if references else None
    return population_of(model, problems, own, kind)


def population_of(model: CrowdModel, problems: Problems, references: References | None, kind: Ordinal) -> Population:
    """Mean answers and scaled loadings of a fitted model; raises ConfigError where people do not differ."""
    from scipy.special import ndtr

    loadings_TZ, base_TP, _ = model.item_terms(model.make_items(problems, references))
    below_TP = ndtr(base_TP)
    share_TM = np.diff(below_TP, axis=1, prepend=0.0, append=1.0)
    variance = float(np.einsum("tz,zy,ty->t", loadings_TZ, model.covariance_ZZ, loadings_TZ).mean())
    if variance <= 0:
        raise ConfigError("in the fitted population people do not differ: there is no belief whose SD could be set")
    location_T = share_TM @ np.asarray(kind.points)
    return Population(model, problems, references, kind, location_T, loadings_TZ / np.sqrt(variance))


def training_part(
    truth: Population,
    problems: NDArray[np.int64],
    people: int,
    per_person: int,
    error: float,
    diversity: float,
    seed: int,
) -> Study:
    """What so many true people answered to so many of these problems each; problems without answers stay out."""
    crowd = truth.model.recruit(people, seed)
    rng = generator(seed, f"simulation:{people} people, {per_person} each")
    count = min(per_person, len(problems))
    asked = problems[np.argsort(rng.random((people, len(problems))), axis=1)[:, :count]]
    felt_NT = truth.location_T + diversity * truth.beliefs(crowd, seed)
    person_R, problem_R = np.repeat(np.arange(people), count), np.sort(asked, axis=1).reshape(-1)
    felt_R = felt_NT[person_R, problem_R] + error * rng.standard_normal(len(person_R))
    whole = Study(
        "simulated people", truth.kind, truth.problems, crowd,
        Responses(person_R, problem_R, truth.levels(felt_R)[:, None]), simulated=True,
    )  # fmt: skip
    return whole.subset(np.unique(problem_R), np.arange(people))
