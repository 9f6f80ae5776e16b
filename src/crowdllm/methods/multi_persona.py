"""`multi-persona`: the LLM prompted with personas; every simulated person speaks for one of them.

A persona source has one draw per persona (mode "persona"). Each simulated person takes one persona at random, of all
that the sources have, and repeats its answer to every problem; so people differ as the personas do, and one person is
the same persona throughout. A draw that is recorded as a certain participant's twin (`Reference.twins`) is taken by
that very participant, where the people to be predicted are known. Where the persona's answer did not parse there is no
response.

Personas are not matched to simulated people by profile: the recorded ones say one thing each (a gender, or a race), and
most people would fit two of them or none.

Shapes: T problems, K personas, D response width, N participants, R pairs, M levels or options.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.items import widest
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.methods.protocol import Progress, log_given
from crowdllm.methods.shares import floored
from crowdllm.reference import References
from crowdllm.responses.protocol import Array, ResponseType
from crowdllm.rng import stable_keys, uniforms

PERSONA = "persona"


@dataclass(frozen=True)
class PersonaSimulator:
    """Repeats the personas' answers in `references`, or in those given with new problems."""

    response_type: ResponseType
    references: References
    generator: ClassVar[None] = None

    def simulate(
        self, problems: Problems, references: References | None, crowd: Profiles,
        participant_R: NDArray[np.int64], problem_R: NDArray[np.int64], seed: int,
    ) -> Array:  # fmt: skip
        given = persona_sources(references) or self.references
        values_TKD = self._answers(problems, given)
        return np.asarray(values_TKD[problem_R, _personas(given, crowd, values_TKD.shape[1], seed)[participant_R]])

    def _answers(self, problems: Problems, references: References) -> Array:
        """(T, K, D) the answers of all personas of all sources."""
        width = self.response_type.width(widest(problems, self.response_type))
        parts = [source.values_TKD[:, :, :width] for source in references.aligned(problems).sources]
        return np.concatenate([np.pad(p, [(0, 0), (0, 0), (0, width - p.shape[2])]) for p in parts], axis=1)

    def level_probabilities(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        """A twin's answer for the participant whose twin it is, the personas' shares for anybody else; floored."""
        if self.response_type.kind not in ("ordinal", "choice"):
            return None
        given = persona_sources(references) or self.references
        values_TK = self._answers(problems, given)[:, :, 0]
        levels = self.response_type.summary_width(widest(problems, self.response_type))
        votes_TKM = (values_TK[:, :, None] == np.arange(levels)).astype(float)
        votes_RM = votes_TKM.sum(axis=1)[responses.problem_R]
        twin_R = _twins(given, people)[responses.participant_R]
        own_RM = votes_TKM[responses.problem_R, np.maximum(twin_R, 0)]
        votes_RM = np.where((twin_R >= 0)[:, None] & own_RM.any(axis=1, keepdims=True), own_RM, votes_RM)
        total_R1 = votes_RM.sum(axis=1, keepdims=True)
        shares_RM = np.divide(votes_RM, total_R1, out=np.full(votes_RM.shape, np.nan), where=total_R1 > 0)
        return floored(shares_RM, problems.option_counts[responses.problem_R])

    def log_scores(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        return log_given(self.level_probabilities(problems, references, people, responses, seed), responses)


def persona_sources(references: References | None) -> References | None:
    """The sources in persona; None where there are none."""
    kept = tuple(s for s in references.sources if s.mode == PERSONA) if references else ()
    return References(kept) if kept else None


def _twins(references: References, people: Profiles) -> NDArray[np.int64]:
    """(N,) which persona is each person's twin, -1 for none."""
    position: dict[str, int] = {}
    first = 0
    for source in references.sources:
        for k, identity in enumerate(source.twins):
            position.setdefault(identity, first + k)
        first += source.values_TKD.shape[1]
    return np.array([position.get(str(identity), -1) for identity in people.ids], dtype=np.int64)


def _personas(references: References, crowd: Profiles, count: int, seed: int) -> NDArray[np.int64]:
    """(N,) the persona each person speaks for: the own twin, else one at random, keyed by the person."""
    keys = stable_keys(crowd.ids)
    noise_N = uniforms(seed, PERSONA, keys, np.zeros(len(keys), dtype=np.uint64))[:, 0]
    twin_N = _twins(references, crowd)
    return np.where(twin_N >= 0, twin_N, np.floor(noise_N * count).astype(np.int64))


def fit(
    train: Study, references: References | None, embedding: str, seed: int, progress: Progress | None = None
) -> PersonaSimulator:
    """Raises MismatchError where no source is in persona."""
    sources = persona_sources(references)
    if sources is None:
        named = ", ".join(f"{s.name} has mode {s.mode}" for s in references.sources) if references else ""
        raise MismatchError(
            "the method 'multi-persona' needs reference decisions of an LLM in several personas; name a source of mode "
            f"persona with --references, as in gpt4,gpt4-personas{f' ({named})' if named else ''}"
        )
    return PersonaSimulator(train.response_type, sources)
