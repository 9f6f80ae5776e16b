"""The decisions of a crowd: every person on every problem, or any list of pairs, in compact form.

A response depends on nothing but the model, the seed, the participant and the problem. `crowdllm.simulation.exact` says
what it is, and what the compact forms are. Here the pairs are cut into tiles that fit the processor's cache; tiles of
ordinal, choice and ballot responses are decided by `crowdllm.simulation.quick`, and what that is not sure of (a few in
ten thousand), like all other types, by the definition.

Shapes: N participants, T problems, R pairs, K picks of a ballot (no axis for other types but D, their width).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from crowdllm.errors import ConfigError
from crowdllm.simulation.exact import Compact, compact_dtype, compact_of, compact_shape, decide_exactly, values_of
from crowdllm.simulation.quick import Space, Tile
from crowdllm.simulation.single import Rule, decide_tile, people_side, problems_side, quick_rule
from crowdllm.simulation.terms import GridTerms, PeopleTerms, grid_terms, people_terms

__all__ = [
    "GridTerms", "PeopleTerms", "compact_dtype", "compact_of", "compact_shape", "decide_grid", "decide_pairs",
    "grid_terms", "people_terms", "values_of",
]  # fmt: skip

TILE = 1 << 14
"""Noise blocks (of up to four words) of a tile: six buffers of them fill about half of a core's second-level cache."""
VALUES = 1 << 18
"""At most so many numbers in any array that the definition makes on the way."""
PEOPLE, PROBLEMS = 1 << 13, 1 << 8
"""At most so many people times so many problems are decided at once by a thread."""
FEW_PEOPLE, FEW_PAIRS = 1 << 5, 1 << 8
"""For fewer people, tiles of problems by people do not pay; for fewer pairs, only the definition does."""
Positions = NDArray[np.int64]


