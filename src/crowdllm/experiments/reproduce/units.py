"""One unit of work: fit one method on one split and write its scores; and which units are not done yet.

The files are those of `crowdllm.experiments.comparison` (one folder per run, one file per unit), so that
`crowdllm evaluate` would go on with them. A unit that does not apply leaves a file that says why, and is not tried
again; one that lacks an optional package is tried again, since that can be mended.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import pandas as pd

from crowdllm.data.study import Study
from crowdllm.errors import ConfigError, MismatchError, MissingExtraError
from crowdllm.experiments.comparison import (
    COLUMNS,
    FLOOR,
    Comparison,
    claim_comparison,
    collect_parts,
    comparison_part,
    reference_label,
    require_references,
    run_unit,
)
from crowdllm.experiments.reproduce.plan import Run
from crowdllm.experiments.reproduce.reviewers import score_reviewers
from crowdllm.experiments.results_folder import write_csv, write_text
from crowdllm.experiments.score import Score
from crowdllm.methods import MADE_FOR, references_for
from crowdllm.reference import References

LEFT_OUT = ".left-out.txt"


@dataclass(frozen=True)
class OpenedRun:
    """A run with its data. texts: (R,) the review written with each response, for the protocol that uses them."""

    run: Run
    dataset: str
    study: Study
    references: References | None
    folder: Path
    texts: tuple[str, ...] = ()

    def given(self, method: str) -> References | None:
        """The references that a method is given of those of the run."""
        return references_for(method, self.references)

    def label(self, method: str) -> str:
        """These references as the tables name them."""
        return reference_label(self.given(method))


@dataclass(frozen=True)
class Unit:
    """(training fraction, seed, method) of a run."""

    fraction: float
    seed: int
    method: str


def units(comparison: Comparison, protocol: str = "recruited") -> list[Unit]:
    """All units of a comparison, seed by seed, so that what is there after a while is whole splits.

    A crowd of the very people in the test set has no human floor (see `crowdllm.evaluation.floor`).
    """
    floor = (FLOOR,) if protocol == "recruited" else ()
    return [
        Unit(fraction, seed, method)
        for seed in comparison.seeds
        for fraction in comparison.train_fractions
        for method in (*comparison.methods, *floor)
    ]


def part_path(opened: OpenedRun, unit: Unit) -> Path:
    """Where the scores of a unit are."""
    return comparison_part(opened.folder, opened.run.comparison, unit.fraction, unit.seed, unit.method)


def left_out_path(opened: OpenedRun, unit: Unit) -> Path:
    """Where it is said why a unit has no scores."""
    path = part_path(opened, unit)
    return path.with_name(path.name.removesuffix(".csv") + LEFT_OUT)


def is_done(opened: OpenedRun, unit: Unit) -> bool:
    return part_path(opened, unit).exists() or left_out_path(opened, unit).exists()


def claim(opened: OpenedRun) -> None:
    """Make the run's folder, or check that it is for this; raises CrowdLLMError where it holds another comparison."""
    name, comparison = opened.dataset, opened.run.comparison
    if opened.texts:
        digest = sha256("\x1f".join(opened.texts).encode("utf-8", "surrogatepass")).hexdigest()
        name = f"{name}, {opened.run.protocol}, review texts {digest[:16]}"
    common = references_for("", opened.references)
    claim_comparison(opened.folder, opened.study, name, common, reference_label(common), comparison)
    for unit in units(comparison, opened.run.protocol):  # what the folder is for does not tell of these sources
        if unit.method in MADE_FOR and part_path(opened, unit).exists():
            require_references(part_path(opened, unit), opened.label(unit.method))


def do_unit(opened: OpenedRun, unit: Unit) -> str:
    """Write a unit's scores; returns why it was left out, "" where it was not."""
    comparison = opened.run.comparison
    try:
        scores = list(_scores(opened, unit))
    except (MismatchError, ConfigError) as error:
        write_text(str(error), left_out_path(opened, unit))
        return str(error)
    except MissingExtraError as error:
        return str(error)
    keys = {
        "dataset": opened.dataset, "split": comparison.split, "train_fraction": unit.fraction,
        "references": opened.label(unit.method), "method": unit.method, "seed": unit.seed,
    }  # fmt: skip
    rows = [keys | asdict(score) for score in scores]
    write_csv(pd.DataFrame(rows, columns=COLUMNS), part_path(opened, unit))
    return ""


def _scores(opened: OpenedRun, unit: Unit) -> Iterator[Score]:
    comparison, study, references = opened.run.comparison, opened.study, opened.given(unit.method)
    if opened.run.protocol == "reviewers":
        yield from score_reviewers(study, opened.texts, references, comparison, unit.method, unit.seed)
        return
    split = study.split(comparison.split, comparison.test_fraction, unit.seed, unit.fraction)
    yield from run_unit(split, references, comparison, unit.method, unit.seed)


def collect(opened: OpenedRun) -> pd.DataFrame:
    """All scores of the run, which are then also in its `metrics.csv`; empty where every unit was left out."""
    comparison = opened.run.comparison
    if not any(part_path(opened, unit).exists() for unit in units(comparison, opened.run.protocol)):
        return pd.DataFrame(columns=COLUMNS)
    return collect_parts(opened.folder, comparison)


def reasons(opened: OpenedRun) -> dict[str, list[tuple[Unit, str]]]:
    """Per method, the units that were left out and why."""
    out: dict[str, list[tuple[Unit, str]]] = {}
    for unit in units(opened.run.comparison, opened.run.protocol):
        path = left_out_path(opened, unit)
        if path.exists() and not part_path(opened, unit).exists():
            out.setdefault(unit.method, []).append((unit, path.read_text(encoding="utf-8")))
    return out
