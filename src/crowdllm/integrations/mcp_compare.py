"""Comparisons for the MCP server: two problems, two groups of people, or people beside a crowd.

Shapes: N participants, R responses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError
from crowdllm.integrations.mcp_library import Json, Library
from crowdllm.integrations.mcp_tools import answers, described, number

BOOTSTRAP = 1_000


@dataclass(frozen=True)
class Side:
    """One of two things that are compared: a folder, a problem in it, and filters on who is asked."""

    name: str
    problem: str
    where: Sequence[str] = ()


def compare(library: Library, first: Side, second: Side, participants: int = 1000, seed: int = 0) -> Json:
    """Two distributions and their difference: two problems, two groups, or people beside a crowd.

    The interval of a difference in means is by bootstrap over people, all answers of a person together, and only given
    where both sides are people's answers: simulated answers can be had in any number, which makes them no surer.
    """
    pair = [answers(library, side.name, side.problem, side.where, participants, seed) for side in (first, second)]
    (one, _), (other, _) = pair
    out: Json = {"first": described(*pair[0]), "second": described(*pair[1])}
    if not len(one.responses) or not len(other.responses):
        return out | {"note": "one side has no answers"}
    if one.response_type.kind != other.response_type.kind:
        raise CrowdLLMError(
            f"{one.response_type.kind} and {other.response_type.kind} responses cannot be compared; name two of a kind"
        )
    return out | _difference(one, other, seed)


def _difference(one: Study, other: Study, seed: int) -> Json:
    from crowdllm.evaluation.histograms import histograms
    from crowdllm.responses.continuous import Continuous
    from crowdllm.responses.ordinal import Ordinal

    kind = one.response_type
    levels = [getattr(s.response_type, "levels", ()) for s in (one, other)]
    if levels[0] != levels[1]:
        raise CrowdLLMError("the two sides have different levels; name two on one scale")
    if kind.has_options and one.problems.options[0] != other.problems.options[0]:
        return {"note": "the two problems have different options, so that their answers cannot be told apart by share"}
    most = int(one.problems.option_counts.max(initial=0))
    p, q = (histograms(s.responses, s.response_type, 1, most)[0] for s in (one, other))
    out: Json = {"distance": number(kind.distance(p, q))}
    out["distance_is"] = "total variation" if kind.has_options else "Wasserstein-1, in points of the scale"
    if not isinstance(kind, Ordinal | Continuous):
        return out
    values = [_values(s) for s in (one, other)]
    means = [float(np.average(v[:, 0], weights=v[:, 1])) for v in values]
    out["mean_difference"] = number(means[0] - means[1])
    if not (one.simulated or other.simulated) and min(map(len, values)) > 1:
        low, high = _bootstrap(one, other, values, seed)
        out["interval_95"] = [number(low), number(high)]
    return out


def _values(study: Study) -> Any:
    """(R, 2) each answer as a number, and its weight."""
    from crowdllm.responses.ordinal import Ordinal

    value, kind = study.responses.values_RD[:, 0], study.response_type
    number = np.asarray(kind.points)[value.astype(np.int64)] if isinstance(kind, Ordinal) else value
    weight = study.responses.weight_R
    return np.stack([number, np.ones(len(value)) if weight is None else weight], axis=1)


def _bootstrap(one: Study, other: Study, values: list[Any], seed: int) -> tuple[float, float]:
    """Percentile interval of the difference of means; a person who is on both sides is drawn on both."""
    from crowdllm.rng import generator

    names = [np.asarray(s.profiles.ids)[s.responses.participant_R].astype(str) for s in (one, other)]
    people, codes = np.unique(np.concatenate(names), return_inverse=True)
    split = np.split(codes, [len(names[0])])
    rng = generator(seed, "mcp:compare")
    differences: list[float] = []
    while len(differences) < BOOTSTRAP:
        count = min(BOOTSTRAP - len(differences), max(1, 4_000_000 // len(people)))
        drawn_BN = rng.multinomial(len(people), np.full(len(people), 1 / len(people)), size=count)
        means = [_mean(drawn_BN[:, code_R], value_R2) for code_R, value_R2 in zip(split, values, strict=True)]
        differences += (means[0] - means[1]).tolist()
    low, high = np.nanquantile(differences, [0.025, 0.975])
    return float(low), float(high)


def _mean(drawn_BR: Any, value_R2: Any) -> Any:
    """(B,) the weighted mean in each draw, NaN where nobody was drawn."""
    weight_BR = drawn_BR * value_R2[:, 1]
    total_B = weight_BR.sum(axis=1)
    return np.divide(weight_BR @ value_R2[:, 0], total_B, out=np.full(len(total_B), np.nan), where=total_B > 0)
