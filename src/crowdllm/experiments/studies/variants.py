"""A method with one piece taken away or one setting changed, fitted and scored on one split.

Shapes: T problems, N participants, R responses, K reference draws, D response width, M levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.crowd_model import fit_crowd
from crowdllm.config import CrowdConfig, PaperConfig, make_config
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.splits import Split
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError
from crowdllm.experiments.score import Score
from crowdllm.experiments.scores import score_crowd, score_people
from crowdllm.experiments.studies.data import open_data
from crowdllm.experiments.studies.protocol import Data
from crowdllm.methods import references_for
from crowdllm.methods.crowdllm import CrowdSimulator
from crowdllm.methods.crowdllm_paper import fit_paper
from crowdllm.methods.protocol import Array, Simulator
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.reference import Reference, References
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.rng import generator

if TYPE_CHECKING:
    import pandas as pd

PIECES = ("references", "profiles")


@dataclass(frozen=True)
class Variant:
    """What differs from the default.

    name: a file name's. words: for readers. method: "crowdllm" or "crowdllm-paper". settings: of its config.
    without: "references" or "profiles". gaussian: ratings as numbers with normal noise, rounded to the nearest level.
    draws: K, so many decisions drawn from the sources' distributions in place of these; 0 leaves them as they are.
    """

    name: str
    words: str
    method: str = "crowdllm"
    settings: tuple[tuple[str, Any], ...] = ()
    without: str = ""
    gaussian: bool = False
    draws: int = 0


@dataclass(frozen=True)
class Setup:
    """Which split, and how large a crowd answers each test problem."""

    data: Data
    split: str
    crowd: int
    embedding: str
    test_fraction: float = 0.2


def score_variant(setup: Setup, variant: Variant, seed: int) -> pd.DataFrame:
    """Metrics of one variant on one split: columns variant, seed, metric, value."""
    import pandas as pd

    study, references = open_data(setup.data)
    split = _prepared(study, setup, variant, seed)
    given = _given(references_for(variant.method, references), variant, split, study, seed)
    simulator = _fitted(split, given, setup, variant, seed)
    recruiter = simulator.generator or ProfileGenerator.fit(split.train.profiles, split.train.relative_weights_N, seed)
    crowd = recruiter.recruit(setup.crowd, seed)
    rows = [asdict(score) for score in _scores(simulator, split, given, crowd, setup, seed)]
    frame = pd.DataFrame([row for row in rows if row["aggregator"] in ("", "mean")])
    return frame.assign(variant=variant.name, seed=seed)[["variant", "seed", "metric", "value"]]


def _prepared(study: Study, setup: Setup, variant: Variant, seed: int) -> Split:
    if variant.without not in ("", *PIECES):
        raise ConfigError(f"a variant leaves out one of {', '.join(PIECES)}, not {variant.without!r}")
    split = study.split(setup.split, setup.test_fraction, seed)
    if variant.without != "profiles":
        return split
    bare = [
        replace(part, profiles=Profiles((), part.profiles.ids, np.zeros((len(part.profiles), 0))))
        for part in (split.train, split.test)
    ]
    return replace(split, train=bare[0], test=bare[1])


def _given(references: References | None, variant: Variant, split: Split, study: Study, seed: int) -> References | None:
    if references is None or variant.without == "references":
        return None
    if not variant.draws:
        return references
    return References(tuple(drawn(source, study, variant.draws, seed) for source in references.sources))


def drawn(source: Reference, study: Study, draws: int, seed: int) -> Reference:
    """The source as if it had been asked K times: draws from its distribution (ratings only).

    Raises ConfigError for other responses, and for a source that gave no distribution.
    """
    if not isinstance(study.response_type, Ordinal) or source.distribution_TM is None:
        raise ConfigError(f"K decisions can be drawn from a distribution over levels only, which {source.name} lacks")
    below_TM = np.cumsum(source.distribution_TM, axis=1)[:, :-1]
    uniform_TK = generator(seed, "study:reference draws").random((len(below_TM), draws))
    level_TK = (uniform_TK[:, :, None] > below_TM[:, None, :]).sum(axis=2).astype(float)
    level_TK[np.isnan(below_TM).any(axis=1)] = np.nan
    mode = "decision" if draws == 1 else "samples"
    return replace(source, mode=mode, values_TKD=level_TK[:, :, None], distribution_TM=None)


def _fitted(split: Split, given: References | None, setup: Setup, variant: Variant, seed: int) -> Simulator:
    settings = {"embedding": setup.embedding} | dict(variant.settings)
    if variant.method == "crowdllm-paper":
        return fit_paper(split.train, given, make_config(PaperConfig, settings), seed)
    config: CrowdConfig = make_config(CrowdConfig, settings)
    if not variant.gaussian:
        return CrowdSimulator(fit_crowd(split.train, given, config, seed))
    kind = split.train.response_type
    if not isinstance(kind, Ordinal):
        raise ConfigError(f"ratings can be taken for numbers, {kind.kind} responses cannot")
    numbers = Continuous(0.0, float(len(kind.levels) - 1))
    # K decisions in place of a distribution over levels, which a number's model has no use for
    means = None if given is None else References(tuple(_as_numbers(source) for source in given.sources))
    model = fit_crowd(replace(split.train, response_type=numbers), means, config, seed)
    return Rounded(CrowdSimulator(model))


def _as_numbers(source: Reference) -> Reference:
    if source.distribution_TM is None:
        return source
    mean_T = source.distribution_TM @ np.arange(source.distribution_TM.shape[1])
    return replace(source, mode="decision", values_TKD=mean_T[:, None, None], distribution_TM=None)


@dataclass(frozen=True)
class Rounded:
    """A method for numbers as one for ratings: its responses go to the nearest level. It gives no log scores."""

    numbers: CrowdSimulator

    @property
    def generator(self) -> ProfileGenerator:
        return self.numbers.generator

    def simulate(
        self, problems: Problems, references: References | None, crowd: Profiles,
        participant_R: NDArray[np.int64], problem_R: NDArray[np.int64], seed: int,
    ) -> Array:  # fmt: skip
        means = None if references is None else References(tuple(_as_numbers(s) for s in references.sources))
        return np.rint(self.numbers.simulate(problems, means, crowd, participant_R, problem_R, seed))

    def level_probabilities(
        self, problems: Problems, references: References | None, people: Profiles, responses: Responses, seed: int
    ) -> Array | None:
        return None

    def log_scores(
        self, problems: Problems, references: References | None, people: Profiles, responses: Responses, seed: int
    ) -> Array | None:
        return None


def _scores(
    simulator: Simulator, split: Split, given: References | None, crowd: Profiles, setup: Setup, seed: int
) -> Iterator[Score]:
    yield from score_crowd(simulator, split.test, given, crowd, setup.crowd, ("mean",), seed, split.unseen_TM)
    yield from score_people(simulator, split.test, given, seed)
