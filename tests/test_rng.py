"""Keyed noise: the published test vectors, uniformity, and independence of order, blocks and other keys."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from crowdllm.rng import (
    CHUNK,
    Counters,
    aligned,
    generator,
    normals,
    philox,
    problem_keys,
    seed_words,
    stable_keys,
    uniforms,
)
from crowdllm.rng import words as keyed_words


def words(texts: str) -> NDArray[np.uint32]:
    return np.array([int(t, 16) for t in texts.split()], dtype=np.uint32)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ("00000000 " * 4, "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff " * 4, "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
    ids=["zeros", "ones", "digits of pi"],
)
def test_philox_gives_the_known_answers_of_random123(counter: str, key: str, expected: str) -> None:
    """philox4x32-10 in kat_vectors of Random123, the authors' own code."""
    k0, k1 = words(key)
    several = np.repeat(words(counter)[:, None], 3, axis=1)
    out = philox(several, (np.full(3, k0), np.full(3, k1)))
    assert out.shape == (4, 3)
    assert out.dtype == np.uint32
    for column in out.T:
        assert column.tolist() == words(expected).tolist()
    scalar_key = philox(several, (np.asarray(k0), np.asarray(k1)))
    assert np.array_equal(scalar_key, out)


def keys(count: int, what: str = "p") -> NDArray[np.uint64]:
    return stable_keys([f"{what}{i}" for i in range(count)])


def test_uniforms_are_the_words_of_their_key_centred_in_their_cells() -> None:
    """By hand from the docstring: problem xor seed words as key, participant and block of four draws as counter."""
    person, problem = np.array([(7 << 32) + 5], dtype=np.uint64), np.array([(2 << 32) + 3], dtype=np.uint64)
    base = seed_words(11, "response")
    key = np.array([(3 ^ base) & 0xFFFFFFFF]), np.array([(2 ^ (base >> 32)) & 0xFFFFFFFF])
    expected = []
    for block in (0, 1):
        counter = np.array([[5], [7], [block], [0]], dtype=np.uint32)
        expected += [(int(w) + 0.5) / 2**32 for w in philox(counter, (key[0], key[1]))[:, 0]]
    assert uniforms(11, "response", person, problem, 6)[0].tolist() == expected[:6]


def buffers(*shape: int) -> tuple[NDArray[np.uint64], ...]:
    return tuple(np.full((6, *shape), 12345, dtype=np.uint64))


def low_half(word: NDArray[np.uint64]) -> list[int]:
    return (word & np.uint64(0xFFFFFFFF)).tolist()


def test_words_in_place_give_the_known_answer_of_random123() -> None:
    """Participant, block and keys zero: the first vector above."""
    zero = np.zeros(1, dtype=np.uint64)
    found = keyed_words(Counters.of(zero), (zero, zero), zero, buffers(1))
    assert [low_half(word)[0] for word in found] == words("6627e8d5 e169c58d bc57ac4c 9b00dbd8").tolist()
    (first,) = keyed_words(Counters.of(zero), (zero, zero), zero, buffers(1), only_first=True)
    assert low_half(first) == [0x6627E8D5]


@pytest.mark.parametrize("only_first", [False, True])
def test_words_in_place_are_those_of_philox_for_extreme_and_random_numbers(only_first: bool) -> None:
    """People along one axis, problems along the other, blocks along a third."""
    ends = np.array([0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 1], dtype=np.uint64)
    person = np.append(ends, np.random.default_rng(0).integers(2**63, size=20).astype(np.uint64))
    keys, block = problem_keys(3, "x", ends), np.array([0, 1, 2**31, 2**32 - 1], dtype=np.uint64)
    columns = keys[0][:, None], keys[1][:, None]
    found = keyed_words(Counters.of(person), columns, block[:, None, None], buffers(4, 6, 26), only_first)
    assert len(found) == (1 if only_first else 4)
    low, high = (person & np.uint64(0xFFFFFFFF)).astype(np.uint32), (person >> np.uint64(32)).astype(np.uint32)
    for b, number in enumerate(block):
        for t in range(6):
            counter = np.stack([low, high, np.full(26, number, dtype=np.uint32), np.zeros(26, dtype=np.uint32)])
            expected = philox(counter, (np.full(26, keys[0][t]), np.full(26, keys[1][t])))
            for word, known in zip(found, expected, strict=False):
                assert low_half(word[b, t]) == known.tolist()


