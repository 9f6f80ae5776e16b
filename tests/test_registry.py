"""Registries: plain dictionaries whose every entry can be imported, found by name, imported only when asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from crowdllm.aggregation import AGGREGATORS
from crowdllm.cli import COMMANDS
from crowdllm.datasets import DATASETS
from crowdllm.errors import UnknownNameError
from crowdllm.llm import BACKENDS
from crowdllm.methods import METHODS
from crowdllm.registry import lookup
from crowdllm.responses import RESPONSE_TYPES

REGISTRIES = {
    "aggregator": AGGREGATORS,
    "command": COMMANDS,
    "data set": DATASETS,
    "backend": BACKENDS,
    "method": METHODS,
    "response type": RESPONSE_TYPES,
}
entries = [(what, name) for what, registry in REGISTRIES.items() for name in registry]


@pytest.mark.parametrize(("what", "name"), entries, ids=[f"{what} {name}" for what, name in entries])
def test_every_entry_can_be_imported(what: str, name: str) -> None:
    assert callable(lookup(REGISTRIES[what], name, what))


@pytest.mark.parametrize("what", REGISTRIES)
def test_an_unknown_name_lists_all_names_and_the_nearest(what: str) -> None:
    registry = REGISTRIES[what]
    last = list(registry)[-1]
    with pytest.raises(UnknownNameError) as caught:
        lookup(registry, last + "x", what)
    assert str(caught.value).startswith(f"unknown {what} '{last}x': choose from {', '.join(registry)}")
    assert caught.value.nearest == last


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys; from crowdllm.registry import lookup; "
        "known = {'d': 'decimal:Decimal', 'f': 'fractions:Fraction'}; "
        "print('decimal' in sys.modules); lookup(known, 'd', 'number'); "
        "print('decimal' in sys.modules, 'fractions' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False"]
