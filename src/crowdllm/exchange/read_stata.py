"""Read Stata (`.dta`, all versions since 8): value labels, missing values (., .a to .z) and survey weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crowdllm.exchange.labelled import imported_labelled
from crowdllm.exchange.protocol import LIKELY, NO, SURE, Glance, Imported, Reader, ReadOptions

OLD_VERSIONS = (104, 105, 108, 110, 111, 113, 114, 115)


def sniff(files: Sequence[Glance]) -> int:
    if len(files) != 1 or files[0].members:
        return NO
    head = files[0].head
    if head[:11] == b"<stata_dta>":
        return SURE
    old = len(head) > 4 and head[0] in OLD_VERSIONS and head[1] in (1, 2) and head[2] == 1
    return LIKELY if old or (files[0].suffix == ".dta" and head) else NO


def read(files: Sequence[Path], options: ReadOptions) -> Imported:
    """The studies in one file; raises as `imported_labelled` does."""
    return imported_labelled(files, "dta", "Stata", options)


READER = Reader("stata", "Stata data (.dta)", sniff, read, extra="formats")
