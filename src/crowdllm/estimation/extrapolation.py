"""The training mix against the recruited mix: where a crowd speaks for profiles that its model has never seen.

Three things are counted, from the least to the most that a model must invent:

- *rare levels*: a level (or third of a number) that fewer than 10 training people had, but recruits have;
- *unseen levels*: nobody had it, or a number lies outside the range that was seen;
- *unseen pairs*: both levels were seen, but never in one person (needs the training people's profiles).

The model answers for such recruits all the same: from the population and from what levels do singly. Nothing in the
training responses says whether that is right, so an estimate that leans on them deserves a warning.

Shapes: N people, C columns, G groups (levels and thirds of all columns).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.profiles import Profiles, require_same_columns
from crowdllm.errors import ConfigError
from crowdllm.simulation.groups import Groups

Array = NDArray[np.float64]
RARE = 10
WORTH_A_WARNING = 0.01
LISTED = 4


@dataclass(frozen=True)
class MixRow:
    """One level of one column: how many training people had it, its (weighted) share of them and of the recruits.

    state: "seen", "rare", "unseen", or "not recruited" where no recruit has it.
    """

    column: str
    level: str
    training_people: int
    training_share: float
    recruited_share: float
    state: str


@dataclass(frozen=True)
class PairRow:
    """Two levels that recruits have together and no training person had; share of the recruits."""

    columns: str
    levels: str
    recruited_share: float


@dataclass(frozen=True)
class MixReport:
    """rows: every level; pairs: unseen pairs, most recruited first.

    out_of_range: share of recruits with a number outside the training people's range. beyond: share of recruits with
    any unseen level, number out of range, or unseen pair. rare: share with a rare level (and nothing of these).
    """

    rows: tuple[MixRow, ...]
    pairs: tuple[PairRow, ...]
    out_of_range: float
    beyond: float
    rare: float
    training_people: int
    recruited: int

    def frame(self) -> pd.DataFrame:
        """A row per level, for a CSV."""
        names = [field.name for field in fields(MixRow)]
        return pd.DataFrame([[getattr(r, n) for n in names] for r in self.rows], columns=names)

    def warnings(self) -> list[str]:
        """What to tell the user; empty where the crowd stays within what was seen."""
        lines = []
        if self.beyond > WORTH_A_WARNING:
            lines.append(
                f"the crowd extrapolates: {self.beyond:.0%} of the simulated people have profiles beyond those of the "
                f"{self.training_people:,} training people; estimates that lean on them rest on no human answer"
            )
        unseen = [r for r in self.rows if r.state == "unseen" and r.recruited_share > 0]
        rare = sorted((r for r in self.rows if r.state == "rare"), key=lambda r: -r.recruited_share)
        lines += [f"{_who(r)}, which no training person was" for r in unseen[:LISTED]]
        lines += [f"{_who(r)}, which only {r.training_people} training people were" for r in rare[:LISTED]]
        more = max(len(unseen) - LISTED, 0) + max(len(rare) - LISTED, 0)
        if more:
            lines.append(
                f"{more} more levels of the profile were seen in few training people, or in none: see the table"
            )
        if self.out_of_range > 0:
            lines.append(f"{self.out_of_range:.0%} of the simulated people have a number outside the range ever seen")
        shown = [p for p in self.pairs if p.recruited_share > WORTH_A_WARNING][:3]
        lines += [f"{p.recruited_share:.0%} are {p.levels} ({p.columns}), seen singly, never together" for p in shown]
        return lines


def compare_mix(
    training: Profiles, recruited: Profiles, groups: Groups, rare: int = RARE, weight_N: Array | None = None
) -> MixReport:
    """The training people against the recruits, level by level and in pairs of columns.

    groups: as `crowdllm.simulation.groups.subgroups(model.generator)` gives. weight_N: survey weights of the training
    people, which count in their shares (not in how many were seen). Raises MismatchError for other columns, ConfigError
    where either side has nobody.
    """
    require_same_columns(training.columns, recruited.columns)
    if not len(training) or not len(recruited):
        raise ConfigError("a mix needs people on both sides: training people and recruits")
    seen_GN, crowd_GN = groups.members(training)[1:], groups.members(recruited)[1:]
    names = groups.names[1:]
    count_G, share_G = seen_GN.sum(axis=1), crowd_GN.mean(axis=1) if len(names) else np.zeros(0)
    weight_N = np.ones(len(training)) if weight_N is None else weight_N
    own_G = seen_GN @ weight_N / weight_N.sum()
    rows = tuple(
        MixRow(column, level, int(n), float(own), float(share), _state(int(n), float(share), rare))
        for (column, level), n, own, share in zip(names, count_G, own_G, share_G, strict=True)
        if n or share
    )
    outside_N = _outside(training, recruited)
    pairs, pair_N = _unseen_pairs(names, seen_GN, crowd_GN)
    unseen_N = crowd_GN[count_G == 0].any(axis=0)
    beyond_N = unseen_N | outside_N | pair_N
    rare_N = crowd_GN[(count_G > 0) & (count_G < rare)].any(axis=0) & ~beyond_N
    beyond, few = float(beyond_N.mean()), float(rare_N.mean())
    return MixReport(rows, pairs, float(outside_N.mean()), beyond, few, len(training), len(recruited))


def _who(row: MixRow) -> str:
    return f"{row.recruited_share:.1%} of the simulated people are {row.column} {row.level!r}"


def _state(people: int, recruited: float, rare: int) -> str:
    if recruited == 0:
        return "not recruited"
    return "unseen" if people == 0 else "rare" if people < rare else "seen"


def _outside(training: Profiles, recruited: Profiles) -> NDArray[np.bool_]:
    """(N,) recruits with a number beyond what any training person had."""
    outside_N = np.zeros(len(recruited), dtype=bool)
    for c, column in enumerate(training.columns):
        known = training.values_NC[:, c]
        known = known[~np.isnan(known)]
        if column.kind == "numeric" and len(known):
            value_N = recruited.values_NC[:, c]
            outside_N |= (value_N < known.min()) | (value_N > known.max())
    return outside_N


def _unseen_pairs(
    names: tuple[tuple[str, str], ...], seen_GN: NDArray[np.bool_], crowd_GN: NDArray[np.bool_]
) -> tuple[tuple[PairRow, ...], NDArray[np.bool_]]:
    """Pairs of levels of different columns, each seen, never together; and (N,) the recruits who have one."""
    together_GG = seen_GN.astype(float) @ seen_GN.astype(float).T
    crowd_share_GG = crowd_GN.astype(float) @ crowd_GN.astype(float).T / max(crowd_GN.shape[1], 1)
    has_N, found = np.zeros(crowd_GN.shape[1], dtype=bool), []
    for a, b in combinations(range(len(names)), 2):
        seen_singly = together_GG[a, a] > 0 and together_GG[b, b] > 0
        if names[a][0] == names[b][0] or together_GG[a, b] or not crowd_share_GG[a, b] or not seen_singly:
            continue
        has_N |= crowd_GN[a] & crowd_GN[b]
        columns, levels = f"{names[a][0]}, {names[b][0]}", f"{names[a][1]} and {names[b][1]}"
        found.append(PairRow(columns, levels, float(crowd_share_GG[a, b])))
    return tuple(sorted(found, key=lambda p: -p.recruited_share)), has_N
