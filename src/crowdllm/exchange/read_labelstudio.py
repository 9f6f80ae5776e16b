"""Read Label Studio exports: JSON (tasks with annotations), JSON-MIN or CSV, with the label config (.xml) if given.

    control                      becomes
    Choices                      a choice; a ballot where several may be chosen
    Rating                       ordinal, 1 to maxRating
    Number                       continuous, with the config's ends
    Pairwise                     a choice between left and right
    TextArea                     free text, kept beside
    Ranker                       a ranking
    regions, relations, ...      a note: marks in a text or picture are no answers of a crowd

The export does not say which options nobody chose, nor their order: the config does. Annotators' names and e-mail
addresses are replaced, cancelled annotations left out, predictions (which are a model's) counted and left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crowdllm.data.tables import number_text
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.labelling import Labelling, control_of, imported_labelling
from crowdllm.exchange.labelstudio_config import CHOICES, NUMBER, PAIRWISE, RANKER, RATING, TEXTAREA, Config, Control
from crowdllm.exchange.labelstudio_csv import SUFFIXES, csv_tasks, is_header
from crowdllm.exchange.ledger import Ledger, short
from crowdllm.exchange.limits import DamagedFileError, parse_xml, read_bytes, read_json
from crowdllm.exchange.protocol import LIKELY, NO, SURE, Glance, Imported, Reader, ReadOptions
from crowdllm.exchange.simulated_rows import MARKED, refuse_simulated
from crowdllm.exchange.survey import Item, distinct_options

NOT_DATA = (
    "id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "annotations",
    "predictions", "completions", "inner_id", "project", "file_upload", "drafts", "meta", "cancelled_annotations",
    "comment_count", "comment_authors", "last_comment_updated_at", "total_annotations", "total_predictions",
    "unresolved_comment_count", "updated_by", "data", "history", "is_labeled", "overlap",
)  # fmt: skip
TEXT_KEYS = ("text", "question", "prompt", "statement", "comment", "sentence", "title", "dialogue", "image", "audio")
MOST_CELLS = 20_000_000
MARKS = ("problem", "simulated", "model", "model_hash", "seed", "run", "context", "requirements")
Listed = dict[str, tuple[str, ...]]


def sniff(files: Sequence[Glance]) -> int:
    tables = [f for f in files if f.suffix in SUFFIXES and is_header(f.first_line)]
    exports = [f for f in files if f.suffix == ".json" or f.text.lstrip()[:1] == "["] or tables
    configs = [f for f in files if f.suffix == ".xml" or "<View" in f.text[:2_000]]
    if len(exports) != 1 or len(exports) + len(configs) != len(files):
        return NO
    if tables:
        return SURE
    head = exports[0].text
    if '"annotations"' in head and ('"from_name"' in head or '"completed_by"' in head):
        return SURE
    if '"annotation_id"' in head or ('"annotator"' in head and '"lead_time"' in head):
        return LIKELY
    return LIKELY if '"data"' in head and '"predictions"' in head else NO  # to say that they are no people's answers


def read(files: Sequence[Path], options: ReadOptions) -> Imported:
    """The studies in an export; a second file is its label config. Raises CrowdLLMError for what is no export."""
    configs = [f for f in files if f.suffix.lower() == ".xml" or read_bytes(f, 64)[:200].lstrip()[:1] == b"<"]
    exports = [f for f in files if f not in configs]
    if len(exports) != 1 or len(configs) > 1:
        raise CrowdLLMError("name one Label Studio export (JSON, JSON-MIN, CSV) and, if you have it, its config (.xml)")
    config = Config()
    if configs:
        parse_xml(read_bytes(configs[0], 4), config, configs[0])
    ledger, most = Ledger(), options.max_megabytes
    table = exports[0].suffix.lower() in SUFFIXES
    held: Any = csv_tasks(exports[0], config.controls, NOT_DATA, ledger, most) if table else read_json(exports[0], most)
    tasks = held if isinstance(held, list) else [held]
    if not tasks or not all(isinstance(task, dict) for task in tasks):
        raise DamagedFileError(exports[0], "is no list of tasks")
    rows = _Rows()
    for number, task in enumerate(tasks, start=1):
        _read_task(task, str(number), rows, config, ledger)
    rows.account(ledger)
    if not rows.workers:
        _refuse_predictions(tasks, exports[0])
        raise DamagedFileError(exports[0], "holds no annotation that is not cancelled")
    if len(rows.workers) * max(len(rows.answers), 1) > MOST_CELLS:
        raise DamagedFileError(exports[0], f"has {len(rows.workers):,} annotations of {len(rows.answers):,} controls")
    controls, choices = _controls(rows, config, ledger)
    full = any("annotations" in t or "completions" in t for t in tasks)
    kind = "CSV" if table else "JSON" if full else "JSON-MIN"
    ledger.understood.append(f"{kind} export: {len(rows.texts):,} tasks, {len(rows.workers):,} annotations")
    ledger.understood.append(
        f"label config: {configs[0].name}" if configs else "no label config: options are those used"
    )
    work = Labelling(
        title=exports[0].stem,
        workers_R=_cells(rows.workers),
        tasks_R=_cells(rows.tasks),
        controls=controls,
        texts=rows.texts,
        options=choices,
        attributes=rows.attributes,
        worker_column="completed_by",
        source=("Exported from Label Studio.",),
    )
    return imported_labelling(work, options, ledger, guessed=not configs)


def _refuse_predictions(tasks: Sequence[dict[str, Any]], place: Path) -> None:
    """Say of tasks that no person annotated that a crowd's answers, or another model's, are not taken for people's."""
    told = [task["data"] for task in tasks if isinstance(task.get("data"), dict)]
    marks = [mark for mark in MARKED if any(mark in data for data in told)]
    refuse_simulated({mark: _cells([_word(data.get(mark)) for data in told]) for mark in marks}, place.name)
    if any(task.get("predictions") for task in tasks):
        raise CrowdLLMError(f"{place.name}: holds predictions, which are a model's, and no annotation by a person")


