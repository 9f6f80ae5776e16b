"""Simulate a whole crowd in memory, and tell a folder that holds a simulated crowd from others.

For crowds that memory need not hold see `crowdllm.simulation.stream`; both give the same responses.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from crowdllm import __version__
from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.belief.items import Items
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError
from crowdllm.profiles.participation import check_probability
from crowdllm.profiles.pool import parse_filters
from crowdllm.profiles.raking import Margins
from crowdllm.simulation.blocks import decide_block, rows_by_problem
from crowdllm.simulation.grid import grid_terms, people_terms, values_of
from crowdllm.simulation.ledger import FRESH

META = "meta.json"
BLOCK_VALUES = 1 << 20
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SimulatedCrowd:
    """Recruits and their responses to the items' problems."""

    people: Profiles
    items: Items
    responses: Responses
    seed: int


def simulate_crowd(
    model: CrowdModel,
    items: Items,
    participants: int | Profiles,
    seed: int = 0,
    where: Sequence[str] = (),
    participation: float = 1.0,
    progress: Progress | None = None,
    margins: Margins | None = None,
) -> SimulatedCrowd:
    """Recruit, let each person answer each problem with probability `participation`, and decide.

    participants: how many to recruit, or profiles of given people to simulate instead (see `stand_ins`).
    where: filters on profile columns such as `age=25-29,30-34`; recruits come from that pool only.
    margins: target shares of groups among recruits, see `crowdllm.profiles.raking`.

    Raises ConfigError for a pool that nobody belongs to, margins that cannot hold, or a probability outside 0..1.
    """
    check_probability(participation, 1, 1)
    pool = parse_filters(list(where), model.encoder.columns) if where else None
    if isinstance(participants, Profiles):
        people = stand_ins(participants)
    else:
        people = model.generator.recruit(participants, seed, margins=margins, where=pool)
    terms, who = grid_terms(model, items), people_terms(model, people, seed)
    step = max(1, BLOCK_VALUES // max(len(people) * terms.width, 1))
    none = np.zeros(0, dtype=np.int64)
    parts = [Responses(none, none, np.zeros((0, terms.width)))]
    for start in range(0, len(terms), step):
        asked = terms.take(slice(start, start + step))
        block = decide_block(asked, who, seed, participation)
        person_R, problem_R, compact_R = rows_by_problem(block)
        parts.append(Responses(person_R, problem_R + start, values_of(terms, compact_R)))
        if progress:
            progress("simulating", min(start + step, len(terms)) * len(people), len(terms) * len(people))
    return SimulatedCrowd(people, items, _join(parts), seed)


def stand_ins(people: Profiles) -> Profiles:
    """The same profiles under ids that say they are simulated, so that nobody takes the answers for those people's."""
    return replace(people, ids=np.array([f"sim:{identity}" for identity in people.ids], dtype=object))


def _join(parts: list[Responses]) -> Responses:
    return Responses(
        np.concatenate([p.participant_R for p in parts]),
        np.concatenate([p.problem_R for p in parts]),
        np.concatenate([p.values_RD for p in parts]),
    )


def require_free(out: str | Path) -> None:
    """Raise CrowdLLMError where a crowd cannot go because something else is there; before simulating, not after it.

    Makes the folders above; raises OSError where they cannot be made.
    """
    folder = Path(out).resolve()
    if folder.exists() and (not folder.is_dir() or (_holds_files(folder) and read_run_meta(folder) is None)):
        raise CrowdLLMError(f"{out} exists and holds something other than a simulated crowd; choose another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)


def _holds_files(folder: Path) -> bool:
    """Whether anything is in it but the first file of a run that was killed while it wrote that."""
    return any(path.name != f".{META}{FRESH}" for path in folder.iterdir())


def require_complete(folder: str | Path) -> None:
    """Raise CrowdLLMError for a simulated crowd that is not whole, or has no responses stored; else do nothing."""
    require_whole(folder)
    meta = read_run_meta(Path(folder)) or {}
    if meta.get("responses") and meta.get("stored") == 0:
        raise CrowdLLMError(
            f"{folder} holds distributions only, no responses: read {Path(folder) / 'distributions.csv'}"
        )


def require_whole(folder: str | Path) -> None:
    """Raise CrowdLLMError for a simulated crowd that was not written to the end, or is a share; else do nothing."""
    meta = read_run_meta(Path(folder))
    if meta is None:
        return
    if not meta.get("complete"):
        raise CrowdLLMError(
            f"the simulated crowd in {folder} was not written to the end; give the same crowdllm simulate command again"
        )
    if meta.get("shard", "1/1") != "1/1":
        raise CrowdLLMError(
            f"{folder} holds share {meta['shard']} of a crowd; join all shares with: crowdllm merge DIR... --out DIR"
        )


def read_run_meta(folder: Path) -> dict[str, Any] | None:
    """meta.json of a simulated crowd, None where there is none."""
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return meta if isinstance(meta, dict) and meta.get("simulated") is True else None


def as_study(crowd: SimulatedCrowd, model: CrowdModel) -> Study:
    """The crowd as a study with `simulated = True`; its source lines say so."""
    return Study(
        title="Simulated answers: a fitted crowd",
        response_type=model.response_type,
        problems=crowd.items.problems,
        profiles=crowd.people,
        responses=crowd.responses,
        source=(
            f"Simulated by crowdllm {__version__}: no row is a real person's answer.",
            f"Model fitted with seed {model.seed}; crowd seed {crowd.seed}.",
        ),
        simulated=True,
    )
