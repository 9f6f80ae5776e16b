"""Everything that was asked as files: a study folder of simulated answers in a zip, and tables for spreadsheets.

The study folder reads back with `crowdllm.load_study`; every row says that it is simulated. In the tables no cell is a
formula: texts that a spreadsheet would run get an apostrophe in front. The files of the study folder must read back as
they were, so a table with such a text is written there as Parquet, which knows no formulas.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from crowdllm import __version__
from crowdllm.data.problems import Problems
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.data.study_folder import study_files
from crowdllm.simulation.decide import simulate_pairs
from crowdllm.studio.crowd import Answer, Who, recruit_crowd
from crowdllm.studio.interval import AnswerInterval
from crowdllm.studio.new_reference import expected
from crowdllm.studio.store import Entry
from crowdllm.studio.texts import defused, is_formula
from crowdllm.studio.workspace import FittedCrowd, Workspace, reference_of

ZIP_TIME = (1980, 1, 1, 0, 0, 0)
EVERYBODY = "everybody"
COLUMNS = (
    "problem", "text", "response_type", "asked", "column", "level", "people", "training_people", "answer", "value",
    "unit", "low", "high", "interval", "mean", "mean_low", "mean_high", "reference", "simulated", "model", "seed",
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """One problem with its answer, its interval, and how many training people are behind each of its groups."""

    problem: Entry
    crowd: FittedCrowd
    who: Who
    answer: Answer
    interval: AnswerInterval
    behind_G: tuple[int, ...]
    seed: int


def distribution_csv(asked: Sequence[Asked], unanswered: Sequence[Entry] = ()) -> bytes:
    """A row per problem, group and answer, with intervals for everybody; UTF-8 with a mark, for spreadsheets.

    unanswered: problems of the list without an answer; each has one row that says so.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for one in asked:
        writer.writerows([defused(cell) for cell in row] for row in _rows(one))
    for problem in unanswered:
        row = {"problem": problem.id, "text": problem.body["text"], "answer": "(not answered yet)"}
        writer.writerow([defused(row.get(name, "")) for name in COLUMNS])
    return out.getvalue().replace("\0", "␀").encode("utf-8-sig", "backslashreplace")


def _rows(one: Asked) -> list[list[str]]:
    answer, interval, body = one.answer, one.interval, one.problem.body
    reference = reference_of(one.problem)
    rows = []
    for g, (column, level) in enumerate(answer.groups):
        if not answer.people_G[g]:
            continue
        mean = interval.mean if g == 0 else None
        for m, label in enumerate(answer.labels):
            rows.append(
                [
                    one.problem.id, body["text"], answer.kind, one.who.name, column or EVERYBODY, level,
                    str(int(answer.people_G[g])), str(one.behind_G[g]), label, _number(answer.value_GM[g, m]),
                    answer.unit, _number(interval.low_M[m]) if g == 0 else "",
                    _number(interval.high_M[m]) if g == 0 else "", interval.kind if g == 0 else "none for subgroups",
                    _number(answer.mean_G[g]), _number(mean[0]) if mean else "", _number(mean[1]) if mean else "",
                    reference.by if reference is not None else "", "True", one.crowd.hash, str(one.seed),
                ]
            )  # fmt: skip
    return rows


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"


