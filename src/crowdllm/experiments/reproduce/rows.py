"""The rows that every table carries, in the order of the protocol, and which of them can run here.

Methods are named, not imported: one that is not registered, or needs an optional package, is left out with a line that
says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from crowdllm.data.splits import SPLITS
from crowdllm.experiments.comparison import FLOOR
from crowdllm.experiments.reproduce.plan import Reproduction, Run, Section
from crowdllm.methods import METHODS


@dataclass(frozen=True)
class Row:
    """words: what the row is. needs_references: it cannot run without. uses_references: they change its numbers."""

    words: str
    uses_references: bool = False
    needs_references: bool = False


ROWS: dict[str, Row] = {
    "random": Row("uniformly random responses"),
    "pooled": Row("the training responses to all problems together"),
    "problem-histogram": Row("the training people's own histogram of the problem (seen problems only)"),
    "tfidf-ridge": Row("ridge regression of the histogram on TF-IDF of the text"),
    "embedding-ridge": Row(
        "the same on the embedding (the same words reduced by an SVD, unless --embedding names a model)"
    ),
    "embedding-references-ridge": Row("the same on the embedding and the LLM references", True, True),
    "svr": Row("support vector regression", True),
    "catboost": Row("gradient-boosted trees (CatBoost)", True),
    "answers-ridge": Row("ridge regression on a person's known answers"),
    "answers-catboost": Row("gradient-boosted trees on a person's known answers"),
    "zero-shot": Row("the bare LLM", True, True),
    "multi-persona": Row("the LLM prompted with personas", True, True),
    "self-consistency": Row("majority of several draws of the LLM", True, True),
    "vae": Row("the generative model without an LLM"),
    "crowdllm-paper": Row("the method as published", True, True),
    "crowdllm": Row("this project's default method", True),
    "review-text-ridge": Row("ridge regression of the rating on the review written with it"),
    FLOOR: Row("what a perfect model would still score, the humans being a finite sample"),
}
KNOWING = ("answers-ridge", "answers-catboost")
SEEN = tuple(name for name in ROWS if name not in (*KNOWING, "review-text-ridge", FLOOR))
UNSEEN = tuple(name for name in SEEN if name != "problem-histogram")
LLM_MODES = ("multi-persona", "self-consistency")
FREE = tuple(name for name in UNSEEN if not ROWS[name].uses_references)
OWN_METHODS = ("review-text-ridge",)


def only(names: Iterable[str], references: bool) -> tuple[str, ...]:
    """Of these rows, those that can run with references, or without."""
    return tuple(n for n in names if references or not ROWS[n].needs_references)


def with_references(names: Iterable[str]) -> tuple[str, ...]:
    """Of these rows, those whose numbers depend on the references, whatever kind of answers they are."""
    return tuple(n for n in names if ROWS[n].uses_references and n not in LLM_MODES)


def label(method: str) -> str:
    """A method in words, or its name where it is not one of the protocol's."""
    return ROWS[method].words if method in ROWS else ""


def runnable(plan: Reproduction, note: Callable[[str], None]) -> Reproduction:
    """The plan without methods and splits that this installation does not have; `note` gets a line for each."""
    said: set[str] = set()

    def say(line: str) -> None:
        if line not in said:
            said.add(line)
            note(line)

    sections = []
    for section in plan.sections:
        runs = tuple(run for run in (_runnable(run, say) for run in section.runs) if run is not None)
        if runs:
            sections.append(_borrowing(replace(section, runs=runs)))
        else:
            say(f"section {section.title!r} left out: none of its rows can run here")
    kept = {run.key: run.comparison.methods for section in sections for run in section.runs}
    pictured = tuple(m for m in plan.pictured if m in kept.get(plan.pictured_run, ()))
    return replace(plan, sections=tuple(sections), pictured=pictured)


def _runnable(run: Run, say: Callable[[str], None]) -> Run | None:
    comparison = run.comparison
    if comparison.split not in SPLITS:
        say(f"split {comparison.split!r} left out: this version has the splits {', '.join(SPLITS)}")
        return None
    methods = []
    for name in comparison.methods:
        if name not in METHODS and name not in OWN_METHODS:
            say(f"{name} left out: no method of that name is registered in this version")
        else:
            methods.append(name)
    return replace(run, comparison=replace(comparison, methods=tuple(methods))) if methods else None


def _borrowing(section: Section) -> Section:
    """Without borrowed rows that the section has itself."""
    if section.borrowed is None:
        return section
    key, names = section.borrowed
    own = {method for run in section.runs for method in run.comparison.methods}
    return replace(section, borrowed=(key, tuple(n for n in names if n not in own)))
