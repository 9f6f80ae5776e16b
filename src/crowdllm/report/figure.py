"""Save a figure so that the same picture is the same file: no date, no version, no random element ids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(figure: Figure, path: Path) -> Path:
    """Write `figure` as SVG or PNG, by the suffix of `path`."""
    from matplotlib import rc_context

    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    with rc_context({"svg.hashsalt": "crowdllm"}):
        figure.savefig(path, dpi=150, metadata=metadata)
    return path
