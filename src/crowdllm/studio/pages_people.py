"""Pages about people: choose who is asked, compare two wordings or two groups, meet a few simulated people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from crowdllm.data.tables import plain_number
from crowdllm.errors import ConfigError, CrowdLLMError
from crowdllm.profiles.cells import MISSING
from crowdllm.profiles.raking import parse_margins
from crowdllm.studio.behind import Behind, people_behind, people_in_groups
from crowdllm.studio.crowd import Who, recruit_crowd
from crowdllm.studio.new_reference import expected
from crowdllm.studio.pages_problems import audiences_of
from crowdllm.studio.persons import some_persons
from crowdllm.studio.store import Entry
from crowdllm.studio.views import chart, differences, sentence
from crowdllm.studio.web import Here, Posted, Sent, Studio, go, lines_of, page
from crowdllm.studio.workspace import (
    AUDIENCE,
    PEOPLE,
    PROBLEM,
    SEED,
    FittedCrowd,
    reference_of,
    who_from,
    who_to,
)

router = APIRouter()
MOST_PERSONS = 24
TRIAL = 50


@dataclass(frozen=True)
class Column:
    """A profile column in the form. levels: (level, training people); span: of a numeric one, in words."""

    position: int
    name: str
    label: str
    kind: str
    levels: tuple[tuple[str, int], ...]
    span: str


@router.get("/who")
def choices(studio: Here, notice: str = "") -> Response:
    """All choices of people."""
    work = studio.workspace
    rows = []
    for entry in work.store.all(AUDIENCE):
        try:
            crowd = work.crowd(entry.body["crowd"])
            who = work.who(entry.id, crowd)
            rows.append((entry, crowd.name, in_words(who), people_behind(crowd.model.generator, who, crowd.training)))
        except CrowdLLMError as error:
            rows.append((entry, "", [str(error)], Behind(0, 0, True)))
    return page(studio, "choices.html", notice=notice, rows=rows, crowds=work.crowds())


def in_words(who: Who) -> list[str]:
    """A choice, one line per column."""
    lines = []
    for name, allowed in who.where.items():
        parts = [a if isinstance(a, str) else f"{_end(a[0])} to {_end(a[1])}" for a in allowed]
        lines.append(f"{name}: only {' or '.join(parts)}")
    for name, shares in who.margins.items():
        lines.append(f"{name}: {', '.join(f'{100 * share:.4g} % {level}' for level, share in shares.items())}")
    return lines


def _end(number: float) -> str:
    return f"{number:g}" if np.isfinite(number) else "any"


@router.get("/who/new")
def new_choice(studio: Here, crowd: str = "") -> Response:
    """The form of a new choice."""
    crowds = studio.workspace.crowds()
    if not crowds:
        return page(studio, "no_crowd.html")
    return _form(studio, studio.workspace.crowd(crowd or crowds[0].id), Who(""), None)


@router.get("/who/{identity}")
def show_choice(studio: Here, identity: str, notice: str = "") -> Response:
    """The form of a choice that is there already."""
    entry = studio.workspace.store.get(identity, AUDIENCE)
    return _form(studio, studio.workspace.crowd(entry.body["crowd"]), who_from(entry.body), entry, notice=notice)


def _form(
    studio: Studio,
    crowd: FittedCrowd,
    who: Who,
    entry: Entry | None,
    error: str = "",
    notice: str = "",
    form: Posted | None = None,
) -> Response:
    columns = form_columns(crowd)
    fields = _fields(columns, who) if form is None else {key: form.texts(key, 20_000) for key in form.data}
    try:
        behind = people_behind(crowd.model.generator, who, crowd.training)
    except CrowdLLMError:
        behind = None
    return page(
        studio, "choice_form.html", 400 if error else 200, notice=notice, crowd=crowd, columns=columns, fields=fields,
        entry=entry, error=error, behind=behind, name=who.name, crowds=studio.workspace.crowds(),
    )  # fmt: skip


def form_columns(crowd: FittedCrowd) -> list[Column]:
    """The columns of a crowd with the number of training people behind each level."""
    groups, count_G = people_in_groups(crowd.model.generator, crowd.training)
    out = []
    for c, column in enumerate(crowd.model.encoder.columns):
        levels = tuple(
            (level, int(count))
            for (name, level), count in zip(groups.names, count_G, strict=True)
            if name == column.name and (level != MISSING or count)
        )
        cells = crowd.model.generator.cells[c]
        span = cells.span if column.kind == "numeric" else ""
        out.append(Column(c, column.name, column.label or column.name, column.kind, levels, span))
    return out


def _fields(columns: list[Column], who: Who) -> dict[str, list[str]]:
    """What the form's fields hold for a choice."""
    out: dict[str, list[str]] = {"name": [who.name]}
    for column in columns:
        c, levels = column.position, [level for level, _ in column.levels]
        allowed, shares = who.where.get(column.name, ()), who.margins.get(column.name, {})
        if column.kind == "numeric":
            ends = [a for a in allowed if not isinstance(a, str)]
            out[f"low-{c}"] = [_end(ends[0][0]).replace("any", "") if ends else ""]
            out[f"high-{c}"] = [_end(ends[0][1]).replace("any", "") if ends else ""]
            out[f"margins-{c}"] = ["\n".join(f"{label}: {100 * share:.6g}" for label, share in shares.items())]
            continue
        out[f"level-{c}"] = [str(m) for m, level in enumerate(levels) if level in allowed]
        for m, level in enumerate(levels):
            out[f"margin-{c}-{m}"] = [f"{100 * shares[level]:.6g}" if level in shares else ""]
    return out


