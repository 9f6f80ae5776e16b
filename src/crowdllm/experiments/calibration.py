"""Calibrate the answers of an LLM panel with human responses, and say how much nearer to people that brings them.

The panel's answers are the reference features of a crowd that is fitted on the study's human responses. What that gains
is measured on problems held out from the fit, on as many splits as wanted, beside the panel as it is, the pooled human
histogram, a ridge regression on the same features, and the human floor:

    before = `zero-shot` (the panel's own distribution), after = `crowdllm`, both against the held-out humans

with 95 % intervals over splits, and of the paired differences. Then all human responses are used, and the corrected
distribution of every problem that the panel answered is written, those without any human response too.

OUT/fidelity.csv        method, metric, mean, low, high, splits
OUT/improvement.csv     after against before, pooled and ridge: metric, mean difference, low, high, splits
OUT/distributions.csv   problem, text, value, panel, calibrated, human, panel_answers, human_responses, and
                        simulated, model_hash, seed
OUT/references/         the panel's answers as recorded references, for `crowdllm fit` and `crowdllm simulate`
OUT/model/              the fitted crowd
OUT/comparison/         every score (metrics.csv); the same command continues there

Shapes: T problems, M levels, options or quantiles.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.belief.checkpoint import require_free, save_model
from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.config import CrowdConfig, make_config
from crowdllm.data.problems import widest
from crowdllm.data.study import Study
from crowdllm.data.tables import csv_bytes
from crowdllm.errors import ConfigError
from crowdllm.evaluation.histograms import histograms
from crowdllm.evaluation.intervals import mean_interval, paired_difference
from crowdllm.exchange.panel_answers import Columns, Panel, read_panel
from crowdllm.exchange.spreadsheet_text import defuse, defused_note
from crowdllm.experiments.comparison import FLOOR, Comparison, run_comparison
from crowdllm.experiments.recording import table_columns
from crowdllm.experiments.results_folder import write_csv
from crowdllm.reference import References, combine
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.simulation.run import simulate_crowd

BEFORE, AFTER, POOLED, RIDGE = "zero-shot", "crowdllm", "pooled", "embedding-references-ridge"
LABELS = {
    BEFORE: "the panel as it is",
    POOLED: "pooled human answers",
    RIDGE: "ridge on the panel",
    AFTER: "calibrated",
    FLOOR: "human floor",
}
METRICS = ("mae", "rmse", "accuracy", "cosine", "avg_wd", "wd_heights", "kl", "js", "nll", "crps")
LEAST_PROBLEMS = 10
CROWD = 1000
Positions = NDArray[np.int64]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Calibration:
    """What was found. fidelity, improvement, distributions: the tables of those names; notes: what was left out."""

    panels: tuple[Panel, ...]
    fidelity: pd.DataFrame
    improvement: pd.DataFrame
    distributions: pd.DataFrame
    notes: tuple[str, ...]


def calibrate(
    study: Study,
    answers: Sequence[Path],
    out: Path,
    columns: Columns | None = None,
    splits: int = 5,
    embedding: str = "tfidf",
    seed: int = 0,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Calibration:
    """Read the panel's answers, measure on held-out problems, fit on everything, and write all to `out`.

    answers: files of answers, each as `crowdllm.exchange.panel_answers` reads it; columns: of all of them.

    Raises ConfigError where fewer than ten problems have both human responses and answers of the panel, and
    CrowdLLMError for files that cannot be read.
    """
    require_free(out / "model")
    panels = tuple(read_panel(path, study, columns) for path in answers)
    references = _combined(panels, study)
    for line in (*(line for panel in panels for line in panel.understood), *references.report()):
        if say:
            say(line)
    both, answered = _problems(study, references)
    if len(both) < LEAST_PROBLEMS:
        raise ConfigError(
            f"{len(both)} problems have human responses and answers of the panel; at least {LEAST_PROBLEMS} are "
            "needed, since what calibration does is measured on problems that are held out"
        )
    notes: list[str] = []
    comparison = Comparison((BEFORE, POOLED, RIDGE, AFTER), seeds=tuple(range(splits)), embedding=embedding)
    measured = study.subset(both, np.arange(len(study.profiles)))
    table = run_comparison(
        measured, study.title or "study", references, comparison, out / "comparison", progress, notes.append
    )
    fidelity, improvement = fidelity_table(table), improvement_table(table)
    model = fit_crowd(study, references, make_config(CrowdConfig, {"embedding": embedding}), seed, progress)
    save_model(model, out / "model", study)
    distributions = distribution_table(study, references, model, answered, _model_hash(out / "model"), seed)
    safe, changed = defuse(distributions)
    notes += defused_note(changed)
    write_csv(fidelity, out / "fidelity.csv")
    write_csv(improvement, out / "improvement.csv")
    write_csv(safe, out / "distributions.csv")
    for source in references.sources:
        _write_reference(out / "references", source.name, table_columns(source, study.problems, study.response_type))
    return Calibration(panels, fidelity, improvement, distributions, tuple(notes))


def _combined(panels: Sequence[Panel], study: Study) -> References:
    sources = [source for panel in panels for source in panel.sources]
    for i, source in enumerate(sources):
        if source.name in [other.name for other in sources[:i]]:
            raise ConfigError(f"two panels are called {source.name!r}: rename a file")
    return combine(sources, study.problems)


def _problems(study: Study, references: References) -> tuple[Positions, Positions]:
    """Positions of the problems with human responses and answers of the panel, and of all with answers."""
    most = widest(study.problems, study.response_type)
    known_T = np.zeros(len(study.problems), dtype=bool)
    for source in references.sources:
        known_T |= ~np.isnan(source.summary(study.response_type, most)).any(axis=1)
    human_T = np.bincount(study.responses.problem_R, minlength=len(study.problems)) > 0
    return np.flatnonzero(known_T & human_T), np.flatnonzero(known_T)


def fidelity_table(table: pd.DataFrame) -> pd.DataFrame:
    """method, what it is, metric, mean, low, high (95 % over splits), splits; of the comparison's long table."""
    rows = []
    for method, label in LABELS.items():
        for metric in METRICS:
            values = _values(table, method, metric)
            if len(values):
                found = mean_interval(values.to_numpy(dtype=float))
                rows.append([method, label, metric, found.mean, found.low, found.high, found.count])
    return pd.DataFrame(rows, columns=["method", "label", "metric", "mean", "low", "high", "splits"])


