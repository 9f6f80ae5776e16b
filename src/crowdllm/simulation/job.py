"""A simulation as plain data that travels to other processes and machines, and back into a workbench there.

The model travels as its folder's files, whose hashes are checked where it arrives. A machine that has other versions,
or rounds differently, refuses: it would not make the same bytes.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from crowdllm.belief.checkpoint import load_model, read_meta
from crowdllm.belief.items import Items
from crowdllm.data.profiles import Profiles
from crowdllm.errors import CrowdLLMError, MismatchError
from crowdllm.simulation.parts import Part, Workbench, make_part, open_workbench
from crowdllm.simulation.plan import Plan, differences
from crowdllm.simulation.versions import versions

_opened: dict[str, Workbench] = {}
_opening = threading.Lock()


@dataclass(frozen=True)
class Job:
    """plan: what to make. model: the files of its folder. items, people: None for the model's own and for recruits."""

    plan: Plan
    model: dict[str, bytes]
    items: Items | None
    people: Profiles | None


def pack_job(bench: Workbench, folder: Path) -> Job:
    """The job of a workbench whose model lies in this folder; raises CrowdLLMError where that is another model."""
    if read_meta(folder)["model_hash"] != bench.plan.model_hash:
        raise CrowdLLMError(f"the model in {folder} has changed since the simulation began; give the command again")
    files = {
        path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in (".json", ".safetensors")
    }
    return Job(bench.plan, files, None if bench.items is bench.model.items else bench.items, bench.people)


def make_part_of(job: Job, index: int) -> Part:
    """Part `index` of a job; the workbench is set up at the first call in a process and kept for the next."""
    with _opening:
        if job.plan.hash not in _opened:
            _opened.clear()
            _opened[job.plan.hash] = open_job(job)
        bench = _opened[job.plan.hash]
    return make_part(bench, index)


def open_job(job: Job) -> Workbench:
    """The workbench of a job; raises MismatchError where this machine would not give the same bytes."""
    differ = differences(job.plan, replace(job.plan, versions=versions()))
    if differ:
        raise MismatchError(
            f"a worker would not give the same responses: {'; '.join(differ)} (there: where it was started)"
        )
    with TemporaryDirectory() as folder:
        for name, data in job.model.items():
            (Path(folder) / name).write_bytes(data)
        model = load_model(folder)
    return open_workbench(job.plan, model, job.items or model.items, job.people)
