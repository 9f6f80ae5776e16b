"""Recruit simulated participants: profiles drawn from the joint distribution of real ones, or from margins.

The generator v_i = G_theta(S, eps_i) of CrowdLLM eq. (3) turns noise into a profile. Here G is a mixture of
product distributions over cells (see `crowdllm.profiles.mixture`): one uniform number picks a class, one per
column picks its cell, one more per numeric column the value inside the cell. With enough classes a mixture
comes as near to any joint distribution of cells as wanted, and within a cell the error is at most the cell's
width (theorem 1 of the paper). It departs from the reference code of the paper, which draws the columns
independently.

Filters and target margins change the mixture exactly before anybody is drawn, so nobody is rejected, and
person k depends only on (seed, k): recruiting more people, or block by block, gives the same people.

Shapes: N people to learn from, n recruits, C columns, K classes, L_c cells.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.errors import ConfigError, MismatchError
from crowdllm.profiles.cells import MISSING, Array, Cells, make_cells
from crowdllm.profiles.mixture import Mixture, fit_mixture, rake_mixture, restrict
from crowdllm.profiles.pool import Condition, Where, conditions
from crowdllm.profiles.raking import Margins, Target, check_weights, parse_margins
from crowdllm.rng import uniforms

PURPOSE = "recruit"
CHUNK = 1 << 16


@dataclass(frozen=True)
class ProfileGenerator:
    """A joint distribution of profiles that people can be recruited from.

    cells: what the cells of each column mean. mixture: their joint distribution.
    people: how many people it was learned from; 0 when it was made from margins.
    margins: per column the shares of the cells among those people, before any filter or raking.

    What is stored, and nothing else: per numeric column its least and greatest value and some quantiles
    between; the share of each level or interval; the shares of the classes and, per class, of each level or
    interval. No person's profile is stored, and no class stands for fewer than five people, but a level that
    one person alone has shows.
    """

    cells: tuple[Cells, ...]
    mixture: Mixture
    people: int = 0
    margins: tuple[Array, ...] = ()

    @property
    def columns(self) -> tuple[ProfileColumn, ...]:
        return tuple(c.column for c in self.cells)

    @staticmethod
    def fit(profiles: Profiles, weights_N: Array | None = None, seed: int = 0) -> ProfileGenerator:
        """Learn the joint distribution of these people, missing values included.

        weights_N: survey weights, 1 each when None; people of weight 0 are not learned from.

        Raises ConfigError when there is nobody to learn from, or for weights that are no weights.
        """
        weights = check_weights(weights_N, len(profiles))
        keep = weights > 0
        values_NC, weights = profiles.values_NC[keep], weights[keep]
        if not len(values_NC):
            raise ConfigError("profiles can be learned from at least one person; without people start from margins")
        cells = tuple(make_cells(column, values_NC[:, c]) for c, column in enumerate(profiles.columns))
        codes_NC = np.zeros(values_NC.shape, dtype=np.int64)
        for c, cell in enumerate(cells):
            codes_NC[:, c] = cell.codes(values_NC[:, c])
        mixture = fit_mixture(codes_NC, [len(cell) for cell in cells], weights, seed)
        return ProfileGenerator(cells, mixture, len(values_NC), tuple(mixture.margin(c) for c in range(len(cells))))

    @staticmethod
    def from_margins(columns: tuple[ProfileColumn, ...], margins: Margins) -> ProfileGenerator:
        """Independent columns with these margins, for when no person's profile is known.

        Every column needs a margin; a numeric one needs closed ranges such as "18-29", inside which values
        are uniform with as many decimals as the range is written with. "(missing)" may have a share.

        Raises UnknownNameError and ConfigError as `crowdllm.profiles.raking.rake` does, and ConfigError for a
        column without margin and an open range.
        """
        targets = {t.column.name: t for t in parse_margins(margins, columns)}
        for column in columns:
            if column.name not in targets:
                raise ConfigError(f"profile column {column.name!r} has no margin; every column needs one to start from")
        made = [_cells_from_target(targets[column.name]) for column in columns]
        tables = tuple(shares[None] for _, shares in made)
        return ProfileGenerator(tuple(c for c, _ in made), Mixture(np.ones(1), tables), 0, tuple(s for _, s in made))

    def independent(self) -> ProfileGenerator:
        """The same margins with columns that know nothing of each other, as the paper's reference code draws them."""
        tables = tuple(self.mixture.margin(c)[None] for c in range(len(self.cells)))
        return replace(self, mixture=Mixture(np.ones(1), tables))

    def restricted(self, where: Where) -> ProfileGenerator:
        """The generator of those who qualify; raises ConfigError when nobody can, and says what fails."""
        checked = conditions(where, self.columns)
        cut, factors = self._conditioned(checked)
        mixture = restrict(cut.mixture, factors)
        if not mixture.class_K.any():
            raise ConfigError(self._nobody(checked))
        return replace(cut, mixture=mixture)

    def share(self, where: Where) -> float:
        """The share of the distribution that qualifies, 0..1; raises as `pool.conditions` does."""
        cut, factors = self._conditioned(conditions(where, self.columns))
        share_K = cut.mixture.class_K.copy()
        for c, factor_L in factors.items():
            share_K *= cut.mixture.tables[c] @ factor_L
        return float(share_K.sum())

    def raked(self, margins: Margins) -> ProfileGenerator:
        """The generator nearest to this one whose margins are these; raises as `raking.rake` does."""
        targets = parse_margins(margins, self.columns)
        cut = self._refined({t.column.name: t.ranges for t in targets})
        wanted = {}
        for target in targets:
            c = cut._position(target.column)
            group_L = target.groups(cut.cells[c].low_L, cut.cells[c].high_L)
            share_L = cut.mixture.margin(c)
            want_G = target.wanted(group_L[share_L > 0], share_L[share_L > 0])
            wanted[c] = (np.where(group_L < 0, len(want_G) - 1, group_L), want_G)
        return replace(cut, mixture=rake_mixture(cut.mixture, wanted))

    def recruit(
        self, n: int, seed: int, start: int = 0, margins: Margins | None = None, where: Where | None = None
    ) -> Profiles:
        """Persons start..start+n-1 of the crowd of this seed, with ids "s0000000", "s0000001" and so on.

        where: only people who qualify are recruited (see `crowdllm.profiles.pool`).
        margins: target margins among those recruited, which hold in expectation (see
        `crowdllm.profiles.raking`).

        Person k depends only on (seed, k) and on `where` and `margins`. Raises ConfigError for negative
        numbers, a filter that nobody meets, and margins that cannot hold.
        """
        if n < 0 or start < 0:
            raise ConfigError(f"the number of recruits and the first one must be 0 or more, not {n} and {start}")
        source = self.restricted(where) if where else self
        source = source.raked(margins) if margins else source
        values_NC = np.empty((n, len(self.cells)))
        for first in range(0, n, CHUNK):
            stop = min(first + CHUNK, n)
            values_NC[first:stop] = source._draw(np.arange(start + first, start + stop, dtype=np.uint64), seed)
        ids = np.array([f"s{k:07d}" for k in range(start, start + n)], dtype=object)
        return Profiles(self.columns, ids, values_NC)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON; see the class for what that says about people."""
        columns = []
        for c, cell in enumerate(self.cells):
            entry: dict[str, Any] = {"name": cell.column.name, **cell.column.to_dict()}
            if cell.column.kind == "numeric":
                entry |= {"low": cell.low_L[:-1].tolist(), "high": cell.high_L[:-1].tolist()}
                entry |= {"step": cell.step, "decimals": cell.decimals}
            entry |= {"shares": self.mixture.tables[c].tolist(), "people_shares": self.margins[c].tolist()}
            columns.append(entry)
        return {"people": self.people, "classes": self.mixture.class_K.tolist(), "columns": columns}

    @staticmethod
    def from_dict(state: Mapping[str, Any]) -> ProfileGenerator:
        """Back from `to_dict`, to recruit the very same people; MismatchError when a part is lacking."""
        cells, tables, margins = [], [], []
        try:
            for entry in state["columns"]:
                column = ProfileColumn(
                    entry["name"], entry["kind"], tuple(entry.get("levels", ())), entry.get("label", "")
                )
                low = entry["low"] if column.kind == "numeric" else range(len(column.levels))
                high = entry["high"] if column.kind == "numeric" else low
                ends = [np.append(np.array(end, dtype=float), np.nan) for end in (low, high)]
                cells.append(Cells(column, ends[0], ends[1], entry.get("step", 0.0), entry.get("decimals", 0)))
                tables.append(np.array(entry["shares"], dtype=float))
                margins.append(np.array(entry["people_shares"], dtype=float))
            mixture = Mixture(np.array(state["classes"], dtype=float), tuple(tables))
            return ProfileGenerator(tuple(cells), mixture, int(state["people"]), tuple(margins))
        except KeyError as error:
            raise MismatchError(f"the saved profile generator lacks {error.args[0]!r}; fit and save it again") from None

    def _draw(self, person_R: NDArray[np.uint64], seed: int) -> Array:
        """(R, C) profiles of these persons."""
        columns = len(self.cells)
        u = uniforms(seed, PURPOSE, person_R, np.zeros(1, dtype=np.uint64), 1 + 2 * columns)
        class_R = _pick(self.mixture.class_K[None], np.zeros(len(person_R), dtype=np.int64), u[:, 0])
        out_RC = np.empty((len(person_R), columns))
        for c, cell in enumerate(self.cells):
            code_R = _pick(self.mixture.tables[c], class_R, u[:, 1 + 2 * c])
            out_RC[:, c] = cell.emit(code_R, u[:, 2 + 2 * c])
        return out_RC

    def _position(self, column: ProfileColumn) -> int:
        return [c.name for c in self.columns].index(column.name)

    def _conditioned(self, checked: tuple[Condition, ...]) -> tuple[ProfileGenerator, dict[int, Array]]:
        """The generator with cells cut at the conditions' ends, and per column the allowed cells (1 or 0)."""
        cut = self._refined({c.column.name: c.ranges for c in checked})
        where = {cut._position(condition.column): condition for condition in checked}
        return cut, {c: _allowed(cut.cells[c], condition).astype(float) for c, condition in where.items()}

    def _refined(self, ranges: Mapping[str, tuple[tuple[float, float], ...]]) -> ProfileGenerator:
        """The same distribution, with numeric cells cut at the ends of these ranges."""
        cells, tables, margins = list(self.cells), list(self.mixture.tables), list(self.margins)
        for c, cell in enumerate(self.cells):
            if ranges.get(cell.column.name):
                cells[c], parent, share = cell.refine(ranges[cell.column.name])
                tables[c], margins[c] = tables[c][:, parent] * share, margins[c][parent] * share
        return replace(
            self,
            cells=tuple(cells),
            mixture=Mixture(self.mixture.class_K, tuple(tables)),
            margins=tuple(margins),
        )

    def _nobody(self, checked: tuple[Condition, ...]) -> str:
        """Why nobody qualifies: each condition with the number of people it was met by when learning."""
        parts = []
        for condition in checked:
            c = self._position(condition.column)
            cut = self._refined({condition.column.name: condition.ranges})
            met = float(cut.margins[c][_allowed(cut.cells[c], condition)].sum())
            count = (
                f"{round(met * self.people)} of {self.people} training people" if self.people else f"share {met:.3g}"
            )
            parts.append(f"{condition} ({count}; the column has {self.cells[c].span})")
        return "no profile can satisfy the filter, so nobody qualifies: " + " and ".join(parts) + "; widen it"


