"""Split a study into training and test parts by problem, by participant, or by both.

`problem`: 20 % of the problems are unseen, gold is every human on them. `participant`: 20 % of the people are
unseen, on seen problems. `both`: unseen people on unseen problems (the two mixed quadrants are used by neither).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowdllm.errors import ConfigError, UnknownNameError
from crowdllm.rng import generator

if TYPE_CHECKING:
    from crowdllm.data.study import Study

SPLITS = ("problem", "participant", "both")


@dataclass(frozen=True)
class Split:
    """The two parts, and where their problems and people stand in the whole study."""

    by: str
    train: Study
    test: Study
    train_problems: NDArray[np.int64]
    test_problems: NDArray[np.int64]
    train_participants: NDArray[np.int64]
    test_participants: NDArray[np.int64]


def split_study(study: Study, by: str, fraction: float, seed: int, train_fraction: float = 1.0) -> Split:
    """Hold out `fraction` of the problems and/or people, then keep `train_fraction` of the training people.

    The people kept at a smaller training fraction are a subset of those kept at a larger one (same seed).

    Raises UnknownNameError for another kind of split, ConfigError for fractions that leave a part empty.
    """
    if by not in SPLITS:
        raise UnknownNameError("split", by, SPLITS)
    if not 0 < fraction < 1:
        raise ConfigError(f"the test fraction must lie between 0 and 1, not {fraction}")
    if not 0 < train_fraction <= 1:
        raise ConfigError(f"the training fraction must lie above 0 and at most 1, not {train_fraction}")
    rng = generator(seed, f"split:{by}")
    all_problems, all_people = np.arange(len(study.problems)), np.arange(len(study.profiles))
    train_t = test_t = all_problems
    train_n = test_n = all_people
    if by in ("problem", "both"):
        train_t, test_t = _cut(rng, all_problems, fraction, "problem")
    if by in ("participant", "both"):
        train_n, test_n = _cut(rng, all_people, fraction, "participant")
    if train_fraction < 1:
        order = generator(seed, "train_fraction").permutation(train_n)
        train_n = np.sort(order[: max(1, round(train_fraction * len(train_n)))])
    return Split(by, study.subset(train_t, train_n), study.subset(test_t, test_n), train_t, test_t, train_n, test_n)


def _cut(
    rng: np.random.Generator, rows: NDArray[np.int64], fraction: float, what: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    held = round(fraction * len(rows))
    if held < 1 or held >= len(rows):
        raise ConfigError(
            f"holding out {fraction:.0%} of {len(rows)} {what}s leaves a part empty; choose another split or fraction"
        )
    order = rng.permutation(rows)
    return np.sort(order[held:]), np.sort(order[:held])