def improvement_table(table: pd.DataFrame) -> pd.DataFrame:
    """calibrated minus each other row: against, metric, difference, low, high (95 %, paired over splits), splits."""
    rows = []
    for method in (BEFORE, POOLED, RIDGE, FLOOR):
        for metric in METRICS:
            one, other = _values(table, AFTER, metric), _values(table, method, metric)
            shared = one.index.intersection(other.index)
            if len(shared):
                found = paired_difference(one[shared].to_numpy(dtype=float), other[shared].to_numpy(dtype=float))
                rows.append([method, LABELS[method], metric, found.mean, found.low, found.high, found.count])
    return pd.DataFrame(rows, columns=["against", "label", "metric", "difference", "low", "high", "splits"])


def _values(table: pd.DataFrame, method: str, metric: str) -> pd.Series:
    """One value per seed, which is the index; of the first crowd size and aggregator."""
    rows = table[(table["method"] == method) & (table["metric"] == metric)]
    return rows.drop_duplicates("seed").set_index("seed")["value"].dropna()


def distribution_table(
    study: Study, references: References, model: CrowdModel, problems_U: Positions, model_hash: str, seed: int
) -> pd.DataFrame:
    """The panel's, the calibrated and the human distribution of these problems, a row per level, option or quantile."""
    kind, most = study.response_type, widest(study.problems, study.response_type)
    stack = np.stack([source.summary(kind, most) for source in references.sources])
    known = ~np.isnan(stack)
    panel_TM = np.where(known, stack, 0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    asked = study.problems.take(problems_U)
    crowd = simulate_crowd(model, model.make_items(asked, references), CROWD, seed)
    calibrated_UM = histograms(crowd.responses, model.response_type, len(asked), most)
    human_TM = histograms(study.responses, kind, len(study.problems), most)
    count_T = np.bincount(study.responses.problem_R, minlength=len(study.problems))
    given_T = sum((~np.isnan(s.values_TKD).any(axis=2)).sum(axis=1) for s in references.sources)
    rows = []
    for u, t in enumerate(problems_U):
        for m, value in _value_names(study, int(t), panel_TM.shape[1]):
            shares = (panel_TM[t, m], calibrated_UM[u, m], human_TM[t, m])
            rows.append([study.problems.ids[t], study.problems.texts[t], value, *shares, given_T[t], count_T[t]])
    names = ["problem", "text", "value", "panel", "calibrated", "human", "panel_answers", "human_responses"]
    frame = pd.DataFrame(rows, columns=names)
    return frame.assign(simulated=True, model_hash=model_hash, seed=seed)


def _value_names(study: Study, problem: int, width: int) -> list[tuple[int, str]]:
    """Which columns of a summary the problem has, and what each counts."""
    kind = study.response_type
    if isinstance(kind, Ordinal):
        return list(enumerate(kind.levels))
    if isinstance(kind, Continuous):
        return [(m, f"quantile {(m + 0.5) / width:.3f}") for m in range(width)]
    return list(enumerate(study.problems.options[problem]))


def _model_hash(folder: Path) -> str:
    return str(json.loads((folder / "meta.json").read_text(encoding="utf-8"))["model_hash"])


def _write_reference(folder: Path, name: str, columns: dict[str, list[str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    safe = "".join(c if c.isalnum() or c in "-_. ()" else "_" for c in name).strip(". ") or "panel"
    fresh = folder / f".{safe}.csv.part"
    fresh.write_bytes(csv_bytes(columns))
    fresh.replace(folder / f"{safe}.csv")
