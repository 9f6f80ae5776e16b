"""Join the shares of a simulation that were made in folders of their own, after checking that they belong together.

The result is, byte for byte, the folder that one run of the whole would have written. Files are linked where the file
system can, so that joining takes no more room, and copied where not.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from crowdllm.errors import CrowdLLMError
from crowdllm.simulation.folder import Report, fill, require_same_run
from crowdllm.simulation.frame import Frame, plan_of, read_frame
from crowdllm.simulation.ledger import FRESH, Entry, note, read_ledger, sound
from crowdllm.simulation.plan import Plan, Shard, differences, parse_shard
from crowdllm.simulation.run import read_run_meta

Progress = Callable[[str, int, int], None]
SHOWN = 5


@dataclass(frozen=True)
class Share:
    """A folder with a share of a simulation, complete in itself."""

    folder: Path
    plan: Plan
    shard: Shard
    entries: dict[int, Entry]


def merge_crowds(folders: Sequence[str | Path], out: str | Path, progress: Progress | None = None) -> Report:
    """Join the shares in these folders into the folder `out`.

    Raises CrowdLLMError where a share is missing, incomplete, there twice, damaged, or of another run (saying what
    differs); nothing is written then.
    """
    shares = [read_share(Path(folder)) for folder in folders]
    source = sources(shares)
    if Path(out).resolve() in [share.folder.resolve() for share in shares]:
        raise CrowdLLMError(f"{out} is one of the shares: name another folder for --out")
    plan = shares[0].plan
    require_same_run(out, plan, Shard())
    frame: Frame = read_frame(shares[0].folder)
    target = Path(out)

    def keep(todo: list[int]) -> Generator[Entry]:
        for part in todo:
            share = source[part]
            if not sound(share.folder, share.entries[part]):
                raise CrowdLLMError(
                    f"part {part} in {share.folder} is damaged: give the command of share {share.shard} again"
                )
            yield _adopt(target, share.folder, share.entries[part])

    return fill(target, frame, Shard(), keep, progress)


def read_share(folder: Path) -> Share:
    """The share in a folder; raises CrowdLLMError where there is none, or an incomplete one."""
    meta = read_run_meta(folder)
    if meta is None:
        raise CrowdLLMError(f"{folder} holds no simulated crowd; give the folders of crowdllm simulate --shard")
    plan, shard, entries = plan_of(meta, folder), parse_shard(meta["shard"]), read_ledger(folder)
    missing = [part for part in shard.parts(plan) if part not in entries]
    if missing or not meta["complete"]:
        count = len(shard.parts(plan))
        there = f"{count - len(missing)} of {count} parts"
        raise CrowdLLMError(f"share {shard} in {folder} is not finished ({there}): give its command again")
    return Share(folder, plan, shard, {part: entries[part] for part in shard.parts(plan)})


def sources(shares: Sequence[Share]) -> dict[int, Share]:
    """Which share each part comes from; raises CrowdLLMError unless every part is there once, all of one run."""
    first = shares[0]
    source: dict[int, Share] = {}
    for share in shares:
        differ = differences(first.plan, share.plan)
        if differ:
            raise CrowdLLMError(
                f"{share.folder} is of another run than {first.folder}: {'; '.join(differ)} "
                f"(there: {first.folder}); join shares of one run"
            )
        twice = sorted(set(share.entries) & set(source))
        if twice:
            other = source[twice[0]]
            raise CrowdLLMError(
                f"{_named(twice)} is both in {other.folder} (share {other.shard}) and in {share.folder} (share "
                f"{share.shard}); give each share once"
            )
        source |= dict.fromkeys(share.entries, share)
    missing = [part for part in range(first.plan.parts) if part not in source]
    if missing:
        lacking = sorted({part % first.shard.of + 1 for part in missing})
        hint = ", ".join(f"{number}/{first.shard.of}" for number in lacking[:SHOWN]) + (" ..." * (len(lacking) > SHOWN))
        raise CrowdLLMError(f"{_named(missing)} of {first.plan.parts} is missing: add the folder of share {hint}")
    return source


def _named(parts: list[int]) -> str:
    more = f" and {len(parts) - 1} more" if len(parts) > 1 else ""
    return f"part {parts[0]}{more}"


def _adopt(target: Path, source: Path, entry: Entry) -> Entry:
    """Put a finished part of another folder into its place here."""
    for name in entry.files:
        place = target / name
        fresh = place.with_name(f".{place.name}{FRESH}")
        fresh.unlink(missing_ok=True)
        try:
            os.link(source / name, fresh)
        except OSError:
            shutil.copyfile(source / name, fresh)
        fresh.replace(place)
    note(target, entry)
    return entry
