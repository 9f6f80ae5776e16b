"""One decision per problem out of many people's responses, A(Y_t) of CrowdLLM; one algorithm per file."""

from __future__ import annotations

import inspect
from typing import cast

import numpy as np
from numpy.typing import NDArray

from crowdllm.aggregation.result import Aggregate
from crowdllm.data.responses import Responses
from crowdllm.errors import ConfigError, MismatchError, UnknownNameError
from crowdllm.registry import lookup
from crowdllm.responses.protocol import ResponseType

AGGREGATORS = {
    "mean": "crowdllm.aggregation.mean:mean",
    "median": "crowdllm.aggregation.median:median",
    "majority_vote": "crowdllm.aggregation.majority_vote:majority_vote",
    "dawid_skene": "crowdllm.aggregation.dawid_skene:dawid_skene",
    "glad": "crowdllm.aggregation.glad:glad",
}

NUMBERS = ("continuous", "ordinal", "ballot", "points", "ranking")
SINGLE_ANSWERS = ("ordinal", "choice")
APPLIES_TO = {
    "mean": NUMBERS,
    "median": NUMBERS,
    "majority_vote": SINGLE_ANSWERS,
    "dawid_skene": SINGLE_ANSWERS,
    "glad": SINGLE_ANSWERS,
}


def aggregate(
    responses: Responses,
    response_type: ResponseType,
    problem_count: int,
    participant_count: int,
    method: str,
    option_counts: NDArray[np.int64] | None = None,
    **settings: float,
) -> Aggregate:
    """The crowd's decision on each of T = `problem_count` problems, from R responses.

    Problems without a response and participants without one are allowed, and give NaN. The result does not
    depend on the order of the responses.

    Survey weights (`Responses.weight_R`) count in `mean`, `median` and `majority_vote`, which say what the population
    would decide. Dawid-Skene and GLAD leave them aside: they ask which answer is right and who can tell, not how many
    think so.

    Args:
        participant_count: N.
        method: a name in `AGGREGATORS`.
        option_counts: (T,) how many options each problem has; an option beyond is no possible decision. Only
            for response types with options, and only needed where problems differ.
        settings: keyword arguments of the method, such as `max_iterations` and `tolerance` of Dawid-Skene and
            GLAD.

    Raises:
        UnknownNameError: no such method, or a setting it does not have.
        ConfigError: the method makes no sense for the response type; lists those that do.
        MismatchError: a response points outside the study or its scale.
    """
    algorithm = lookup(AGGREGATORS, method, "aggregator")
    if response_type.kind not in APPLIES_TO[method]:
        raise ConfigError(
            f"aggregator {method!r} needs {' or '.join(APPLIES_TO[method])} responses, and these are "
            f"{response_type.kind}: choose from {', '.join(applicable(response_type))}"
        )
    known = [p.name for p in inspect.signature(algorithm).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for setting in settings:
        if setting not in known:
            raise UnknownNameError("setting", setting, known, f"aggregator {method!r}")
        if not settings[setting] >= 0:
            raise ConfigError(f"{setting} of aggregator {method!r} cannot be {settings[setting]}: allowed is 0 or more")
    option_counts = option_counts if response_type.has_options else None
    check_fit(responses, response_type, problem_count, participant_count, option_counts)
    return cast(
        Aggregate,
        algorithm(responses, response_type, problem_count, participant_count, option_counts, **settings),
    )


def applicable(response_type: ResponseType) -> list[str]:
    """The names of the aggregators that make sense for a response type."""
    return [name for name in AGGREGATORS if response_type.kind in APPLIES_TO[name]]


def check_fit(
    responses: Responses,
    response_type: ResponseType,
    problem_count: int,
    participant_count: int,
    option_counts: NDArray[np.int64] | None,
) -> None:
    """Raises MismatchError, naming the first offender, unless all responses fit the study and its scale."""
    if option_counts is not None and option_counts.shape != (problem_count,):
        raise MismatchError(
            f"option_counts needs one number for each of {problem_count} problems, not the shape {option_counts.shape}"
        )
    for what, position_R, count in (
        ("problem", responses.problem_R, problem_count),
        ("participant", responses.participant_R, participant_count),
    ):
        outside = (position_R < 0) | (position_R >= count)
        if outside.any():
            row = int(outside.argmax())
            raise MismatchError(
                f"response {row} (counting from 0) names {what} {position_R[row]}, and there are {count}: "
                f"allowed are 0 to {count - 1}; pass the responses with the study they belong to"
            )
    option_count_R = np.broadcast_to(np.iinfo(np.int64).max, len(responses))
    if option_counts is not None:
        option_count_R = option_counts[responses.problem_R]
    if response_type.kind in SINGLE_ANSWERS:
        legal = response_type.legal(responses.values_RD, option_count_R)
    else:
        legal = np.asarray(np.isfinite(responses.values_RD).all(axis=1))
    if not legal.all():
        row = int((~legal).argmax())
        raise MismatchError(
            f"response {row} (counting from 0), to problem {responses.problem_R[row]}, is encoded as "
            f"{responses.values_RD[row].tolist()}, which is no legal {response_type.kind} response there"
        )


__all__ = ["AGGREGATORS", "APPLIES_TO", "Aggregate", "aggregate", "applicable"]
