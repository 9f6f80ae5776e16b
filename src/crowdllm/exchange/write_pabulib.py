"""Write Pabulib files (.pb) of ballots, rankings, points and single choices: participatory budgeting elections.

A file holds one problem: its options are the projects, its participants the voters. Several problems become several
files. Profiles and the marks are columns of every vote (Pabulib allows further ones), and the marks stand in META too.
What a study does not say, such as costs and the budget, is taken from the settings; without them costs are 0 and a note
says so. Votes are streamed: those of each problem wait in a file of their own until their number is known.

    ballot: approval    choice: choose-1    ranking: ordinal    points: cumulative
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from crowdllm.data.study import Study
from crowdllm.data.tables import number_text
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.export_protocol import RESPONSES, WriteOptions, Writer, Written
from crowdllm.exchange.export_source import Source
from crowdllm.exchange.response_rows import profile_name
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.points import Points
from crowdllm.responses.ranking import Ranking

MOST_PROBLEMS = 200
VOTE_TYPES = {"ballot": "approval", "choice": "choose-1", "ranking": "ordinal", "points": "cumulative"}
REQUIRED = {
    "description": "", "country": "", "unit": "", "instance": "", "budget": "0", "rule": "unknown", "date_begin": "",
    "date_end": "",
}  # fmt: skip
SETTINGS = (*REQUIRED, "subunit", "district", "language", "edition", "currency", "costs")
OWN = ("voter_id", "vote", "points", "weight", "simulated", "model", "seed")


def write(source: Source, folder: Path, name: str, options: WriteOptions) -> Written:
    study = source.study
    if study.response_type.kind not in VOTE_TYPES:
        raise CrowdLLMError(
            f"{source.place}: a .pb file holds {', '.join(VOTE_TYPES)} responses, and these are "
            f"{study.response_type.kind}: export to csv"
        )
    if len(study.problems) > MOST_PROBLEMS:
        raise CrowdLLMError(
            f"{source.place}: a .pb file holds one problem, and {len(study.problems):,} files are too many (at most "
            f"{MOST_PROBLEMS}): export to csv"
        )
    costs = _costs(options.settings.get("costs", ""), study)
    columns = _voter_columns(study)
    names = _names(name, study)
    votes, lines = [folder / f"{t}.votes" for t in range(len(names))], np.zeros(len(names), dtype=np.int64)
    with ExitStack() as open_files:
        writers = [_writer(open_files.enter_context(path.open("w", encoding="utf-8", newline=""))) for path in votes]
        done = 0
        for piece in source.pieces():
            for t, row in _votes(piece, source):
                writers[t].writerow(row)
                lines[t] += 1
            done += len(piece.responses)
            if options.progress:
                options.progress("exporting votes", done, source.responses)
    for t, path in enumerate(votes):
        with (folder / names[t]).open("w", encoding="utf-8", newline="") as file:
            _head(file, source, t, int(lines[t]), options.settings, costs, columns)
            with path.open(encoding="utf-8", newline="") as body:
                while block := body.read(1 << 20):
                    file.write(block)
        path.unlink()
    return Written(tuple(names), int(lines.sum()), _notes(source, options.settings, len(names)))


def _writer(file: TextIO) -> Any:
    return csv.writer(file, delimiter=";", lineterminator="\n")


def _names(name: str, study: Study) -> list[str]:
    """One file of this name, or one per problem with its id behind the name."""
    path = Path(name)
    if len(study.problems) == 1:
        return [name]
    out: list[str] = []
    for t, identity in enumerate(study.problems.ids.tolist()):
        safe = re.sub(r"[^A-Za-z0-9_-]+", "_", str(identity))[:60] or str(t + 1)
        wanted = f"{path.stem}-{safe}{path.suffix}"
        out.append(wanted if wanted not in out else f"{path.stem}-{safe}-{t + 1}{path.suffix}")
    return out


def _voter_columns(study: Study) -> list[str]:
    names = ["voter_id", "vote"]
    names += ["points"] if study.response_type.kind == "points" else []
    for column in study.profiles.columns:
        names.append(profile_name(column.name, {*OWN, *names}))
    names += ["weight"] if study.weights_N is not None else []
    return [*names, "simulated", "model", "seed"]


def _votes(piece: Study, source: Source) -> Iterator[tuple[int, list[str]]]:
    """The problem and the cells of every vote."""
    kind, answers = piece.response_type.kind, piece.responses
    people: dict[int, list[str]] = {}
    marks = ["1" if source.marks.simulated else "0", source.marks.model]
    marks.append("" if source.marks.seed is None else str(source.marks.seed))
    for i, t, value_D in zip(
        answers.participant_R.tolist(), answers.problem_R.tolist(), answers.values_RD, strict=True
    ):
        row = [_one_line(str(piece.profiles.ids[i])), *_vote(kind, value_D)]
        if i not in people:
            people[i] = _profile(piece, i)
        yield t, [*row, *people[i], *marks]


def _vote(kind: str, value_D: Any) -> list[str]:
    if kind == "choice":
        return [str(int(value_D[0]) + 1)]
    picked = np.flatnonzero(value_D)
    if kind == "ranking":
        picked = picked[np.argsort(value_D[picked])]
    elif kind == "points":
        picked = picked[np.argsort(-value_D[picked], kind="stable")]
    row = [",".join(str(m + 1) for m in picked.tolist())]
    return [*row, ",".join(number_text(float(p)) for p in value_D[picked])] if kind == "points" else row


def _profile(piece: Study, i: int) -> list[str]:
    cells = []
    for c, column in enumerate(piece.profiles.columns):
        value = float(piece.profiles.values_NC[i, c])
        missing_or_number = column.kind == "numeric" or value != value
        cells.append(number_text(value) if missing_or_number else _one_line(column.levels[int(value)]))
    return cells + ([number_text(float(piece.weights_N[i]))] if piece.weights_N is not None else [])


def _head(
    file: TextIO, source: Source, t: int, votes: int, settings: Mapping[str, str], costs: list[str], columns: list[str]
) -> None:
    study, out = source.study, _writer(file)
    options = study.problems.options[t]
    meta = REQUIRED | {
        "description": _one_line(study.title) or "exported by crowdllm",
        "instance": _one_line(str(study.problems.texts[t])) or str(study.problems.ids[t]),
    }
    meta |= {key: _one_line(value) for key, value in settings.items() if key != "costs"}
    meta |= {"num_projects": str(len(options)), "num_votes": str(votes)}
    meta |= {"vote_type": VOTE_TYPES[study.response_type.kind], **_rules(study, len(options))}
    meta |= {"comment": source.marks.words}
    meta |= {f"crowdllm_{key}": "" if value is None else str(value) for key, value in source.marks.values().items()}
    out.writerows([["META"], ["key", "value"], *([key, value] for key, value in meta.items())])
    out.writerows([["PROJECTS"], ["project_id", "cost", "name"]])
    out.writerows([str(m + 1), costs[m] if costs else "0", _one_line(option)] for m, option in enumerate(options))
    out.writerows([["VOTES"], columns])


def _rules(study: Study, options: int) -> dict[str, str]:
    """What the ballots must keep to."""
    kind = study.response_type
    if isinstance(kind, Ballot):
        return {"min_length": str(kind.min_picks), "max_length": str(min(kind.max_picks, options))}
    if isinstance(kind, Ranking):
        depth = min(kind.depth or options, options)
        return {"min_length": str(depth), "max_length": str(depth)}
    if isinstance(kind, Points):
        return {"max_sum_points": str(kind.budget), "min_points": str(kind.step), "max_points": str(kind.budget)}
    return {"min_length": "1", "max_length": "1"}


def _costs(text: str, study: Study) -> list[str]:
    """The costs in the order of the options; raises CrowdLLMError where they are not one per option."""
    if not text:
        return []
    costs = [cost.strip() for cost in text.split(",")]
    wanted = set(study.problems.option_counts.tolist())
    if wanted != {len(costs)} or not all(re.fullmatch(r"[0-9]+(\.[0-9]+)?", cost) for cost in costs):
        raise CrowdLLMError(
            f"costs={text!r}: write one number per option, separated by commas ({', '.join(map(str, wanted))})"
        )
    return costs


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _notes(source: Source, settings: Mapping[str, str], files: int) -> tuple[str, ...]:
    notes = ["the marks stand in META and in columns of the votes"]
    if "costs" not in settings:
        notes.append("costs are not known and written as 0 (--set costs=100,250,…)")
    if "budget" not in settings:
        notes.append("the budget is not known and written as 0 (--set budget=60000)")
    if files > 1:
        notes.append(f"a .pb file holds one problem: {files} files")
    if source.study.context or source.study.requirements:
        notes.append("context and requirements of the study have no place in it")
    return tuple(notes)


WRITER = Writer("pabulib", "Pabulib (.pb)", (".pb",), (RESPONSES,), write, settings=SETTINGS)
