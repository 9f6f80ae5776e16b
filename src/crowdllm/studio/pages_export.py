"""The page that gives everything away: a study folder as a zip, and a table for spreadsheets."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from crowdllm.errors import ConfigError
from crowdllm.studio.behind import people_in_groups
from crowdllm.studio.export import Asked, distribution_csv, study_zip
from crowdllm.studio.new_reference import expected
from crowdllm.studio.store import Entry
from crowdllm.studio.web import Here, Studio, page
from crowdllm.studio.workspace import AUDIENCE, PEOPLE, SEED, reference_of

router = APIRouter()
FOLDER_PEOPLE, MOST_ANSWERS = 1000, 5_000_000


@router.get("/export")
def show(studio: Here) -> Response:
    """What can be exported."""
    work = studio.workspace
    problems = work.problems()
    waiting = [e for e in problems if not _ready(studio, e)]
    return page(
        studio, "export.html", problems=problems, waiting=waiting, audiences=work.store.all(AUDIENCE), people=PEOPLE,
        folder_people=FOLDER_PEOPLE,
    )  # fmt: skip


def _ready(studio: Studio, entry: Entry) -> bool:
    crowd = studio.workspace.crowd(entry.body["crowd"])
    return not expected(crowd.model).needed or reference_of(entry) is not None


def _table(studio: Studio, who: str, people: int, seed: int) -> bytes:
    work = studio.workspace
    asked, waiting = [], []
    for entry in work.problems():
        if not _ready(studio, entry):
            waiting.append(entry)
            continue
        crowd = work.crowd(entry.body["crowd"])
        answer = work.answer(entry, who, people, seed)
        _, behind_G = people_in_groups(crowd.model.generator, crowd.training)
        interval = work.interval(entry, answer, not who)
        asked.append(Asked(entry, crowd, work.who(who, crowd), answer, interval, tuple(behind_G.tolist()), seed))
    return distribution_csv(asked, waiting)


@router.get("/export/answers.csv")
def answers(studio: Here, who: str = "", people: int = PEOPLE, seed: int = SEED) -> Response:
    """The distributions of all problems."""
    return _download(_table(studio, who, people, seed), "answers.csv", "text/csv; charset=utf-8")


@router.get("/export/study.zip")
def study(studio: Here, who: str = "", people: int = FOLDER_PEOPLE, seed: int = SEED) -> Response:
    """Simulated answers of single people as study folders, with the table beside."""
    problems = studio.workspace.problems()
    if not problems:
        raise ConfigError("there is no problem on the list yet")
    if people * len(problems) > MOST_ANSWERS:
        raise ConfigError(
            f"{people:,} people and {len(problems):,} problems are more than {MOST_ANSWERS:,} answers: take fewer "
            "people here, or use `crowdllm simulate` for large crowds"
        )
    more = {"answers.csv": _table(studio, who, people, seed)}
    data = study_zip(studio.workspace, problems, who, people, seed, more)
    return _download(data, "study.zip", "application/zip")


def _download(data: bytes, name: str, kind: str) -> Response:
    return Response(data, headers={"content-disposition": f'attachment; filename="{name}"'}, media_type=kind)
