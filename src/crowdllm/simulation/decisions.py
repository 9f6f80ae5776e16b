"""Decisions about a crowd that is too large to load, or stores no response, from what was counted when it was made."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from crowdllm.aggregation import APPLIES_TO
from crowdllm.data.tables import MOST_ROWS
from crowdllm.errors import CrowdLLMError
from crowdllm.simulation.finish import DISTRIBUTIONS
from crowdllm.simulation.frame import read_frame
from crowdllm.simulation.run import read_run_meta, require_whole

COUNTED = ("mean", "median", "majority_vote")


def counted_decisions(source: str, method: str) -> pd.DataFrame | None:
    """problem, responses, decision (or one per option) and shares, for a folder whose responses cannot be loaded whole.

    None where they can, and where `source` is no simulated crowd. Raises CrowdLLMError for a method that needs the
    single responses, or that is not for this scale.
    """
    folder = Path(source)
    meta = read_run_meta(folder) if folder.is_dir() else None
    if meta is None or "stored" not in meta or (meta["stored"] == meta["responses"] and meta["stored"] <= MOST_ROWS):
        return None
    require_whole(folder)
    frame = read_frame(folder)
    fits = [name for name in COUNTED if frame.kind.kind in APPLIES_TO[name]]
    few = 0 < meta["stored"] <= MOST_ROWS
    fits = fits if frame.kind.kind in ("continuous", "ordinal", "choice") else ["mean"]
    if method not in fits:
        sample = f"; of the sample: crowdllm.aggregate(crowdllm.load_study({source!r}), {method!r})" if few else ""
        raise CrowdLLMError(
            f"{folder} holds {meta['stored']:,} of {meta['responses']:,} responses: what was counted gives "
            f"{' or '.join(fits)}, and {method} needs all responses at once (at most {MOST_ROWS:,}){sample}"
        )
    table = pd.read_csv(folder / DISTRIBUTIONS, dtype={"problem": "string"}, keep_default_na=False, na_values=[""])
    names = [str(name) for name in table.columns]
    decisions = [name for name in names if name == method or name.startswith(f"{method}_")]
    shares = [name for name in names if name.startswith("share_")]
    kept = table[["problem", "responses", *decisions, *shares]]
    return kept.rename(columns={name: "decision" + name.removeprefix(method) for name in decisions})
