"""Answers of LLM panels made elsewhere, as reference sources of a study: EDSL, SynthPanel, QSTN, or a plain table.

    EDSL         results.to_csv(...): answer.Q, question_text.Q_question_text, scenario.FIELD, model.model; or the
                 results as JSON (data: [{answer: {...}, scenario: {...}, model: {...}}, ...])
    SynthPanel   JSON of a panel run: rounds or results, each panelist with responses [{question, response}, ...]
    QSTN         questionnaire_item_id, question, and parsed_response, answer or llm_response
    plain table  long (a problem column, an answer column, one row per answer), wide (a column per problem, one row per
                 panelist), or recorded references (problem, k1, k2, ..., p1, p2, ...); CSV, Parquet, JSON or JSON lines

Which column names the problem is found by trying: the one whose values are the study's problem ids or texts most often.
An answer is read by the study's scale as an LLM's own is; what is no legal response is counted and kept, never guessed
at. Several models become several sources.

Shapes: A answers, T problems, K draws, D response width.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crowdllm.data.problems import widest
from crowdllm.data.study import Study
from crowdllm.data.tables import Table, read_table
from crowdllm.elicitation.recorded import recorded_reference
from crowdllm.errors import CrowdLLMError, StudyError, UnknownNameError, UnparsableAnswerError
from crowdllm.exchange.limits import DamagedFileError, read_json, read_text, require_size, whole_json
from crowdllm.llm.recorded import RecordedBackend
from crowdllm.reference import Reference, Unread

PROBLEM_NAMES = (
    "problem",
    "question_id",
    "questionnaire_item_id",
    "item_id",
    "question",
    "item",
    "task",
    "prompt",
    "text",
)
ANSWER_NAMES = (
    "parsed_response", "answer", "response", "answer_text", "answer_option", "answer_code", "llm_response", "label",
    "decision", "value", "output", "completion",
)  # fmt: skip
MODEL_NAMES = ("model", "model_name", "llm", "model.model")
MOST_SOURCES = 12
Row = Mapping[str, str]


@dataclass(frozen=True)
class Given:
    """One answer before it is matched: what may name its problem by where that stood, the text, and whose it is."""

    names: Row
    answer: str
    model: str = ""


@dataclass(frozen=True)
class Panel:
    """What a file of answers gives for a study.

    sources: one reference per LLM. format: what the file was taken for. by: the column that names the problem.
    answers: how many answers there were; unmatched: how many of them are to problems that the study does not have;
    strangers: a few of what these call their problems. understood: all this in words.
    """

    sources: tuple[Reference, ...]
    format: str
    by: str
    answers: int
    unmatched: int = 0
    strangers: tuple[str, ...] = ()
    understood: tuple[str, ...] = field(default_factory=tuple)


@dataclass(frozen=True)
class Columns:
    """Columns that the user names, "" for those to be found."""

    problem: str = ""
    answer: str = ""
    model: str = ""


def read_panel(path: Path, study: Study, columns: Columns | None = None, max_megabytes: int = 256) -> Panel:
    """The answers in a file as reference sources for the study's problems.

    Raises CrowdLLMError for a file that is none of the above, answers that belong to no problem of the study, and a
    file no answer of which can be read on the study's scale.
    """
    columns = columns or Columns()
    require_size(path, max_megabytes)
    if path.suffix.lower() in (".json", ".jsonl", ".ndjson"):
        name, given = _from_json(path, columns, max_megabytes)
    else:
        table, findings = read_table(path)
        if table is None or any(f.severity == "error" for f in findings):
            raise StudyError(findings)
        if _is_recorded(table) and not (columns.problem or columns.answer):
            return _recorded(path, study)
        name, given = _from_table(table, study, columns)
    if not given:
        raise DamagedFileError(path, f"holds no answers (read as {name})")
    return _panel(name, given, study, path)


# --- what the file holds ----------------------------------------------------------------------------------


def _is_recorded(table: Table) -> bool:
    return "problem" in table.columns and bool({"k1", "p1"} & set(table.columns))


def _recorded(path: Path, study: Study) -> Panel:
    """A table of recorded references, by the code that reads those beside a study."""
    backend = RecordedBackend.read(path)
    known = {str(i) for i in study.problems.ids}
    strangers = [i for i in backend.texts if i not in known]
    count = sum(bool(t) for texts in backend.texts.values() for t in texts) + len(backend.shares)
    source = recorded_reference(backend, study.problems, study.response_type)
    lines = (f"recorded references: {count:,} answers or distributions", *_stranger_lines(len(strangers), strangers))
    return Panel((source,), "recorded references", "problem", count, len(strangers), tuple(strangers[:5]), lines)


def _from_table(table: Table, study: Study, columns: Columns) -> tuple[str, list[Given]]:
    names = list(table.columns)
    for column in (columns.problem, columns.answer, columns.model):
        if column and column not in names:
            raise UnknownNameError("column", column, names, table.name)
    rows = [dict(zip(names, cells, strict=True)) for cells in zip(*table.columns.values(), strict=True)]
    if any(n.startswith("answer.") for n in names) and not columns.answer:
        return "EDSL results", list(_edsl_rows(rows, columns))
    return _plain(rows, names, study, columns, table.name)


def _plain(
    rows: list[dict[str, str]], names: Sequence[str], study: Study, columns: Columns, place: str
) -> tuple[str, list[Given]]:
    """Long where there is an answer column, else wide: a column per problem."""
    lower = {n.strip().casefold(): n for n in reversed(names)}
    answer = columns.answer or next((lower[n] for n in ANSWER_NAMES if n in lower), "")
    model = columns.model or next((lower[n] for n in MODEL_NAMES if n in lower), "")
    wide = [n for n in names if _key(n) in _known_names(study) and n != answer]
    if answer and not wide:
        asked = [columns.problem] if columns.problem else [n for n in names if n not in (answer, model)]
        kind = "QSTN results" if "questionnaire_item_id" in lower else "a table with a row per answer"
        given = [Given({n: row[n] for n in asked}, row[answer], row.get(model, "")) for row in rows]
        return kind, [g for g in given if g.answer.strip()]
    if wide:
        given = [Given({"the column": n}, row[n], row.get(model, "")) for row in rows for n in wide]
        return "a table with a column per problem", [g for g in given if g.answer.strip()]
    raise CrowdLLMError(
        f"{place}: it has neither a column of answers ({', '.join(ANSWER_NAMES[:5])}, ...) nor columns called like the "
        f"study's problems; its columns are {', '.join(names[:20])}: name them with --problem and --answer"
    )


def _edsl_rows(rows: Iterable[Row], columns: Columns) -> Iterable[Given]:
    for row in rows:
        shared = {n: v for n, v in row.items() if n.startswith("scenario.") and v.strip()}
        for name, answer in row.items():
            if name.startswith("answer.") and answer.strip():
                question = name.removeprefix("answer.")
                own = {
                    "question_name": question,
                    "question_text": row.get(f"question_text.{question}_question_text", ""),
                }
                names = {columns.problem: row[columns.problem]} if columns.problem else own | shared
                yield Given(names, answer, row.get(columns.model or "model.model", ""))


def _from_json(path: Path, columns: Columns, max_megabytes: int) -> tuple[str, list[Given]]:
    if path.suffix.lower() == ".json":
        held = read_json(path, max_megabytes)
    else:
        held = _json_lines(path, max_megabytes)
    if isinstance(held, dict) and isinstance(held.get("data"), list):
        return "EDSL results", list(_edsl_json(_objects(held["data"])))
    if isinstance(held, dict) and (isinstance(held.get("rounds"), list) or isinstance(held.get("results"), list)):
        return "a SynthPanel run", list(_synthpanel(held))
    if isinstance(held, list):
        return "a list of answers", list(_records(_objects(held), columns, path))
    raise DamagedFileError(
        path,
        "is JSON of no kind that is known",
        "EDSL results, a SynthPanel run, or a list of objects with an answer each",
    )


def _json_lines(path: Path, max_megabytes: int) -> list[Any]:
    out = []
    for number, line in enumerate(read_text(path, max(max_megabytes // 4, 1)).splitlines(), start=1):
        if line.strip():
            try:
                out.append(whole_json(json.loads(line), line))
            except (ValueError, RecursionError) as error:
                raise DamagedFileError(path, f"line {number} is no valid JSON: {error}") from None
    return out


def _objects(entries: list[Any]) -> list[dict[str, Any]]:
    return [entry for entry in entries if isinstance(entry, dict)]


def _edsl_json(results: list[dict[str, Any]]) -> Iterable[Given]:
    for result in results:
        answers, scenario, model = (_table_of(result.get(key)) for key in ("answer", "scenario", "model"))
        about = _table_of(result.get("question_to_attributes"))
        shared = {f"scenario.{key}": _word(value) for key, value in scenario.items() if _word(value)}
        for question, answer in answers.items():
            text = _word(_table_of(about.get(question)).get("question_text"))
            if _word(answer).strip():
                yield Given(
                    {"question_name": question, "question_text": text} | shared,
                    _word(answer),
                    _word(model.get("model")),
                )


def _synthpanel(run: dict[str, Any]) -> Iterable[Given]:
    rounds = _objects(run["rounds"]) if isinstance(run.get("rounds"), list) else [run]
    for one in rounds:
        entries = one.get("results")
        for panelist in _objects(entries if isinstance(entries, list) else []):
            model = _word(panelist.get("model")) or _word(run.get("model"))
            responses = panelist.get("responses")
            for response in _objects(responses if isinstance(responses, list) else []):
                answer = _word(response.get("response"))
                if answer.strip() and not response.get("error"):
                    yield Given({"question": _word(response.get("question"))}, answer, model)


def _records(records: list[dict[str, Any]], columns: Columns, path: Path) -> Iterable[Given]:
    names = list(dict.fromkeys(str(key) for record in records for key in record))
    lower = {n.casefold(): n for n in reversed(names)}
    answer = columns.answer or next((lower[n] for n in ANSWER_NAMES if n in lower), "")
    model = columns.model or next((lower[n] for n in MODEL_NAMES if n in lower), "")
    if not answer or answer not in names:
        raise DamagedFileError(path, f"its objects have no key for the answer; they have {', '.join(names[:20])}")
    for record in records:
        asked = [columns.problem] if columns.problem else [n for n in names if n not in (answer, model)]
        text = _word(record.get(answer))
        if text.strip():
            yield Given({n: _word(record.get(n)) for n in asked}, text, _word(record.get(model)))


def _table_of(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str:
    """A JSON value as the text that an LLM would have given; "" for null."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# --- whose problem it is, and what it says ----------------------------------------------------------------


