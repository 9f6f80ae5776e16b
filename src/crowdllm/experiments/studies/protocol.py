"""What a study of `crowdllm study run` gets (`Settings`) and gives (`Experiment`, and from its numbers `Findings`).

A study is one function `configure(settings) -> Experiment`. The experiment holds its whole config (a frozen dataclass:
whatever its numbers depend on), the pieces of work, and a function that turns their tables into findings.

A `Piece` is `action(*arguments) -> DataFrame`: a function of a module with picklable arguments, since it may run in
another process (of one thread). Its table is kept as `parts/<key>.csv`, written by rename: a run that is killed repeats
only the pieces in hand, and the findings are made from the files, so they do not depend on interruptions. An action
that raises MismatchError or ConfigError is left out for good, with its words in `parts/<key>.left-out.txt` and on the
page; one that lacks an optional package is tried again by the next run. Pieces of a later stage start when all
of the earlier ones are done, and may read what those wrote below `settings.out`.

Nothing in a piece may depend on the clock or on other pieces of its stage; randomness comes from seeds among its
arguments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crowdllm.embedding import TFIDF
from crowdllm.errors import ConfigError
from crowdllm.report.page import Block

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Tables = Mapping[str, "pd.DataFrame"]
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]{0,120}")


@dataclass(frozen=True)
class Settings:
    """What a user chooses.

    out: the study's folder. quick: a run of minutes on two cores. seed: the first of the study's seeds.
    embedding: `tfidf`, or a sentence-transformers model or path. workers: processes of one thread each; no number may
    depend on them. tuned: a tuned language model as a method's name, such as `adapter:FOLDER`, for studies in which one
    takes part (`crowdllm.experiments.studies.TAKES_TUNED`).
    """

    out: Path
    quick: bool = False
    seed: int = 0
    embedding: str = TFIDF
    workers: int = 1
    tuned: str = ""

    def seeds(self, full: int, quick: int) -> tuple[int, ...]:
        """So many seeds, from the first."""
        return tuple(range(self.seed, self.seed + (quick if self.quick else full)))


@dataclass(frozen=True)
class Data:
    """A data set, and names of its LLM references as `--references` takes them; see `data.open_data`."""

    dataset: str
    references: str = "none"


@dataclass(frozen=True)
class Piece:
    """One unit of work. kind: pieces of one kind take about as long (for the remaining time)."""

    key: str
    action: Callable[..., pd.DataFrame]
    arguments: tuple[Any, ...] = ()
    kind: str = ""
    stage: int = 0


@dataclass(frozen=True)
class Picture:
    """A picture of the findings, written as `figures/<name>.svg` and `.png`.

    draw: makes the figure, see `crowdllm.report.figure` and `crowdllm.report.curves_figure` for the common look.
    caption: what stands below it. words: what it shows, for those who cannot see it.
    """

    name: str
    draw: Callable[[], Figure]
    caption: str
    words: str


@dataclass(frozen=True)
class Findings:
    """What a study has found.

    tables: written as `<name>.csv`; put tidy tables here, that the pictures can be drawn from again.
    shows: what the numbers say, in sentences that hold the numbers. agrees, differs: where with the paper and where
    not; undecided: what the intervals of this run leave open (see `summary.Claim`); each may be empty.
    blocks: tables for the page (`report.page.Table`) and texts, below the pictures.
    """

    tables: Tables
    pictures: tuple[Picture, ...]
    shows: tuple[str, ...]
    agrees: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()
    undecided: tuple[str, ...] = ()


@dataclass(frozen=True)
class Experiment:
    """The whole of one study, before it is run.

    paper: where the paper has it, such as "Figure 4"; "" for what it does not have. question: what is asked, in a
    paragraph. config: a frozen dataclass of JSON values, everything that the numbers depend on besides the data.
    data: the data sets, checked and named on the page. limits: what is not comparable with the paper, and why.
    report: from the pieces' tables by key (those that were left out are missing) to the findings.
    """

    name: str
    title: str
    paper: str
    question: str
    config: Any
    pieces: tuple[Piece, ...]
    report: Callable[[Tables], Findings]
    data: tuple[Data, ...] = ()
    limits: tuple[str, ...] = field(default=())


def check_pieces(pieces: Sequence[Piece]) -> None:
    """Raise ConfigError for a key that is no file name, or stands twice."""
    seen: set[str] = set()
    for piece in pieces:
        if not KEY.fullmatch(piece.key):
            raise ConfigError(f"the piece key {piece.key!r} must be 1 to 121 letters, digits and . _ = + -")
        if piece.key in seen:
            raise ConfigError(f"two pieces are called {piece.key!r}; give each its own key")
        seen.add(piece.key)


def union(tables: Tables, start: str = "") -> pd.DataFrame:
    """The tables of all pieces whose key begins so, one below the other; an empty table where there is none."""
    import pandas as pd

    wanted = [table for key, table in tables.items() if key.startswith(start) and len(table)]
    return pd.concat(wanted, ignore_index=True) if wanted else pd.DataFrame()
