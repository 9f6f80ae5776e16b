"""Small files of every format that can be imported, written where a test wants them.

A new reader gets a line in SAMPLES: a module beside this file (in `samples`) and its function that writes the files and
returns groups of them, each of which is one import.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from crowdllm.data.study import Study
from crowdllm.exchange.protocol import Imported

SAMPLES = {
    "qualtrics": "qualtrics:write",
    "limesurvey": "limesurvey:write",
    "xlsform": "xlsform:write",
    "spss": "labelled:write_sav",
    "stata": "labelled:write_dta",
    "csv": "tables:write_csv",
    "excel": "tables:write_excel",
    "labelstudio": "labelling:write_labelstudio",
    "mturk": "labelling:write_mturk",
    "prolific": "labelling:write_prolific",
    "crowdkit": "labelling:write_crowdkit",
    "pabulib": "labelling:write_pabulib",
    "huggingface": "labelling:write_huggingface",
}


def load(name: str) -> ModuleType:
    """A module of samples by name."""
    path = Path(__file__).parent / "samples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"exchange_samples_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def samples() -> Callable[[str], ModuleType]:
    """Loads a module of samples."""
    return load


@pytest.fixture
def sample_files(tmp_path: Path) -> Callable[[str], list[list[Path]]]:
    """Writes the sample files of a format and gives them, group by group."""

    def write(format: str) -> list[list[Path]]:
        if format not in SAMPLES:
            pytest.fail(f"no sample files of {format!r}: add them to SAMPLES in {__file__}")
        module, _, function = SAMPLES[format].partition(":")
        folder = tmp_path / "samples" / format
        folder.mkdir(parents=True)
        groups: list[list[Path]] = getattr(load(module), function)(folder)
        return groups

    return write


@pytest.fixture
def answers() -> Callable[[Study], dict[tuple[str, str], str]]:
    """All responses of a study in words: options by their text, everything else as in a table."""

    def collect(study: Study) -> dict[tuple[str, str], str]:
        out = {}
        rows = zip(study.responses.participant_R, study.responses.problem_R, study.responses.values_RD, strict=True)
        for n, t, value_D in rows:
            options = study.problems.options[t]
            cell = study.response_type.write_cell(value_D, options)
            out[str(study.profiles.ids[n]), str(study.problems.ids[t])] = cell
        return out

    return collect


@pytest.fixture
def part_of() -> Callable[[Imported, str], Study]:
    """The study of a part by its name."""

    def find(imported: Imported, name: str) -> Study:
        names = [part.name for part in imported.parts]
        assert name in names, f"{name} is none of {names}"
        return imported.parts[names.index(name)].study

    return find
