"""How many more human answers, on which problems and from whom, until intervals are as narrow as wanted.

*Problems.* If the budget reaches, every problem gets as many answers as its target width needs. If not, answers go one
block after the other where the expected width (no narrower than the target, since more is not wanted) falls most per
answer. A block is the number of further answers, up to 12, with the steepest fall: a problem that has the crowd's
interval alone must often get several answers before humans say more than the crowd.

*People.* Among those who have not answered the problem, a person is worth more the fewer people like him have answered:
weighting to the wanted mix would give his answer the weight W_l / p_l, W_l the share of his level of a profile column
in the mix and p_l that among all answers (with one proportional answer beforehand), averaged over the columns; 1 is
par. Heavy weights cost precision, so those who would have them are asked. Of people who weigh the same to a tenth,
those with the fewest questions so far come first, then those whose like have answered this problem least.

*Training or rectification.* No person's answers may serve both; `learning_curve` says how many to train on, and people
are assigned to one of the two by a keyed draw.

Shapes: T problems, N people, C profile columns, R responses.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.profiles import Profiles
from crowdllm.errors import ConfigError
from crowdllm.estimation.width_model import Counts, WidthModel
from crowdllm.responses.protocol import Array
from crowdllm.rng import stable_keys, uniforms
from crowdllm.simulation.groups import Groups

BLOCK = 12
CURVE = 300
TRAINING, RECTIFICATION = "training", "rectification"


@dataclass(frozen=True)
class Allocation:
    """Further answers per problem. count_T: those there are; more_T: those to add; needed_T: those the target needs.

    before_T, after_T: expected widths. curve: (answers added, mean width, greatest width) along the way.
    """

    count_T: Counts
    more_T: Counts
    needed_T: Counts
    before_T: Array
    after_T: Array
    curve: Array

    @property
    def enough(self) -> bool:
        """Whether the target is reached on every problem."""
        return bool((self.more_T >= self.needed_T).all())


def allocate(
    model: WidthModel, count_T: Counts, square_T: Array, target: float, most: int, limit_T: Counts | None = None
) -> Allocation:
    """Where to spend at most `most` further answers.

    count_T, square_T: answers there are, and their sums of squares. limit_T: how many more each problem can get at
    all (people who have not answered it). Raises ConfigError for a negative number, or a target that is none.
    """
    if most < 0:
        raise ConfigError(f"the number of answers must be 0 or more, not {most}")
    variance_T = model.variance(count_T, square_T)
    before_T = model.best_width(count_T, variance_T)
    wanted_T = np.maximum(model.needed(variance_T, target) - count_T, 0)
    open_T = wanted_T if limit_T is None else np.minimum(wanted_T, limit_T)
    steps = _blocks(model, count_T, variance_T, target, open_T, most)
    more_T = np.zeros(len(count_T), dtype=np.int64)
    curve, width_T = [(0.0, before_T.mean(), before_T.max())], before_T.copy()
    for step, (t, size) in enumerate(steps):
        more_T[t] += size
        width_T[t] = _one_width(model, t, int(count_T[t] + more_T[t]), variance_T)
        if len(steps) <= CURVE or step % (len(steps) // CURVE) == 0:
            curve.append((float(more_T.sum()), width_T.mean(), width_T.max()))
    curve.append((float(more_T.sum()), width_T.mean(), width_T.max()))
    return Allocation(count_T, more_T, wanted_T, before_T, width_T, np.array(curve))


def _blocks(
    model: WidthModel, count_T: Counts, variance_T: Array, target: float, open_T: Counts, most: int
) -> list[tuple[int, int]]:
    """(problem, number of answers) in the order of their worth, until the budget or the need ends."""
    queue: list[tuple[float, int, int]] = []
    have_T, left = count_T.copy(), open_T.copy()
    for t in np.flatnonzero(left).tolist():
        _push(queue, model, t, have_T, left, variance_T, target)
    out: list[tuple[int, int]] = []
    while queue and most > 0:
        _, t, size = heapq.heappop(queue)
        size = min(size, int(most))
        out.append((t, size))
        most -= size
        have_T[t] += size
        left[t] -= size
        if left[t]:
            _push(queue, model, t, have_T, left, variance_T, target)
    return out


def _push(
    queue: list[tuple[float, int, int]],
    model: WidthModel,
    t: int,
    have_T: Counts,
    left_T: Counts,
    variance_T: Array,
    target: float,
) -> None:
    """Put the problem's steepest block into the queue, the greatest worth first."""
    sizes = np.arange(1, min(BLOCK, int(left_T[t])) + 1)
    one = replace(model, prior_T=model.prior_T[[t]], unasked_T=model.unasked_T[[t]])
    now = max(float(one.best_width(have_T[[t]], variance_T[[t]])[0]), target)
    then = np.maximum(_widths(model, t, have_T[t] + sizes, variance_T), target)
    now = now if np.isfinite(now) else 2 * float(then[0])  # no interval at all: worth as much as halving the first one
    worth = (now - then) / sizes
    best = int(worth.argmax())
    heapq.heappush(queue, (-float(worth[best]), t, int(sizes[best])))


