"""The same decisions on an accelerator: Philox, thresholds and races as torch operations on whole blocks.

Integers are exact everywhere, so the noise words are those of `crowdllm.rng`. In double precision a quantile may differ
from SciPy's in its last digits. Where MARGIN, which is far more, would change a response, the definition settles it; so
the responses are those of `crowdllm.simulation.grid`. Only for ordinal, choice and ballot responses.

Shapes: N participants, T problems, U utilities, Z belief width; B stands for (problems, people) of a block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowdllm.errors import ConfigError
from crowdllm.rng import problem_keys
from crowdllm.simulation.exact import PURPOSE, compact_dtype, compact_shape, decide_exactly
from crowdllm.simulation.single import problem_arrays, quick_rule
from crowdllm.simulation.terms import GridTerms, PeopleTerms

if TYPE_CHECKING:
    import torch

M0, M1, W0, W1, LOW = 0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85, 0xFFFFFFFF
MARGIN = 1e-9
BLOCK = 1 << 21


def decide_grid_on(
    terms: GridTerms, people: PeopleTerms, seed: int, device: str = "cuda", block: int = BLOCK
) -> torch.Tensor:
    """(N, T, ...) compact responses as a tensor on the device, uint8 (int32 where `decide_grid` gives uint16).

    block: noise words that are computed at once. Raises ConfigError for what `quick_rule` leaves to the definition.
    """
    import torch

    rule = quick_rule(terms, people)
    if rule is None:
        raise ConfigError(
            f"{terms.response_type.kind} responses to these problems are not decided on a device; "
            "use crowdllm.simulation.grid.decide_grid"
        )
    largest = 256 ** compact_dtype(terms).itemsize - 1
    dtype = torch.uint8 if largest == 255 else torch.int32
    out_TKN = torch.empty((len(terms), *compact_shape(terms), len(people)), dtype=dtype, device=device)
    out_TNK = out_TKN.movedim(-1, 1)
    problems = [_to(device, a) for a in (*problem_keys(seed, PURPOSE, terms.key_T), *problem_arrays(terms))]
    key = people.key_N
    crowd = [_to(device, a) for a in (key & np.uint64(LOW), key >> np.uint64(32), people.attitude_NZ.T)]
    width = max(1, min(len(people), block // rule.words))
    step = max(1, block // (rule.words * width))
    for n in range(0, len(people), width):
        for t in range(0, len(terms), step):
            problem = [a[..., t : t + step, None] for a in problems]
            person = [a[..., None, n : n + width] for a in crowd]
            sizes = rule.sizes
            found, unsure = _levels(problem, person) if sizes is None else _race(problem, person, sizes, largest)
            part = out_TNK[t : t + step, n : n + width]
            part.copy_(found.view(part.shape))
            row, column = torch.nonzero(unsure, as_tuple=True)
            if len(row):
                i, j = column.cpu().numpy() + n, row.cpu().numpy() + t
                settled = decide_exactly(terms, people, i, j, seed).astype(np.int64)
                part[row, column] = torch.from_numpy(settled).to(device, dtype)
    return out_TKN.movedim(-1, 0)


def _to(device: str, array: NDArray[np.generic]) -> torch.Tensor:
    """The array on the device; unsigned numbers, which all fit, as int64."""
    import torch

    whole = array.astype(np.int64) if array.dtype.kind == "u" else array
    return torch.from_numpy(np.ascontiguousarray(whole)).to(device)


def words_on(
    counters: tuple[torch.Tensor, torch.Tensor, torch.Tensor], keys: tuple[torch.Tensor, torch.Tensor]
) -> list[torch.Tensor]:
    """The four words, as int64, of Philox4x32-10 for counters (low, high, block, 0); products may wrap round."""
    c0, c1, c2 = counters
    k0, k1 = keys
    c3 = c2 * 0
    for round_ in range(10):
        if round_:
            k0, k1 = (k0 + W0) & LOW, (k1 + W1) & LOW
        p0, p1 = c0 * M0, c2 * M1
        c0, c1, c2, c3 = ((p1 >> 32) & LOW) ^ c1 ^ k0, p1 & LOW, ((p0 >> 32) & LOW) ^ c3 ^ k1, p0 & LOW
    return [c0, c1, c2, c3]


def _uniforms(word: torch.Tensor) -> torch.Tensor:
    return (word.double() + 0.5) * 2.0**-32


def _shift(loading_ZB: torch.Tensor, attitude_ZB: torch.Tensor) -> torch.Tensor:
    """Summed over Z in the order of the definition."""
    shift = loading_ZB.new_zeros(())
    for loading, attitude in zip(loading_ZB, attitude_ZB, strict=True):
        shift = shift + loading * attitude
    return shift


def _levels(problem: list[torch.Tensor], person: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """(B) levels, and where MARGIN would change them."""
    import torch

    k0, k1, base_PB, loading_ZUB, _ = problem
    low, high, attitude_ZB = person
    word = words_on((low, high, torch.zeros_like(low)), (k0, k1))[0]
    level = torch.special.ndtri(_uniforms(word)) + _shift(loading_ZUB[:, 0], attitude_ZB)
    at_least = sum((level - MARGIN > cut).to(torch.uint8) for cut in base_PB)
    at_most = sum((level + MARGIN > cut).to(torch.uint8) for cut in base_PB)
    return at_least, at_least != at_most


def _race(
    problem: list[torch.Tensor], person: list[torch.Tensor], sizes: tuple[int, int], largest: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, picks) the best options in rising order, then `largest`; and where MARGIN would change them."""
    import torch

    k0, k1, base_UB, loading_ZUB, size_SB = problem
    low, high, attitude_ZB = person
    options, first = len(base_UB), int(sizes[1] > sizes[0])
    block = torch.arange(-(-(options + first) // 4), device=k0.device).view(-1, 1, 1)
    words = torch.stack(words_on((low, high, block), (k0, k1)), dim=1).flatten(0, 1)
    size = torch.full_like(words[0], sizes[0])
    for start in size_SB:
        size = size + (words[0] >= start)
    noise = -torch.log(-torch.log(_uniforms(words[first : first + options])))
    utility = base_UB + _shift(loading_ZUB, attitude_ZB[:, None]) + noise
    most = min(sizes[1], options)
    best, option = utility.movedim(0, -1).topk(min(most + 1, options), dim=-1)
    end = torch.full_like(best[..., :1], torch.inf)
    ranked = torch.cat([end, best, -end], dim=-1)
    gap = ranked.gather(-1, size[..., None]) - ranked.gather(-1, size[..., None] + 1)
    beyond = torch.arange(most, device=k0.device) >= size[..., None]
    picks = option[..., :most].masked_fill(beyond, largest).sort(dim=-1).values
    return picks, gap[..., 0] <= MARGIN
