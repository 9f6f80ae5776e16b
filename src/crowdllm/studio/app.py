"""The web application of the studio: its pages behind the guard, and what is shown when something goes wrong."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from crowdllm.errors import CrowdLLMError, StudyError
from crowdllm.studio.asking import Asker
from crowdllm.studio.fits import Fits
from crowdllm.studio.guard import Access, Guard, TooLargeError
from crowdllm.studio.pages_data import router as data_pages
from crowdllm.studio.pages_export import router as export_pages
from crowdllm.studio.pages_fits import router as fit_pages
from crowdllm.studio.pages_people import router as people_pages
from crowdllm.studio.pages_problems import router as problem_pages
from crowdllm.studio.pages_survey import router as survey_pages
from crowdllm.studio.store import NoEntryError
from crowdllm.studio.web import STATIC, Studio, make_templates, page
from crowdllm.studio.workspace import Workspace

FITS = "fits"


def make_studio(workspace: Workspace, asker: Asker | None = None) -> Studio:
    """The studio of a workspace."""
    return Studio(workspace, Fits(workspace.folder / FITS), asker, make_templates())


def make_app(studio: Studio, access: Access, seen: Callable[[], None] = lambda: None) -> Guard:
    """The guarded application. seen: called for every request that is let in."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.studio = studio
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for router in (problem_pages, people_pages, data_pages, survey_pages, fit_pages, export_pages):
        app.include_router(router)
    app.add_exception_handler(CrowdLLMError, _mended_by_user)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(TooLargeError, _too_large)
    return Guard(app, access, seen)


def _mended_by_user(request: Request, error: Exception) -> Response:
    studio: Studio = request.app.state.studio
    lines = [str(f) for f in error.findings] if isinstance(error, StudyError) else str(error).splitlines()
    status = 404 if isinstance(error, NoEntryError) else 400
    return page(studio, "error.html", status, lines=lines[:50], title="This cannot be done")


def _not_understood(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    lines = [f"{' '.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors()]
    return page(request.app.state.studio, "error.html", 400, lines=lines, title="This address is not understood")


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    lines = ["There is no such page."] if error.status_code == 404 else [str(error.detail)]
    return page(request.app.state.studio, "error.html", error.status_code, lines=lines, title="Nothing here")


def _too_large(request: Request, error: Exception) -> Response:
    return PlainTextResponse("The request is larger than the limit.\n", 413)
