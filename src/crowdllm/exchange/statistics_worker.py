"""Read .sav and .dta files in a process of their own, with bounds on memory and time.

The library that reads these formats is written in C: a damaged file can make it crash or run for minutes. So it runs
here, apart from everything else (`python -m crowdllm.exchange.statistics_worker`). Each line on standard input is a job
in JSON: {"path", "kind", "out", "most_cells", "seconds"}; each line on standard output says {"error": ""} or what is
wrong. Where the system can fork, every job has a process of its own, so that the next one goes on whatever happens.

Per column the job writes the different cells (JSON) and each row's position among them (int32), so that a million rows
with five levels are five texts.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MEMORY_BYTES = 350_000_000
"""On top of what the process has when the job begins."""
DAMAGED = "the file is damaged"


def main() -> None:
    """Do the jobs on standard input, one after the other."""
    _import_reader()
    for line in sys.stdin:
        job = json.loads(line)
        error = _in_own_process(job) if hasattr(os, "fork") else _do(job)
        print(json.dumps({"error": error}), flush=True)


def _import_reader() -> None:
    import numpy  # noqa: F401
    import pyreadstat  # noqa: F401


def _in_own_process(job: Mapping[str, Any]) -> str:
    """Fork, do the job with bounds, and say how it ended."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read_end)
            _bound(job)
            os.write(write_end, _do(job).encode("utf-8", "replace")[:2_000])
            status = 0
        finally:
            os._exit(status)
    os.close(write_end)
    pid, status = _wait(child, time.monotonic() + float(job["seconds"]))
    said = os.read(read_end, 4_000).decode("utf-8", "replace")
    os.close(read_end)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 and pid:
        return said
    return said or f"{DAMAGED}: it cannot be read in {float(job['seconds']):.0f} s and {MEMORY_BYTES // 10**6} MB"


def _wait(child: int, until: float) -> tuple[int, int]:
    """The child's end, after a kill where it takes too long."""
    pause = 0.001
    while time.monotonic() < until:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return pid, status
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)


def _bound(job: Mapping[str, Any]) -> None:
    """Limit this process's memory and processor time; keep a crash from writing a core file."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if pages:
        most = pages * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    seconds = math.ceil(float(job["seconds"]))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - closed with the process
    os.dup2(sys.stderr.fileno(), 2)


def _do(job: Mapping[str, Any]) -> str:
    """Read the file and write what is in it; "" or what is wrong."""
    try:
        _read(job)
    except MemoryError:
        return f"{DAMAGED}: it would take more than {MEMORY_BYTES // 10**6} MB"
    except Exception as error:  # whatever the library raises for a damaged file
        return f"{DAMAGED}, or is no {job['kind']} file: {type(error).__name__}: {str(error)[:300]}"
    return ""


def _read(job: Mapping[str, Any]) -> None:
    import pyreadstat

    read = {"sav": pyreadstat.read_sav, "dta": pyreadstat.read_dta}[job["kind"]]
    _, about = read(job["path"], metadataonly=True, output_format="dict")
    names = list(about.column_names)
    most_rows = int(job["most_cells"]) // max(len(names), 1)
    if not names or len(names) > int(job["most_cells"]):
        raise ValueError(f"{len(names)} variables")
    data, about = read(
        job["path"],
        user_missing=True,
        row_limit=most_rows + 1,
        disable_datetime_conversion=True,
        output_format="dict",
    )
    rows = len(next(iter(data.values()), ()))
    if len(set(names)) < len(names) or any(name not in data or not name for name in names):
        raise ValueError("variables without a name, or two of one name")
    if rows > most_rows:
        raise ValueError(f"more than {job['most_cells']:,} cells; raise the limit with --max-megabytes")
    out = Path(job["out"])
    with (out / "codes").open("wb") as codes, (out / "cells").open("w", encoding="utf-8") as cells:
        for name in names:
            code, words = _column(data[name])
            code.tofile(codes)
            cells.write(json.dumps(words) + "\n")
    (out / "about").write_text(json.dumps(_about(about, rows)), encoding="utf-8")


def _column(values: Any) -> tuple[Any, list[str]]:
    """(rows,) positions, and the different cells as text in order of appearance."""
    import numpy as np

    position: dict[Any, int] = {}
    code = np.empty(len(values), dtype=np.int32)
    for row, value in enumerate(values.tolist() if hasattr(values, "tolist") else values):
        if value != value or value is None:
            value = ""
        code[row] = position.setdefault(value, len(position))
    return code, [_text(value) for value in position]


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return repr(value) if isinstance(value, float) else str(value)


def _about(about: Any, rows: int) -> dict[str, Any]:
    """The variables' labels, value labels, missing codes, types and measures."""
    names = list(about.column_names)
    labels = dict(about.column_names_to_labels or {})
    values = {n: [[_text(c), str(w)] for c, w in t.items()] for n, t in (about.variable_value_labels or {}).items()}
    ranges = {
        name: [[_bound_text(r.get("lo")), _bound_text(r.get("hi"))] for r in found]
        for name, found in (getattr(about, "missing_ranges", None) or {}).items()
    }
    sets = {str(name): _answer_set(found) for name, found in (getattr(about, "mr_sets", None) or {}).items()}
    return {
        "rows": rows,
        "names": names,
        "labels": {name: str(label or "") for name, label in labels.items()},
        "values": values,
        "missing": ranges,
        "measure": {name: str(m) for name, m in (about.variable_measure or {}).items()},
        "types": {name: str(t) for name, t in (about.original_variable_types or {}).items()},
        "title": str(about.file_label or ""),
        "sets": sets,
    }


def _answer_set(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "label": str(found.get("label", "")),
        "value": _text(found.get("counted_value", "")),
        "dichotomy": bool(found.get("is_dichotomy")),
        "names": [str(name) for name in found.get("variable_list") or []],
    }


def _bound_text(value: Any) -> str:
    return "" if value is None or value != value else _text(value)


if __name__ == "__main__":
    main()
