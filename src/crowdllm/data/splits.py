"""Split a study into training and test parts by problem, by participant, by both, or by option.

`problem`: 20 % of the problems are unseen, gold is every human on them. `participant`: 20 % of the people are
unseen, on seen problems. `both`: unseen people on unseen problems (the two mixed quadrants are used by neither).

`option`, for ballots: 20 % of each problem's options are unseen, and 20 % of the people. Training ballots say nothing
of the unseen options: those columns are cut off, so that a ballot may name fewer options than the study's rules ask
for, or none. Test ballots are whole. In both parts the seen options come first, in their old order, then the unseen
ones (which training problems do not have): `Split.option_order_TM` says where each came from.

Shapes: T problems, M options, R responses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.problems import widest
from crowdllm.errors import ConfigError, UnknownNameError
from crowdllm.responses.ballot import Ballot
from crowdllm.rng import generator

if TYPE_CHECKING:
    from crowdllm.data.study import Study

SPLITS = ("problem", "participant", "both", "option")


@dataclass(frozen=True)
class Split:
    """The two parts, and where their problems and people stand in the whole study.

    option_order_TM: for the split by option, the whole study's position of each column of its T problems, -1 where a
    problem has fewer options; seen_T: how many of them, the first ones, training problems have. None for other splits.
    """

    by: str
    train: Study
    test: Study
    train_problems: NDArray[np.int64]
    test_problems: NDArray[np.int64]
    train_participants: NDArray[np.int64]
    test_participants: NDArray[np.int64]
    option_order_TM: NDArray[np.int64] | None = None
    seen_T: NDArray[np.int64] | None = None

    @property
    def unseen_TM(self) -> NDArray[np.bool_] | None:
        """Which columns of the test problems are options that no training problem has; None for other splits."""
        if self.option_order_TM is None or self.seen_T is None:
            return None
        later = np.arange(self.option_order_TM.shape[1]) >= self.seen_T[:, None]
        return np.asarray((self.option_order_TM >= 0) & later)


def split_study(study: Study, by: str, fraction: float, seed: int, train_fraction: float = 1.0) -> Split:
    """Hold out `fraction` of the problems, options and/or people, then keep `train_fraction` of the training people.

    The people kept at a smaller training fraction are a subset of those kept at a larger one (same seed).

    Raises UnknownNameError for another kind of split, ConfigError for fractions that leave a part empty, and for a
    split by option of responses other than ballots.
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
    if by in ("participant", "both", "option"):
        train_n, test_n = _cut(rng, all_people, fraction, "participant")
    if train_fraction < 1:
        order = generator(seed, "train_fraction").permutation(train_n)
        train_n = np.sort(order[: max(1, round(train_fraction * len(train_n)))])
    train, test = study.subset(train_t, train_n), study.subset(test_t, test_n)
    whole = Split(by, train, test, train_t, test_t, train_n, test_n)
    return _by_option(whole, rng, fraction) if by == "option" else whole


def _by_option(whole: Split, rng: np.random.Generator, fraction: float) -> Split:
    """The split with the options that are unseen moved to the end, and cut off the training part."""
    kind, problems = whole.test.response_type, whole.test.problems
    if not isinstance(kind, Ballot):
        raise ConfigError(f"a split by option needs ballots; these are {kind.kind} responses: choose another split")
    order = np.full((len(problems), widest(problems, kind)), -1)
    seen = np.zeros(len(problems), dtype=np.int64)
    for t, count in enumerate(problems.option_counts):
        kept, held = _cut(rng, np.arange(count), fraction, "option")
        order[t, :count], seen[t] = np.r_[kept, held], len(kept)
    test_options = tuple(
        tuple(options[m] for m in row if m >= 0) for row, options in zip(order, problems.options, strict=True)
    )
    train_options = tuple(options[:s] for options, s in zip(test_options, seen, strict=True))
    parts = []
    for part, options in ((whole.train, train_options), (whole.test, test_options)):
        values = reordered(part.responses.values_RD, order[part.responses.problem_R])
        answers = replace(part.responses, values_RD=values)
        parts.append(replace(part, problems=replace(part.problems, options=options), responses=answers))
    train, test = (replace(part, response_type=replace(kind, max_options=order.shape[1])) for part in parts)
    visible = np.arange(order.shape[1]) < seen[train.responses.problem_R, None]
    values = np.where(visible, train.responses.values_RD, 0.0)
    train = replace(train, responses=replace(train.responses, values_RD=values))
    return replace(whole, train=train, test=test, option_order_TM=order, seen_T=seen)


def reordered(values_RM: NDArray[np.float64], order_RM: NDArray[np.int64]) -> NDArray[np.float64]:
    """(R, M) the columns in the given order, 0 where it is -1; NaN rows stay NaN."""
    moved = np.take_along_axis(values_RM, np.maximum(order_RM, 0), axis=1)
    return np.where((order_RM >= 0) | np.isnan(moved), moved, 0.0)


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
