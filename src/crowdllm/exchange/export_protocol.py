"""What every writer of a foreign format takes and gives: a source, a folder to write into, and what was not carried.

A writer is one module with a `WRITER = Writer(...)`. It writes whole files into a folder that is not their final place;
`crowdllm.exchange.exporting` moves them there when all is done. Every row it writes says whether it is simulated, by
which model and with which seed (`Marks`), in columns where rows can hold them, else in the file's own metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crowdllm.exchange.export_source import Source

RESPONSES, DISTRIBUTIONS, SUBGROUPS, ESTIMATES = "responses", "distributions", "subgroups", "estimates"
TABLES = (RESPONSES, DISTRIBUTIONS, SUBGROUPS, ESTIMATES)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Marks:
    """Where rows come from. model: the model's hash, "" where people answered or it is not known; seed: likewise."""

    simulated: bool
    model: str = ""
    seed: int | None = None

    @property
    def words(self) -> str:
        """The marks as one line for places that hold text only."""
        if not self.simulated:
            return "Answers of people (simulated: no)."
        model, seed = self.model or "not recorded", "not recorded" if self.seed is None else str(self.seed)
        return f"SIMULATED by crowdllm, no real person's answers; model {model}, seed {seed}."

    def columns(self, count: int) -> dict[str, Any]:
        """The three columns that each of so many rows has; the seed is missing where there is none."""
        import numpy as np
        import pandas as pd

        return {
            "simulated": np.full(count, self.simulated, dtype=bool),
            "model": pd.Categorical.from_codes(np.zeros(count, dtype=np.int64), categories=pd.Index([self.model])),
            "seed": pd.array([self.seed] * count, dtype="Int64"),
        }

    def values(self) -> dict[str, object]:
        """The same for formats of named values."""
        return {"simulated": self.simulated, "model": self.model, "seed": self.seed}


@dataclass(frozen=True)
class WriteOptions:
    """How to write.

    table: one of TABLES. slim: ids only in rows of responses, without texts and profiles.
    settings: what a format needs and a study does not say, such as `budget` of a .pb file.
    progress: called with (what is written, rows done, rows in all).
    """

    table: str
    slim: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    progress: Progress | None = None


@dataclass(frozen=True)
class Written:
    """What was written. names: the files, the one that was asked for first. rows: how many (tasks, ballots) in all.

    notes: what the format could not carry, or was changed, one line each.
    """

    names: tuple[str, ...]
    rows: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Writer:
    """One format.

    name: as in WRITERS. title: in words. suffixes: of its files; the first is the usual one. tables: what of TABLES it
    holds. write: a source to a file of this name in this folder. settings: the names that `WriteOptions.settings` may
    hold. extra: the optional group of packages it needs, "" for none.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    tables: tuple[str, ...]
    write: Callable[[Source, Path, str, WriteOptions], Written]
    settings: tuple[str, ...] = ()
    extra: str = ""
