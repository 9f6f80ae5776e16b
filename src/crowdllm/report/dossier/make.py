"""Make a report: each folder's contribution, then the file, made smaller where it would be too large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from crowdllm.data.study import Study
from crowdllm.profiles.raking import Margins
from crowdllm.report.dossier import of_crowd, of_estimates, of_page, of_results
from crowdllm.report.dossier.answers import Contribution, Explorer, Section
from crowdllm.report.dossier.document import document
from crowdllm.report.dossier.found import find
from crowdllm.report.dossier.printed import print_pdf


def contribution_of(folder: Path, humans: Study | None = None, margins: Margins | None = None) -> Contribution:
    """What one folder says; raises CrowdLLMError for a folder that is none of ours or not complete.

    humans, margins: what a simulated crowd is held against, see `of_crowd.contribute`.
    """
    found = find(folder)
    if found.kind == "crowd":
        return of_crowd.contribute(found, humans, margins)
    return {"results": of_results, "estimates": of_estimates, "page": of_page}[found.kind].contribute(found)


def write_report(
    title: str, contributions: Sequence[Contribution], command: str, out: Path, pdf: bool = False
) -> list[Path]:
    """Write the file by rename, and a PDF beside it where one is wanted; returns what was written."""
    text = ""
    for share in (1.0, 0.5, 0.2, 0.05, 0.0):
        try:
            text = document(title, [_smaller(one, share) for one in contributions], command)
            break
        except ValueError:
            if share == 0.0:
                raise
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = out.with_name(out.name + ".tmp")
    fresh.write_text(text, encoding="utf-8", errors="backslashreplace")
    fresh.replace(out)
    return [out, print_pdf(out, out.with_suffix(".pdf"))] if pdf else [out]


def _smaller(one: Contribution, share: float) -> Contribution:
    """The same with so many of the problems in the search, the first ones."""
    return replace(one, sections=tuple(_smaller_section(section, share) for section in one.sections))


def _smaller_section(section: Section, share: float) -> Section:
    blocks = []
    for block in section.blocks:
        if isinstance(block, Explorer) and share < 1:
            kept = int(share * len(block.problems))
            block = Explorer(block.problems[:kept], block.left_out + len(block.problems) - kept)
        blocks.append(block)
    return Section(section.title, tuple(blocks))
