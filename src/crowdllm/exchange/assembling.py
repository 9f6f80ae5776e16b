"""Make studies of a survey: decide what each question is, group questions by scale, and account for every answer.

A questionnaire mixes ways of answering and a study has one, so that there is one study per group of questions that are
answered alike: the same levels, the same range, any options to choose one from, and so on. All groups have the same
people and profiles.

Shapes: N respondents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.cell_values import write_options
from crowdllm.data.study_folder import study_from_frames
from crowdllm.data.tables import Cells, plain_number
from crowdllm.errors import ConfigError, CrowdLLMError, UnknownNameError, UnparsableAnswerError
from crowdllm.exchange.answers import answers_as_cells, settle_ballots, settle_budget, settle_depth
from crowdllm.exchange.deciding import Decision, decide
from crowdllm.exchange.ledger import Ledger, short, some_of
from crowdllm.exchange.personal import blot, blot_text
from crowdllm.exchange.protocol import FreeText, Imported, LeftOut, Part, ReadOptions
from crowdllm.exchange.survey import Item, Survey
from crowdllm.responses import response_type_from_dict

REQUIREMENTS = "Answer the question of the survey."
MOST_QUESTIONS = 5_000


@dataclass(frozen=True)
class Question:
    """A problem to be: its settings, its options and everybody's answer as a table cell ("" for none)."""

    item: Item
    response: Mapping[str, Any]
    options: tuple[str, ...]
    cells_N: Cells


def imported_survey(survey: Survey, options: ReadOptions, ledger: Ledger, guessed: bool = False) -> Imported:
    """The studies in a survey.

    guessed: whether the file itself does not say what its columns are.

    Raises CrowdLLMError where the mapping names what is not there, or nothing can be asked of a crowd.
    """
    given = options.mapping.get("columns", {})
    survey = _distinct_items(survey)
    _require_known(survey, given)
    survey = replace(survey, items=tuple(_blotted(item, _table(item, given), ledger) for item in survey.items))
    if len(survey.items) > MOST_QUESTIONS:
        raise CrowdLLMError(f"the survey has {len(survey.items):,} questions; at most {MOST_QUESTIONS:,} are read")
    weight = str(options.mapping.get("weight", ""))
    decisions = {item.id: decide(item, _table(item, given), weight) for item in survey.items}
    decisions = _one_weight(decisions, ledger)
    weights_N, keep_N = _weights(survey, decisions, ledger)
    survey = _only(survey, keep_N)
    profile, people = _profile(survey, decisions, ledger)
    if weights_N is not None:
        people["weight"] = weights_N[keep_N]
    _keep_beside(survey, decisions, ledger)
    groups = _groups(_questions(survey, decisions, ledger))
    if not groups:
        raise CrowdLLMError(_nothing_asked(decisions))
    mapping = {key: value for key, value in options.mapping.items() if key != "columns"}
    mapping["columns"] = {name: decision.to_mapping() for name, decision in decisions.items()}
    title = str(options.mapping.get("title", "")) or survey.title
    parts = []
    for name, questions in groups.items():
        long = f"{title} ({name})" if len(groups) > 1 else title
        parts.append(Part(name, _study(survey, questions, long, profile, people, options)))
    return Imported(
        "",
        (),
        tuple(parts),
        tuple(ledger.understood),
        tuple(ledger.notes),
        tuple(ledger.left_out),
        tuple(ledger.free_text),
        guessed,
        mapping,
    )


def _distinct_items(survey: Survey) -> Survey:
    """The survey with a number behind ids that come twice."""
    ids = _distinct_ids([item.id for item in survey.items])
    items = [replace(item, id=name) for item, name in zip(survey.items, ids, strict=True)]
    return replace(survey, items=tuple(items))


def _blotted(item: Item, own: Mapping[str, Any], ledger: Ledger) -> Item:
    """The item without addresses and the like in its options, and in answers that the mapping makes options.

    Answers that name options by their number need no change.
    """
    spelled = {option: blot_text(option)[0] for option in item.options}
    if all(option == clean for option, clean in spelled.items()) and not (own.get("use") == "problem" and item.columns):
        return item
    if item.kind in ("single", "scale", "text"):
        cells, found = blot(item.cells_N)
        for what, count in found.items():
            ledger.left_out.append(LeftOut(item.id, f"{what} in answers", "by content", count))
        item = replace(item, cells_N=cells)
    return replace(item, options=tuple(spelled.values()))


