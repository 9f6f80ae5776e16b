"""Pages of the list of problems: write one, give it a reference, see how a crowd answers it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from crowdllm.errors import ConfigError, CrowdLLMError
from crowdllm.responses.ordinal import Ordinal
from crowdllm.studio.behind import people_behind, people_in_groups
from crowdllm.studio.new_reference import TYPED, NewReference, expected, typed_shares, typed_values
from crowdllm.studio.persons import Person, some_persons
from crowdllm.studio.store import Entry
from crowdllm.studio.views import KINDS, chart, group_rows, sentence, with_interval
from crowdllm.studio.web import Here, Posted, Sent, Studio, go, lines_of, page
from crowdllm.studio.workspace import (
    AUDIENCE,
    PEOPLE,
    PROBLEM,
    SEED,
    STUDY,
    FittedCrowd,
    reference_of,
    wording,
)

router = APIRouter()
SHOWN_PERSONS = 4


@dataclass(frozen=True)
class Listed:
    """A problem on the front page. answer: in a few words, "" with the reason in `waits` where there is none."""

    entry: Entry
    crowd: str
    answer: str
    waits: str


@router.get("/")
def front(studio: Here, notice: str = "") -> Response:
    """The list of problems, or where to begin."""
    work = studio.workspace
    problems = [_listed(studio, entry) for entry in reversed(work.problems())]
    running = [state for state in studio.fits.all() if state.running]
    return page(
        studio, "front.html", notice=notice, problems=problems, crowds=work.crowds(), running=running,
        studies=work.store.all(STUDY),
    )  # fmt: skip


def _listed(studio: Studio, entry: Entry) -> Listed:
    work = studio.workspace
    try:
        crowd = work.crowd(entry.body["crowd"])
        if expected(crowd.model).needed and reference_of(entry) is None:
            return Listed(entry, crowd.name, "", "needs a reference")
        answer = work.answer(entry)
        return Listed(entry, crowd.name, with_interval(answer, work.interval(entry, answer)), "")
    except CrowdLLMError as error:
        return Listed(entry, "", "", str(error))


@router.get("/problems/new")
def new_problem(studio: Here, crowd: str = "") -> Response:
    """The form of a new problem."""
    crowds = studio.workspace.crowds()
    if not crowds:
        return page(studio, "no_crowd.html")
    chosen = studio.workspace.crowd(crowd or crowds[0].id)
    study = None if chosen.study is None else chosen.study.study
    last = next((p.body for p in reversed(studio.workspace.problems()) if p.body["crowd"] == chosen.id), None)
    body = {
        "crowd": chosen.id,
        "text": "",
        "options": last["options"] if last else [],
        "context": last["context"] if last else study.context if study else "",
        "requirements": last["requirements"] if last else study.requirements if study else "",
    }
    return _form(studio, body, None)


def _form(studio: Studio, body: dict[str, Any], entry: Entry | None, error: str = "") -> Response:
    crowds = [studio.workspace.crowd(e.id) for e in studio.workspace.crowds()]
    return page(
        studio, "problem_form.html", 400 if error else 200, body=body, entry=entry, error=error, crowds=crowds,
        kinds=KINDS, options_anywhere=any(crowd.kind.has_options for crowd in crowds),
    )  # fmt: skip


def _body(form: Posted) -> dict[str, Any]:
    return {
        "crowd": form.text("crowd"),
        "text": form.long("text"),
        "options": lines_of(form.long("options")),
        "context": form.long("context"),
        "requirements": form.long("requirements"),
    }


@router.post("/problems")
def add_problem(studio: Here, form: Sent) -> Response:
    """Put a problem on the list."""
    body = _body(form)
    try:
        entry = studio.workspace.add_problem(**_fitting(studio, body))
    except ConfigError as error:
        return _form(studio, body, None, str(error))
    return go(f"/problems/{entry.id}?notice=saved")


def _fitting(studio: Studio, body: dict[str, Any]) -> dict[str, Any]:
    """The body; raises ConfigError for options that the crowd's scale has no use for."""
    kind = studio.workspace.crowd(body["crowd"]).kind
    if body["options"] and not kind.has_options:
        raise ConfigError(f"this crowd answers with {kind.allowed()}, so a problem has no options: take them out")
    return body


@router.get("/problems/{identity}/edit")
def edit_problem(studio: Here, identity: str) -> Response:
    """The form of a problem that is there already."""
    entry = studio.workspace.store.get(identity, PROBLEM)
    return _form(studio, entry.body, entry)


@router.post("/problems/{identity}")
def save_problem(studio: Here, identity: str, form: Sent) -> Response:
    """Change a problem; where it was changed meanwhile, both are kept."""
    work, body = studio.workspace, _body(form)
    entry = work.store.get(identity, PROBLEM)
    seen = Entry(entry.id, entry.kind, form.number("revision", 0), entry.made, entry.body)
    try:
        checked = work.problem_body(**_fitting(studio, body))
    except ConfigError as error:
        return _form(studio, body, seen, str(error))
    saved = work.store.save(seen, checked | {"reference": entry.body["reference"]})
    if saved is None:
        other = work.store.add(PROBLEM, checked)
        return go(f"/problems/{other.id}?notice=kept-both")
    return go(f"/problems/{identity}?notice=saved")


