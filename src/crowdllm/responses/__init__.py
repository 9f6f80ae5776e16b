"""Response types: what a legal answer is, and how it is asked for, read, scored, sampled and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from crowdllm.errors import ConfigError, UnknownNameError
from crowdllm.registry import lookup
from crowdllm.responses.protocol import ResponseType

RESPONSE_TYPES = {
    "continuous": "crowdllm.responses.continuous:Continuous",
    "ordinal": "crowdllm.responses.ordinal:Ordinal",
    "choice": "crowdllm.responses.choice:Choice",
    "ballot": "crowdllm.responses.ballot:Ballot",
    "points": "crowdllm.responses.points:Points",
    "ranking": "crowdllm.responses.ranking:Ranking",
}


def response_type_from_dict(settings: Mapping[str, Any]) -> ResponseType:
    """A response type from its TOML/JSON form, such as `{"type": "ordinal", "levels": ["1", "2", "3"]}`.

    Raises UnknownNameError for an unknown type or setting and ConfigError for values that make no scale.
    """
    rest = dict(settings)
    name = rest.pop("type", None)
    if name is None:
        raise ConfigError(f"the response needs a type: {', '.join(RESPONSE_TYPES)}")
    cls = lookup(RESPONSE_TYPES, str(name), "response type")
    known = [f.name for f in fields(cls)]
    for key, value in rest.items():
        if key not in known:
            raise UnknownNameError("response setting", key, known, f"response type {name!r}")
        if isinstance(value, list):
            rest[key] = tuple(str(v) for v in value) if key in ("levels", "ends") else tuple(value)
    try:
        return cls(**rest)
    except TypeError as error:
        raise ConfigError(f"response type {name!r}: {error}") from None


__all__ = ["RESPONSE_TYPES", "ResponseType", "response_type_from_dict"]