class _Rows:
    """Annotations as they are found: who, on which task, and per control the value."""

    def __init__(self) -> None:
        self.workers: list[str] = []
        self.tasks: list[str] = []
        self.answers: dict[str, dict[int, Any]] = {}
        self.kinds: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.attributes: dict[str, dict[str, str]] = {}
        self.lists: dict[str, dict[str, tuple[str, ...]]] = {}
        self.skipped = self.predictions = self.unnamed = 0
        self.regions: dict[str, int] = {}

    def add(self, worker: str, task: str, answers: dict[str, tuple[str, Any]]) -> None:
        row = len(self.workers)
        self.workers.append(worker)
        self.tasks.append(task)
        for name, (kind, value) in answers.items():
            self.answers.setdefault(name, {})[row] = value
            self.kinds.setdefault(name, kind)

    def account(self, ledger: Ledger) -> None:
        if self.skipped:
            ledger.note("answers left out", "annotations", "skipped or cancelled by the annotator", self.skipped)
        if self.predictions:
            ledger.note("not carried over", "predictions", "answers of a model, not of people", self.predictions)
        if self.unnamed:
            text = "annotations that name no annotator: each task's count as those of different people"
            ledger.note("guessed", "completed_by", text, self.unnamed)
        for name, count in self.regions.items():
            ledger.note("not carried over", name, "marks in a text, picture or sound are no answers of a crowd", count)