def test_words_in_place_leave_their_keys_alone() -> None:
    k = keys(3)
    pair = problem_keys(0, "x", k)
    before = [key.copy() for key in pair]
    keyed_words(Counters.of(k), pair, np.zeros(1, dtype=np.uint64), buffers(3))
    assert all(np.array_equal(a, b) for a, b in zip(pair, before, strict=True))


def test_uniforms_of_more_keys_than_a_chunk_are_those_of_each_key() -> None:
    people = keys(2 * CHUNK + 5)
    whole = uniforms(2, "test", people, keys(1, "q"), 5)
    for row in (0, CHUNK - 1, CHUNK, 2 * CHUNK - 1, 2 * CHUNK + 4):
        assert np.array_equal(uniforms(2, "test", people[row : row + 1], keys(1, "q"), 5)[0], whole[row])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.uint64])
def test_aligned_arrays_start_at_a_cache_line(dtype: type) -> None:
    for size in (0, 1, 1000):
        array = aligned(size, dtype)
        assert array.shape == (size,)
        assert array.dtype == dtype
        assert size == 0 or array.ctypes.data % 64 == 0


def test_uniforms_lie_strictly_between_0_and_1_even_for_extreme_words() -> None:
    """The centred cell of the smallest and largest word."""
    assert 0 < 0.5 * 2.0**-32
    assert (2.0**32 - 1 + 0.5) * 2.0**-32 < 1
    drawn = uniforms(1, "test", keys(50_000), keys(1, "q"), 4)
    assert drawn.min() > 0
    assert drawn.max() < 1


@pytest.mark.parametrize("by", ["participant", "problem", "draw", "seed"])
def test_uniforms_are_uniform_along_every_key(by: str) -> None:
    n = 4096
    drawn = {
        "participant": lambda: uniforms(3, "test", keys(n), keys(1, "q")),
        "problem": lambda: uniforms(3, "test", np.repeat(keys(1), n), keys(n, "q")),
        "draw": lambda: uniforms(3, "test", keys(1), keys(1, "q"), n),
        "seed": lambda: np.array([uniforms(s, "test", keys(1), keys(1, "q"))[0, 0] for s in range(n)]),
    }[by]().ravel()
    assert len(drawn) == n
    assert stats.kstest(drawn, "uniform").pvalue > 1e-3
    assert drawn.mean() == pytest.approx(0.5, abs=4 / np.sqrt(12 * n))
    assert drawn.var() == pytest.approx(1 / 12, abs=4 * np.sqrt(1 / 180 / n))
    neighbours = np.corrcoef(drawn[:-1], drawn[1:])[0, 1]
    assert abs(neighbours) < 4 / np.sqrt(n)


def test_normals_are_standard_normal() -> None:
    drawn = normals(5, "test", keys(5000), keys(1, "q"), 2)
    assert drawn.shape == (5000, 2)
    assert stats.kstest(drawn.ravel(), "norm").pvalue > 1e-3
    assert np.isfinite(drawn).all()
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 4 / np.sqrt(5000)


def test_noise_depends_on_neither_order_nor_block_nor_other_keys() -> None:
    people, problems = np.tile(keys(40), 5), np.repeat(keys(5, "q"), 40)
    whole = uniforms(9, "test", people, problems, 3)
    order = np.random.default_rng(0).permutation(200)
    assert np.array_equal(uniforms(9, "test", people[order], problems[order], 3), whole[order])
    blocks = [uniforms(9, "test", people[s : s + 7], problems[s : s + 7], 3) for s in range(0, 200, 7)]
    assert np.array_equal(np.concatenate(blocks), whole)
    assert np.array_equal(uniforms(9, "test", people[17:18], problems[17:18], 3)[0], whole[17])


