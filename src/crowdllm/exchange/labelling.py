"""Make studies of labelling work: workers answer one or several controls (a rating, a choice, a text) on tasks.

A control that many answer on many tasks is one study: its problems are the tasks. A control that asks who the workers
are becomes a profile column, an open text is kept beside, personal data is left out.

Shapes: R rows (one worker on one task), N workers, T tasks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from crowdllm.data.cell_values import write_options
from crowdllm.data.study import Study
from crowdllm.data.study_folder import guess_response, study_from_frames
from crowdllm.data.tables import Cells
from crowdllm.errors import CrowdLLMError, UnknownNameError
from crowdllm.exchange.answers import answers_as_cells, settle_budget, settle_depth
from crowdllm.exchange.assembling import REQUIREMENTS, Question, checked, legal_profile
from crowdllm.exchange.deciding import Decision, decide
from crowdllm.exchange.demographics import describes_people
from crowdllm.exchange.ledger import Ledger, short
from crowdllm.exchange.ordered import by_strength
from crowdllm.exchange.personal import blot, blot_text, pseudonyms
from crowdllm.exchange.protocol import FreeText, Imported, LeftOut, Part, ReadOptions
from crowdllm.exchange.survey import Item, distinct_options
from crowdllm.exchange.tables_guess import distinct_words

OPEN = re.compile(r"comment|feedback|explain|explanation|reason|remark|suggest|why|notes?$|free.?text|rationale", re.I)
MOST_OPTIONS = 200
MOST_ROWS = 5_000_000


@dataclass(frozen=True)
class Labelling:
    """Work by row: `workers_R[r]` on `tasks_R[r]` said `answers[r]`.

    workers_R: ids as in the file; they are replaced. tasks_R: ids of the tasks.
    controls: one item per control, whose cells are by row; a control that every task shows with options of its own has
        them in `options`, by task.
    texts: each task's description. attributes: further columns of tasks, by name and task.
    worker_column: what the file calls the workers.
    """

    title: str
    workers_R: Cells
    tasks_R: Cells
    controls: tuple[Item, ...]
    texts: Mapping[str, str]
    options: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    worker_column: str = "worker"
    context: str = ""
    requirements: str = ""
    source: tuple[str, ...] = ()


def imported_labelling(work: Labelling, options: ReadOptions, ledger: Ledger, guessed: bool = False) -> Imported:
    """The studies in the work, a part per control that is answered on a scale.

    Raises CrowdLLMError where there is none, or the mapping names a control that is not there.
    """
    if len(work.workers_R) > MOST_ROWS:
        raise CrowdLLMError(f"{work.title}: {len(work.workers_R):,} rows; at most {MOST_ROWS:,} are read")
    given = options.mapping.get("columns", {})
    for name in given:
        if name not in [item.id for item in work.controls]:
            raise UnknownNameError("column or question", name, [item.id for item in work.controls], "the mapping")
    people_R, left = pseudonyms(work.workers_R, work.worker_column)
    ledger.left_out += left
    decisions = {item.id: decide(item, _own(item) | dict(given.get(item.id, {}))) for item in work.controls}
    profile, people = _profile(work, decisions, people_R, ledger)
    _keep_beside(work, decisions, people_R, ledger)
    parts: list[Part] = []
    for item in work.controls:
        if decisions[item.id].use == "problem":
            study = _study(work, item, decisions[item.id], people_R, profile, people, options, ledger)
            if study is not None:
                parts.append(Part(_free(item.id, [p.name for p in parts]), study))
    if not parts:
        shown = ", ".join(f"{name} ({decision.use})" for name, decision in decisions.items()) or "none"
        raise CrowdLLMError(f"{work.title}: no control is answered on a scale; found {shown}")
    mapping = {key: value for key, value in options.mapping.items() if key != "columns"}
    mapping["columns"] = {name: decision.to_mapping() for name, decision in decisions.items()}
    return Imported(
        "", (), tuple(parts), tuple(ledger.understood), tuple(ledger.notes), tuple(ledger.left_out),
        tuple(ledger.free_text), guessed, mapping,
    )  # fmt: skip


def _own(item: Item) -> dict[str, Any]:
    """Options of which it is known that they have no order, such as left and right, are a choice."""
    return {"type": "choice"} if item.kind == "single" and item.ordered is False else {}


def control_of(name: str, text: str, cells_R: Cells) -> Item:
    """A control of which only the answers are known.

    Numbers are a scale of neighbouring whole numbers, or numbers; words are the options that were given, unless they
    are many or long, or the control is called like an open question.
    """
    words = distinct_words(cells_R)
    guess = guess_response(np.array(words, dtype=object)) if words else None
    if guess is not None and guess["type"] == "ordinal" and not describes_people(name, text):
        return Item(name, text, "single", tuple(guess["levels"]), _stripped(cells_R), ordered=True)
    if guess is not None and guess["type"] in ("ordinal", "continuous"):
        return Item(name, text, "number", (), _stripped(cells_R))
    filled = int((cells_R != "").sum())
    wordy = len(words) > 0.5 * filled and sum(len(word.split()) for word in words) > 6 * len(words)
    if not words or wordy or len(words) > MOST_OPTIONS or max(map(len, words)) > 200 or OPEN.search(name):
        return Item(name, text, "text", (), cells_R)
    clean, _ = blot(cells_R)
    words = distinct_words(clean)
    known = list(by_strength(words) or ())
    ordered = [*known, *sorted(set(words) - set(known))]
    spelled = dict(zip(ordered, distinct_options(ordered), strict=True))
    cells = np.array([spelled.get(str(cell), "") for cell in clean.tolist()], dtype=object)
    return Item(name, text, "single", tuple(spelled.values()), cells)


def _stripped(cells_R: Cells) -> Cells:
    return np.array([str(cell).strip() for cell in cells_R.tolist()], dtype=object)


def _profile(
    work: Labelling, decisions: Mapping[str, Decision], people_R: Cells, ledger: Ledger
) -> tuple[dict[str, dict[str, Any]], dict[str, Cells]]:
    """The settings of the profile columns and the table of workers; of what a worker says twice the first counts."""
    ids_N = pd.unique(pd.Series(people_R, dtype=object)).astype(object)
    ids_N = ids_N[ids_N != ""]
    settings: dict[str, dict[str, Any]] = {}
    people: dict[str, Cells] = {"participant": ids_N}
    for item in work.controls:
        decision = decisions[item.id]
        if decision.use != "profile":
            continue
        said: dict[str, str] = {}
        differ = 0
        for person, cell in zip(people_R.tolist(), item.cells_N.tolist(), strict=True):
            if str(cell).strip():
                differ += said.setdefault(person, str(cell)) != str(cell)
        if differ:
            ledger.note("changed", item.id, "workers who said different things; the first counts", differ)
        cells = np.array([said.get(person, "") for person in ids_N], dtype=object)
        levels = decision.levels
        if decision.kind != "numeric":
            cells, found = blot(cells)
            ledger.left_out += [LeftOut(item.id, f"{w} in single cells", "by content", n) for w, n in found.items()]
            levels = tuple(dict.fromkeys(blot_text(level)[0] for level in levels))
        cells, lost = legal_profile(decision.kind, levels, cells)
        if lost:
            ledger.note("profile values left out", item.id, "not among the levels, so missing", sum(lost.values()))
        name = _free(item.id, [*people, "weight"])
        people[name] = cells
        settings[name] = {"kind": decision.kind, "label": short(item.text or item.id)}
        settings[name] |= {"levels": list(levels)} if levels else {}
    return settings, people


def _keep_beside(work: Labelling, decisions: Mapping[str, Decision], people_R: Cells, ledger: Ledger) -> None:
    for item in work.controls:
        decision = decisions[item.id]
        filled = int((item.cells_N != "").sum())
        if decision.use == "personal":
            ledger.left_out.append(LeftOut(item.id, decision.why, "by name", filled))
        elif decision.use in ("skip", "weight"):
            ledger.note("column left out", item.id, decision.why or "not used", filled)
        elif decision.use == "text" and filled:
            ledger.note("free text", item.id, f"{short(item.text)} (kept in free_text.csv)", filled)
            rows = zip(people_R.tolist(), work.tasks_R.tolist(), item.cells_N.tolist(), strict=True)
            for person, task, cell in rows:
                if str(cell).strip():
                    ledger.free_text.append(FreeText(str(person), f"{item.id} on {task}", blot_text(str(cell))[0]))


def _study(
    work: Labelling, item: Item, decision: Decision, people_R: Cells, profile: Mapping[str, Mapping[str, Any]],
    people: Mapping[str, Cells], options: ReadOptions, ledger: Ledger,
) -> Study | None:  # fmt: skip
    own = work.options.get(item.id)
    response, cells = dict(decision.response), item.cells_N
    if response["type"] == "ranking":
        response, cells = settle_depth(item, decision.options, ledger)
    elif response["type"] == "points":
        response, cells = settle_budget(item, response, ledger)
    elif own is None:
        cells = answers_as_cells(item, response, decision.options)
    if own is None:
        cells = checked(Question(item, response, decision.options, cells), ledger).cells_N
    table = pd.DataFrame({"participant": people_R, "problem": work.tasks_R, "response": cells}, dtype=object)
    table = _once(table, item.id, ledger)
    if not len(table):
        ledger.note("question left out", item.id, "has no answer on the scale")
        return None
    tasks = [str(t) for t in pd.unique(pd.Series(work.tasks_R, dtype=object)) if str(t)]
    problems = pd.DataFrame({"problem": tasks}, dtype=object)
    problems["text"] = [blot_text(work.texts.get(task, "") or task)[0] for task in tasks]
    if own is not None:
        problems["options"] = [write_options(own[task]) for task in tasks]
    elif decision.options:
        problems["options"] = write_options(decision.options)
    for name, values in work.attributes.items():
        column, found = blot(np.array([values.get(task, "") for task in tasks], dtype=object))
        problems[_free(name, list(problems.columns))] = column
        ledger.left_out += [LeftOut(name, f"{w} in single cells", "by content", n) for w, n in found.items()]
    only = len([i for i in work.controls if i.kind != "text"]) == 1
    return study_from_frames(
        problems,
        table,
        pd.DataFrame(dict(people), dtype=object),
        response,
        profile,
        title=str(options.mapping.get("title", "")) or (work.title if only else f"{work.title} ({item.id})"),
        context=str(options.mapping.get("context", "")) or work.context,
        requirements=str(options.mapping.get("requirements", "")) or item.text or work.requirements or REQUIREMENTS,
        source=work.source,
    )


def _once(table: pd.DataFrame, control: str, ledger: Ledger) -> pd.DataFrame:
    """The rows with a worker, a task and an answer; of several answers of one worker to one task the first."""
    table = table[(table["response"] != "") & (table["participant"] != "") & (table["problem"] != "")]
    again = table.duplicated(["participant", "problem"])
    if again.any():
        text = "further answers of one worker to one task; the first counts"
        ledger.note("answers left out", control, text, int(again.sum()))
    return table[~again]


def _free(wanted: str, taken: Sequence[str]) -> str:
    name = " ".join(wanted.split()) or "column"
    while name in taken:
        name += "_"
    return name
