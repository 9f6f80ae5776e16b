"""Open what can be exported: a study, a simulated crowd of any size, or an estimate, as one `Source`.

A crowd is read part by part, so that no more than one row group of responses is in memory; a study comes in pieces of
at most `PIECE` responses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crowdllm.data.study import Study
from crowdllm.data.study_folder import load_study
from crowdllm.data.study_toml import STUDY_FILE
from crowdllm.errors import CrowdLLMError, DataUnavailableError
from crowdllm.exchange.distribution_rows import distribution_frame, subgroup_frame
from crowdllm.exchange.export_protocol import DISTRIBUTIONS, ESTIMATES, RESPONSES, SUBGROUPS, Marks
from crowdllm.simulation.finish import DISTRIBUTIONS as DISTRIBUTIONS_FILE
from crowdllm.simulation.finish import SUBGROUPS as SUBGROUPS_FILE
from crowdllm.simulation.frame import read_frame
from crowdllm.simulation.run import META, read_run_meta, require_whole
from crowdllm.simulation.scan import scan
from crowdllm.simulation.tables import empty_study

PIECE = 200_000
ESTIMATE_COLUMNS = ("problem", "estimate", "low", "high")
ESTIMATE_TEXTS = ("estimand", "of", "group", "interval", "note")
HUMAN = "human"
MOST_CELLS = 20_000_000
"""Table cells that a format may hold in memory where it cannot be written row by row."""


@dataclass(frozen=True)
class Source:
    """What is exported.

    place: the folder, in words. study: its title, scale, problems and profile columns; the people and responses too
    where it is a study, nobody where it is a crowd. people, responses: how many there are to be exported.
    pieces: the responses as studies, one after the other, of the same problems.
    frames: of the other tables, a function that gives each. notes: what is worth knowing of the source itself.
    """

    place: str
    marks: Marks
    study: Study
    people: int
    responses: int
    pieces: Callable[[], Iterator[Study]]
    frames: Mapping[str, Callable[[], pd.DataFrame]]
    notes: tuple[str, ...] = ()

    @property
    def tables(self) -> tuple[str, ...]:
        """What there is, of TABLES."""
        return ((RESPONSES,) if self.responses else ()) + tuple(self.frames)

    def require_small(self, cells: int, what: str) -> None:
        """Raise CrowdLLMError where a format that is made in memory would take too many cells."""
        if cells > MOST_CELLS:
            raise CrowdLLMError(
                f"{self.place}: {what} would have {cells:,} cells, and it is made in memory, where at most "
                f"{MOST_CELLS:,} are allowed: export to csv or parquet, which are written row by row, or export "
                "the distributions (--table distributions)"
            )


def open_source(source: str | Path | Study) -> Source:
    """What is in a folder that this project wrote, or in a study.

    Raises CrowdLLMError for a folder that is none of these, not complete or damaged.
    """
    if isinstance(source, Study):
        return _of_study(source, source.title or "the study", _told_marks(source))
    folder = Path(source)
    meta = read_run_meta(folder)
    if meta is not None and "plan" in meta:
        return _of_crowd(folder, meta)
    if not folder.is_dir():
        raise DataUnavailableError(f"{folder} is no folder; name a study, a simulated crowd or an estimate")
    if not (folder / STUDY_FILE).is_file() and (folder / META).is_file():
        return _of_estimate(folder)
    study = load_study(folder)
    marks = _told_marks(study) if meta is None else _meta_marks(meta, study.simulated)
    return _of_study(study, str(folder), marks)


def _of_study(study: Study, place: str, marks: Marks) -> Source:
    def pieces() -> Iterator[Study]:
        for start in range(0, len(study.responses), PIECE):
            rows = np.arange(start, min(start + PIECE, len(study.responses)))
            yield replace(study, responses=study.responses.take(rows))

    frames: dict[str, Callable[[], pd.DataFrame]] = {}
    if len(study.responses):
        frames[DISTRIBUTIONS] = lambda: distribution_frame(study, marks)
        if any(column.kind != "numeric" for column in study.profiles.columns):
            frames[SUBGROUPS] = lambda: subgroup_frame(study, marks)
    notes: tuple[str, ...] = ()
    if marks.simulated and not marks.model:
        notes = ("the study does not say which model simulated it; `crowdllm simulate` writes folders that do",)
    return Source(place, marks, study, len(study.profiles), len(study.responses), pieces, frames, notes)


def _of_crowd(folder: Path, meta: Mapping[str, Any]) -> Source:
    require_whole(folder)
    frame = read_frame(folder)
    marks = Marks(True, frame.stamp.model, frame.stamp.seed)
    study = empty_study(frame.kind, frame.problems, frame.columns)
    study = replace(study, title=frame.title, simulated=True, source=(marks.words,))
    stored = int(meta.get("stored", 0))
    texts = ("majority_vote",) if frame.kind.kind == "choice" else ()

    def pieces() -> Iterator[Study]:
        for batch in scan(folder):
            yield replace(study, profiles=batch.people, responses=batch.responses)

    frames: dict[str, Callable[[], pd.DataFrame]] = {
        DISTRIBUTIONS: lambda: _with_texts(_read_csv(folder / DISTRIBUTIONS_FILE, texts), study)
    }
    if (folder / SUBGROUPS_FILE).is_file():
        frames[SUBGROUPS] = lambda: _with_texts(_read_csv(folder / SUBGROUPS_FILE, texts), study)
    notes = []
    if stored < int(meta.get("responses", 0)):
        notes.append(f"of {meta['responses']:,} simulated responses {stored:,} are stored; distributions count all")
    return Source(str(folder), marks, study, int(meta["participants"]), stored, pieces, frames, tuple(notes))


def _of_estimate(folder: Path) -> Source:
    """A folder with meta.json and a table of estimates, which is known by its columns."""
    meta = _read_meta(folder)
    tables = sorted(folder.glob("*.csv"))
    chosen = next((path for path in tables if set(ESTIMATE_COLUMNS) <= set(_header(path))), None)
    if chosen is None:
        raise CrowdLLMError(
            f"{folder} holds no study, no simulated crowd and no estimates (a .csv file with the columns "
            f"{', '.join(ESTIMATE_COLUMNS)}), so there is nothing to export"
        )
    marks = _meta_marks(meta, True)

    def frame() -> pd.DataFrame:
        table = _read_csv(chosen, ESTIMATE_TEXTS)
        for name, value in marks.columns(len(table)).items():
            if name not in table.columns:
                table[name] = value
        if "interval" in table.columns:  # those of humans alone have nothing simulated in them
            table["simulated"] &= table["interval"] != HUMAN
        return table

    others = [path.name for path in tables if path != chosen]
    notes = (f"other tables in the folder are not exported: {', '.join(others)}",) if others else ()
    told = [str(line) for key in ("notes", "warnings") if isinstance(meta.get(key), list) for line in meta[key]]
    nothing = replace(_no_study(str(meta.get("study", "")) or folder.name), source=tuple(told))
    return Source(str(folder), marks, nothing, 0, 0, lambda: iter(()), {ESTIMATES: frame}, notes)


def _header(path: Path) -> list[str]:
    try:
        return [str(name) for name in pd.read_csv(path, nrows=0).columns]
    except (OSError, ValueError):
        return []


def _no_study(title: str) -> Study:
    from crowdllm.data.problems import Problems
    from crowdllm.responses.continuous import Continuous

    none = np.zeros(0, dtype=object)
    return replace(empty_study(Continuous(), Problems(none, none), ()), title=title, simulated=True)


def _read_meta(folder: Path) -> dict[str, Any]:
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CrowdLLMError(f"{folder / META} cannot be read: {error}") from None
    if not isinstance(meta, dict):
        raise CrowdLLMError(f"{folder / META} is no table of settings; was it written by crowdllm?")
    return meta


def _meta_marks(meta: Mapping[str, Any], simulated: bool) -> Marks:
    """The marks that a meta.json tells, under the names that this project uses."""
    model = next((str(meta[key]) for key in ("model_hash", "model") if isinstance(meta.get(key), str)), "")
    seed = meta.get("seed")
    known = isinstance(seed, int) and not isinstance(seed, bool)
    return Marks(bool(meta.get("simulated", simulated)), model[:16], seed if known else None)


def _told_marks(study: Study) -> Marks:
    """The marks of a study by its source lines, as `crowdllm.simulation` writes them."""
    if not study.simulated:
        return Marks(False)
    told = "\n".join(study.source)
    stamped = re.search(r"^Model ([0-9a-f]{16}), seed (\d+)\.$", told, re.MULTILINE)
    if stamped:
        return Marks(True, stamped.group(1), int(stamped.group(2)))
    drawn = re.search(r"; crowd seed (\d+)\.$", told, re.MULTILINE)
    return Marks(True, "", int(drawn.group(1)) if drawn else None)


def _read_csv(path: Path, texts: Sequence[str] = ()) -> pd.DataFrame:
    """A table that this project wrote: empty cells are missing, and no word is. texts: further columns of texts."""
    words = dict.fromkeys(("problem", "column", "level", "model", *texts), str)
    try:
        return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=words | {"seed": "Int64"})
    except (OSError, ValueError) as error:
        raise CrowdLLMError(f"{path} cannot be read: {error}") from None


def _with_texts(table: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The problems' texts beside their ids."""
    if "text" in table.columns or "problem" not in table.columns:
        return table
    texts = dict(zip(study.problems.ids.tolist(), study.problems.texts.tolist(), strict=True))
    place = list(table.columns).index("problem") + 1
    table.insert(place, "text", [texts.get(problem, "") for problem in table["problem"]])
    return table
