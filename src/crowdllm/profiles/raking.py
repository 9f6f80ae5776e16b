"""Rake to target margins: iterative proportional fitting of people's weights, or of a table, to known shares.

Each round multiplies the weights so that one margin holds, then the next, until all hold (Deming and Stephan
1940). Among all weights with these margins it finds the ones nearest to the start in Kullback-Leibler
divergence, so odds ratios inside the table stay as they were.

Margins are written `{"gender": {"Woman": 0.51, "Man": 0.49}, "age": {"18-29": 0.2, "30-120": 0.8}}`. Numeric
columns take closed ranges; where two touch, the shared value belongs to the higher. The shares of a column
are shares of the people whose value is known, and the share of missing values stays as it is, unless
"(missing)" is given a share.

Shapes: N people, G groups of one margin, L cells.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.errors import ConfigError, UnknownNameError
from crowdllm.profiles.cells import MISSING, Array

Margins = Mapping[str, Mapping[str, float]]
TOLERANCE = 1e-9
MAX_ROUNDS = 1000
_NUMBER = r"([-+]?\d+(?:\.\d+)?)"
_RANGE = re.compile(rf"{_NUMBER}\s*(?:-|–|to)\s*{_NUMBER}")
_BOUND = re.compile(rf"(>=|<=|>|<|=)?\s*{_NUMBER}\s*(\+)?")


@dataclass(frozen=True)
class Target:
    """The margin wanted for one column.

    labels: the G groups as the user wrote them. shares_G: they add up to 1.
    ranges: closed (low, high) per group for a numeric column; empty otherwise.
    """

    column: ProfileColumn
    labels: tuple[str, ...]
    shares_G: Array
    ranges: tuple[tuple[float, float], ...] = ()

    def groups(self, low_R: Array, high_R: Array | None = None) -> NDArray[np.int64]:
        """(R,) the group of each value (or of each interval low..high): G for missing, -1 for no group."""
        high_R = low_R if high_R is None else high_R
        out_R = np.full(len(low_R), -1, dtype=np.int64)
        for g, label in enumerate(self.labels):
            if label == MISSING and MISSING not in self.column.levels:
                continue
            if self.ranges:
                out_R[(low_R >= self.ranges[g][0]) & (high_R <= self.ranges[g][1])] = g
            else:
                out_R[low_R == self.column.levels.index(label)] = g
        named = self.labels.index(MISSING) if MISSING in self.labels else len(self.labels)
        out_R[np.isnan(low_R)] = len(self.labels) if MISSING in self.column.levels else named
        return out_R

    def wanted(self, groups_R: NDArray[np.int64], weights_R: Array) -> Array:
        """(G + 1,) shares to reach, the last for missing values, which keep the share they have.

        Raises ConfigError for a level with a positive target and no people, and for people in no range.
        """
        total = weights_R.sum()
        outside = float(weights_R[groups_R < 0].sum() / total)
        if outside > 0:
            raise ConfigError(
                f"margin of {self.column.name!r}: {outside:.2%} of the people are in none of the groups "
                f"{', '.join(self.labels)}; add what is missing, with a share of 0 if nobody there is wanted"
            )
        have = np.bincount(groups_R, weights_R, minlength=len(self.labels) + 1) / total
        if have[-1] >= 1:
            raise ConfigError(f"margin of {self.column.name!r}: nobody has a known value; leave this margin out")
        for g, label in enumerate(self.labels):
            if self.shares_G[g] > 0 and not have[g] > 0:
                share = f"{self.shares_G[g]:g}"
                raise ConfigError(
                    f"margin of {self.column.name!r}: {label!r} should have a share of {share}, but "
                    "nobody is there; merge it with a neighbouring group or set its share to 0"
                )
        return np.append((1 - have[-1]) * self.shares_G, have[-1])


@dataclass(frozen=True)
class Raked:
    """Weights that meet the margins. rounds: how many were needed; gap: the largest share still off."""

    weights_N: Array
    rounds: int
    gap: float

    @property
    def effective_n(self) -> float:
        """Kish's effective sample size (sum w)^2 / sum w^2: how many equal weights would vary as little."""
        return float(self.weights_N.sum() ** 2 / (self.weights_N**2).sum())


