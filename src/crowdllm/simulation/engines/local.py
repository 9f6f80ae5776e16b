"""Make parts on this machine: in this process, or in several that are each given the next part when they are done.

Worker processes are started afresh (not forked from one that has used torch), take no keyboard interrupt for
themselves, and end when this process does, however it ends, since their pipe then closes.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Generator, Sequence
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from crowdllm.errors import ConfigError, CrowdLLMError
from crowdllm.simulation.engines import Resources
from crowdllm.simulation.job import Job, make_part_of, pack_job
from crowdllm.simulation.parts import Part, Workbench, make_part

PARTS_WORTH_A_WORKER = 16


def make_parts(bench: Workbench, parts: Sequence[int], resources: Resources) -> Generator[Part]:
    """The parts, in the order in which they are done."""
    if resources.workers < 0:
        raise ConfigError(f"the number of workers must be at least 1 (or 0 for one per core), not {resources.workers}")
    workers = min(resources.workers or min(cores(), len(parts) // PARTS_WORTH_A_WORKER), len(parts))
    if workers <= 1 or resources.model_folder is None:
        yield from (make_part(bench, index) for index in parts)
        return
    yield from _in_processes(pack_job(bench, resources.model_folder), parts, workers)


def cores() -> int:
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _in_processes(job: Job, parts: Sequence[int], workers: int) -> Generator[Part]:
    processes: dict[Connection, BaseProcess] = {}
    waiting = iter(parts)
    try:
        for _ in range(workers):
            pipe, process = _started(job)
            processes[pipe] = process
            _send(pipe, process, next(waiting))
        busy = set(processes)
        while busy:
            for pipe in [pipe for pipe in busy if pipe in wait(list(busy))]:
                part, further = _received(pipe, processes[pipe]), next(waiting, None)
                _send(pipe, processes[pipe], further)
                if further is None:
                    busy.remove(pipe)
                yield part
    finally:
        for pipe, process in processes.items():
            pipe.close()
            process.terminate()
        for process in processes.values():
            process.join()


def _started(job: Job) -> tuple[Connection, BaseProcess]:
    """A worker process and our end of the pipe to it."""
    context = get_context("spawn")
    if "forkserver" in get_all_start_methods():  # loads the heavy packages once for all workers
        context = get_context("forkserver")  # type: ignore[assignment]
        context.set_forkserver_preload(["crowdllm.simulation.job", "torch"])
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, job), daemon=True)
    process.start()
    there.close()
    return here, process


def _send(pipe: Connection, process: BaseProcess, index: int | None) -> None:
    try:
        pipe.send(index)
    except OSError:
        raise _lost(process) from None


def _received(pipe: Connection, process: BaseProcess) -> Part:
    """The part that a worker sends; raises what went wrong there."""
    try:
        answer = pipe.recv()
    except (EOFError, OSError):
        raise _lost(process) from None
    if isinstance(answer, Part):
        return answer
    by_user, message = answer
    raise CrowdLLMError(message) if by_user else RuntimeError(f"a worker process failed:\n{message}")


def _lost(process: BaseProcess) -> CrowdLLMError:
    process.join(timeout=5)
    return CrowdLLMError(
        f"a worker process ended unexpectedly (exit status {process.exitcode}), perhaps for want of memory; finished "
        "parts are kept: give the same command again, with fewer --workers if memory is short"
    )


def _work(pipe: Connection, job: Job) -> None:
    """A worker: make the parts whose numbers arrive until there are none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        while (index := pipe.recv()) is not None:
            pipe.send(_attempt(job, index))
    except (EOFError, OSError):  # whoever started this process is gone
        return


def _attempt(job: Job, index: int) -> Part | tuple[bool, str]:
    """The part, or whether the user can mend what went wrong, and what that is."""
    try:
        return make_part_of(job, index)
    except CrowdLLMError as error:
        return True, str(error)
    except Exception:
        return False, traceback.format_exc()