def _key(text: str) -> str:
    return " ".join(text.split()).casefold()


def _known_names(study: Study) -> dict[str, int]:
    """Where each problem stands, by id and by text; a text that two problems share names neither."""
    ids = {_key(str(i)): t for t, i in enumerate(study.problems.ids)}
    texts: dict[str, int] = {}
    for t, text in enumerate(study.problems.texts):
        key = _key(str(text))
        texts[key] = -1 if key in texts else t
    return {key: t for key, t in texts.items() if t >= 0 and key} | ids


def _panel(name: str, given: list[Given], study: Study, path: Path) -> Panel:
    known = _known_names(study)
    counts: dict[str, int] = {}
    for one in given:
        for column, value in one.names.items():
            counts[column] = counts.get(column, 0) + (_key(value) in known)
    by = max(counts, key=lambda c: counts[c], default="")
    if not counts.get(by):
        shown = ", ".join(repr(v[:40]) for v in given[0].names.values() if v)[:200]
        raise CrowdLLMError(
            f"{path.name}: read as {name}, but none of its {len(given):,} answers names a problem of the study by id "
            f"or text; the first says {shown or 'nothing'}, and the study's problems are "
            f"{', '.join(repr(str(i)) for i in study.problems.ids[:3])}, ..."
        )
    matched = [(known.get(_key(one.names.get(by, "")), -1), one) for one in given]
    strangers = [one.names.get(by, "") for t, one in matched if t < 0]
    sources = _sources([(t, one) for t, one in matched if t >= 0], study, path)
    lines = [f"read as {name}: {len(given):,} answers, their problem named by {by}"]
    lines += _stranger_lines(len(strangers), list(dict.fromkeys(strangers)))
    if not any(source.asked > source.unparsable for source in sources):
        first = sources[0].unread[0]
        raise CrowdLLMError(
            f"{path.name}: none of its answers is a legal response; the first is {first.text[:60]!r} to problem "
            f"{first.problem!r}, and allowed is {study.response_type.allowed(study.problems.options[0])[:200]}"
        )
    return Panel(sources, name, by, len(given), len(strangers), tuple(dict.fromkeys(strangers))[:5], tuple(lines))


