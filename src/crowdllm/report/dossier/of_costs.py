"""What the LLM references of a study cost: calls, tokens and money, as the recordings beside them say."""

from __future__ import annotations

import json
from pathlib import Path

from crowdllm.report.dossier.answers import Contribution, Section
from crowdllm.report.page import Cell, Table, Text


def contribute(study: Path) -> Contribution:
    """A section from `references/*.json` of a study folder; says so where nothing was recorded by asking."""
    rows = []
    for path in sorted((study / "references").glob("*.json")):
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            usage, cost = held["usage"], held.get("cost")
            numbers = (usage["calls"], usage["prompt_tokens"], usage["completion_tokens"])
            texts = [f"{int(n):,}" for n in numbers] + ["no price known" if cost is None else f"{float(cost):.4f}"]
        except (OSError, ValueError, KeyError, TypeError):
            texts = ["the account cannot be read", "", "", ""]
        rows.append((Cell(path.stem), *map(Cell, texts)))
    if not rows:
        nobody = Text("No LLM was asked for this study: its references, if any, were recorded elsewhere.")
        return Contribution({}, (Section("Cost", (nobody,)),))
    header = ("reference", "calls", "tokens in", "tokens out", "money")
    note = "An LLM is asked per problem, never per person: a larger crowd costs no further call."
    return Contribution({}, (Section("Cost", (Table("What asking the LLMs cost", header, tuple(rows), note),)),))
