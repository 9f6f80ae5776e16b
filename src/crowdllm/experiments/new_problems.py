"""Problems that a fitted crowd has not seen: read from a table, with the references that the model expects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.belief.items import Items
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.data.study_folder import study_from_frames
from crowdllm.data.tables import read_table
from crowdllm.errors import Finding, MismatchError, StudyError
from crowdllm.experiments.sources import read_references
from crowdllm.reference import References, combine


def read_problems(path: Path, model: CrowdModel) -> Problems:
    """The problems in a CSV or Parquet table (problem, text and, for types with options, options)."""
    if not path.is_file():
        raise StudyError([Finding("error", "no such file of problems", file=str(path))])
    table, findings = read_table(path)
    if table is None:
        raise StudyError(findings)
    frame = pd.DataFrame(table.columns)
    empty = pd.DataFrame({"participant": [], "problem": [], "response": []}, dtype="string")
    return study_from_frames(frame, empty, None, model.response_type, title=path.stem).problems


def items_for_file(model: CrowdModel, path: Path, references: str | None) -> Items:
    """Features of the problems in a table; `references` are recorded tables, one per source of the model, by commas."""
    problems = read_problems(path, model)
    files = [Path(p.strip()) for p in (references or "").split(",") if p.strip() not in ("", "none")]
    if not model.reference_sources:
        if files:
            raise MismatchError(f"the model was fitted without references, so it has no use for {references}")
        return model.make_items(problems, None)
    if len(files) != len(model.reference_sources):
        raise MismatchError(
            f"the model was fitted with the references {', '.join(map(repr, model.reference_sources))}: give one "
            f"recorded table for each, in that order, as --references FILE[,FILE...]; {len(files)} given"
        )
    blank = Study("", model.response_type, problems, _nobody(), Responses(*_nothing(model, problems)))
    sources = [read_references(f, n, blank, problems) for f, n in zip(files, model.reference_sources, strict=True)]
    combined: References = combine(sources, problems)
    return model.make_items(problems, combined)


def _nobody() -> Profiles:
    return Profiles((), np.zeros(0, dtype=object), np.zeros((0, 0)))


def _nothing(model: CrowdModel, problems: Problems) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    width = model.response_type.width(int(problems.option_counts.max(initial=0)))
    return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros((0, width))