def _stranger_lines(count: int, names: Sequence[str]) -> list[str]:
    if not count:
        return []
    return [f"left out: {count:,} answers to problems that the study does not have, such as {names[0][:60]!r}"]


def _sources(matched: list[tuple[int, Given]], study: Study, path: Path) -> tuple[Reference, ...]:
    models = list(dict.fromkeys(one.model for _, one in matched))
    if len(models) > MOST_SOURCES or len(models) == 1:
        return (_reference(path.stem, matched, study),)
    names: dict[str, str] = {}
    for model in models:  # a source's name stands in lists separated by commas
        plain = "".join(c if c.isprintable() and c != "," else " " for c in model)
        base = name = " ".join(plain.split()) or f"{path.stem} (no model named)"
        again = 1
        while name in names.values():
            again += 1
            name = f"{base} ({again})"
        names[model] = name
    return tuple(_reference(names[m], [(t, one) for t, one in matched if one.model == m], study) for m in models)


def _reference(name: str, matched: list[tuple[int, Given]], study: Study) -> Reference:
    kind, problems = study.response_type, study.problems
    draws = np.bincount([t for t, _ in matched], minlength=len(problems))
    width = kind.width(widest(problems, kind))
    values_TKD = np.full((len(problems), int(draws.max()), width), np.nan)
    next_T = np.zeros(len(problems), dtype=np.int64)
    unread = []
    for t, one in matched:
        k = int(next_T[t])
        next_T[t] += 1
        options = problems.options[t]
        try:
            value_D = _read(kind, one.answer, options)
        except UnparsableAnswerError:
            unread.append(Unread(str(problems.ids[t]), k, "unparsable", one.answer))
            continue
        values_TKD[t, k, : len(value_D)] = value_D
        values_TKD[t, k, len(value_D) :] = 0.0
    return Reference(
        name=name,
        mode="samples" if values_TKD.shape[1] > 1 else "decision",
        problem_ids=problems.ids,
        values_TKD=values_TKD,
        asked=len(matched),
        unparsable=len(unread),
        unread=tuple(unread),
        note="answers of an LLM panel made elsewhere",
    )


def _read(kind: Any, text: str, options: Sequence[str]) -> Any:
    """As a table's cell is read, else as an LLM's own words are."""
    try:
        return kind.read_cell(text.strip(), options)
    except UnparsableAnswerError:
        return kind.parse(text, options)