def simulated_study(workspace: Workspace, problems: Sequence[Entry], audience: str, people: int, seed: int) -> Study:
    """The answers of one crowd to these problems, all of one model, as a study that says it is simulated."""
    crowd = workspace.crowd(problems[0].body["crowd"])
    who = workspace.who(audience, crowd)
    recruited = recruit_crowd(crowd.model, people, seed, who)
    width = max(crowd.kind.width(len(problem.body["options"])) for problem in problems)
    values = []
    for problem in problems:
        items = workspace.items(problem)
        nobody = np.zeros(len(recruited), dtype=np.int64)
        found = simulate_pairs(crowd.model, items, recruited.people, np.arange(len(recruited)), nobody, seed)
        values.append(np.pad(found, ((0, 0), (0, max(0, width - found.shape[1]))))[:, :width])
    responses = Responses(
        np.tile(np.arange(len(recruited)), len(problems)),
        np.repeat(np.arange(len(problems)), len(recruited)),
        np.concatenate(values),
    )
    return Study(
        title="Simulated answers: problems of a studio",
        response_type=crowd.kind,
        problems=_together(problems),
        profiles=recruited.people,
        responses=responses,
        context=_shared(problems, "context"),
        requirements=_shared(problems, "requirements"),
        source=(
            f"Simulated by crowdllm {__version__}: no row is a real person's answer.",
            f"Model {crowd.hash}, fitted on {crowd.name!r}; crowd seed {seed}; asked: {who.name}.",
            "References: " + "; ".join(_reference_line(problem) for problem in problems)
            if expected(crowd.model).needed
            else "The model was fitted without LLM references.",
        ),
        simulated=True,
    )


def _together(problems: Sequence[Entry]) -> Problems:
    return Problems(
        np.array([problem.id for problem in problems], dtype=object),
        np.array([problem.body["text"] for problem in problems], dtype=object),
        tuple(tuple(problem.body["options"]) for problem in problems),
        pd.DataFrame(
            {
                "context": [problem.body["context"] for problem in problems],
                "requirements": [problem.body["requirements"] for problem in problems],
            }
        ),
    )


def _shared(problems: Sequence[Entry], name: str) -> str:
    """What all of them have in common, else nothing: each problem has its own in a column."""
    said = {problem.body[name] for problem in problems}
    return said.pop() if len(said) == 1 else ""


def _reference_line(problem: Entry) -> str:
    reference = reference_of(problem)
    return f"{problem.id} {reference.by if reference is not None else 'none'}"


def study_zip(
    workspace: Workspace, problems: Sequence[Entry], audience: str, people: int, seed: int, more: Mapping[str, bytes]
) -> bytes:
    """Study folders of these problems, one per model, and further files, as a zip.

    Problems that cannot be answered yet (no reference) stand in `not-answered.json`, with all that was written.
    """
    by_model: dict[str, list[Entry]] = {}
    waiting: list[Entry] = []
    for problem in problems:
        crowd = workspace.crowd(problem.body["crowd"])
        if expected(crowd.model).needed and reference_of(problem) is None:
            waiting.append(problem)
        else:
            by_model.setdefault(crowd.id, []).append(problem)
    files = dict(more)
    for identity, asked in by_model.items():
        folder = "study" if len(by_model) == 1 else f"study-{identity}"
        study = simulated_study(workspace, asked, audience, people, seed)
        files |= {f"{folder}/{name}": data for name, data in formula_free(study).items()}
        files[f"{folder}/references.json"] = _json([{"problem": p.id, "reference": p.body["reference"]} for p in asked])
    if waiting:
        files["not-answered.json"] = _json([{"problem": problem.id, **problem.body} for problem in waiting])
    return zip_files(files)


def formula_free(study: Study) -> dict[str, bytes]:
    """The study's files; a table with a cell that a spreadsheet would run is Parquet, which knows no formulas."""
    files = study_files(study)
    tables = {name: data for name, data in files.items() if name.endswith(".csv")}
    unsafe = [name for name, data in tables.items() if _has_formula(data)]
    if not unsafe:
        return files
    places = {name.removesuffix(".csv"): name.removesuffix(".csv") + ".parquet" for name in unsafe}
    out = study_files(study, places)
    for name in unsafe:
        out[places[name.removesuffix(".csv")]] = _parquet(out.pop(name))
    return out


def _has_formula(data: bytes) -> bool:
    cells = csv.reader(io.StringIO(data.decode("utf-8"), newline=""))
    return any(is_formula(cell) for row in cells for cell in row)


def _parquet(data: bytes) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    header, *rows = csv.reader(io.StringIO(data.decode("utf-8"), newline=""))
    columns = {name: pa.array([row[c] for row in rows], pa.string()) for c, name in enumerate(header)}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def zip_files(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files; the same bytes for the same files."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, ZIP_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)
    return sink.getvalue()


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
