"""Find the recorded answers of the same LLM in persona, for the method that is made of them.

Beside a source NAME, answers of the same LLM in several personas are recorded as NAME-personas (of a data set, or in a
study's folder `references`). Where `multi-persona` is asked for and no persona source was named, these join the named
sources; no other method is given them (`crowdllm.methods.references_for`).
"""

from __future__ import annotations

from collections.abc import Sequence

from crowdllm.experiments.sources import Opened, open_references, reference_names
from crowdllm.methods import MADE_FOR, references_for
from crowdllm.reference import References

SUFFIX = "-personas"


def with_personas(opened: Opened, references: References | None, methods: Sequence[str]) -> References | None:
    """The references, joined by their recorded personas where a method among `methods` is made for personas."""
    wanted = any(MADE_FOR.get(method) == "persona" for method in methods)
    if references is None or not wanted or any(s.mode == "persona" for s in references.sources):
        return references
    valid = reference_names(opened)
    beside = [f"{source.name}{SUFFIX}" for source in references.sources if f"{source.name}{SUFFIX}" in valid]
    found = open_references(opened, ",".join(beside)) if beside else None
    personas = tuple(s for s in found.sources if s.mode == "persona") if found else ()
    return References((*references.sources, *personas))


def used_references(references: References | None, methods: Sequence[str]) -> References | None:
    """The sources that at least one of the methods is given, in their order."""
    names = {name for m in methods for name in getattr(references_for(m, references), "names", ())}
    kept = tuple(s for s in references.sources if s.name in names) if references else ()
    return References(kept) if kept else None
