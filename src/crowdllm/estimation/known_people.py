"""Made-up people whose expected answers and noise are known, to check estimates of both against.

Person i thinks m_it = b_t + o_i s_t + u_it of problem t and answers m_it + noise, a number: opinions (o_i, which the
profile column "leaning" tells in part), own views u_it that nothing tells, and noise that is new whenever the person is
asked. b_t comes from the words of the problem's text and a part that no text tells.

Shapes: N people, T problems, P people asked twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.responses.continuous import Continuous
from crowdllm.rng import generator

Array = NDArray[np.float64]
WORDS = (("mild", -0.8), ("fair", 0.0), ("rough", 0.8))
TOPICS = (("work", -0.4), ("sports", 0.1), ("music", 0.4))
COLUMNS = (ProfileColumn("leaning", "ordinal", ("low", "middle", "high")),)


@dataclass(frozen=True)
class KnownPeople:
    """study: their answers. mean_NT: m_it; noise_NT: variance of a person's answer.

    repeats: first and second answers, (P, 1) each, of people who were asked a question twice.
    """

    study: Study
    mean_NT: Array
    noise_NT: Array
    repeats: tuple[Array, Array]


def known_people(
    people: int = 240, problems: int = 60, per_problem: int = 12, repeats: int = 150, noise: float = 0.7, seed: int = 0
) -> KnownPeople:
    """`per_problem` of the people answer each problem. noise: its SD."""
    rng = generator(seed, "known people")
    word, topic = rng.integers(len(WORDS), size=problems), rng.integers(len(TOPICS), size=problems)
    told_T = np.array([WORDS[w][1] + TOPICS[c][1] for w, c in zip(word, topic, strict=True)])
    base_T = told_T + 0.2 * rng.standard_normal(problems)
    sign_T = rng.choice([0.5, 1.0], size=problems)
    opinion_N = rng.standard_normal(people)
    mean_NT = base_T + 0.8 * opinion_N[:, None] * sign_T + 0.5 * rng.standard_normal((people, problems))
    person_R = np.concatenate([rng.choice(people, per_problem, replace=False) for _ in range(problems)])
    problem_R = np.repeat(np.arange(problems), per_problem)
    answer_R = mean_NT[person_R, problem_R] + noise * rng.standard_normal(len(person_R))
    leaning_N = np.searchsorted([-0.5, 0.5], opinion_N + 0.4 * rng.standard_normal(people)).astype(float)
    texts = [f"a {WORDS[w][0]} thing about {TOPICS[c][0]}" for w, c in zip(word, topic, strict=True)]
    study = Study(
        "Made-up people with known opinions",
        Continuous(),
        Problems(
            np.array([f"t{t}" for t in range(problems)], dtype=object),
            np.array([f"{text} (no. {t})" for t, text in enumerate(texts)], dtype=object),
        ),
        Profiles(COLUMNS, np.array([f"p{i}" for i in range(people)], dtype=object), leaning_N[:, None]),
        Responses(person_R, problem_R, answer_R[:, None]),
        requirements="What do you think?",
        simulated=True,
    )
    again = mean_NT[rng.integers(people, size=repeats), rng.integers(problems, size=repeats)]
    twice = again + noise * rng.standard_normal((2, repeats))
    return KnownPeople(study, mean_NT, np.full(mean_NT.shape, noise**2), (twice[0][:, None], twice[1][:, None]))
