"""Simulate a crowd of any size into a folder, part by part; whatever stops it, the same command continues.

This process plans, keeps and writes; an engine makes the parts. Memory holds the model and a few parts, however many
participants there are.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.belief.items import Items
from crowdllm.data.profiles import Profiles
from crowdllm.simulation.engines import Resources, open_engine
from crowdllm.simulation.folder import Report, fill, require_same_run
from crowdllm.simulation.frame import frame_of
from crowdllm.simulation.ledger import Entry, keep_part
from crowdllm.simulation.parts import open_workbench
from crowdllm.simulation.plan import Settings, Shard, make_plan
from crowdllm.simulation.run import stand_ins

Progress = Callable[[str, int, int], None]


def stream_crowd(
    model: CrowdModel,
    model_meta: dict[str, Any],
    items: Items,
    settings: Settings,
    out: str | Path,
    people: Profiles | None = None,
    shard: Shard | None = None,
    engine: str = "local",
    resources: Resources | None = None,
    progress: Progress | None = None,
) -> Report:
    """Simulate into the folder `out`, or go on where a run of the same settings stopped.

    model_meta: `read_meta` of the model's folder. people: given people to simulate instead of recruits (see
    `stand_ins`); `settings.participants` is then their number. shard: the share of the parts to make; all when None.

    Raises ConfigError for settings that cannot be, CrowdLLMError for a folder that holds something else or another run
    (saying what differs) and for a full disk, OSError where nothing can be written.
    """
    if people is not None:
        people, settings = stand_ins(people), replace(settings, participants=len(people))
    plan = make_plan(model_meta["model_hash"], items, model.response_type, settings, people)
    make_parts, shard = open_engine(engine), shard or Shard()
    bench = open_workbench(plan, model, items, people)
    require_same_run(out, plan, shard)
    folder = Path(out)

    def keep(todo: list[int]) -> Generator[Entry]:
        with closing(make_parts(bench, todo, resources or Resources())) as parts:
            for part in parts:
                yield keep_part(folder, part)

    title = (model_meta.get("study") or {}).get("title", "a fitted crowd")
    return fill(folder, frame_of(bench, title), shard, keep, progress)
