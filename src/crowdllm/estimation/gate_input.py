"""What the gate compares, from a fitted crowd and human answers that it has not seen.

`size` people are recruited and each answers every problem twice, with fresh noise: one answer does not tell the bias of
a simulated person from that person's noise. The crowd's mean is that of the first answers.

Shapes: T problems, N simulated people.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from crowdllm.data.problems import widest
from crowdllm.data.profiles import Profiles
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError, MismatchError
from crowdllm.estimation.bare_llm import bare_llm
from crowdllm.estimation.gate import GateInput
from crowdllm.estimation.twin_pairs import as_numbers
from crowdllm.evaluation.histograms import is_scale, numbers
from crowdllm.methods.protocol import Simulator
from crowdllm.reference import References
from crowdllm.rng import seed_words

SIZE = 200


def gate_input(
    simulator: Simulator,
    study: Study,
    references: References,
    size: int = SIZE,
    seed: int = 0,
    people: Profiles | None = None,
) -> GateInput:
    """Simulate `size` people (recruited by the method, or these) on the study's problems, beside its human answers.

    references: for the study's problems; they are the bare LLM too. Raises MismatchError for responses that are not
    numbers, or a method that recruits nobody and is given no people.
    """
    if not is_scale(study.response_type):
        raise MismatchError(f"the gate compares means on a scale; {study.response_type.kind!r} responses have none")
    if size < 3:
        raise ConfigError(f"the gate needs a crowd of at least 3 people per problem, not {size}")
    if people is not None:
        crowd = people
    elif simulator.generator is not None:
        crowd = simulator.generator.recruit(size, seed)
    else:
        raise MismatchError("the method recruits nobody: give the people to simulate")
    count, problems = len(crowd), len(study.problems)
    person_R, problem_R = np.tile(np.arange(count), problems), np.repeat(np.arange(problems), count)
    width = widest(study.problems, study.response_type)
    draws = []
    for j in range(2):
        s = seed_words(seed, f"gate:{j}") % 2**31
        values = simulator.simulate(study.problems, references, crowd, person_R, problem_R, s)
        draws.append(as_numbers(values, study.response_type, width)[:, 0].reshape(problems, count))
    bare = bare_llm(references, study.response_type, study.problems)
    reference_T = bare.answer_TD[:, 0]
    bias = [d - reference_T[:, None] for d in draws]
    return GateInput(
        person_R=study.responses.participant_R,
        problem_R=study.responses.problem_R,
        human_R=numbers(study.responses, study.response_type),
        crowd_T=draws[0].mean(axis=1),
        second_T=np.maximum((bias[0] * bias[1]).mean(axis=1), 0.0),
        noise_T=((draws[0] - draws[1]) ** 2).mean(axis=1) / 2,
        reference_T=reference_T,
        randomness_T=bare.randomness_T,
        reference_noise_T=bare.answer_variance_T,
        size=count,
        weight_R=study.responses.weight_R,
    )


def answer_groups(references: References, study: Study, most: int = 5) -> list[str]:
    """(T,) groups of problems that are known before anybody is asked: what the LLM itself answers.

    The levels of a scale, or `most` ranges with about as many problems where the answers are no whole numbers of few
    kinds; "no answer" where it gave none.
    """
    answer_T = bare_llm(references, study.response_type, study.problems).answer_TD[:, 0]
    rounded = np.round(answer_T[~np.isnan(answer_T)])
    if len(np.unique(rounded)) <= max(most, len(getattr(study.response_type, "levels", ()))):
        return ["no answer" if np.isnan(a) else f"the LLM says about {round(float(a))}" for a in answer_T]
    cuts = np.unique(np.quantile(answer_T[~np.isnan(answer_T)], np.arange(1, most) / most))
    ends = [-np.inf, *cuts, np.inf]
    names = [f"the LLM says {low:g} to {high:g}" for low, high in pairwise(ends)]
    place_T = np.searchsorted(cuts, answer_T, side="right")
    return ["no answer" if np.isnan(a) else names[p] for a, p in zip(answer_T, place_T, strict=True)]