def who_from_form(crowd: FittedCrowd, form: Posted) -> Who:
    """The choice that a form describes. Raises ConfigError for numbers that are none and shares that do not fit."""
    where: dict[str, Any] = {}
    margins: dict[str, dict[str, float]] = {}
    for column in form_columns(crowd):
        c, known = column.position, [level for level, _ in column.levels]
        if column.kind == "numeric":
            low, high = (_number(form.text(f"{end}-{c}"), column.label) for end in ("low", "high"))
            if low is not None or high is not None:
                where[column.name] = [(-np.inf if low is None else low, np.inf if high is None else high)]
            shares = dict(_margin_line(line, column.label) for line in lines_of(form.text(f"margins-{c}", 20_000)))
        else:
            ticked = {int(m) for m in form.texts(f"level-{c}") if m.isdigit() and int(m) < len(known)}
            if ticked:
                where[column.name] = [known[m] for m in sorted(ticked) if known[m] != MISSING]
            typed = {level: form.text(f"margin-{c}-{m}").strip() for m, level in enumerate(known)}
            shares = {level: _share(text, level) for level, text in typed.items() if text}
        if shares:
            margins[column.name] = _adding_up(shares, column.label)
    parse_margins(margins, crowd.model.encoder.columns)
    return Who(form.text("name").strip(), where, margins)


def _number(text: str, what: str) -> float | None:
    if not text.strip():
        return None
    number = plain_number(text.strip())
    if number is None:
        raise ConfigError(f"{what}: {text!r} is no number")
    return float(number)


def _share(text: str, what: str) -> float:
    number = plain_number(text.strip().rstrip("%").strip())
    if number is None or not 0 <= number <= 100:
        raise ConfigError(f"the share of {what!r} must be a percentage from 0 to 100, not {text!r}")
    return float(number)


def _margin_line(line: str, what: str) -> tuple[str, float]:
    label, colon, share = line.rpartition(":")
    if not colon:
        raise ConfigError(f"{what}: write target shares as one range and its percentage in each line: 18-39: 45")
    return label.strip(), _share(share, label.strip())


def _adding_up(shares: dict[str, float], what: str) -> dict[str, float]:
    total = sum(shares.values())
    if abs(total - 100) > 0.5:
        raise ConfigError(f"{what}: the target shares add up to {total:g} %, not to 100 %")
    return {level: share / total for level, share in shares.items()}


@router.post("/who")
def save_choice(studio: Here, form: Sent) -> Response:
    """Keep a choice, new or changed; somebody must meet it."""
    work = studio.workspace
    crowd = work.crowd(form.text("crowd"))
    identity = form.text("entry")
    entry = work.store.get(identity, AUDIENCE) if identity else None
    who = Who(form.text("name").strip())
    try:
        who = who_from_form(crowd, form)
        if not who.name:
            raise ConfigError("give this choice a name, so that it can be chosen on other pages")
        if not who.where and not who.margins:
            raise ConfigError("nothing is chosen: this is everybody, who can be asked without a name")
        recruit_crowd(crowd.model, TRIAL, SEED, who)
    except CrowdLLMError as error:
        return _form(studio, crowd, who, entry, str(error), form=form)
    body = who_to(who) | {"crowd": crowd.id}
    body["where"] = {name: [_plain_ends(v) for v in values] for name, values in body["where"].items()}
    if entry is None:
        made = work.store.add(AUDIENCE, body)
        return go(f"/who/{made.id}?notice=saved")
    seen = Entry(entry.id, entry.kind, form.number("revision", 0), entry.made, entry.body)
    if work.store.save(seen, body) is None:
        other = work.store.add(AUDIENCE, body | {"name": f"{who.name} (2)"})
        return go(f"/who/{other.id}?notice=kept-both")
    return go(f"/who/{entry.id}?notice=saved")


