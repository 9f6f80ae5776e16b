"""`crowdllm check DIR`: say what was understood of a study folder, and everything found in it, at once.

Everything from the study is untrusted text: it is printed literally, with control characters escaped.
The exit status is 0 when the study can be used (warnings allowed) and 2 when it cannot.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from crowdllm.data.study import Study
    from crowdllm.data.study_check import CheckReport, ColumnSummary, FindingGroup

BAR, SHOWN_LEVELS, SHOWN_OPTIONS, LABEL_WIDTH = 30, 12, 10, 40
STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
Line = tuple[str, str]
"""A line of text and its rich style, "" for plain."""


def check(
    folder: Annotated[Path, typer.Argument(help="The folder of the study.", show_default=False)],
) -> None:
    """Say what was understood of a study, and all that is wrong with it. Exit status 2 if it has errors."""
    from rich.console import Console
    from rich.text import Text

    from crowdllm.data.study_check import check_study

    report = check_study(folder)
    console = Console(highlight=False, markup=False, emoji=False)
    for text, style in report_lines(report, full_blocks=console.encoding.lower().startswith("utf")):
        console.print(Text(visible(text, console.encoding), style=style), soft_wrap=True)
    if not report.usable:
        raise typer.Exit(2)


def visible(text: str, encoding: str = "utf-8", keep: str = "") -> str:
    """Text that no terminal takes for commands: unprintable characters escaped, but for those in `keep`."""
    shown = "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def report_lines(report: CheckReport, full_blocks: bool = True) -> Iterator[Line]:
    """The report line by line; full_blocks: draw the histogram with blocks rather than with #."""
    from crowdllm.data.study_check import group_findings

    if report.study is not None:
        yield from _understood(report.study, report)
        yield from _profile(report.study)
        yield from _histogram(report.study, "█" if full_blocks else "#")
    for severity in ("note", "warning", "error"):
        groups = group_findings(report.of(severity))
        if groups:
            yield "", ""
            yield f"{severity.capitalize()}s ({len(report.of(severity)):,})", "bold"
        for group in groups:
            yield from _group(group)
    yield "", ""
    counts = ", ".join(_count(len(report.of(s)), s) for s in ("error", "warning", "note"))
    if report.usable:
        yield f"The study can be used: {counts}.", "bold green"
    else:
        yield f"The study cannot be used: {counts}.", "bold red"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _group(group: FindingGroup) -> Iterator[Line]:
    for finding in group.shown:
        yield f"  {finding}", STYLES[group.severity]
    if group.more:
        yield f"  … and {group.more:,} more of this sort", STYLES[group.severity]


def _understood(study: Study, report: CheckReport) -> Iterator[Line]:
    from crowdllm.data.study_check import coverage, responses_per_participant, responses_per_problem

    yield study.title or "(no title)", "bold"
    if report.of("error"):
        yield "Understood so far (rows with errors left out):", ""
    simulated = "  (simulated)" if study.simulated else ""
    yield f"  people       {len(study.profiles):,}{simulated}", ""
    yield f"  problems     {len(study.problems):,}", ""
    share = f"  ({coverage(study):.1%} of all pairs)" if len(study.profiles) * len(study.problems) else ""
    yield f"  responses    {len(study.responses):,}{share}", ""
    yield f"  per problem  {_spread(responses_per_problem(study).tolist())}", ""
    yield f"  per person   {_spread(responses_per_participant(study).tolist())}", ""
    yield f"  response     {_scale(study)}", ""
    for file, roles in report.columns.items():
        read = ", ".join(role if role == name else f"{role} (column {name!r})" for role, name in roles.items())
        yield f"  {file}: {read}", ""
    if len(study.problems.attributes.columns):
        yield (
            f"  further columns of the problems: {', '.join(map(str, study.problems.attributes.columns))}",
            "",
        )


def _spread(counts: list[int]) -> str:
    from statistics import median

    return f"min {min(counts):,}, median {median(counts):g}, max {max(counts):,}" if counts else "none"


def _scale(study: Study) -> str:
    kind = study.response_type
    if not kind.has_options:
        return f"{kind.kind}: {kind.allowed()}"
    settings = {k: v for k, v in kind.to_dict().items() if k not in ("type", "max_options")}
    counts = study.problems.option_counts
    least, most = int(counts.min()), int(counts.max())
    options = f"{least} options" if least == most else f"{least} to {most} options per problem"
    return ", ".join([f"{kind.kind}: {options}", *(f"{k} {v}" for k, v in settings.items())])


def _profile(study: Study) -> Iterator[Line]:
    from crowdllm.data.study_check import profile_summary

    yield "", ""
    yield f"Profile ({_count(len(study.profiles.columns), 'column')})", "bold"
    for column in profile_summary(study.profiles):
        yield f"  {column.name} ({column.kind}): {_column(column)}", ""


def _column(column: ColumnSummary) -> str:
    parts = []
    if column.min_median_max is not None:
        low, middle, high = column.min_median_max
        parts.append(f"min {low:g}, median {middle:g}, max {high:g}")
    parts += [f"{level}: {count:,}" for level, count in column.levels[:SHOWN_LEVELS]]
    if len(column.levels) > SHOWN_LEVELS:
        parts.append(f"… and {len(column.levels) - SHOWN_LEVELS:,} more levels")
    return "; ".join([*parts, f"missing: {column.missing:,}"])


def _histogram(study: Study, block: str) -> Iterator[Line]:
    from crowdllm.data.study_check import response_histogram

    what, counts = response_histogram(study)
    total, most = sum(count for _, count in counts), max((count for _, count in counts), default=0)
    yield "", ""
    yield "Responses" if what == "responses" else f"Responses ({what})", "bold"
    shown = counts[:SHOWN_OPTIONS] if study.response_type.has_options else counts
    labels = [visible(label) for label, _ in shown]
    labels = [label if len(label) <= LABEL_WIDTH else label[: LABEL_WIDTH - 1] + "…" for label in labels]
    width = max((len(label) for label in labels), default=0)
    for label, (_, count) in zip(labels, shown, strict=True):
        bar = block * (round(BAR * count / most) if most else 0)
        share = f"{count / total:6.1%}" if total else "     -"
        yield f"  {label:<{width}}  {bar:<{BAR}}  {count:>9,.0f}  {share}", ""
    if len(counts) > len(shown):
        yield f"  … and {len(counts) - len(shown):,} more options", ""
