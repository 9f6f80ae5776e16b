"""Who makes the parts: this process, several on this machine, or a cluster. One engine per file.

An engine is a function (workbench, parts to make, settings of the engine) that gives the parts in whatever order they
are done. It writes nothing; whoever asks for parts keeps them.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from crowdllm.registry import lookup
from crowdllm.simulation.parts import Part, Workbench

ENGINES = {
    "local": "crowdllm.simulation.engines.local:make_parts",
    "dask": "crowdllm.simulation.engines.dask:make_parts",
}


@dataclass(frozen=True)
class Resources:
    """What an engine works with.

    model_folder: where the model lies, to be sent to others. workers: processes on this machine; 0 for as many as it
    has cores for. scheduler: the address of a cluster's scheduler.
    """

    model_folder: Path | None = None
    workers: int = 0
    scheduler: str = ""


class Engine(Protocol):
    """Makes parts."""

    def __call__(self, bench: Workbench, parts: Sequence[int], resources: Resources) -> Generator[Part]: ...


def open_engine(name: str) -> Engine:
    """The engine of this name; raises UnknownNameError with those there are."""
    engine: Engine = lookup(ENGINES, name, "engine")
    return engine