def rake(profiles: Profiles, margins: Margins, weights_N: Array | None = None, max_rounds: int = MAX_ROUNDS) -> Raked:
    """Weights of people whose margins are the targets; they add up to what they added up to before.

    weights_N: where to start; 1 each when None.

    Raises UnknownNameError for an unknown column or level, and ConfigError for shares that do not add up to
    1, a level with no people, people in no group, weights that are no weights, or no convergence (targets
    that contradict each other).
    """
    start = check_weights(weights_N, len(profiles))
    if not len(profiles):
        raise ConfigError("there is nobody to rake: the profiles are empty")
    groups, wanted = [], []
    for target in parse_margins(margins, profiles.columns):
        group_N = target.groups(profiles.values_NC[:, profiles.position(target.column.name)])
        groups.append(group_N)
        wanted.append(target.wanted(group_N, start))
    return _fit(start, groups, wanted, max_rounds)


def rake_table(table: Array, margins: Sequence[Array | None], max_rounds: int = MAX_ROUNDS) -> Array:
    """A table of any number of axes fitted to one margin per axis (None leaves an axis alone).

    Returns shares or counts with the total of `table`. Raises ConfigError as `rake` does.
    """
    table = np.asarray(table, dtype=float)
    if len(margins) != table.ndim:
        raise ConfigError(f"the table has {table.ndim} axes but {len(margins)} margins were given")
    weights = check_weights(table.reshape(-1), table.size)
    index = np.unravel_index(np.arange(table.size), table.shape)
    groups, wanted = [], []
    for axis, margin in enumerate(margins):
        if margin is None:
            continue
        labels = tuple(str(i) for i in range(len(margin)))
        if len(margin) != table.shape[axis]:
            raise ConfigError(f"axis {axis} has {table.shape[axis]} levels but its margin has {len(margin)}")
        shares = check_shares(dict(zip(labels, margin, strict=True)), f"axis {axis}")
        target = Target(ProfileColumn(f"axis {axis}", "categorical", labels), labels, shares)
        groups.append(index[axis].astype(np.int64))
        wanted.append(target.wanted(groups[-1], weights))
    return _fit(weights, groups, wanted, max_rounds).weights_N.reshape(table.shape)


def _fit(start: Array, groups: Sequence[NDArray[np.int64]], wanted: Sequence[Array], max_rounds: int) -> Raked:
    total = start.sum()
    weights = start / total
    gap, rounds = (np.inf, 0) if groups else (0.0, 0)
    while gap > TOLERANCE:
        if rounds == max_rounds:
            raise not_converged(rounds, gap)
        gap, rounds = 0.0, rounds + 1
        for group, want in zip(groups, wanted, strict=True):
            have = np.bincount(group, weights, minlength=len(want)).astype(float)
            gap = max(gap, float(np.abs(have - want).max()))
            weights = weights * ratio(want, have)[group]
    return Raked(weights * total, rounds, gap)


def ratio(want: Array, have: Array) -> Array:
    """want / have, and 0 where nobody is (left)."""
    return np.divide(want, have, out=np.zeros_like(want), where=have > 0)


def not_converged(rounds: int, gap: float) -> ConfigError:
    """What to say when the margins cannot all be met."""
    return ConfigError(
        f"raking did not converge: after {rounds} rounds a share is still off by {gap:.3g}; the targets "
        "contradict each other for the people there are, so merge small levels or drop a margin"
    )


