"""A language model that answers as survey participants: in memory, with how its studies were asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from crowdllm.config import TuneConfig
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.llm.local_model import LocalModel
from crowdllm.responses.continuous import Continuous
from crowdllm.survey_tuning.base_model import Identity, find_base, load_base, require_packages
from crowdllm.survey_tuning.interview import EVERY, Interview, make_interview


@dataclass(frozen=True)
class EpochTerms:
    """The loss's terms after one epoch, per answer (per cell for the targets kl and wasserstein).

    held_out: cross-entropy + gamma * penalty of the answers of held-out people, per answer; NaN where nobody is held
    out. tokens, seconds: what the epoch ran, and how long it took (up to now, where a run was continued within it).
    """

    epoch: int
    step: int
    loss: float
    cross_entropy: float
    penalty: float
    divergence: float
    stray: float
    held_out: float
    rate: float
    tokens: int
    seconds: float


@dataclass(frozen=True)
class Tuned:
    """A model ready to be asked; `model.lm.model` has the adapter at work in it.

    interviews: how its studies were asked.
    temperature_kl, temperature_rmse: chosen on held-out people; 1 and 0 where nobody was held out.
    profile_weight: the share of an answer that goes by the profile (`crowdllm.survey_tuning.answers`).
    """

    model: LocalModel
    config: TuneConfig
    identity: Identity
    interviews: tuple[Interview, ...] = ()
    temperature_kl: float = 1.0
    temperature_rmse: float = 0.0
    seed: int = 0
    history: tuple[EpochTerms, ...] = ()
    best_epoch: int = 0
    profile_weight: float = 1.0

    def interview(self, study: Study) -> Interview:
        """How this study is asked: as one of its own where it is one, else in the same way.

        Raises MismatchError where a study that it does not know has numbers without bounds for answers.
        """
        fresh = make_interview(replace(study, responses=study.responses.take(np.zeros(0, dtype=np.int64))), self.config)
        for own in self.interviews:
            if replace(own, numbers={}, templates=fresh.templates) == fresh:
                return own
        templates = self.interviews[0].templates if self.interviews else fresh.templates
        return replace(fresh, templates=templates, numbers=self._numbers(study.response_type))

    def _numbers(self, kind: Any) -> dict[str, tuple[float, ...]]:
        """Candidates for a study with numbers that it was not tuned on: those of a scale with the same bounds, else
        evenly spaced ones."""
        if not isinstance(kind, Continuous):
            return {}
        for own in self.interviews:
            other = own.response_type
            if isinstance(other, Continuous) and (other.low, other.high) == (kind.low, kind.high) and own.numbers:
                return {EVERY: own.numbers[EVERY]}
        if kind.low is None or kind.high is None:
            raise MismatchError(
                "this study has numbers without bounds for answers, and the model was not tuned on any: give the scale "
                "a low and a high end, or tune the model on answers to it"
            )
        grid = np.linspace(kind.low, kind.high, self.config.most_candidates)
        whole = np.unique(np.round(grid)) if kind.high - kind.low >= 10 else grid
        return {EVERY: tuple(float(n) for n in whole if kind.low <= n <= kind.high)}


def untuned(base: str, config: TuneConfig, studies: Sequence[Study] = (), device: str = "auto") -> Tuned:
    """The base model as it is, asked in the same way: the pre-trained model in persona. Raises as `load_base`.

    studies: from which numbers that may be answers are taken.
    """
    plain = config.model_copy(update={"adapter": "none"})
    require_packages("none", "a language model as survey participants")
    source, identity = find_base(base)
    model = load_base(source, plain, device)
    asked = tuple(make_interview(study, plain) for study in studies)
    weight = 1.0 if plain.profile_weight == "chosen" else float(plain.profile_weight)
    return Tuned(model, plain, identity, asked, profile_weight=weight)
