"""Find an algorithm, data set, response type or command by name: a plain dict `name -> "module:attribute"`.

Nothing is imported until it is asked for, so that a registry of heavy modules costs nothing at start-up.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from crowdllm.errors import UnknownNameError


def lookup(registry: Mapping[str, str], name: str, what: str) -> Any:
    """The object registered under `name`.

    Raises:
        UnknownNameError: no such name; lists the valid ones and the nearest.
    """
    if name not in registry:
        raise UnknownNameError(what, name, registry)
    module, _, attribute = registry[name].partition(":")
    return getattr(import_module(module), attribute)
