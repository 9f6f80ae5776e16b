"""What a reproduction consists of: runs of comparisons, gathered in sections of a page, beside the paper's own rows.

A `Run` is one `Comparison` with one set of references, in a folder of its own. A `Section` of the page shows one or
several runs in one table; it may borrow rows from another section (rows that use no references are the same there,
and are computed once).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from crowdllm.embedding import TFIDF
from crowdllm.experiments.comparison import Comparison

ALL_SEEDS, QUICK_SEEDS = 10, 3
SMALL, LARGE = 20, 1000
AGGREGATORS = ("mean", "median", "majority_vote", "dawid_skene", "glad")
Protocol = Literal["recruited", "reviewers"]


@dataclass(frozen=True)
class Settings:
    """What a user chooses.

    seeds: how many random splits; 0 for the default (ten, three when quick).
    references: names as `--references` takes them, in place of the data set's own sets; None for those.
    """

    seeds: int = 0
    quick: bool = False
    embedding: str = TFIDF
    references: str | None = None

    @property
    def seed_list(self) -> tuple[int, ...]:
        return tuple(range(self.seeds or (QUICK_SEEDS if self.quick else ALL_SEEDS)))

    def fractions(self, *all_of_them: float) -> tuple[float, ...]:
        """The training fractions; the first, one in the middle and the last when quick."""
        few = (all_of_them[0], all_of_them[len(all_of_them) // 2], all_of_them[-1])
        return few if self.quick else all_of_them


@dataclass(frozen=True)
class Run:
    """One comparison in its own folder `runs/<key>`.

    references: as `--references` takes them. protocol: "recruited" (the crowd is drawn from the profile generator and
    never contains the test people) or "reviewers" (see `crowdllm.experiments.reproduce.reviewers`).
    """

    key: str
    comparison: Comparison
    references: str = "none"
    protocol: Protocol = "recruited"


@dataclass(frozen=True)
class PrintedColumn:
    """A column of a table of the paper and the metric of ours that it is set beside."""

    label: str
    metric: str
    aggregator: str = ""


@dataclass(frozen=True)
class Printed:
    """Rows as the paper prints them (CrowdLLM, arXiv 2512.07890), never mixed with ours.

    crowd_size: the crowd of our rows that stand above them.
    """

    table: str
    columns: tuple[PrintedColumn, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]
    crowd_size: int = SMALL
    note: str = ""


@dataclass(frozen=True)
class Section:
    """One heading of the page. borrowed: rows taken from another section, as (its key, names of the methods)."""

    key: str
    title: str
    words: str
    runs: tuple[Run, ...]
    borrowed: tuple[str, tuple[str, ...]] | None = None
    printed: Printed | None = None
    by_fraction: bool = False


@dataclass(frozen=True)
class Reproduction:
    """The whole configuration of one data set's page.

    pictured: key of the run and names of the methods whose distributions are drawn; empty for no picture.
    show_texts: whether the texts of problems may stand in the picture (not where they hurt, or are not ours to print).
    compare_by: the metrics in the picture of rows.
    """

    dataset: str
    title: str
    sections: tuple[Section, ...]
    not_comparable: tuple[str, ...]
    pictured_run: str = ""
    pictured: tuple[str, ...] = ()
    show_texts: bool = True
    compare_by: tuple[str, ...] = ("mae", "avg_wd")
    notes: tuple[str, ...] = field(default=())

    @property
    def runs(self) -> tuple[Run, ...]:
        return tuple(run for section in self.sections for run in section.runs)
