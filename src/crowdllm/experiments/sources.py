"""Open what a user names: a study (a folder or a data set) and the references that go with it.

A data set may carry options after a colon: `voting:format=approval`, `synthetic:people=200,problems=30`.

A study's folder may hold `references.csv` (the source "recorded") and `references/NAME.csv` (the source NAME), each as
CSV or Parquet. `crowdllm references` writes the latter with a NAME.json beside it, which says how they were asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from inspect import signature
from pathlib import Path

from crowdllm.data.problems import Problems
from crowdllm.data.study import Study
from crowdllm.data.study_folder import load_study
from crowdllm.datasets import DATASETS, load_dataset
from crowdllm.datasets.recorded_answers import recorded_draws, recorded_sources
from crowdllm.elicitation.recorded import recorded_reference
from crowdllm.errors import ConfigError, CrowdLLMError, UnknownNameError, nearest
from crowdllm.experiments.recording import with_account
from crowdllm.llm.recorded import RecordedBackend
from crowdllm.reference import Reference, References, combine
from crowdllm.registry import lookup
from crowdllm.simulation.run import require_complete

REFERENCE_FILES = ("references.csv", "references.parquet")
REFERENCE_FOLDER = "references"
TABLES = (".csv", ".parquet")
RESERVED = ("all", "none")
DEFAULT_REFERENCES = {
    "offensiveness": "gpt4",
    "voting": "gpt4-personas",
    "bfi": "elicited",
    "ev_attitudes": "elicited",
}


@dataclass(frozen=True)
class Opened:
    """A study with the place it came from: `dataset` is its registry name, or `folder` where it lies."""

    study: Study
    name: str
    dataset: str = ""
    folder: Path | None = None


def open_study(text: str) -> Opened:
    """The study in this folder, or the data set of this name; raises an error that lists both possibilities."""
    folder = Path(text)
    if folder.is_dir():
        require_complete(folder)
        return Opened(load_study(folder), folder.resolve().name, folder=folder)
    name = text.partition(":")[0]
    if name not in DATASETS:
        near = nearest(name, DATASETS)
        hint = f"; did you mean {near!r}?" if near else ""
        raise CrowdLLMError(
            f"{text!r} is neither a study folder nor a data set: give a folder with a study.toml (start one with "
            f"`crowdllm new DIR`), or one of {', '.join(DATASETS)}{hint}"
        )
    return open_dataset(text)


def open_dataset(text: str) -> Opened:
    """The data set `name` or `name:key=value,...`, also where a folder of that name lies here."""
    name, _, options = text.partition(":")
    return Opened(load_dataset(name, **_options(name, options)), name, dataset=name)


def _options(dataset: str, text: str) -> dict[str, str | int | float]:
    """Options of a data set, each of the type of its default; unknown ones are left to `load_dataset`."""
    defaults = {key: p.default for key, p in signature(lookup(DATASETS, dataset, "data set")).parameters.items()}
    out: dict[str, str | int | float] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ConfigError(f"the data set option {part!r} is not of the form key=value")
        kind = type(defaults.get(key, ""))
        try:
            out[key] = kind(value)
            usable = kind is str or math.isfinite(float(out[key]))
        except ValueError:
            usable = False
        if not usable:
            needed = "a whole number" if kind is int else "a number"
            raise ConfigError(f"the data set option {key} needs {needed}, such as {defaults[key]}, not {value!r}")
    return out


def reference_names(opened: Opened) -> list[str]:
    """What --references may name for this study, besides paths of tables and `none`."""
    if opened.dataset:
        return recorded_sources(opened.dataset)
    return list(reference_files(opened.folder)) if opened.folder is not None else []


def reference_files(folder: Path) -> dict[str, Path]:
    """The recorded references beside a study by name: "recorded", then those in the folder `references`.

    Raises ConfigError where two files have the same name, or one has a name that --references cannot say.
    """
    found = [("recorded", folder / name) for name in REFERENCE_FILES if (folder / name).is_file()]
    inside = folder / REFERENCE_FOLDER
    named = sorted(inside.iterdir()) if inside.is_dir() else []
    found += [(path.stem, path) for path in named if path.suffix.lower() in TABLES and not path.name.startswith(".")]
    files: dict[str, Path] = {}
    for name, path in found:
        if name in files:
            raise ConfigError(f"{files[name]} and {path} are both called {name!r}: rename one, or take it away")
        if fault := name_fault(name):
            raise ConfigError(f"{path}: {fault}; rename it")
        files[name] = path
    return files


def name_fault(name: str) -> str:
    """Why a source cannot have this name; "" where it can."""
    if name in RESERVED:
        return f"a source of references cannot be called {name!r}"
    if not name.strip() or name != name.strip() or "," in name or not name.isprintable():
        return f"the name {name!r} of a source of references has a comma, blanks at its ends, or nothing to print"
    return ""


def open_references(opened: Opened, names: str | None, problems: Problems | None = None) -> References | None:
    """The named sources for the study's problems (or others), or None for `none`.

    names: comma-separated source names, paths of recorded tables, `all`, or None for the study's default: of a folder
    `recorded` where there is one, else all that it has.
    """
    problems = problems if problems is not None else opened.study.problems
    valid = reference_names(opened)
    if names is None:
        default = DEFAULT_REFERENCES.get(opened.dataset, "")
        if default not in valid and valid:
            default = valid[0] if opened.dataset or "recorded" in valid else "all"
        names = default if valid else "none"
    if names == "none":
        return None
    if names == "all" and not valid:
        raise ConfigError(f"there are no recorded references of {opened.name}; name a table FILE.csv, or `none`")
    everything = [n for n in valid if not (opened.dataset and n.endswith("-personas"))]
    wanted = everything if names == "all" else _split(names)
    sources = [_open(opened, name, problems, valid) for name in wanted]
    for i, source in enumerate(sources):
        if source.name in [other.name for other in sources[:i]]:
            raise ConfigError(f"the reference source {source.name!r} is named twice; name it once, or rename its file")
    return combine(sources, problems)


def _split(names: str) -> list[str]:
    wanted = [n.strip() for n in names.split(",") if n.strip()]
    if not wanted:
        raise ConfigError("--references names nothing; use `none` for no references")
    return wanted


def _open(opened: Opened, name: str, problems: Problems, valid: list[str]) -> Reference:
    if opened.dataset and name in valid:
        recorded = recorded_draws(opened.dataset, name)
        return Reference(
            name=recorded.name,
            mode=recorded.mode,
            problem_ids=recorded.problem_ids,
            values_TKD=recorded.values_TKD,
            distribution_TM=recorded.distribution_TM,
            asked=recorded.draws,
            unparsable=recorded.unparsable,
            note=recorded.note,
            twins=recorded.twins,
        )
    path = Path(name)
    if opened.folder is not None and name in valid:
        path = reference_files(opened.folder)[name]
    elif not path.is_file():
        raise UnknownNameError("reference source", name, [*valid, "all", "none", "FILE.csv"], opened.name)
    return read_references(path, name if name in valid else path.stem, opened.study, problems)


def read_references(path: Path, name: str, study: Study, problems: Problems) -> Reference:
    """Recorded answers in a table, parsed by the study's response type, with the account beside it if there is one."""
    backend = RecordedBackend.read(path, name)
    return with_account(recorded_reference(backend, problems, study.response_type), path)
