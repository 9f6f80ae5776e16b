"""Draw the loss terms of a fit by epoch: decision loss in training and on what was held out, and the KL term."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crowdllm.report.figure import save_figure

if TYPE_CHECKING:
    from crowdllm.belief.training import EpochTerms

TRAIN, HELD_OUT, KL = "#4d4d4d", "#d55e00", "#0072b2"


def draw_training(history: Sequence[EpochTerms], path: Path) -> Path:
    """Write the picture of the search for the number of epochs to `path` (SVG or PNG by its suffix)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    search = [h for h in history if h.stage == "search"] or list(history)
    figure = Figure(figsize=(7.2, 2.8), layout="constrained")
    FigureCanvasAgg(figure)
    loss, kl = figure.subplots(1, 2)
    epoch = [h.epoch for h in search]
    loss.plot(epoch, [h.decision_loss for h in search], color=TRAIN, label="training responses")
    loss.plot(epoch, [h.held_out_loss for h in search], color=HELD_OUT, label="held out")
    chosen = sum(1 for h in history if h.stage == "fit")
    loss.axvline(chosen, color=HELD_OUT, linestyle=":", label=f"chosen: {chosen}")
    loss.set_ylabel("decision loss (nats per response)", fontsize=8)
    loss.legend(frameon=False, fontsize=8)
    kl.plot(epoch, [h.kl for h in search], color=KL)
    kl.set_ylabel("KL of a person's noise (nats)", fontsize=8)
    for axis in (loss, kl):
        axis.set_xlabel("epoch", fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    return save_figure(figure, path)