def _read_task(task: dict[str, Any], fallback: str, rows: _Rows, config: Config, ledger: Ledger) -> None:
    listed = task.get("annotations", task.get("completions"))
    data = task.get("data") if isinstance(task.get("data"), dict) else None
    name = _word(task.get("id")) or _word(task.get("inner_id")) or _word((data or {}).get("problem")) or fallback
    told = data is not None
    if data is None:
        controls = list(config.controls) or _min_controls(task)
        data = {k: v for k, v in task.items() if k not in NOT_DATA and k not in controls}
    _describe(name, data, rows, config)
    if isinstance(task.get("predictions"), list):
        rows.predictions += len(task["predictions"])
    if listed is None and told and isinstance(task.get("predictions"), list):
        return  # a task with predictions that nobody annotated; JSON-MIN has its data beside the answers
    if listed is None:
        _read_min(task, name, rows, config)
        return
    for number, annotation in enumerate(listed if isinstance(listed, list) else [], start=1):
        if not isinstance(annotation, dict):
            continue
        if annotation.get("was_cancelled") or annotation.get("skipped"):
            rows.skipped += 1
            continue
        worker = _worker(annotation.get("completed_by"))
        if not worker:
            rows.unnamed += 1
            worker = f"annotator {number}"
        result = annotation.get("result")
        rows.add(worker, name, _answers(result if isinstance(result, list) else [], rows))


def _read_min(task: dict[str, Any], name: str, rows: _Rows, config: Config) -> None:
    """A row of JSON-MIN: one annotation, its answers beside the task's data."""
    worker = _worker(task.get("annotator", task.get("completed_by")))
    if not worker:
        rows.unnamed += 1
        worker = f"annotator of {name}"
    answers: dict[str, tuple[str, Any]] = {}
    for key in list(config.controls) or _min_controls(task):
        if key in task and task[key] not in (None, "", []):
            found = _min_value(task[key], config.controls.get(key))
            if found[0] == "region":
                rows.regions[key] = rows.regions.get(key, 0) + 1
            else:
                answers[key] = found
    rows.add(worker, name, answers)


def _min_controls(task: dict[str, Any]) -> list[str]:
    """Without a config: what stands behind the task's own data, that is, after its `id`."""
    keys = list(task)
    after = keys.index("id") + 1 if "id" in keys else 0
    return [key for key in keys[after:] if key not in NOT_DATA]


def _min_value(value: Any, control: Control | None) -> tuple[str, Any]:
    if isinstance(value, dict) and isinstance(value.get(CHOICES), list):
        return CHOICES, value[CHOICES]
    kind = control.kind if control else CHOICES
    if isinstance(value, list):
        inner = [entry for entry in value if isinstance(entry, dict)]
        if inner:
            return _value(kind if control else next(iter(_kinds(inner)), "region"), inner[0])
        return (TEXTAREA if kind == TEXTAREA else CHOICES), [_word(entry) for entry in value]
    if isinstance(value, dict):
        return _value(kind, value)
    if control is None:
        return (RATING if isinstance(value, int) and not isinstance(value, bool) else CHOICES), (
            value if isinstance(value, int) else [_word(value)]
        )
    return kind, [_word(value)] if kind in (CHOICES, TEXTAREA, PAIRWISE) else value


def _kinds(values: Iterable[dict[str, Any]]) -> Iterable[str]:
    for value in values:
        yield from (kind for kind in (CHOICES, RATING, NUMBER, RANKER) if kind in value)


def _answers(result: list[Any], rows: _Rows) -> dict[str, tuple[str, Any]]:
    """Per control its kind and value; regions are counted."""
    out: dict[str, tuple[str, Any]] = {}
    for entry in result:
        if not isinstance(entry, dict) or not isinstance(entry.get("value"), dict):
            continue
        name, kind, value = _word(entry.get("from_name")), _word(entry.get("type")).lower(), entry["value"]
        region = any(key in value for key in ("start", "x", "points", "rle"))
        if not name or region or kind not in (CHOICES, RATING, NUMBER, PAIRWISE, TEXTAREA, RANKER):
            rows.regions[name or kind or "?"] = rows.regions.get(name or kind or "?", 0) + 1
            continue
        found = _value(kind, value)
        if found[0] == "region":
            rows.regions[name] = rows.regions.get(name, 0) + 1
        else:
            out.setdefault(name, found)
    return out


