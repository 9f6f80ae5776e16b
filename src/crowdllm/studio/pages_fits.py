"""Pages of fitting in the background: start, watch, stop; a fit goes on while nobody looks."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from crowdllm.belief.checkpoint import META, check_fits
from crowdllm.errors import ConfigError
from crowdllm.experiments.sources import reference_names
from crowdllm.studio.fits import FitState, Job
from crowdllm.studio.web import Here, Sent, Studio, go, page
from crowdllm.studio.workspace import MODEL, STUDY

router = APIRouter()


@router.get("/fits/new")
def new_fit(studio: Here, study: str) -> Response:
    """What a fit on this study would use."""
    entry = studio.workspace.store.get(study, STUDY)
    opened = studio.workspace.study(entry.body["source"])
    return page(studio, "fit_form.html", entry=entry, study=opened.study, references=reference_names(opened))


@router.post("/fits")
def start_fit(studio: Here, form: Sent) -> Response:
    """Start a fit, or show the one that does the same already."""
    entry = studio.workspace.store.get(form.text("study"), STUDY)
    names = form.texts("reference", 1000)
    job = Job(
        entry.body["source"],
        entry.body["name"],
        ",".join(names) if names else "none",
        form.text("embedding", 1000).strip() or "tfidf",
        form.number("seed", 0),
        measure=form.text("measure") == "yes",
    )
    return go(f"/fits/{studio.fits.start(job).id}")


@router.post("/measure")
def measure(studio: Here, form: Sent) -> Response:
    """Measure how far a crowd that is there already is from the people of its study."""
    work = studio.workspace
    crowd, entry = work.crowd(form.text("crowd")), work.store.get(form.text("study"), STUDY)
    opened = work.study(entry.body["source"])
    check_fits(crowd.model, opened.study)
    if len(opened.study.profiles) != crowd.model.generator.people:
        raise ConfigError(
            f"{crowd.name!r} was fitted on {crowd.model.generator.people:,} people, and this study has "
            f"{len(opened.study.profiles):,}: give the study that it was fitted on"
        )
    work.add_model(crowd.path, entry.body["source"], crowd.name)
    names = ",".join(crowd.model.reference_sources) or "none"
    job = Job(
        entry.body["source"], crowd.name, names, crowd.model.config.embedding, crowd.model.seed, model=str(crowd.path)
    )
    return go(f"/fits/{studio.fits.start(job).id}")


@router.get("/fits/{identity}")
def show_fit(studio: Here, identity: str, notice: str = "") -> Response:
    """How far a fit is."""
    state = studio.fits.state(identity)
    crowd = crowd_of(studio, state)
    return page(studio, "fit.html", notice=notice, state=state, crowd=crowd, log=studio.fits.log(identity))


def crowd_of(studio: Studio, state: FitState) -> Any:
    """The model that a fit left, taken in when it is first seen; None where there is none (yet)."""
    folder = studio.fits.model(state.id)
    if state.running or not (folder / META).is_file():
        return None
    for entry in studio.workspace.store.all(MODEL):
        if entry.body["path"] == str(folder.resolve()):
            return entry
    return studio.workspace.add_model(folder, state.job.study, state.job.title)


@router.get("/fits/{identity}/state")
def fit_state(studio: Here, identity: str) -> Response:
    """The same for a script that watches."""
    state = studio.fits.state(identity)
    crowd_of(studio, state)
    return JSONResponse(
        {"outcome": state.outcome, "stage": state.stage, "done": state.done, "of": state.of, "seconds": state.seconds}
    )


@router.post("/fits/{identity}/stop")
def stop_fit(studio: Here, identity: str, form: Sent) -> Response:
    """Stop a fit."""
    studio.fits.stop(identity)
    return go(f"/fits/{identity}?notice=stopping")


@router.post("/fits/{identity}/again")
def fit_again(studio: Here, identity: str, form: Sent) -> Response:
    """Start a fit that was stopped or killed once more, with the same settings."""
    return go(f"/fits/{studio.fits.start(studio.fits.state(identity).job).id}")