def _allowed(cells: Cells, condition: Condition) -> NDArray[np.bool_]:
    """(L,) which cells meet the condition."""
    return cells.inside(condition.ranges) if cells.column.kind == "numeric" else condition.holds(cells.low_L)


def _pick(table_KL: Array, row_R: NDArray[np.int64], uniform_R: Array) -> NDArray[np.int64]:
    """(R,) the cell whose share of its row's table holds the uniform number; never a cell of share 0."""
    cumulated = np.cumsum(table_KL, axis=1)
    cumulated = np.where(cumulated >= cumulated[:, -1:], 1.0, cumulated / cumulated[:, -1:])
    flat = (cumulated + np.arange(len(table_KL))[:, None]).reshape(-1)
    found = np.searchsorted(flat, uniform_R + row_R, side="right") - row_R * table_KL.shape[1]
    return np.minimum(found, table_KL.shape[1] - 1)


def _cells_from_target(target: Target) -> tuple[Cells, Array]:
    """Cells and their shares from a margin alone."""
    column, share = target.column, dict(zip(target.labels, target.shares_G, strict=True))
    missing = 0.0 if MISSING in column.levels else float(share.get(MISSING, 0.0))
    if column.kind != "numeric":
        known = [float(share.get(level, 0.0)) for level in column.levels]
        return make_cells(column, np.zeros(0)), np.array([*known, missing])
    labels = [label for label in target.labels if label != MISSING]
    ranges = dict(zip(target.labels, target.ranges, strict=True))
    return _numeric_cells(column, [(ranges[label], label, share[label]) for label in labels], missing)


def _numeric_cells(
    column: ProfileColumn, groups: list[tuple[tuple[float, float], str, float]], missing: float
) -> tuple[Cells, Array]:
    """Cells from closed ranges, on the grid of the decimals that they are written with."""
    for (low, high), label, _ in groups:
        if not np.isfinite([low, high]).all():
            raise ConfigError(f"margin of {column.name!r}: the range {label!r} is open; give both ends, such as 65-95")
    decimals = max((len(digits) for _, label, _ in groups for digits in re.findall(r"\.(\d+)", label)), default=0)
    step, groups = 10.0**-decimals, sorted(groups)
    low_L = np.array([low for (low, _), _, _ in groups] + [np.nan])
    limit_L = np.array([high for (_, high), _, _ in groups] + [np.nan])
    high_L = np.round(low_L + step * np.round((limit_L - low_L) / step), decimals)
    high_L = np.where(high_L > limit_L, np.round(high_L - step, decimals), high_L)
    return Cells(column, low_L, high_L, step, decimals), np.array([share for *_, share in groups] + [missing])
