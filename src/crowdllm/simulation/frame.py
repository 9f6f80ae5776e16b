"""What the tables of a crowd mean: its plan, scale, problems, profile columns and groups, of a run or of a folder.

Shapes: T problems.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowdllm.data.problems import Problems, widest
from crowdllm.data.profiles import ProfileColumn
from crowdllm.data.study_assembly import assemble
from crowdllm.data.study_columns import Tables
from crowdllm.data.study_toml import STUDY_FILE, read_study_toml
from crowdllm.data.tables import read_table
from crowdllm.errors import CrowdLLMError, StudyError
from crowdllm.responses.protocol import ResponseType
from crowdllm.simulation.parts import Workbench
from crowdllm.simulation.plan import Plan
from crowdllm.simulation.run import read_run_meta
from crowdllm.simulation.tables import Names, Stamp, column_names

PROBLEMS = "problems.csv"


@dataclass(frozen=True)
class Frame:
    """Everything that stands around the parts.

    groups: (column, level) of the groups that are counted, everybody first. title: of the crowd as a study.
    """

    plan: Plan
    kind: ResponseType
    problems: Problems
    columns: tuple[ProfileColumn, ...]
    groups: tuple[tuple[str, str], ...]
    names: Names
    title: str

    @property
    def stamp(self) -> Stamp:
        """What rows and files say of where they come from."""
        return Stamp(self.plan.model_hash, self.plan.settings.seed, self.plan.hash[:16])

    @property
    def options(self) -> int:
        """The most options of a problem; 0 for scales."""
        return widest(self.problems, self.kind) if self.kind.has_options else 0


def frame_of(bench: Workbench, title: str) -> Frame:
    """The frame of a run; title: of the study that the model was fitted on."""
    return Frame(
        plan=bench.plan,
        kind=bench.model.response_type,
        problems=bench.items.problems,
        columns=bench.model.encoder.columns,
        groups=bench.groups.names,
        names=bench.names,
        title=f"Simulated answers: {title}",
    )


def read_frame(folder: Path) -> Frame:
    """The frame of a folder; raises CrowdLLMError for one without a crowd, and StudyError for a damaged one."""
    meta = read_run_meta(folder)
    if meta is None:
        raise CrowdLLMError(f"{folder} holds no simulated crowd; make one with: crowdllm simulate MODEL --out {folder}")
    plan = plan_of(meta, folder)
    settings, findings = read_study_toml(folder / STUDY_FILE)
    table, found = read_table(folder / PROBLEMS)
    findings += found
    if settings is None or table is None:
        raise StudyError(findings)
    assembly = assemble(settings, Tables(table, None, None))
    if assembly.study is None:
        raise StudyError(findings + assembly.findings)
    kind, problems = assembly.study.response_type, assembly.study.problems
    columns = tuple(spec.column for spec in settings.profile)
    groups = tuple((str(column), str(level)) for column, level in meta["groups"])
    return Frame(plan, kind, problems, columns, groups, column_names(kind, problems, columns), settings.title)


def plan_of(meta: dict[str, Any], folder: Path) -> Plan:
    """The plan in a run's meta.json; raises CrowdLLMError where another version wrote it."""
    try:
        return Plan.from_dict(meta["plan"])
    except (CrowdLLMError, KeyError, TypeError, AttributeError):
        raise CrowdLLMError(
            f"{folder} holds a crowd that was written in another way, by crowdllm {meta.get('crowdllm')}; choose "
            "another folder, or delete that one"
        ) from None