@pytest.mark.parametrize("fewer", [1, 2, 4, 5, 8])
def test_asking_for_more_draws_keeps_the_first(fewer: int) -> None:
    more = uniforms(9, "test", keys(10), keys(1, "q"), 9)
    assert np.array_equal(uniforms(9, "test", keys(10), keys(1, "q"), fewer), more[:, :fewer])


def test_no_two_keys_share_noise() -> None:
    """Seeds, purposes, people, problems and draws: 3 * 3 * 10 * 10 * 8 numbers, all different."""
    people, problems = np.tile(keys(10), 10), np.repeat(keys(10), 10)
    drawn = [uniforms(s, p, people, problems, 8) for s in (0, 1, 10) for p in ("response", "respons", "0response")]
    flat = np.concatenate([d.ravel() for d in drawn])
    assert len(np.unique(flat)) == len(flat)


def test_purposes_and_seeds_are_kept_apart_in_the_key() -> None:
    pairs = [(seed, purpose) for seed in (1, 11, -1, 2**40) for purpose in ("", "1", "a", "1a", "b")]
    assert len({seed_words(*pair) for pair in pairs}) == len(pairs)


def test_participant_and_problem_are_not_interchangeable() -> None:
    a, b = keys(2)
    one = uniforms(0, "test", np.array([a]), np.array([b]))
    other = uniforms(0, "test", np.array([b]), np.array([a]))
    assert one != other


def test_no_keys_give_no_noise() -> None:
    none = np.zeros(0, dtype=np.uint64)
    assert uniforms(0, "test", none, none, 3).shape == (0, 3)
    assert stable_keys([]).shape == (0,)


def test_stable_keys_tell_ids_apart_and_keep_their_order() -> None:
    ids = np.array(["b", "a", "b", "\u00e9", "", "10", "1", "a\x00"], dtype=object)
    out = stable_keys(ids)
    assert out.dtype == np.uint64
    assert out[0] == out[2]
    assert len(np.unique(out)) == 7
    assert np.array_equal(stable_keys(ids[::-1]), out[::-1])
    assert np.array_equal(stable_keys(["1", "10"]), stable_keys([1, 10]))


def test_stable_keys_are_the_blake2b_hash_of_the_text() -> None:
    """By b2sum -l 64, read as a little-endian number."""
    expected = int.from_bytes(bytes.fromhex("40f89e395b66422f"), "little")
    assert stable_keys(["a"]).tolist() == [expected]


def test_keys_and_noise_are_the_same_in_another_process_with_another_hash_seed() -> None:
    code = (
        "from crowdllm.rng import *; k = stable_keys(['ann', 'bob', '\\u00e9']); "
        "print(k.tolist(), uniforms(4, 'x', k, k[:1], 5).tolist(), generator(4, 'x').random(3).tolist())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "4242")
    }
    k = stable_keys(["ann", "bob", "\u00e9"])
    here = f"{k.tolist()} {uniforms(4, 'x', k, k[:1], 5).tolist()} {generator(4, 'x').random(3).tolist()}\n"
    assert outputs == {here}


def test_generators_repeat_and_differ_by_seed_and_purpose() -> None:
    first = generator(1, "split").random(4)
    assert np.array_equal(generator(1, "split").random(4), first)
    assert not np.array_equal(generator(2, "split").random(4), first)
    assert not np.array_equal(generator(1, "bootstrap").random(4), first)


def test_the_global_generator_of_numpy_is_left_alone() -> None:
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    generator(0, "x").random(10)
    uniforms(0, "x", keys(10), keys(1), 3)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
