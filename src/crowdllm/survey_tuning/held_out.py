"""What a tuned model says of the people who were held out of its tuning, and what its base model says of them.

These people chose the epoch and the temperatures, and were not learned from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from crowdllm.config import TuneConfig
from crowdllm.data.study import Study
from crowdllm.survey_tuning.answers import Shares, answer_shares
from crowdllm.survey_tuning.base_model import find_base, load_base
from crowdllm.survey_tuning.interview import Interview
from crowdllm.survey_tuning.tuned import Tuned
from crowdllm.survey_tuning.tuning import hold_out


@dataclass(frozen=True)
class HeldOut:
    """The held-out people of one study, how it is asked, and the shares of the possible answers for each response."""

    study: Study
    interview: Interview
    shares: Shares


def held_out_shares(tuned: Tuned, studies: Sequence[Study]) -> list[HeldOut]:
    """Per study, the model on the people who were held out; studies without such people are left out.

    studies: those that it was tuned on, in their order.
    """
    left = [hold_out(study, tuned.config, tuned.seed)[1] for study in studies]
    pairs = zip(left, tuned.interviews, strict=True)
    return [HeldOut(study, how, _shares(tuned, how, study)) for study, how in pairs if len(study.responses)]


def base_shares(base: str, config: TuneConfig, held: Sequence[HeldOut], device: str = "auto") -> list[HeldOut]:
    """The same people asked in the same words of the base model as it is, in the precision in which it is tuned.

    config: of the tuned model, which need not stay in memory. held: of `held_out_shares`. Raises as `load_base`.
    """
    source, identity = find_base(base)
    plain = Tuned(load_base(source, config, device), config, identity)
    return [replace(one, shares=_shares(plain, one.interview, one.study)) for one in held]


def _shares(tuned: Tuned, how: Interview, study: Study) -> Shares:
    answers = study.responses
    return answer_shares(tuned, how, study.problems, study.profiles, answers.participant_R, answers.problem_R)
