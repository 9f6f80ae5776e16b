"""Decide most pairs in single precision, and say which are too close to call.

A response is defined in double precision (`crowdllm.simulation.exact`). Most are far from the next one: there it is
enough to know the noise between two bounds. The bounds are looked up by the leading BITS bits of the noise word, in
tables of the quantile function that hold its values at both ends of each cell, moved apart by `slack`, a bound on all
rounding in single precision. A response is sure when nothing between the bounds changes it; a few in ten thousand are
not, and are left to the definition. So every response is exactly the defined one, whatever the block's shape, the
order of summation or the processor, and the work per pair is Z multiplications, one Philox block and comparisons.

    ordinal            level = #{m: z + shift > cut_m}, counted for the lower and for the upper bound of z
    choice, ballots    the k largest of utility_j + Gumbel_j: sure when exactly k options' upper bounds reach the k-th
                       largest lower bound

Shapes: a tile has the shape (problems, people) or (pairs,), written B below; Z belief width, U utilities, C cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.special import ndtri

from crowdllm.responses.options import gumbel
from crowdllm.rng import LOW_WORD, Counters, Words, aligned, words

Single = NDArray[np.float32]
Array = NDArray[np.float64]
BITS = 14
ROUNDING = 2.0**-23
"""Twice the largest relative error of one operation in single precision: leaves room for errors of errors."""
_DROP = np.array(32 - BITS, dtype=np.uint64)
_CELL = np.array((1 << BITS) - 1, dtype=np.uint64)
_ZERO = np.zeros(1, dtype=np.uint64)


@dataclass(frozen=True)
class Bounds:
    """(C,) below and above what the quantile function gives for any word of a cell."""

    low_C: Single
    high_C: Single


@dataclass(frozen=True)
class ProblemSide:
    """What a tile's problems give; each array broadcasts to its first axes' and the tile's shape.

    base_PB: cut points of a scale, or utilities of options. size_SB: words from which on a ballot has one pick more.
    """

    keys: tuple[Words, Words]
    base_PB: Single
    loading_ZUB: Single
    size_SB: Words


@dataclass(frozen=True)
class PersonSide:
    """What a tile's people give, likewise."""

    counters: Counters
    attitude_ZB: Single


@dataclass(frozen=True)
class Tile:
    """What a block of pairs is decided from."""

    shape: tuple[int, ...]
    problem: ProblemSide
    person: PersonSide


