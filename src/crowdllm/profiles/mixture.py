"""A mixture of product distributions over cells (latent class model): fit, condition on a filter, rake.

    p(x) = sum_k pi_k prod_c P_kc(x_c)

Fitted by expectation-maximisation with each class's tables shrunk towards the column's own margin,
P_kc = (n_kc + a m_c) / (n_k + a), so that no cell is impossible in a class while a cell that nobody has stays
impossible in all. The number of classes and the strength a maximise the held-out log-score inside the given
people. The last step rakes the mixture to the people's own margins, which shrinkage moves a little.

Two operations are exact, because multiplying p(x) by prod_c f_c(x_c) gives such a mixture again:
P'_kc = P_kc f_c / z_kc and pi'_k prop. to pi_k prod_c z_kc with z_kc = sum P_kc f_c. A filter is f_c = 0 or
1; raking is iterative proportional fitting of f_c.

Shapes: N people (U distinct rows), C columns, L_c cells of column c, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowdllm.profiles.cells import Array
from crowdllm.profiles.raking import MAX_ROUNDS, TOLERANCE, not_converged, ratio
from crowdllm.rng import generator

CLASSES = (1, 2, 3, 4, 6, 8, 12, 16, 24)
STRENGTHS = (3.0, 10.0, 30.0)
FOLDS = 5
LEAST_PEOPLE = 5
MOST_PEOPLE_TO_CHOOSE, MOST_PEOPLE_TO_FIT = 4_000, 100_000
GAIN = 1e-3
RESTARTS = 3
SETTLED, MAX_STEPS = 10, 200
_FLOOR = 1e-300


@dataclass(frozen=True)
class Mixture:
    """class_K: shares of the classes. tables: per column (K, L_c) shares of its cells within each class."""

    class_K: Array
    tables: tuple[Array, ...]

    def margin(self, c: int) -> Array:
        """(L_c,) shares of the cells of column c."""
        return self.class_K @ self.tables[c]

    def log_score(self, codes_NC: NDArray[np.int64]) -> Array:
        """(N,) log p of each row of cells; very low for a row the mixture holds impossible."""
        joint = np.log(np.maximum(self.class_K, _FLOOR))[None, :] + np.zeros((len(codes_NC), 1))
        for c, table in enumerate(self.tables):
            joint += np.log(np.maximum(table, _FLOOR)).T[codes_NC[:, c]]
        return _log_sum(joint)[0]


def fit_mixture(codes_NC: NDArray[np.int64], sizes: Sequence[int], weights_N: Array, seed: int) -> Mixture:
    """The mixture chosen and fitted on these people, with exactly their weighted margins.

    sizes: L_c per column. Above 4,000 people the number of classes is chosen on a random 4,000 of them, above
    100,000 the classes are fitted on a random 100,000; the margins are always those of all people.
    """
    rng = generator(seed, "profiles:fit")
    margins = _margins(codes_NC, sizes, weights_N)
    chosen = _sample(rng, len(codes_NC), MOST_PEOPLE_TO_CHOOSE)
    classes, strength = choose(codes_NC[chosen], sizes, weights_N[chosen], rng)
    if classes == 1:
        return Mixture(np.ones(1), tuple(m[None] for m in margins))
    part = _sample(rng, len(codes_NC), MOST_PEOPLE_TO_FIT)
    fitted = expectation_maximisation(codes_NC[part], margins, weights_N[part], classes, strength, rng, RESTARTS)
    return rake_mixture(fitted, {c: (np.arange(len(m)), m) for c, m in enumerate(margins)})


def choose(
    codes_NC: NDArray[np.int64], sizes: Sequence[int], weights_N: Array, rng: np.random.Generator
) -> tuple[int, float]:
    """(number of classes, strength) with the best log-score on people held out in five folds.

    Stops when two larger numbers of classes in a row gain less than 0.001 nats per person.
    """
    people, varying = len(codes_NC), sum(len(np.unique(codes)) > 1 for codes in codes_NC.T)
    if people < 4 * LEAST_PEOPLE or varying < 2:
        return 1, STRENGTHS[0]
    fold_N = rng.permutation(np.arange(people) % FOLDS)
    best, choice, worse = -np.inf, (1, STRENGTHS[0]), 0
    for classes in CLASSES:
        if classes > 1 and classes * LEAST_PEOPLE * 2 > people:
            break
        scores = {
            strength: _held_out(codes_NC, sizes, weights_N, fold_N, classes, strength, rng)
            for strength in (STRENGTHS if classes > 1 else STRENGTHS[:1])
        }
        top = max(scores, key=scores.__getitem__)
        worse = 0 if scores[top] > best + GAIN else worse + 1
        if scores[top] > best + GAIN:
            best, choice = scores[top], (classes, top)
        if worse == 2:
            break
    return choice


def _held_out(
    codes_NC: NDArray[np.int64],
    sizes: Sequence[int],
    weights_N: Array,
    fold_N: NDArray[np.int64],
    classes: int,
    strength: float,
    rng: np.random.Generator,
) -> float:
    """Weighted mean log-score of held-out people; the margins leave room for cells that a fold lacks."""
    total = 0.0
    for fold in range(FOLDS):
        inside = fold_N != fold
        if not weights_N[inside].sum() > 0:
            continue
        margins = _margins(codes_NC[inside], sizes, weights_N[inside], unseen=0.5)
        fitted = expectation_maximisation(codes_NC[inside], margins, weights_N[inside], classes, strength, rng, 1)
        total += float(weights_N[~inside] @ fitted.log_score(codes_NC[~inside]))
    return total / float(weights_N.sum())


def expectation_maximisation(
    codes_NC: NDArray[np.int64],
    margins: Sequence[Array],
    weights_N: Array,
    classes: int,
    strength: float,
    rng: np.random.Generator,
    restarts: int,
) -> Mixture:
    """The best of several runs from random starts; classes that lose their people are dropped.

    margins: per column the (L_c,) shares that each class's tables are shrunk to.
    """
    sizes = [len(margin) for margin in margins]
    rows_UC, weights_U = _distinct(codes_NC, sizes, weights_N * (len(weights_N) / weights_N.sum()))
    onehot_UL, margin_L = _one_hot(rows_UC, sizes), np.concatenate(margins)
    runs = [
        _climb(onehot_UL, weights_U, margin_L, classes, strength, rng) for _ in range(restarts if classes > 1 else 1)
    ]
    _, class_K, table_KL = max(runs, key=lambda run: run[0])
    return Mixture(class_K, tuple(np.split(table_KL, np.cumsum(sizes)[:-1], axis=1)))


def _climb(
    onehot_UL: Any, weights_U: Array, margin_L: Array, classes: int, strength: float, rng: np.random.Generator
) -> tuple[float, Array, Array]:
    """One run: log-likelihood, class_K, table_KL."""
    resp_UK = rng.dirichlet(np.full(classes, 0.3), len(weights_U)) if classes > 1 else np.ones((len(weights_U), 1))
    before = -np.inf
    for step in range(MAX_STEPS):
        people_K = weights_U @ resp_UK
        while step > SETTLED and len(people_K) > 1 and people_K.min() < LEAST_PEOPLE:
            resp_UK = _without(resp_UK, int(people_K.argmin()))
            people_K = weights_U @ resp_UK
        count_KL = (onehot_UL.T @ (weights_U[:, None] * resp_UK)).T
        table_KL = (count_KL + strength * margin_L) / (people_K + strength)[:, None]
        class_K = (people_K + 0.5) / (people_K + 0.5).sum()
        joint_UK = onehot_UL @ np.log(np.maximum(table_KL, _FLOOR)).T + np.log(class_K)
        log_U, resp_UK = _log_sum(joint_UK)
        score = float(weights_U @ log_U)
        if step > SETTLED and score - before < 1e-6 * abs(score):
            break
        before = score
    return score, class_K, table_KL


def restrict(mixture: Mixture, factors: dict[int, Array]) -> Mixture:
    """The mixture multiplied by a factor per cell of some columns; a filter when the factors are 0 and 1.

    Where nothing is left every class share is 0.
    """
    tables, log_K = list(mixture.tables), np.log(np.maximum(mixture.class_K, _FLOOR))
    dead_K = ~(mixture.class_K > 0)
    for c, factor_L in factors.items():
        product = tables[c] * factor_L
        z_K = product.sum(axis=1)
        dead_K |= ~(z_K > 0)
        log_K += np.log(np.maximum(z_K, _FLOOR))
        tables[c] = np.where(z_K[:, None] > 0, product / np.maximum(z_K, _FLOOR)[:, None], tables[c])
    if dead_K.all():
        return Mixture(np.zeros(len(log_K)), tuple(tables))
    class_K = np.where(dead_K, 0, np.exp(log_K - log_K[~dead_K].max()))
    return Mixture(class_K / class_K.sum(), tuple(tables))


def rake_mixture(mixture: Mixture, targets: dict[int, tuple[NDArray[np.int64], Array]]) -> Mixture:
    """The mixture nearest in Kullback-Leibler divergence whose margins are the targets.

    targets: per column, the group of each of its cells and the share wanted of each group. Raises ConfigError
    when the margins cannot all hold.
    """
    gap, rounds = np.inf, 0
    while gap > TOLERANCE:
        if rounds == MAX_ROUNDS or not mixture.class_K.any():
            raise not_converged(rounds, gap)
        gap, rounds = 0.0, rounds + 1
        for c, (group_L, want_G) in targets.items():
            have_G = np.bincount(group_L, mixture.margin(c), minlength=len(want_G)).astype(float)
            gap = max(gap, float(np.abs(have_G - want_G).max()))
            mixture = restrict(mixture, {c: ratio(want_G, have_G)[group_L]})
    return mixture


def _log_sum(joint: Array) -> tuple[Array, Array]:
    """log of the row sums of exp(joint), and the rows' shares."""
    top = joint.max(axis=1, keepdims=True)
    share = np.exp(joint - top)
    total = share.sum(axis=1, keepdims=True)
    return (top + np.log(total))[:, 0], share / total


