"""Simulate a whole crowd and keep it: recruits, their responses, and a folder that says they are simulated.

The folder is a study folder with `simulated = true` (so that `check`, `aggregate` and `load_study` read it), plus
responses.parquet and meta.json. Every row of both response tables carries the simulated flag, the model's hash and
the seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crowdllm import __version__
from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.belief.items import Items
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.data.study_folder import response_cells, save_study
from crowdllm.errors import CrowdLLMError
from crowdllm.profiles.participation import pairs
from crowdllm.profiles.pool import parse_filters
from crowdllm.rng import stable_keys
from crowdllm.simulation.decide import simulate_pairs

META = "meta.json"
PAIRS = 1 << 18
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
) -> SimulatedCrowd:
    """Recruit, let each person answer each problem with probability `participation`, and decide.

    participants: how many to recruit, or profiles of given people to simulate instead (see `stand_ins`).
    where: filters on profile columns such as `age=25-29,30-34`; recruits come from that pool only.

    Raises ConfigError for a pool that nobody belongs to, or a probability outside 0..1.
    """
    pool = parse_filters(list(where), model.encoder.columns) if where else None
    if isinstance(participants, Profiles):
        people = stand_ins(participants)
    else:
        people = model.generator.recruit(participants, seed, where=pool)
    keys, problem_keys = stable_keys(people.ids), stable_keys(items.problems.ids)
    total = len(people) * len(items.problems)
    parts: list[Responses] = []
    done = 0
    for participant_R, problem_R in pairs(participation, keys, problem_keys, seed, PAIRS):
        values = simulate_pairs(model, items, people, participant_R, problem_R, seed)
        parts.append(Responses(participant_R, problem_R, values))
        done = min(done + PAIRS, total)
        if progress:
            progress("simulating", done, total)
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


def write_crowd(crowd: SimulatedCrowd, model: CrowdModel, model_meta: dict[str, Any], out: str | Path) -> list[Path]:
    """Write the crowd and return the paths; an existing folder is overwritten only if it holds a simulated crowd.

    meta.json says `complete` when all is written; `require_complete` checks it. Raises CrowdLLMError for a folder
    that holds something else, and OSError where nothing can be written.
    """
    require_free(out)
    folder = Path(out)
    study = as_study(crowd, model, model_meta)
    folder.mkdir(exist_ok=True)
    _write_meta(folder, {"crowdllm": __version__, "simulated": True, "complete": False})
    save_study(study, folder)
    table = pd.DataFrame(
        {
            "participant": crowd.people.ids[crowd.responses.participant_R],
            "problem": crowd.items.problems.ids[crowd.responses.problem_R],
            "response": response_cells(study),
            "simulated": True,
            "model": model_meta["model_hash"][:16],
            "seed": crowd.seed,
        }
    )
    files = [folder / "responses.parquet", folder / "responses.csv"]
    for path in files:
        fresh = path.with_name(path.name + ".part")
        if path.suffix == ".parquet":
            table.astype(dict.fromkeys(("participant", "problem", "response", "model"), "string")).to_parquet(fresh)
        else:
            table.to_csv(fresh, index=False)
        fresh.replace(path)
    meta = {
        "crowdllm": __version__,
        "simulated": True,
        "complete": True,
        "model_hash": model_meta["model_hash"],
        "seed": crowd.seed,
        "participants": len(crowd.people),
        "problems": len(crowd.items.problems),
        "responses": len(crowd.responses),
    }
    _write_meta(folder, meta)
    return [*files, folder / "participants.csv", folder / META]


def require_free(out: str | Path) -> None:
    """Raise CrowdLLMError where a crowd cannot go because something else is there; before simulating, not after it.

    Makes the folders above; raises OSError where they cannot be made.
    """
    folder = Path(out).resolve()
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and _read_meta(folder) is None)):
        raise CrowdLLMError(f"{out} exists and holds something other than a simulated crowd; choose another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)


def require_complete(folder: str | Path) -> None:
    """Raise CrowdLLMError for a folder of simulated responses that was not written to the end; else do nothing."""
    meta = _read_meta(Path(folder))
    if meta is not None and not meta.get("complete"):
        raise CrowdLLMError(f"the simulated crowd in {folder} was not written to the end; run crowdllm simulate again")


def _read_meta(folder: Path) -> dict[str, Any] | None:
    """meta.json of a simulated crowd, None where there is none."""
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return meta if isinstance(meta, dict) and meta.get("simulated") is True else None


def _write_meta(folder: Path, meta: dict[str, Any]) -> None:
    fresh = folder / f"{META}.part"
    fresh.write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    fresh.replace(folder / META)


def as_study(crowd: SimulatedCrowd, model: CrowdModel, model_meta: dict[str, Any] | None = None) -> Study:
    """The crowd as a study with `simulated = True`; its source lines say so, with the model's hash where it has one."""
    meta = model_meta or {}
    title = (meta.get("study") or {}).get("title", "a fitted crowd")
    origin = f"Model {meta['model_hash'][:16]}, seed" if meta else f"Model fitted with seed {model.seed}; crowd seed"
    return Study(
        title=f"Simulated answers: {title}",
        response_type=model.response_type,
        problems=crowd.items.problems,
        profiles=crowd.people,
        responses=crowd.responses,
        source=(
            f"Simulated by crowdllm {__version__}: no row is a real person's answer.",
            f"{origin} {crowd.seed}.",
        ),
        simulated=True,
    )