@dataclass(frozen=True)
class Space:
    """Buffers that all tiles of one thread share: nothing is allocated per tile."""

    held: dict[str, NDArray[Any]] = field(default_factory=dict)

    def get(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array of this shape, with whatever was in it before."""
        size = math.prod(shape)
        if name not in self.held or self.held[name].size < size:
            self.held[name] = aligned(size, dtype)
        return self.held[name][:size].reshape(shape)


def slack(shift: float, base: float, width: int) -> float:
    """How far the bounds must be moved apart to cover all rounding in single precision.

    shift, base: no sum of the sizes of the Z = width products, and no base parameter, is larger. A sum of Z products of
    rounded factors errs by at most (Z + 2) roundings of the sum of their sizes, in any order; noise is below 32.
    """
    return ROUNDING * ((width + 4) * shift + 3 * base + 64)


@lru_cache(maxsize=4)
def _edges(quantile: str, bits: int) -> Array:
    """(C + 1,) quantiles at the lowest uniform of each cell, and at the highest of all."""
    u = (np.arange(0, 1 << 32, 1 << (32 - bits), dtype=np.float64) + 0.5) * 2.0**-32
    u = np.append(u, 1 - 2.0**-33)
    return ndtri(u) if quantile == "normal" else gumbel(u)


def bounds(quantile: str, margin: float) -> Bounds:
    """Tables of the quantile function ("normal" or "gumbel") at the ends of each cell, moved apart by `margin`."""
    edge = _edges(quantile, BITS)
    return Bounds((edge[:-1] - margin).astype(np.float32), (edge[1:] + margin).astype(np.float32))


def ordinal_tile(tile: Tile, noise: Bounds, space: Space, level_B: NDArray[np.unsignedinteger]) -> NDArray[np.bool_]:
    """Writes the levels into level_B, and returns where they are not sure."""
    work = tuple(space.get(f"word {j}", tile.shape, np.uint64) for j in range(6))
    (word,) = words(tile.person.counters, tile.problem.keys, _ZERO, work, only_first=True)
    cell = _cells(word)
    shift, low, high = (space.get(f"single {j}", tile.shape, np.float32) for j in range(3))
    add_up(tile.problem.loading_ZUB[:, 0], tile.person.attitude_ZB, shift, low)
    noise.low_C.take(cell, out=low, mode="wrap")
    noise.high_C.take(cell, out=high, mode="wrap")
    np.add(low, shift, low)
    np.add(high, shift, high)
    above, one = _mask(space, tile.shape)
    highest = space.get(f"highest {level_B.itemsize}", tile.shape, level_B.dtype)
    for bound, level in ((low, level_B), (high, highest)):
        np.greater(bound, tile.problem.base_PB[0], above)
        np.copyto(level, one)
        for cut in tile.problem.base_PB[1:]:
            np.greater(bound, cut, above)
            np.add(level, one, level)
    unsure: NDArray[np.bool_] = np.not_equal(level_B, highest, above)
    return unsure


def race_tile(
    tile: Tile, noise: Bounds, space: Space, sizes: tuple[int, int], picks_KB: NDArray[np.unsignedinteger]
) -> NDArray[np.bool_]:
    """Writes the winners of the race of options into picks_KB, in rising order, and returns where they are not sure.

    sizes: the least and most picks. Behind the last pick of a smaller ballot stands the dtype's largest number.
    """
    options, most = len(tile.problem.base_PB), len(picks_KB)
    first = int(sizes[1] > sizes[0])
    word_W = _race_words(tile, space, options + first)
    size = _sizes(tile, space, word_W[0], sizes, picks_KB.dtype) if first else None
    shape = (options, *tile.shape)
    low, high, utility = (space.get(f"option {j}", shape, np.float32) for j in range(3))
    add_up(tile.problem.loading_ZUB, tile.person.attitude_ZB[:, None], utility, low)
    np.add(utility, tile.problem.base_PB, utility)
    for j, word in enumerate(word_W[first:]):
        cell = _cells(word)
        noise.low_C.take(cell, out=low[j], mode="wrap")
        noise.high_C.take(cell, out=high[j], mode="wrap")
    np.add(low, utility, low)
    np.add(high, utility, high)
    bar = _bar(low, most, sizes[0], size, space)
    return _collect(high, bar, sizes[0] if size is None else size, space, picks_KB)


def add_up(loading_Z: Single, attitude_Z: Single, out: Single, spare: Single) -> None:
    """out = sum over Z of loading * attitude."""
    if not len(loading_Z):
        out[...] = 0
        return
    np.multiply(loading_Z[0], attitude_Z[0], out)
    for loading, attitude in zip(loading_Z[1:], attitude_Z[1:], strict=True):
        np.multiply(loading, attitude, spare)
        np.add(out, spare, out)


def _mask(space: Space, shape: tuple[int, ...]) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """A mask, and the same memory as ones and zeros, which NumPy adds to counts without converting them."""
    mask = space.get("mask", shape, np.bool_)
    return mask, mask.view(np.uint8)


def _cells(word: Words) -> NDArray[np.int64]:
    """The leading bits of the low 32 bits; overwrites the word."""
    np.right_shift(word, _DROP, word)
    np.bitwise_and(word, _CELL, word)
    return word.view(np.int64)


def _race_words(tile: Tile, space: Space, count: int) -> list[Words]:
    """The first `count` noise words of each pair."""
    blocks = -(-count // 4)
    axes = (1,) * len(tile.shape)
    work = tuple(space.get(f"word {j}", (blocks, *tile.shape), np.uint64) for j in range(6))
    four = words(tile.person.counters, tile.problem.keys, np.arange(blocks, dtype=np.uint64).reshape(-1, *axes), work)
    return [four[w % 4][w // 4] for w in range(count)]


def _sizes(
    tile: Tile, space: Space, word: Words, sizes: tuple[int, int], dtype: np.dtype[np.unsignedinteger]
) -> NDArray[np.unsignedinteger]:
    """How many picks each ballot has."""
    size = space.get(f"size {dtype.itemsize}", tile.shape, dtype.type)
    above, one = _mask(space, tile.shape)
    np.bitwise_and(word, LOW_WORD, word)
    size[...] = sizes[0]
    for start in tile.problem.size_SB:
        np.greater_equal(word, start, above)
        np.add(size, one, size)
    return size


def _bar(low: Single, most: int, least: int, size: NDArray[np.unsignedinteger] | None, space: Space) -> Single:
    """The k-th largest lower bound of each pair, k its number of picks; infinite where nothing is picked."""
    shape = low.shape[1:]
    top = [space.get(f"top {j}", shape, np.float32) for j in range(most)]
    down, spare = (space.get(f"single {j}", shape, np.float32) for j in range(2))
    for m, bound in enumerate(low):
        np.copyto(down, bound)
        for j in range(min(m, most)):  # insert into the sorted list: the larger stays, the smaller goes on down
            np.minimum(top[j], down, out=spare)
            np.maximum(top[j], down, out=top[j])
            down, spare = spare, down
        if m < most:
            np.copyto(top[m], down)
    if size is None:
        return top[least - 1]
    bar, there = spare, space.get("mask", shape, np.bool_)
    bar[...] = np.inf
    for k in range(max(least, 1), most + 1):
        np.copyto(bar, top[k - 1], where=np.equal(size, k, there))
    return bar


def _collect(
    high: Single,
    bar: Single,
    size: int | NDArray[np.unsignedinteger],
    space: Space,
    picks_KB: NDArray[np.unsignedinteger],
) -> NDArray[np.bool_]:
    """Writes which options' upper bounds reach the bar, and returns where they are not as many as the picks.

    The j-th pick is as many options as there are before which at most j are picked, itself included.
    """
    dtype = picks_KB.dtype.type
    reached, one = _mask(space, bar.shape)
    so_far = space.get(f"so far {picks_KB.itemsize}", bar.shape, dtype)
    fewer = space.get("masks", picks_KB.shape, np.bool_)
    place = np.arange(len(picks_KB), dtype=dtype).reshape(-1, *(1,) * bar.ndim)
    so_far[...] = 0
    picks_KB[...] = 0
    for bound in high:
        np.greater_equal(bound, bar, reached)
        np.add(so_far, one, so_far)
        np.less_equal(so_far, place, fewer)
        np.add(picks_KB, fewer.view(np.uint8), picks_KB)
    np.copyto(picks_KB, np.iinfo(dtype).max, where=np.less_equal(so_far, place, fewer))
    unsure: NDArray[np.bool_] = np.not_equal(so_far, size, reached)
    return unsure
