"""Charts of a report from the figures that the project draws anyway."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from crowdllm.report.dossier.answers import Chart

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def chart_of(name: str, figure: Figure, caption: str, words: str, data: pd.DataFrame | None = None) -> Chart:
    """A figure as part of the document, with its data."""
    from matplotlib import rc_context

    text = io.StringIO()
    with rc_context({"svg.hashsalt": "crowdllm"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return Chart(name, text.getvalue(), caption, words, "" if data is None else safe_csv(data))


def safe_csv(table: pd.DataFrame) -> str:
    """CSV text in which a spreadsheet computes nothing: a text that begins like a formula gets an apostrophe."""
    shown = table.copy()
    for name in shown.columns:
        if shown[name].dtype.kind not in "biufc":
            shown[name] = [
                f"'{cell}" if str(cell)[:1] in ("=", "+", "-", "@", "\t", "\r") else cell for cell in shown[name]
            ]
    return str(shown.to_csv(index=False, lineterminator="\n"))
