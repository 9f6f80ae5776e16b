"""Pages of an uploaded survey: what was understood and left out, what each column is used for, and its studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from crowdllm.data.study_check import group_findings
from crowdllm.errors import ConfigError, CrowdLLMError, StudyError
from crowdllm.exchange.mapping import PROFILE_KINDS
from crowdllm.exchange.writing import note_words
from crowdllm.responses import RESPONSE_TYPES
from crowdllm.studio.export import zip_files
from crowdllm.studio.store import Entry
from crowdllm.studio.survey_import import Taken, take_in
from crowdllm.studio.views import KINDS
from crowdllm.studio.web import Here, Posted, Sent, Studio, go, lines_of, page
from crowdllm.studio.workspace import IMPORT

router = APIRouter()
STUDIES, MOST_NOTES = "studies", 100
USE_WORDS = {
    "problem": "a question",
    "profile": "describes the person (profile)",
    "weight": "the person's survey weight",
    "text": "an open answer, kept beside the study",
    "skip": "leave out",
}
KIND_WORDS = {"categorical": "groups in no order", "ordinal": "levels in an order", "numeric": "a number"}


def _entry(studio: Studio, identity: str) -> Entry:
    entry = studio.workspace.store.get(identity, IMPORT)
    if "format" not in entry.body:
        raise ConfigError("this is a plain table, whose columns are mapped on another page")
    return entry


def _taken(studio: Studio, entry: Entry, mapping: dict[str, Any]) -> Taken:
    files = [Path(path) for path in entry.body["paths"]]
    return take_in(files, entry.body["format"], mapping, studio.workspace.folder / STUDIES)


@router.get("/surveys/{identity}")
def survey(studio: Here, identity: str, notice: str = "") -> Response:
    """What was understood, what each column is used for, and the studies that come out."""
    entry = _entry(studio, identity)
    return _page(studio, entry, _taken(studio, entry, entry.body["mapping"]), notice=notice)


def _page(studio: Studio, entry: Entry, taken: Taken, error: str = "", notice: str = "") -> Response:
    imported = taken.imported
    notes = [note_words(note) for note in imported.notes]
    parts = [
        (part, imported.counts[part.name], report, [f for g in group_findings(report.findings) for f in g.shown])
        for part, report in zip(imported.parts, taken.reports, strict=True)
    ]
    return page(
        studio, "survey.html", 400 if error else 200, notice=notice, entry=entry, error=error, imported=imported,
        columns=_columns(imported.mapping), notes=notes[:MOST_NOTES], more=len(notes) - MOST_NOTES, studies=parts,
        uses=USE_WORDS, kinds=KINDS, kind_words=KIND_WORDS, title=str(imported.mapping.get("title", "")),
    )  # fmt: skip


def _columns(mapping: Any) -> list[tuple[str, dict[str, Any]]]:
    """(name, its table of the mapping) of the columns whose use can be changed."""
    return [(name, dict(table)) for name, table in mapping.get("columns", {}).items() if "use" in table]


@router.post("/surveys/{identity}")
def change(studio: Here, identity: str, form: Sent) -> Response:
    """Read the files again as the form says; what cannot be meant is said, and changes nothing."""
    entry = _entry(studio, identity)
    before = _taken(studio, entry, entry.body["mapping"])
    try:
        mapping = _mapping(entry.body["mapping"], _columns(before.imported.mapping), form)
        _taken(studio, entry, mapping)
    except CrowdLLMError as error:
        return _page(studio, entry, before, error=str(error))
    while studio.workspace.store.save(entry, entry.body | {"mapping": mapping}) is None:
        entry = studio.workspace.store.get(identity, IMPORT)
    return go(f"/surveys/{identity}?notice=saved")


def _mapping(said: dict[str, Any], columns: list[tuple[str, dict[str, Any]]], form: Posted) -> dict[str, Any]:
    """What was said before with what the form changes; columns by their position, so that no name gets in the way."""
    tables = {name: dict(table) for name, table in said.get("columns", {}).items()}
    for c, (name, table) in enumerate(columns):
        use, kind, levels = form.text(f"use-{c}"), form.text(f"kind-{c}"), lines_of(form.text(f"levels-{c}", 20_000))
        if not use:
            continue
        own: dict[str, Any] = {}
        if use == "problem" and kind in RESPONSE_TYPES:
            own["type"] = kind
        if use == "profile" and kind in PROFILE_KINDS:
            own["kind"] = kind
        shown = [str(level) for level in table.get("levels", ())]
        ordered = kind == "ordinal" or (kind == "" and "levels" in table)
        if ordered and levels and use in ("problem", "profile"):
            own["levels"] = levels
        if use != table["use"] or kind not in ("", table.get("type", table.get("kind"))) or levels != shown:
            tables[name] = {"use": use, **own}
    titles = {"title": form.text("title").strip()} if form.text("title").strip() else {}
    return {**said, **titles} | ({"columns": tables} if tables else {})


@router.post("/surveys/{identity}/use")
def use(studio: Here, identity: str, form: Sent) -> Response:
    """Take one of the studies in, to fit on it."""
    entry = _entry(studio, identity)
    taken = _taken(studio, entry, entry.body["mapping"])
    number = form.number("part", 0)
    if not 0 <= number < len(taken.folders):
        raise ConfigError(f"there are {len(taken.folders)} studies in this import, and {number} is none of them")
    if not taken.reports[number].usable:
        raise StudyError(taken.reports[number].findings)
    made = studio.workspace.add_study(str(taken.folders[number]))
    return go(f"/fits/new?study={made.id}")


@router.get("/surveys/{identity}/study.zip")
def download(studio: Here, identity: str) -> Response:
    """All that came out: the studies, IMPORT.md, and open answers where there are any."""
    entry = _entry(studio, identity)
    folder = _taken(studio, entry, entry.body["mapping"]).folder
    found = [p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.startswith(".")]
    files = {f"study/{p.relative_to(folder).as_posix()}": p.read_bytes() for p in found}
    headers = {"content-disposition": 'attachment; filename="study.zip"'}
    return Response(zip_files(files), headers=headers, media_type="application/zip")
