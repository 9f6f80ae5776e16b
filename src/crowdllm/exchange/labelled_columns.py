"""A study as labelled variables, one row per person: the form of SPSS and Stata files.

    participant      the id                             simulated, model, seed    the marks, on every row
    profile columns  codes 1, 2, … with value labels, or the number                weight    the survey weight
    problems         one variable each, or one per option:
        ordinal      the level's points where these are whole numbers, else 1, 2, …; labels: the levels
        choice       1, 2, …; labels: the options          continuous   the number
        ballot       per option 0 or 1                     points       per option the points
        ranking      per option its rank, missing where it was not ranked

No answer is missing (system missing). A variable's label is the problem's text (and the option), cut to what the format
holds.

Shapes: N people, T problems.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.study import Study
from crowdllm.data.tables import plain_number
from crowdllm.exchange.export_protocol import Marks
from crowdllm.exchange.export_source import Source
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import Array, ResponseType

ValueLabels = dict[int | float, str]


@dataclass
class Variables:
    """Columns in order, with their labels and value labels; measure: nominal, ordinal or scale."""

    columns: dict[str, NDArray[np.object_] | Array] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    value_labels: dict[str, ValueLabels] = field(default_factory=dict)
    measure: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)

    def add(
        self, wanted: str, values: NDArray[np.object_] | Array, label: str, measure: str, values_of: ValueLabels | None
    ) -> None:
        """Add a variable under a legal name of its own; `renamed` says what became of the wanted one."""
        name = legal_name(wanted, {n.casefold() for n in self.columns})
        if name != wanted:
            self.renamed[wanted] = name
        self.columns[name] = values
        self.labels[name] = label
        self.measure[name] = measure
        if values_of:
            self.value_labels[name] = values_of


_RESERVED = {"all", "and", "by", "eq", "ge", "gt", "le", "lt", "ne", "not", "or", "to", "with", "if", "in", "using"}
MOST_LETTERS = 32  # what Stata allows; SPSS allows 64


def legal_name(wanted: str, taken: set[str]) -> str:
    """A name that SPSS and Stata allow: letters, digits and _, at most 32, beginning with a letter, none twice."""
    bare = re.sub(r"[^A-Za-z0-9_]+", "_", wanted).strip("_") or "v"
    if not bare[0].isalpha() or bare.casefold() in _RESERVED:
        bare = f"v_{bare}"
    name, number = bare[:MOST_LETTERS].rstrip("_"), 1
    while name.casefold() in taken:
        number += 1
        name = f"{bare[: MOST_LETTERS - len(str(number)) - 1]}_{number}"
    return name


def count_variables(study: Study) -> int:
    """How many variables a study takes."""
    per_option = study.response_type.kind in ("ballot", "points", "ranking")
    asked = int(study.problems.option_counts.sum()) if per_option else len(study.problems)
    return asked + len(study.profiles.columns) + 5


def labelled(source: Source) -> Variables:
    """All people of a source, who must be few enough for memory (`Source.require_small`)."""
    study = source.study
    source.require_small(source.people * count_variables(study), "the table of all people")
    pieces = list(_whole_people(source))
    ids = np.concatenate([p.profiles.ids for p in pieces]) if pieces else study.profiles.ids
    out = Variables()
    out.add("participant", ids.astype(object), "participant", "nominal", None)
    values_NC = np.concatenate([p.profiles.values_NC for p in pieces]) if pieces else study.profiles.values_NC
    for c, column in enumerate(study.profiles.columns):
        label = column.label or column.name
        if column.kind == "numeric":
            out.add(column.name, values_NC[:, c], label, "scale", None)
        else:
            measure = "nominal" if column.kind == "categorical" else "ordinal"
            labels: ValueLabels = {i + 1: level for i, level in enumerate(column.levels)}
            out.add(column.name, values_NC[:, c] + 1, label, measure, labels)
    if study.weights_N is not None:
        out.add("weight", study.weights_N, "survey weight", "scale", None)
    _problems(out, study, pieces, len(ids))
    _marks(out, source.marks, len(ids))
    return out


def _whole_people(source: Source) -> list[Study]:
    """The pieces joined so that each has all responses of its people."""
    study = source.study
    if len(study.responses):
        return [study]
    out: dict[str, list[Study]] = {}
    for piece in source.pieces():
        out.setdefault(str(piece.profiles.ids[0]) if len(piece.profiles) else "", []).append(piece)
    return [_joined(parts) for parts in out.values()]


def _joined(parts: list[Study]) -> Study:
    from dataclasses import replace

    from crowdllm.data.responses import Responses

    answers = [part.responses for part in parts]
    whole = Responses(
        np.concatenate([a.participant_R for a in answers]),
        np.concatenate([a.problem_R for a in answers]),
        np.concatenate([a.values_RD for a in answers]),
    )
    return replace(parts[0], responses=whole)


def _problems(out: Variables, study: Study, pieces: list[Study], people: int) -> None:
    kind, problems = study.response_type, study.problems
    per_option = kind.kind in ("ballot", "points", "ranking")
    width = max([p.responses.values_RD.shape[1] for p in pieces], default=1)
    table_NTD = np.full((people, len(problems), width), np.nan)
    start = 0
    for piece in pieces:
        table_NTD[start + piece.responses.participant_R, piece.responses.problem_R] = piece.responses.values_RD
        start += len(piece.profiles)
    codes, labels = scale_codes(kind)
    for t, (name, text) in enumerate(zip(problems.ids.tolist(), problems.texts.tolist(), strict=True)):
        value_ND = table_NTD[:, t]
        if per_option:
            for m, option in enumerate(problems.options[t]):
                value_N = value_ND[:, m]
                if kind.kind == "ranking":
                    value_N = np.where(value_N > 0, value_N, np.nan)
                of: ValueLabels | None = {0: "not picked", 1: "picked"} if kind.kind == "ballot" else None
                out.add(f"{name}_{m + 1}", value_N, f"{text}: {option}", "nominal" if of else "scale", of)
        elif kind.kind == "choice":
            options: ValueLabels = {m + 1: option for m, option in enumerate(problems.options[t])}
            out.add(str(name), value_ND[:, 0] + 1, str(text), "nominal", options)
        elif isinstance(kind, Continuous):
            out.add(str(name), value_ND[:, 0], str(text), "scale", None)
        else:
            code_N = np.append(codes, np.nan)[np.where(np.isnan(value_ND[:, 0]), -1, value_ND[:, 0]).astype(np.int64)]
            out.add(str(name), code_N, str(text), "ordinal", labels)


def scale_codes(kind: ResponseType) -> tuple[Array, ValueLabels]:
    """The code of each level of an ordinal scale, and the levels by their codes."""
    if not isinstance(kind, Ordinal):
        return np.zeros(0), {}
    numbers = [plain_number(level) for level in kind.levels]
    told = [n for n in numbers if n is not None and n.is_integer()]
    codes = told if len(told) == len(numbers) else [float(p) for p in kind.points]
    if len(set(codes)) < len(codes) or not all(c.is_integer() and abs(c) < 2**31 for c in codes):
        codes = [float(m + 1) for m in range(len(kind.levels))]
    return np.array(codes), {int(code): level for code, level in zip(codes, kind.levels, strict=True)}


def _marks(out: Variables, marks: Marks, count: int) -> None:
    flag = np.full(count, float(marks.simulated))
    out.add("simulated", flag, "whether the answers are simulated", "nominal", {0: "no", 1: "yes"})
    out.add("model", np.full(count, marks.model, dtype=object), "hash of the model", "nominal", None)
    seed = "" if marks.seed is None else str(marks.seed)
    out.add("seed", np.full(count, seed, dtype=object), "seed of the simulation", "nominal", None)


def renamed_note(renamed: Mapping[str, str]) -> tuple[str, ...]:
    """What to say of names that the format does not allow."""
    if not renamed:
        return ()
    shown = ", ".join(f"{old[:40]!r} is {new}" for old, new in list(renamed.items())[:3])
    more = ", …" if len(renamed) > 3 else ""
    return (
        f"{len(renamed):,} name(s) are no variable names, and changed (the texts are in the labels): {shown}{more}",
    )
