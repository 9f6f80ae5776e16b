"""The pictures that go with `crowdllm.estimation.trust`: bars of the error's terms, and the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crowdllm.estimation.gate import CROWD, LLM, GateReport
from crowdllm.estimation.risk import LABELS, RiskReport
from crowdllm.estimation.trust import Trust
from crowdllm.report.gate_figure import GateRow, gate_figure
from crowdllm.report.risk_figure import RiskBar, risk_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUPS = {
    "L1": "people",
    "L2": "people",
    "L3": "twins",
    "L4": "twins",
    "L5": "twins",
    "sum": "sums",
    "remainder": "sums",
}


def risk_bars(report: RiskReport, title: str = "") -> Figure:
    """The terms of one report."""
    bars = [
        RiskBar(LABELS[t.term], t.estimate, t.low, t.high, GROUPS.get(t.term, "measured"))
        for t in report.terms
        if t.term in LABELS
    ]
    return risk_figure([(title, bars)])


def gate_rows(report: GateReport) -> list[GateRow]:
    """The groups of one report that have problems with answers."""
    side = {CROWD: "crowd", LLM: "llm"}
    return [
        GateRow(
            g.group, g.advantage, g.low, g.high, side.get(g.verdict, ""), g.mean_bias - g.mean_delta,
            g.half_width_derived, g.half_width_printed,
        )
        for g in report.groups
        if g.problems > 1
    ]  # fmt: skip


def trust_figures(trust: Trust) -> dict[str, Figure]:
    """Figures by name: risk, and gate where there is one."""
    figures = {"risk": risk_bars(trust.risk)}
    if trust.gate is not None and gate_rows(trust.gate):
        figures["gate"] = gate_figure(gate_rows(trust.gate))
    return figures
