"""What a response is: the definition, in double precision, pair by pair, and the compact form it is kept in.

    delta_it = beta_t . c_i                    summed in the order of Z
    y_it = sample(base_t widened and shifted by delta_it, uniforms keyed by (seed, "response", i, t))

with the response type's own `sample`: one blender draw per response (J = 1), since the mean over J = 10 draws that
the paper takes shrinks the diversity of the crowd. `crowdllm.simulation.quick` gives the same responses sooner.

Compact forms:

- ordinal, choice: the position of the level or option, uint8 (uint16 from 255 levels or options on);
- ballot: the positions of the picked options in rising order, then the dtype's largest number where fewer than the
  most are picked;
- other types: the D numbers of the response, float64.

Shapes: B or R pairs, U utilities, Z belief width, P parameters, D response width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowdllm.responses.ballot import Ballot
from crowdllm.responses.protocol import ResponseType, as_torch
from crowdllm.rng import uniforms
from crowdllm.simulation.terms import GridTerms, PeopleTerms

Array = NDArray[np.float64]
Compact = NDArray[Any]
PURPOSE = "response"


def decide_exactly(
    terms: GridTerms, people: PeopleTerms, participant_B: NDArray[np.int64], problem_B: NDArray[np.int64], seed: int
) -> Compact:
    """(B, ...) compact responses of these pairs; allocates some B * (P + U + noise) numbers, so give it blocks.

    Raises what the response type's `sample` does, such as MismatchError for a ballot of more picks than options.
    """
    kind, i, t = terms.response_type, participant_B, problem_B
    params = shifted_parameters(
        kind, terms.loadings_IZ, terms.base_TP[t], terms.spread_T[t], terms.item_TU[t], people.attitude_NZ[i]
    )
    noise = uniforms(seed, PURPOSE, people.key_N[i], terms.key_T[t], kind.noise_width(terms.options))
    return compact_of(terms, kind.sample(params, noise, terms.count_T[t]))


def shifted_parameters(
    kind: ResponseType,
    loadings_IZ: Array,
    base_BP: Array,
    spread_B: Array,
    item_BU: NDArray[np.int64],
    attitude_BZ: Array,
) -> Array:
    """(B, P) parameters of each pair's response distribution; summed over Z in a fixed order."""
    shift_BU = np.zeros(item_BU.shape)
    for z in range(attitude_BZ.shape[1]):
        shift_BU += loadings_IZ[np.maximum(item_BU, 0), z] * attitude_BZ[:, z : z + 1]
    shift_BU[item_BU < 0] = 0.0
    return kind.shifted(as_torch(base_BP), as_torch(shift_BU), as_torch(spread_B)).numpy()


def compact_dtype(terms: GridTerms) -> np.dtype[Any]:
    """The dtype of compact responses; its largest number stands for no further pick on a ballot."""
    kind = terms.response_type
    if kind.kind not in ("ordinal", "choice", "ballot"):
        return np.dtype(np.float64)
    most = terms.options if kind.has_options else kind.summary_width()
    return np.dtype(np.uint8 if most < 255 else np.uint16)


def compact_shape(terms: GridTerms) -> tuple[int, ...]:
    """The shape of one compact response: () for ordinal and choice, (most picks,) for ballots, else (D,)."""
    kind = terms.response_type
    if kind.kind in ("ordinal", "choice"):
        return ()
    return (min(kind.max_picks, terms.options),) if isinstance(kind, Ballot) else (terms.width,)


def compact_of(terms: GridTerms, values_RD: Array) -> Compact:
    """(R, ...) the compact form of responses."""
    dtype, shape = compact_dtype(terms), compact_shape(terms)
    if not shape:
        return values_RD[:, 0].astype(dtype)
    if not isinstance(terms.response_type, Ballot):
        return values_RD
    out = np.full((len(values_RD), *shape), np.iinfo(dtype).max, dtype=dtype)
    row, option = np.nonzero(values_RD)
    place = np.cumsum(values_RD != 0, axis=1)[row, option] - 1
    out[row, place] = option
    return out


def values_of(terms: GridTerms, compact: Compact) -> Array:
    """(R, D) responses from their compact forms (R, ...), as `Responses.values_RD` holds them."""
    if not compact_shape(terms):
        return compact.astype(np.float64)[:, None]
    if not isinstance(terms.response_type, Ballot):
        return np.ascontiguousarray(compact, dtype=np.float64)
    out = np.zeros((len(compact), terms.width))
    row, place = np.nonzero(compact != np.iinfo(compact.dtype).max)
    out[row, compact[row, place]] = 1.0
    return out
