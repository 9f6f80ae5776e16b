"""Make parts on a cluster through dask.distributed: its workers compute, and send the finished parts back to be kept.

Workers need the same software as here and no shared disk. The job is itself the result of a task, so that a worker that
joins late, or takes over from one that died, is given it anew; parts are asked for a few at a time, so that memory here
and at the scheduler stays bounded.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import islice
from typing import Any

from crowdllm.errors import ConfigError, CrowdLLMError, MissingExtraError
from crowdllm.simulation.engines import Resources
from crowdllm.simulation.job import Job, make_part_of, pack_job
from crowdllm.simulation.parts import Part, Workbench

PER_THREAD = 2
PATIENCE_S = 20
JOB_BYTES = "4 GiB"
"""Up to which size a model is sent without a warning: it is sent once to each worker."""


def make_parts(bench: Workbench, parts: Sequence[int], resources: Resources) -> Generator[Part]:
    """The parts, in the order in which they arrive."""
    try:
        from dask import config
        from distributed import Client, as_completed
    except ImportError:
        raise MissingExtraError("the dask engine", "cluster") from None
    if not resources.scheduler or resources.model_folder is None:
        raise ConfigError("the dask engine needs the address of a scheduler: --scheduler tcp://HOST:8786")
    if not parts:
        return
    client = _connected(Client, resources.scheduler)
    try:
        with config.set({"distributed.admin.large-graph-warning-threshold": JOB_BYTES}):
            job = client.submit(_as_given, pack_job(bench, resources.model_folder), pure=False)
        waiting = iter(parts)
        arriving = as_completed(loop=client.loop)
        for index in islice(waiting, _window(client)):
            arriving.add(client.submit(make_part_of, job, index, pure=False))
        for future in arriving:
            part = _result(future)
            future.release()
            for index in islice(waiting, max(_window(client) - arriving.count(), 0)):
                arriving.add(client.submit(make_part_of, job, index, pure=False))
            yield part
    finally:
        client.close()


def _as_given(job: Job) -> Job:
    return job


def _connected(client: Any, address: str) -> Any:
    """A client of the scheduler at this address, once it has workers; raises CrowdLLMError in words."""
    try:
        connected = client(address, timeout=PATIENCE_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CrowdLLMError(
            f"no dask scheduler can be reached at {address} ({reason}); start one with: dask scheduler"
        ) from None
    try:
        connected.wait_for_workers(1, timeout=PATIENCE_S)
    except TimeoutError:
        connected.close()
        raise CrowdLLMError(
            f"the dask scheduler at {address} has no workers; start some: dask worker {address}"
        ) from None
    return connected


def _window(client: Any) -> int:
    """How many parts to have under way: some for each thread of the workers that there are now."""
    return max(PER_THREAD * sum(client.nthreads().values()), 1)


def _result(future: Any) -> Part:
    """The part; raises CrowdLLMError for what the user can mend."""
    from distributed import KilledWorker
    from distributed.scheduler import NoValidWorkerError

    try:
        part = future.result()
    except KilledWorker:
        raise CrowdLLMError(
            "workers of the cluster died again and again over one part, perhaps for want of memory; finished parts are "
            "kept: give the same command again, with more memory per worker"
        ) from None
    except (ModuleNotFoundError, NoValidWorkerError) as error:
        raise CrowdLLMError(
            f"the cluster cannot run crowdllm ({error}); install the same version on all machines"
        ) from None
    assert isinstance(part, Part)
    return part
