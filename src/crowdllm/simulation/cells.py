"""Compact responses as a column of a table: dictionary-encoded cells that `read_cell` turns back, or plain numbers.

The cells are those that the response type's `write_cell` writes. They are put together column by column, not response
by response, since a crowd may give millions of different ballots.

Shapes: R responses, T problems, M options, D response width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import ResponseType
from crowdllm.responses.ranking import Ranking

if TYPE_CHECKING:
    import pyarrow as pa

Options = tuple[tuple[str, ...], ...]
EMPTY_BALLOT = "|"


def response_type_of_column(kind: ResponseType) -> pa.DataType:
    """The Arrow type of the response column."""
    import pyarrow as pa

    return pa.float64() if isinstance(kind, Continuous) else pa.dictionary(pa.int32(), pa.string())


def response_column(
    kind: ResponseType, options: Options, problem_R: NDArray[np.int64], compact_R: NDArray[Any]
) -> pa.Array:
    """(R,) the column of these compact responses; options: those of the problems that problem_R points to."""
    import pyarrow as pa

    if isinstance(kind, Continuous):
        return pa.array(compact_R[:, 0], type=pa.float64())
    if not len(compact_R):
        return pa.array([], type=response_type_of_column(kind))
    if isinstance(kind, Ordinal):
        return _dictionary(compact_R.astype(np.int32), kind.levels)
    if isinstance(kind, Choice):
        code_TM, cells = _choice_cells(kind, options)
        return _dictionary(code_TM[problem_R, compact_R.astype(np.int64)], cells)
    if isinstance(kind, Ballot):
        none = np.iinfo(compact_R.dtype).max
        parts = [_named(column.astype(np.int64), column == none) for column in compact_R.T]
    elif isinstance(kind, Ranking):
        parts = _ranked(compact_R)
    else:
        assert isinstance(kind, Points)
        parts = [_pointed(d, compact_R[:, d].astype(np.int64)) for d in range(compact_R.shape[1])]
    return _joined(parts).dictionary_encode()


def _dictionary(code_R: NDArray[np.int32], cells: tuple[str, ...]) -> pa.Array:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(code_R), pa.array(cells, type=pa.string()))


def _choice_cells(kind: Choice, options: Options) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """(T, M) which of the distinct cells each option of each problem is written as."""
    position: dict[str, int] = {}
    of_set: dict[tuple[str, ...], list[int]] = {}
    code_TM = np.zeros((len(options), max((len(o) for o in options), default=0)), dtype=np.int32)
    for t, own in enumerate(options):
        if own not in of_set:
            cells = [kind.write_cell(np.array([float(m)]), own) for m in range(len(own))]
            of_set[own] = [position.setdefault(cell, len(position)) for cell in cells]
        code_TM[t, : len(own)] = of_set[own]
    return code_TM, tuple(position)


def _named(option_R: NDArray[np.int64], absent_R: NDArray[np.bool_]) -> pa.Array:
    """(R,) "#1" for option 0 and so on; null where absent."""
    import pyarrow as pa

    most = int(option_R[~absent_R].max(initial=-1)) + 1
    names = pa.array([f"#{m + 1}" for m in range(most)], type=pa.string())
    return names.take(pa.array(np.where(absent_R, 0, option_R), mask=absent_R))


def _ranked(rank_RD: NDArray[Any]) -> list[pa.Array]:
    """Options from the best to the last that is ranked."""
    rank_RD = rank_RD.astype(np.int64)
    order_RD = np.argsort(np.where(rank_RD > 0, rank_RD, rank_RD.shape[1] + 1), axis=1, kind="stable")
    depth_R = (rank_RD > 0).sum(axis=1)
    return [_named(order_RD[:, d], depth_R <= d) for d in range(int(depth_R.max(initial=0)))]


def _pointed(option: int, points_R: NDArray[np.int64]) -> pa.Array:
    """(R,) "#1=30" and so on; null for no points."""
    import pyarrow as pa

    values, code_R = np.unique(points_R, return_inverse=True)
    cells = pa.array([f"#{option + 1}={v}" for v in values.tolist()], type=pa.string())
    return cells.take(pa.array(code_R.reshape(-1), mask=points_R == 0))


def _joined(parts: list[pa.Array]) -> pa.Array:
    """The parts that are not null, with | between; an empty text goes first, since Arrow drops rows of nulls alone."""
    import pyarrow as pa
    import pyarrow.compute as pc

    nothing = pa.repeat(pa.scalar(""), len(parts[0]))
    whole = pc.utf8_slice_codeunits(pc.binary_join_element_wise(nothing, *parts, "|", null_handling="skip"), 1)
    return pc.if_else(pc.equal(whole, ""), pa.scalar(EMPTY_BALLOT), whole)
