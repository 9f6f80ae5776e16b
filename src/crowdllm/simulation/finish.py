"""The last step of a simulation: the study around the parts, the distributions, and tables that a spreadsheet opens.

Up to SPREADSHEET_ROWS stored responses the folder also holds participants.csv and responses.csv, which `study.toml`
then names; above it, and in a folder with one share of a crowd, `study.toml` names the folders of parts.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from crowdllm import __version__
from crowdllm.data.profiles import Profiles
from crowdllm.data.study import Study
from crowdllm.data.study_folder import study_files
from crowdllm.data.study_toml import STUDY_FILE
from crowdllm.profiles.margins_file import MARGINS_FILE, margins_text
from crowdllm.simulation.frame import PROBLEMS, Frame
from crowdllm.simulation.ledger import Entry, write_whole
from crowdllm.simulation.parts import PEOPLE, RESPONSES, TALLIES, part_name
from crowdllm.simulation.summary import distribution_table, subgroup_tables
from crowdllm.simulation.tables import empty_study, read_people
from crowdllm.simulation.tallies import Tally, empty_tally, read_tally

SPREADSHEET_ROWS = 1_000_000
DISTRIBUTIONS, SUBGROUPS = "distributions.csv", "subgroups.csv"
PARTS = {PEOPLE: PEOPLE, RESPONSES: RESPONSES}


def write_share(folder: Path, frame: Frame) -> list[str]:
    """What a folder with one share of a crowd holds besides its parts; the names of the files."""
    files = study_files(_study(frame, None), PARTS)
    return [*_margins(folder, frame), *(_write(folder, name, files[name]) for name in (PROBLEMS, STUDY_FILE))]


def write_final(folder: Path, frame: Frame, entries: Mapping[int, Entry]) -> list[str]:
    """Write everything but the parts, `study.toml` last; the names of the files. Every part must be there."""
    tally = total_tally(folder, frame, entries)
    table = distribution_table(tally, frame.kind, frame.problems, frame.stamp)
    written = [_write(folder, DISTRIBUTIONS, _csv([table])), *_margins(folder, frame)]
    if len(frame.groups) > 1:
        tables = subgroup_tables(tally, frame.kind, frame.problems, frame.groups, frame.stamp)
        written.append(_write(folder, SUBGROUPS, _csv(tables)))
    sheets = fits_spreadsheet(frame, entries)
    people = _all_people(folder, frame, entries) if sheets else None
    files = study_files(_study(frame, people), None if sheets else PARTS)
    if sheets:
        written.append(_write(folder, "participants.csv", files["participants.csv"]))
        written.append(_write(folder, "responses.csv", _responses(folder, frame, entries, files["responses.csv"])))
    return [*written, *(_write(folder, name, files[name]) for name in (PROBLEMS, STUDY_FILE))]


def fits_spreadsheet(frame: Frame, entries: Mapping[int, Entry]) -> bool:
    """Whether the tables are also written as CSV; so are those without a row, where only distributions are kept."""
    if frame.plan.settings.sample == 0:
        return True
    stored = sum(entry.stored for entry in entries.values())
    return max(stored, frame.plan.settings.participants) <= SPREADSHEET_ROWS


def total_tally(folder: Path, frame: Frame, entries: Mapping[int, Entry]) -> Tally:
    """The counts of all parts, added in their order."""
    groups, problems = len(frame.groups), len(frame.problems)
    total = empty_tally(frame.kind, frame.options, groups, problems)
    for index in sorted(entries):
        total.add(read_tally((folder / part_name(TALLIES, index)).read_bytes(), groups, problems))
    return total


def _margins(folder: Path, frame: Frame) -> list[str]:
    """The target margins, where people were recruited to some, for `crowdllm report` to hold them against."""
    margins = {column: dict(shares) for column, shares in frame.plan.settings.margins}
    return [_write(folder, MARGINS_FILE, margins_text(margins).encode("utf-8"))] if margins else []


def _study(frame: Frame, people: Profiles | None) -> Study:
    study = empty_study(frame.kind, frame.problems, frame.columns)
    return replace(
        study,
        title=frame.title,
        profiles=study.profiles if people is None else people,
        source=_source(frame),
        simulated=True,
    )


def _source(frame: Frame) -> tuple[str, ...]:
    """What study.toml says of where the responses come from."""
    sample, stamp = frame.plan.settings.sample, frame.stamp
    lines = [
        f"Simulated by crowdllm {__version__}: no row is a real person's answer.",
        f"Model {stamp.model}, seed {stamp.seed}.",
    ]
    if sample == 0:
        lines.append(f"No response is stored: {DISTRIBUTIONS} and {SUBGROUPS} hold what was counted.")
    elif sample < 1:
        lines.append(
            f"A sample of {sample:g} of the responses, of those people who are in it; {DISTRIBUTIONS} and {SUBGROUPS} "
            "count all of them."
        )
    return tuple(lines)


def _all_people(folder: Path, frame: Frame, entries: Mapping[int, Entry]) -> Profiles | None:
    if frame.plan.settings.sample == 0:
        return None
    import pyarrow.parquet as pq

    tables = [pq.read_table(folder / part_name(PEOPLE, index)) for index in sorted(entries)]
    parts = [read_people(table, frame.columns, frame.names) for table in tables]
    return Profiles(frame.columns, np.concatenate([p.ids for p in parts]), np.concatenate([p.values_NC for p in parts]))


def _responses(folder: Path, frame: Frame, entries: Mapping[int, Entry], header: bytes) -> bytes:
    """The rows of all parts; only a header where no response is stored."""
    if frame.plan.settings.sample == 0:
        return header
    import pyarrow.parquet as pq

    return _csv([pq.read_table(folder / part_name(RESPONSES, index)).to_pandas() for index in sorted(entries)])


def _csv(tables: list[pd.DataFrame]) -> bytes:
    out = io.StringIO(newline="")
    for number, table in enumerate(tables):
        table.to_csv(out, index=False, header=number == 0)
    return out.getvalue().encode("utf-8")


def _write(folder: Path, name: str, data: bytes) -> str:
    write_whole(folder / name, data)
    return name
