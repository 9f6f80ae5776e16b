"""The folder of a simulated crowd: begun, filled part by part, finished, and gone on with after whatever stopped it.

meta.json            the run's plan, its share of the parts, whether it is complete; written first and last
parts.jsonl          the finished parts with their checksums
participants/ responses/ tallies/     the parts, as Parquet
study.toml problems.csv distributions.csv ...     written when all parts are there
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowdllm import __version__
from crowdllm.errors import CrowdLLMError
from crowdllm.simulation.finish import write_final, write_share
from crowdllm.simulation.frame import Frame, plan_of
from crowdllm.simulation.ledger import (
    Entry,
    alone,
    close_ledger,
    file_hash,
    make_room,
    mend_ledger,
    read_ledger,
    sound,
    write_whole,
)
from crowdllm.simulation.meter import Meter
from crowdllm.simulation.parts import PEOPLE, RESPONSES, TALLIES
from crowdllm.simulation.plan import Plan, Shard, differences
from crowdllm.simulation.run import META, read_run_meta, require_free

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
Progress = Callable[[str, int, int], None]
Keep = Callable[[list[int]], Generator[Entry]]
"""Puts these parts in their places and gives the entry of each as it is done."""


@dataclass(frozen=True)
class Report:
    """What a run did. new: parts made now. damaged: parts found damaged. files: those for people to read.

    people, simulated, stored: participants, their responses, and how many of these are stored, in all its parts.
    """

    folder: Path
    parts: int
    new: int
    damaged: int
    people: int
    simulated: int
    stored: int
    files: tuple[Path, ...]


def require_same_run(out: str | Path, plan: Plan, shard: Shard) -> None:
    """Raise CrowdLLMError where the folder holds something else, or another run than this one: it says what differs."""
    require_free(out)
    folder = Path(out)
    meta = read_run_meta(folder)
    if meta is None:
        return
    differ = differences(plan_of(meta, folder), plan)
    if meta["shard"] != str(shard):
        differ.append(f"it is share {meta['shard']} there and {shard} here")
    if differ:
        raise CrowdLLMError(f"{out} holds another run: {'; '.join(differ)}; choose another folder, or delete that one")


def fill(folder: Path, frame: Frame, shard: Shard, keep: Keep, progress: Progress | None = None) -> Report:
    """Begin or go on with a run, and finish it. `require_same_run` must have passed.

    Raises CrowdLLMError where another process writes to the folder and for a full disk, OSError where nothing can be
    written; what is done is kept.
    """
    plan = frame.plan
    folder.mkdir(exist_ok=True)
    with alone(folder):
        try:
            old = read_run_meta(folder)
            if old is None:
                _write_meta(folder, frame, shard)
            make_room(folder, (TALLIES, *((PEOPLE, RESPONSES) if plan.settings.sample > 0 else ())))
            mend_ledger(folder)
            done, damaged = _checked(folder, shard.parts(plan), progress)
            todo = [part for part in shard.parts(plan) if part not in done]
            if not (old and old.get("complete") and not todo and _intact(folder, old)):
                _write_meta(folder, frame, shard)
                meter = Meter(len(done), len(done) + len(todo), progress)
                with closing(keep(todo)) as kept:
                    for entry in kept:
                        done[entry.part] = entry
                        meter.step(entry.simulated)
                _finish(folder, frame, shard, done)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise _no_space(error, folder, len(shard.parts(plan))) from None
    return _report(folder, done, len(todo), damaged)


def _checked(folder: Path, parts: range, progress: Progress | None) -> tuple[dict[int, Entry], int]:
    """The parts that the ledger names and whose files are whole, and how many are not."""
    noted = {part: entry for part, entry in read_ledger(folder).items() if part in parts}
    done: dict[int, Entry] = {}
    for number, (part, entry) in enumerate(noted.items()):
        if progress:
            progress("checking finished parts", number, len(noted))
        if sound(folder, entry):
            done[part] = entry
    return done, len(noted) - len(done)


def _intact(folder: Path, meta: dict[str, Any]) -> bool:
    """Whether the final files of a complete run are as they were written."""
    try:
        return all(file_hash(folder / name) == seal for name, seal in meta["files"].items())
    except OSError:
        return False


def _finish(folder: Path, frame: Frame, shard: Shard, done: dict[int, Entry]) -> None:
    """What comes after the last part: final tables, the ledger in order, and meta.json, which says that all is done."""
    names = write_final(folder, frame, done) if shard.of == 1 else write_share(folder, frame)
    close_ledger(folder, done)
    _write_meta(folder, frame, shard, done, {name: file_hash(folder / name) for name in names})


def _write_meta(
    folder: Path,
    frame: Frame,
    shard: Shard,
    done: dict[int, Entry] | None = None,
    files: dict[str, str] | None = None,
) -> None:
    """meta.json: of a run under way without `done`, else of a complete one."""
    plan = frame.plan
    meta: dict[str, Any] = {
        "crowdllm": __version__,
        "simulated": True,
        "complete": done is not None,
        "run": plan.hash,
        "model_hash": plan.model_hash,
        "seed": plan.settings.seed,
        "participants": plan.settings.participants,
        "problems": plan.problem_count,
        "parts": plan.parts,
        "shard": str(shard),
        "plan": plan.to_dict(),
        "groups": [list(group) for group in frame.groups],
    }
    if done is not None:
        meta |= {
            "responses": sum(entry.simulated for entry in done.values()),
            "stored": sum(entry.stored for entry in done.values()),
            "files": files or {},
        }
    write_whole(folder / META, (json.dumps(meta, indent=1, sort_keys=True) + "\n").encode())


def _no_space(error: OSError, folder: Path, total: int) -> CrowdLLMError:
    done = read_ledger(folder)
    size = sum(seal["bytes"] for entry in done.values() for seal in entry.files.values())
    need = f"about {size / len(done) * (total - len(done)) / 1e9:.2g} GB more are needed: " if done else ""
    try:
        left = f", {shutil.disk_usage(folder).free / 1e9:.2g} GB free"
    except OSError:
        left = ""
    return CrowdLLMError(
        f"no space left in {folder} ({error.strerror}{left}): {len(done)} of {total} parts are done and kept; {need}"
        "make room and give the same command again"
    )


def _report(folder: Path, done: dict[int, Entry], new: int, damaged: int) -> Report:
    meta = read_run_meta(folder) or {}
    return Report(
        folder=folder,
        parts=len(done),
        new=new,
        damaged=damaged,
        people=sum(entry.people for entry in done.values()),
        simulated=sum(entry.simulated for entry in done.values()),
        stored=sum(entry.stored for entry in done.values()),
        files=tuple(folder / name for name in meta.get("files", {})),
    )
