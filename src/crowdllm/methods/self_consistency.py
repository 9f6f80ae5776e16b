"""`self-consistency`: everybody gives the answer that the LLM gave most often (Wang et al., arXiv 2203.11171).

The draws are repeated answers to one prompt (mode "samples"), usually at temperature .5, of all such sources together.
Levels and options: the most frequent one, the lowest of a tie. Numbers: the median. Ballots, points and rankings: the
legal response nearest to the mean of the draws (so a ballot of k picks the k options that were picked most often).

Shapes: T problems, K draws, D response width, M levels or options, R pairs.
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
from crowdllm.methods.crowdllm_paper import to_responses
from crowdllm.methods.protocol import Progress, log_given
from crowdllm.methods.shares import floored
from crowdllm.reference import References
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.protocol import Array, ResponseType
from crowdllm.responses.ranking import Ranking

SAMPLES = "samples"


@dataclass(frozen=True)
class ConsistentSimulator:
    """Repeats the majority of the draws in `references`, or in those given with new problems."""

    response_type: ResponseType
    references: References
    generator: ClassVar[None] = None

    def decisions(self, problems: Problems, references: References | None) -> Array:
        """(T, D) the majority answer to each problem; NaN where no draw parsed."""
        kind, most = self.response_type, widest(problems, self.response_type)
        given = (repeated_sources(references) or self.references).aligned(problems)
        out_TD = np.full((len(problems), kind.width(most)), np.nan)
        for t, count in enumerate(problems.option_counts):
            draws = [source.values_TKD[t, :, : out_TD.shape[1]] for source in given.sources]
            draws_KD = np.concatenate([d[~np.isnan(d).any(axis=1)] for d in draws])
            if len(draws_KD):
                majority = _majority(kind, draws_KD, int(count))
                out_TD[t, : len(majority)] = majority
                out_TD[t, len(majority) :] = 0.0
        return out_TD

    def simulate(
        self, problems: Problems, references: References | None, crowd: Profiles,
        participant_R: NDArray[np.int64], problem_R: NDArray[np.int64], seed: int,
    ) -> Array:  # fmt: skip
        return np.asarray(self.decisions(problems, references)[problem_R])

    def level_probabilities(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        """All but a thousandth on the majority answer."""
        if self.response_type.kind not in ("ordinal", "choice"):
            return None
        levels = self.response_type.summary_width(widest(problems, self.response_type))
        decision_T1 = self.decisions(problems, references)
        shares_TM = np.where(np.isnan(decision_T1), np.nan, decision_T1 == np.arange(levels))
        return floored(shares_TM, problems.option_counts)[responses.problem_R]

    def log_scores(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        return log_given(self.level_probabilities(problems, references, people, responses, seed), responses)


def _majority(kind: ResponseType, draws_KD: Array, option_count: int) -> Array:
    """(D,) the majority of the parsed draws to one problem."""
    if isinstance(kind, Continuous):
        return np.median(draws_KD, axis=0)
    if kind.kind in ("ordinal", "choice"):
        return np.array([float(np.bincount(draws_KD[:, 0].astype(np.int64)).argmax())])
    if isinstance(kind, Ranking):
        depth = draws_KD.max(axis=1, keepdims=True)
        draws_KD = np.where(draws_KD > 0, depth + 1 - draws_KD, 0.0)
    share_D = draws_KD.sum(axis=0) / max(float(draws_KD.sum()), 1.0)
    return np.asarray(to_responses(kind, share_D[None], np.array([option_count]))[0])


def repeated_sources(references: References | None) -> References | None:
    """The sources with at least two draws of one prompt; None where there are none."""
    sources = references.sources if references else ()
    kept = tuple(s for s in sources if s.mode == SAMPLES and s.values_TKD.shape[1] >= 2)
    return References(kept) if kept else None


def fit(
    train: Study, references: References | None, embedding: str, seed: int, progress: Progress | None = None
) -> ConsistentSimulator:
    """Raises MismatchError where no source has several draws of one prompt."""
    sources = repeated_sources(references)
    if sources is None:
        sources_at_hand = references.sources if references else ()
        named = ", ".join(f"{s.name} has {s.values_TKD.shape[1]} of mode {s.mode}" for s in sources_at_hand)
        raise MismatchError(
            "the method 'self-consistency' needs reference decisions drawn several times with one prompt, usually at "
            "temperature .5; name a source of mode samples with --references, or a table with columns k1, k2, ..."
            + (f" ({named})" if named else "")
        )
    return ConsistentSimulator(train.response_type, sources)
