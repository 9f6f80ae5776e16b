"""The tables of one part as Parquet bytes: profiles, and responses row group by row group.

Every row says that it is simulated, by which model and with which seed, in columns that cost next to nothing since they
hold one value; the same stands in each file's key-value metadata. Ids, levels and responses are dictionary-encoded.

Shapes: N people, R responses.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.data.study_folder import study_files
from crowdllm.responses.protocol import ResponseType
from crowdllm.simulation.cells import response_column, response_type_of_column

if TYPE_CHECKING:
    import pyarrow as pa

DICTIONARY_BYTES, BATCH = 1 << 24, 1 << 16
MARKS = ("simulated", "model", "seed")


@dataclass(frozen=True)
class Stamp:
    """What every row and file says of where it came from: the model's hash, the seed, and the run's hash."""

    model_hash: str
    seed: int
    run: str

    @property
    def model(self) -> str:
        """The model's hash as it stands in rows."""
        return self.model_hash[:16]

    def metadata(self, part: int) -> dict[str, str]:
        """Key-value metadata of the files of a part."""
        values = {"simulated": "true", "model_hash": self.model_hash, "seed": str(self.seed), "run": self.run}
        return {f"crowdllm.{key}": value for key, value in (values | {"part": str(part)}).items()}


@dataclass(frozen=True)
class Names:
    """What the columns of participants, problems and responses are called, clear of profile columns' names."""

    participant: str
    problem: str
    response: str


def column_names(response_type: ResponseType, problems: Problems, columns: tuple[ProfileColumn, ...]) -> Names:
    """The names under which a study folder of these problems and profile columns keeps its tables."""
    header = study_files(empty_study(response_type, problems, columns))["responses.csv"].decode("utf-8")
    return Names(*next(csv.reader(io.StringIO(header, newline="")))[:3])


def empty_study(response_type: ResponseType, problems: Problems, columns: tuple[ProfileColumn, ...]) -> Study:
    """A study of these problems with nobody in it."""
    nobody = Profiles(columns, np.zeros(0, dtype=object), np.zeros((0, len(columns))))
    none = np.zeros(0, dtype=np.int64)
    width = response_type.width(int(problems.option_counts.max(initial=0)))
    return Study("", response_type, problems, nobody, Responses(none, none, np.zeros((0, width))))


# --- profiles ---------------------------------------------------------------------------------------------------


def people_bytes(people: Profiles, names: Names, stamp: Stamp, part: int) -> bytes:
    """The profiles of a part: the id, then a column per profile column (levels as words, null where missing)."""
    import pyarrow as pa

    columns: dict[str, pa.Array] = {names.participant: pa.array(people.ids.tolist(), type=pa.string())}
    for c, column in enumerate(people.columns):
        value_N = people.values_NC[:, c]
        missing_N = np.isnan(value_N)
        if column.kind == "numeric":
            columns[column.name] = pa.array(value_N, mask=missing_N)
        else:
            code_N = pa.array(np.where(missing_N, 0, value_N).astype(np.int32), mask=missing_N)
            levels = pa.array(column.levels, type=pa.string())
            columns[column.name] = pa.DictionaryArray.from_arrays(code_N, levels)
    for mark, values in _marks(len(people), stamp).items():
        columns.setdefault(mark, values)
    table = pa.table(columns)
    return parquet_bytes([table], table.schema, stamp.metadata(part))


def read_people(table: pa.Table, columns: tuple[ProfileColumn, ...], names: Names) -> Profiles:
    """Back from the table of `people_bytes`."""
    import pyarrow as pa

    values_NC = np.full((table.num_rows, len(columns)), np.nan)
    for c, column in enumerate(columns):
        cells = table[column.name].combine_chunks()
        if column.kind == "numeric":
            values_NC[:, c] = cells.to_numpy(zero_copy_only=False)
            continue
        place = cells.cast(pa.string()).dictionary_encode()
        position_L = [column.levels.index(level) for level in place.dictionary.to_pylist()]
        code_N = place.indices.to_numpy(zero_copy_only=False).astype(float)
        known_N = ~np.isnan(code_N)
        values_NC[known_N, c] = np.array(position_L, dtype=float)[code_N[known_N].astype(np.int64)]
    ids = np.array(table[names.participant].to_pylist(), dtype=object)
    return Profiles(columns, ids, values_NC)


# --- responses --------------------------------------------------------------------------------------------------


def response_schema(kind: ResponseType, names: Names) -> pa.Schema:
    """The columns of a responses table."""
    import pyarrow as pa

    text = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [
            pa.field(names.participant, text, nullable=False),
            pa.field(names.problem, text, nullable=False),
            pa.field(names.response, response_type_of_column(kind), nullable=False),
            pa.field("simulated", pa.bool_(), nullable=False),
            pa.field("model", text, nullable=False),
            pa.field("seed", pa.int64(), nullable=False),
        ]
    )


def response_table(
    kind: ResponseType,
    problems: Problems,
    people: Profiles,
    person_R: NDArray[np.int64],
    problem_R: NDArray[np.int64],
    compact_R: NDArray[np.generic],
    stamp: Stamp,
    schema: pa.Schema,
) -> pa.Table:
    """These responses as rows; only the ids that occur stand in the dictionaries."""
    import pyarrow as pa

    used_N, local_R = _used(person_R, len(people))
    asked_T, asked_R = _used(problem_R, len(problems))
    options = tuple(problems.options[t] for t in asked_T.tolist())
    marks = _marks(len(person_R), stamp)
    columns = [
        _coded(local_R, people.ids[used_N]),
        _coded(asked_R, problems.ids[asked_T]),
        response_column(kind, options, asked_R, compact_R),
        *(marks[name] for name in MARKS),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _used(position_R: NDArray[np.int64], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The positions that occur, rising, and (R,) where each stands among them."""
    occurs = np.zeros(count, dtype=bool)
    occurs[position_R] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[position_R]


def _coded(code_R: NDArray[np.int64], ids: NDArray[np.object_]) -> pa.Array:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(code_R.astype(np.int32)), pa.array(ids.tolist(), type=pa.string()))


def _marks(count: int, stamp: Stamp) -> dict[str, pa.Array]:
    import pyarrow as pa

    model = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([stamp.model]))
    return {
        "simulated": pa.array(np.ones(count, dtype=bool)),
        "model": model,
        "seed": pa.array(np.full(count, stamp.seed, dtype=np.int64)),
    }


def parquet_bytes(tables: Iterable[pa.Table], schema: pa.Schema, metadata: dict[str, str]) -> bytes:
    """A Parquet file with one row group per table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    plain = [field.name for field in schema if pa.types.is_floating(field.type)]
    coded = [field.name for field in schema if field.name not in plain]
    with pq.ParquetWriter(
        sink,
        schema.with_metadata(metadata),
        compression="zstd",
        use_dictionary=coded,
        use_byte_stream_split=plain or False,
        dictionary_pagesize_limit=DICTIONARY_BYTES,
        write_batch_size=BATCH,
        write_statistics=schema.names[:2],  # of the ids, which readers skip by; the others' would take half of the time
    ) as writer:
        for table in tables:
            writer.write_table(table.replace_schema_metadata(metadata), row_group_size=max(table.num_rows, 1))
    return sink.getvalue()
