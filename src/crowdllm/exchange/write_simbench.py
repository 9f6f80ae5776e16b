"""Write distributions as JSON lines in the manner of SimBench (Hu et al. 2025, arXiv 2510.17516): a line per problem.

    dataset_name             the study's title
    group_prompt_template, group_prompt_variable_map      who is asked: everybody, or a group (table `subgroups`)
    input_template           the question with its options, lettered
    human_answer             the share of each letter; `simulated_answer` where the crowd is simulated
    group_size               how many answered
    auxiliary                the problem's id, response type and what the letters mean
    simulated, model, seed   the marks

A simulated distribution never stands under `human_answer`. Numbers have no options, and no place here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.export_protocol import DISTRIBUTIONS, SUBGROUPS, WriteOptions, Writer, Written
from crowdllm.exchange.export_source import Source
from crowdllm.exchange.shares_of_rows import share_words, table_rows

OF_OPTIONS = {"ballot": "of all picks", "points": "of all points", "ranking": "of all Borda points"}


def write(source: Source, folder: Path, name: str, options: WriteOptions) -> Written:
    if source.study.response_type.kind == "continuous":
        raise CrowdLLMError(
            f"{source.place}: SimBench knows options only, and these responses are numbers: export to csv"
        )
    count = left = 0
    with (folder / name).open("w", encoding="utf-8", newline="\n") as file:
        for line in _lines(source, options):
            if line is None:
                left += 1
                continue
            file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
            count += 1
    notes = [f"{left:,} problem(s) that nobody answered are left out"] if left else []
    if source.study.response_type.kind in OF_OPTIONS:
        notes.append(f"shares are {OF_OPTIONS[source.study.response_type.kind]}: SimBench knows one answer per person")
    if source.marks.simulated:
        notes.append("simulated shares stand under simulated_answer, not human_answer")
    return Written((name,), count, tuple(notes))


def _lines(source: Source, options: WriteOptions) -> Iterator[dict[str, Any] | None]:
    study = source.study
    at = {str(identity): t for t, identity in enumerate(study.problems.ids)}
    labels = {column.name: column.label or column.name for column in study.profiles.columns}
    for row in table_rows(source.frames[options.table]()):
        t = at[str(row["problem"])]
        shares = share_words(row, study, t)
        if not shares:
            yield None
            continue
        letters = {word: _letter(m) for m, word in enumerate(shares)}
        group: dict[str, str] = {}
        template = study.context.replace("{", "{{").replace("}", "}}")  # braces are for variables
        if options.table == SUBGROUPS:
            group = {"column": labels.get(str(row["column"]), str(row["column"])), "level": str(row["level"])}
            template = f"{template}\nYou are one of the people whose {{column}} is {{level}}.".strip()
        answer = "simulated_answer" if source.marks.simulated else "human_answer"
        yield {
            "dataset_name": study.title,
            "group_prompt_template": template,
            "group_prompt_variable_map": group,
            "input_template": _question(study.requirements, str(study.problems.texts[t]), letters),
            answer: {letters[word]: share for word, share in shares.items()},
            "group_size": int(row["responses"]),
            "auxiliary": {
                "problem": str(study.problems.ids[t]),
                "response_type": study.response_type.kind,
                "options": {letter: word for word, letter in letters.items()},
            },
            **source.marks.values(),
        }


def _letter(m: int) -> str:
    """A, B, …, Z, AA, AB, …"""
    first, last = divmod(m, 26)
    return (_letter(first - 1) if first else "") + ascii_uppercase[last]


def _question(requirements: str, text: str, letters: dict[str, str]) -> str:
    parts = [part for part in (requirements, text) if part]
    return "\n".join([*parts, "Options:", *(f"({letter}): {word}" for word, letter in letters.items())])


WRITER = Writer("simbench", "SimBench-style JSON lines", (".jsonl",), (DISTRIBUTIONS, SUBGROUPS), write)