def _without(resp_UK: Array, k: int) -> Array:
    """Responsibilities when class k is dropped; evenly spread for who was in no other."""
    rest = np.delete(resp_UK, k, axis=1)
    total = rest.sum(axis=1, keepdims=True)
    return np.where(total > 1e-9, rest / np.maximum(total, 1e-9), 1 / rest.shape[1])


def _margins(
    codes_NC: NDArray[np.int64], sizes: Sequence[int], weights_N: Array, unseen: float = 0.0
) -> tuple[Array, ...]:
    """Per column the (L_c,) shares of its cells, `unseen` people added to each."""
    counts = [
        np.bincount(codes_NC[:, c], weights_N, minlength=size).astype(float) + unseen for c, size in enumerate(sizes)
    ]
    return tuple(count / count.sum() for count in counts)


def _one_hot(rows_UC: NDArray[np.int64], sizes: Sequence[int]) -> Any:
    """(U, sum of L_c) sparse indicator of each row's cells."""
    from scipy.sparse import csr_array

    rows, columns = rows_UC.shape
    start_C = np.cumsum([0, *sizes[:-1]])
    index = (rows_UC + start_C).reshape(-1)
    return csr_array((np.ones(rows * columns), index, np.arange(rows + 1) * columns), shape=(rows, sum(sizes)))


def _distinct(codes_NC: NDArray[np.int64], sizes: Sequence[int], weights_N: Array) -> tuple[NDArray[np.int64], Array]:
    """The distinct rows and the people on each."""
    label_N = np.zeros(len(codes_NC), dtype=np.int64)
    for c, size in enumerate(sizes):
        label_N = np.unique(label_N * size + codes_NC[:, c], return_inverse=True)[1].reshape(-1)
    _, first, back = np.unique(label_N, return_index=True, return_inverse=True)
    return codes_NC[first], np.bincount(back.reshape(-1), weights_N).astype(float)


def _sample(rng: np.random.Generator, people: int, most: int) -> NDArray[np.int64]:
    return np.sort(rng.permutation(people)[:most]) if people > most else np.arange(people)
