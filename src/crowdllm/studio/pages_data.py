"""Pages of models and studies: open one, upload a table of responses, map its columns, see what is wrong row by row."""

from __future__ import annotations

import re
import secrets
import shutil
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.datastructures import UploadFile

from crowdllm.data.study_check import group_findings
from crowdllm.data.tables import Table
from crowdllm.errors import ConfigError, CrowdLLMError, Finding, StudyError
from crowdllm.exchange import READERS
from crowdllm.exchange.importing import find_reader
from crowdllm.registry import lookup
from crowdllm.responses import RESPONSE_TYPES
from crowdllm.studio.calibration import load_reach
from crowdllm.studio.export import zip_files
from crowdllm.studio.guard import MOST_UPLOAD
from crowdllm.studio.importing import (
    ANSWER,
    LONG,
    RESPONSE,
    ROLES,
    WIDE,
    Imported,
    Layout,
    findings_by_row,
    guess,
    make_study,
    read_upload,
)
from crowdllm.studio.pages_fits import crowd_of
from crowdllm.studio.store import Entry
from crowdllm.studio.survey_import import format_of, take_in
from crowdllm.studio.views import KINDS
from crowdllm.studio.web import Here, Posted, Sent, Studio, go, lines_of, page
from crowdllm.studio.workspace import IMPORT, STUDY

router = APIRouter()
UPLOADS, STUDIES = "uploads", "studies"
SHOWN_ROWS, SHOWN_FINDINGS, MOST_LEFT_OUT = 50, 50, 5000
FOLDERS = ("huggingface",)
"""Formats that are a folder, which no form can send: `crowdllm import` reads them, and its study is opened here."""
ROLE_WORDS = {
    "participant": "who answered (participant)",
    "problem": "which problem",
    "response": "the response",
    "text": "the problem's text",
    "options": "the problem's options",
    "profile": "describes the person (profile)",
    "weight": "the person's survey weight",
    "answer": "a question; its cells are responses",
    "leave": "leave out",
}


@router.get("/data")
def data(studio: Here, notice: str = "") -> Response:
    """Everything there is to fit on, to ask, and to import."""
    work = studio.workspace
    fits = studio.fits.all()
    for state in fits:
        crowd_of(studio, state)
    crowds: list[tuple[Entry, Any, str]] = []
    for entry in work.crowds():
        try:
            crowds.append((entry, work.crowd(entry.id), ""))
        except CrowdLLMError as error:
            crowds.append((entry, None, str(error)))
    return page(
        studio, "data.html", notice=notice, measured=_measured(crowds), crowds=crowds, kinds=KINDS, fits=fits,
        studies=work.store.all(STUDY), imports=work.store.all(IMPORT), formats=formats(),
    )  # fmt: skip


def formats() -> dict[str, str]:
    """What can be uploaded, besides Parquet: name and title."""
    return {name: lookup(READERS, name, "format").title for name in READERS if name not in FOLDERS}


def _measured(crowds: list[tuple[Entry, Any, str]]) -> dict[str, int]:
    """Per crowd on how many problems its distance from people was measured; 0 where it was not."""
    reaches = {entry.id: crowd and load_reach(crowd.path, crowd.hash) for entry, crowd, _ in crowds}
    return {identity: reach.problems if reach else 0 for identity, reach in reaches.items()}


@router.post("/open")
def open_place(studio: Here, form: Sent) -> Response:
    """Open a model, a study folder or a data set by its name."""
    place = form.text("place", 4000).strip()
    if not place:
        raise ConfigError("type the folder of a study or a model, or the name of a data set")
    studio.workspace.open(place)
    return go("/data?notice=opened")


@router.post("/open/demo")
def open_demo(studio: Here, form: Sent) -> Response:
    """Open the bundled example study."""
    from crowdllm.experiments.demo import open_demo_study

    folder = open_demo_study().folder
    assert folder is not None
    entry = studio.workspace.add_study(str(folder))
    return go(f"/fits/new?study={entry.id}")


# --- import ------------------------------------------------------------------------------------------------------


def _table_entry(studio: Studio, identity: str) -> Entry:
    entry = studio.workspace.store.get(identity, IMPORT)
    if "format" in entry.body:
        raise ConfigError("these are the files of a survey, whose columns are on another page")
    return entry


