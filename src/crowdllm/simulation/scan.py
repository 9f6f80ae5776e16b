"""Read a simulated crowd of any size piece by piece: some problems, some people, one row group in memory at a time.

    for batch in scan("crowd", problems=["p1"], where=["age=25-29"]):
        batch.responses.values_RD, batch.people.to_frame()

A part holds all responses of its people, and a row group a range of problems, so that whole parts and whole row groups
are passed over where nobody qualifies or no problem is asked for.

Shapes: N people of a batch, T problems of the crowd, R responses of a batch, D response width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.errors import UnknownNameError
from crowdllm.profiles.pool import parse_filters, qualified
from crowdllm.responses.continuous import Continuous
from crowdllm.simulation.frame import Frame, read_frame
from crowdllm.simulation.ledger import read_ledger
from crowdllm.simulation.parts import PEOPLE, RESPONSES, part_name
from crowdllm.simulation.run import require_complete
from crowdllm.simulation.tables import read_people

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Batch:
    """Responses to all problems of the crowd in `problems`, by positions in it and in `people`.

    people: those of one part who qualify; a part comes in several batches, each with the same people.
    """

    part: int
    people: Profiles
    problems: Problems
    responses: Responses


def scan(folder: str | Path, problems: Sequence[str] | None = None, where: Sequence[str] = ()) -> Iterator[Batch]:
    """The responses in a folder that `crowdllm simulate` wrote, batch by batch, in the order of the parts.

    problems: ids of the problems to read; all when None. where: filters on profile columns such as `age=25-29,30-34`.

    Raises CrowdLLMError for a folder without stored responses, UnknownNameError for a problem or profile column that
    there is not, ConfigError for a text that is no filter; all before the first batch.
    """
    folder = Path(folder)
    require_complete(folder)
    frame = read_frame(folder)
    wanted = _wanted(frame, problems)
    pool = parse_filters(list(where), frame.columns) if where else {}
    return _batches(folder, frame, wanted, pool)


def _wanted(frame: Frame, problems: Sequence[str] | None) -> frozenset[str] | None:
    if problems is None:
        return None
    ids = [str(identity) for identity in frame.problems.ids]
    known = set(ids)
    for name in problems:
        if name not in known:
            raise UnknownNameError("problem", name, ids[:50] + ["..."] * (len(ids) > 50), "this crowd")
    return frozenset(problems)


def _batches(folder: Path, frame: Frame, wanted: frozenset[str] | None, pool: Any) -> Iterator[Batch]:
    import pyarrow.parquet as pq

    for part in sorted(read_ledger(folder)):
        people = read_people(pq.read_table(folder / part_name(PEOPLE, part)), frame.columns, frame.names)
        chosen = np.flatnonzero(qualified(people, pool)) if pool else np.arange(len(people))
        if not len(chosen):
            continue
        file = pq.ParquetFile(folder / part_name(RESPONSES, part))
        names = [frame.names.participant, frame.names.problem, frame.names.response]
        some = people.take(chosen) if pool else people
        for group in range(file.metadata.num_row_groups):
            if wanted is not None and not _may_hold(file.metadata.row_group(group), frame.names.problem, wanted):
                continue
            responses = _read(file.read_row_group(group, columns=names), frame, some, wanted)
            if len(responses):
                yield Batch(part, some, frame.problems, responses)


def _may_hold(group: Any, column: str, wanted: frozenset[str]) -> bool:
    """Whether a row group's range of problem ids leaves room for one of those wanted."""
    for c in range(group.num_columns):
        found = group.column(c)
        if found.path_in_schema == column and found.statistics is not None and found.statistics.has_min_max:
            low, high = found.statistics.min, found.statistics.max
            return any(low <= name <= high for name in wanted)
    return True


def _read(table: pa.Table, frame: Frame, people: Profiles, wanted: frozenset[str] | None) -> Responses:
    """The rows of a row group about these people and problems, as numbers."""
    person_R = _positions(table[frame.names.participant], people.ids)
    problem_R = _positions(table[frame.names.problem], frame.problems.ids, wanted)
    keep_R = (person_R >= 0) & (problem_R >= 0)
    person_R, problem_R = person_R[keep_R], problem_R[keep_R]
    column = table[frame.names.response].combine_chunks()
    if isinstance(frame.kind, Continuous):
        return Responses(person_R, problem_R, column.to_numpy()[keep_R][:, None])
    cells = column.dictionary.to_pylist()
    code_R = column.indices.to_numpy()[keep_R]
    return Responses(person_R, problem_R, _values(frame, cells, code_R, problem_R))


def _positions(
    column: pa.ChunkedArray, ids: NDArray[np.object_], wanted: frozenset[str] | None = None
) -> NDArray[np.int64]:
    """(R,) where each row's id stands among `ids`; -1 where it does not, or is not wanted."""
    chunk = column.combine_chunks()
    at = {identity: i for i, identity in enumerate(ids.tolist()) if wanted is None or identity in wanted}
    place = np.array([at.get(identity, -1) for identity in chunk.dictionary.to_pylist()], dtype=np.int64)
    taken: NDArray[np.int64] = place[chunk.indices.to_numpy()]
    return taken


def _values(
    frame: Frame, cells: list[str], code_R: NDArray[np.int64], problem_R: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(R, D) responses; each distinct cell is read once (once per set of options, for types that have them)."""
    sets: dict[tuple[str, ...], int] = {}
    set_T = np.array([sets.setdefault(options, len(sets)) for options in frame.problems.options], dtype=np.int64)
    pair_U, inverse_R = np.unique(set_T[problem_R] * len(cells) + code_R, return_inverse=True)
    options = list(sets)
    values_UD = np.zeros((len(pair_U), frame.kind.width(frame.options)))
    for u, pair in enumerate(pair_U.tolist()):
        value_D = frame.kind.read_cell(cells[pair % len(cells)], options[pair // len(cells)])
        values_UD[u, : len(value_D)] = value_D
    return values_UD[inverse_R.reshape(-1)]