def check_weights(weights_N: Array | None, count: int) -> Array:
    """(N,) weights as floats, 1 each when None; raises ConfigError unless they are numbers of 0 or more."""
    if weights_N is None:
        return np.ones(count)
    weights_N = np.asarray(weights_N, dtype=float)
    if weights_N.shape != (count,):
        raise ConfigError(f"{len(weights_N.reshape(-1))} weights were given for {count} people")
    wrong = np.flatnonzero(~(np.isfinite(weights_N) & (weights_N >= 0)))
    if len(wrong):
        raise ConfigError(f"weight {weights_N[wrong[0]]} of person {wrong[0]} is not a finite number of 0 or more")
    if count and not weights_N.sum() > 0:
        raise ConfigError("all weights are 0; at least one must be positive")
    return weights_N


def parse_margins(margins: Margins, columns: tuple[ProfileColumn, ...]) -> tuple[Target, ...]:
    """The targets, checked against the columns; raises UnknownNameError and ConfigError as `rake` says."""
    by_name = {c.name: c for c in columns}
    targets = []
    for name, shares in margins.items():
        if name not in by_name:
            raise UnknownNameError("profile column", name, by_name, "margins")
        column, where = by_name[name], f"margin of {name!r}"
        if column.kind == "numeric":
            labels, ranges = _ranges(tuple(shares), where)
        else:
            for label in shares:
                if label not in (*column.levels, MISSING):
                    raise UnknownNameError("level", label, column.levels, where)
            labels, ranges = tuple(shares), ()
        targets.append(Target(column, labels, check_shares(shares, where), ranges))
    return tuple(targets)


def check_shares(shares: Mapping[str, float], where: str) -> Array:
    """(G,) the shares; raises ConfigError unless each is at least 0 and they add up to 1 within 1e-6."""
    for label, share in shares.items():
        if not (isinstance(share, Real) and np.isfinite(float(share)) and share >= 0):
            raise ConfigError(f"{where}: the share of {label!r} must be a number of 0 or more, not {share!r}")
    total = float(sum(shares.values()))
    if abs(total - 1) > 1e-6:
        percent = "; these look like percentages, so divide them by 100" if abs(total - 100) < 2 else ""
        raise ConfigError(f"{where}: the shares of {', '.join(shares)} add up to {total:g}, not to 1{percent}")
    return np.array(list(shares.values()), dtype=float) / total


def parse_range(text: str) -> tuple[float, float] | None:
    """`18-29`, `>=65`, `65+`, `<18` or `30` as a closed range, open ends infinite; None for other texts."""
    text = text.strip()
    if match := _RANGE.fullmatch(text):
        return float(match.group(1)), float(match.group(2))
    match = _BOUND.fullmatch(text)
    if not match or (match.group(1) and match.group(3)):
        return None
    value = float(match.group(2))
    sign = ">=" if match.group(3) else match.group(1) or "="
    low = {">=": value, ">": float(np.nextafter(value, np.inf))}.get(sign, -np.inf)
    high = {"<=": value, "<": float(np.nextafter(value, -np.inf))}.get(sign, np.inf)
    return (low, high) if sign in (">=", ">", "<=", "<") else (value, value)


def _ranges(labels: tuple[str, ...], where: str) -> tuple[tuple[str, ...], tuple[tuple[float, float], ...]]:
    """Labels and closed, disjoint ranges of a numeric margin; an empty range stands for missing."""
    ranges: dict[str, tuple[float, float]] = {}
    for label in labels:
        parsed = (np.inf, -np.inf) if label == MISSING else parse_range(label)
        if parsed is None or (label != MISSING and parsed[0] > parsed[1]):
            raise ConfigError(
                f"{where} is numeric, so its shares need ranges such as 18-29, <18 or >=65; {label!r} is none"
            )
        ranges[label] = parsed
    order = sorted((label for label in labels if label != MISSING), key=lambda label: ranges[label])
    for lower, upper in pairwise(order):
        if ranges[lower][1] == ranges[upper][0] and ranges[lower][0] < ranges[lower][1]:
            ranges[lower] = (ranges[lower][0], float(np.nextafter(ranges[lower][1], -np.inf)))
        if ranges[lower][1] >= ranges[upper][0]:
            raise ConfigError(f"{where}: the ranges {lower!r} and {upper!r} overlap; make them disjoint")
    return labels, tuple(ranges[label] for label in labels)
