"""Count responses instead of keeping them: per group of people and problem, what distributions and decisions need.

Counts are whole numbers, so that adding up in any order gives the same. What is counted, per response type:

- ordinal, choice: how many gave each level or option (W = M), from which shares, mean, median and majority are exact;
- ballot, points, ranking: picks, points, or Borda points (depth + 1 - rank) of each option (W = D);
- continuous: how many lie in each of 100 equal intervals, at or below the first, and at or above the last (W = 102),
  and their sum. The intervals span the scale, and where it is open 5 SDs of the training responses; a quantile read off
  them is wrong by at most one interval. The sum is taken in the order of the participants, part by part.

Shapes: G groups, T problems, N people, W counts.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdllm.errors import ConfigError
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.protocol import Array, ResponseType
from crowdllm.simulation.blocks import Block

INTERVALS = 100
REACH = 5.0
MOST_COUNTS = 1 << 25


@dataclass(frozen=True)
class Tally:
    """answers_GT: responses. counts_GTW: see above. sums_GT: of continuous responses; zeros for other types.

    The arrays are added to in place.
    """

    answers_GT: NDArray[np.int64]
    counts_GTW: NDArray[np.int64]
    sums_GT: NDArray[np.float64]

    def add(self, other: Tally) -> None:
        """Add the counts of other people."""
        np.add(self.answers_GT, other.answers_GT, out=self.answers_GT)
        np.add(self.counts_GTW, other.counts_GTW, out=self.counts_GTW)
        np.add(self.sums_GT, other.sums_GT, out=self.sums_GT)


def empty_tally(kind: ResponseType, most_options: int, groups: int, problems: int) -> Tally:
    """Nothing counted yet; raises ConfigError where the counts alone would not fit into memory."""
    width = tally_width(kind, most_options)
    if groups * problems * width > MOST_COUNTS:
        raise ConfigError(
            f"{groups} subgroups x {problems:,} problems x {width} counts are too many to hold at once: "
            "give fewer problems per run"
        )
    shape = (groups, problems)
    return Tally(np.zeros(shape, np.int64), np.zeros((*shape, width), np.int64), np.zeros(shape))


def tally_width(kind: ResponseType, most_options: int) -> int:
    """W."""
    if isinstance(kind, Continuous):
        return INTERVALS + 2
    return kind.summary_width(most_options)


def count_block(tally: Tally, kind: ResponseType, problems: slice, block: Block, member_GN: NDArray[np.bool_]) -> None:
    """Add the responses of a block of these problems to the tally; member_GN says which groups its people are in."""
    n, t = block.compact_NT.shape[:2]
    present_NT = block.present_NT
    everyone = np.full((len(member_GN), t), member_GN.sum(axis=1)[:, None])
    tally.answers_GT[:, problems] += everyone if present_NT is None else _per_group(member_GN, present_NT)
    if isinstance(kind, Continuous):
        value_NT = np.asarray(block.compact_NT, dtype=np.float64)[:, :, 0]
        here_NT = np.ones((n, t), dtype=bool) if present_NT is None else present_NT
        _count_numbers(tally, kind, problems, value_NT, here_NT, member_GN)
        return
    for w in range(tally.counts_GTW.shape[2]):
        weight_NT = _weight(kind, block.compact_NT, w)
        if present_NT is not None:
            weight_NT = weight_NT * present_NT
        tally.counts_GTW[:, problems, w] += _per_group(member_GN, weight_NT)


def _weight(kind: ResponseType, compact_NT: NDArray[np.generic], w: int) -> NDArray[np.generic]:
    """(N, T) what each response adds to count w."""
    if kind.kind in ("ordinal", "choice"):
        return compact_NT == w
    if kind.kind == "ballot":
        return (compact_NT == w).any(axis=2)
    values = np.asarray(compact_NT, dtype=np.float64)
    if kind.kind == "ranking":
        rank_NT = values[:, :, w]
        return np.where(rank_NT > 0, values.max(axis=2) + 1 - rank_NT, 0.0)
    return values[:, :, w]


def _per_group(member_GN: NDArray[np.bool_], weight_NT: NDArray[np.generic]) -> NDArray[np.int64]:
    """(G, T) sums over each group's people: a matrix product of whole numbers, exact in whatever order it adds."""
    if len(member_GN) == 1:
        return np.asarray(weight_NT.sum(axis=0)).astype(np.int64)[None]
    exact = np.float32 if weight_NT.dtype == bool else np.float64  # counts stay below 2^24, points below 2^53
    return np.rint(member_GN.astype(exact) @ weight_NT.astype(exact)).astype(np.int64)


def _count_numbers(
    tally: Tally,
    kind: Continuous,
    problems: slice,
    value_NT: Array,
    here_NT: NDArray[np.bool_],
    member_GN: NDArray[np.bool_],
) -> None:
    low, high = interval_span(kind)
    t, width = value_NT.shape[1], INTERVALS + 2
    place_NT = np.floor((value_NT - low) / (high - low) * INTERVALS).clip(-1, INTERVALS).astype(np.int64) + 1
    place_NT = np.where(value_NT <= low, 0, np.where(value_NT >= high, width - 1, place_NT))
    cell_NT = place_NT + np.arange(t) * width
    value_NT = np.where(here_NT, value_NT, 0.0)
    for g, member_N in enumerate(member_GN):
        cell = cell_NT[member_N][here_NT[member_N]]
        tally.counts_GTW[g, problems] += np.bincount(cell, minlength=t * width).reshape(t, width)
        tally.sums_GT[g, problems] += value_NT[member_N].sum(axis=0)


def interval_span(kind: Continuous) -> tuple[float, float]:
    """Where the first interval begins and the last one ends."""
    low = kind.center - REACH * kind.scale if kind.low is None else kind.low
    high = kind.center + REACH * kind.scale if kind.high is None else kind.high
    if low >= high:  # an open scale whose one bound lies beyond the training responses
        width = 2 * REACH * kind.scale
        low, high = (high - width, high) if kind.low is None else (low, low + width)
    return low, high


def tally_bytes(tally: Tally, metadata: dict[str, str]) -> bytes:
    """The tally as a Parquet file: a row per group and problem, groups first."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    g, t, width = tally.counts_GTW.shape
    columns = {
        "group": np.repeat(np.arange(g, dtype=np.int32), t),
        "problem": np.tile(np.arange(t, dtype=np.int32), g),
        "responses": tally.answers_GT.reshape(-1),
        "sum": tally.sums_GT.reshape(-1),
    }
    columns |= {f"count_{w}": tally.counts_GTW[:, :, w].reshape(-1) for w in range(width)}
    sink = io.BytesIO()
    table = pa.table(columns).replace_schema_metadata(metadata)
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def read_tally(data: bytes, groups: int, problems: int) -> Tally:
    """Back from `tally_bytes`."""
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data))
    shape = (groups, problems)
    names = [name for name in table.column_names if name.startswith("count_")]
    counts = np.stack([table[name].to_numpy() for name in names], axis=1).reshape(*shape, len(names))
    return Tally(table["responses"].to_numpy().reshape(shape), counts, table["sum"].to_numpy().reshape(shape))
