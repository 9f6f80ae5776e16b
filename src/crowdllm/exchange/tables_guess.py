"""Guess what the columns of a plain table mean: one row per answer (long) or one row per person (wide).

Long: columns named like person, problem and answer (worker, item, label; user, question, rating; ...). Wide: everything
else; a column is then a question, a profile column, a weight, an id, or text.

Shapes: N rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from crowdllm.data.tables import Cells, plain_number
from crowdllm.exchange.demographics import describes_people, is_tools_own, is_weight
from crowdllm.exchange.personal import personal_content, personal_name

PEOPLE = (
    "participant", "participant_id", "worker", "worker_id", "workerid", "user", "user_id", "userid", "respondent",
    "respondent_id", "respondentid", "rater", "rater_id", "annotator", "annotator_id", "annotatorid", "person",
    "person_id", "subject", "subject_id", "voter", "voter_id", "responseid", "response_id", "caseid", "case_id",
    "customer", "customer_id", "reviewer", "reviewer_id", "judge", "coder", "labeler", "uid", "pid", "id", "respid",
    "prolific_pid", "prolific_id", "prolificid", "participantid", "resp_id", "idno", "serial", "rowid", "rownames",
    "rowname", "row_names", "row", "index", "no", "nr", "unnamed_0", "column_1",
)  # fmt: skip
PROBLEMS = (
    "problem", "problem_id", "task", "task_id", "item", "item_id", "itemid", "question", "question_id", "questionid",
    "example", "example_id", "document", "doc_id", "document_id", "instance", "instance_id", "unit", "unit_id",
    "stimulus", "stimulus_id", "statement", "statement_id", "product", "product_id", "movie", "movie_id", "movieid",
    "image", "image_id", "comment_id", "post_id", "object", "asin", "variable",
)  # fmt: skip
ANSWERS = (
    "response", "answer", "label", "rating", "score", "value", "vote", "judgment", "judgement", "annotation", "choice",
    "stars", "overall", "offensiveness", "grade", "class", "selected",
)  # fmt: skip
TEXTS = (
    "text", "problem_text", "item_text", "question_text", "task_text", "statement_text", "title", "description",
    "comment", "sentence", "content", "prompt", "statement", "document_text", "question", "item_name", "name",
)  # fmt: skip
MOST_WORDS = 12
QUESTION_NAME = re.compile(
    r"(?:q|item|v|s|var|question|frage|f)[_ .-]?[0-9]{1,4}(?:[_. -]?[0-9a-z]{1,3})?", re.IGNORECASE
)


def guess_layout(columns: Mapping[str, Cells], given: Mapping[str, Any]) -> str:
    """`long` where a row is one answer, `wide` where it is one person."""
    if given.get("layout"):
        return str(given["layout"])
    if given.get("problem") or given.get("response"):
        return "long"
    roles = guess_long(columns, given)
    if not all(roles.get(role) for role in ("participant", "problem", "response")):
        return "wide"
    people, problems = columns[roles["participant"]], columns[roles["problem"]]
    repeated = len(set(people.tolist())) < len(people) and len(set(problems.tolist())) < len(problems)
    return "long" if repeated or len(columns) <= 4 else "wide"


def guess_long(columns: Mapping[str, Cells], given: Mapping[str, Any]) -> dict[str, str]:
    """The columns of a long table by role: participant, problem, response, text; "" for a role without one."""
    roles: dict[str, str] = {}
    for role, names in (("participant", PEOPLE), ("problem", PROBLEMS), ("response", ANSWERS), ("text", TEXTS)):
        taken = set(roles.values())
        roles[role] = str(given.get(role, "")) or _named([c for c in columns if c not in taken], names)
    return roles


def guess_person(columns: Mapping[str, Cells], given: Mapping[str, Any]) -> str:
    """The column of a wide table that names people: no two rows the same; "" where there is none."""
    if "participant" in given:
        return str(given["participant"])
    names = [name for name in columns if _folded(name) in PEOPLE or "participant" in _folded(name)]
    for name in sorted(names, key=lambda n: PEOPLE.index(_folded(n)) if _folded(n) in PEOPLE else len(PEOPLE)):
        filled = [cell for cell in columns[name].tolist() if cell.strip()]
        if filled and len(set(filled)) == len(filled) == len(columns[name]):
            return name
    return ""


def guess_wide(
    columns: Mapping[str, Cells], skip: Sequence[str], given: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """A table of the mapping for each column of a wide table that is not skipped."""
    words = {name: distinct_words(cells) for name, cells in columns.items() if name not in skip}
    numbers = {name: all(plain_number(w) is not None for w in found) for name, found in words.items()}
    weight = str(given.get("weight", ""))
    levels, batteries = _shared_levels(words, numbers), _shared_words(words, numbers)
    out: dict[str, dict[str, Any]] = {}
    for name, found in words.items():
        if name == weight:
            out[name] = {"use": "weight"}
        elif not found or (is_tools_own(name) and name not in levels):
            out[name] = {"use": "skip"}
        elif not weight and numbers[name] and is_weight(name):
            out[name], weight = {"use": "weight"}, name
        elif name in batteries:
            out[name] = {"use": "problem"}
        elif describes_people(name) or (not _is_question(name) and name not in levels and _few(found, columns[name])):
            out[name] = _profile(found, numbers[name])
        elif name in levels:
            out[name] = {"use": "problem", "type": "ordinal", "levels": levels[name]}
        elif numbers[name]:
            out[name] = {"use": "problem", "type": "continuous"}
        else:
            few = len(found) <= MOST_WORDS and _few(found, columns[name])
            out[name] = {"use": "problem"} if few else {"use": "text"}
    return out


def distinct_words(cells_N: Cells) -> list[str]:
    """The different cells of a column, in order of appearance, but for the empty ones."""
    return [str(cell) for cell in pd.unique(pd.Series(cells_N, dtype=object)) if str(cell).strip()]


def _profile(words: list[str], numbers: bool) -> dict[str, Any]:
    if numbers and len(words) > 2:
        return {"use": "profile", "kind": "numeric"}
    return {"use": "profile"}


def _few(words: list[str], cells_N: Cells) -> bool:
    """Whether a column repeats few words, as levels do."""
    filled = int((cells_N != "").sum())
    return len(words) <= 30 and (len(words) <= 2 or len(words) <= filled / 2)


def _is_question(name: str) -> bool:
    return name.rstrip().endswith("?") or len(name.split()) > 3 or QUESTION_NAME.fullmatch(name.strip()) is not None


def _shared_words(words: Mapping[str, list[str]], numbers: Mapping[str, bool]) -> set[str]:
    """Columns that are answered with exactly the few words of another one, and do not describe people by their name."""
    alike: dict[frozenset[str], list[str]] = {}
    for name, found in words.items():
        if not numbers[name] and 2 <= len(found) <= MOST_WORDS and not describes_people(name):
            alike.setdefault(frozenset(word.strip().casefold() for word in found), []).append(name)
    return {name for names in alike.values() if len(names) > 1 for name in names}


def _shared_levels(words: Mapping[str, list[str]], numbers: Mapping[str, bool]) -> dict[str, list[str]]:
    """Columns of whole numbers that lie on one short range, as a battery of items does: its levels for each.

    Neighbouring columns whose numbers fit one range of at most eleven share it, if their names are alike or their
    numbers end alike, and if there are two or more of them or the name is that of a question.
    """
    out: dict[str, list[str]] = {}
    run: list[str] = []

    def close() -> None:
        if run and (len(run) > 1 or _is_question(run[0])):
            values = [int(_number(w)) for name in run for w in words[name]]
            least, most = min(values), max(values)
            if 1 <= most - least <= 10 and len(set(values)) > 1:
                out.update({name: [str(v) for v in range(least, most + 1)] for name in run})
        run.clear()

    for name, found in words.items():
        whole = bool(found) and numbers[name] and all(_number(w).is_integer() and abs(_number(w)) < 1e6 for w in found)
        fits = whole and max(map(_number, found)) - min(map(_number, found)) <= 10 and not describes_people(name)
        if not fits:
            close()
            continue
        values = [_number(w) for n in [*run, name] for w in words[n]]
        alike = run and (_stem(run[-1]) == _stem(name) or _ends(words[run[-1]]) == _ends(found))
        if run and (max(values) - min(values) > 10 or not alike):
            close()
        run.append(name)
    close()
    return out


def _number(word: str) -> float:
    """The number in a cell that `plain_number` takes for one, also with blanks around it that `float` does not know."""
    return float(word.strip())


def _ends(words: list[str]) -> tuple[float, float]:
    numbers = [_number(word) for word in words]
    return min(numbers), max(numbers)


def _stem(name: str) -> str:
    """A column's name without the numbers at its end."""
    return re.sub(r"[0-9_.\- ]+$", "", name).casefold()


def personal_columns(columns: Mapping[str, Cells]) -> list[str]:
    """Columns that hold personal data, by name or content."""
    return [name for name, cells in columns.items() if personal_name(name) or personal_content(cells)]


def _named(columns: Sequence[str], names: Sequence[str]) -> str:
    """The column whose name comes first among these, "" for none."""
    folded = {_folded(column): column for column in reversed(columns)}
    return next((folded[name] for name in names if name in folded), "")


def _folded(name: str) -> str:
    return re.sub(r"[ .:-]+", "_", name.strip()).casefold()