def _value(kind: str, value: dict[str, Any]) -> tuple[str, Any]:
    if kind == CHOICES and isinstance(value.get("choices"), list):
        return kind, [_word(choice) for choice in value["choices"]]
    if kind == RATING and isinstance(value.get("rating"), int | float):
        return kind, value["rating"]
    if kind == NUMBER and isinstance(value.get("number"), int | float):
        return kind, value["number"]
    if kind == PAIRWISE and value.get("selected") is not None:
        return kind, [_word(value["selected"])]
    if kind == TEXTAREA and "text" in value:
        text = value["text"]
        return kind, [_word(part) for part in text] if isinstance(text, list) else [_word(text)]
    if kind == RANKER and isinstance(value.get("ranker"), list | dict):
        ranked = value["ranker"]
        ranked = next(iter(ranked.values()), []) if isinstance(ranked, dict) else ranked
        return kind, [_word(part) for part in ranked] if isinstance(ranked, list) else []
    return "region", None


def _describe(name: str, data: dict[str, Any], rows: _Rows, config: Config) -> None:
    """The task's text (what the config shows, else a field that is called so) and its other plain fields."""
    shown = [key for key in config.shown.values() if isinstance(data.get(key), str)]
    keys = shown or [key for key in TEXT_KEYS if key in data][:1] or [k for k, v in data.items() if isinstance(v, str)]
    parts = [_word(data[key]) for key in keys]
    rows.texts.setdefault(name, short(" / ".join(part for part in parts if part), 4_000))
    own = MARKS if "simulated" in data and "problem" in data else ()
    for key, value in data.items():
        if isinstance(value, list):
            rows.lists.setdefault(str(key), {})[name] = distinct_options([_listed(entry) for entry in value])
        elif key not in keys and key not in own and isinstance(value, str | int | float):
            rows.attributes.setdefault(str(key), {})[name] = short(_word(value), 1_000)


def _listed(entry: Any) -> str:
    """One of a task's own options: how an answer names it."""
    if isinstance(entry, dict):
        return next((_word(entry[key]) for key in ("alias", "id", "value", "title") if entry.get(key) is not None), "")
    return _word(entry)


def _worker(value: Any) -> str:
    """Who annotated: an id, or what an object says, e-mail first since it is the surest."""
    if isinstance(value, dict):
        return next((_word(value[key]) for key in ("id", "email", "username") if value.get(key) is not None), "")
    return _word(value)