@router.post("/imports")
def upload(studio: Here, form: Sent) -> Response:
    """Take files in: a plain table, of which nothing is loaded before its columns are mapped, or those of a survey."""
    folder = studio.workspace.folder / UPLOADS / secrets.token_hex(6)
    folder.mkdir(parents=True)
    try:
        paths = [_kept(file, folder, number) for number, file in enumerate(form.files("table"))]
        format = format_of(paths, form.text("format").strip())
        if format:
            take_in(paths, format, {}, studio.workspace.folder / STUDIES)
        else:
            read_upload(paths[0])
    except CrowdLLMError:
        shutil.rmtree(folder)
        raise
    body: dict[str, Any] = {"path": str(paths[0]), "name": paths[0].name, "layout": None, "study": ""}
    if not format:
        return go(f"/imports/{studio.workspace.store.add(IMPORT, body).id}")
    body |= {"paths": [str(path) for path in paths], "format": format, "mapping": {}}
    return go(f"/surveys/{studio.workspace.store.add(IMPORT, body).id}")


def _kept(file: UploadFile, folder: Path, number: int) -> Path:
    """The uploaded file under its own name, as far as a name can be that; a folder for each further one."""
    name = re.sub(r"[^\w.-]+", "_", Path(str(file.filename)).name)[-80:].lstrip(".") or "table.csv"
    path = (folder / str(number) if number else folder) / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(file.file.read(MOST_UPLOAD + 1))
    return path


@router.get("/imports/{identity}")
def mapping(studio: Here, identity: str, layout: str = "") -> Response:
    """What each column is: guessed, for the user to say."""
    entry = _table_entry(studio, identity)
    table, findings = read_upload(Path(entry.body["path"]))
    said = entry.body["layout"]
    return _mapping_page(studio, entry, table, findings, None if said is None else _from_dict(said), layout)


def _mapping_page(
    studio: Studio,
    entry: Entry,
    table: Table,
    findings: list[Finding],
    said: Layout | None,
    layout: str = "",
    error: str = "",
) -> Response:
    guessed, columns, scale = guess(table)
    shown = layout if layout in ROLES else (said.layout if said is not None else guessed)
    if shown == guessed or said is not None:
        roles = {column.name: column.role for column in columns} if said is None else dict(said.roles)
    else:
        roles = {}
    response = scale if said is None else dict(said.response)
    rows = [[table.columns[name][r] for name in table.columns] for r in range(min(5, len(table)))]
    return page(
        studio, "mapping.html", 400 if error else 200, entry=entry, columns=columns, roles=roles, layout=shown,
        role_words=ROLE_WORDS, choices=ROLES[shown], response=response, kinds=KINDS, said=said, rows=rows,
        names=list(table.columns), count=len(table), findings=findings, error=error, long=LONG, wide=WIDE,
    )  # fmt: skip


@router.post("/imports/{identity}")
def map_columns(studio: Here, identity: str, form: Sent) -> Response:
    """Make the study folder that the mapping says, and check it."""
    entry = _table_entry(studio, identity)
    table, findings = read_upload(Path(entry.body["path"]))
    said = _layout(table, form)
    try:
        make_study(table, said, _study_folder(studio, entry))
    except ConfigError as error:
        return _mapping_page(studio, entry, table, findings, said, error=str(error))
    _keep(studio, entry, said)
    return go(f"/imports/{identity}/check")


@router.post("/imports/{identity}/survey")
def as_survey(studio: Here, identity: str, form: Sent) -> Response:
    """Read a plain table as `crowdllm import` does: a study for each way of answering, and notes on the rest."""
    work = studio.workspace
    entry = _table_entry(studio, identity)
    path = entry.body["path"]
    more = {"paths": [path], "format": find_reader([Path(path)]).name, "mapping": {}}
    return go(f"/surveys/{work.store.add(IMPORT, entry.body | more).id}")


def _layout(table: Table, form: Posted) -> Layout:
    """The mapping in a form; columns by their position, so that no name can get in the way."""
    names = list(table.columns)
    roles = {name: form.text(f"role-{c}") or "leave" for c, name in enumerate(names)}
    kinds = {name: form.text(f"kind-{c}") or "categorical" for c, name in enumerate(names)}
    levels = {name: lines_of(form.text(f"levels-{c}", 20_000)) for c, name in enumerate(names)}
    return Layout(
        form.text("layout"), roles, kinds, levels, response_settings(form), form.text("title").strip(),
        form.long("context").strip(), form.long("requirements").strip(),
    )  # fmt: skip


def response_settings(form: Posted) -> dict[str, Any]:
    """The scale that a form describes, as under [response] in study.toml; faults are left to `check`."""
    kind = form.text("type")
    out: dict[str, Any] = {"type": kind}
    if kind == "ordinal":
        out["levels"] = lines_of(form.text("levels", 20_000))
        ends = [form.text("end-low").strip(), form.text("end-high").strip()]
        out |= {"ends": ends} if any(ends) else {}
    elif kind == "continuous":
        bounds = {name: form.text(name).strip() for name in ("low", "high")}
        out |= {name: _number_or_text(text) for name, text in bounds.items() if text}
    elif kind in RESPONSE_TYPES:
        options = lines_of(form.text("options", 100_000))
        out |= {"options": options} if options else {}
        wanted = {"ballot": ("min_picks", "max_picks"), "points": ("budget",), "ranking": ("depth",)}
        for name in wanted.get(kind, ()):
            out[name] = form.number(name, 0 if name == "depth" else 1)
    return out


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _study_folder(studio: Studio, entry: Entry) -> Path:
    return studio.workspace.folder / STUDIES / entry.id


