"""What is measured of one method in the study of a small decoder: rows of its curve, of its subgroups, and of itself.

Columns: role, temperature, METRICS; of subgroups also column, level and people. All methods are scored by the code that
scores a tuned model (`crowdllm.survey_tuning.calibration`), from a distribution over the levels for each held-out
answer.

Shapes: R held-out answers, M levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crowdllm.data.study import Study
from crowdllm.errors import ConfigError
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.responses.ordinal import Ordinal
from crowdllm.simulation.groups import subgroups
from crowdllm.survey_tuning.answers import Shares
from crowdllm.survey_tuning.calibration import TEMPERATURES, temperature_curve

if TYPE_CHECKING:
    from crowdllm.responses.protocol import Array

CURVE, FOR_KL, FOR_RMSE, GROUP, TRANSFER = "curve", "kl", "rmse", "group", "transfer"
METRICS = ("kl", "rmse", "nll", "avg_wd")
MIN_PEOPLE = 30  # held-out people of a subgroup; fewer make any distance larger, for every method alike


def shares_of_levels(p_RM: Array, test: Study) -> Shares:
    """The distributions of any method over levels as those of a language model; ConfigError for other responses."""
    kind = test.response_type
    if not isinstance(kind, Ordinal):
        raise ConfigError(f"this study compares answers on levels, not {kind.kind} responses")
    shape = (len(p_RM), len(kind.levels))
    with np.errstate(divide="ignore"):
        log_p_RM = np.log(p_RM)
    points = np.asarray(kind.points, dtype=float)
    return Shares(log_p_RM, np.tile(np.arange(shape[1], dtype=float), (shape[0], 1)), np.tile(points, (shape[0], 1)),
                  np.zeros(shape[0]))  # fmt: skip


def rows(shares: Shares, train: Study, test: Study, for_kl: float, for_rmse: float) -> pd.DataFrame:
    """The curve, the method at the temperatures at which it is compared, and its subgroups at that for KL.

    train: whose profiles say where thirds of a number end.
    """
    frames = [
        _measured(shares, test, CURVE, TEMPERATURES),
        _measured(shares, test, FOR_KL, (for_kl,)),
        _measured(shares, test, FOR_RMSE, (for_rmse,)),
        *_groups(shares, train, test, for_kl),
    ]
    return pd.concat(frames, ignore_index=True)


def transfer_rows(shares: Shares, test: Study, for_kl: float) -> pd.DataFrame:
    """A model on people of a study that it was not tuned on."""
    return _measured(shares, test, TRANSFER, (for_kl,))


def _measured(shares: Shares, test: Study, role: str, at: tuple[float, ...]) -> pd.DataFrame:
    return temperature_curve(shares, test.responses, test.response_type, at).to_frame().assign(role=role)


def _groups(shares: Shares, train: Study, test: Study, temperature: float) -> Iterator[pd.DataFrame]:
    """One row per level of each profile column with enough held-out people."""
    found = subgroups(ProfileGenerator.fit(train.profiles, train.relative_weights_N, 0))
    members_GN, answers = found.members(test.profiles), test.responses
    answered = np.unique(answers.participant_R)
    for g in range(1, len(found)):
        people = int(members_GN[g, answered].sum())
        if people < MIN_PEOPLE:
            continue
        inside = np.flatnonzero(members_GN[g, answers.participant_R])
        curve = temperature_curve(shares.take(inside), answers.take(inside), test.response_type, (temperature,))
        column, level = found.names[g]
        yield curve.to_frame().assign(role=GROUP, column=column, level=level, people=people)