def _widths(model: WidthModel, t: int, count_K: Counts, variance_T: Array) -> Array:
    """(K,) widths of one problem with so many answers."""
    same = np.full(len(count_K), 1.0)
    one = replace(model, prior_T=model.prior_T[t] * same, unasked_T=model.unasked_T[t] * same)
    return one.best_width(count_K, variance_T[t] * same)


def _one_width(model: WidthModel, t: int, count: int, variance_T: Array) -> float:
    return float(_widths(model, t, np.array([count]), variance_T)[0])


@dataclass(frozen=True)
class Ask:
    """One answer to collect. person: position among the people, -1 for somebody new.

    worth: by how much the width of the problem's interval is expected to fall.
    """

    person: int
    problem: int
    worth: float


def choose_people(
    more_T: Counts,
    before_T: Array,
    after_T: Array,
    people: Profiles,
    asked_NT: NDArray[np.bool_],
    groups: Groups,
    target_G: Array,
    seed: int = 0,
    free_NT: NDArray[np.bool_] | None = None,
) -> list[Ask]:
    """Who should give the answers: the people whose like have answered least, problem by problem.

    asked_NT: who has answered what. groups, target_G: levels of the profile columns, and their share among the people
    the estimate is for. free_NT: who can be asked what; all that has not been when None. Where nobody is left, the
    answer is somebody new's (position -1).
    """
    member_NG = groups.members(people)[1:].T.astype(float)
    share_G = target_G[1:] if len(target_G) == len(groups) else target_G
    columns = max(1, len({name for name, _ in groups.names[1:]}))
    tie_N = uniforms(seed, "planner", stable_keys(people.ids), np.zeros(len(people), dtype=np.uint64))[:, 0]
    all_N = asked_NT.sum(axis=1).astype(float)
    all_G, all_answers = all_N @ member_NG, float(all_N.sum())
    load_N = np.zeros(len(people), dtype=np.int64)
    out = []
    for t in np.flatnonzero(more_T):
        asked_N = asked_NT[:, t]
        free_N = ~asked_N if free_NT is None else free_NT[:, t] & ~asked_N
        have_G, have = member_NG[asked_N].sum(axis=0), float(asked_N.sum())
        gain = (before_T[t] - after_T[t]) / more_T[t] if np.isfinite(before_T[t]) else np.nan
        for _ in range(int(more_T[t])):
            if not free_N.any():
                out.append(Ask(-1, int(t), float(gain)))
                continue
            worth_N, own_N = np.ones(len(people)), tie_N
            if len(share_G):
                worth_N = member_NG @ _weights(share_G, all_G, all_answers) / columns
                own_N = member_NG @ _weights(share_G, have_G, have)
            i = int(np.lexsort((tie_N, -np.round(own_N, 9), load_N, -np.round(worth_N, 1), ~free_N))[0])
            load_N[i] += 1
            out.append(Ask(i, int(t), float(gain * worth_N[i])))
            free_N[i] = False
            have_G, have = have_G + member_NG[i], have + 1
            all_G, all_answers = all_G + member_NG[i], all_answers + 1
    return sorted(out, key=lambda ask: -np.nan_to_num(ask.worth, nan=np.inf))


def _weights(share_G: Array, have_G: Array, have: float) -> Array:
    """(G,) weight of one more answer of each level; 0 for levels that are not wanted."""
    present_G = (have_G + share_G) / (have + 1)
    return np.where(share_G > 0, share_G / np.maximum(present_G, 1e-12), 0.0)


def purposes(asks: list[Ask], people: Profiles, training: int, seed: int = 0) -> list[str]:
    """Whether each answer trains or rectifies; all answers of one person serve one of the two.

    training: how many answers to train on, reached as nearly as whole people allow.
    """
    if not 0 <= training <= len(asks):
        raise ConfigError(f"between 0 and {len(asks)} answers can go into training, not {training}")
    order_N = uniforms(seed, "planner:purpose", stable_keys(people.ids), np.zeros(len(people), dtype=np.uint64))[:, 0]
    answers_N = np.bincount([a.person for a in asks if a.person >= 0], minlength=len(people))
    trains_N, sum_ = np.zeros(len(people), dtype=bool), 0
    for i in np.argsort(order_N, kind="stable"):
        if answers_N[i] and sum_ + answers_N[i] / 2 <= training:
            trains_N[i] = True
            sum_ += int(answers_N[i])
    return [TRAINING if a.person >= 0 and trains_N[a.person] else RECTIFICATION for a in asks]