def _word(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    if isinstance(value, int | float):
        return number_text(float(value)) if abs(value) < 1e300 else str(value)
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cells(texts: Sequence[str]) -> Any:
    out = np.empty(len(texts), dtype=object)
    out[:] = texts
    return out


# --- controls as items ------------------------------------------------------------------------------------


def _controls(
    rows: _Rows, config: Config, ledger: Ledger
) -> tuple[tuple[Item, ...], dict[str, dict[str, tuple[str, ...]]]]:
    items: list[Item] = []
    choices: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, answers in rows.answers.items():
        control = config.controls.get(name) or Control(name, rows.kinds[name])
        kind = control.kind
        listed = rows.lists.get(config.lists_of(control), {})
        if kind == RANKER or (kind == CHOICES and listed):
            found = _own_options(name, control, rows, answers, listed, ledger)
            if found is not None:
                items.append(found[0])
                choices |= {name: found[1]} if found[1] else {}
        elif kind == TEXTAREA:
            cells = _column(rows, answers, lambda v: " / ".join(v) if isinstance(v, list) else _word(v))
            items.append(Item(name, name, "text", (), cells))
        elif kind in (RATING, NUMBER):
            items.append(_numbers(name, kind, control, rows, answers))
        elif kind == PAIRWISE:
            cells = _column(rows, answers, lambda v: (v or [""])[0] if isinstance(v, list) else _word(v))
            items.append(Item(name, name, "single", ("left", "right"), cells, ordered=False, use="problem"))
        else:
            items.append(_choices(name, control, rows, answers))
    return tuple(items), choices


def _own_options(
    name: str, control: Control, rows: _Rows, answers: dict[int, Any], listed: Listed, ledger: Ledger
) -> tuple[Item, Listed] | None:
    """A ranking or choice among the options that each task lists; without a list, among those that all answers name."""
    answered = {rows.tasks[row] for row in answers}
    if not listed:
        named = {tuple(sorted({str(w) for w in v if w})) for v in answers.values()}
        if len(named) > 1:
            text = "rankings of each task's own items, which the config would name"
            ledger.note("not carried over", name, text, len(answers))
            return None
        listed = dict.fromkeys(answered, distinct_options(next(iter(named), ())))
    lost = 0
    cells = np.full(len(rows.workers), "", dtype=object)
    for row, value in answers.items():
        place = {word: m for m, word in enumerate(listed.get(rows.tasks[row], ()))}
        words = value if isinstance(value, list) else [value]
        picked = [place[word] for word in words if word in place]
        if len(picked) < len(words) or len(set(picked)) < len(picked) or not (picked or control.several):
            lost += 1
            continue
        ordered = picked if control.kind == RANKER else sorted(picked)
        cells[row] = "|".join(f"#{m + 1}" for m in ordered) or "|"
    if lost:
        ledger.note("answers left out", name, "options that the task does not list", lost)
    several = control.several or any("|" in cell for cell in cells.tolist())
    kind: Any = "ranking" if control.kind == RANKER else "multiple" if several else "single"
    every = {listed.get(task, ()) for task in rows.texts}
    shared = next(iter(every)) if len(every) == 1 else ()
    if shared and kind == "single":
        words = [shared[int(cell[1:]) - 1] if cell else "" for cell in cells.tolist()]
        return Item(name, name, kind, shared, _cells(words)), {}
    longest = max(listed.values(), key=len, default=())
    item = Item(name, name, kind, shared or longest, cells, ordered=False, use="problem")
    return item, ({} if shared else {task: listed.get(task, longest) for task in rows.texts})


def _column(rows: _Rows, answers: dict[int, Any], word: Any) -> Any:
    out = np.full(len(rows.workers), "", dtype=object)
    for row, value in answers.items():
        out[row] = word(value)
    return out


def _numbers(name: str, kind: str, control: Control, rows: _Rows, answers: dict[int, Any]) -> Item:
    cells = _column(rows, answers, lambda v: _word(v) if isinstance(v, int | float) else "")
    if kind == NUMBER:
        return Item(name, name, "number", (), cells, low=control.low, high=control.high, use="problem")
    seen = [int(v) for v in answers.values() if isinstance(v, int | float) and 0 <= v <= 100 and v == int(v)]
    most = int(control.high or max([*seen, 5]))
    levels = tuple(str(level) for level in range(1 if 0 not in seen else 0, min(most, 100) + 1))
    return Item(name, name, "scale", levels, cells, ordered=True, use="problem")


def _choices(name: str, control: Control, rows: _Rows, answers: dict[int, Any]) -> Item:
    """A choice, or a ballot where the config allows several or somebody chose several."""
    lists = {row: v if isinstance(v, list) else [_word(v)] for row, v in answers.items()}
    several = control.several or any(len(v) > 1 for v in lists.values())
    if not several and not control.options:
        return control_of(name, name, _column(rows, lists, lambda v: v[0] if v else ""))
    used = list(dict.fromkeys(choice for v in lists.values() for choice in v if choice))
    words = [*control.options, *sorted(set(used) - set(control.options))]
    options = distinct_options(words)
    place = {word: m for m, word in enumerate(words)}
    if several:
        cells = _column(rows, lists, lambda v: "|".join(f"#{m + 1}" for m in sorted({place[c] for c in v if c})) or "|")
        return Item(name, name, "multiple", options, cells, use="problem")
    cells = _column(rows, lists, lambda v: options[place[v[0]]] if v and v[0] else "")
    return Item(name, name, "single", options, cells)


READER = Reader("labelstudio", "Label Studio JSON, JSON-MIN or CSV", sniff, read)
