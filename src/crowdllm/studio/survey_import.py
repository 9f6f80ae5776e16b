"""Files of a survey or labelling tool into study folders: read by the same readers as `crowdllm import`.

Such files say themselves what is a question and how it is answered, and one of them can hold several scales, which
makes a study for each. What the user changes of it is a mapping, as of `crowdllm import --mapping`. The folder of
studies is named after the mapping and written once: two tabs that map differently do not get in each other's way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowdllm.data.study_check import CheckReport, check_study
from crowdllm.data.study_toml import STUDY_FILE
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.importing import UnrecognisedError, find_reader, import_study
from crowdllm.exchange.mapping import checked_mapping
from crowdllm.exchange.protocol import Imported
from crowdllm.exchange.writing import REPORT, write_imported
from crowdllm.studio.importing import PARQUET, WORKBOOKS

PLAIN = ("csv", "excel", "crowdkit")
"""Formats of a single table whose columns are mapped one by one, with findings beside its rows."""


@dataclass(frozen=True)
class Taken:
    """What came out of some files. folders, reports: per part, in their order."""

    imported: Imported
    folder: Path
    folders: tuple[Path, ...]
    reports: tuple[CheckReport, ...]


def format_of(files: Sequence[Path], wanted: str = "") -> str:
    """The format that files are read as; "" for one plain table, whose columns are to be mapped.

    Raises CrowdLLMError for an unknown format, and for files that no reader knows, with what to do in the studio.
    """
    if not wanted and len(files) == 1 and files[0].suffix.lower() in PARQUET:
        return ""
    try:
        found = find_reader(files, wanted).name
    except UnrecognisedError:
        names = ", ".join(file.name for file in files)
        hint = "say under “What it is” which, and upload all files of one survey together, but no other"
        raise CrowdLLMError(f"{names}: not recognised as responses of any kind; if it is that, {hint}") from None
    plain = found in PLAIN and len(files) == 1 and (found != "excel" or files[0].suffix.lower() in WORKBOOKS)
    return "" if plain else found


def take_in(files: Sequence[Path], format: str, mapping: Mapping[str, Any], places: Path) -> Taken:
    """The studies in some files, written to a folder below `places` unless they are there.

    Raises CrowdLLMError as `import_study` and `write_imported` do.
    """
    imported = import_study(list(files), format, checked_mapping(mapping))
    key = json.dumps([[str(f) for f in files], format, dict(mapping)], sort_keys=True)
    folder = places / hashlib.sha256(key.encode()).hexdigest()[:12]
    several = len(imported.parts) > 1
    folders = tuple(folder / part.name if several else folder for part in imported.parts)
    if not all(place.is_file() for place in (folder / REPORT, *(f / STUDY_FILE for f in folders))):
        write_imported(imported, folder, force=True)
    return Taken(imported, folder, folders, tuple(check_study(place) for place in folders))
