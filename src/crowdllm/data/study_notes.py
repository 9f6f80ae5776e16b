"""What is no error in a study but worth knowing: few responses, silent people, idle profile columns."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from crowdllm.data.cell_values import MISSING_WORDS
from crowdllm.data.profiles import Profiles
from crowdllm.data.study import Study
from crowdllm.data.study_columns import Tables, looks_personal
from crowdllm.data.study_toml import STUDY_FILE, StudySettings
from crowdllm.errors import Finding

FEW_RESPONSES = 100


def worth_knowing(study: Study, settings: StudySettings, tables: Tables) -> list[Finding]:
    name = tables.responses.name if tables.responses is not None else "responses"
    findings = []
    count = len(study.responses)
    if count < FEW_RESPONSES:
        amount = "no responses" if not count else f"very few responses: {count}"
        message = f"{amount}; nothing can be learned from none, and little from fewer than {FEW_RESPONSES}"
        findings.append(Finding("warning", message, file=name))
    silent = np.flatnonzero(np.bincount(study.responses.participant_R, minlength=len(study.profiles)) == 0)
    if len(silent):
        people = tables.participants.name if tables.participants is not None else name
        message = f"{len(silent):,} participant(s) without responses: {listing(study.profiles.ids[silent])}"
        findings.append(Finding("note", message, file=people))
    open_ = np.flatnonzero(np.bincount(study.responses.problem_R, minlength=len(study.problems)) == 0)
    if len(open_) and count:
        file = tables.problems.name if tables.problems is not None else name
        names = listing(study.problems.ids[open_])
        message = f"{len(open_):,} problem(s) without responses: {names}; these are the ones to predict"
        findings.append(Finding("note", message, file=file))
    if not settings.requirements.strip():
        message = "says no requirements: an LLM is then not told what is asked about each problem"
        findings.append(Finding("note", message, file=STUDY_FILE, column="requirements"))
    return findings + _profile_columns(study.profiles, settings, tables)


def _profile_columns(profiles: Profiles, settings: StudySettings, tables: Tables) -> list[Finding]:
    """Columns that tell people apart too little, too much, or by a slip of spelling; and what is missing."""
    name = tables.participants.name if tables.participants is not None else "participants"
    sources = {spec.column.name: spec.source for spec in settings.profile}
    declared = {spec.column.name for spec in settings.profile if spec.column.levels}
    findings = []
    for c, column in enumerate(profiles.columns):
        seen = profiles.values_NC[:, c]
        missing = int(np.isnan(seen).sum())
        kinds = len(np.unique(seen[~np.isnan(seen)]))
        messages = []
        if missing == len(profiles):
            messages.append(("warning", "has no value for anybody"))
        elif kinds == 1 and len(profiles) > 1:
            messages.append(("warning", "is constant: it tells no two people apart"))
        elif column.kind == "categorical" and kinds > 20 and kinds > 0.8 * (len(profiles) - missing):
            messages.append(("warning", f"has {kinds:,} levels for {len(profiles):,} people: is it an identifier?"))
        if looks_personal(column.name) or looks_personal(sources[column.name]):
            messages.append(("warning", "looks like personal data, and is loaded since [profile] declares it"))
        if 0 < missing < len(profiles):
            messages.append(("note", f"is missing for {missing:,} of {len(profiles):,} people, and stays missing"))
        words = [level for level in column.levels if level.strip().casefold() in MISSING_WORDS]
        if words and column.name not in declared:
            messages.append(("warning", f"has the level {words[0]!r}: for a missing value leave the cell empty"))
        twins = _look_alike(column.levels)
        if twins:
            messages.append(("warning", f"has levels that differ only in blanks or case: {listing(twins)}"))
        findings += [Finding(s, message, file=name, column=sources[column.name]) for s, message in messages]
    return findings


def _look_alike(levels: Iterable[str]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for level in levels:
        groups.setdefault(level.strip().casefold(), []).append(level)
    return [level for group in groups.values() if len(group) > 1 for level in group]


def listing(names: Iterable[str], most: int = 5) -> str:
    """The first few names, quoted, and a sign when there are more."""
    names = list(names)
    return ", ".join(repr(str(name)) for name in names[:most]) + (", …" if len(names) > most else "")
