"""Estimates for the MCP server: intervals for one problem, read from a folder or made for a study and its model."""

from __future__ import annotations

from typing import Any

import numpy as np

from crowdllm.errors import CrowdLLMError, nearest
from crowdllm.integrations.mcp_library import ESTIMATES, Json, Library, changed, kind_of, short
from crowdllm.integrations.mcp_tools import MOST_SHOWN, number

ESTIMATE_COLUMNS = (
    "estimand",
    "of",
    "group",
    "interval",
    "estimate",
    "low",
    "high",
    "level",
    "humans",
    "worth",
    "note",
)
INTERVALS = {
    "human": "from people's answers alone",
    "rectified": "people's answers, corrected by what the crowd says of exactly these people",
    "combined": "people's answers and the crowd's",
    "conformal": "the crowd's alone, as wide as its errors on other problems",
    "theorem5": "the paper's, which holds only under its conditions",
}


def estimate(library: Library, name: str, problem: str, model: str = "", level: float = 0.95) -> Json:
    """The population's answer to a problem with intervals: read from a folder of estimates, or made for a study.

    name: a folder that `crowdllm estimate` wrote, or a study; then model names the crowd that was fitted on it. Making
    estimates fits crowds anew, for all problems of the study at once: that takes from seconds to minutes, the first
    time.
    """
    folder = library.place(name)
    if kind_of(folder) == ESTIMATES:
        from crowdllm.experiments.results_folder import read_csv

        table = read_csv(folder / "estimates.csv")
        about: Json = {"from": "a folder of estimates"}
    elif model:
        table = _estimated(library, name, model, level)
        about = {"from": "estimated now", "model_hash": library.model(model)[1]}
    else:
        raise CrowdLLMError(f"{short(name, 80)} holds no estimates: name the fitted model as well, or such a folder")
    missing = [column for column in ESTIMATE_COLUMNS if column not in table.columns]
    if missing:
        raise CrowdLLMError(f"{short(name, 80)}/estimates.csv has no column {missing[0]!r}")
    known = [str(i) for i in table["problem"].unique()]
    if problem not in known:
        near = nearest(problem, known)
        hint = f"; did you mean {short(near, 80)!r}?" if near else ""
        raise CrowdLLMError(f"there is no estimate of {short(problem, 80)!r}{hint}")
    rows = table[table["problem"].astype(str) == problem]
    out = [{c: _plain(row[c]) for c in ESTIMATE_COLUMNS} for _, row in rows.head(MOST_SHOWN).iterrows()]
    return {"problem": short(problem, 200), "found": len(rows), "estimates": out, "intervals": INTERVALS} | about


def _estimated(library: Library, name: str, model: str, level: float) -> Any:
    """The table of all estimates of a study by a model, made once."""
    from crowdllm.estimation.estimate import EstimateSettings, estimate_study
    from crowdllm.experiments.sources import open_references, open_study

    folder, other = library.place(name), library.place(model)
    key = (f"{folder}\0{other}\0{level}", changed(folder) + changed(other))
    if key not in library.loaded:
        fitted, _ = library.model(model)
        opened = open_study(str(folder))
        references = open_references(opened, ",".join(fitted.reference_sources) or "none")
        found = estimate_study(opened.study, fitted, references, EstimateSettings(level=level))
        library.keep(key, found.table)
    return library.loaded[key]


def _plain(value: Any) -> Any:
    """A cell of a table as JSON has it."""
    if isinstance(value, float | int | np.number):
        return number(float(value))
    return short(value, 300)
