"""Write estimates as a folder: tables, pictures and, last, meta.json, which is only there when all of the others are.

estimates.csv (every interval), worth.csv, coverage.csv (the study's own coverage curve), and where they can be had
risk.csv, gate.csv, subgroups.csv and mix.csv; pictures of the same as SVG and PNG.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from crowdllm import __version__
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError, CrowdLLMError
from crowdllm.estimation.estimate import Estimates, EstimateSettings
from crowdllm.estimation.fold_store import FoldStore
from crowdllm.estimation.subgroup_trust import default_limit, flag_wide
from crowdllm.estimation.trust import Trust, trust_tables
from crowdllm.experiments.comparison import data_digest
from crowdllm.experiments.results_folder import write_csv, write_text
from crowdllm.reference import References
from crowdllm.report.coverage_figure import coverage_figure
from crowdllm.report.figure import save_figure
from crowdllm.report.interval_figure import interval_figure
from crowdllm.report.trust_figures import trust_figures
from crowdllm.responses.protocol import ResponseType

if TYPE_CHECKING:
    from matplotlib.figure import Figure

META = "meta.json"
WHAT = "estimates"
PARTS = "parts"
NAMES = ("estimates", "worth", "coverage", "risk", "gate", "subgroups", "mix", "intervals")
SUFFIXES = (".csv", ".svg", ".png")


def require_free(out: Path) -> None:
    """Raise CrowdLLMError where the folder holds something other than estimates."""
    if out.exists() and not out.is_dir():
        raise CrowdLLMError(f"{out} is a file; choose another folder")
    if not out.exists() or not any(out.iterdir()):
        return
    try:
        held = json.loads((out / META).read_text(encoding="utf-8"))
        ours = isinstance(held, dict) and held.get("what") == WHAT
    except (OSError, ValueError):
        ours = (out / "estimates.csv").is_file() or (out / PARTS).is_dir()
    if not ours:
        raise CrowdLLMError(f"{out} exists and holds something other than estimates; choose another folder")


def fold_store(
    out: Path, study: Study, references: References | None, model_hash: str, settings: EstimateSettings
) -> FoldStore:
    """Where the folds of these cross-fits are kept; the level and what is compared make no difference to them."""
    weights = b"" if study.weights_N is None else study.weights_N.tobytes()
    identity = {
        "crowdllm": __version__,
        "data": data_digest(study, references),
        "weights": sha256(weights).hexdigest(),
        "model": model_hash,
        **{key: value for key, value in asdict(settings).items() if key in ("folds", "seed", "by", "new_people")},
    }
    return FoldStore(out / PARTS, json.dumps(identity, sort_keys=True))


def flag_groups(estimates: Estimates, kind: ResponseType, limit: float | None) -> tuple[Estimates, tuple[str, ...]]:
    """The table with `limit` and `too_wide`, and a warning where subgroups' intervals are wider than the limit.

    limit: None for the default of the response type; where it has none, nothing is flagged, and the warning says so.
    """
    table = estimates.table
    try:
        chosen = default_limit(kind) if limit is None else limit
    except ConfigError as error:
        return estimates, ((str(error),) if (table["group"] != "").any() else ())
    about_groups = (table["group"] != "") | (table["estimand"] == "subgroup")
    flagged = flag_wide(table, chosen)
    flagged = flagged.assign(too_wide=flagged["too_wide"] & about_groups)
    wide = int(flagged["too_wide"].sum())
    lines = (
        (
            f"{wide} of {int(about_groups.sum())} intervals of subgroups are wider than {chosen:g}: too uncertain to "
            "go by (column too_wide)",
        )
        if wide
        else ()
    )
    return replace(estimates, table=flagged), lines


def write_estimates(
    out: Path, estimates: Estimates, coverage: pd.DataFrame | None, trust: Trust | None, about: Mapping[str, Any]
) -> list[Path]:
    """Write the folder; about: what stands in meta.json besides settings, notes and hashes. Returns the files."""
    out.mkdir(parents=True, exist_ok=True)
    (out / META).unlink(missing_ok=True)
    for name in (f"{name}{suffix}" for name in NAMES for suffix in SUFFIXES):
        (out / name).unlink(missing_ok=True)  # of an earlier run, which may have had tables that this one has not
    tables = {"estimates": estimates.table, "worth": estimates.worth}
    if coverage is not None:
        tables["coverage"] = coverage
    tables |= trust_tables(trust) if trust is not None else {}
    written = []
    for name, table in tables.items():
        write_csv(table, out / f"{name}.csv")
        written.append(out / f"{name}.csv")
    for name, figure in _figures(estimates, coverage, trust).items():
        written += [save_figure(figure, out / f"{name}{suffix}") for suffix in (".svg", ".png")]
    settings = asdict(estimates.evidence.settings)
    notes = [*estimates.notes, *(trust.notes if trust is not None else ())]
    hashes = {path.name: sha256(path.read_bytes()).hexdigest() for path in written}
    meta = {"what": WHAT, "crowdllm": __version__, **about, "settings": settings, "notes": notes, "sha256": hashes}
    write_text(json.dumps(meta, indent=1, ensure_ascii=False, default=str) + "\n", out / META)
    return [*written, out / META]


def _figures(estimates: Estimates, coverage: pd.DataFrame | None, trust: Trust | None) -> dict[str, Figure]:
    figures = {}
    if len(estimates.table):
        figures["intervals"] = interval_figure(estimates.table, estimates.evidence.settings.level)
    if coverage is not None and len(coverage):
        figures["coverage"] = coverage_figure(coverage)
    return figures | (trust_figures(trust) if trust is not None else {})
