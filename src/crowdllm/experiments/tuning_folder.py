"""What `crowdllm tune` adds to a tuned model's folder: the trade of KL and RMSE over temperatures, and the bias audit.

temperatures.csv, temperatures.svg      study, temperature, kl, rmse, nll, avg_wd on held-out people
audit.csv, audit.svg                    see `crowdllm.survey_tuning.audit`; one picture per study, numbered from 2
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from crowdllm.errors import MismatchError
from crowdllm.experiments.results_folder import write_csv
from crowdllm.report.audit_figure import audit_figure
from crowdllm.report.figure import save_figure
from crowdllm.report.temperature_figure import TemperatureLine, TemperaturePanel, temperature_figure
from crowdllm.survey_tuning.audit import BiasAudit, audit
from crowdllm.survey_tuning.calibration import Curve, temperature_curve
from crowdllm.survey_tuning.held_out import HeldOut

TEMPERATURES, AUDIT = "temperatures", "audit"


def write_temperatures(held: Sequence[HeldOut], folder: Path) -> list[Path]:
    """The curve of each study as a table and as a picture; nothing where nobody was held out. Returns the files."""
    if not held:
        return []
    curves = [temperature_curve(one.shares, one.study.responses, one.study.response_type) for one in held]
    frames = [c.to_frame().assign(study=one.study.title) for c, one in zip(curves, held, strict=True)]
    table = pd.concat(frames, ignore_index=True)
    write_csv(table[["study", *(name for name in table.columns if name != "study")]], folder / f"{TEMPERATURES}.csv")
    panels = [
        TemperaturePanel(one.study.title, (line("tuned", curve),), unit_of(one.study.response_type.has_options))
        for curve, one in zip(curves, held, strict=True)
    ]
    return [folder / f"{TEMPERATURES}.csv", save_figure(temperature_figure(panels), folder / f"{TEMPERATURES}.svg")]


def line(name: str, curve: Curve) -> TemperatureLine:
    """A curve for `temperature_figure`."""
    return TemperatureLine(name, tuple(curve.temperature_G), tuple(curve.rmse_G), tuple(curve.kl_G))


def unit_of(has_options: bool) -> str:
    """The unit of an RMSE, in words."""
    return "root of the share of wrong answers" if has_options else "points"


def write_audit(
    held: Sequence[HeldOut], before: Sequence[HeldOut], temperature: float, folder: Path, seed: int = 0
) -> tuple[list[BiasAudit], list[Path]]:
    """Audit each study, the base model at temperature 1 and the tuned one at `temperature`. Returns what was found, and
    the files. Raises MismatchError where nobody was held out, and as `audit`."""
    if not held:
        raise MismatchError("an audit needs people who were held out of tuning, and there are none")
    found = [
        audit(after.study, first.shares, after.shares, 1.0, temperature, seed=seed)
        for after, first in zip(held, before, strict=True)
    ]
    frames = [a.to_frame().assign(study=one.study.title) for a, one in zip(found, held, strict=True)]
    table = pd.concat(frames, ignore_index=True)
    write_csv(table[["study", *(name for name in table.columns if name != "study")]], folder / f"{AUDIT}.csv")
    files = [folder / f"{AUDIT}.csv"]
    for number, (one, result) in enumerate(zip(held, found, strict=True), 1):
        path = folder / (f"{AUDIT}.svg" if number == 1 else f"{AUDIT}-{number}.svg")
        files.append(save_figure(audit_figure(result, one.study.title), path))
    return found, files