def _table(item: Item, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The mapping's table of an item, or of one of its columns."""
    found: Mapping[str, Any] = next((given[name] for name in (item.id, *item.columns) if name in given), {})
    return found


def _require_known(survey: Survey, given: Mapping[str, Any]) -> None:
    known = [name for item in survey.items for name in dict.fromkeys((item.id, *item.columns))]
    for name in given:
        if name not in known:
            raise UnknownNameError("column or question", name, known[:200], "the mapping")


def _nothing_asked(decisions: Mapping[str, Decision]) -> str:
    uses = sorted({f"{decision.use}" for decision in decisions.values()})
    hint = "say which columns are questions with --map COLUMN=problem"
    return f"no question found that a crowd can answer, only {', '.join(uses) or 'nothing'}; {hint}"


def _only(survey: Survey, keep_N: NDArray[np.bool_]) -> Survey:
    """The survey with some of its people."""
    if keep_N.all():
        return survey
    items = [replace(item, cells_N=item.cells_N[keep_N]) if len(item.cells_N) else item for item in survey.items]
    return replace(survey, items=tuple(items), people_N=survey.people_N[keep_N])


# --- people -----------------------------------------------------------------------------------------------


def _one_weight(decisions: dict[str, Decision], ledger: Ledger) -> dict[str, Decision]:
    """At most one weight: the first; the others are left out, and said to be."""
    names = [name for name, decision in decisions.items() if decision.use == "weight"]
    for name in names[1:]:
        decisions[name] = Decision("skip", why=f"another survey weight; {names[0]!r} is used (--map weight=NAME)")
    if names:
        ledger.understood.append(f"survey weights: {names[0]}")
    return decisions


def _weights(
    survey: Survey, decisions: Mapping[str, Decision], ledger: Ledger
) -> tuple[Cells | None, NDArray[np.bool_]]:
    """(N,) weights as cells, None without any; and which people stay: those with a weight above 0."""
    keep_N = np.ones(len(survey.people_N), dtype=bool)
    item = next((item for item in survey.items if decisions[item.id].use == "weight"), None)
    if item is None or not len(item.cells_N):
        return None, keep_N
    numbers = [plain_number(str(cell)) for cell in item.cells_N]
    bad = [str(c) for c, n in zip(item.cells_N, numbers, strict=True) if n is None and str(c).strip()]
    if bad:
        raise ConfigError(f"the survey weight {item.id!r} has the value {bad[0]!r}, which is no number")
    keep_N = np.array([n is not None and n > 0 for n in numbers], dtype=bool)
    lost = int((~keep_N).sum())
    if lost == len(keep_N):
        raise ConfigError(f"the survey weight {item.id!r} is missing or 0 for everybody")
    if lost:
        ledger.note("people left out", item.id, "the survey weight is missing, 0 or negative", lost)
    return item.cells_N, keep_N


def _profile(
    survey: Survey, decisions: Mapping[str, Decision], ledger: Ledger
) -> tuple[dict[str, dict[str, Any]], dict[str, Cells]]:
    """The settings of the profile columns and the table of people."""
    settings: dict[str, dict[str, Any]] = {}
    people: dict[str, Cells] = {"participant": survey.people_N}
    for item in survey.items:
        decision = decisions[item.id]
        if decision.use != "profile":
            continue
        name = _column_name(item.id, {*people, "weight"})
        cells = item.cells_N if len(item.cells_N) else np.full(len(survey.people_N), "", dtype=object)
        levels = decision.levels
        if decision.kind != "numeric":
            cells, found = blot(cells)
            for what, count in found.items():
                ledger.left_out.append(LeftOut(item.id, f"{what} in single cells", "by content", count))
            levels = tuple(dict.fromkeys(blot_text(level)[0] for level in levels))
        cells, lost = legal_profile(decision.kind, levels, cells)
        if lost:
            text = f"not among the levels, so missing: {some_of(lost)}"
            ledger.note("profile values left out", item.id, text, sum(lost.values()))
        people[name] = cells
        settings[name] = {"kind": decision.kind, "label": short(item.text or item.id)}
        if levels:
            settings[name]["levels"] = list(levels)
    return settings, people


def legal_profile(kind: str, levels: Sequence[str], cells_N: Cells) -> tuple[Cells, dict[str, int]]:
    """The cells with those emptied that are no level (or no number), and how often each of these was there."""
    code_N, cells_U = pd.factorize(cells_N)
    known = set(levels)
    new_U, lost = np.array(cells_U, dtype=object), {}
    count_U = np.bincount(code_N, minlength=len(cells_U))
    for u, cell in enumerate(cells_U):
        good = plain_number(str(cell)) is not None if kind == "numeric" else str(cell) in known
        if not good:
            new_U[u] = ""
            if str(cell).strip():
                lost[str(cell)] = int(count_U[u])
    return (new_U[code_N] if len(new_U) else cells_N), lost


def _column_name(wanted: str, taken: set[str]) -> str:
    name = " ".join(wanted.split()) or "column"
    while name in taken:
        name += "_"
    return name


# --- what stays beside the study --------------------------------------------------------------------------


def _keep_beside(survey: Survey, decisions: Mapping[str, Decision], ledger: Ledger) -> None:
    """Open answers to the free texts, personal data to nowhere, all else to the notes."""
    for item in survey.items:
        decision = decisions[item.id]
        filled = int((item.cells_N != "").sum()) if len(item.cells_N) else 0
        if decision.use == "personal":
            ledger.left_out.append(LeftOut(item.id, decision.why, "by name", filled))
        elif decision.use == "skip":
            ledger.note("column left out", item.id, decision.why or "not used", filled)
        elif decision.use == "text":
            text = f"{short(item.text)} (kept in free_text.csv)" if filled else short(item.text)
            ledger.note("free text", item.id, text or "open question", filled)
            _free_text(survey, item, ledger)


def _free_text(survey: Survey, item: Item, ledger: Ledger) -> None:
    blotted: dict[str, int] = {}
    for person, cell in zip(survey.people_N, item.cells_N, strict=False):
        if str(cell).strip():
            clean, kinds = blot_text(str(cell))
            ledger.free_text.append(FreeText(str(person), item.id, clean))
            for what in kinds:
                blotted[what] = blotted.get(what, 0) + 1
    for what, count in blotted.items():
        ledger.left_out.append(LeftOut(item.id, f"{what} in open answers", "by content", count))


# --- problems ---------------------------------------------------------------------------------------------


def _questions(survey: Survey, decisions: Mapping[str, Decision], ledger: Ledger) -> list[Question]:
    out = []
    for item in survey.items:
        decision = decisions[item.id]
        if decision.use != "problem":
            continue
        response, cells = dict(decision.response), item.cells_N
        if response["type"] == "ranking":
            response, cells = settle_depth(item, decision.options, ledger)
        elif response["type"] == "points":
            response, cells = settle_budget(item, response, ledger)
            if not response["budget"]:
                ledger.note("question left out", item.id, "no budget is known that the points must add up to")
                continue
        else:
            cells = answers_as_cells(item, decision.response, decision.options)
        out.append(checked(Question(item, response, decision.options, cells), ledger))
    return settle_ballots(out)


def checked(question: Question, ledger: Ledger) -> Question:
    """The question with answers that its scale does not allow emptied, and counted."""
    scale = response_type_from_dict(question.response)
    code_N, cells_U = pd.factorize(question.cells_N)
    new_U, lost = np.array(cells_U, dtype=object), {}
    count_U = np.bincount(code_N, minlength=len(cells_U))
    for u, cell in enumerate(cells_U):
        try:
            if str(cell).strip():
                scale.read_cell(str(cell), question.options)
            else:
                new_U[u] = ""
        except UnparsableAnswerError:
            new_U[u] = ""
            lost[str(cell)] = int(count_U[u])
    if lost:
        text = f"not on the scale, so not answered: {some_of(lost)}"
        ledger.note("answers left out", question.item.id, text, sum(lost.values()))
    cells = new_U[code_N] if len(new_U) else question.cells_N
    return Question(question.item, question.response, question.options, cells)


def _groups(questions: Sequence[Question]) -> dict[str, list[Question]]:
    """The questions by how they are answered, each group under a name that can be a folder's."""
    by_scale: dict[str, list[Question]] = {}
    for question in questions:
        by_scale.setdefault(repr(sorted(question.response.items())), []).append(question)
    out: dict[str, list[Question]] = {}
    for members in by_scale.values():
        name = wanted = _group_name(members[0].response)
        number = 1
        while name in out:
            number += 1
            name = f"{wanted}-{number}"
        out[name] = members
    return out


def _group_name(response: Mapping[str, Any]) -> str:
    kind = str(response["type"])
    if kind == "ordinal":
        return f"likert-{len(response['levels'])}"
    if kind == "continuous":
        ends = [f"{response[end]:g}" for end in ("low", "high") if end in response]
        return "-".join(["slider", *ends]) if len(ends) == 2 and "-" not in "".join(ends) else "number"
    return {"choice": "single-choice", "ballot": "multiple-choice", "points": "constant-sum"}.get(kind, kind)


def _study(
    survey: Survey,
    questions: Sequence[Question],
    title: str,
    profile: Mapping[str, Mapping[str, Any]],
    people: Mapping[str, Cells],
    options: ReadOptions,
) -> Any:
    ids = _distinct_ids([question.item.id for question in questions])
    problems = pd.DataFrame({"problem": ids, "text": [_text(q.item) for q in questions]}, dtype=object)
    if questions[0].options:
        problems["options"] = [write_options(question.options) for question in questions]
    long = [np.flatnonzero(question.cells_N != "") for question in questions]
    rows = np.concatenate([np.zeros(0, dtype=np.int64), *long])
    responses = pd.DataFrame(
        {
            "participant": survey.people_N[rows] if len(rows) else np.zeros(0, dtype=object),
            "problem": np.repeat(np.array(ids, dtype=object), [len(r) for r in long]),
            "response": np.concatenate(
                [np.zeros(0, dtype=object), *(q.cells_N[r] for q, r in zip(questions, long, strict=True))]
            ),
        },
        dtype=object,
    )
    return study_from_frames(
        problems,
        responses,
        pd.DataFrame(dict(people), dtype=object),
        questions[0].response,
        profile,
        title=title,
        context=str(options.mapping.get("context", "")) or survey.context,
        requirements=str(options.mapping.get("requirements", "")) or survey.requirements or REQUIREMENTS,
        source=survey.source,
        weight="weight" if "weight" in people else "",
    )


def _text(item: Item) -> str:
    return item.text or item.id


def _distinct_ids(names: Sequence[str]) -> list[str]:
    taken: set[str] = set()
    out = []
    for name in names:
        out.append(_column_name(name, taken))
        taken.add(out[-1])
    return out
