"""Every reader, on damaged files: a clear error or a reading that makes a study, never a traceback, within bounds."""

from __future__ import annotations

import os
import random
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType

import pytest

from crowdllm.data.study_check import check_study
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange import READERS, statistics_file
from crowdllm.exchange.importing import find_reader, import_study
from crowdllm.exchange.writing import write_imported

SECONDS, MEGABYTES = 10, 512
WRITTEN = 25  # one in so many good readings is written to a folder and checked
Files = Callable[[str], list[list[Path]]]
Modules = Callable[[str], ModuleType]
CHILD_FAILED = 7

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="bounds on memory and time need a POSIX system")


class OutOfTime(BaseException):
    """A file took more than SECONDS of processor time."""


class Shared(statistics_file.Worker):
    """One process for all the .sav and .dta files, so that not each of them waits for a start."""

    one: statistics_file.Worker | None = None

    def __new__(cls) -> statistics_file.Worker:  # type: ignore[misc]
        if Shared.one is None:
            Shared.one = KeptOpen()
        return Shared.one

    def __init__(self) -> None:
        pass


class KeptOpen(statistics_file.Worker):
    def __exit__(self, *_: object) -> None:
        pass


@contextmanager
def bounded() -> Iterator[None]:
    """At most SECONDS of processor time inside."""

    def stop(_: int, __: FrameType | None) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def try_damaged(format: str, groups: list[list[Path]], damage: ModuleType, number: int, folder: Path) -> str:
    """One damaged import: "read", "refused", or what went wrong, with all that is needed to do it again."""
    draw = random.Random(f"{format} {number}")
    group = draw.choice(groups)
    hurt = draw.randrange(len(group))
    files = []
    for i, path in enumerate(group):
        copy = folder / path.name
        files.append(copy)
        if path.is_dir():
            shutil.copytree(path, copy, dirs_exist_ok=True)
            copy = draw.choice(sorted(p for p in copy.rglob("*") if p.is_file()))
        data = (path / copy.relative_to(folder / path.name)).read_bytes()
        copy.write_bytes(damage.damaged(data, draw) if i == hurt else data)
    try:
        with bounded():
            find_reader(files)  # a look at the file must do no harm either
            imported = import_study(files, format)
            assert imported.parts
            assert all(len(part.study.problems) for part in imported.parts)
            if number % WRITTEN == 0:
                for study in write_imported(imported, folder / "out", force=True):
                    assert check_study(study).usable
    except CrowdLLMError as error:
        return "refused" if str(error).strip() else "an error without words"
    except (Exception, OutOfTime):
        return f"{format} file {number} ({files[hurt].name}):\n{traceback.format_exc()}"
    return "read"


def in_child(work: Callable[[], str]) -> str:
    """The result of some work done in a process of its own with MEGABYTES more memory than it begins with."""
    import resource

    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        status = CHILD_FAILED
        try:
            os.close(read_end)
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            hard = resource.getrlimit(resource.RLIMIT_AS)[1]
            resource.setrlimit(resource.RLIMIT_AS, (used + MEGABYTES * 1_000_000, hard))
            os.write(write_end, work().encode("utf-8", "replace")[-60_000:])
            status = 0
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, f"the process ended with {status}: {said}"
    return said


def fuzz(format: str, count: int, sample_files: Files, samples: Modules, folder: Path) -> dict[str, int]:
    groups, damage = sample_files(format), samples("damage")
    folder.mkdir()

    def work() -> str:
        statistics_file.Worker = Shared  # type: ignore[misc]
        counts = {"read": 0, "refused": 0}
        for number in range(count):
            outcome = try_damaged(format, groups, damage, number, folder)
            if outcome not in counts:
                return outcome
            counts[outcome] += 1
        return f"{counts['read']} {counts['refused']}"

    said = in_child(work)
    numbers = said.split()
    assert len(numbers) == 2 and all(n.isdecimal() for n in numbers), said  # noqa: PT018
    return {"read": int(numbers[0]), "refused": int(numbers[1])}


@pytest.mark.parametrize("format", READERS)
def test_the_samples_are_recognised_and_make_usable_studies(format: str, sample_files: Files, tmp_path: Path) -> None:
    for i, group in enumerate(sample_files(format)):
        assert find_reader(group).name == format
        imported = import_study(group)
        assert imported.understood
        for study in write_imported(imported, tmp_path / f"out {i}"):
            assert check_study(study).usable


@posix
@pytest.mark.parametrize("format", READERS)
def test_a_hundred_damaged_files_are_read_or_refused_with_words(
    format: str, sample_files: Files, samples: Modules, tmp_path: Path
) -> None:
    counts = fuzz(format, 100, sample_files, samples, tmp_path / "fuzz")
    assert sum(counts.values()) == 100
    assert counts["refused"] > 0  # else nothing was damaged


@posix
@pytest.mark.slow
@pytest.mark.parametrize("format", READERS)
def test_ten_thousand_damaged_files_are_read_or_refused_with_words(
    format: str, sample_files: Files, samples: Modules, tmp_path: Path
) -> None:
    counts = fuzz(format, 10_000, sample_files, samples, tmp_path / "fuzz")
    assert sum(counts.values()) == 10_000
    assert counts["refused"] > 0
    assert counts["read"] > 0


@posix
def test_too_much_memory_and_too_much_time_would_be_seen() -> None:
    def take_memory() -> str:
        try:
            return str(len(bytearray(MEGABYTES * 2_000_000)))
        except MemoryError:
            return "no memory"

    def take_time() -> str:
        try:
            with bounded():
                signal.setitimer(signal.ITIMER_PROF, 0.05)
                while True:
                    pass
        except OutOfTime:
            return "no time"

    assert in_child(take_memory) == "no memory"
    assert in_child(take_time) == "no time"