def _plain_ends(value: Any) -> Any:
    """An infinite end as null, which JSON can hold."""
    return [None if not np.isfinite(end) else end for end in value] if isinstance(value, list) else value


@router.post("/who/count")
def count(studio: Here, form: Sent) -> Response:
    """How many training people are behind what the form holds at the moment."""
    crowd = studio.workspace.crowd(form.text("crowd"))
    try:
        behind = people_behind(crowd.model.generator, who_from_form(crowd, form), crowd.training)
    except CrowdLLMError as error:
        return JSONResponse({"words": str(error), "few": True})
    return JSONResponse({"words": behind.words(), "few": behind.few})


@router.post("/who/{identity}/delete")
def delete_choice(studio: Here, identity: str, form: Sent) -> Response:
    """Forget a choice, unless it was changed meanwhile."""
    entry = studio.workspace.store.get(identity, AUDIENCE)
    seen = Entry(entry.id, entry.kind, form.number("revision", 0), entry.made, entry.body)
    return go("/who?notice=removed" if studio.workspace.store.remove(seen) else f"/who/{identity}?notice=changed")


@router.get("/compare")
def compare(
    studio: Here, a: str = "", b: str = "", who_a: str = "", who_b: str = "", people: int = PEOPLE, seed: int = SEED
) -> Response:
    """Two problems, or two groups, side by side."""
    work = studio.workspace
    ready = [entry for entry in reversed(work.problems()) if _answerable(studio, entry)]
    known = {entry.id for entry in ready}
    a = a if a in known else (ready[0].id if ready else "")
    b = b if b in known else (ready[1].id if len(ready) > 1 else a)
    sides, change = [], []
    if a:
        pairs = [(work.store.get(identity, PROBLEM), who) for identity, who in ((a, who_a), (b, who_b))]
        answers = [work.answer(entry, who, people, seed) for entry, who in pairs]
        intervals = [work.interval(e, x, not who) for (e, who), x in zip(pairs, answers, strict=True)]
        change = differences(*answers)
        top = max(chart(x, i, None).top for x, i in zip(answers, intervals, strict=True)) if change else 0.0
        for (entry, who), answer, interval in zip(pairs, answers, intervals, strict=True):
            crowd = work.crowd(entry.body["crowd"])
            chosen = work.who(who, crowd)
            behind = people_behind(crowd.model.generator, chosen, crowd.training)
            drawn = chart(answer, interval, None, top)
            sides.append((entry, chosen.name, behind, drawn, interval, sentence(answer, interval, crowd.kind)))
    audiences = [(e, work.store.get(e.body["crowd"], "model").body["name"]) for e in work.store.all(AUDIENCE)]
    return page(
        studio, "compare.html", ready=ready, audiences=audiences, a=a, b=b, who_a=who_a, who_b=who_b, people=people,
        seed=seed, sides=sides, change=change,
    )  # fmt: skip


def _answerable(studio: Studio, entry: Entry) -> bool:
    try:
        crowd = studio.workspace.crowd(entry.body["crowd"])
    except CrowdLLMError:
        return False
    return not expected(crowd.model).needed or reference_of(entry) is not None


@router.get("/people")
def people(studio: Here, crowd: str = "", who: str = "", start: int = 0, count: int = 6, seed: int = SEED) -> Response:
    """A few simulated people, and what each answers to every problem of the list."""
    work = studio.workspace
    crowds = work.crowds()
    if not crowds:
        return page(studio, "no_crowd.html")
    if not 1 <= count <= MOST_PERSONS or not 0 <= start <= 10**6:
        raise ConfigError(f"between 1 and {MOST_PERSONS} people can be shown, from 0 to 1,000,000")
    chosen = work.crowd(crowd or crowds[0].id)
    problems = [e for e in work.problems() if e.body["crowd"] == chosen.id and _answerable(studio, e)]
    waiting = sum(1 for e in work.problems() if e.body["crowd"] == chosen.id) - len(problems)
    picked = work.who(who, chosen)
    persons = some_persons(chosen.model, [work.items(e) for e in problems], count, seed, start, picked)
    return page(
        studio, "people.html", crowd=chosen, crowds=crowds, who=who, audiences=audiences_of(studio, chosen),
        problems=problems, waiting=waiting, persons=persons, start=start, count=count, seed=seed,
    )  # fmt: skip