def decide_grid(terms: GridTerms, people: PeopleTerms, seed: int, threads: int = 1) -> Compact:
    """(N, T, ...) compact responses of every person to every problem; the same for any number of threads.

    In memory they lie problem by problem (`swapaxes(0, 1)` is contiguous for scales and choices). Besides them only
    small buffers are allocated. Raises ConfigError for fewer than one thread, and what the type's `sample` raises.
    """
    if threads < 1:
        raise ConfigError(f"the number of threads must be at least 1, not {threads}")
    rule = quick_rule(terms, people)
    out_TKN = np.empty((len(terms), *compact_shape(terms), len(people)), dtype=compact_dtype(terms))
    most = max(PEOPLE, min(8 * PEOPLE, PEOPLE * PROBLEMS // max(1, len(terms)), len(people) // (4 * threads)))
    blocks = [(t, i) for i in _slices(len(people), most) for t in _slices(len(terms), PROBLEMS)]

    def decide(block: tuple[slice, slice]) -> None:
        t, i = block
        _decide_block(terms.take(t), people.take(i), seed, rule, out_TKN[t, ..., i])

    if threads == 1 or len(blocks) == 1:
        for block in blocks:
            decide(block)
        return np.moveaxis(out_TKN, -1, 0)
    pool = ThreadPoolExecutor(threads)
    try:
        for _ in pool.map(decide, blocks):
            pass
    finally:
        pool.shutdown(cancel_futures=True)
    return np.moveaxis(out_TKN, -1, 0)


def decide_pairs(
    terms: GridTerms, people: PeopleTerms, participant_R: Positions, problem_R: Positions, seed: int
) -> Compact:
    """(R, ...) compact responses of these pairs, the same as `decide_grid` gives; raises what `sample` raises."""
    out_KR = np.empty((*compact_shape(terms), len(problem_R)), dtype=compact_dtype(terms))
    _decide_pairs(terms, people, participant_R, problem_R, seed, quick_rule(terms, people), out_KR)
    return np.moveaxis(out_KR, -1, 0)


def _decide_block(terms: GridTerms, people: PeopleTerms, seed: int, rule: Rule | None, out_TKN: Compact) -> None:
    """Writes the responses of all these people to all these problems."""
    n = len(people)
    if rule is None or n < FEW_PEOPLE:
        for t in _slices(len(terms), max(1, TILE // n)):
            problem_R, person_R = np.divmod(np.arange((t.stop - t.start) * n), n)
            out_KR = np.empty((*compact_shape(terms), len(problem_R)), dtype=out_TKN.dtype)
            _decide_pairs(terms, people, person_R, problem_R + t.start, seed, rule, out_KR)
            out_TKN[t] = np.moveaxis(out_KR.reshape(*out_KR.shape[:-1], -1, n), -2, 0)
        return
    problems, crowd, space = problems_side(terms, seed), people_side(people), Space()
    unsure: list[tuple[Positions, Positions]] = []
    pairs, out_KTN = _pairs_per_tile(rule), np.moveaxis(out_TKN, 0, -2)
    for i in _slices(n, min(pairs, PEOPLE)):
        person, wide = crowd.side(i), i.stop - i.start
        for t in _slices(len(terms), max(1, pairs // wide)):
            tile = Tile((t.stop - t.start, wide), problems.side(t), person)
            row, column = np.divmod(decide_tile(tile, rule, space, out_KTN[..., t, i]), wide)
            unsure.append((column + i.start, row + t.start))
    person_R, problem_R = (np.concatenate(positions) for positions in zip(*unsure, strict=True))
    out_TNK = np.moveaxis(out_TKN, -1, 1)
    for cut, found in _exactly(terms, people, person_R, problem_R, seed):
        out_TNK[problem_R[cut], person_R[cut]] = found


def _decide_pairs(
    terms: GridTerms,
    people: PeopleTerms,
    person_R: Positions,
    problem_R: Positions,
    seed: int,
    rule: Rule | None,
    out_KR: Compact,
) -> None:
    """Writes the responses of these pairs."""
    out_RK, rows = np.moveaxis(out_KR, -1, 0), len(person_R)
    if rule is None or rows < FEW_PAIRS:
        for cut, found in _exactly(terms, people, person_R, problem_R, seed):
            out_RK[cut] = found
        return
    whole, space = len(terms) * max(1, terms.options) <= rows and len(people) <= rows, Space()
    sides = (problems_side(terms, seed), people_side(people)) if whole else None
    unsure: list[Positions] = []
    for cut in _slices(rows, _pairs_per_tile(rule)):
        t, i = problem_R[cut], person_R[cut]
        problems, crowd = sides or (problems_side(terms.take(t), seed), people_side(people.take(i)))
        if not whole:
            t = i = np.arange(len(t))
        tile = Tile(t.shape, problems.side(t), crowd.side(i))
        unsure.append(decide_tile(tile, rule, space, out_KR[..., cut]) + cut.start)
    row_R = np.concatenate(unsure)
    for cut, found in _exactly(terms, people, person_R[row_R], problem_R[row_R], seed):
        out_RK[row_R[cut]] = found


def _exactly(
    terms: GridTerms, people: PeopleTerms, person_R: Positions, problem_R: Positions, seed: int
) -> Iterator[tuple[slice, Compact]]:
    """Parts of these pairs with their responses by the definition."""
    numbers = terms.options + terms.response_type.noise_width(terms.options) + 1
    for cut in _slices(len(person_R), max(1, VALUES // numbers)):
        yield cut, decide_exactly(terms, people, person_R[cut], problem_R[cut], seed)


def _pairs_per_tile(rule: Rule) -> int:
    """So many pairs have the noise of a tile."""
    return max(FEW_PAIRS, TILE // -(-rule.words // 4))


def _slices(length: int, most: int) -> list[slice]:
    """Slices of nearly the same length, at most `most`, that cover `length`."""
    ends = np.linspace(0, length, -(-length // most) + 1).astype(int)
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]
