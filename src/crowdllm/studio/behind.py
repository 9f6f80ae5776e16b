"""How many of the people that a model was fitted on stand behind a choice of who is asked.

A crowd of ten thousand can be recruited from a group that three training people belong to: the number of recruits says
nothing about how much is known, this number does. It is exact where the study is at hand. A model alone keeps no
person's profile: the number is exact for levels of one column then, and else what the profile generator expects, and
said to be about.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.profiles import Profiles
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.profiles.pool import qualified
from crowdllm.simulation.groups import Groups, subgroups
from crowdllm.studio.crowd import Who

FEW = 30
"""Fewer training people than this are called few on the page."""


@dataclass(frozen=True)
class Behind:
    """people: of `of` training people; exact: counted, else expected by the profile generator."""

    people: int
    of: int
    exact: bool

    @property
    def few(self) -> bool:
        return self.people < FEW

    def words(self) -> str:
        """Such as `about 41 of 300 training people`."""
        about = "" if self.exact else "about "
        return f"{about}{self.people:,} of {self.of:,} training people"


def people_behind(generator: ProfileGenerator, who: Who, training: Profiles | None = None) -> Behind:
    """How many training people a choice lets through. training: their profiles, where the study is at hand.

    Raises UnknownNameError and ConfigError for a filter that does not fit the columns.
    """
    where = dict(who.where)
    if training is not None:
        met = qualified(training, where) if where else np.ones(len(training), dtype=bool)
        return Behind(int(met.sum()), len(training), True)
    people = generator.people
    if not where:
        return Behind(people, people, True)
    exact = len(where) == 1 and all(c.kind != "numeric" for c in generator.columns if c.name in where)
    return Behind(round(generator.share(where) * people), people, exact)


def people_in_groups(generator: ProfileGenerator, training: Profiles | None = None) -> tuple[Groups, NDArray[np.int64]]:
    """The subgroups of a model's crowds, and how many training people are in each."""
    groups = subgroups(generator)
    if training is not None:
        return groups, groups.members(training).sum(axis=1)
    counts = [generator.people]
    for c, cell in enumerate(generator.cells):
        share_L = generator.margins[c]
        known = ~np.isnan(cell.high_L)
        cut = groups.cuts[c]
        levels = sum(1 for column, _ in groups.names if column == cell.column.name) - 1
        code_L = (
            np.searchsorted(cut, cell.high_L[known], side="left")
            if cell.column.kind == "numeric"
            else cell.low_L[known].astype(int)
        )
        per_level = np.bincount(code_L, share_L[known], minlength=levels)
        counts += [round(float(share) * generator.people) for share in (*per_level, share_L[~known].sum())]
    return groups, np.array(counts, dtype=np.int64)