def _keep(studio: Studio, entry: Entry, said: Layout) -> None:
    """Remember the mapping; the last one said wins, and its folder is the one that was written last."""
    while studio.workspace.store.save(entry, entry.body | {"layout": _to_dict(said)}) is None:
        entry = studio.workspace.store.get(entry.id, IMPORT)


def _to_dict(said: Layout) -> dict[str, Any]:
    return {
        "layout": said.layout, "roles": dict(said.roles), "kinds": dict(said.kinds),
        "levels": {name: list(levels) for name, levels in said.levels.items()}, "response": dict(said.response),
        "title": said.title, "context": said.context, "requirements": said.requirements,
        "left_out": list(said.left_out),
    }  # fmt: skip


def _from_dict(state: dict[str, Any]) -> Layout:
    return Layout(**state | {"left_out": tuple(state["left_out"])})


def _checked(studio: Studio, identity: str) -> tuple[Entry, Table, Layout, Imported]:
    entry = _table_entry(studio, identity)
    if entry.body["layout"] is None:
        raise ConfigError("the columns of this table are not mapped yet")
    table, _ = read_upload(Path(entry.body["path"]))
    said = _from_dict(entry.body["layout"])
    return entry, table, said, make_study(table, said, _study_folder(studio, entry))


@router.get("/imports/{identity}/check")
def check(studio: Here, identity: str, notice: str = "") -> Response:
    """What was understood, and every finding beside its row."""
    entry, table, said, imported = _checked(studio, identity)
    rows, rest = findings_by_row(table, said, imported)
    faulty = [row.row for row in rows if any(f.severity == "error" for f in row.findings)]
    report = imported.report
    return page(
        studio, "check.html", notice=notice, entry=entry, rows=rows[:SHOWN_ROWS], more=len(rows) - SHOWN_ROWS,
        rest=[f for group in group_findings(rest) for f in group.shown][:SHOWN_FINDINGS], report=report,
        usable=report.usable, study=report.study, faulty=faulty, left_out=said.left_out, total=len(table),
        first=_first_rows(table, said), answer_role=(RESPONSE, ANSWER),
    )  # fmt: skip


def _first_rows(table: Table, said: Layout) -> tuple[list[str], list[tuple[int, list[str]]]]:
    names = [name for name, role in said.roles.items() if role != "leave"]
    rows = [(int(table.row_R[r]), [table.columns[name][r] for name in names]) for r in range(min(8, len(table)))]
    return names, rows


@router.post("/imports/{identity}/leave-out")
def leave_out(studio: Here, identity: str, form: Sent) -> Response:
    """Leave out the rows that have errors, because the user says so; the study says which."""
    entry, table, said, imported = _checked(studio, identity)
    rows, _ = findings_by_row(table, said, imported)
    faulty = [row.row for row in rows if any(f.severity == "error" for f in row.findings)]
    if len(faulty) > MOST_LEFT_OUT:
        raise ConfigError(
            f"{len(faulty):,} rows have errors: that is more than a mistake here and there; mend the table"
        )
    left = tuple(sorted({*said.left_out, *faulty}))
    _keep(studio, entry, _from_dict(_to_dict(said) | {"left_out": list(left)}))
    return go(f"/imports/{identity}/check")


@router.post("/imports/{identity}/use")
def use(studio: Here, identity: str, form: Sent) -> Response:
    """Take the study in, to fit on it."""
    entry, _, _, imported = _checked(studio, identity)
    if not imported.report.usable:
        raise StudyError(imported.report.findings)
    made = studio.workspace.add_study(str(imported.folder))
    while studio.workspace.store.save(entry, entry.body | {"study": made.id}) is None:
        entry = studio.workspace.store.get(identity, IMPORT)
    return go(f"/fits/new?study={made.id}")


@router.get("/imports/{identity}/study.zip")
def download(studio: Here, identity: str) -> Response:
    """The study folder that came out."""
    _, _, _, imported = _checked(studio, identity)
    files = {f"study/{p.name}": p.read_bytes() for p in sorted(imported.folder.iterdir()) if not p.name.startswith(".")}
    headers = {"content-disposition": 'attachment; filename="study.zip"'}
    return Response(zip_files(files), headers=headers, media_type="application/zip")
