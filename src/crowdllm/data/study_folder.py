"""A study as a folder on disk: load it, save it without loss, or make one from DataFrames.

A folder holds `study.toml` (see `study_toml`), `problems.csv` (problem, text, options, any further columns),
`participants.csv` (participant, profile columns) and `responses.csv` (participant, problem, response), or the
same tables as Parquet. A folder without `study.toml`, such as one of crowd-kit's `task, worker, label`, is
read with a guessed scale and a warning that says which. `study_check` reports on all that was found.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.cell_values import distinct, write_options
from crowdllm.data.study import Study
from crowdllm.data.study_assembly import Assembly, assemble
from crowdllm.data.study_columns import ALIASES, Tables
from crowdllm.data.study_toml import (
    FILES,
    ROLES,
    STUDY_FILE,
    StudySettings,
    read_study_toml,
    settings_from_dict,
    toml_key,
    toml_text,
)
from crowdllm.data.tables import (
    Cells,
    Table,
    as_cells,
    csv_bytes,
    number_text,
    plain_number,
    read_table,
    table_from_frame,
)
from crowdllm.errors import Finding, StudyError, nearest
from crowdllm.responses import ResponseType

MAX_GUESSED_OPTIONS = 50


def load_study(folder: str | Path) -> Study:
    """The study in a folder.

    Raises StudyError, which carries every finding, when any of them is an error.
    """
    return _usable(read_study(Path(folder)))


def study_from_frames(
    problems: pd.DataFrame,
    responses: pd.DataFrame,
    participants: pd.DataFrame | None,
    response: ResponseType | Mapping[str, Any],
    profile: Mapping[str, Mapping[str, Any]] | None = None,
    title: str = "",
    context: str = "",
    requirements: str = "",
    columns: Mapping[str, str | Sequence[str]] | None = None,
    source: Sequence[str] = (),
    simulated: bool = False,
    weight: str = "",
) -> Study:
    """A study from DataFrames, read by the same code as a folder; cells may be texts, numbers or missing.

    response: a response type, or its settings as under `[response]` in study.toml (with `options` where all
        problems have the same). profile: per profile column its settings as under `[profile.<name>]`.
    columns: other column names, as under `[columns]`. participants may be None when no profile is declared.
    weight: the column of `participants` that holds survey weights, "" for none.

    Raises StudyError with every finding; rows are counted as if the frame were saved as CSV (the first is 2).
    """
    raw: dict[str, Any] = {
        "title": title,
        "context": context,
        "requirements": requirements,
        "source": list(source),
        "simulated": simulated,
        "response": response if isinstance(response, Mapping) else response.to_dict(),
        "columns": columns or {},
        "profile": profile or {},
        "weight": weight,
    }
    settings, findings = settings_from_dict(raw, "arguments")
    tables: dict[str, Table | None] = {"participants": None}
    for name, frame in (("problems", problems), ("participants", participants), ("responses", responses)):
        if frame is not None:
            tables[name], found = table_from_frame(frame, name)
            findings += found
    if participants is None and profile:
        findings.append(Finding("error", "profile columns are declared, but there is no frame", file="participants"))
    assembly = assemble(settings, Tables(**tables))
    findings += [replace(f, file="arguments") if f.file == STUDY_FILE else f for f in assembly.findings]
    return _usable(replace(assembly, findings=findings))


def _usable(assembly: Assembly) -> Study:
    if assembly.study is None or any(f.severity == "error" for f in assembly.findings):
        raise StudyError(assembly.findings)
    return assembly.study


# --- reading ----------------------------------------------------------------------------------------------


def read_study(folder: Path) -> Assembly:
    """Everything that can be understood of a folder, and every finding; raises nothing for a faulty study."""
    try:
        return _read_folder(folder)
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        return Assembly(None, [Finding("error", message, str(folder))], {})


def _read_folder(folder: Path) -> Assembly:
    if not folder.is_dir():
        siblings = [p.name for p in folder.absolute().parent.glob("*/")] if folder.absolute().parent.is_dir() else []
        message = "is no folder" if folder.exists() else "there is no such folder"
        hint = "a folder with study.toml and its tables; `crowdllm new` makes one"
        near = nearest(folder.name, siblings)
        return Assembly(None, [Finding("error", message, str(folder), allowed=hint, nearest=near)], {})
    names = sorted(p.name for p in folder.iterdir())
    if STUDY_FILE not in names:
        return _without_settings(folder, names)
    settings, findings = read_study_toml(folder / STUDY_FILE)
    if settings is None:  # neither the files' names nor the columns' meaning is known: only what is read can be wrong
        _, found = _read_tables(folder, names, StudySettings(), FILES)
        return Assembly(None, findings + [f for f in found if f.severity == "error"], {})
    needed = settings.profile or settings.weight
    tables, found = _read_tables(folder, names, settings, () if needed else ("participants",))
    findings += found
    assembly = assemble(settings, tables)
    return replace(assembly, findings=findings + assembly.findings)


def _without_settings(folder: Path, names: list[str]) -> Assembly:
    """A folder with no study.toml: the scale is guessed, and said to be."""
    near = nearest(STUDY_FILE, names)
    hint = 'a line [response], below it such as type = "ordinal"; `crowdllm new` writes one to edit'
    missing = Finding("error", "is missing", file=STUDY_FILE, allowed=hint, nearest=near)
    tables, findings = _read_tables(folder, names, StudySettings(), ("problems", "participants"))
    if near or tables.responses is None:
        return Assembly(None, [missing, *findings], {})
    column = next((name for name in ALIASES["response"] if name in tables.responses.columns), None)
    guess = guess_response(tables.responses.columns[column]) if column else None
    if guess is None:
        return Assembly(None, [missing, *findings], {})
    settings, found = settings_from_dict({"title": folder.absolute().name, "response": guess}, STUDY_FILE)
    words = toml_text({"": guess}).strip().replace("\n", "; ")
    message = "is missing: the scale is guessed from the responses; write the file to say what it is"
    findings.append(Finding("warning", message, file=STUDY_FILE, value=words, allowed=hint))
    if tables.problems is None:
        message = "is missing: the problems are read off the responses and have no text"
        findings.append(Finding("warning", message, file="problems.csv"))
    assembly = assemble(settings, tables)
    return replace(assembly, findings=findings + found + assembly.findings)


def guess_response(cells: Cells) -> dict[str, Any] | None:
    """The settings of a scale on which all these responses lie; None where there is no telling.

    Neighbouring whole numbers are ordinal levels, other numbers continuous, up to 50 words options to choose.
    """
    words = sorted({cell.strip() for cell in distinct(cells)[1] if cell.strip()})
    numbers = [plain_number(word) for word in words]
    if not words:
        return None
    if all(n is not None for n in numbers):
        values = [float(n) for n in numbers if n is not None]
        low, high = min(values), max(values)
        if all(v.is_integer() for v in values) and 0 < high - low <= 10:
            return {"type": "ordinal", "levels": [str(v) for v in range(int(low), int(high) + 1)]}
        return {"type": "continuous"}
    return {"type": "choice", "options": words} if len(words) <= MAX_GUESSED_OPTIONS else None


def _read_tables(
    folder: Path, names: list[str], settings: StudySettings, may_be_absent: Sequence[str]
) -> tuple[Tables, list[Finding]]:
    mapped = [name for names_ in (settings.columns or {}).values() for name in names_]
    known = {
        *mapped,
        *(n for aliases in ALIASES.values() for n in aliases),
        "id",
        *(s.source for s in settings.profile),
        *((settings.weight,) if settings.weight else ()),
    }
    tables: dict[str, Table | None] = {}
    findings: list[Finding] = []
    read: dict[str, str] = {}
    for kind in FILES:
        tables[kind] = None
        given = (settings.files or {}).get(kind)
        name, found = (given, []) if given else _default_file(kind, names)
        findings += found
        if name in read:
            hint = "one file for each table; a column that two of them need stands in both"
            findings.append(
                Finding("error", f"is named as the table of {read[name]} and of {kind}", name, allowed=hint)
            )
            continue
        read[name] = kind
        if (folder / name).exists():
            tables[kind], found = read_table(folder / name, known, name)
            findings += found
            continue
        near = nearest(name, [n for n in names if n != STUDY_FILE])
        if given or kind not in may_be_absent:
            hint = f"CSV or Parquet; {STUDY_FILE} may name another file under [files]"
            findings.append(Finding("error", "is missing", file=name, allowed=hint, nearest=near))
        elif near:
            findings.append(Finding("warning", "is missing, which is allowed here", file=name, nearest=near))
    return Tables(**tables), findings


def _default_file(kind: str, names: list[str]) -> tuple[str, list[Finding]]:
    csv, parquet = f"{kind}.csv", f"{kind}.parquet"
    if csv in names and parquet in names:
        message = f"is read, and {parquet} beside it is not; name the one you mean under [files] in {STUDY_FILE}"
        return csv, [Finding("warning", message, file=csv)]
    return (parquet if parquet in names else csv), []


# --- writing ----------------------------------------------------------------------------------------------


def save_study(study: Study, folder: str | Path) -> None:
    """Write a study as a folder that `load_study` reads back the same; files of these names are replaced.

    Each file is written in full beside its place and then renamed, study.toml last. Attributes of problems
    are written as text, and come back as text.

    Raises StudyError when the folder cannot be written.
    """
    folder = Path(folder)
    temporary: dict[Path, Path] = {}
    try:
        contents = study_files(study)
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in contents.items():
            part = folder / f".{name}.{os.getpid()}.part"
            temporary[part] = folder / name
            part.write_bytes(data)
        for part, place in temporary.items():
            part.replace(place)
    except OSError as error:
        raise StudyError([Finding("error", f"cannot be written: {error.strerror or error}", str(folder))]) from None
    except UnicodeEncodeError as error:
        message = "holds half a character (a lone surrogate), which no file can"
        value = error.object[max(error.start - 10, 0) : error.end].encode("ascii", "backslashreplace").decode()
        raise StudyError([Finding("error", message, "study", value=value)]) from None
    finally:
        for part in temporary:
            part.unlink(missing_ok=True)


def study_files(study: Study, places: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """The files of a study's folder by name, study.toml last.

    places: other names for study.toml to give to the tables, such as folders of Parquet parts.
    """
    attributes = [str(name) for name in study.problems.attributes.columns]
    taken = {*attributes, *(column.name for column in study.profiles.columns)}
    names = {role: _free(role, taken) for role in ROLES}
    all_options = set(study.problems.options)
    shared: tuple[str, ...] = ()
    if study.response_type.has_options and len(all_options) == 1 and "options" not in attributes:
        shared = next(iter(all_options))
    problems: dict[str, Any] = {names["problem"]: study.problems.ids, names["text"]: study.problems.texts}
    if study.response_type.has_options and not shared:
        problems[names["options"]] = [write_options(options) for options in study.problems.options]
    for i, name in enumerate(attributes):
        problems[name] = as_cells(study.problems.attributes.iloc[:, i])
    participants: dict[str, Any] = {names["participant"]: study.profiles.ids}
    for c, column in enumerate(study.profiles.columns):
        values = study.profiles.values_NC[:, c].tolist()
        words = [number_text(v) if column.kind == "numeric" or v != v else column.levels[int(v)] for v in values]
        participants[column.name] = words
    weight = _free("weight", {names["participant"], *taken}) if study.weights_N is not None else ""
    if study.weights_N is not None:
        participants[weight] = [number_text(w) for w in study.weights_N.tolist()]
    responses: dict[str, Any] = {
        names["participant"]: study.profiles.ids[study.responses.participant_R],
        names["problem"]: study.problems.ids[study.responses.problem_R],
        names["response"]: response_cells(study),
    }
    if study.simulated:  # so that no row can be taken for a person's answer once it has left its folder
        responses["simulated"] = np.full(len(study.responses), "True", dtype=object)
    return {
        "problems.csv": csv_bytes(problems),
        "participants.csv": csv_bytes(participants),
        "responses.csv": csv_bytes(responses),
        STUDY_FILE: _settings_text(study, shared, names, places or {}, weight).encode("utf-8"),
    }


def _free(role: str, taken: set[str]) -> str:
    """A column name for a role that no attribute and no profile column has."""
    while role in taken:
        role += "_"
    return role


def _settings_text(
    study: Study, shared: tuple[str, ...], names: Mapping[str, str], places: Mapping[str, str], weight: str = ""
) -> str:
    response = study.response_type.to_dict()
    if response.get("max_options") == int(study.problems.option_counts.max(initial=0)):
        del response["max_options"]  # read off the problems again
    if shared:
        response["options"] = list(shared)
    renamed = {role: name for role, name in names.items() if name != role}
    top: dict[str, Any] = {"title": study.title, "context": study.context, "requirements": study.requirements}
    top |= {"source": list(study.source)} if study.source else {}
    top |= {"simulated": True} if study.simulated else {}
    top |= {"weight": weight} if weight else {}
    tables: dict[str, Mapping[str, Any]] = {"": top, "response": response}
    tables["files"] = {kind: places.get(kind, f"{kind}.csv") for kind in FILES}
    if renamed:
        used = renamed if study.response_type.has_options else {r: n for r, n in renamed.items() if r != "options"}
        tables["columns"] = used
    for column in study.profiles.columns:
        tables[f"profile.{toml_key(column.name)}"] = column.to_dict()
    return toml_text(tables)


def response_cells(study: Study) -> Cells:
    """(R,) each response as the table cell that reads back the same, each distinct one written once."""
    responses, kind = study.responses, study.response_type
    set_R = np.zeros(len(responses), dtype=np.int64)
    if kind.has_options:
        position: dict[tuple[str, ...], int] = {}
        set_T = np.array([position.setdefault(o, len(position)) for o in study.problems.options], dtype=np.int64)
        set_R = set_T[responses.problem_R]
    code_R, first_U = _distinct_rows(responses.values_RD, set_R)
    cells_U = np.empty(len(first_U), dtype=object)
    for u, row in enumerate(first_U.tolist()):
        options = study.problems.options[responses.problem_R[row]]
        cells_U[u] = kind.write_cell(responses.values_RD[row], options) or "|"  # a ballot without picks
    return cells_U[code_R]


def _distinct_rows(
    values_RD: NDArray[np.float64], set_R: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(R,) codes of bitwise equal rows, and the first row of each."""
    code_R = pd.factorize(set_R)[0].astype(np.int64)
    for d in range(values_RD.shape[1]):
        bits_R, bits_U = pd.factorize(np.ascontiguousarray(values_RD[:, d], dtype=np.float64).view(np.int64))
        code_R = pd.factorize(code_R * max(len(bits_U), 1) + bits_R)[0].astype(np.int64)
    return code_R, np.unique(code_R, return_index=True)[1]
