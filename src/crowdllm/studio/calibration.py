"""Measure how far a crowd is from people on problems it has not seen, so that new problems get an interval for people.

Crowds are fitted without the answers to a part of the problems in turn (`estimation.cross_fit`); how far each is from
the people's own answers there, their sampling noise taken off, calibrates the interval (`estimation.conformal`): split
conformal, for problems drawn like those of the study and references from the same source. It is about everybody; for
a choice of people, and for a model without a study, there is none.

The errors are kept in `intervals.json` beside the model, with the model's hash: a folder that was fitted again is
not given the intervals of the old model.

Shapes: T problems, C columns.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crowdllm.belief.checkpoint import read_meta
from crowdllm.config import CrowdConfig
from crowdllm.data.study import Study
from crowdllm.estimation.conformal import Calibration, calibrate
from crowdllm.estimation.cross_fit import FOLDS, cross_fit_problems
from crowdllm.estimation.estimands import Columns, make_columns
from crowdllm.estimation.intervals import error_scale
from crowdllm.estimation.small_sample import within
from crowdllm.reference import References
from crowdllm.responses.protocol import Array
from crowdllm.studio.fits import write_json

INTERVALS = "intervals.json"
LEVELS = (0.95, 0.9, 0.8)
MEAN, PARTS = "mean", "parts"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Reach:
    """Errors of a crowd on problems it had not seen. mean: of the mean answer on a scale, None for options.

    parts: of shares (or parts of a budget), one per level of a scale, or one for all options. problems: on how many.
    """

    mean: Calibration | None
    parts: tuple[Calibration, ...]
    problems: int

    def level(self) -> float:
        """The highest of the usual levels that so many problems can promise; 0 for none."""
        one = self.mean or (self.parts[0] if self.parts else None)
        finite = [level for level in LEVELS if one is not None and np.isfinite(one.half_width(level))]
        return finite[0] if finite else 0.0


def measure_reach(
    study: Study,
    references: References | None,
    config: CrowdConfig,
    seed: int = 0,
    folds: int = FOLDS,
    progress: Progress | None = None,
) -> Reach:
    """Fit `folds` crowds, each without the answers to a part of the problems, and compare them with people there.

    Raises ConfigError where there are too few problems to leave any out.
    """
    columns = make_columns(study.response_type, study.problems, study.responses)
    crowd_TC = cross_fit_problems(study, references, config, columns, folds, seed, progress=progress)
    human_TC, noise_TC, smooth_TC = _humans(study, columns)
    wanted = human_TC - crowd_TC
    mean = None
    shares = [c for c, kind in enumerate(columns.kinds) if kind == "share"]
    if columns.names[0] == "":
        mean = calibrate(wanted[:, 0], noise_TC[:, 0])
    if mean is not None:
        parts = tuple(
            calibrate(wanted[:, c], noise_TC[:, c], error_scale(crowd_TC[:, c], "share"), smooth_TC[:, c])
            for c in shares
        )
    else:  # options differ from problem to problem: one list for all of them
        scale_TC = error_scale(crowd_TC.reshape(-1), "share").reshape(crowd_TC.shape)
        there = np.arange(len(columns)) < study.problems.option_counts[:, None]
        wanted = np.where(there, wanted, np.nan)
        residual, noise, scale, smooth = (array.reshape(-1) for array in (wanted, noise_TC, scale_TC, smooth_TC))
        parts = (calibrate(residual, noise, scale, smooth),)
    answered = int((~np.isnan(noise_TC[:, 0])).sum())
    return Reach(mean, parts, answered)


def _humans(study: Study, columns: Columns) -> tuple[Array, Array, Array]:
    """(T, C) the people's mean of each column, and the variance of that mean, unbiased and smooth.

    NaN where fewer than two people answered. Of a share p among n people it is p (1 - p) / (n - 1), and smooth that of
    (k + 1/2) of (n + 1), so that three equal answers do not count as certain; that of numbers is pooled over problems.
    With survey weights means are weighted, and n is Kish's effective number.
    """
    answers, count = study.responses, len(study.problems)
    value_RC = columns.encode(answers.values_RD).astype(float)
    people = [within(column, answers.problem_R, count, answers.weight_R) for column in value_RC.T]
    few_T, kish_T1 = people[0].n_T < 2, people[0].kish_T[:, None]
    mean_TC = np.stack([column.mean_T for column in people], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        near_TC = (kish_T1 * mean_TC + 0.5) / (kish_T1 + 1)
        more_T1 = np.minimum(kish_T1 / (kish_T1 - 1), 2.0)  # n / (n - 1), which very unequal weights would blow up
        noise_TC, smooth_TC = mean_TC * (1 - mean_TC) * more_T1 / kish_T1, near_TC * (1 - near_TC) / kish_T1
        for c in columns.of_kind("mean"):
            noise_TC[:, c] = smooth_TC[:, c] = people[c].pooled / kish_T1[:, 0]
    noise_TC[few_T] = smooth_TC[few_T] = np.nan
    return mean_TC, noise_TC, smooth_TC


def save_reach(reach: Reach, folder: Path) -> Path:
    """Write the errors beside the model that they are of."""
    content = {
        "model_hash": read_meta(folder)["model_hash"],
        "problems": reach.problems,
        MEAN: None if reach.mean is None else _to_list(reach.mean),
        PARTS: [_to_list(part) for part in reach.parts],
    }
    write_json(folder / INTERVALS, content)
    return folder / INTERVALS


def load_reach(folder: Path, model_hash: str) -> Reach | None:
    """The errors of this very model; None where there are none, or those of another."""
    try:
        held = json.loads((folder / INTERVALS).read_text(encoding="utf-8"))
        if held["model_hash"] != model_hash:
            return None
        mean = None if held[MEAN] is None else _from_list(held[MEAN])
        return Reach(mean, tuple(_from_list(part) for part in held[PARTS]), int(held["problems"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _to_list(calibration: Calibration) -> dict[str, Any]:
    return {"errors": calibration.error_T.tolist(), "spread": calibration.spread}


def _from_list(state: dict[str, Any]) -> Calibration:
    return Calibration(np.array(state["errors"], dtype=float), float(state["spread"]))
