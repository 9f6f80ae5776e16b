"""Read SPSS (`.sav`, `.zsav`): value labels, missing codes, multiple-response sets and survey weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crowdllm.exchange.labelled import imported_labelled
from crowdllm.exchange.protocol import NO, SURE, Glance, Imported, Reader, ReadOptions


def sniff(files: Sequence[Glance]) -> int:
    return SURE if len(files) == 1 and files[0].head[:4] in (b"$FL2", b"$FL3") else NO


def read(files: Sequence[Path], options: ReadOptions) -> Imported:
    """The studies in one file; raises as `imported_labelled` does."""
    return imported_labelled(files, "sav", "SPSS", options)


READER = Reader("spss", "SPSS data (.sav)", sniff, read, extra="formats")
