"""Human answers beside several answers of each person's digital twin, as numbers: what the error terms are made from.

The twin of participant i is a simulated person with the same profile v_i (theorem 2 of CrowdLLM, arXiv 2512.07890). It
is asked J times with fresh noise, so that its expected answer and its own uncertainty can be told apart. Numbers are
the points of a scale; for problems with options one number per option (1 for a pick, the points, the Borda points), so
that a squared error over the options is a squared error of shares.

The model must not have been fitted on these answers: a twin that has seen its person's answer agrees with its noise.

Shapes: R pairs (participant, problem), J draws, D numbers of a response, T problems, N participants.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crowdllm.aggregation.scores import scores
from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.belief.items import Items
from crowdllm.data.problems import Problems, widest
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError, MismatchError
from crowdllm.methods.protocol import Simulator
from crowdllm.reference import References
from crowdllm.responses.choice import Choice
from crowdllm.responses.protocol import ResponseType
from crowdllm.rng import seed_words
from crowdllm.simulation.decide import simulate_pairs
from crowdllm.simulation.run import stand_ins

Array = NDArray[np.float64]
Positions = NDArray[np.int64]
DRAWS = 8


@dataclass(frozen=True)
class TwinPairs:
    """person_R, problem_R: positions among `people` participants and `problems` problems.

    human_RD: what the person answered; twin_JRD: what the twin answered in each of at least two draws. weight_R: the
    person's survey weight, on any scale; None where all count alike.
    """

    person_R: Positions
    problem_R: Positions
    human_RD: Array
    twin_JRD: Array
    people: int
    problems: int
    weight_R: Array | None = None

    def __post_init__(self) -> None:
        if self.twin_JRD.ndim != 3 or self.twin_JRD.shape[1:] != self.human_RD.shape:
            raise MismatchError(
                f"the twins' answers have shape {self.twin_JRD.shape}, which must be (draws, *{self.human_RD.shape})"
            )
        if len(self.twin_JRD) < 2:
            raise ConfigError(
                "a twin must be asked at least twice, or its own uncertainty cannot be told; give draws=2"
            )

    def take(self, rows: NDArray[np.bool_] | Positions) -> TwinPairs:
        """The pairs at these positions, positions of people and problems unchanged."""
        return replace(
            self,
            person_R=self.person_R[rows],
            problem_R=self.problem_R[rows],
            human_RD=self.human_RD[rows],
            twin_JRD=self.twin_JRD[:, rows],
            weight_R=None if self.weight_R is None else self.weight_R[rows],
        )


def twin_pairs(
    source: CrowdModel | Simulator,
    study: Study,
    references: References | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> TwinPairs:
    """Every answer of the study with `draws` answers of the person's twin.

    source: a fitted model, or any fitted method. references: for the study's problems, as the model was fitted with;
    not needed where these are exactly the problems that the model was fitted on. Raises MismatchError where a method
    has no answer to a problem, and what `CrowdModel.make_items` does.
    """
    people, answers = stand_ins(study.profiles), study.responses
    seeds = [seed_words(seed, f"twin pairs:{j}") % 2**31 for j in range(draws)]
    ask: Callable[[int], Array]
    if isinstance(source, CrowdModel):
        items = fitted_items(source, study.problems, references)

        def ask(s: int) -> Array:
            return simulate_pairs(source, items, people, answers.participant_R, answers.problem_R, s)
    else:

        def ask(s: int) -> Array:
            where = (answers.participant_R, answers.problem_R)
            return source.simulate(study.problems, references, people, *where, s)

    human_RD = as_numbers(answers.values_RD, study.response_type, widest(study.problems, study.response_type))
    twin_JRD = np.empty((draws, *human_RD.shape))
    for j, s in enumerate(seeds):
        twin_JRD[j] = as_numbers(ask(s), study.response_type, human_RD.shape[1])
    silent = np.isnan(twin_JRD).any(axis=(0, 2))
    if silent.any():
        problem = study.problems.ids[answers.problem_R[silent][0]]
        raise MismatchError(f"the method has no answer to problem {str(problem)!r}; leave such problems out")
    return TwinPairs(
        answers.participant_R,
        answers.problem_R,
        human_RD,
        twin_JRD,
        len(study.profiles),
        len(study.problems),
        answers.weight_R,
    )


def fitted_items(model: CrowdModel, problems: Problems, references: References | None) -> Items:
    """The model's own features of these problems where it was fitted on exactly these, else new ones; raises so."""
    own = model.items.problems
    same = own.ids.tolist() == problems.ids.tolist() and own.texts.tolist() == problems.texts.tolist()
    return model.items if same else model.make_items(problems, references)


def as_numbers(values_RD: Array, kind: ResponseType, options: int) -> Array:
    """(R, D) responses as numbers whose mean is the crowd's answer; choices as one 0 or 1 per option, NaN rows kept."""
    if isinstance(kind, Choice):
        picked_RM = (values_RD[:, :1] == np.arange(options)).astype(float)
        return np.where(np.isnan(values_RD[:, :1]), np.nan, picked_RM)
    if not np.isnan(values_RD).any():
        none = np.zeros(len(values_RD), dtype=np.int64)
        return np.asarray(scores(Responses(none, none, values_RD), kind), dtype=float)
    known = ~np.isnan(values_RD).any(axis=1)
    out_RD = np.full(values_RD.shape, np.nan)
    out_RD[known] = as_numbers(values_RD[known], kind, options)
    return out_RD
