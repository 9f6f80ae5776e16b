"""Write Label Studio tasks (JSON) with predictions, and beside them the labelling configuration they belong to.

    distributions   one prediction per problem: what the crowd decided, scored by the share of the crowd that gave it;
                    the whole distribution stands in the task's data
    responses       one prediction per simulated response; answers of people become annotations instead

    ordinal: Rating where the levels are 1, 2, 3, …, else Choices    choice: Choices    ballot: Choices (multiple)
    continuous: Number        ranking: Ranker        points: no tag of Label Studio holds them

The marks stand in every task's data and in every prediction's model_version.

Shapes: T problems.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.export_protocol import DISTRIBUTIONS, RESPONSES, Marks, WriteOptions, Writer, Written
from crowdllm.exchange.export_source import Source
from crowdllm.exchange.shares_of_rows import most_given, picked_options, share_words, table_rows
from crowdllm.responses.ordinal import Ordinal

ANSWER, TEXT = "answer", "text"
CELLS_PER_RESPONSE = 20
"""What a response with its result takes in memory, in table cells."""
Task = dict[str, Any]


def write(source: Source, folder: Path, name: str, options: WriteOptions) -> Written:
    study = source.study
    if study.response_type.kind == "points":
        raise CrowdLLMError(f"{source.place}: Label Studio has no tag for points spread over options: export to csv")
    make = _of_responses if options.table == RESPONSES else _of_distributions
    source.require_small(source.responses * CELLS_PER_RESPONSE if options.table == RESPONSES else 0, "the file")
    tasks = 0
    with (folder / name).open("w", encoding="utf-8") as file:
        file.write("[")
        for task in make(source, options):
            file.write(",\n" if tasks else "\n")
            file.write(json.dumps(task, ensure_ascii=False, allow_nan=False))
            tasks += 1
        file.write("\n]\n")
    config = f"{Path(name).stem}.config.xml"
    (folder / config).write_text(config_xml(study), encoding="utf-8")
    return Written((name, config), tasks, _notes(source, options))


def _notes(source: Source, options: WriteOptions) -> tuple[str, ...]:
    notes = ["import the .config.xml as the labelling configuration of the project"]
    if options.table == RESPONSES and not source.marks.simulated:
        notes.append("people's answers are annotations, by numbers: Label Studio knows annotators of its own only")
    if source.study.profiles.columns:
        notes.append("profiles are not in it")
    return tuple(notes)


# --- tasks ------------------------------------------------------------------------------------------------


def _of_distributions(source: Source, options: WriteOptions) -> Iterator[Task]:
    study = source.study
    frame = source.frames[DISTRIBUTIONS]()
    at = {str(identity): t for t, identity in enumerate(study.problems.ids)}
    for row in table_rows(frame):
        t = at[str(row["problem"])]
        task = _task(study, t, source.marks)
        shares = share_words(row, study, t)
        task["data"] |= {"responses": int(row["responses"]), "distribution": shares}
        result, score = _decided(row, study, t, shares)
        task["predictions"] = [] if result is None else [_prediction(result, source.marks, score)]
        yield task


def _decided(row: dict[str, Any], study: Study, t: int, shares: dict[str, float]) -> tuple[Task | None, float | None]:
    """The region that says what the crowd decided, and the share of the crowd that gave it, where that is known."""
    kind = study.response_type.kind
    if kind == "continuous":
        mean = float(row["mean"])
        return (_region(study, mean), None) if np.isfinite(mean) else (None, None)
    if not shares:
        return None, None
    if kind in ("ballot", "ranking"):
        return _region(study, picked_options(row, study, t, kind == "ranking")), None
    word = most_given(shares)
    return _region(study, word), shares[word]


def _of_responses(source: Source, options: WriteOptions) -> Iterator[Task]:
    study, marks = source.study, source.marks
    found: list[list[Task]] = [[] for _ in range(len(study.problems))]
    number: dict[str, int] = {}
    done = 0
    for piece in source.pieces():
        rows = zip(
            piece.responses.participant_R.tolist(),
            piece.responses.problem_R.tolist(),
            piece.responses.values_RD,
            strict=True,
        )
        for i, t, value_D in rows:
            person = str(piece.profiles.ids[i])
            region = _region(study, _value(study, t, value_D))
            region["meta"] = {"participant": person}
            if marks.simulated:
                found[t].append(_prediction(region, marks, None, person))
            else:
                found[t].append({"completed_by": number.setdefault(person, len(number) + 1), "result": [region]})
        done += len(piece.responses)
        if options.progress:
            options.progress("exporting responses", done, source.responses)
    for t, answers in enumerate(found):
        yield _task(study, t, marks) | {"predictions" if marks.simulated else "annotations": answers}


def _value(study: Study, t: int, value_D: Any) -> float | str | list[str]:
    kind, options = study.response_type, study.problems.options[t]
    if kind.kind == "continuous":
        return float(value_D[0])
    if kind.kind == "choice":
        return options[int(value_D[0])]
    if isinstance(kind, Ordinal):
        return kind.levels[int(value_D[0])]
    picked = np.flatnonzero(value_D)
    return [options[m] for m in picked[np.argsort(value_D[picked], kind="stable")].tolist()]


def _task(study: Study, t: int, marks: Marks) -> Task:
    data: Task = {
        TEXT: str(study.problems.texts[t]) or str(study.problems.ids[t]),
        "problem": str(study.problems.ids[t]),
        "context": study.context,
        "requirements": study.requirements,
        **marks.values(),
    }
    if study.response_type.has_options:
        data["options"] = [
            {"id": option, "title": option} if study.response_type.kind == "ranking" else {"value": option}
            for option in study.problems.options[t]
        ]
    return {"data": data}


def _prediction(region: Task, marks: Marks, score: float | None, person: str = "") -> Task:
    told = (
        f"crowdllm {marks.model or 'unknown model'} seed {marks.seed}" if marks.simulated else "people (not simulated)"
    )
    out: Task = {"model_version": f"{told} {person}".strip(), "result": [region]}
    return out if score is None else out | {"score": score}


def _region(study: Study, value: float | str | list[str]) -> Task:
    """One answer as Label Studio writes it."""
    tag = control_of(study)
    kind = {"Choices": "choices", "Rating": "rating", "Number": "number", "Ranker": "ranker"}[tag]
    held: Any = value
    if tag == "Choices":
        held = value if isinstance(value, list) else [value]
    elif tag == "Rating":
        held = int(str(value))
    elif tag == "Ranker":
        held = {ANSWER: value}
    return {"from_name": ANSWER, "to_name": TEXT if tag != "Ranker" else "items", "type": kind, "value": {kind: held}}


# --- configuration ----------------------------------------------------------------------------------------


def control_of(study: Study) -> str:
    """The tag that takes the answers."""
    kind = study.response_type
    if isinstance(kind, Ordinal):
        return "Rating" if kind.levels == tuple(str(m + 1) for m in range(len(kind.levels))) else "Choices"
    return {"continuous": "Number", "ranking": "Ranker"}.get(kind.kind, "Choices")


def config_xml(study: Study) -> str:
    """The labelling configuration."""
    header = study.requirements or "Answer"
    lines = ["<View>", f"  <Header value={_quoted(header)}/>", f'  <Text name="{TEXT}" value="${TEXT}"/>']
    return "\n".join([*lines, *(f"  {line}" for line in _control(study)), "</View>"]) + "\n"


def _control(study: Study) -> Iterator[str]:
    kind, tag = study.response_type, control_of(study)
    if tag == "Rating":
        yield f'<Rating name="{ANSWER}" toName="{TEXT}" maxRating="{len(kind.levels)}"/>'  # type: ignore[attr-defined]
    elif tag == "Number":
        ends = {"min": getattr(kind, "low", None), "max": getattr(kind, "high", None)}
        given = "".join(f' {name}="{end:g}"' for name, end in ends.items() if end is not None)
        yield f'<Number name="{ANSWER}" toName="{TEXT}"{given}/>'
    elif tag == "Ranker":
        yield '<List name="items" value="$options"/>'
        yield f'<Ranker name="{ANSWER}" toName="items"/>'
    else:
        several = "multiple" if kind.kind == "ballot" else "single"
        shared = kind.levels if isinstance(kind, Ordinal) else next(iter(set(study.problems.options)), ())
        same = isinstance(kind, Ordinal) or len(set(study.problems.options)) == 1
        if not same:
            yield f'<Choices name="{ANSWER}" toName="{TEXT}" choice="{several}" value="$options"/>'
            return
        yield f'<Choices name="{ANSWER}" toName="{TEXT}" choice="{several}">'
        for word in shared:
            yield f"  <Choice value={_quoted(word)}/>"
        yield "</Choices>"


def _quoted(text: str) -> str:
    """An attribute's value; what XML cannot hold is replaced."""
    return quoteattr("".join(c if c in "\t\n\r" or c >= " " else "\ufffd" for c in text))


WRITER = Writer("labelstudio", "Label Studio (JSON)", (".json",), (DISTRIBUTIONS, RESPONSES), write)
