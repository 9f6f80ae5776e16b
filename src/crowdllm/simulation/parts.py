"""Make one part of a plan: recruit its people, decide block by block, and write its tables as bytes.

A part is a pure function of the workbench and its number, so any process on any machine may make it. Nothing larger
than one block of responses and the finished (compressed) tables is held in memory.

Shapes: N people of the part, T problems, G groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.belief.items import Items
from crowdllm.data.profiles import Profiles
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.profiles.pool import parse_filters
from crowdllm.simulation.blocks import Rows, decide_block, rows
from crowdllm.simulation.grid import GridTerms, grid_terms, people_terms
from crowdllm.simulation.groups import Groups, everybody, subgroups
from crowdllm.simulation.plan import Plan
from crowdllm.simulation.tables import (
    Names,
    Stamp,
    column_names,
    parquet_bytes,
    people_bytes,
    response_schema,
    response_table,
)
from crowdllm.simulation.tallies import Tally, count_block, empty_tally, tally_bytes

if TYPE_CHECKING:
    import pyarrow as pa

PEOPLE, RESPONSES, TALLIES = "participants", "responses", "tallies"


@dataclass(frozen=True)
class Workbench:
    """All that parts are made from, computed once per process.

    people: given people instead of recruits. generator: of recruits, with filters and margins.
    """

    plan: Plan
    model: CrowdModel
    items: Items
    people: Profiles | None
    generator: ProfileGenerator
    terms: GridTerms
    groups: Groups
    names: Names
    stamp: Stamp

    def people_of(self, part: int) -> Profiles:
        """The profiles of a part's people."""
        numbers = self.plan.people_of(part)
        if self.people is not None:
            return self.people.take(np.arange(numbers.start, numbers.stop))
        return self.generator.recruit(len(numbers), self.plan.settings.seed, start=numbers.start)


@dataclass(frozen=True)
class Part:
    """A finished part: its files by their place in the folder; its people, their responses, how many are stored."""

    index: int
    files: dict[str, bytes]
    people: int
    simulated: int
    stored: int


def open_workbench(plan: Plan, model: CrowdModel, items: Items, people: Profiles | None = None) -> Workbench:
    """Compute what all parts share.

    Raises ConfigError for filters that nobody meets, margins that cannot hold and counts that do not fit.
    """
    from threadpoolctl import threadpool_limits

    settings = plan.settings
    where = parse_filters(list(settings.where), model.encoder.columns) if settings.where else None
    generator = model.generator.restricted(where) if where else model.generator
    if settings.margins:
        with threadpool_limits(1, user_api="blas"):  # the same shares on any number of cores
            generator = generator.raked({column: dict(shares) for column, shares in settings.margins})
    bench = Workbench(
        plan=plan,
        model=model,
        items=items,
        people=people,
        generator=generator,
        terms=grid_terms(model, items),
        groups=groups_of(plan, model),
        names=column_names(model.response_type, items.problems, model.encoder.columns),
        stamp=Stamp(plan.model_hash, settings.seed, plan.hash[:16]),
    )
    _empty_tally(bench)
    return bench


def groups_of(plan: Plan, model: CrowdModel) -> Groups:
    """Whose distributions are counted: everybody where all responses are stored, else subgroups too."""
    return everybody() if plan.settings.sample == 1 else subgroups(model.generator)


def make_part(bench: Workbench, index: int) -> Part:
    """Part `index` of the plan, on one core."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):  # threads of a matrix product wait for each other on busy machines
        return _make_part(bench, index)


def _make_part(bench: Workbench, index: int) -> Part:
    sample, stamp = bench.plan.settings.sample, bench.stamp
    people = bench.people_of(index)
    tally, stored_N = _empty_tally(bench), np.zeros(len(people), dtype=np.int64)
    chunks = _decided(bench, people, tally)
    files: dict[str, bytes] = {}
    if sample > 0:
        schema = response_schema(bench.model.response_type, bench.names)
        tables = _tables(bench, people, chunks, stored_N, schema)
        files[part_name(RESPONSES, index)] = parquet_bytes(tables, schema, stamp.metadata(index))
        kept = people if sample == 1 else people.take(np.flatnonzero(stored_N))
        files[part_name(PEOPLE, index)] = people_bytes(kept, bench.names, stamp, index)
    else:
        for _ in chunks:  # counts them
            pass
    files[part_name(TALLIES, index)] = tally_bytes(tally, stamp.metadata(index))
    return Part(index, files, len(people), int(tally.answers_GT[0].sum()), int(stored_N.sum()))


def part_name(table: str, index: int) -> str:
    """Where a table of a part stands in the folder."""
    return f"{table}/part-{index:06d}.parquet"


def _empty_tally(bench: Workbench) -> Tally:
    return empty_tally(bench.model.response_type, bench.terms.options, len(bench.groups), len(bench.terms))


def _decided(bench: Workbench, people: Profiles, tally: Tally) -> Iterator[Rows]:
    """Decide block by block, count each in the tally, and give what is stored of it."""
    settings = bench.plan.settings
    who, member_GN = people_terms(bench.model, people, settings.seed), bench.groups.members(people)
    for problems in bench.plan.blocks():
        asked = bench.terms.take(problems)
        block = decide_block(asked, who, settings.seed, settings.participation)
        count_block(tally, bench.model.response_type, problems, block, member_GN)
        if settings.sample > 0:
            person_R, problem_R, compact_R = rows(block, asked, who, settings.seed, settings.sample)
            yield person_R, problem_R + problems.start, compact_R


def _tables(
    bench: Workbench, people: Profiles, chunks: Iterator[Rows], stored_N: NDArray[np.int64], schema: pa.Schema
) -> Iterator[pa.Table]:
    """A table per row group; adds to stored_N how many responses of each person it holds."""
    kind, problems = bench.model.response_type, bench.items.problems
    for person_R, problem_R, compact_R in _grouped(chunks, bench.plan.rows_per_group):
        stored_N += np.bincount(person_R, minlength=len(people))
        yield response_table(kind, problems, people, person_R, problem_R, compact_R, bench.stamp, schema)


def _grouped(chunks: Iterator[Rows], rows_per_group: int) -> Iterator[Rows]:
    """Join what blocks give until it makes a row group worth its name: at least half of `rows_per_group`."""
    waiting: list[Rows] = []
    count = 0
    for chunk in chunks:
        waiting.append(chunk)
        count += len(chunk[0])
        if 2 * count >= rows_per_group:
            yield _join(waiting)
            waiting, count = [], 0
    if count:
        yield _join(waiting)


def _join(chunks: list[Rows]) -> Rows:
    if len(chunks) == 1:
        return chunks[0]
    person_R, problem_R, compact_R = (np.concatenate(column) for column in zip(*chunks, strict=True))
    return person_R, problem_R, compact_R