@router.post("/problems/{identity}/delete")
def delete_problem(studio: Here, identity: str, form: Sent) -> Response:
    """Take a problem off the list, unless it was changed meanwhile."""
    entry = studio.workspace.store.get(identity, PROBLEM)
    seen = Entry(entry.id, entry.kind, form.number("revision", 0), entry.made, entry.body)
    return go("/?notice=removed" if studio.workspace.store.remove(seen) else f"/problems/{identity}?notice=changed")


@router.get("/problems/{identity}")
def show_problem(
    studio: Here, identity: str, who: str = "", people: int = PEOPLE, seed: int = SEED, notice: str = ""
) -> Response:
    """How a crowd answers: distribution, interval, subgroups, a few people."""
    work = studio.workspace
    entry = work.store.get(identity, PROBLEM)
    crowd = work.crowd(entry.body["crowd"])
    context: dict[str, Any] = {
        "entry": entry, "crowd": crowd, "kind_words": KINDS[crowd.kind.kind], "who": who, "people": people,
        "seed": seed, "audiences": audiences_of(studio, crowd), "wanted": expected(crowd.model),
        "reference": reference_of(entry), "outdated": bool(entry.body["reference"]) and reference_of(entry) is None,
    }  # fmt: skip
    context |= _asking(studio, crowd, entry)
    if context["wanted"].needed and context["reference"] is None:
        return page(studio, "problem.html", notice=notice, result=None, **context)
    return page(
        studio, "problem.html", notice=notice, result=_result(studio, entry, crowd, who, people, seed), **context
    )


@dataclass(frozen=True)
class Result:
    """What a problem's page shows of an answer."""

    chart: Any
    interval: Any
    sentence: str
    groups: Any
    behind: Any
    who: str
    persons: list[Person]
    seconds: float
    mean: float


def _result(studio: Studio, entry: Entry, crowd: FittedCrowd, audience: str, people: int, seed: int) -> Result:
    work, started = studio.workspace, time.perf_counter()
    who = work.who(audience, crowd)
    answer = work.answer(entry, audience, people, seed)
    interval = work.interval(entry, answer, not audience)
    _, behind_G = people_in_groups(crowd.model.generator, crowd.training)
    return Result(
        chart(answer, interval, reference_of(entry)),
        interval,
        sentence(answer, interval, crowd.kind),
        group_rows(answer, behind_G.tolist()),
        people_behind(crowd.model.generator, who, crowd.training),
        who.name,
        some_persons(crowd.model, [work.items(entry)], SHOWN_PERSONS, seed, 0, who),
        time.perf_counter() - started,
        float(answer.mean_G[0]),
    )


def audiences_of(studio: Studio, crowd: FittedCrowd) -> list[Entry]:
    """The choices of people that were made for this crowd's columns."""
    return [entry for entry in studio.workspace.store.all(AUDIENCE) if entry.body["crowd"] == crowd.id]


def _asking(studio: Studio, crowd: FittedCrowd, entry: Entry) -> dict[str, Any]:
    """What asking the LLM would take, and the fields for typing a reference in."""
    lines: list[str] = []
    fault = ""
    if studio.asker is not None and expected(crowd.model).needed:
        try:
            lines = studio.asker.lines(crowd, entry)
        except CrowdLLMError as error:
            fault = str(error)
    kind = crowd.kind
    labels = kind.levels if isinstance(kind, Ordinal) else tuple(entry.body["options"])
    soft = any(expected(crowd.model).soft) and kind.kind != "continuous"
    return {
        "wording": wording(entry.body),
        "column_labels": {c.name: c.label or c.name for c in crowd.model.encoder.columns},
        "ask_lines": lines,
        "ask_fault": fault,
        "labels": labels,
        "soft": soft,
        "allowed": kind.allowed(entry.body["options"]),
        "decision_choices": labels if kind.kind in ("ordinal", "choice") else (),
    }


@router.post("/problems/{identity}/reference")
def type_reference(studio: Here, identity: str, form: Sent) -> Response:
    """Keep a reference that was typed in."""
    work = studio.workspace
    entry = work.store.get(identity, PROBLEM)
    kind, options = work.crowd(entry.body["crowd"]).kind, entry.body["options"]
    decision, shares = form.long("decision"), form.texts("share")
    if decision.strip():
        given = NewReference(TYPED, wording(entry.body), None, typed_values(kind, options, decision), "decision")
    else:
        given = NewReference(TYPED, wording(entry.body), typed_shares(kind, options, shares), (), "distribution")
    work.set_reference(entry, given)
    return go(f"/problems/{identity}?notice=saved")


@router.post("/problems/{identity}/ask")
def ask_llm(studio: Here, identity: str, form: Sent) -> Response:
    """Ask the configured LLM, once."""
    if studio.asker is None:
        raise ConfigError("no LLM is configured: start the studio with --backend and --model, or type a reference in")
    work = studio.workspace
    entry = work.store.get(identity, PROBLEM)
    if form.text("wording") != wording(entry.body):
        raise ConfigError("the problem was changed since this page was shown: look at it, and ask again")
    given = studio.asker.ask(work.crowd(entry.body["crowd"]), entry)
    work.set_reference(entry, given)
    return go(f"/problems/{identity}?notice=asked")
