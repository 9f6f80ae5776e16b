"""`run_study(experiment)`: do what is not done yet in several processes, and write tables, pictures, page, meta.json.

The folder: `experiment.json` (what it is for), `parts/` (a file per piece), the tables as CSV, `figures/`,
`index.html`, `index.md`, and last `meta.json`, which is only there when all of the others are. The same bytes come out
however often the run was stopped and however many workers there were; how long things took is in `timings.csv` alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crowdllm import __version__
from crowdllm.embedding import TFIDF, fit_embedder
from crowdllm.errors import ConfigError, CrowdLLMError, MismatchError, MissingExtraError
from crowdllm.experiments.reproduce.processes import Task, work_through
from crowdllm.experiments.reproduce.remaining import status
from crowdllm.experiments.reproduce.timings import keep_session, keep_timing, read_timings
from crowdllm.experiments.results_folder import claim_folder, read_csv, write_csv, write_text
from crowdllm.experiments.studies.data import digest
from crowdllm.experiments.studies.page import draw_pictures, write_study_page
from crowdllm.experiments.studies.protocol import Experiment, Findings, Piece, Settings, check_pieces

if TYPE_CHECKING:
    pass

Progress = Callable[[str, int, int], None]
Note = Callable[[str], None]
LEFT_OUT = ".left-out.txt"
META = "meta.json"


@dataclass(frozen=True)
class Ran:
    """A finished study: its findings, what was left out and why, and every file for people, the page first."""

    experiment: Experiment
    findings: Findings
    left_out: tuple[str, ...]
    written: tuple[Path, ...]


def run_study(
    experiment: Experiment, settings: Settings, command: str = "",
    progress: Progress | None = None, note: Note | None = None,
) -> Ran:  # fmt: skip
    """Run what is not done yet and write the whole folder; the same call continues what was stopped, and notes it.

    Raises CrowdLLMError where the folder holds another study or other settings, the data or the embedding cannot be
    had, or nothing at all could be computed.
    """
    check_pieces(experiment.pieces)
    out = settings.out
    if settings.embedding != TFIDF:
        fit_embedder(settings.embedding, ["a text"]).embed(["a text"])  # fails now rather than in an hour
    identity = _identity(experiment, settings)
    claim_folder(out / "experiment.json", identity, "study")
    (out / META).unlink(missing_ok=True)
    if note and (said := _before(out, experiment.pieces)):
        note(said)
    unfinished = _work(experiment.pieces, settings, progress)
    reasons = {**unfinished, **_reasons(out, experiment.pieces)}
    left_out = tuple(f"{key} left out: {words}" for key, words in reasons.items())
    if note:
        for line in left_out:
            note(line)
    tables = {p.key: read_csv(part_path(out, p)) for p in experiment.pieces if part_path(out, p).exists()}
    if not tables:
        raise CrowdLLMError(f"no part of the study {experiment.name!r} could be computed: {left_out[0]}")
    findings = experiment.report(tables)
    results = []
    for name, table in findings.tables.items():
        write_csv(table, out / f"{name}.csv")
        results.append(out / f"{name}.csv")
    drawn = draw_pictures(findings, out)
    pages = write_study_page(experiment, findings, settings, command, left_out, out)
    written = (*pages, *results, *drawn)
    _write_meta(identity, command, left_out, written, out)
    return Ran(experiment, findings, left_out, (*written, out / META))


def part_path(out: Path, piece: Piece) -> Path:
    """Where the table of a piece is kept."""
    return out / "parts" / f"{piece.key}.csv"


def do_piece(piece: Piece, path: Path) -> str:
    """Do a piece and keep its table, or why it has none; returns that reason, "" where it has one."""
    try:
        write_csv(piece.action(*piece.arguments), path)
    except (MismatchError, ConfigError) as error:
        write_text(str(error), path.with_name(path.name.removesuffix(".csv") + LEFT_OUT))
        return str(error)
    except MissingExtraError as error:
        return str(error)
    return ""


def _work(pieces: Sequence[Piece], settings: Settings, progress: Progress | None) -> dict[str, str]:
    """Do the pieces that have no file yet, stage by stage; returns why some still have none and may be tried again."""
    out, failed = settings.out, dict[str, str]()
    todo = [piece for piece in pieces if not _is_done(out, piece)]
    if not todo:
        return failed
    taken = read_timings(out)
    left = [(piece.kind, "piece") for piece in todo]
    started, count = time.perf_counter(), 0
    if progress:
        progress(status("starting", left, taken, settings.workers), 0, len(todo))
    try:
        for stage in sorted({piece.stage for piece in todo}):
            tasks = [
                Task((piece.kind, "piece"), piece.key, do_piece, (piece, part_path(out, piece)))
                for piece in todo
                if piece.stage == stage
            ]
            for done in work_through(tasks, settings.workers):
                count += 1
                left.remove(done.task.kind)
                if done.said:
                    failed[done.task.name] = done.said
                else:
                    taken.setdefault(done.task.kind, []).append(done.seconds)
                    keep_timing(out, done.task.kind, done.seconds)
                if progress:
                    progress(status(done.task.name, left, taken, settings.workers), count, len(todo))
    finally:
        keep_session(out, time.perf_counter() - started, settings.workers)
    return failed


def _before(out: Path, pieces: Sequence[Piece]) -> str:
    """What earlier runs left to do, "" where there was none."""
    done = sum(_is_done(out, piece) for piece in pieces)
    if not done:
        return ""
    rest = f"{len(pieces) - done} are left" if done < len(pieces) else "only the page is written again"
    return f"continuing {out}: {done} of {len(pieces)} pieces of work are done; {rest}"


def _is_done(out: Path, piece: Piece) -> bool:
    path = part_path(out, piece)
    return path.exists() or path.with_name(piece.key + LEFT_OUT).exists()


def _reasons(out: Path, pieces: Sequence[Piece]) -> dict[str, str]:
    """Why pieces were left out for good, by key, in the order of the pieces."""
    found = {}
    for piece in pieces:
        path = part_path(out, piece).with_name(piece.key + LEFT_OUT)
        if path.exists() and not part_path(out, piece).exists():
            found[piece.key] = path.read_text(encoding="utf-8")
    return found


def _identity(experiment: Experiment, settings: Settings) -> dict[str, Any]:
    """Everything that the numbers depend on."""
    return {
        "crowdllm": __version__,
        "study": experiment.name,
        "quick": settings.quick,
        "seed": settings.seed,
        "embedding": settings.embedding,
        "config": asdict(experiment.config),
        "data": {f"{data.dataset} [{data.references}]": digest(data) for data in experiment.data},
    }


def _write_meta(
    identity: dict[str, Any], command: str, left_out: Sequence[str], written: Sequence[Path], out: Path
) -> None:
    """The identity with the command and a hash of every file; its presence says that the folder is whole."""
    hashes = {path.relative_to(out).as_posix(): sha256(path.read_bytes()).hexdigest() for path in written}
    meta = {**identity, "command": command, "left_out": list(left_out), "sha256": hashes}
    write_text(json.dumps(meta, indent=1) + "\n", out / META)
