"""A few simulated people, one by one: who they are, and what each answers to every problem of a list.

Person k answers as in the crowd of the same choice and seed, so a person seen here is one of those counted there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.belief.items import Items
from crowdllm.simulation.grid import decide_grid, grid_terms, people_terms, values_of
from crowdllm.studio.crowd import Who

NOT_KNOWN = "not known"


@dataclass(frozen=True)
class Person:
    """profile: (column, value) in words. answers: one per problem, in the words of the scale or the options."""

    id: str
    profile: tuple[tuple[str, str], ...]
    answers: tuple[str, ...]


def some_persons(
    model: CrowdModel, asked: Sequence[Items], count: int, seed: int = 0, start: int = 0, who: Who | None = None
) -> list[Person]:
    """Persons start..start+count-1 of the crowd of this choice and seed, with their answers to one problem each of
    `asked`. Raises as `recruit_crowd` does."""
    who = who or Who()
    people = model.generator.recruit(count, seed, start, who.margins or None, who.where or None)
    terms = people_terms(model, people, seed)
    told: list[list[str]] = [[] for _ in range(count)]
    for items in asked:
        grid = grid_terms(model, items)
        values_ND = values_of(grid, decide_grid(grid, terms, seed)[:, 0])
        for person, value_D in zip(told, values_ND, strict=True):
            person.append(in_words(model, value_D, items.problems.options[0]))
    return [
        Person(str(identity), _profile(model, row_C), tuple(answers))
        for identity, row_C, answers in zip(people.ids, people.values_NC, told, strict=True)
    ]


def _profile(model: CrowdModel, values_C: np.ndarray) -> tuple[tuple[str, str], ...]:
    out = []
    for column, value in zip(model.encoder.columns, values_C, strict=True):
        word = f"{value:g}" if column.kind == "numeric" else "" if np.isnan(value) else column.levels[int(value)]
        out.append((column.label or column.name, NOT_KNOWN if np.isnan(value) else word))
    return tuple(out)


def in_words(model: CrowdModel, value_D: np.ndarray, options: Sequence[str]) -> str:
    """One response as a person would say it, options by their text."""
    kind = model.response_type
    if kind.kind == "continuous":
        return f"{value_D[0]:.4g}"
    if not kind.has_options:
        return kind.write_cell(value_D, options)
    if kind.kind == "choice":
        return str(options[int(value_D[0])])
    if kind.kind == "ranking":
        order = [int(m) for m in np.argsort(np.where(value_D > 0, value_D, np.inf), kind="stable") if value_D[m] > 0]
        return " > ".join(f"{options[m]}" for m in order)
    if kind.kind == "points":
        return ", ".join(f"{options[m]}: {value_D[m]:g}" for m in range(len(options)) if value_D[m] > 0)
    return ", ".join(options[m] for m in range(len(options)) if value_D[m] > 0) or "(none)"
