"""`svr`: support vector regression of single responses on problem features and profile.

The kernel is exp(-gamma (|x_t - x_s|^2 + |v_i - v_s|^2)), a product of a part of the item and a part of the person, so
that predictions for all pairs need each part once. gamma and C are chosen on held-out training problems (people where
there are fewer than 60 problems), with a squared error.

An SVR gives a number, near the conditional median, and no distribution. The held-out responses say how the number goes
with the responses: for scales by a cumulative probit in it, P(y <= m) = Phi(tau_m - b f), for numbers by a line with
normal residuals, for options by a line. That is what a crowd is simulated from, and the log score.

At most 8,000 rows are used (3,000 while choosing), of responses drawn at random: training takes time that grows with
their square. With them, `offensiveness` (10,400 training responses) takes about ten seconds.

Shapes: S support rows, O rows, I items, N participants, F item features, V profile width, M levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtr, ndtri

from crowdllm.data.profiles import ProfileEncoder, Profiles
from crowdllm.data.study import Study
from crowdllm.methods.individual import (
    IndividualSimulator,
    ItemFeatures,
    Rows,
    columns,
    individual_simulator,
    training_rows,
)
from crowdllm.methods.protocol import Progress
from crowdllm.reference import References
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import Array, ResponseType
from crowdllm.rng import generator

MOST_ROWS, ROWS_TO_CHOOSE = 8_000, 3_000
GAMMAS = (0.1, 0.3, 1.0)
COSTS = (0.3, 1.0, 3.0)
CHUNK = 4096
FEWEST_HELD_OUT = 20
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Scaler:
    """Columns centred and divided by one number per block, so that each block has a mean squared length of 1."""

    center_F: Array
    unit_F: Array

    @staticmethod
    def fit(*blocks: Array) -> Scaler:
        center = [block.mean(axis=0) for block in blocks]
        spread = [np.sqrt(max(float(block.var(axis=0).sum()), 1e-12)) for block in blocks]
        unit = [np.full(block.shape[1], s) for block, s in zip(blocks, spread, strict=True)]
        return Scaler(np.concatenate(center), np.concatenate(unit))

    def __call__(self, rows: Array) -> Array:
        return (rows - self.center_F) / self.unit_F


@dataclass(frozen=True)
class Regression:
    """f(i, t) = offset + sum_s weight_s k(x_t, x_s) k(v_i, v_s)."""

    x_SF: Array
    v_SV: Array
    weight_S: Array
    offset: float
    gamma: float

    def __call__(self, x_IF: Array, v_NV: Array, item_O: Index, person_O: Index) -> Array:
        """(O,) predictions."""
        items, item_O = np.unique(item_O, return_inverse=True)
        people, person_O = np.unique(person_O, return_inverse=True)
        of_item = _kernel(x_IF[items], self.x_SF, self.gamma)
        of_person = _kernel(v_NV[people], self.v_SV, self.gamma) * self.weight_S
        if 4 * len(item_O) > len(people) * len(items):  # nearly all pairs: one matrix product has them all
            return np.asarray((of_person @ of_item.T)[person_O, item_O] + self.offset)
        out = np.full(len(item_O), self.offset)
        for start in range(0, len(item_O), CHUNK):
            rows = slice(start, start + CHUNK)
            out[rows] += np.einsum("os,os->o", of_item[item_O[rows]], of_person[person_O[rows]])
        return out


def fit(
    train: Study, references: References | None, embedding: str, seed: int, progress: Progress | None = None
) -> IndividualSimulator:
    """Raises MismatchError where nobody answered."""
    kind = train.response_type
    features = ItemFeatures.fit(train, references, embedding, seed)
    items = features.items(train.problems, references)
    encoder = ProfileEncoder.fit(train.profiles)
    v_NV = encoder.encode(train.profiles).astype(np.float64)
    scale_x = Scaler.fit(items.reference_IF, items.x_IX.astype(np.float64))
    scale_v = Scaler.fit(v_NV)
    x_IF, v_NV = scale_x(columns(items)), scale_v(v_NV)
    rows = training_rows(train, items, MOST_ROWS, seed, "svr")
    chosen = _choose(_at_most(rows, ROWS_TO_CHOOSE, seed), x_IF, v_NV)
    spread = _spread(kind, rows, x_IF, v_NV, chosen)
    regression = _train(rows, x_IF, v_NV, *chosen)

    def predict(item_IF: Array, people: Profiles, item_O: Index, person_O: Index) -> Array:
        score_O = regression(scale_x(item_IF), scale_v(encoder.encode(people).astype(np.float64)), item_O, person_O)
        return _distribution(kind, score_O, spread)

    return individual_simulator(train, features, predict, seed)


def _at_most(rows: Rows, most: int, seed: int) -> Rows:
    if len(rows) <= most:
        return rows
    return rows.take(np.sort(generator(seed, "svr:subsample").permutation(len(rows))[:most]))


def _train(rows: Rows, x_IF: Array, v_NV: Array, gamma: float, cost: float) -> Regression:
    """An SVR on these rows; a target without any spread is predicted as it is."""
    from sklearn.svm import SVR

    x_OF, v_OV = x_IF[rows.item_O], v_NV[rows.person_O]
    center, unit = float(rows.target_O.mean()), float(rows.target_O.std())
    if unit < 1e-9:
        return Regression(x_OF[:1], v_OV[:1], np.zeros(1), center, gamma)
    model: Any = SVR(gamma=gamma, C=cost, epsilon=0.1, cache_size=400)
    both = np.c_[x_OF, v_OV] if x_OF.shape[1] + v_OV.shape[1] else np.zeros((len(rows), 1))
    model.fit(both, (rows.target_O - center) / unit)
    support = model.support_
    weight_S = unit * model.dual_coef_[0]
    return Regression(x_OF[support], v_OV[support], weight_S, center + unit * float(model.intercept_[0]), gamma)


def _choose(rows: Rows, x_IF: Array, v_NV: Array) -> tuple[float, float]:
    """gamma and C with the lowest squared error on the held-out rows; the middle of the grid where there are few."""
    kept, held = rows.take(~rows.held_O), rows.take(rows.held_O)
    if len(held) < FEWEST_HELD_OUT or not len(kept):
        return GAMMAS[1], COSTS[1]
    losses = {}
    for gamma, cost in product(GAMMAS, COSTS):
        score = _train(kept, x_IF, v_NV, gamma, cost)(x_IF, v_NV, held.item_O, held.person_O)
        design = np.c_[np.ones(len(score)), score]
        line = np.linalg.lstsq(design, held.target_O, rcond=None)[0]  # what `_spread` does about it, for every type
        losses[gamma, cost] = float(((held.target_O - design @ line) ** 2).mean())
    return min(losses, key=lambda setting: losses[setting])


def _spread(kind: ResponseType, rows: Rows, x_IF: Array, v_NV: Array, chosen: tuple[float, float]) -> Array:
    """How responses go with scores, from rows that were held out (all rows where there are few)."""
    kept, held = rows.take(~rows.held_O), rows.take(rows.held_O)
    if len(held) < FEWEST_HELD_OUT or not len(kept):
        kept = held = rows
    score = _train(kept, x_IF, v_NV, *chosen)(x_IF, v_NV, held.item_O, held.person_O)
    if isinstance(kind, Ordinal):
        return fit_probit(score, held.target_O.astype(np.int64), len(kind.levels))
    line = np.polyfit(score, held.target_O, 1) if score.std() > 1e-9 else np.array([0.0, held.target_O.mean()])
    residual = held.target_O - np.polyval(line, score)
    return np.r_[line, max(float(residual.std()), 1e-6)]


def fit_probit(score_O: Array, level_O: Index, levels: int) -> Array:
    """(M,) cut points tau_1..tau_{M-1}, then the slope b of P(y <= m) = Phi(tau_m - b f), by maximum likelihood.

    Half a response is added to every level, so that none has probability 0; normal priors of SD 10 on all.
    """
    shares = np.bincount(level_O, minlength=levels) + 0.5
    below = np.cumsum(shares / shares.sum())[:-1]
    center, unit = score_O.mean(), max(float(score_O.std()), 1e-9)
    z_O = (score_O - center) / unit
    start = np.r_[ndtri(below[0]), np.log(np.diff(ndtri(below))), 0.0] if levels > 2 else np.r_[ndtri(below), 0.0]

    def loss(theta: Array) -> float:
        cuts, slope = _cuts(theta)
        p_OM = np.diff(ndtr(cuts - slope * z_O[:, None]), axis=1, prepend=0.0, append=1.0)
        given = np.maximum(p_OM[np.arange(len(level_O)), level_O], 1e-12)
        pseudo = np.maximum(np.diff(ndtr(cuts), prepend=0.0, append=1.0), 1e-12)
        return float(-np.log(given).sum() - 0.5 * np.log(pseudo).sum() + 0.005 * (theta**2).sum())

    cuts, slope = _cuts(minimize(loss, start, method="L-BFGS-B").x)
    return np.r_[cuts + slope * center / unit, slope / unit]


def _cuts(theta: Array) -> tuple[Array, float]:
    """Rising cut points from the first one and the logarithms of the gaps."""
    gaps = np.exp(np.clip(theta[1:-1], -12, 4))
    return theta[0] + np.r_[0.0, np.cumsum(gaps)], float(theta[-1])


def _distribution(kind: ResponseType, score_O: Array, spread: Array) -> Array:
    if isinstance(kind, Ordinal):
        p_OM = np.diff(ndtr(spread[:-1] - spread[-1] * score_O[:, None]), axis=1, prepend=0.0, append=1.0)
        return np.maximum(p_OM, 1e-12)
    line: Array = np.asarray(np.polyval(spread[:2], score_O), dtype=np.float64)
    if isinstance(kind, Continuous):
        return np.c_[line, np.full(len(line), np.log(spread[2]))]
    return line[:, None]


def _kernel(a_AF: Array, b_SF: Array, gamma: float) -> Array:
    square = (a_AF**2).sum(axis=1)[:, None] + (b_SF**2).sum(axis=1) - 2 * a_AF @ b_SF.T
    return np.asarray(np.exp(-gamma * np.maximum(square, 0)), dtype=np.float64)
