"""How much results move with the settings: belief width, hidden units, sigma, lambda, J and K, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crowdllm.evaluation.intervals import mean_interval
from crowdllm.experiments.studies.protocol import Data, Experiment, Findings, Picture, Piece, Settings, Tables, union
from crowdllm.experiments.studies.variants import Setup, Variant, score_variant
from crowdllm.report.curves_figure import Curve, CurvePanel, curves_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

METRICS = ("mae", "avg_wd")
OURS, PAPER = "crowdllm", "crowdllm-paper"


@dataclass(frozen=True)
class Sweep:
    """One setting of one method over a range. setting "draws": K, decisions drawn from the elicited distribution."""

    method: str
    setting: str
    label: str
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        return f"{self.method}.{self.setting}"

    def variant(self, value: Any) -> Variant:
        """The variant of one value; a tuple of one where the setting is a grid."""
        if self.setting == "reference_draws":
            return Variant(f"{value:g}", "", self.method, draws=int(value))
        given = (value,) if self.setting.endswith("penalties") else value
        return Variant(f"{value:g}", "", self.method, ((self.setting, given),))


SWEEPS = (
    Sweep(OURS, "belief_width", "belief width Z", (0, 1, 3, 6, 12, 24)),
    Sweep(OURS, "training_draws", "J in training", (1, 2, 4, 8)),
    Sweep(OURS, "reference_draws", "K reference draws", (1, 2, 4, 8, 16, 32)),
    Sweep(OURS, "reference_penalties", "penalty on references", (1, 10, 100, 1000)),
    Sweep(OURS, "embedding_penalties", "penalty on the embedding", (2, 20, 200, 2000)),
    Sweep(OURS, "item_loading_penalty", "penalty on items' loadings", (3, 30, 300)),
    Sweep(PAPER, "belief_width", "belief width Z", (2, 5, 10, 20)),
    Sweep(PAPER, "hidden", "hidden units", (50, 100, 200, 400, 800)),
    Sweep(PAPER, "noise", "sigma (SDs of the scale)", (0.0, 0.5, 1.0, 2.0, 3.0, 4.0)),
    Sweep(PAPER, "weight", "lambda", (0.1, 0.3, 1.0, 3.0, 10.0)),
    Sweep(PAPER, "draws", "J", (1, 3, 10, 30)),
    Sweep(PAPER, "reference_draws", "K reference draws", (1, 2, 4, 8, 16, 32)),
)


@dataclass(frozen=True)
class Config:
    """Everything the numbers depend on."""

    setup: Setup
    drawn_setup: Setup
    sweeps: tuple[Sweep, ...]
    seeds: tuple[int, ...]


def configure(settings: Settings) -> Experiment:
    """Sensitivity: belief width, hidden sizes, sigma, lambda, J, K and penalties over a sweep."""
    setup = Setup(Data("offensiveness", "gpt4"), "problem", 1000, settings.embedding)
    drawn = Setup(Data("offensiveness", "elicited"), "problem", 1000, settings.embedding)
    config = Config(setup, drawn, SWEEPS, settings.seeds(5, 1))
    pieces = tuple(
        Piece(
            f"{sweep.name}.{value:g}.{seed}",
            score_variant,
            (drawn if sweep.setting == "reference_draws" else setup, sweep.variant(value), seed),
            kind=sweep.method,
        )
        for seed in config.seeds
        for sweep in config.sweeps
        for value in sweep.values
    )
    return Experiment(
        name="sensitivity",
        title="How much results move with the settings",
        paper="",
        question=(
            "One setting at a time, the others at their defaults, on unseen problems of offensiveness with a crowd of "
            "1,000. For K, decisions are drawn from the elicited distribution as if an LLM had been asked K times; "
            "elsewhere the reference is one GPT-4 decision. The defaults were not chosen from these numbers."
        ),
        config=config,
        pieces=pieces,
        report=lambda tables: report(config, tables),
        data=(setup.data, drawn.data),
        limits=("The published method has no numbers of its own for these sweeps; its rows are our implementation.",),
    )


def report(config: Config, tables: Tables) -> Findings:
    """The sweeps as one table, one picture, and the range that each setting spans."""
    import pandas as pd

    rows = [row for sweep in config.sweeps for row in _rows(sweep, tables)]
    found = pd.DataFrame(rows)
    caption = "Error of the mean and Wasserstein distance against one setting at a time; bands are 95 % intervals."
    picture = Picture("sensitivity", lambda: _figure(config, found), caption, caption)
    return Findings({"sensitivity": found}, (picture,), tuple(_words(config, found)))


def _rows(sweep: Sweep, tables: Tables) -> Iterator[dict[str, Any]]:
    for value in sweep.values:
        scores = union(tables, f"{sweep.name}.{value:g}.")
        for metric in METRICS if len(scores) else ():
            own = scores.loc[scores["metric"] == metric, "value"].to_numpy(dtype=float)
            interval = mean_interval(own)
            yield {
                "method": sweep.method, "setting": sweep.setting, "value": float(value), "metric": metric,
                "mean": interval.mean, "low": interval.low, "high": interval.high, "seeds": len(own),
            }  # fmt: skip


def _figure(config: Config, found: pd.DataFrame) -> Figure:
    panels = []
    for sweep in config.sweeps:
        own = found[(found["method"] == sweep.method) & (found["setting"] == sweep.setting)]
        curves = []
        for metric in METRICS:
            line = own[own["metric"] == metric].sort_values("value")
            x, mean, low, high = (tuple(line[c].astype(float)) for c in ("value", "mean", "low", "high"))
            curves.append(Curve(metric, x, mean, low, high))
        log = min(sweep.values) > 0 and max(sweep.values) / min(sweep.values) >= 10
        panels.append(CurvePanel(sweep.label, "error (levels)", tuple(curves), title=sweep.method, log_x=log))
    return curves_figure(panels, columns=4, share_y=True)


def _words(config: Config, found: pd.DataFrame) -> Iterator[str]:
    for sweep in config.sweeps:
        own = found[
            (found["method"] == sweep.method) & (found["setting"] == sweep.setting) & (found["metric"] == "mae")
        ]
        if len(own):
            own = own.sort_values("mean")
            best, worst = own.iloc[0], own.iloc[-1]
            yield (
                f"{sweep.method}, {sweep.label}: mae from {best['mean']:.3f} (at {best['value']:g}) to "
                f"{worst['mean']:.3f} (at {worst['value']:g})."
            )
